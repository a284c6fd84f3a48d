"""Random calls of the layers beside Conv2d, as plain data; see parity.layers for what a call is.

A call of theirs has a key `op`, the golden file's word, and one number per axis in `stride` and the like.
"""
from __future__ import annotations

import math
import random

import torch
from torch import nn

#: By the golden file's word.
MODULES = {"conv2d": nn.Conv2d, "conv1d": nn.Conv1d, "conv3d": nn.Conv3d, "conv_transpose2d": nn.ConvTranspose2d,
           "linear": nn.Linear}

#: Multiply-adds and elements that a random call has at most.
MOST_WORK, MOST_ELEMENTS = 40_000_000, 500_000


def random_sibling(op: str, seed: int, index: int, layout: str) -> dict:
    """The `index`-th random layer of this op and `seed`: always the same, whichever others are drawn."""
    from parity.layers import draw_specials

    draw = random.Random(f"{op}.{seed}.{index}")
    drawn = {"linear": _linear, "conv1d": lambda d: _convolution(d, 1), "conv3d": lambda d: _convolution(d, 3),
             "conv_transpose2d": _transposed}[op]
    while True:
        call = drawn(draw)
        if call is not None:
            break
    call.update(op=op, name=f"{op}.s{seed}.{index}", layout=layout, weight_layout=layout, stride_of_input=None, offset=0,
                seed=draw.randrange(1 << 30), special=draw_specials(draw))
    return call


def _linear(draw) -> dict | None:
    leading = draw.choice([[], [1], [draw.randint(1, 4)], [draw.randint(1, 17)], [draw.randint(1, 64)],
                           [draw.randint(1, 3), draw.randint(1, 20)], [1, draw.randint(1, 200)],
                           [draw.randint(1, 3), draw.randint(1, 5), draw.randint(1, 9)]])
    size = lambda: draw.choice([draw.randint(1, 20), draw.randint(1, 300), draw.randint(1, 1200), draw.randint(1, 5000),
                                64 * draw.randint(1, 32)])
    features, out = size(), draw.choice([size(), size(), 1, 10])
    batch = math.prod(leading)
    if batch * features * out > MOST_WORK or features * out > 3_000_000 or batch * max(features, out) > MOST_ELEMENTS:
        return None
    return dict(input=[*leading, features], weight=[out, features], bias=draw.random() < 0.7, unbatched=False, stride=[],
                padding=[], dilation=[], groups=1, padding_mode="zeros")


def _channels(draw):
    """(groups, input channels, output channels)"""
    kind = draw.random()
    if kind < 0.5:
        return 1, draw.randint(1, draw.choice([4, 20, 70, 160])), draw.randint(1, draw.choice([4, 20, 70, 160]))
    if kind < 0.65:  # whole blocks
        return 1, 8 * draw.randint(1, 16), 8 * draw.randint(1, 16)
    groups = draw.randint(2, draw.choice([4, 9]))
    if kind < 0.8:
        most = draw.choice([3, 24])
        return groups, groups * draw.randint(1, most), groups * draw.randint(1, most)
    if kind < 0.87:
        return groups, groups * 8 * draw.randint(1, 3), groups * 8 * draw.randint(1, 3)
    groups = draw.randint(2, draw.choice([9, 60]))
    return groups, groups, groups * draw.choice([1, 1, 1, 2, 3])


def _each(draw, axes: int, most: int) -> list[int]:
    """Alike on all axes, or not."""
    return [draw.randint(1, most)] * axes if draw.random() < 0.5 else [draw.randint(1, most) for _ in range(axes)]


def _sizes(draw, axes: int) -> list[int]:
    most = {1: [8, 40, 400], 2: [4, 12, 30], 3: [3, 7, 14]}[axes]
    return [draw.randint(1, draw.choice(most)) for _ in range(axes)]


