"""explain.py FOLDER: what `layer` explains of the questions' layers, as torch and numpy have it.

unfold.json: per layer and input shape, torch.nn.functional.unfold of the input's flat indices (padding as -1; digest of
the int32 in C order), which input pixels chosen outputs read and how often (autograd), and the rows and columns that no
output reads. layouts.json: the bytes of weights in other memory formats, made with numpy's pad, reshape and transpose.
figures.json: norm, mean, std and so on of filters.
"""
import hashlib
import json
import sys
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional as F

FOLDER = Path(__file__).resolve().parents[2] / "fixtures"
SIGNATURE, ZOO = "questions/signature_q5_module.pth", "checkpoints/module_zoo.pth"

#: (file, layer, arguments that the file does not hold, input shape, output pixels)
LAYERS = [(SIGNATURE, name, {}, shape, pixels) for name, shape, pixels in [
    ("plain", (1, 3, 14, 14), [(0, 0), (9, 9)]), ("stride", (1, 3, 14, 14), [(1, 2)]),
    ("stride_per_axis", (1, 3, 11, 12), [(2, 1)]), ("padding", (1, 3, 8, 8), [(0, 0), (7, 7)]),
    ("padding_per_axis", (1, 3, 8, 8), [(0, 5)]), ("padding_same", (1, 3, 8, 8), [(0, 0)]),
    ("padding_same_even_kernel", (1, 3, 8, 8), [(0, 0), (7, 7)]), ("padding_valid", (1, 3, 8, 8), [(1, 1)]),
    ("dilation", (1, 3, 9, 9), [(2, 4)]), ("dilation_per_axis", (1, 3, 9, 9), [(0, 0)]),
    ("groups", (1, 6, 8, 8), [(0, 0)]), ("depthwise", (1, 6, 8, 8), [(0, 7)]),
    ("padding_mode_zeros", (1, 3, 8, 8), [(0, 9)]), ("padding_mode_reflect", (1, 3, 8, 8), [(0, 9), (9, 0)]),
    ("padding_mode_replicate", (1, 3, 8, 8), [(0, 9), (9, 0)]), ("padding_mode_circular", (1, 3, 8, 8), [(0, 9), (7, 0)]),
]] + [
    ("questions/unfold_q3.pth", "conv", {}, (1, 3, 32, 32), [(13, 0)]),
    ("questions/unfold_q3.pth", "by_hand", {"padding": 1}, (1, 3, 5, 5), [(0, 0)]),
    ("questions/cifar_q1.pth.tar", "conv1", {"stride": 3, "padding": 1}, (1, 3, 14, 15), [(0, 0)]),
    ("questions/cifar_q1.pth.tar", "conv1", {"stride": 2, "dilation": 2}, (1, 3, 12, 13), [(0, 0)]),
    ("questions/cifar_q1.pth.tar", "conv1", {"stride": 7}, (1, 3, 20, 22), [(1, 1)]),
    ("questions/kernel_axes_q4.pth", "conv", {}, (1, 3, 8, 8), [(5, 6)]),
    (ZOO, "up", {}, (1, 6, 4, 4), [(0, 0), (2, 3), (9, 9)]),
]


def state(file):
    loaded = torch.load(FOLDER / file, weights_only=False)
    loaded = loaded.state_dict() if isinstance(loaded, nn.Module) else loaded.get("state_dict", loaded)
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}


def layer_of(file, name, arguments):
    if file in (SIGNATURE, ZOO):
        return getattr(torch.load(FOLDER / file, weights_only=False), name, None) or dict(
            torch.load(FOLDER / file, weights_only=False).named_modules())[name]
    out, inner, *kernel = state(file)[f"{name}.weight"].shape
    return nn.Conv2d(inner, out, tuple(kernel), **arguments)


def unfold(layer, shape):
    """F.unfold of 0, 1, 2, ...; the padding is -1."""
    numbers = torch.arange(shape[1] * shape[2] * shape[3], dtype=torch.float64).reshape(1, *shape[1:]) + 1
    kernel, dilation = layer.kernel_size, layer.dilation
    pads = layer._reversed_padding_repeated_twice
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(numbers, pads, mode=mode)
    columns = F.unfold(padded, kernel, dilation=dilation, stride=layer.stride)
    return (columns[0] - 1).to(torch.int32).numpy()


def reads(layer, shape, pixel):
    """[row, column, times] of every input pixel of channel 0 that output channel 0 reads."""
    more = {"output_padding": layer.output_padding} if layer.transposed else {}
    probe = type(layer)(layer.in_channels, layer.out_channels, layer.kernel_size, stride=layer.stride,
                        padding=layer.padding, dilation=layer.dilation, groups=layer.groups, bias=False,
                        padding_mode=layer.padding_mode, **more).double()
    nn.init.ones_(probe.weight)
    x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    y = probe(x)[0, 0]
    (y[pixel] if pixel else y.sum()).backward()
    return x.grad[0, 0]


def unfolds():
    cases = []
    for file, name, arguments, shape, pixels in LAYERS:
        layer = layer_of(file, name, arguments)
        everything = reads(layer, shape, None)
        columns = None if layer.transposed else unfold(layer, shape)
        unfolded = {} if columns is None else {
            "unfolded": list(columns.shape), "sha256": hashlib.sha256(columns.tobytes()).hexdigest(),
            "first_row": columns[0][:12].tolist()}
        cases.append({
            "file": f"fixtures/{file}", "layer": name, "arguments": arguments, "input": shape,
            **unfolded,
            "unread": [[i for i in range(shape[2]) if not everything[i].any()],
                       [i for i in range(shape[3]) if not everything[:, i].any()]],
            "windows": [{"output": pixel, "reads": [
                [int(r), int(c), int(grad[r, c])] for r, c in grad.nonzero()]}
                for pixel in pixels for grad in [reads(layer, shape, pixel)]],
        })
    return cases


