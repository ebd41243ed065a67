"""Records steps of quantization-aware training, made by PyTorch in double, as a C header:
python3 record_qat.py > qat_reference.h

Quantizers are written out by what they are defined by; gradients, batch norm, losses and SGD are PyTorch's own."""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
ROWS, STEPS, LR, MOMENTUM, RANGE_MOMENTUM, EPS = 6, 3, 0.05, 0.9, 0.01, 1e-5
as_float = lambda t: t.float().double()                   # what the program reads are floats
margin = [1.0]


def rounded(v):
    margin[0] = min(margin[0], float(((v - v.floor()) - 0.5).abs().min()))
    return v.round()


class Steps(torch.autograd.Function):
    """s (clamp(rne(x / s) + z, 0, 255) - z); no gradient at the ends."""
    @staticmethod
    def forward(ctx, x, scale, zero):
        q = rounded(x / scale).clamp(-zero, 255 - zero)
        ctx.save_for_backward((q > -zero) & (q < 255 - zero))
        return q * scale

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None, None


def quantizer(range_):
    scale = as_float((range_[1] - range_[0]) / 255)
    zero = torch.clamp((-range_[0] / scale).round(), 0, 255)
    return scale, zero


class Net:
    """params and ranges by the names of the program's layers; weights are (..., C, N), images (H, W, C)."""
    def __init__(self, params, ranges, learned, bits, factor=None):
        self.p = {k: as_float(v).requires_grad_() for k, v in params.items()}
        self.range = {k: as_float(torch.tensor(v)) for k, v in ranges.items()}
        self.step = {k: as_float(torch.tensor(v)).requires_grad_() for k, v in learned.items()}
        self.bits, self.factor, self.seen = bits, factor or {}, {}

    def weight(self, layer):
        w, most = self.p[layer + ".weight"], 2 ** (self.bits[layer] - 1) - 1
        f = self.factor.get(layer)
        f = 1.0 if f is None else f.view(-1, 1)           # of the input channel, the last but one
        v = w * f
        if layer in self.step:                            # LSQ (Esser et al. 2020, equations 1 to 3)
            s, n = self.step[layer], w.numel() / w.shape[-1]
            g = 1 / (n * most) ** 0.5
            s = s * g + (s - s * g).detach()
            u = (v / s).clamp(-most, most)
            return (rounded(u.detach()) - u.detach() + u) * s / f
        top = v.detach().abs().reshape(-1, w.shape[-1]).max(0).values
        s = as_float(torch.where(top > 0, top, torch.ones_like(top)) / most)
        return ((rounded(v.detach() / s).clamp(-most, most) * s) / f - w).detach() + w

    def value(self, name, x):
        self.seen[name] = (min(0.0, float(x.detach().min())), max(0.0, float(x.detach().max())))
        return Steps.apply(x, *quantizer(self.range[name]))

    def conv(self, layer, x, pad=1):
        w = self.weight(layer).permute(3, 2, 0, 1)
        return F.conv2d(x.permute(0, 3, 1, 2), w, self.p.get(layer + ".bias"), padding=pad).permute(0, 2, 3, 1)

    def dense(self, layer, x):
        return x @ self.weight(layer) + self.p[layer + ".bias"]

    def norm(self, layer, x):
        c = x.shape[-1]
        y = x.reshape(-1, c)
        mean, var = y.mean(0), y.var(0, unbiased=False)
        return (x - mean) / (var + EPS).sqrt() * self.p[layer + ".gamma"] + self.p[layer + ".beta"]


