#!/usr/bin/env python3
"""ONNX files as users' exporters write them: python wild_exports.py FOLDER [NAME_PART...]

Small models of torchvision, timm, transformers, scikit-learn, LightGBM, XGBoost (all with fixed seeds), exported by the tools
that their users take: both of PyTorch's exporters, skl2onnx, onnxmltools, tf2onnx and Keras; then quantized, converted to halves and
optimized by ONNX Runtime's tools. Beside NAME.onnx lies NAME.npz: "in:..." inputs of 7 rows, "out:..." what ONNX Runtime answers, and
"raw:..." what it answers to a quantized file without its optimizations, whose rounding differs from that of the nodes as written.
A kind whose package is not there is skipped and named. check_wild_exports.py asks retort about each."""
import os
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
FOLDER, PARTS = sys.argv[1], sys.argv[2:]
ROWS = 7
MODELS = {}


def model(name):
    def put(fn):
        MODELS[name] = fn
        return fn
    return put


# ---- PyTorch ----
def settle(m):
    """Batch norms that have seen data, and weights that are no zeros."""
    import torch
    torch.manual_seed(0)
    for p in m.modules():
        if isinstance(p, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            p.running_mean.normal_(0, 0.2)
            p.running_var.uniform_(0.5, 2)
            if p.affine:
                p.weight.data.uniform_(0.5, 1.5)
                p.bias.data.normal_(0, 0.2)
        if type(p).__name__ in ("LayerScale", "LayerScale2d") and hasattr(p, "gamma"):
            p.gamma.data.uniform_(0.5, 1)
    for p in m.parameters():
        if p.dim() > 1 and not p.any():
            p.data.normal_(0, 0.05)
    return m.eval()


def torch_pair(name, build, shapes, ids=(), low=0, opset=17, dynamic=True, names=None):
    for way in ("legacy", "dynamo"):
        def fn(path, way=way):
            import torch
            torch.manual_seed(1)
            m = settle(build())
            rng = np.random.default_rng(3)
            xs = [torch.from_numpy(np.ascontiguousarray(rng.integers(low if i == 0 else 0, ids[i], (ROWS,) + s) if i < len(ids) and ids[i]
                                   else rng.standard_normal((ROWS,) + s).astype("f4"))) for i, s in enumerate(shapes)]
            ins = names or [f"x{i}" for i in range(len(shapes))]
            if way == "legacy":
                axes = {n: {0: "batch"} for n in ins} if dynamic else None
                torch.onnx.export(m, tuple(x[:2] for x in xs), path, input_names=ins, dynamo=False, opset_version=opset, dynamic_axes=axes)
            else:
                b = torch.export.Dim("batch", min=1, max=4096)
                torch.onnx.export(m, tuple(x[:2] for x in xs), path, input_names=ins, dynamo=True, verbose=False,
                                  dynamic_shapes=[{0: b} for _ in xs], external_data=False)
            return {n: x.numpy() for n, x in zip(ins, xs)}
        MODELS[f"{name}-{way}"] = fn


def vision(name, **how):
    return lambda: getattr(__import__("torchvision").models, name)(weights=None, num_classes=7, **how)


for n in ("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x0_5", "squeezenet1_1", "regnet_y_400mf", "regnet_x_400mf",
          "mnasnet0_5", "resnet18", "convnext_tiny", "densenet121", "googlenet", "efficientnet_v2_s", "resnext50_32x4d"):
    torch_pair("tv_" + n, vision(n, **({"init_weights": True, "aux_logits": False} if n == "googlenet" else {})), [(3, 64, 64)])
torch_pair("tv_swin_t", vision("swin_t"), [(3, 64, 64)])
torch_pair("tv_swin_v2_t", vision("swin_v2_t"), [(3, 64, 64)])
torch_pair("tv_vit", lambda: __import__("torchvision").models.VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=7), [(3, 32, 32)])


def video(name):
    return lambda: getattr(__import__("torchvision").models.video, name)(weights=None, num_classes=7)


for n in ("r3d_18", "mc3_18", "r2plus1d_18", "s3d"):
    torch_pair("tv_" + n, video(n), [(3, 16 if n == "s3d" else 8, 224 if n == "s3d" else 32, 224 if n == "s3d" else 32)])


def segmentation():
    import torchvision
    m = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)

    import torch

    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.m = m

        def forward(self, x):
            return self.m(x)["out"].mean((2, 3))
    return One()


torch_pair("tv_lraspp", segmentation, [(3, 64, 64)])


def timm_model(name, **how):
    return lambda: __import__("timm").create_model(name, pretrained=False, num_classes=7, **how)


for n, size in (("mobilenetv4_conv_small", 64), ("ghostnet_050", 64), ("mobilevit_xxs", 64), ("levit_128s", 224), ("fastvit_t8", 64), ("edgenext_xx_small", 64),
                ("mixer_s32_224", 224), ("poolformer_s12", 64), ("repvgg_a0", 64), ("xcit_nano_12_p16_224", 224), ("tiny_vit_5m_224", 224),
                ("efficientformer_l1", 224), ("convmixer_768_32", 32), ("rexnet_100", 64), ("hardcorenas_a", 64), ("deit_tiny_patch16_224", 224),
                ("gmlp_ti16_224", 224), ("visformer_tiny", 224), ("lcnet_050", 64), ("tinynet_e", 106), ("nf_regnet_b0", 64), ("eca_resnet33ts", 64),
                ("resnest14d", 64), ("inception_next_atto", 64), ("starnet_s1", 64), ("repghostnet_050", 64), ("efficientvit_b0", 64), ("mambaout_femto", 64),
                ("hgnetv2_b0", 64), ("cspresnet50", 64), ("dla34", 64), ("selecsls42", 64), ("twins_svt_small", 224), ("pit_ti_224", 224), ("cait_xxs24_224", 224),
                ("crossvit_tiny_240", 240), ("coat_tiny", 224), ("volo_d1_224", 224), ("swin_tiny_patch4_window7_224", 224)):
    torch_pair("timm_" + n, timm_model(n), [(3, size, size)])


