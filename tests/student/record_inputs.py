"""Records answers and gradients of a model of two inputs, made by PyTorch in double, as a C header:
python3 record_inputs.py > inputs_reference.h

Weights and gradients stand as a model keeps them: (kh, kw, in, out) and (in, out)."""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(4)
ROWS, SIDE, CHANNELS, FLAT, MID, K = 7, 5, 2, 6, 4, 3
as_float = lambda t: t.float().double()                   # what the program reads are floats

left = as_float(torch.randn(ROWS, SIDE, SIDE, CHANNELS) * 3 + 1)
right = as_float(torch.randn(ROWS, FLAT) - 2)
target = as_float(torch.randn(ROWS, K))
MEAN, STD = [1.5, 0.5], [2.0, 4.0]                        # of left's channels
FLAT_MEAN, FLAT_STD = -2.0, 0.5                           # of right

shapes = {"conv.weight": (3, 3, CHANNELS, MID), "conv.bias": (MID,), "r.weight": (FLAT, MID), "r.bias": (MID,),
          "beside.weight": (FLAT, 2), "beside.bias": (2,), "out.weight": (MID + 2, K), "out.bias": (K,)}
p = {n: as_float(torch.randn(s) * 0.4).requires_grad_() for n, s in shapes.items()}

l = ((left - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
r = (right - FLAT_MEAN) / FLAT_STD
conv = F.relu(F.conv2d(l, p["conv.weight"].permute(3, 2, 0, 1), p["conv.bias"], padding=1)).mean((2, 3))
branch = torch.tanh(r @ p["r.weight"] + p["r.bias"])
beside = r @ p["beside.weight"] + p["beside.bias"]
z = torch.cat([conv + branch, beside], 1) @ p["out.weight"] + p["out.bias"]
loss = ((z - target) ** 2).sum(1).mean() / 2
loss.backward()


def array(name, values):
    v = torch.as_tensor(values).detach().flatten().tolist()
    print("static const float %s[%d] = {" % (name, len(v)))
    for i in range(0, len(v), 8):
        print("    " + ", ".join("%.9g" % x for x in v[i:i + 8]) + ",")
    print("};")


print("/* Made by record_inputs.py with PyTorch %s; do not edit. */" % torch.__version__)
print("enum { REF_ROWS = %d, REF_LEFT = %d, REF_RIGHT = %d, REF_K = %d };" % (ROWS, SIDE * SIDE * CHANNELS, FLAT, K))
print("static const double ref_loss = %.12g;" % loss.item())
array("ref_left", left)
array("ref_right", right)
array("ref_target", target)
array("ref_answer", z)
print("/* %s */" % ", ".join(p))
array("ref_weights", torch.cat([t.flatten() for t in p.values()]))
array("ref_grads", torch.cat([t.grad.flatten() for t in p.values()]))
