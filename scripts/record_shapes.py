#!/usr/bin/env python3
"""Record which shapes torch's operators give for random arguments, on the CPU: what `shapes` is held against.

    record_shapes.py OUT.json [--cases 12] [--seed 7]

Each case is [operator, positional arguments, shapes that come out]; a tensor among the arguments is {"t": shape}, with
{"d": dtype} where it is not float32, a list of tensors is a list. Where torch refuses, the last item is null.
"""
import argparse
import json
import random
import sys
import warnings
from pathlib import Path

import torch

warnings.filterwarnings("ignore")
R = random.Random()


class T:
    """A tensor to be."""

    def __init__(self, *shape, dtype="float32"):
        self.shape, self.dtype = list(shape), dtype


def n(low, high):
    return R.randint(low, high)


def maybe(value, chance=0.5):
    return value if R.random() < chance else None


def shape(rank, low=1, high=6):
    return [n(low, high) for _ in range(rank)]


def some(low=0, high=4):
    return T(*shape(n(low, high)))


def spatial(dims, low=1, high=14):
    return [n(low, high) for _ in range(dims)]


def per_axis(dims, low, high):
    return n(low, high) if R.random() < 0.3 and dims else [n(low, high) for _ in range(dims)]


def listed(dims, low, high):
    return [n(low, high) for _ in range(dims)]


def conv(dims, transposed=False):
    groups = R.choice([1, 1, 1, 2, 3])
    per_in, per_out = n(1, 3), n(1, 3)
    takes, gives = per_in * groups, per_out * groups
    channels = takes if R.random() < 0.9 else takes + 1
    kernel = listed(dims, 1, 4)
    x = T(*([n(1, 3)] if R.random() < 0.85 else []), channels, *spatial(dims))
    weight = T(takes, per_out, *kernel) if transposed else T(gives, per_in, *kernel)
    bias = maybe(T(gives))
    stride, padding, dilation = listed(dims, 1, 3), listed(dims, 0, 3), listed(dims, 1, 2)
    if transposed:
        return [x, weight, bias, stride, padding, listed(dims, 0, 2), groups, dilation]
    return [x, weight, bias, stride, R.choice([padding, padding, "same", "valid"]), dilation, groups]


def full_conv(dims):
    transposed = R.random() < 0.4
    if transposed:
        x, weight, bias, stride, padding, extra, groups, dilation = conv(dims, True)
        return [x, weight, bias, stride, padding, dilation, True, extra, groups]
    x, weight, bias, stride, padding, dilation, groups = conv(dims)
    padding = listed(dims, 0, 2) if isinstance(padding, str) else padding
    return [T(*([2] + x.shape)[-dims - 2:]), weight, bias, stride, padding, dilation, False, [0] * dims, groups]


def images(dims, low=1, high=12):
    return T(*([n(1, 3)] if R.random() < 0.8 else []), n(1, 4), *spatial(dims, low, high))


def max_pool(dims):
    kernel = listed(dims, 1, 4)
    return [images(dims), kernel, R.choice([[], listed(dims, 1, 3)]), listed(dims, 0, 2), listed(dims, 1, 2), R.random() < 0.5]


def avg_pool(dims):
    return [images(dims), listed(dims, 1, 4), R.choice([[], listed(dims, 1, 3)]), listed(dims, 0, 2), R.random() < 0.5]


def norm(axes):
    x = some(2, 5)
    c = x.shape[1] if R.random() < 0.9 else x.shape[1] + 1
    return [x, maybe(T(c)), maybe(T(c)), T(c), T(c), False, 0.1, 1e-5, False]


def group_norm():
    groups = n(1, 3)
    x = T(n(1, 3), groups * n(1, 3) + (R.random() < 0.1), *shape(n(0, 3)))
    return [x, groups, maybe(T(x.shape[1])), None, 1e-5]


def layer_norm():
    x = some(1, 4)
    normalized = x.shape[-n(1, len(x.shape)):]
    if R.random() < 0.15:
        normalized = [normalized[0] + 1, *normalized[1:]]
    return [x, normalized, maybe(T(*normalized)), None, 1e-5]


def broadcastable():
    a = shape(n(0, 4))
    b = [size if R.random() < 0.6 else 1 for size in a[n(0, len(a)):]]
    if R.random() < 0.15 and b:
        b[-1] += 1
    pair = [T(*a), T(*b)]
    return pair if R.random() < 0.5 else pair[::-1]


def linear():
    takes = n(1, 6)
    return [T(*shape(n(0, 3)), takes + (R.random() < 0.15)), T(n(1, 6), takes), None]


