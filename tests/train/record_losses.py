"""Records reference values and gradients of the distillation losses, computed by PyTorch in double from the papers'
formulas, as a C header: python3 record_losses.py > loss_reference.h"""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
Z = torch.tensor([[1.0, -0.5, 0.3, 2.0], [0.2, 0.1, -1.5, 0.7], [-2.0, 3.0, 0.5, 0.4]])
T = torch.tensor([[0.5, -1.0, 0.9, 3.0], [1.2, -0.3, -0.5, 0.1], [-1.0, 2.5, 1.5, -0.6]])
Y = torch.tensor([3, 0, 1])


def kd(z, temp=4.0):
    return temp ** 2 * F.kl_div(F.log_softmax(z / temp, 1), F.softmax(T / temp, 1), reduction="batchmean")


def dkd(z, temp=4.0, alpha=1.0, beta=8.0):
    onehot = F.one_hot(Y, 4).bool()
    p, q = F.softmax(z / temp, 1), F.softmax(T / temp, 1)
    two = lambda a: torch.stack([a[onehot], a[~onehot].view(3, 3).sum(1)], 1)
    tckd = F.kl_div(two(p).log(), two(q), reduction="batchmean")
    rest = lambda a: a[~onehot].view(3, 3)
    nckd = F.kl_div(F.log_softmax(rest(z) / temp, 1), F.softmax(rest(T) / temp, 1), reduction="batchmean")
    return temp ** 2 * (alpha * tckd + beta * nckd)


def pearson(a, b):
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


def dist(z, temp=1.0, beta=1.0, gamma=1.0):
    p, q = F.softmax(z / temp, 1), F.softmax(T / temp, 1)
    return temp ** 2 * (beta * (1 - pearson(p, q)).mean() + gamma * (1 - pearson(p.t(), q.t())).mean())


def zscore(z, temp=2.0):
    norm = lambda a: (a - a.mean(1, keepdim=True)) / (a.std(1, keepdim=True) + 1e-7)
    return temp ** 2 * F.kl_div(F.log_softmax(norm(z) / temp, 1), F.softmax(norm(T) / temp, 1), reduction="batchmean")


def mse(z):
    return ((z - T) ** 2).sum(1).mean()


def ce(z, smoothing=0.0, weight=None):
    return F.cross_entropy(z, Y, label_smoothing=smoothing, weight=weight)


W = torch.tensor([0.5, 2.0, 0.25, 3.0])


LABELS = torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 0], [1, 1, 1, 0]])
VALUES = torch.tensor([[0.5, -0.75, 2.0, 0.25], [3.0, 0.2, -1.0, 0.5], [-2.5, 1.0, 0.6, 4.0]])
MASK = torch.tensor([[1.0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])


def bce(z, y=LABELS, mask=None):
    return F.binary_cross_entropy_with_logits(z, y, weight=mask, reduction="sum") / 3


def bkd(z, temp=2.0):
    q, p = torch.distributions.Bernoulli(logits=T / temp), torch.distributions.Bernoulli(logits=z / temp)
    return temp ** 2 * torch.distributions.kl_divergence(q, p).sum(1).mean()


def pinball(d, level):
    return torch.maximum(-level * d, (1 - level) * d)


real = {"mse": lambda z, y: (z - y) ** 2, "huber": lambda z, y: F.huber_loss(z, y, reduction="none", delta=0.75),
        "quantile": lambda z, y: pinball(z - y, 0.9)}
masked = lambda f: lambda z: (f(z, VALUES) * MASK).sum() / 3
elements = [("bce", lambda z: bce(z)), ("bce_masked", lambda z: bce(z, mask=MASK)), ("bkd", bkd)]
for name, fn in real.items():
    elements += [(name, lambda z, fn=fn: fn(z, VALUES).sum() / 3), (name + "_masked", masked(fn)),
                 (name + "_soft", lambda z, fn=fn: fn(z, T).sum() / 3)]
    if name == "quantile":
        from sklearn.metrics import mean_pinball_loss
        want = 4 * mean_pinball_loss(VALUES.numpy(), Z.numpy(), alpha=0.9)
        assert abs(fn(Z, VALUES).sum().item() / 3 - want) < 1e-12


def record(cases):
    for name, fn in cases:
        z = Z.clone().requires_grad_()
        loss = fn(z)
        loss.backward()
        print('    {"%s", %.17g, {%s}},' % (name, loss.item(), rows(z.grad)))
    print("};")


print("/* Made by record_losses.py with PyTorch %s; do not edit. */" % torch.__version__)
rows = lambda a: ", ".join("%.17g" % v for v in a.flatten().tolist())
print("static const float reference_z[12] = {%s};" % rows(Z))
print("static const float reference_t[12] = {%s};" % rows(T))
print("static const int32_t reference_y[3] = {3, 0, 1};")
print("static const float reference_w[4] = {%s};" % rows(W))
print("static const struct { const char *name; double loss, grad[12]; } reference[] = {")
record([("ce", ce), ("ce_smooth", lambda z: ce(z, 0.1)), ("kd", kd), ("dkd", dkd), ("dist", dist), ("zscore", zscore),
        ("mse", mse), ("wce", lambda z: ce(z, weight=W)), ("wce_smooth", lambda z: ce(z, 0.1, W))])
print("static const uint8_t reference_labels[12] = {%s};" % ", ".join("%d" % v for v in LABELS.flatten().tolist()))
print("static const float reference_values[12] = {%s};" % rows(VALUES))
print("static const uint8_t reference_mask[12] = {%s};" % ", ".join("%d" % v for v in MASK.flatten().tolist()))
print("static const struct { const char *name; double loss, grad[12]; } elements[] = {")
record(elements)

# Focal distillation (Yan et al. 2021): the teacher is right about rows 0 and 2, not about row 1.
FOCAL_Y = torch.tensor([3, 2, 1])


def focal(z, distance, alpha, beta, hard=0.3, soft=0.7):
    right = (T.argmax(1) == FOCAL_Y).double()
    return hard * F.cross_entropy(z, FOCAL_Y) + soft * ((alpha + beta * right) * distance(z)).mean()


def kl(z, q, temp):
    return temp ** 2 * F.kl_div(F.log_softmax(z / temp, 1), F.softmax(q / temp, 1), reduction="none").sum(1)


norm = lambda a: (a - a.mean(1, keepdim=True)) / (a.std(1, keepdim=True) + 1e-7)
assert (T.argmax(1) == FOCAL_Y).tolist() == [True, False, True]
print("static const int32_t focal_y[3] = {3, 2, 1};")
print("static const struct { const char *name; double loss, grad[12]; } focal[] = {")
record([("kd", lambda z: focal(z, lambda z: kl(z, T, 4.0), 1, 5)),
        ("mse", lambda z: focal(z, lambda z: ((z - T) ** 2).sum(1), 0.5, 2)),
        ("zscore", lambda z: focal(z, lambda z: kl(norm(z), norm(T), 2.0), 0, 1))])
