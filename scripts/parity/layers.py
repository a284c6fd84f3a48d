"""Convolution calls as plain data: random ones, those of torchvision's models, and the tensors that go with them.

A call is a dict: `name`, `input` (shape with the batch axis), `stride_of_input` (element strides, or None for the
memory format `layout`), `offset` (elements in front of it in its storage), `layout`, `weight` (shape), `weight_layout`,
`bias`, `unbatched`, `seed`, `special` (a list of [tensor, kind, share]) and the arguments of Conv2d. Its tensors follow
from `seed`, so a call can be made again from its line in a report.
"""
from __future__ import annotations

import math
import random

import torch
from torch import nn

from parity.siblings import bare_module, memory_form, with_channels_last

#: Values that test more than rounding. A few of them suffice to reach every output; many NaN would hide the rest.
SPECIAL_SHARES = {"zero": (0.5, 0.1), "-zero": (0.5, 0.1), "subnormal": (0.5, 0.1), "tiny": (0.5,), "huge": (0.02,),
                  "inf": (0.002, 0.02), "-inf": (0.002,), "nan": (0.002,), "all zero": (1.0,), "all -zero": (1.0,)}


# ---------------------------------------------------------------------------------------------------------------
# Random layers


def random_call(seed: int, index: int, layout: str = "contiguous") -> dict:
    """The `index`-th random layer of `seed`: always the same, whichever others are drawn."""
    draw = random.Random(f"{seed}.{index}")
    while True:
        call = _drawn(draw)
        if call is not None:
            break
    call.update(name=f"random.s{seed}.{index}", layout=layout, weight_layout=layout, stride_of_input=None, offset=0,
                seed=draw.randrange(1 << 30), special=draw_specials(draw))
    return call


def _side(draw) -> int:
    return draw.choice([draw.randint(1, 4), draw.randint(1, 12), draw.randint(1, 12), draw.randint(1, 40)])


def _channels(draw):
    """(groups, input channels, output channels)"""
    kind = draw.random()
    if kind < 0.5:
        most = draw.choice([4, 20, 70, 160])
        return 1, draw.randint(1, most), draw.randint(1, draw.choice([4, 20, 70, 160]))
    if kind < 0.6:  # whole blocks
        return 1, 8 * draw.randint(1, 24), 8 * draw.randint(1, 24)
    if kind < 0.75:
        groups = draw.randint(2, 9)
        most = draw.choice([3, 24])
        return groups, groups * draw.randint(1, most), groups * draw.randint(1, most)
    if kind < 0.8:
        groups = draw.choice([2, 3, 4, 8])
        return groups, groups * 8 * draw.randint(1, 4), groups * 8 * draw.randint(1, 4)
    groups = draw.randint(2, draw.choice([9, 80]))
    return groups, groups, groups * draw.choice([1, 1, 1, 2, 3, 4])