def matmul():
    k = n(1, 5)
    batch = shape(n(0, 2))
    other = [size if R.random() < 0.7 else 1 for size in batch[n(0, len(batch)):]]
    a = R.choice([[k], [*batch, n(1, 4), k]])
    b = R.choice([[k + (R.random() < 0.1)], [*other, k + (R.random() < 0.1), n(1, 4)]])
    return [T(*a), T(*b)]


def view():
    x = some(1, 4)
    total = 1
    for size in x.shape:
        total *= size
    sizes = []
    left = total
    for _ in range(n(0, 3)):
        divisors = [d for d in range(1, left + 1) if left % d == 0]
        sizes.append(R.choice(divisors))
        left //= sizes[-1]
    sizes.append(R.choice([left, -1, left + 1 if R.random() < 0.3 else left]))
    R.shuffle(sizes)
    return [x, sizes]


def axes_of(rank, wrong=0.1):
    return n(-rank, rank - 1) if R.random() > wrong and rank else rank + 1


def one_axis(low=1, high=4):
    x = some(low, high)
    return [x, axes_of(len(x.shape))]


def reduce():
    x = some(0, 4)
    rank = len(x.shape)
    axes = R.sample(range(-rank, 0), n(1, rank)) if rank else []
    return [x, axes, R.random() < 0.5]


def cat():
    x = some(1, 4)
    at = n(0, len(x.shape) - 1)
    parts = []
    for _ in range(n(1, 4)):
        part = list(x.shape)
        part[at] = n(0, 5)
        if R.random() < 0.05:
            part[at - 1] += 1
        parts.append(T(*part))
    return [parts, at if R.random() < 0.5 else at - len(x.shape)]


def split():
    x, at = one_axis()
    size = x.shape[at] if -len(x.shape) <= at < len(x.shape) else 3
    if R.random() < 0.5:
        return [x, n(1, size + 1), at]
    cut = n(0, size)
    return [x, [cut, size - cut + (R.random() < 0.1)], at]


def slices():
    x, at = one_axis()
    return [x, at, maybe(n(-8, 8)), maybe(n(-8, 8)), n(1, 3)]


def pad(limit):
    x = images(2, 2, 6)
    return [x, listed(4, 0, limit)]


def constant_pad():
    x = some(1, 4)
    return [x, listed(2 * n(1, len(x.shape)), -1, 3), 0]


def recurrent(gates, lstm=False):
    takes, hidden, layers, both, batch_first = n(1, 4), n(1, 4), n(1, 2), R.random() < 0.5, R.random() < 0.5
    directions = 1 + both
    batch, length = n(1, 3), n(1, 4)
    weights = []
    for layer in range(layers):
        for _ in range(directions):
            size = takes if layer == 0 else hidden * directions
            weights += [T(gates * hidden, size), T(gates * hidden, hidden), T(gates * hidden), T(gates * hidden)]
    x = T(*((batch, length) if batch_first else (length, batch)), takes + (not lstm and R.random() < 0.1))  # oneDNN does not look; nn.LSTM does
    state = T(layers * directions, batch, hidden)
    return [x, [state, state] if lstm else state, weights, True, layers, 0.0, False, both, batch_first]


def attention():
    lead = shape(n(0, 2))
    size, keys = n(1, 5), n(1, 5)
    return [T(*lead, n(1, 5), size), T(*lead, keys, size + (R.random() < 0.1)), T(*lead, keys, n(1, 5))]


def einsum():
    return R.choice([
        ["bij,bjk->bik", [T(2, 3, 4), T(2, 4, n(4, 5))]],
        ["...ij,...jk->...ik", [T(2, 3, 4), T(1, 4, 5)]],
        ["ij,jk", [T(n(1, 4), 3), T(3, n(1, 4))]],
        ["bhid,bhjd->bhij", [T(1, 2, n(1, 4), 4), T(1, 2, n(1, 4), 4)]],
        ["ii->i", [T(4, 4)]],
        ["nchw->nhwc", [T(*shape(4))]],
    ])


def unfold_images():
    return [images(2), listed(2, 1, 3), listed(2, 1, 2), listed(2, 0, 1), listed(2, 1, 2)]


def fold():
    x, kernel, dilation, padding, stride = unfold_images()
    x = T(*([2] + x.shape)[-4:])
    try:
        columns = torch.ops.aten.im2col(torch.empty(x.shape, device="meta"), kernel, dilation, padding, stride)
    except Exception:
        columns = torch.empty(2, 4, 3)
    rows = list(columns.shape)
    rows[-1] += R.random() < 0.1
    return [T(*rows), x.shape[-2:], kernel, dilation, padding, stride]


def upsample(dims, aligned):
    x = T(n(1, 2), n(1, 3), *spatial(dims, 1, 6))
    size, factors = (listed(dims, 1, 8), None) if R.random() < 0.5 else (None, [R.choice([0.5, 1.5, 2.0, 3.0])] * dims)
    return [x, size, False, factors] if aligned else [x, size, factors]