def image(net, x):
    y = net.value("relu3", F.relu(net.norm("batch_norm2", net.conv("conv2d1", net.value("input", x)))))
    z = net.value("conv2d4", net.conv("conv2d4", y))
    y = net.value("relu6_6", F.relu6(z + y))
    y = F.max_pool2d(y.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return net.dense("dense8", y.reshape(ROWS, -1))


def table(net, x):
    y = net.value("dense1", net.dense("dense1", net.value("input", x)))
    y = net.value("gelu2", F.gelu(y, approximate="tanh"))
    y = net.value("multiply4", y * net.value("relu3", F.relu(net.dense("dense3", y))))
    return net.dense("dense5", y)


def pictures(net, x):
    return net.dense("dense4", net.value("global_avg_pool3", net.value("relu2", F.relu(net.conv("conv2d1", x, 0)))
                                        .mean((1, 2))))


def normal(seed):
    g = torch.Generator().manual_seed(seed)
    return lambda *s: torch.randn(*s, generator=g)


def make(kind, seed):
    n = normal(seed)
    if kind == "image":
        params = {"conv2d1.weight": n(3, 3, 2, 4) * 0.4, "batch_norm2.gamma": n(4) * 0.2 + 1, "batch_norm2.beta": n(4) * 0.2,
                  "conv2d4.weight": n(3, 3, 4, 4) * 0.3, "conv2d4.bias": n(4) * 0.1,
                  "dense8.weight": n(16, 3) * 0.3, "dense8.bias": n(3) * 0.1}
        ranges = {"input": (-2.2, 2.1), "relu3": (0, 1.9), "conv2d4": (-1.5, 1.6), "relu6_6": (0, 3.1)}
        net = Net(params, ranges, {"conv2d4": [0.11, 0.12, 0.08, 0.1]}, {"conv2d1": 8, "conv2d4": 4, "dense8": 8})
        return net, image, n(ROWS, 4, 4, 2), None
    if kind == "table":
        params = {"dense1.weight": n(5, 6) * 0.5, "dense1.bias": n(6) * 0.1, "dense3.weight": n(6, 6) * 0.5,
                  "dense3.bias": n(6) * 0.1, "dense5.weight": n(6, 3) * 0.5, "dense5.bias": n(3) * 0.1}
        ranges = {"input": (-2.0, 2.0), "dense1": (-2.5, 2.5), "gelu2": (-0.2, 2.4), "relu3": (0, 1.8),
                  "multiply4": (-0.3, 2.0)}
        net = Net(params, ranges, {"dense3": [0.2] * 6}, {"dense1": 7, "dense3": 5, "dense5": 6})
        return net, table, n(ROWS, 5), None
    params = {"conv2d1.weight": n(2, 2, 3, 4) * 0.4, "conv2d1.bias": n(4) * 0.1,
              "dense4.weight": n(4, 3) * 0.6, "dense4.bias": n(3) * 0.1}
    ranges = {"relu2": (0, 2.5), "global_avg_pool3": (0, 1.2)}
    mean, std = torch.tensor([90.0, 90.4, 89.7]), torch.tensor([60.0, 73.0, 52.0])
    mul, add = as_float(1 / std), as_float(-mean)
    raw = (90 + 50 * n(ROWS, 3, 3, 3)).clamp(0, 255).round()
    net = Net(params, ranges, {}, {"conv2d1": 4, "dense4": 8}, {"conv2d1": as_float(mul / mul.max())})
    return net, pictures, as_float(as_float(raw + add) * mul), raw


def run(kind, seed):
    margin[0] = 1.0
    net, forward, x, raw = make(kind, seed)
    x = as_float(x)
    y = torch.arange(ROWS) * 2 % 3
    first = {k: v.detach().clone() for k, v in list(net.p.items())}
    steps = {k: v.detach().clone() for k, v in net.step.items()}
    start = {k: v.clone() for k, v in net.range.items()}
    opt = torch.optim.SGD(list(net.p.values()) + list(net.step.values()), lr=LR, momentum=MOMENTUM)
    losses = []
    for _ in range(STEPS):
        opt.zero_grad()
        loss = F.cross_entropy(forward(net, x), y)
        loss.backward()
        opt.step()
        losses.append(float(loss.detach()))
        for k, (low, high) in net.seen.items():
            r = net.range[k]
            net.range[k] = r + RANGE_MOMENTUM * (torch.tensor([low, high]) - r)
    return net, x, raw, first, steps, start, losses


def numbers(t):
    flat = torch.as_tensor(t).detach().reshape(-1).tolist()
    lines, line = [], " "
    for v in flat:
        text = " %.9g," % v
        if len(line) + len(text) > 118:
            lines.append(line)
            line = " "
        line += text
    return "\n".join(lines + [line])


def fields(name, before, after):
    print("static const field_case %s[] = {" % name)
    for k in before:
        print('    {"%s", (const double[]){\n%s},\n     (const double[]){\n%s}},' %
              (k, numbers(before[k]), numbers(after[k])))
    print("    {NULL, NULL, NULL}};")


print("/* tests/student/qat_reference.h - written by record_qat.py with PyTorch %s. */" % torch.__version__.split("+")[0])
print("#ifndef RT_TESTS_STUDENT_QAT_REFERENCE_H\n#define RT_TESTS_STUDENT_QAT_REFERENCE_H\n")
print("typedef struct { const char *name; const double *before, *after; } field_case;\n")
for kind in ("image", "table", "pictures"):
    for seed in range(1, 4000):
        net, x, raw, first, steps, start, losses = run(kind, seed)
        if margin[0] > 3e-4:
            break
    else:
        raise SystemExit("no seed without a value near a border: " + kind)
    print("/* seed %d, no value within %.1g of a border between two steps */" % (seed, margin[0]))
    print("static const double %s_x[] = {\n%s};" % (kind, numbers(raw if raw is not None else x)))
    print("static const double %s_loss[] = {%s};" % (kind, ", ".join("%.12g" % v for v in losses)))
    before = dict(first)
    after = {k: v for k, v in net.p.items()}
    for k in steps:
        before[k + ".weight_step"], after[k + ".weight_step"] = steps[k], net.step[k]
    for k in start:
        before[k + ".range"], after[k + ".range"] = start[k], net.range[k]
    fields(kind + "_fields", before, after)
    print()
print("#endif")
