"""Records whole small training runs, made by PyTorch in double, as a C header:
python3 record_trainer.py > trainer_reference.h

Only the order of rows (engine/rng.h: Philox4x32-10, a Feistel network with cycle walking) and the learning rate's
schedule are written out here; gradients, optimizers, clipping, batch norm and losses are PyTorch's own."""
import fnmatch
import json
import math
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
ROWS, BATCH, EPOCHS, SEED, IN, MID, K = 14, 4, 3, 5, 5, 6, 3
STEPS = (ROWS + BATCH - 1) // BATCH
LR, DECAY = 0.1, 0.02


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def permute(i, n, seed, purpose, epoch):
    half = 1
    while half < 31 and (1 << 2 * half) < n:
        half += 1
    mask, key = (1 << half) - 1, (seed & 0xFFFFFFFF, (seed >> 32) ^ (purpose * 0x9E3779B1 & 0xFFFFFFFF))
    while True:
        left, right = (i >> half) & mask, i & mask
        for turn in range(4):
            left, right = right, (left ^ philox((epoch, 0, right, turn), key)[0]) & mask
        i = left << half | right
        if i < n:
            return i


SHUFFLE = 2
order = [[permute(i, ROWS, SEED, SHUFFLE, e) for i in range(ROWS)] for e in range(EPOCHS)]
assert all(sorted(o) == list(range(ROWS)) for o in order)

torch.manual_seed(1)
as_float = lambda t: t.float().double()                   # what the program reads are floats
X = as_float(torch.randn(ROWS, IN))
Y = torch.tensor([0, 1, 2, 2, 1, 0, 1, 0, 2, 1, 0, 2, 1, 0])
FEW = torch.tensor([0, -1, 2, -1, -1, 0, 1, -1, -1, 1, -1, 2, -1, -1])   # labels of the runs with a teacher
WARMUP = 1


def net(scale):
    first, last = torch.nn.Linear(IN, MID, bias=False), torch.nn.Linear(MID, K)
    m = torch.nn.Sequential(first, torch.nn.BatchNorm1d(MID), torch.nn.ReLU(), last)
    with torch.no_grad():
        for p in m.parameters():
            p.copy_(as_float(torch.randn_like(p) * scale))
        m[1].running_var.copy_(as_float(torch.rand(MID) + 0.5))
        m[1].running_mean.copy_(as_float(torch.randn(MID) * 0.1))
    return m


student, teacher = net(0.5), net(1.0).eval()


def lr_at(step):
    warm, total = WARMUP * STEPS, STEPS * EPOCHS
    if step < warm:
        return LR * (step + 1) / warm
    return LR * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


def kd(z, t, temp=4.0):
    return temp ** 2 * F.kl_div(F.log_softmax(z / temp, 1), F.softmax(t / temp, 1), reduction="batchmean")


def dkd(z, t, y, temp=4.0, alpha=1.0, beta=8.0):
    y = torch.where(y < 0, t.argmax(1), y)
    hot = F.one_hot(y, K).bool()
    p, q = F.softmax(z / temp, 1), F.softmax(t / temp, 1)
    two = lambda a: torch.stack([a[hot], a[~hot].view(-1, K - 1).sum(1)], 1)
    rest = lambda a: a[~hot].view(-1, K - 1)
    tckd = F.kl_div(two(p).log(), two(q), reduction="batchmean")
    nckd = F.kl_div(F.log_softmax(rest(z) / temp, 1), F.softmax(rest(t) / temp, 1), reduction="batchmean")
    return temp ** 2 * (alpha * tckd + beta * nckd)


def hard(z, y, mean):
    if mean == "labelled":
        return F.cross_entropy(z, y, ignore_index=-1) if (y >= 0).any() else z.sum() * 0
    return F.cross_entropy(z, y, ignore_index=-1, reduction="sum") / len(y)


