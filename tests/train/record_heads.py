"""Records full-batch training runs of a net with three heads, made by PyTorch in double, as a C header:
python3 record_heads.py > heads_reference.h

x (R, 5) -> dense 6 -> relu -> heads kind (3 classes), tags (4 labels), size (2 values). Targets lack some elements. A
linear teacher's answers are fixed. One batch of all rows, plain SGD: the order of rows cannot matter."""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(3)
R, IN, MID, K, L, D, EPOCHS, LR = 24, 5, 6, 3, 4, 2, 4, 0.05
x = torch.randn(R, IN).float().double()
kind = torch.randint(0, K, (R,))
kind[::7] = -1
tags = torch.randint(0, 2, (R, L))
tags[torch.rand(R, L) < 0.2] = -1
size = torch.randn(R, D).float().double()
size[torch.rand(R, D) < 0.25] = float("nan")
shapes = [(IN, MID), (MID,), (MID, K), (K,), (MID, L), (L,), (MID, D), (D,)]
start = [(torch.randn(*s) * 0.6).float().double() for s in shapes]
teacher = [(torch.randn(*s) * 0.8).float().double() for s in [(IN, K), (K,), (IN, L), (L,), (IN, D), (D,)]]


def run(soft, labelled, real):
    w = [p.clone().requires_grad_() for p in start]
    losses = []
    for _ in range(EPOCHS):
        h = F.relu(x @ w[0] + w[1])
        z = [h @ w[2] + w[3], h @ w[4] + w[5], h @ w[6] + w[7]]
        t = [x @ teacher[i] + teacher[i + 1] for i in (0, 2, 4)]
        known, there = tags >= 0, ~torch.isnan(size)
        value = torch.nan_to_num(size)
        ce = F.cross_entropy(z[0], kind, ignore_index=-1, reduction="sum")
        bce = F.binary_cross_entropy_with_logits(z[1], tags.clamp(min=0).double(), reduction="none")[known].sum()
        fn = {"mse": lambda a, b: F.mse_loss(a, b, reduction="none"),
              "huber": lambda a, b: F.huber_loss(a, b, reduction="none", delta=0.5),
              "quantile": lambda a, b: torch.maximum(0.3 * (b - a), -0.7 * (b - a))}[real]
        dist = fn(z[2], value)[there].sum()
        # the mean is over the batch; or, labelled, over what has a target, a row's elements together
        n = (kind >= 0).sum() if labelled else R
        m = known.sum() / L if labelled else R
        d = there.sum() / D if labelled else R
        if soft:
            temp, bt = 2.0, 1.5
            kd = temp ** 2 * F.kl_div(F.log_softmax(z[0] / temp, 1), F.softmax(t[0] / temp, 1), reduction="batchmean")
            p, q = torch.sigmoid(z[1] / bt), torch.sigmoid(t[1] / bt)
            bkd = bt ** 2 * (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).sum() / R
            loss = 0.1 * ce / n + 0.9 * kd + 0.2 * bce / m + 0.7 * bkd + 0.3 * dist / d + 0.6 * fn(z[2], t[2]).sum() / R
        else:
            loss = ce / n + bce / m + dist / d
        losses.append(loss.item())
        for p, g in zip(w, torch.autograd.grad(loss, w)):
            p.data -= LR * g
    return losses, w


def numbers(values):
    text = ", ".join("NAN" if v != v else f"{v:.9g}" for v in values)
    out, line = [], "   "
    for word in text.split(" "):
        if len(line) + len(word) > 116:
            out.append(line)
            line = "   "
        line += " " + word
    return "\n".join(out + [line])


def flat(list_of):
    return [v for p in list_of for v in p.reshape(-1).tolist()]


print(f"/* Made by record_heads.py with PyTorch {torch.__version__}; do not edit. */")
print("#include <math.h>")
print(f"enum {{ HEAD_ROWS = {R}, HEAD_EPOCHS = {EPOCHS} }};")
for name, values in [("x", flat([x])), ("size", flat([size])), ("start", flat(start)), ("teacher", flat(teacher))]:
    print(f"static const float head_{name}[{len(values)}] = {{\n{numbers(values)}}};")
for name, values in [("kind", flat([kind])), ("tags", flat([tags]))]:
    print(f"static const int8_t head_{name}[{len(values)}] = {{\n{numbers(values)}}};")
count = len(flat(start))
print(f"typedef struct {{ int soft, labelled; const char *real; double loss[HEAD_EPOCHS], weights[{count}]; }} head_run;")
print("static const head_run head_runs[] = {")
for soft in (0, 1):
    for labelled in (0, 1):
        for real in ("mse", "huber", "quantile"):
            losses, w = run(soft, labelled, real)
            print(f'    {{{soft}, {labelled}, "{real}",\n     {{{", ".join(f"{v:.12g}" for v in losses)}}},\n     {{\n{numbers(flat(w))}}}}},')
print("};")