def index():
    x = some(1, 4)
    places = [maybe(T(*shape(n(1, 2), 2, 2), dtype="int64"), 0.6) for _ in range(n(1, len(x.shape)))]
    return [x, places if any(places) else [T(2, dtype="int64")]]


FAMILIES = {}


def family(names, make):
    for name in names.split():
        FAMILIES[name] = make


for d in (1, 2, 3):
    family(f"conv{d}d", lambda d=d: conv(d))
    family(f"conv_transpose{d}d", lambda d=d: conv(d, True))
    family(f"avg_pool{d}d", lambda d=d: avg_pool(d))
    family(f"adaptive_avg_pool{d}d adaptive_max_pool{d}d", lambda d=d: [images(d), listed(d, 1, 5)])
    family(f"upsample_nearest{d}d", lambda d=d: upsample(d, False))
family("max_pool1d", lambda: max_pool(1))
family("max_pool2d max_pool2d_with_indices", lambda: max_pool(2))
family("max_pool3d max_pool3d_with_indices", lambda: max_pool(3))
family("convolution", lambda: full_conv(2))
family("upsample_bilinear2d upsample_bicubic2d", lambda: upsample(2, True))
family("im2col", unfold_images)
family("col2im", fold)
family("constant_pad_nd", constant_pad)
family("reflection_pad2d replication_pad2d", lambda: pad(6))
family("pixel_shuffle", lambda: [T(*shape(n(0, 2)), n(1, 2) * 4 + (R.random() < 0.1), n(1, 4), n(1, 4)), 2])
family("pixel_unshuffle", lambda: [T(*shape(n(0, 2)), n(1, 3), 2 * n(1, 3) + (R.random() < 0.1), 4), 2])
family("channel_shuffle", lambda: [T(2, n(1, 3) * 2 + (R.random() < 0.1), 3, 3), 2])
family("batch_norm", lambda: norm(0))
family("group_norm", group_norm)
family("layer_norm", layer_norm)
family("relu relu6 sigmoid tanh gelu silu hardswish hardsigmoid hardtanh leaky_relu softplus elu mish neg exp sqrt abs "
       "contiguous clone detach zeros_like", lambda: [some()])
