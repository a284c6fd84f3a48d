#!/usr/bin/env python3
"""Real checkpoints cut off at many places: what `recover` saves, held against the tensors that torch still has in memory.

    check_recover.py [--program target/release/pthinspect] [--seed 0] [--cuts 5,10,...,95,99.9] [--models resnet18,...]
                     [--formats zip,legacy,safetensors,torchscript,pickle] [--folder /tmp]

Models are torchvision's with random weights, and a training checkpoint with its optimizer. Of each cut file every tensor
that is saved must have torch's bytes, and every tensor whose bytes end before the cut must be saved, if what names it
lies before the cut. Where the bytes lie is asked of torch's and safetensors' own readers, not of pthinspect. Exit 0 if
both hold.
"""
import argparse
import io
import json
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import safetensors.torch
import torch
import torchvision

PERCENT = ",".join(str(n) for n in range(5, 100, 5)) + ",99.9"


def model_of(name: str, seed: int):
    torch.manual_seed(seed)
    model = torchvision.models.get_model(name, weights=None).eval()
    for module in model.modules():  # running means of zero would all look alike
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var)
            torch.nn.init.normal_(module.bias)
    return model


def training_of(seed: int) -> dict:
    """A model, its optimizer after two steps, and a few plain values around them."""
    model = model_of("squeezenet1_1", seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(1, 3, 64, 64)).square().mean().backward()
        optimizer.step()
    return {"epoch": 7, "callbacks": {}, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5}


def tensors_of(value, path=()) -> dict:
    if isinstance(value, torch.Tensor):
        return {".".join(path): value.detach()}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    found = {}
    for key, item in items:
        found |= tensors_of(item, (*path, str(key)))
    return found


# ---- where the bytes of each tensor end, by the name or data pointer of its storage ----

def ends_in_zip(path: Path, value, tensors: dict) -> dict:
    """torch numbers the storages in the order in which its pickler meets them."""
    reader = torch._C.PyTorchFileReader(str(path))
    keys, ends = {}, {}
    for name, tensor in in_pickle_order(value, tensors):
        storage = tensor.untyped_storage()
        key = keys.setdefault(storage.data_ptr() or name, str(len(keys)))
        reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride())) + 1
        start = reader.get_record_offset(f"data/{key}")
        ends[name] = start + (tensor.storage_offset() + reach) * tensor.element_size()
    return ends


def in_pickle_order(value, tensors: dict):
    return [(name, tensor) for name, tensor in tensors.items() if tensor.numel()]


def ends_in_legacy(path: Path, tensors: dict) -> dict:
    """By the stream's own list of keys."""
    sizes, at_key = {}, {}

    class Reader(pickle.Unpickler):
        def persistent_load(self, saved):
            _, storage, key, _, numel, _ = saved
            sizes[key] = (numel, storage.dtype.itemsize if hasattr(storage, "dtype") else 1)
            return key

        def find_class(self, module, name):
            if name.startswith("_rebuild"):
                return lambda *arguments: arguments[0] if isinstance(arguments[0], str) else arguments
            return super().find_class(module, name)

    with open(path, "rb") as file:
        for _ in range(3):
            pickle.load(file)
        value = Reader(file).load()
        for key in pickle.load(file):
            file.seek(8, io.SEEK_CUR)
            numel, itemsize = sizes[key]
            file.seek(numel * itemsize, io.SEEK_CUR)
            at_key[key] = file.tell()
    keys = {name: key for name, key in keys_of(value).items() if name in tensors}
    return {name: at_key[key] for name, key in keys.items()}


