#!/usr/bin/env python3
"""A checkpoint of more than 4 GB, which torch writes as a sparse file in two seconds, read by torch and by pthinspect.

    check_zip64.py [--program target/release/pthinspect] [--folder /tmp]

Storages are left out by `torch.serialization.skip_data`, so the file takes a few kilobytes of disk; the small ones
behind the 4 GB mark are then filled in. Names, shapes, offsets and hashes must agree. Exit 0 if they do.
"""
import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch._subclasses import FakeTensorMode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--program", default="target/release/pthinspect")
    parser.add_argument("--folder", default=None, help="where to write the file (default: the system's temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "zip64.pth"
        with FakeTensorMode():
            state = {"large": torch.empty(1_100_000_000), "conv.weight": torch.empty(4, 3, 3, 3), "bias": torch.empty(4)}
        with torch.serialization.skip_data(materialize_fake_tensors=True):
            torch.save(state, path)
        said = json.loads(subprocess.run([args.program, "ls", "--json", path], check=True, capture_output=True).stdout)
        ours = {tensor["name"]: tensor for tensor in said["tensors"]}
        with open(path, "r+b") as file:
            for seed, name in enumerate(("conv.weight", "bias")):
                file.seek(ours[name]["file_offset"])
                file.write(torch.randn(ours[name]["numel"], generator=torch.Generator().manual_seed(seed)).numpy().tobytes())
        hashes = [args.program, "ls", "--json", "--sha256", path, "conv.weight", "bias"]
        ours |= {tensor["name"]: tensor for tensor in json.loads(
            subprocess.run(hashes, check=True, capture_output=True).stdout)["tensors"]}
        wrong = []
        for name, tensor in torch.load(path, mmap=True).items():
            told = ours.pop(name)
            expected = {"shape": list(tensor.shape), "dtype": str(tensor.dtype)[6:]}
            if name != "large":
                expected["sha256"] = hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
            wrong += [f"{name} {key}: torch {value}, pthinspect {told[key]}" for key, value in expected.items() if told[key] != value]
        print(f"{path.stat().st_size} bytes, {path.stat().st_blocks * 512} on the disk; "
              + ("; ".join(wrong + list(ours)) or "torch and pthinspect agree"))
        return bool(wrong or ours)


if __name__ == "__main__":
    sys.exit(main())
