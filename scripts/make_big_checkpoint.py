#!/usr/bin/env python3
"""Make a large checkpoint on the spot, to measure how fast and in how little memory a file is listed.

    make_big_checkpoint.py big.pth                          2 GB: a transformer's state dict with Adam's state
    make_big_checkpoint.py big.safetensors --size 500MB
    make_big_checkpoint.py many.pth --size 200MB --tensors 20000

The numbers in it count up (between 1/32 and 1/16), so that every stretch of the file is different and nothing can be cached or compressed away.
"""
from __future__ import annotations

import argparse
import re
import sys
from collections import OrderedDict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from golden_common import UserError, check_folder, run_main, size_text, whole_file

import torch

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
#: One layer of the transformer, in units of its width: (name, rows, columns).
LAYER = (("attn.qkv.weight", 3, 1), ("attn.out.weight", 1, 1), ("mlp.up.weight", 4, 1), ("mlp.down.weight", 1, 4))


def byte_count(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text)
    if not found or found[2].upper() not in UNITS:
        raise UserError(f"--size wants a number and a unit such as 2GB or 500MB, not {text!r}")
    return int(float(found[1]) * UNITS[found[2].upper()])


def state_dict(size: int, tensors: int) -> OrderedDict:
    """About `size` bytes of float32 in about `tensors` weights and as many small biases."""
    layers = max(1, tensors // (2 * len(LAYER)))
    units = sum(rows * columns for _, rows, columns in LAYER)
    width = max(1, round((size / 4 / layers / units) ** 0.5))
    state, at = OrderedDict(), 0
    for layer in range(layers):
        for name, rows, columns in LAYER:
            shape = (rows * width, columns * width)
            counter = torch.arange(at, at + shape[0] * shape[1]) & 0x7FFFFF
            state[f"blocks.{layer}.{name}"] = (counter.int() | 0x3D000000).view(torch.float32).view(shape)
            state[f"blocks.{layer}.{name.replace('weight', 'bias')}"] = torch.zeros(shape[0])
            at += shape[0] * shape[1]
    return state


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="examples:\n" + __doc__.split("\n\n")[1])
    parser.add_argument("output", type=Path, metavar="OUTPUT", help=".pth or .safetensors")
    parser.add_argument("--size", default="2GB")
    parser.add_argument("--tensors", type=int, default=600, metavar="N", help="about so many in all")
    args = parser.parse_args()
    size = byte_count(args.size)
    check_folder(args.output)
    if args.output.suffix == ".safetensors":
        from safetensors.torch import save_file
        with whole_file(args.output) as part:
            save_file(state_dict(size, args.tensors), str(part), metadata={"format": "pt"})
    else:
        weights = state_dict(size // 3, max(1, args.tensors // 3))
        moments = {index: {"step": torch.tensor(1000.0), "exp_avg": weight + 0, "exp_avg_sq": weight * 2}
                   for index, weight in enumerate(weights.values())}
        groups = [{"lr": 3e-4, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1, "params": list(moments)}]
        with whole_file(args.output) as part:
            torch.save({"step": 1000, "model": weights, "optimizer": {"state": moments, "param_groups": groups}}, part)
    print(f"{args.output}: {size_text(args.output.stat().st_size)}")
    return 0


if __name__ == "__main__":
    run_main(main)