def pad(array, sizes):
    return numpy.pad(array, [(0, size - have) for have, size in zip(array.shape, sizes)])


def up(n, block):
    return -(-n // block) * block


def blocked(w, bi, bo, order="io"):
    """[O, I, H, W] as OIhw{bi}i{bo}o, or OIhw{bo}o{bi}i."""
    o, i, h, x = w.shape
    w = pad(w, (up(o, bo), up(i, bi), h, x))
    w = w.reshape(up(o, bo) // bo, bo, up(i, bi) // bi, bi, h, x)
    return w.transpose(0, 2, 4, 5, 3, 1) if order == "io" else w.transpose(0, 2, 4, 5, 1, 3)


def vnni(w, i_outer, o_block, i_inner):
    """OIhw{i_outer}i{o_block}o{i_inner}i."""
    o, i, h, x = w.shape
    block = i_outer * i_inner
    w = pad(w, (up(o, o_block), up(i, block), h, x))
    w = w.reshape(up(o, o_block) // o_block, o_block, up(i, block) // block, i_outer, i_inner, h, x)
    return w.transpose(0, 2, 5, 6, 3, 1, 4)


def first(w, block):
    """Ohwi{block}o."""
    o, i, h, x = w.shape
    w = pad(w, (up(o, block), i, h, x)).reshape(up(o, block) // block, block, i, h, x)
    return w.transpose(0, 3, 4, 2, 1)


def depthwise(w, block):
    """Goihw{block}g of a weight [G, 1, H, W]."""
    g, _, h, x = w.shape
    w = pad(w, (up(g, block), 1, h, x)).reshape(up(g, block) // block, block, 1, 1, h, x)
    return w.transpose(0, 2, 3, 4, 5, 1)


def grouped(w, groups, bi, bo):
    """gOIhw{bi}i{bo}o."""
    parts = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    return numpy.stack([blocked(part, bi, bo) for part in parts])


LAYOUTS = {
    "OIHW": lambda w: w, "oihw": lambda w: w, "OHWI": lambda w: w.transpose(0, 2, 3, 1),
    "acdb": lambda w: w.transpose(0, 2, 3, 1), "HWIO": lambda w: w.transpose(2, 3, 1, 0),
    "cdba": lambda w: w.transpose(2, 3, 1, 0), "IOHW": lambda w: w.transpose(1, 0, 2, 3),
    "OIhw8i8o": lambda w: blocked(w, 8, 8), "ABcd8b8a": lambda w: blocked(w, 8, 8),
    "OIHW8i8o": lambda w: blocked(w, 8, 8), "OIhw16i16o": lambda w: blocked(w, 16, 16),
    "OIhw8o4i": lambda w: blocked(w, 4, 8, "oi"), "OIhw4i16o4i": lambda w: vnni(w, 4, 16, 4),
    "ABcd4b16a4b": lambda w: vnni(w, 4, 16, 4), "OIhw2i8o4i": lambda w: vnni(w, 2, 8, 4),
    "Ohwi8o": lambda w: first(w, 8), "Acdb16a": lambda w: first(w, 16),
}
GROUPED = {
    "groups": (2, {"gOIhw8i8o": lambda w: grouped(w, 2, 8, 8), "aBCde8c8b": lambda w: grouped(w, 2, 8, 8),
                   "goihw": lambda w: w, "OHWI": LAYOUTS["OHWI"]}),
    "depthwise": (6, {"Goihw8g": lambda w: depthwise(w, 8), "Abcde16a": lambda w: depthwise(w, 16),
                      "hwigo": lambda w: w.transpose(2, 3, 1, 0), "ihwgo": lambda w: w.transpose(1, 2, 3, 0)}),
}


def layouts():
    cases = []

    def add(file, layer, groups, tag, array):
        array = numpy.ascontiguousarray(array)
        cases.append({"file": f"fixtures/{file}", "tensor": f"{layer}.weight", "groups": groups, "as": tag,
                      "nbytes": array.nbytes, "sha256": hashlib.sha256(array.tobytes()).hexdigest()})

    for file, layer in (("questions/kernel_axes_q4.pth", "conv"), ("questions/mnist_q2_state.pth", "conv2"),
                        (SIGNATURE, "padding_per_axis")):
        weight = state(file)[f"{layer}.weight"].numpy()
        for tag, make in LAYOUTS.items():
            add(file, layer, None, tag, make(weight))
    for layer, (groups, tags) in GROUPED.items():
        weight = state(SIGNATURE)[f"{layer}.weight"].numpy()
        for tag, make in tags.items():
            add(SIGNATURE, layer, None, tag, make(weight))
            add("questions/signature_q5_state.pth", layer, groups, tag, make(weight))
    return cases


def figures():
    cases = []
    for file, layer in ((SIGNATURE, "plain"), ("questions/mnist_q2_state.pth", "fc2"),
                        ("questions/unfold_q3.pth", "by_hand")):
        weight = state(file)[f"{layer}.weight"].double().flatten(1)
        cases.append({"file": f"fixtures/{file}", "layer": layer, "filters": [
            {"norm": float(w.norm()), "mean": float(w.mean()), "std": float(w.std()), "min": float(w.min()),
             "max": float(w.max()), "zeros": int((w == 0).sum())} for w in weight]})
    return cases


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(Path(__file__).resolve().parent))  # classes of the pickled modules
    for name, cases in (("unfold", unfolds()), ("layouts", layouts()), ("figures", figures())):
        lines = ",\n ".join(json.dumps(case, separators=(",", ":")) for case in cases)
        (folder / f"{name}.json").write_text(f"[{lines}]\n")


if __name__ == "__main__":
    main()