# Weights that are trained otherwise, as train.fields tells it; here they are PyTorch's parameter groups.
FIELDS_OTHERWISE = [
    {"match": "dense4", "lr_scale": 0.1, "weight_decay": 0},
    {"match": "*.beta", "grad_scale": 0.25, "weight_decay": 0.3},
    {"match": "batch_norm2.gamma", "lr_scale": 2, "low": 0.1},
    {"match": "dense4.b*", "weight_decay": 0.1},
]
NAMES = ["dense1.weight", "batch_norm2.gamma", "batch_norm2.beta", "dense4.weight", "dense4.bias"]


def groups_of(m, fields):
    groups = []
    for name, p in zip(NAMES, m.parameters()):
        g = {"params": [p], "weight_decay": DECAY if p.dim() == 2 else 0.0, "scale": 1, "grad_scale": 1, "low": -math.inf}
        for f in fields:
            if fnmatch.fnmatchcase(name, f["match"]) or fnmatch.fnmatchcase(name.split(".")[0], f["match"]):
                g.update({{"lr_scale": "scale"}.get(k, k): v for k, v in f.items() if k != "match"})
        groups.append(g)
    return groups


def run(kind="ce", optimizer="sgd", accumulate=1, ema=0.0, clip=0.0, mean="batch", fields=[]):
    m = net(0)
    m.load_state_dict(student.state_dict())
    groups = groups_of(m, fields)
    if optimizer == "sgd":
        opt = torch.optim.SGD(groups, lr=LR, momentum=0.9, nesterov=True)
    else:
        opt = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8)
    average = {k: v.clone() for k, v in m.state_dict().items()}
    updates, losses = 0, []
    for epoch in range(EPOCHS):
        total = 0.0
        m.train()
        opt.zero_grad()
        for step in range(STEPS):
            rows = order[epoch][step * BATCH:(step + 1) * BATCH]
            z = m(X[rows])
            if kind == "ce":
                loss = F.cross_entropy(z, Y[rows])
            else:
                with torch.no_grad():
                    t = teacher(X[rows])
                y = FEW[rows]
                weight = (0.1, 0.9) if kind == "kd" else (1.0, min(1.0, (epoch + 1) / 2))
                loss = weight[0] * hard(z, y, mean) + weight[1] * (kd(z, t) if kind == "kd" else dkd(z, t, y))
            total += loss.item()
            loss.backward()
            at = step % accumulate
            if at != accumulate - 1 and step != STEPS - 1:
                continue
            for p in m.parameters():
                p.grad /= at + 1
            for g in opt.param_groups:
                g["params"][0].grad *= g["grad_scale"]
            if clip:
                torch.nn.utils.clip_grad_norm_(m.parameters(), clip)
            for g in opt.param_groups:
                g["lr"] = lr_at(epoch * STEPS + step) * g["scale"]
            opt.step()
            with torch.no_grad():
                for g in opt.param_groups:
                    g["params"][0].clamp_(min=g["low"])
            opt.zero_grad()
            updates += 1
            d = min(ema, (1 + updates) / (10 + updates))
            for k, v in m.state_dict().items():
                average[k] = average[k] + (1 - d) * (v - average[k]) if v.is_floating_point() else v
        losses.append(total / STEPS)
    return losses, average if ema else m.state_dict()


def run_peers():
    """Two students, each the other's teacher: the answers of both as they would be deployed, then a step of both."""
    pair = [net(0), net(0)]
    pair[0].load_state_dict(student.state_dict())
    pair[1].load_state_dict(teacher.state_dict())
    opts = [torch.optim.SGD(groups_of(m, []), lr=LR, momentum=0.9, nesterov=True) for m in pair]
    losses = [[], []]
    for epoch in range(EPOCHS):
        total = [0.0, 0.0]
        for step in range(STEPS):
            rows = order[epoch][step * BATCH:(step + 1) * BATCH]
            with torch.no_grad():
                answers = [m.eval()(X[rows]) for m in pair]
            for i, m in enumerate(pair):
                z = m.train()(X[rows])
                loss = hard(z, FEW[rows], "batch") + kd(z, answers[1 - i], 1.0)
                total[i] += loss.item()
                opts[i].zero_grad()
                loss.backward()
                for g in opts[i].param_groups:
                    g["lr"] = lr_at(epoch * STEPS + step)
                opts[i].step()
        for i in range(2):
            losses[i].append(total[i] / STEPS)
    return losses, [m.state_dict() for m in pair]