def _convolution(draw, axes: int) -> dict | None:
    pointwise = draw.random() < 0.2
    kernel = [1] * axes if pointwise else _each(draw, axes, draw.choice({1: [3, 7, 15], 3: [3, 3, 4, 5]}[axes]))
    ones = [1] * axes
    stride = draw.choice([ones, ones, [2] * axes, _each(draw, axes, 4)])
    dilation = draw.choice([ones, ones, ones, [2] * axes, _each(draw, axes, 4)])
    groups, c_in, c_out = _channels(draw)
    if pointwise and draw.random() < 0.3:
        groups, c_in, c_out = 1, draw.randint(100, 800), draw.randint(1, 90)
    batch = draw.choice([1, 1, 1, 1, 2, 3, draw.randint(1, 17)])
    size = _sizes(draw, axes)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    mode = draw.choice(["zeros"] * 8 + ["reflect", "replicate", "circular"])
    word = draw.random()
    if word < 0.12:
        padding, stride = "same", ones
        sides = [e - 1 - (e - 1) // 2 for e in extent]
    elif word < 0.18:
        padding, sides = "valid", [0] * axes
    else:
        padding = sides = [draw.choice([0, e // 2, e // 2, draw.randint(0, e + 1)]) for e in extent]
    if padding != "same" and any(s + 2 * p < e for s, p, e in zip(size, sides, extent)):
        return None
    if mode != "zeros" and any(p >= s for s, p in zip(size, sides)):
        return None
    out = [(s + 2 * p - e) // t + 1 for s, p, e, t in zip(size, sides, extent, stride)]
    work = batch * c_out * (c_in // groups) * math.prod(kernel) * math.prod(out)
    if work > MOST_WORK or batch * max(c_in * math.prod(size), c_out * math.prod(out)) > MOST_ELEMENTS:
        return None
    return dict(input=[batch, c_in, *size], weight=[c_out, c_in // groups, *kernel], bias=draw.random() < 0.7,
                unbatched=batch == 1 and draw.random() < 0.1, stride=stride, padding=padding, dilation=dilation,
                groups=groups, padding_mode=mode)


def _transposed(draw) -> dict | None:
    kernel = draw.choice([[1, 1], [2, 2], [3, 3], [4, 4], _each(draw, 2, 3), _each(draw, 2, 6)])
    stride = draw.choice([[1, 1], [2, 2], [2, 2], _each(draw, 2, 4)])
    dilation = draw.choice([[1, 1], [1, 1], [1, 1], _each(draw, 2, 3)])
    groups, c_in, c_out = _channels(draw)
    batch = draw.choice([1, 1, 1, 2, 3, draw.randint(1, 17)])
    size = _sizes(draw, 2)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    padding = [draw.choice([0, e // 2, (e - 1) // 2, draw.randint(0, e)]) for e in extent]
    extra = [draw.choice([0, 0, draw.randrange(max(s, d))]) for s, d in zip(stride, dilation)]
    out = [(s - 1) * t - 2 * p + e + x for s, t, p, e, x in zip(size, stride, padding, extent, extra)]
    if min(out) < 1:
        return None
    work = batch * c_out * (c_in // groups) * math.prod(kernel) * math.prod(size)
    if work > MOST_WORK or batch * max(c_in * math.prod(size), c_out * math.prod(out)) > MOST_ELEMENTS:
        return None
    return dict(input=[batch, c_in, *size], weight=[c_in, c_out // groups, *kernel], bias=draw.random() < 0.7,
                unbatched=batch == 1 and draw.random() < 0.1, stride=stride, padding=padding, dilation=dilation,
                output_padding=extra, groups=groups, padding_mode="zeros")


def bare_module(call: dict) -> nn.Module:
    """The layer of a call with nothing in its weight yet."""
    op, bias = call.get("op", "conv2d"), call["bias"]
    if op == "linear":
        return nn.utils.skip_init(nn.Linear, call["weight"][1], call["weight"][0], bias=bias)
    first, second, *kernel = call["weight"]
    c_out = second * call["groups"] if op == "conv_transpose2d" else first
    numbers = lambda value: value if isinstance(value, str) else tuple(value)
    more = {"output_padding": tuple(call["output_padding"])} if op == "conv_transpose2d" else {}
    return nn.utils.skip_init(MODULES[op], call["input"][1], c_out, tuple(kernel), stride=tuple(call["stride"]),
                              padding=numbers(call["padding"]), dilation=tuple(call["dilation"]), groups=call["groups"],
                              bias=bias, padding_mode=call["padding_mode"], **more)


def memory_form(axes: int, layout: str):
    """What `Tensor.to` is to be told for a tensor of so many axes."""
    if layout == "channels_last" and axes in (4, 5):
        return torch.channels_last if axes == 4 else torch.channels_last_3d
    return torch.contiguous_format


def with_channels_last(x: torch.Tensor) -> torch.Tensor:
    """`[N, C, L]` with the channels of one place side by side: what a transposed `[N, L, C]` is."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)