def keys_of(value, path=()) -> dict:
    """The storage keys where the tensors were."""
    if isinstance(value, str) and value.isdigit():
        return {".".join(path): value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    found = {}
    for key, item in items:
        found |= keys_of(item, (*path, str(key)))
    return found


def ends_in_safetensors(path: Path) -> dict:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    return {name: 8 + length + entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"}


def ends_in_script(path: Path, tensors: dict) -> dict:
    """Names come behind all tensors of a TorchScript file: with its pickle all are there, before it none."""
    reader = torch._C.PyTorchFileReader(str(path))
    end = reader.get_record_offset("data.pkl") + len(reader.get_record("data.pkl"))
    return {name: end for name in tensors}


def ends_in_pickle(path: Path, tensors: dict) -> dict:
    """Each storage is bytes inside the pickle; the call that makes the tensor ends before the next one's begin."""
    data = path.read_bytes()
    ends, at = {}, 0
    starts = []
    for name, tensor in tensors.items():
        found = data.find(bytes(tensor.untyped_storage()), at)
        starts.append((name, found))
        at = found
    for (name, _), (_, following) in zip(starts, starts[1:] + [("", len(data))]):
        ends[name] = following
    return ends


def save(path: Path, kind: str, value, model) -> tuple[dict, dict]:
    """Writes the file; its tensors, and where each ends."""
    tensors = {name: tensor for name, tensor in tensors_of(value).items()}
    if kind == "zip":
        torch.save(value, path)
        return tensors, ends_in_zip(path, value, tensors)
    if kind == "legacy":
        torch.save(value, path, _use_new_zipfile_serialization=False)
        return tensors, ends_in_legacy(path, tensors)
    if kind == "safetensors":
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        return tensors, ends_in_safetensors(path)
    if kind == "pickle":
        with open(path, "wb") as file:
            pickle.dump(value, file, protocol=4)
        return tensors, ends_in_pickle(path, tensors)
    torch.jit.save(torch.jit.script(model), path)
    return tensors, ends_in_script(path, tensors)


def same(a, b) -> bool:
    raw = [bytes(t.contiguous().flatten().view(torch.uint8).numpy()) if t.numel() else b"" for t in (a, b)]
    return a.dtype == b.dtype and a.shape == b.shape and raw[0] == raw[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--program", default="target/release/pthinspect")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cuts", default=PERCENT, help="where to cut, in percent of the file")
    parser.add_argument("--models", default="resnet18,mobilenet_v3_small,training")
    parser.add_argument("--formats", default="zip,legacy,safetensors,torchscript,pickle")
    parser.add_argument("--folder", default=None, help="where to write (default: the system's temporary folder)")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # deprecated is not gone: files of these kinds are about
    wrong = cuts = saved_in_all = 0
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        cut_file, out = Path(folder) / "cut.bin", Path(folder) / "saved.safetensors"
        for name in args.models.split(","):
            model = None if name == "training" else model_of(name, args.seed)
            value = training_of(args.seed) if name == "training" else model.state_dict()
            for kind in args.formats.split(","):
                if name == "training" and kind in ("safetensors", "torchscript"):
                    continue
                path = Path(folder) / "whole.bin"
                tensors, ends = save(path, kind, value, model)
                data = path.read_bytes()
                counts = []
                for percent in [float(p) for p in args.cuts.split(",")]:
                    cut = int(len(data) * percent / 100)
                    cut_file.write_bytes(data[:cut])
                    out.unlink(missing_ok=True)
                    run = subprocess.run([args.program, "recover", cut_file, "-o", out, "--json"], capture_output=True)
                    saved = safetensors.torch.load_file(out) if out.exists() else {}
                    there = {tensor for tensor, end in ends.items() if end <= cut}
                    faults = [f"{n} differs" for n, t in saved.items() if n not in tensors or not same(t, tensors[n])]
                    faults += [f"{n} is not saved" for n in sorted(there - saved.keys())]
                    if run.returncode not in (1, 2) or (saved and run.returncode != 1):
                        faults.append(f"exit code {run.returncode}")
                    for fault in faults[:3]:
                        print(f"WRONG {name} {kind} at {percent:g} %: {fault}")
                    wrong += len(faults)
                    cuts += 1
                    saved_in_all += len(saved)
                    counts.append(f"{len(saved)}")
                print(f"{name} {kind}: {len(data):,} bytes, {len(tensors)} tensors; saved at each cut: {' '.join(counts)}")
    print(f"{cuts} cut files, {saved_in_all} tensors saved, {wrong} wrong; torch {torch.__version__.split('+')[0]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