def yolo():
    """A detector's head as ultralytics writes it: SiLU blocks, C2f, SPPF, an upsampled neck, DFL, anchors, one answer (B, 4 + K, A)."""
    import torch
    from torch import nn

    class Conv(nn.Module):
        def __init__(self, a, b, k=1, s=1):
            super().__init__()
            self.conv, self.bn, self.act = nn.Conv2d(a, b, k, s, k // 2, bias=False), nn.BatchNorm2d(b), nn.SiLU()

        def forward(self, x):
            return self.act(self.bn(self.conv(x)))

    class C2f(nn.Module):
        def __init__(self, a, b):
            super().__init__()
            self.c = b // 2
            self.a, self.m1, self.m2, self.b = Conv(a, b), Conv(self.c, self.c, 3), Conv(self.c, self.c, 3), Conv(3 * self.c, b)

        def forward(self, x):
            y = list(self.a(x).chunk(2, 1))
            y.append(y[-1] + self.m2(self.m1(y[-1])))
            return self.b(torch.cat(y, 1))

    class SPPF(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.a, self.b, self.m = Conv(c, c // 2), Conv(c * 2, c), nn.MaxPool2d(5, 1, 2)

        def forward(self, x):
            y = [self.a(x)]
            y.extend(self.m(y[-1]) for _ in range(3))
            return self.b(torch.cat(y, 1))

    class Yolo(nn.Module):
        def __init__(self, k=5, reg=16):
            super().__init__()
            self.s = nn.Sequential(Conv(3, 8, 3, 2), Conv(8, 16, 3, 2), C2f(16, 16), Conv(16, 32, 3, 2), C2f(32, 32))
            self.d = nn.Sequential(Conv(32, 64, 3, 2), C2f(64, 64), SPPF(64))
            self.up, self.n = nn.Upsample(scale_factor=2), C2f(96, 32)
            self.box = nn.ModuleList(nn.Sequential(Conv(c, 32, 3), nn.Conv2d(32, 4 * reg, 1)) for c in (32, 64))
            self.cls = nn.ModuleList(nn.Sequential(Conv(c, 32, 3), nn.Conv2d(32, k, 1)) for c in (32, 64))
            self.k, self.reg = k, reg
            self.dfl = nn.Conv2d(reg, 1, 1, bias=False)
            self.dfl.weight.data[:] = torch.arange(reg, dtype=torch.float).view(1, reg, 1, 1)

        def forward(self, x):
            a = self.s(x)
            b = self.d(a)
            f = [self.n(torch.cat([self.up(b), a], 1)), b]
            out, points, strides = [], [], []
            for i, s in enumerate((8.0, 16.0)):
                out.append(torch.cat([self.box[i](f[i]), self.cls[i](f[i])], 1).flatten(2))
                h, w = f[i].shape[2:]
                sy, sx = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
                points.append(torch.stack((sx, sy), -1).view(-1, 2))
                strides.append(torch.full((h * w, 1), s))
            anchors, stride = torch.cat(points).T[None], torch.cat(strides).T
            box, cls = torch.cat(out, 2).split((4 * self.reg, self.k), 1)
            b, _, n = box.shape
            box = self.dfl(box.view(b, 4, self.reg, n).transpose(2, 1).softmax(1)).view(b, 4, n)
            lt, rb = box.chunk(2, 1)
            x1, x2 = anchors - lt, anchors + rb
            return torch.cat((torch.cat(((x1 + x2) / 2, x2 - x1), 1) * stride, cls.sigmoid()), 1)
    return Yolo()


torch_pair("yolo", yolo, [(3, 64, 64)])


def wrap(m, key):
    import torch

    class W(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.m = m

        def forward(self, *x):
            return self.m(*x)[key]
    return W()


def hf(kind, cls, **cfg):
    def build():
        import transformers as t
        c = getattr(t, kind + "Config")(num_labels=5, **cfg)
        c._attn_implementation = "eager"
        return getattr(t, cls)(c)
    return build


BASE = dict(vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=40)


def hf_pair(name, build, types=True, key="logits", tokens=16, low=3, **kw):
    ins = ["input_ids", "attention_mask"] + (["token_type_ids"] if types else [])

    def named():
        import torch
        m = build()

        class W(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.m = m

            def forward(self, input_ids, attention_mask, token_type_ids=None):
                kw = {"token_type_ids": token_type_ids} if token_type_ids is not None else {}
                return self.m(input_ids=input_ids, attention_mask=attention_mask, **kw)[key]
        return W()
    torch_pair("hf_" + name, named, [(tokens,)] * len(ins), ids=(200, 2, 2)[:len(ins)], low=low, names=ins, **kw)


hf_pair("bert", hf("Bert", "BertForSequenceClassification", **BASE))
hf_pair("roberta", hf("Roberta", "RobertaForSequenceClassification", **BASE), types=False)
hf_pair("distilbert", hf("DistilBert", "DistilBertForSequenceClassification", vocab_size=200, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=40), types=False)
hf_pair("albert", hf("Albert", "AlbertForSequenceClassification", embedding_size=16, **BASE))
hf_pair("electra", hf("Electra", "ElectraForSequenceClassification", embedding_size=16, **BASE))
hf_pair("mpnet", hf("MPNet", "MPNetForSequenceClassification", **BASE), types=False)
hf_pair("deberta2", hf("DebertaV2", "DebertaV2ForSequenceClassification", relative_attention=True, pos_att_type=["p2c", "c2p"], **BASE), types=True)
hf_pair("mobilebert", hf("MobileBert", "MobileBertForSequenceClassification", vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, intra_bottleneck_size=16, embedding_size=16, max_position_embeddings=40))
hf_pair("funnelless_squeezebert", hf("SqueezeBert", "SqueezeBertForSequenceClassification", embedding_size=32, **BASE))
hf_pair("bert_tokens", hf("Bert", "BertForTokenClassification", **BASE))
hf_pair("bert_hidden", hf("Bert", "BertModel", **BASE), key=0)
hf_pair("xlmroberta", hf("XLMRoberta", "XLMRobertaForSequenceClassification", **BASE), types=False)
hf_pair("camembert", hf("Camembert", "CamembertForSequenceClassification", **BASE), types=False)
hf_pair("modernbert", hf("ModernBert", "ModernBertForSequenceClassification", pad_token_id=0, **BASE), types=False)
hf_pair("nomic_like_t5enc", lambda: (lambda t: t.T5EncoderModel(t.T5Config(vocab_size=200, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)))(__import__("transformers")), types=False, key=0)
hf_pair("gpt2", hf("GPT2", "GPT2ForSequenceClassification", vocab_size=200, n_positions=40, n_embd=32, n_layer=2, n_head=4, pad_token_id=0), types=False)
hf_pair("llama", hf("Llama", "LlamaForSequenceClassification", pad_token_id=0, num_key_value_heads=2, **BASE), types=False)
hf_pair("qwen2", hf("Qwen2", "Qwen2ForSequenceClassification", pad_token_id=0, num_key_value_heads=2, **BASE), types=False)


def hf_image(name, kind, cls, size=32, key="logits", **cfg):
    torch_pair("hf_" + name, lambda: wrap(hf(kind, cls, **cfg)(), key), [(3, size, size)], names=["pixel_values"])


IMG = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
hf_image("vit", "ViT", "ViTForImageClassification", image_size=32, patch_size=8, **IMG)
hf_image("deit", "DeiT", "DeiTForImageClassification", image_size=32, patch_size=8, **IMG)
hf_image("dinov2", "Dinov2", "Dinov2ForImageClassification", image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
hf_image("swin", "Swin", "SwinForImageClassification", size=64, image_size=64, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
hf_image("segformer", "Segformer", "SegformerForImageClassification", size=64, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], decoder_hidden_size=16)
hf_image("convnextv2", "ConvNextV2", "ConvNextV2ForImageClassification", size=64, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
hf_image("mobilevitv2", "MobileViTV2", "MobileViTV2ForImageClassification", size=64, image_size=64, width_multiplier=0.5)
hf_image("clip", "CLIPVision", "CLIPVisionModel", key=1, image_size=32, patch_size=8, **IMG)
hf_image("siglip", "SiglipVision", "SiglipVisionModel", key=1, image_size=32, patch_size=8, **IMG)


def audio(name, build, length=2000):
    torch_pair("hf_" + name, lambda: wrap(build(), "logits"), [(length,)], names=["input_values"])


audio("wav2vec2", hf("Wav2Vec2", "Wav2Vec2ForSequenceClassification", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                     conv_dim=(16, 16), conv_stride=(5, 4), conv_kernel=(10, 8), num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, num_feat_extract_layers=2))
torch_pair("hf_ast", lambda: wrap(hf("AST", "ASTForAudioClassification", num_mel_bins=32, max_length=64, patch_size=8, frequency_stride=8, time_stride=8, **IMG)(), "logits"), [(64, 32)], names=["input_values"])


def tcn():
    from torch import nn
    return nn.Sequential(nn.Conv1d(4, 16, 3, padding=2, dilation=2), nn.GLU(1), nn.Conv1d(8, 16, 3, padding=4, dilation=4), nn.PReLU(16),
                         nn.InstanceNorm1d(16, affine=True), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(16, 3), nn.LogSoftmax(1))


def volumes():
    from torch import nn
    return nn.Sequential(nn.Conv3d(2, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(8, 16, 3, 2, 1, groups=2), nn.InstanceNorm3d(16, affine=True), nn.LeakyReLU(),
                         nn.AvgPool3d((2, 1, 2), ceil_mode=True), nn.ConvTranspose3d(16, 6, 2, 2), nn.GroupNorm(2, 6), nn.PReLU(6), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 4))


def unet3d():
    import torch
    from torch import nn

    class U(nn.Module):
        def __init__(self):
            super().__init__()
            b = lambda a, c: nn.Sequential(nn.Conv3d(a, c, 3, padding=1), nn.InstanceNorm3d(c, affine=True), nn.LeakyReLU(0.01))
            self.a, self.b, self.c, self.up, self.o = b(1, 8), b(8, 16), b(24, 8), nn.Upsample(scale_factor=2, mode="trilinear", align_corners=False), nn.Conv3d(8, 3, 1)
            self.p = nn.MaxPool3d(2)

        def forward(self, x):
            a = self.a(x)
            return self.o(self.c(torch.cat([a, self.up(self.b(self.p(a)))], 1))).mean((2, 3, 4))
    return U()


def lstm_text():
    import torch
    from torch import nn

    class L(nn.Module):
        def __init__(self):
            super().__init__()
            self.e, self.l, self.o = nn.Embedding(100, 16, padding_idx=0), nn.LSTM(16, 12, 2, batch_first=True, bidirectional=True), nn.Linear(48, 4)

        def forward(self, ids):
            y, (h, c) = self.l(self.e(ids))
            return self.o(torch.cat([y.mean(1), h[-1], h[-2]], -1))
    return L()


def tabular():
    import torch
    from torch import nn

    class T(nn.Module):
        """Numbers and categories, as tabular nets have them: embeddings concatenated, a residual MLP."""
        def __init__(self):
            super().__init__()
            self.e = nn.ModuleList(nn.Embedding(n, 4) for n in (5, 9, 3))
            self.n, self.a, self.b, self.o = nn.BatchNorm1d(6), nn.Linear(18, 18), nn.LayerNorm(18), nn.Linear(18, 3)

        def forward(self, x, c):
            z = torch.cat([self.n(x)] + [e(c[:, i]) for i, e in enumerate(self.e)], 1)
            return torch.softmax(self.o(z + torch.nn.functional.mish(self.a(self.b(z)))), -1)
    return T()


torch_pair("tcn", tcn, [(4, 40)])
torch_pair("volumes", volumes, [(2, 8, 12, 10)])
torch_pair("unet3d", unet3d, [(1, 8, 8, 8)])
torch_pair("lstm_text", lstm_text, [(11,)], ids=(100,), names=["ids"])
torch_pair("tabular", tabular, [(6,), (3,)], ids=(0, 3), names=["numbers", "kinds"])


# ---- scikit-learn, LightGBM, XGBoost ----
def table(classes=3, n=300):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 6)).astype("f4")
    s = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.3 * rng.standard_normal(n)
    return x, np.digitize(s, np.quantile(s, np.linspace(0, 1, classes + 1)[1:-1])), s.astype("f4")


def sk(name, build, task="classes", zipmap=False, classes=3, labels=None, positive=False):
    def fn(path):
        from skl2onnx import to_onnx
        x, y, s = table(classes)
        if positive:
            x = np.abs(x)
        target = s if task == "real" else np.asarray(labels)[y] if labels else y
        m = build()
        m.fit(x, target)
        o = {} if task != "classes" else {id(m): {"zipmap": zipmap}}
        onx = to_onnx(m, x[:1], options=o, target_opset={"": 17, "ai.onnx.ml": 3})
        open(path, "wb").write(onx.SerializeToString())
        return {onx.graph.input[0].name: x[:ROWS]}
    MODELS["sk_" + name] = fn


def pipe(*steps):
    from sklearn.pipeline import make_pipeline
    return make_pipeline(*steps)


def sklearn_models():
    import sklearn.calibration as cal
    import sklearn.decomposition as dec
    import sklearn.discriminant_analysis as da
    import sklearn.ensemble as en
    import sklearn.feature_selection as fs
    import sklearn.gaussian_process as gp
    import sklearn.kernel_approximation as ka
    import sklearn.linear_model as lm
    import sklearn.multiclass as mc
    import sklearn.naive_bayes as nb
    import sklearn.neighbors as ne
    import sklearn.neural_network as nn
    import sklearn.preprocessing as pre
    import sklearn.svm as svm
    import sklearn.tree as tree
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import FeatureUnion
    sk("logistic", lambda: pipe(pre.StandardScaler(), lm.LogisticRegression()))
    sk("logistic_zipmap", lambda: pipe(pre.StandardScaler(), lm.LogisticRegression()), zipmap=True)
    sk("logistic_text", lambda: lm.LogisticRegression(), labels=["cat", "dog", "eel"])
    sk("logistic_binary", lambda: lm.LogisticRegression(), classes=2)
    sk("forest", lambda: en.RandomForestClassifier(20, max_depth=5, random_state=0))
    sk("forest_text_zipmap", lambda: en.RandomForestClassifier(20, max_depth=5, random_state=0), labels=["cat", "dog", "eel"], zipmap=True)
    sk("extra", lambda: en.ExtraTreesClassifier(20, max_depth=5, random_state=0))
    sk("boosting", lambda: en.GradientBoostingClassifier(n_estimators=10, random_state=0))
    sk("boosting_binary", lambda: en.GradientBoostingClassifier(n_estimators=10, random_state=0), classes=2)
    sk("ada", lambda: en.AdaBoostClassifier(n_estimators=5, random_state=0))
    sk("bagging", lambda: en.BaggingClassifier(n_estimators=5, random_state=0))
    sk("voting", lambda: en.VotingClassifier([("a", lm.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=4))], voting="soft", flatten_transform=False))
    sk("stacking", lambda: en.StackingClassifier([("a", lm.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=4))]))
    sk("svc", lambda: pipe(pre.StandardScaler(), svm.SVC(probability=True, random_state=0)))
    sk("svc_plain", lambda: svm.SVC(kernel="poly", degree=2))
    sk("knn", lambda: ne.KNeighborsClassifier(5))
    sk("mlp", lambda: pipe(pre.MinMaxScaler(), nn.MLPClassifier((16, 8), max_iter=50, random_state=0)))
    sk("mlp_tanh_binary", lambda: nn.MLPClassifier((8,), activation="tanh", max_iter=50, random_state=0), classes=2)
    sk("gaussian_nb", lambda: nb.GaussianNB())
    sk("lda", lambda: da.LinearDiscriminantAnalysis())
    sk("qda", lambda: da.QuadraticDiscriminantAnalysis())
    sk("pca", lambda: pipe(pre.StandardScaler(), dec.PCA(3), lm.LogisticRegression()))
    sk("poly", lambda: pipe(pre.PolynomialFeatures(2), pre.StandardScaler(), lm.LogisticRegression()))
    sk("union", lambda: pipe(FeatureUnion([("a", pre.StandardScaler()), ("b", dec.PCA(2))]), lm.LogisticRegression()))
    sk("columns", lambda: pipe(ColumnTransformer([("a", pre.StandardScaler(), [0, 2]), ("b", pre.MinMaxScaler(), [1, 3])], remainder="passthrough"), lm.LogisticRegression()))
    sk("imputer", lambda: pipe(SimpleImputer(), pre.RobustScaler(), pre.Normalizer(), lm.LogisticRegression()))
    sk("quantile", lambda: pipe(pre.KBinsDiscretizer(4, encode="onehot-dense", strategy="uniform"), lm.LogisticRegression()))
    sk("select", lambda: pipe(fs.SelectKBest(k=3), tree.DecisionTreeClassifier(max_depth=5)))
    sk("ovr", lambda: mc.OneVsRestClassifier(lm.LogisticRegression()))
    sk("calibrated", lambda: cal.CalibratedClassifierCV(svm.LinearSVC(), cv=2))
    sk("sgd", lambda: pipe(pre.StandardScaler(), lm.SGDClassifier(loss="log_loss", random_state=0)))
    sk("binarizer", lambda: pipe(pre.Binarizer(), nb.BernoulliNB()))
    sk("multinomial", lambda: nb.MultinomialNB(), positive=True)
    sk("power", lambda: pipe(pre.PowerTransformer(), lm.LogisticRegression()))
    sk("linear", lambda: pipe(pre.StandardScaler(), lm.LinearRegression()), "real")
    sk("ridge_poly", lambda: pipe(pre.PolynomialFeatures(2), lm.Ridge()), "real")
    sk("forest_real", lambda: en.RandomForestRegressor(10, max_depth=5, random_state=0), "real")
    sk("boosting_real", lambda: en.GradientBoostingRegressor(n_estimators=10, random_state=0), "real")
    sk("svr", lambda: svm.SVR(), "real")
    sk("knn_real", lambda: ne.KNeighborsRegressor(3), "real")
    sk("mlp_real", lambda: nn.MLPRegressor(hidden_layer_sizes=(8,), max_iter=50, random_state=0), "real")
    sk("gp_real", lambda: gp.GaussianProcessRegressor(), "real")


def boosted(name, build, convert, task="classes", classes=3):
    def fn(path):
        from onnxmltools.convert.common.data_types import FloatTensorType
        import onnxmltools
        x, y, s = table(classes)
        m = build()
        m.fit(x, s if task == "real" else y)
        how = {"zipmap": False} if convert == "convert_lightgbm" else {}
        onx = getattr(onnxmltools, convert)(m, initial_types=[("input", FloatTensorType([None, 6]))], target_opset=15, **how)
        open(path, "wb").write(onx.SerializeToString())
        return {"input": x[:ROWS]}
    MODELS["gbm_" + name] = fn


def boosted_models():
    try:
        import lightgbm as lgb
        for n, c in (("lgb", 3), ("lgb_binary", 2)):
            boosted(n, lambda: lgb.LGBMClassifier(n_estimators=10, num_leaves=7, verbose=-1), "convert_lightgbm", classes=c)
        boosted("lgb_real", lambda: lgb.LGBMRegressor(n_estimators=10, num_leaves=7, verbose=-1), "convert_lightgbm", "real")
        boosted("lgb_rf", lambda: lgb.LGBMClassifier(boosting_type="rf", n_estimators=10, num_leaves=7, subsample=0.5, subsample_freq=1, verbose=-1), "convert_lightgbm")
        boosted("lgb_dart", lambda: lgb.LGBMRegressor(boosting_type="dart", n_estimators=10, verbose=-1), "convert_lightgbm", "real")
    except ImportError as e:
        print("skipped: lightgbm:", e)
    try:
        import xgboost as xgb
        for n, c in (("xgb", 3), ("xgb_binary", 2)):
            boosted(n, lambda: xgb.XGBClassifier(n_estimators=10, max_depth=4), "convert_xgboost", classes=c)
        boosted("xgb_real", lambda: xgb.XGBRegressor(n_estimators=10, max_depth=4), "convert_xgboost", "real")
        boosted("xgb_rf", lambda: xgb.XGBRFClassifier(n_estimators=10, max_depth=4), "convert_xgboost")
    except ImportError as e:
        print("skipped: xgboost:", e)


try:
    sklearn_models()
    boosted_models()
except ImportError as e:
    print("skipped: scikit-learn:", e)


# ---- Keras ----
def keras_models():
    import importlib.util
    if not importlib.util.find_spec("keras") or not importlib.util.find_spec("tf2onnx"):
        print("skipped: keras: no keras or tf2onnx here")
        return

    def keras_pair(name, build, shape, ids=0, opset=17, ways=("tf2onnx", "tf2onnx_nchw", "keras")):
        for way in ways:
            def fn(path, way=way):
                import keras
                import tensorflow as tf
                import tf2onnx
                keras.utils.set_random_seed(1)
                m = build(keras, keras.layers)
                r = np.random.default_rng(3)
                m.set_weights([w if w.ndim > 1 else w + r.uniform(0, 0.3, w.shape).astype(w.dtype) for w in m.get_weights()])
                kind = np.int32 if ids else np.float32
                x = r.integers(1, ids, (ROWS,) + shape).astype(kind) if ids else r.standard_normal((ROWS,) + shape).astype(kind)
                signature = [tf.TensorSpec((None,) + shape, kind, name="x")]
                if way == "keras":
                    m.export(path + ".keras", format="onnx", input_signature=signature, verbose=False)
                    os.replace(path + ".keras", path)
                    return {"x": x}
                swap = {"inputs_as_nchw": ["x"]} if way.endswith("nchw") else {}
                tf2onnx.convert.from_function(tf.function(lambda x: m(x, training=False)), input_signature=signature, opset=opset, output_path=path, **swap)
                return {"x": np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if swap else x}
            if len(shape) == 3 or way != "tf2onnx_nchw":
                MODELS[f"keras_{name}-{way}"] = fn

    def line(k, *layers, shape, dtype=None):
        return k.Sequential([k.layers.Input(shape, dtype=dtype), *layers])
    keras_pair("mlp", lambda k, l: line(k, l.Dense(16, "relu"), l.BatchNormalization(), l.Dropout(0.5), l.Dense(8, lambda v: k.activations.gelu(v, approximate=True)), l.Dense(3, "softmax"), shape=(6,)), (6,))
    for o in (13, 15, 18):
        keras_pair(f"cnn_{o}", lambda k, l: line(k, l.Conv2D(8, 3, padding="same"), l.BatchNormalization(), l.ReLU(), l.MaxPooling2D(), l.Conv2D(12, 3, 2, activation="swish"), l.AveragePooling2D(2, padding="same"),
                   l.Flatten(), l.Dense(10, "softmax"), shape=(20, 18, 3)), (20, 18, 3), opset=o, ways=("tf2onnx", "tf2onnx_nchw"))
    keras_pair("cnn", lambda k, l: line(k, l.Rescaling(1 / 2, 0.1), l.ZeroPadding2D(2), l.Conv2D(8, 5, 2, use_bias=False), l.BatchNormalization(scale=False), l.ReLU(6), l.SeparableConv2D(12, 3, padding="same", activation="relu"),
               l.DepthwiseConv2D(3, padding="same", depth_multiplier=2), l.LeakyReLU(), l.SpatialDropout2D(0.3), l.GlobalAveragePooling2D(), l.Dense(4), shape=(24, 24, 3)), (24, 24, 3))
    keras_pair("separable", lambda k, l: line(k, l.SeparableConv2D(8, 3, 2, padding="same", activation="elu"), l.SeparableConv2D(16, 3, dilation_rate=2, padding="same"), l.PReLU(shared_axes=[1, 2]), l.GroupNormalization(4), l.UnitNormalization(),
               l.GlobalMaxPooling2D(), l.Dense(4, "softmax"), shape=(17, 19, 4)), (17, 19, 4))
    keras_pair("unet", lambda k, l: unet(k, l), (16, 16, 3))
    keras_pair("conv1d", lambda k, l: line(k, l.Conv1D(8, 5, padding="causal", dilation_rate=2, activation="relu"), l.MaxPooling1D(2), l.SeparableConv1D(12, 3, padding="same"), l.LayerNormalization(), l.GlobalAveragePooling1D(), l.Dense(3, "softmax"), shape=(30, 4)), (30, 4))
    keras_pair("conv3d", lambda k, l: line(k, l.Conv3D(6, 3, padding="same", activation="relu"), l.MaxPooling3D(2), l.Conv3D(8, 3, 2), l.GlobalAveragePooling3D(), l.Dense(3), shape=(8, 10, 12, 2)), (8, 10, 12, 2))
    keras_pair("lstm", lambda k, l: line(k, l.LSTM(12, return_sequences=True), l.LSTM(8), l.Dense(3, "softmax"), shape=(9, 5)), (9, 5))
    keras_pair("gru", lambda k, l: line(k, l.GRU(12, return_sequences=True), l.GRU(8, go_backwards=True), l.Dense(3), shape=(9, 5)), (9, 5))
    keras_pair("gru_plain", lambda k, l: line(k, l.GRU(12, reset_after=False), l.Dense(3), shape=(9, 5)), (9, 5))
    keras_pair("rnn", lambda k, l: line(k, l.SimpleRNN(12), l.Dense(3), shape=(9, 5)), (9, 5))
    keras_pair("bidirectional", lambda k, l: line(k, l.Bidirectional(l.LSTM(6, return_sequences=True)), l.Bidirectional(l.GRU(5), merge_mode="ave"), l.Dense(3, "softmax"), shape=(9, 5)), (9, 5))
    keras_pair("text", lambda k, l: line(k, l.Embedding(50, 8), l.Bidirectional(l.LSTM(6)), l.Dense(3, "softmax"), shape=(11,), dtype="int32"), (11,), ids=50)
    keras_pair("text_masked", lambda k, l: line(k, l.Embedding(50, 8, mask_zero=True), l.LSTM(6), l.Dense(3, "softmax"), shape=(11,), dtype="int32"), (11,), ids=50)
    keras_pair("text_pool", lambda k, l: line(k, l.Embedding(50, 8), l.GlobalAveragePooling1D(), l.Dense(8, "relu"), l.Dense(1, "sigmoid"), shape=(11,), dtype="int32"), (11,), ids=50)
    keras_pair("convlstm", lambda k, l: line(k, l.ConvLSTM2D(4, 3, padding="same"), l.GlobalAveragePooling2D(), l.Dense(3), shape=(4, 8, 8, 2)), (4, 8, 8, 2))
    keras_pair("transformer", lambda k, l: transformer(k, l), (10, 16))
    keras_pair("residual", lambda k, l: residual(k, l), (16, 16, 8))
    for n, size in (("MobileNetV2", 64), ("MobileNetV3Small", 64), ("EfficientNetB0", 64), ("DenseNet121", 64), ("ResNet50V2", 64), ("NASNetMobile", 224), ("ConvNeXtTiny", 64), ("Xception", 96)):
        how = {"include_preprocessing": True} if n == "MobileNetV3Small" else {}
        keras_pair(n.lower(), lambda k, l, n=n, size=size, how=how: getattr(k.applications, n)(weights=None, input_shape=(size, size, 3), classes=7, **({"include_top": True} | how)), (size, size, 3))


def unet(k, l):
    x = l.Input((16, 16, 3))
    a = l.Conv2D(8, 3, padding="same", activation="relu")(x)
    b = l.Conv2D(12, 3, padding="same", activation="relu")(l.MaxPooling2D()(a))
    up = l.concatenate([l.Conv2DTranspose(8, 2, 2)(b), l.UpSampling2D(2, interpolation="bilinear")(b), l.UpSampling2D(2)(b), a])
    c = l.Conv2DTranspose(6, 3, padding="same", activation="softplus")(up)
    return k.Model(x, l.Dense(3)(l.Flatten()(l.Cropping2D(2)(l.Conv2D(2, 1)(c)))))


def transformer(k, l):
    x = l.Input((10, 16))
    a = l.LayerNormalization(epsilon=1e-6)(x + l.MultiHeadAttention(4, 4)(x, x))
    f = l.LayerNormalization(epsilon=1e-6)(a + l.Dense(16)(l.Dense(32, lambda v: k.activations.gelu(v, approximate=True))(a)))
    return k.Model(x, l.Dense(3, "softmax")(l.GlobalAveragePooling1D()(f)))


def residual(k, l):
    x = l.Input((16, 16, 8))
    y = l.Conv2D(8, 3, padding="same", activation="relu")(x)
    s = l.Reshape((1, 1, 8))(l.Dense(8, "sigmoid")(l.Dense(4, "relu")(l.GlobalAveragePooling2D()(y))))
    y = l.add([x, l.multiply([y, s])])
    y = l.concatenate([y, l.average([x, y]), l.maximum([x, y]), l.subtract([x, y])])
    y = l.Permute((3, 1, 2))(l.Activation("hard_sigmoid")(y))
    return k.Model(x, l.Dense(5)(l.Flatten()(l.Conv2D(4, 3, activation="mish")(y))))


keras_models()


# ---- what ONNX Runtime's tools make of others ----
class Reader:
    def __init__(self, feeds):
        self.feeds = iter([{k: v[i:i + 1] for k, v in feeds.items()} for i in range(ROWS)])

    def get_next(self):
        return next(self.feeds, None)


def remade(suffix, of, make):
    for base in of:
        def fn(path, base=base):
            b = os.path.join(FOLDER, base)
            feeds = {k[3:]: v for k, v in np.load(b + ".npz").items() if k.startswith("in:")}
            make(b + ".onnx", path, feeds)
            return feeds
        MODELS[f"{base}+{suffix}"] = fn


def quant(fmt, **how):
    def make(src, dst, feeds):
        import onnxruntime.quantization as q
        kinds = {"qdq": q.QuantFormat.QDQ, "qop": q.QuantFormat.QOperator}
        pre = dst + ".pre.onnx"
        q.shape_inference.quant_pre_process(src, pre, skip_symbolic_shape=True)
        q.quantize_static(pre, dst, Reader(feeds), quant_format=kinds[fmt], **how)
        os.remove(pre)
    return make


def dynamic(src, dst, feeds, **how):
    import onnxruntime.quantization as q
    q.quantize_dynamic(src, dst, **how)


def halves(src, dst, feeds, keep=True):
    import onnx
    from onnxconverter_common import float16
    onnx.save(float16.convert_float_to_float16(onnx.load(src), keep_io_types=keep), dst)


def optimized(level):
    def make(src, dst, feeds):
        import onnxruntime as o
        s = o.SessionOptions()
        s.graph_optimization_level = getattr(o.GraphOptimizationLevel, level)
        s.optimized_model_filepath = dst
        o.InferenceSession(src, s, providers=["CPUExecutionProvider"])
    return make


def fused(kind):
    def make(src, dst, feeds):
        from onnxruntime.transformers import optimizer
        m = optimizer.optimize_model(src, model_type=kind, num_heads=4, hidden_size=32)
        m.save_model_to_file(dst)
    return make


def lib():
    import onnxruntime.quantization as q
    t, CNN, ENC = q.QuantType, ["tv_resnet18-legacy", "tv_mobilenet_v2-legacy", "tv_mobilenet_v3_small-dynamo", "yolo-legacy", "timm_mobilenetv4_conv_small-legacy"], ["hf_bert-legacy", "hf_distilbert-dynamo", "tv_vit-legacy", "hf_vit-dynamo"]
    remade("qdq", CNN + ENC + ["tcn-dynamo"], quant("qdq"))
    remade("qdq_channel", CNN, quant("qdq", per_channel=True, activation_type=t.QUInt8, weight_type=t.QInt8))
    remade("qdq_s8s8", CNN[:2] + ENC[:1], quant("qdq", activation_type=t.QInt8, weight_type=t.QInt8))
    remade("qdq_16", CNN[:1], quant("qdq", activation_type=t.QUInt16, weight_type=t.QInt8))
    remade("qop", CNN + ENC + ["lstm_text-legacy"], quant("qop"))
    remade("qop_channel", CNN[:3], quant("qop", per_channel=True, reduce_range=True))
    remade("dynamic", CNN[:2] + ENC + ["lstm_text-legacy", "hf_albert-legacy", "sk_mlp"], dynamic)
    remade("dynamic_u8", ENC[:2], lambda *x: dynamic(*x, weight_type=t.QUInt8))
    remade("dynamic_channel", ENC[:2], lambda *x: dynamic(*x, per_channel=True))
    remade("fp16", CNN + ENC + ["lstm_text-legacy", "tcn-dynamo", "hf_mpnet-legacy", "hf_roberta-dynamo", "volumes-legacy"], halves)
    remade("fp16_io", CNN[:2] + ENC[:1], lambda *x: halves(*x, keep=False))
    remade("basic", CNN + ENC, optimized("ORT_ENABLE_BASIC"))
    remade("extended", CNN + ENC + ["hf_deberta2-legacy", "hf_gpt2-legacy"], optimized("ORT_ENABLE_EXTENDED"))
    remade("fused", ENC[:1] + ["hf_roberta-legacy", "hf_distilbert-legacy"], fused("bert"))


try:
    lib()
except ImportError as e:
    print("skipped: ONNX Runtime's tools:", e)


# ---- all of them ----
def main():
    import onnx
    import onnxruntime as o
    o.set_default_logger_severity(4)
    os.makedirs(FOLDER, exist_ok=True)
    for name, fn in MODELS.items():
        if PARTS and not any(p in name for p in PARTS):
            continue
        path = os.path.join(FOLDER, name)
        if os.path.exists(path + ".npz"):
            continue
        try:
            feeds = fn(path + ".onnx")
            session = o.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"])
            cast = {i.name: {"tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(int32)": np.int32}.get(i.type) for i in session.get_inputs()}
            feed = {k: v if cast.get(k) is None else v.astype(cast[k]) for k, v in feeds.items() if k in cast}
            outs = [x for x in session.get_outputs()]
            alone = "+dynamic" in name                             # its ranges are those of all rows
            fixed = alone or any(isinstance(i.shape[0], int) for i in session.get_inputs())
            if fixed:
                rows = [session.run(None, {k: v[r:r + 1] for k, v in feed.items()}) for r in range(ROWS)]
                got = [np.concatenate(c) if isinstance(c[0], np.ndarray) else sum(map(list, c), []) for c in zip(*rows)]
            else:
                got = session.run(None, feed)
            answers = {}
            if "+q" in name:
                plain = o.SessionOptions()
                plain.graph_optimization_level = o.GraphOptimizationLevel.ORT_DISABLE_ALL
                raw = o.InferenceSession(path + ".onnx", plain, providers=["CPUExecutionProvider"])
                rows = [raw.run(None, {k: v[r:r + 1] for k, v in feed.items()}) for r in range(ROWS)]
                answers = {"raw:" + x.name: np.concatenate(y).astype("f8") for x, y in zip(outs, zip(*rows)) if y[0].dtype.kind == "f"}
            for x, y in zip(outs, got):
                if isinstance(y, list) and y and isinstance(y[0], dict):
                    y = np.array([[r[k] for k in sorted(r)] for r in y], "f4")
                if isinstance(y, np.ndarray) and y.dtype.kind == "f":
                    answers["out:" + x.name] = y.astype("f8")
            np.savez(path + ".npz", **{"in:" + k: v for k, v in feeds.items() if k in cast}, **answers)
            print(f"wrote {name}: {os.path.getsize(path + '.onnx') >> 10} KiB, {[x[4:] for x in answers if x[:4] == 'out:']}", flush=True)
        except Exception as e:
            print(f"failed {name}: {type(e).__name__}: {str(e).strip().splitlines()[0][:150] if str(e).strip() else ''}", flush=True)


main()