family("dropout feature_dropout alpha_dropout", lambda: [some(2, 4), 0.5, False])
family("prelu", lambda: (lambda x: [x, T(R.choice([1, x.shape[1], x.shape[1] + 1]))])(some(2, 4)))
family("softmax log_softmax cumsum argsort", one_axis)
family("sort", one_axis)
family("glu", one_axis)
family("add sub mul div maximum eq lt pow", broadcastable)
family("where", lambda: [T(*(shape := broadcastable())[0].shape, dtype="bool"), *shape])
family("masked_fill", lambda: (lambda x: [x, T(*x.shape[n(0, len(x.shape)):], dtype="bool"), 0.0])(some(1, 4)))
family("flatten", lambda: (lambda x: [x, axes_of(max(len(x.shape), 1)), axes_of(max(len(x.shape), 1))])(some()))
family("unflatten", lambda: [T(3, n(2, 4) * 2, 2), 1, R.choice([[2, -1], [-1, 2], [2, 2]])])
family("view reshape", view)
family("permute", lambda: (lambda x: [x, R.sample(range(len(x.shape)), len(x.shape))])(some(1, 4)))
family("transpose", lambda: (lambda x: [x, axes_of(len(x.shape)), axes_of(len(x.shape))])(some(1, 4)))
family("t", lambda: [some(0, 3)])
family("movedim", lambda: (lambda x: [x, [0], [-1]])(some(1, 4)))
family("squeeze", lambda: (lambda x: [x] if R.random() < 0.4 else [x, axes_of(len(x.shape))])(T(*shape(n(1, 4), 1, 2))))
family("unsqueeze", lambda: (lambda x: [x, axes_of(len(x.shape) + 1)])(some()))
family("cat", cat)
family("stack", lambda: (lambda x: [[x] * n(1, 3), axes_of(len(x.shape) + 1)])(some()))
family("chunk", lambda: [*(lambda a: [a[0], n(1, 5), a[1]])(one_axis())])
family("split", split)
family("tensor_split", lambda: [*(lambda a: [a[0], n(1, 5), a[1]])(one_axis())])
family("unbind", one_axis)
family("select", lambda: [*one_axis(), n(-4, 4)])
family("slice", slices)
family("narrow", lambda: [*one_axis(), n(0, 3), n(0, 4)])
family("expand", lambda: (lambda x: [x, [*shape(n(0, 2)), *(R.choice([s, -1, s if s > 1 else 4]) for s in x.shape)]])(T(*shape(n(0, 3), 1, 3))))
family("repeat", lambda: (lambda x: [x, shape(len(x.shape) + n(-1, 1) if x.shape else 1, 1, 3)])(some(0, 3)))
family("tile", lambda: [some(0, 3), shape(n(0, 4), 1, 3)])
family("repeat_interleave", lambda: [*(lambda a: [a[0], n(1, 3), a[1]])(one_axis())])
family("unfold", lambda: [*one_axis(), n(1, 4), n(1, 3)])
family("index", index)
family("index_select", lambda: [*one_axis(), T(n(1, 4), dtype="int64")])
family("gather", lambda: (lambda x: [x, n(0, len(x.shape) - 1), T(*[n(1, s) for s in x.shape], dtype="int64")])(some(1, 3)))
family("diagonal", lambda: (lambda x: [x, n(-3, 3), 0, 1])(some(2, 4)))
family("sum mean amax amin logsumexp var std", reduce)
family("max min", lambda: [*one_axis(), R.random() < 0.5])
family("argmax argmin", lambda: [*one_axis(), R.random() < 0.5])
family("topk", lambda: [*(lambda a: [a[0], n(1, 4), a[1]])(one_axis())])
family("linear", linear)
family("bilinear", lambda: (lambda lead: [T(*lead, 3), T(*lead, 4), T(n(1, 5), 3, 4 + (R.random() < 0.1)), None])(shape(n(1, 2))))
family("matmul", matmul)
family("mm", lambda: (lambda k: [T(n(1, 4), k), T(k + (R.random() < 0.2), n(1, 4))])(n(1, 4)))
family("bmm", lambda: (lambda k: [T(2, n(1, 4), k), T(2 + (R.random() < 0.1), k + (R.random() < 0.1), n(1, 4))])(n(1, 4)))
family("addmm", lambda: (lambda k, m: [T(m), T(n(1, 4), k), T(k + (R.random() < 0.1), m)])(n(1, 4), n(1, 4)))
family("baddbmm", lambda: (lambda k, m: [T(2, 1, m), T(2, n(1, 4), k), T(2, k, m)])(n(1, 4), n(1, 4)))
family("scaled_dot_product_attention", attention)
family("einsum", einsum)
family("embedding", lambda: [T(n(1, 9), n(1, 5)), T(*shape(n(0, 3)), dtype="int64")])
family("cdist", lambda: (lambda k: [T(2, n(1, 4), k), T(2, n(1, 4), k + (R.random() < 0.2))])(n(1, 4)))
family("cosine_similarity", lambda: (lambda x: [x, x, axes_of(len(x.shape))])(some(1, 3)))
family("lstm", lambda: recurrent(4, True))
family("gru", lambda: recurrent(3))
family("rnn_tanh", lambda: recurrent(1))
family("zeros ones", lambda: [shape(n(0, 3), 0, 4)])
family("new_zeros", lambda: [some(), shape(n(0, 3), 0, 4)])
family("arange", lambda: [[n(0, 9)], [n(-3, 3), n(3, 9)], [0, n(1, 9), n(1, 3)]][n(0, 2)])


def real(argument):
    if isinstance(argument, T):
        return torch.zeros(argument.shape, dtype=getattr(torch, argument.dtype))
    if isinstance(argument, list):
        return [real(item) for item in argument]
    return argument


def plain(argument):
    if isinstance(argument, T):
        return {"t": argument.shape} if argument.dtype == "float32" else {"t": argument.shape, "d": argument.dtype}
    if isinstance(argument, list):
        return [plain(item) for item in argument]
    return argument


def shapes(result):
    if isinstance(result, torch.Tensor):
        return [list(result.shape)]
    return [shape for item in result for shape in shapes(item)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    lines = []
    for name, make in FAMILIES.items():
        R.seed(f"{args.seed} {name}")
        for _ in range(args.cases):
            arguments = make()
            function = getattr(torch.ops.aten, name)
            if name.startswith("conv") and len(arguments) > 4 and isinstance(arguments[4], str):
                function = getattr(torch, name)
            if name in ("lstm", "gru", "rnn_tanh", "einsum", "arange", "zeros", "ones"):
                function = getattr(torch, name)
            kwargs = {}
            try:
                found = shapes(function(*map(real, arguments), **kwargs))
            except Exception as error:
                if isinstance(error, NotImplementedError) or "schema" in str(error) or "Expected a value of type" in str(error):
                    print(f"{name}: {str(error)[:200]}", file=sys.stderr)
                    continue
                found = None
            lines.append(json.dumps([name, [plain(argument) for argument in arguments], found], separators=(",", ":")))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text('{"torch":"%s","cases":[\n%s\n]}\n' % (torch.__version__, ",\n".join(lines)))
    print(f"{len(lines)} cases, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