def _drawn(draw) -> dict | None:
    pointwise = draw.random() < 0.25
    if pointwise:
        kernel = [1, 1]
    else:
        most = draw.choice([3, 3, 5, 7, 11])
        kernel = [draw.randint(1, most), draw.randint(1, most)] if draw.random() < 0.6 else [draw.randint(2, most)] * 2
    stride = draw.choice([[1, 1], [1, 1], [2, 2], [draw.randint(1, 4), draw.randint(1, 4)]])
    dilation = draw.choice([[1, 1], [1, 1], [1, 1], [2, 2], [draw.randint(1, 4), draw.randint(1, 4)]])
    groups, c_in, c_out = _channels(draw)
    if pointwise and draw.random() < 0.4:
        groups, c_in, c_out = 1, draw.randint(100, 1100), draw.randint(1, 90)
    batch = draw.choice([1, 1, 1, 1, 2, 3, draw.randint(1, 17), 16, 17])
    size = [_side(draw), _side(draw)] if draw.random() < 0.7 else [_side(draw)] * 2
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    mode = draw.choice(["zeros"] * 7 + ["reflect", "replicate", "circular"])
    word = draw.random()
    if word < 0.15:
        padding, stride = "same", [1, 1]
        sides = [(e - 1 - (e - 1) // 2) for e in extent]
    elif word < 0.22:
        padding, sides = "valid", [0, 0]
    else:
        padding = sides = [draw.choice([0, e // 2, e // 2, draw.randint(0, e + 1)]) for e in extent]
    if padding != "same" and any(s + 2 * p < e for s, p, e in zip(size, sides, extent)):
        return None
    if mode != "zeros" and any(p >= s for s, p in zip(size, sides)):
        return None
    out = [(s + 2 * p - e) // t + 1 for s, p, e, t in zip(size, sides, extent, stride)]
    work = batch * c_out * (c_in // groups) * math.prod(kernel) * math.prod(out)
    if work > 60_000_000 or batch * max(c_in * math.prod(size), c_out * math.prod(out)) > 600_000:
        return None
    return dict(input=[batch, c_in, *size], weight=[c_out, c_in // groups, *kernel], bias=draw.random() < 0.7,
                unbatched=batch == 1 and draw.random() < 0.1, stride=stride, padding=padding, dilation=dilation,
                groups=groups, padding_mode=mode)


def draw_specials(draw) -> list:
    if draw.random() < 0.65:
        return []
    chosen = []
    for _ in range(draw.choice([1, 1, 2, 3])):
        kind = draw.choice(list(SPECIAL_SHARES))
        where = draw.choice(["input", "input", "input", "weight", "weight", "bias"])
        chosen.append([where, kind, draw.choice(SPECIAL_SHARES[kind])])
    return chosen


# ---------------------------------------------------------------------------------------------------------------
# The calls of models


def model_calls(name: str, batches: list[int], layout: str, image: int = 224) -> list[dict]:
    """Every distinct Conv2d call of a torchvision model, at every batch.

    The model runs with one and with two images; nothing but the first axis changes from two on.
    """
    import torchvision

    options = {"weights_backbone": None} if any(part in name for part in ("deeplab", "fcn", "lraspp", "ssdlite")) else {}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    model = _made(lambda: torchvision.models.get_model(name, weights=None, **options).eval())
    if name.startswith("ssdlite"):
        model, image = model.backbone, 320
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = model.to(memory_format=form)
    calls: dict[str, dict] = {}
    for run in sorted({min(batch, 2) for batch in batches}):
        hooks = [module.register_forward_pre_hook(_recorder(calls, name, path, [b for b in batches if min(b, 2) == run]))
                 for path, module in model.named_modules() if isinstance(module, nn.Conv2d)]
        with torch.inference_mode():
            model(torch.zeros(run, 3, image, image).to(memory_format=form))
        for hook in hooks:
            hook.remove()
    return list(calls.values())


def _made(build) -> nn.Module:
    """The model with weights of zero: their values do not matter here, and drawing them takes long."""
    try:
        with torch.device("meta"):
            model = build().to_empty(device="cpu")
    except NotImplementedError:  # it computes with tensors while it is built
        return build()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()
    return model


def _recorder(calls, model, path, batches):
    def record(conv, args):
        x, weight = args[0], conv.weight
        for batch in batches:
            call = dict(input=[batch, *x.shape[1:]], stride_of_input=list(x.stride()), offset=x.storage_offset() % 16,
                        layout=layout_of(x), weight=list(weight.shape), weight_layout=layout_of(weight),
                        bias=conv.bias is not None, unbatched=False, stride=list(conv.stride),
                        padding=conv.padding if isinstance(conv.padding, str) else list(conv.padding),
                        dilation=list(conv.dilation), groups=conv.groups, padding_mode=conv.padding_mode)
            key = identity(call)
            if key not in calls:
                calls[key] = call | dict(name=f"{model}.{path}.b{batch}", seed=len(calls), special=[])
    return record


def layout_of(tensor) -> str:
    last = tensor.is_contiguous(memory_format=torch.channels_last)
    return "channels_last" if last and not tensor.is_contiguous() else "contiguous"


def identity(call: dict) -> str:
    """What makes two calls the same but for their numbers."""
    return repr([(key, call[key]) for key in sorted(call) if key not in ("name", "seed")])


# ---------------------------------------------------------------------------------------------------------------
# Their tensors


def module_and_input(call: dict, dtype) -> tuple[nn.Module, torch.Tensor]:
    """The layer and the input of a call, in the memory layout it says."""
    generator = torch.Generator().manual_seed(call["seed"])
    conv = bare_module(call)
    first, per_group, *kernel = call["weight"]
    terms, c_out = per_group * math.prod(kernel), first
    if call.get("op") == "conv_transpose2d":
        terms, c_out = first // call["groups"] * math.prod(kernel), per_group * call["groups"]
    tensors = {"weight": torch.randn(call["weight"], generator=generator) * (1.0 / math.sqrt(terms))}
    if call["bias"]:
        tensors["bias"] = torch.randn(c_out, generator=generator) * 0.3
    x = torch.randn(call["input"], generator=generator)
    if call["seed"] % 3 == 0:  # as behind a ReLU
        x = x.clamp_(min=0)
    tensors["input"] = x
    for where, kind, share in call["special"]:
        if where in tensors:
            _sprinkle(tensors[where], kind, share, generator)
    if dtype in (torch.bfloat16, torch.float16) and call["seed"] % 4:
        if call.get("op") == "linear":  # its features are the last axis
            cancel(tensors["input"].movedim(-1, 0)[None], tensors["weight"], 1, generator)
        elif call.get("op") == "conv_transpose2d":  # a filter's channels are the weight's first axis, group by group
            weight = tensors["weight"].unflatten(0, (call["groups"], -1)).transpose(1, 2).flatten(0, 1)
            cancel(tensors["input"], weight, call["groups"], generator)
            tensors["weight"] = weight.unflatten(0, (call["groups"], -1)).transpose(1, 2).flatten(0, 1).contiguous()
        else:
            cancel(tensors["input"], tensors["weight"], call["groups"], generator)
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    form = memory_form(len(call["weight"]), call["weight_layout"])
    conv.weight = nn.Parameter(tensors["weight"].to(memory_format=form))
    if call["bias"]:
        conv.bias = nn.Parameter(tensors["bias"])
    return conv.eval(), _laid_out(tensors["input"], call)


def cancel(x, weight, groups: int, generator) -> None:
    """Give most channels (or, where a filter has one, columns) a partner with the same input and the opposite weight.

    A sum of ordinary random numbers comes out the same in almost any order once it is rounded to bfloat16: eight bits
    are left of 24. Where products cancel, what is left of the sum is what its roundings left.
    """
    per_group = weight.shape[1]
    if per_group == 1:
        x[..., 1::2] = x[..., 0:x.shape[-1] // 2 * 2:2]
        weight[..., 1::2] = -weight[..., 0:weight.shape[-1] // 2 * 2:2]
        return
    order = torch.randperm(per_group, generator=generator).tolist()
    for a, b in zip(order[0::2], order[1::2]):
        x[:, b::per_group] = x[:, a::per_group]
        other = torch.rand(weight[:, a].shape, generator=generator) < 0.03
        weight[:, b] = torch.where(other, weight[:, b], -weight[:, a])


def _laid_out(x, call):
    if call["stride_of_input"] is None:
        x = x.to(memory_format=memory_form(x.dim(), call["layout"]))
        if call.get("op") == "conv1d" and call["layout"] == "channels_last":
            x = with_channels_last(x)
        return x[0] if call["unbatched"] else x
    stride, offset = call["stride_of_input"], call["offset"]
    last = sum((size - 1) * step for size, step in zip(x.shape, stride))
    storage = torch.zeros(offset + last + 1, dtype=x.dtype)
    view = storage.as_strided(x.shape, stride, offset)
    return view.copy_(x)


def _sprinkle(tensor, kind, share, generator) -> None:
    """Puts a special value in the places drawn."""
    if kind.startswith("all "):
        kind = kind.removeprefix("all ")
    drawn = torch.rand(tensor.shape, generator=generator) < share
    if not drawn.any():  # at least one
        drawn.view(-1)[int(torch.randint(drawn.numel(), (1,), generator=generator))] = True
    some = torch.randn(tensor.shape, generator=generator)
    values = {"zero": torch.zeros(()), "-zero": torch.tensor(-0.0), "inf": torch.tensor(math.inf),
              "-inf": torch.tensor(-math.inf), "nan": torch.tensor(math.nan), "subnormal": some * 1e-39,
              "tiny": some * 1e-22, "huge": some * 1e38}
    tensor.copy_(torch.where(drawn, values[kind], tensor))
