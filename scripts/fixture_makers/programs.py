"""programs.py FOLDER: whole programs, TorchScript and exported, with torch's own `state_dict()` of each.

Run by any torch from 2.0 on; files of another torch than the project's carry its version in their name. Paths of the
machine (stack traces, `.debug_pkl`) are taken out, and the file is read again after that.
"""
import io
import json
import re
import sys
import zipfile
from pathlib import Path

import torch
from torch import nn

from expected import write_expected


class Program(nn.Module):
    """Convolutions of each kind, buffers kept and not kept, a constant, tied weights, modules in modules."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.same = nn.Conv2d(4, 4, (3, 2), padding="same", groups=2, bias=False)
        self.reflect = nn.Conv2d(4, 3, 3, padding=(1, 2), dilation=(1, 2), padding_mode="reflect")
        self.up = nn.ConvTranspose2d(3, 2, 2, stride=2, output_padding=1)
        self.line = nn.Conv1d(2, 3, 2, stride=2)
        self.fc = nn.Linear(3, 2)
        self.tied = self.fc
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("kept", torch.arange(3.))
        self.register_buffer("gone", torch.arange(2.), persistent=False)
        self.plain = torch.ones(2)

    def forward(self, x):
        x = self.reflect(self.same(self.stem(x)))
        y = self.up(x).mean(3)
        z = self.fc(self.line(y).mean(2) * self.kept) * self.scale
        return self.tied(nn.functional.pad(z, (0, 1))) + self.gone + self.plain + torch.tensor([3., 4.])


def program():
    torch.manual_seed(400)
    net = Program().eval()
    for seed, tensor in enumerate((*net.parameters(), *net.buffers())):
        if tensor.is_floating_point():
            tensor.data = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(401 + seed))
    net.same.weight.data = net.same.weight.data.to(memory_format=torch.channels_last)
    return net


def without_paths(name, data):
    """What a record holds without the paths of this machine; `None` for what is nothing but paths."""
    if name.endswith((".debug_pkl", "serialization_id")):
        return None
    if not name.endswith(".json") or b"stack_trace" not in data:
        return data
    found = json.loads(data)

    def clean(value):
        if isinstance(value, dict):
            value.pop("stack_trace", None)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            clean(inner)

    clean(found)
    return json.dumps(found).encode()


def clean(source, path, deflate, load):
    """The records of `source` in a zip of another root folder, and what torch makes of that."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = without_paths(info.filename, old.read(info))
            if data is None:
                continue
            folder, _, name = info.filename.partition("/")
            rooted = not folder.startswith(("serialized", "version")) and name
            entry = zipfile.ZipInfo(f"{path.stem}/{name}" if rooted else info.filename, (1980, 1, 1, 0, 0, 0))
            is_graph = name.startswith("models/") or folder.startswith("serialized_exported")  # long, and the same all over
            entry.compress_type = zipfile.ZIP_DEFLATED if deflate or is_graph else zipfile.ZIP_STORED
            new.writestr(entry, data)
    source.unlink()
    write_expected(path, load(path))


def make(folder):
    version = re.match(r"\d+\.\d+", torch.__version__)[0]
    suffix = "" if version == "2.15" else "_torch_" + version.replace(".", "_")
    source = folder / "source.tmp"
    inputs = (torch.zeros(1, 2, 8, 8),)

    def script(name, write, deflate=False, ending="pt", load=lambda path: torch.jit.load(str(path)).state_dict()):
        write(str(source))
        clean(source, folder / f"torchscript_{name}{suffix}.{ending}", deflate, load)

    if version in ("2.0", "2.15"):
        scripted, traced = torch.jit.script(program()), torch.jit.trace(program(), inputs)
        script("scripted", scripted.save)
        script("traced", traced.save, deflate=True)
        script("lite", lambda path: scripted._save_for_lite_interpreter(path), ending="ptl")
    if version == "2.15":
        script("frozen", torch.jit.freeze(torch.jit.script(program())).save)
        script("lists", torch.jit.script(Lists()).save)
        script("functional", torch.jit.trace(lambda x: nn.functional.relu(x), inputs).save)
    if version != "2.0":
        source = folder / "source.pt2"
        torch.export.save(torch.export.export(program(), inputs), str(source))
        if version == "2.15":
            whole_weights(source, folder / "exported_whole_weights.pt2")
        clean(source, folder / f"exported{suffix}.pt2", False, load_exported)
        torch.export.save(torch.export.export(nn.ReLU(), inputs), str(source))
        clean(source, folder / f"exported_empty{suffix}.pt2", True, load_exported)


def load_exported(path):
    return torch.export.load(str(path)).state_dict


def whole_weights(source, path):
    """The layout of 2.6 to 2.8, which 2.15 reads: weights and constants each in a file of torch.save's."""
    exported = torch.export.load(str(source))
    other = source.with_name("other.pt2")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            root, _, name = info.filename.partition("/")
            if not name.startswith(("data/weights", "data/constants")):
                new.writestr(info.filename, old.read(info))
        for name, value in (("weights", exported.state_dict), ("constants", exported.constants)):
            buffer = io.BytesIO()
            torch.save(value, buffer)
            new.writestr(f"{root}/data/{name}/model.pt", buffer.getvalue())
    clean(other, path, False, load_exported)


class Lists(nn.Module):
    """Attributes of the types that TorchScript names beside the values."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Identity()])
        self.ints = torch.jit.Attribute([1, 2, 3], list[int])
        self.table = torch.jit.Attribute({"a": torch.ones(2)}, dict[str, torch.Tensor])
        self.maybe = torch.jit.Attribute(None, torch.Tensor | None)
        self.words = torch.jit.Attribute(["x", "y"], list[str])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.ints[0]


if __name__ == "__main__":
    torch.set_num_threads(1)
    make(Path(sys.argv[1]))
