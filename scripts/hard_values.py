"""Operands on which a wrong order of additions shows.

With ordinary random numbers a sum in bfloat16 comes out the same in almost any order: eight bits are left of 24. So most
of the products here have a partner that cancels it, and what is left of the sum is what the roundings left of it.
"""
import torch

#: How the operands of a layer are made.
KINDS = ("cancelling", "wide", "plain", "special", "tiny")


def fill(conv, shape, kind: str, generator) -> torch.Tensor:
    """Set the weights of `conv` and return an input of `shape`; both of the module's dtype, the input contiguous."""
    draw = lambda size: torch.randn(size, generator=generator, dtype=torch.float64)
    x, w = draw(shape), draw(conv.weight.shape)
    if kind == "wide":
        x, w = x * torch.exp(3 * draw(shape)), w * torch.exp(2 * draw(conv.weight.shape))
    if kind in ("cancelling", "special", "tiny"):
        cancel(x, w, conv.groups, generator)
    bias = draw(conv.weight.shape[:1])
    if kind == "cancelling":
        bias *= 1e-3
    if kind == "tiny":  # products around the least normal float32, where instructions differ over subnormal numbers
        scale = 2.0 ** -62
        x, w, bias = x * scale, w * scale, bias * scale * scale
        if conv.weight.dtype == torch.float16:
            x, w, bias = x * 2.0 ** 43, w * 2.0 ** 43, bias * 2.0 ** 100
    if kind == "special":
        sprinkle(x, generator, 0.002)
        sprinkle(w, generator, 0.001)
    conv.weight.data = w.to(conv.weight.dtype)
    if conv.bias is not None:
        conv.bias.data = bias.to(conv.weight.dtype)
    return x.to(conv.weight.dtype)


def cancel(x, w, groups: int, generator) -> None:
    """Give most channels (or, where a filter has one, columns) a partner with the same input and the opposite weight."""
    per_group = w.shape[1]
    if per_group > 1:
        order = torch.randperm(per_group, generator=generator)
        for a, b in zip(order[0::2].tolist(), order[1::2].tolist()):
            for group in range(groups):
                x[:, group * per_group + b] = x[:, group * per_group + a]
            keep = torch.rand(w[:, a].shape, generator=generator) < 0.03
            w[:, b] = torch.where(keep, w[:, b], -w[:, a])
    else:
        x[..., 1::2] = x[..., 0:x.shape[-1] // 2 * 2:2]
        w[..., 1::2] = -w[..., 0:w.shape[-1] // 2 * 2:2]


def sprinkle(values, generator, share: float) -> None:
    """Infinities, NaN, zeros of both signs, subnormal numbers here and there."""
    odd = torch.tensor([float("inf"), float("-inf"), float("nan"), 0.0, -0.0, -0.0, 1e-40, -3e-39], dtype=values.dtype)
    chosen = torch.rand(values.shape, generator=generator) < share
    which = torch.randint(0, len(odd), values.shape, generator=generator)
    values[chosen] = odd[which[chosen]]