numbers = lambda a: ", ".join("%.9g" % v for v in torch.as_tensor(a).flatten().tolist())
FIELDS = ["0.weight", "1.weight", "1.bias", "3.weight", "3.bias", "1.running_mean", "1.running_var"]
flat = lambda s: torch.cat([s[f].flatten() for f in FIELDS])


def array(name, values, per=8):
    v = torch.as_tensor(values).flatten().tolist()
    print("static const float %s[%d] = {" % (name, len(v)))
    for i in range(0, len(v), per):
        print("    " + ", ".join("%.9g" % x for x in v[i:i + per]) + ",")
    print("};")


print("/* Made by record_trainer.py with PyTorch %s; do not edit. */" % torch.__version__)
print("enum { REF_ROWS = %d, REF_BATCH = %d, REF_EPOCHS = %d, REF_SEED = %d, REF_IN = %d, REF_MID = %d, REF_K = %d };"
      % (ROWS, BATCH, EPOCHS, SEED, IN, MID, K))
array("ref_x", X)
print("static const int32_t ref_y[REF_ROWS] = {%s};" % ", ".join(str(v) for v in Y.tolist()))
print("static const int32_t ref_few[REF_ROWS] = {%s};" % ", ".join(str(v) for v in FEW.tolist()))
print("/* Fields in the order: first layer's weight (out, in), batch norm's gamma and beta, last layer's weight and\n"
      " * bias, running mean and variance. */")
array("ref_student", flat(student.state_dict()))
array("ref_teacher", flat(teacher.state_dict()))
COUNT = len(flat(student.state_dict()))
print("#define REF_FIELDS \\")
for i, f in enumerate(FIELDS_OTHERWISE):
    last = i == len(FIELDS_OTHERWISE) - 1
    print('    "%s%s%s"%s' % ("[" if i == 0 else " ", json.dumps(f).replace('"', "'"), "]" if last else ",",
                              "" if last else " \\"))
print("typedef struct {\n    const char *kind, *optimizer;\n    int accumulate;\n    double ema, clip;\n    const char *mean, *fields;\n"
      "    double loss[REF_EPOCHS], weights[%d];\n} ref_run;" % COUNT)
print("static const ref_run ref_runs[] = {")
cases = [("ce", o, a, e, c, "batch") for o in ("sgd", "adamw") for a in (1, 3) for e in (0, 0.9) for c in (0, 0.3)]
cases = [c + ([],) for c in cases]
cases += [("ce", o, a, e, c, "batch", FIELDS_OTHERWISE)
          for o, a, e, c in (("sgd", 1, 0, 0), ("sgd", 3, 0.9, 0.3), ("adamw", 1, 0.9, 0.3))]
cases += [(k, "sgd", a, 0, 0, m, []) for k in ("kd", "dkd") for a in (1, 3) for m in ("batch", "labelled")]
for case in cases:
    losses, weights = run(*case)
    print('    {"%s", "%s", %d, %g, %g, "%s", %s,\n     {%s},\n     {'
          % (case[:-1] + ("REF_FIELDS" if case[-1] else '""', numbers(losses))))
    w = flat(weights).tolist()
    for i in range(0, len(w), 8):
        print("      " + ", ".join("%.9g" % v for v in w[i:i + 8]) + ",")
    print("     }},")
print("};")
losses, states = run_peers()
print("/* Of two students, each the other's teacher: by epoch, and at the end. */")
print("static const double peer_loss[2][REF_EPOCHS] = {%s};" % ", ".join("{%s}" % numbers(l) for l in losses))
print("static const double peer_weights[2][%d] = {" % COUNT)
for state in states:
    w = flat(state).tolist()
    print("    {")
    for i in range(0, len(w), 8):
        print("     " + ", ".join("%.9g" % v for v in w[i:i + 8]) + ",")
    print("    },")
print("};")
