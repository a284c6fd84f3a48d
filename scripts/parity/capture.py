#!/usr/bin/env python3
"""The capturing process of live_parity.py: makes calls in this process's torch and hands their goldens over in pieces.

    capture.py REQUEST.json       makes the calls of the request; prints `part PATH` and waits for a line after each
    capture.py --calls OUT.json   REQUEST.json: lists the distinct calls of models

Threads, instruction sets and switches are a process's, so every combination has one of its own.
"""
from __future__ import annotations

import json
import random
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from capture_golden import Capture
from golden_common import UserError, one_line, run_main
from parity.layers import model_calls, module_and_input

import torch


def hand_over(path: Path) -> None:
    """The other side verifies and deletes the piece before the next one is made: neither disk nor memory fills up."""
    print(f"part {path}", flush=True)
    if not sys.stdin.readline():
        sys.exit(1)


def make_calls(request: dict) -> int:
    torch.set_num_threads(request["threads"])
    if not request["mkldnn"]:
        torch._C._set_mkldnn_enabled(False)
    dtype = getattr(torch, request["dtype"])
    folder, pieces = Path(request["folder"]), 0
    seen = None
    for call in request["calls"]:
        if seen is None:
            seen = Capture(folder / f"{pieces}.golden.safetensors")
        conv, x = module_and_input(call, dtype)
        make_one(seen, conv, x, call["name"])
        if request["flips"]:
            flip_bits(seen, conv, x, call)
        held = sum(tensor.numel() * tensor.element_size() for tensor in seen.tensors.values())
        if held > request["piece_bytes"] or len(seen.cases) >= request["piece_cases"]:
            finish(seen)
            seen, pieces = None, pieces + 1
    if seen is not None:
        finish(seen)
    return 0


def finish(seen: Capture) -> None:
    seen.write()
    seen.tensors.clear()
    hand_over(seen.path)


def make_one(seen: Capture, conv, x, name: str) -> None:
    hooks = seen.watch(conv, name)
    try:
        with torch.inference_mode():
            conv(x)
    except Exception as error:
        raise UserError(f"torch cannot run {name}: {one_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()


def flip_bits(seen: Capture, conv, x, call: dict) -> None:
    """After the call just captured: the same with one bit wrong in output, input, weight or bias.

    torch itself says whether a wrong bit of an operand shows: then the saved output is not that of the saved operands.
    """
    case = seen.cases[-1]
    draw = random.Random(call["seed"])
    parts = {part: seen.tensors[f"{case['name']}.{part}"] for part in ("input", "output", "weight", "bias")
             if f"{case['name']}.{part}" in seen.tensors}
    for part, tensor in parts.items():
        wrong = tensor.clone()
        bits = wrong.view(-1).view({2: torch.int16, 4: torch.int32, 8: torch.int64}[wrong.element_size()])
        width = 8 * wrong.element_size()
        at, bit = draw.randrange(bits.numel()), draw.randrange(width)
        bits[at] ^= (1 << bit) - (1 << width if bit == width - 1 else 0)
        again = wrong if part == "output" else rerun(conv, x, part, wrong, parts["output"].shape)
        shows = not same_bits(again, parts["output"])
        name = f"{case['name']}~{part}"
        seen.cases.append(case | dict(name=name, flipped=[part, at, bit], shows=shows))
        for other, kept in parts.items():
            seen.tensors[f"{name}.{other}"] = wrong if other == part else kept


def rerun(conv, x, part, wrong, shape):
    with torch.inference_mode():
        if part == "input":
            x = x.clone().copy_(wrong.view(x.shape))  # clone keeps the strides of what is dense
            return conv(x).contiguous().view(shape)
        parameter = getattr(conv, part)
        before = parameter.clone()
        parameter.data.copy_(wrong)
        output = conv(x).contiguous().view(shape)
        parameter.data.copy_(before)
        return output


def same_bits(a, b) -> bool:
    """Equal in every bit, NaN alike."""
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    return bool(((a.view(whole) == b.view(whole)) | (a.isnan() & b.isnan())).all())


def main() -> int:
    warnings.simplefilter("ignore")
    listing = sys.argv[1] == "--calls"
    request = json.loads(Path(sys.argv[-1]).read_text())
    if not listing:
        return make_calls(request)
    torch.set_num_threads(1)
    calls = {name: model_calls(name, request["batches"], request["layout"]) for name in request["models"]}
    Path(sys.argv[2]).write_text(json.dumps(calls))
    return 0


if __name__ == "__main__":
    run_main(main)
