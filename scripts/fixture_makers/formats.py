"""formats.py OUTPUT: what torch computes with convolutions of files of every format, as it reads them.

One golden for each kind of file, without weights: these are to come from the checkpoint, in ../../checkpoints.
"""
import pickle
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
import torch
from safetensors.torch import load_file
from torch import nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from golden_common import describe_call, origin, write_golden
from programs import program


def loaded(path):
    return torch.load(path, weights_only=False, map_location="cpu")


def dcp(path, key):
    dcp_to_torch_save(str(path), "whole.tmp")
    state = torch.load("whole.tmp", weights_only=False)[key]
    Path("whole.tmp").unlink()
    return state


def conv(state, name, **options):
    """A module of the weights that a state dict holds."""
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    groups = options.get("groups", 1)
    layer = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]), bias=bias is not None, **options)
    layer.weight.data = weight.float()
    if bias is not None:
        layer.bias.data = bias
    return layer


def layers(folder):
    """For each golden: the layers, by the names that they have in the files."""
    net = program()
    net.load_state_dict(torch.jit.load(str(folder / "torchscript_scripted.pt")).state_dict(), strict=False)  # a buffer more
    yield "programs", {name: net.get_submodule(name) for name in ("stem.0", "same", "reflect")}
    yield "state", {"conv1": conv(loaded(folder / "state.pth"), "conv1", padding=2)}
    yield "legacy", {"net.conv": loaded(folder / "legacy_checkpoint.pth")["net"].conv}
    yield "pickle", {"0": pickle.loads((folder / "raw_module.pkl").read_bytes())[0]}
    tar = loaded(folder / "tar_module.pth")[0]
    yield "tar", {"0": conv({"0.weight": tar.weight.detach(), "0.bias": tar.bias.detach()}, "0", stride=tar.stride, padding=tar.padding)}
    yield "sharded", {"layer.0.conv": conv(load_file(folder / "sharded_safetensors/model-00001-of-00002.safetensors"), "layer.0.conv", stride=2)}
    yield "distributed", {"model.conv": conv(dcp(folder / "dcp_two_ranks", "model"), "conv", dilation=2)}


def main(folder, output):
    output.mkdir(parents=True, exist_ok=True)
    who = {key: value for key, value in origin().items() if key != "cpu_flags"}
    for golden, convs in layers(folder):
        cases, tensors = [], {}
        for number, (name, layer) in enumerate(convs.items()):
            generator = torch.Generator().manual_seed(700 + number)
            x = torch.randn(1, layer.in_channels, 6, 7, generator=generator)
            with torch.no_grad():
                y = layer(x)
            cases.append(describe_call(name, x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups,
                                       layer.padding_mode))
            tensors |= {f"{name}.input": x, f"{name}.output": y}
        write_golden(output / f"{golden}.golden.safetensors", cases, tensors, who)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]).parents[1] / "checkpoints", Path(sys.argv[1]))
