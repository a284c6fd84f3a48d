#!/usr/bin/env python3
"""Record which implementation oneDNN really ran for Conv2d calls of many shapes: what the prediction is tested on.

    record_implementations.py OUTPUT.json [--isa AVX2] [--calls 120] [--seed 1]

oneDNN reads ONEDNN_MAX_CPU_ISA once per process, so `--isa` must not exceed the CPU and the calls of one file share it.
Shapes are drawn at random, those of real networks among them; the seed fixes them, the CPU fixes the answers.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from golden_common import OneDnnListener, UserError, convolved_layout, l1_bytes, origin, run_main, whole_file

import torch
from torch.nn import functional as F

ISAS = ("SSE41", "AVX", "AVX2", "AVX512_CORE")
#: The columns of a row, in order; the sizes are what the backend sees, padding on both sides alike.
COLUMNS = ("memory_format", "threads", "batch", "in_channels", "height", "width", "out_channels", "kernel_h", "kernel_w",
           "stride_h", "stride_w", "padding_h", "padding_w", "dilation_h", "dilation_w", "groups", "implementation")
THREADS = (1, 1, 2, 2, 3, 4, 8, 16)
MOST_PRODUCTS = 60_000_000


def channels(rng: random.Random) -> int:
    return rng.choice([rng.randint(1, 20), rng.randint(1, 300), 8 * rng.randint(1, 20), 16 * rng.randint(1, 20),
                       rng.choice([3, 4, 12, 15, 17, 64, 96, 100, 1024])])


def draw(rng: random.Random) -> dict:
    """The sizes of one call, by kind of layer; not all of them fit together."""
    kind = rng.choice(["plain", "plain", "plain", "pointwise", "depthwise", "grouped", "wide padding", "whole image"])
    size = rng.choice([1, 7, 8, 13, 14, 28, 29, rng.randint(1, 60)])
    kernel = rng.choice([1, 2, 3, 3, 3, 5, 7, 11])
    stride = rng.choice([1, 1, 1, 2, 3])
    dilation = rng.choice([1, 1, 1, 1, 2, 3])
    call = {"batch": rng.choice([1, 1, 2, rng.randint(1, 17)]), "in_channels": channels(rng),
            "height": size, "width": rng.choice([size, rng.randint(1, 60)]), "out_channels": channels(rng),
            "kernel_h": kernel, "kernel_w": rng.choice([kernel, kernel, kernel, rng.randint(1, 9)]),
            "stride_h": stride, "stride_w": rng.choice([stride, stride, rng.randint(1, 3)]),
            "padding_h": kernel // 2 * dilation, "padding_w": rng.choice([kernel // 2 * dilation, rng.randint(0, 3)]),
            "dilation_h": dilation, "dilation_w": rng.choice([dilation, dilation, 1]), "groups": 1}
    if kind == "pointwise":
        call.update(kernel_h=1, kernel_w=1, padding_h=0, padding_w=0, dilation_h=1, dilation_w=1)
    elif kind == "depthwise":
        multiple = rng.choice([1, 1, 1, 2])
        call.update(groups=call["in_channels"], out_channels=multiple * call["in_channels"])
    elif kind == "grouped":
        groups = rng.choice([2, 3, 4, 8, 32])
        call.update(groups=groups, in_channels=groups * rng.choice([1, 3, 4, 8, 16, rng.randint(1, 24)]),
                    out_channels=groups * rng.choice([1, 4, 8, 16, rng.randint(1, 24)]))
    elif kind == "wide padding":
        call.update(padding_h=rng.randint(0, 7), padding_w=rng.randint(3, 7), kernel_w=rng.randint(4, 13))
    elif kind == "whole image":
        side = rng.randint(1, 8)
        call.update(height=side, width=side, kernel_h=side, kernel_w=side, stride_h=1, stride_w=1, padding_h=0,
                    padding_w=0, dilation_h=1, dilation_w=1, out_channels=rng.choice([1, 10, call["out_channels"]]))
    return call


def fits(call: dict) -> bool:
    """Whether there is an output, and one that is quickly computed."""
    outputs = []
    for axis, side in (("h", "height"), ("w", "width")):
        extent = call[f"dilation_{axis}"] * (call[f"kernel_{axis}"] - 1) + 1
        outputs.append((call[side] + 2 * call[f"padding_{axis}"] - extent) // call[f"stride_{axis}"] + 1)
    taps = call["in_channels"] // call["groups"] * call["kernel_h"] * call["kernel_w"]
    products = call["batch"] * call["out_channels"] * outputs[0] * outputs[1] * taps
    return min(outputs) > 0 and products < MOST_PRODUCTS and call["out_channels"] * taps < 10_000_000


def implementation(call: dict, listener: OneDnnListener) -> str | None:
    """What oneDNN reports for this call; None where torch did not ask oneDNN.

    A tensor of one channel is both contiguous and channels_last; the call then says what torch took it for.
    """
    torch.set_num_threads(call["threads"])
    layout = getattr(torch, call["memory_format"].replace("contiguous", "contiguous_format"))
    x = torch.zeros(call["batch"], call["in_channels"], call["height"], call["width"]).to(memory_format=layout)
    weight = torch.zeros(call["out_channels"], call["in_channels"] // call["groups"], call["kernel_h"],
                         call["kernel_w"]).to(memory_format=layout)
    pairs = [(call[f"{name}_h"], call[f"{name}_w"]) for name in ("stride", "padding", "dilation")]
    call["memory_format"] = convolved_layout(x, weight)
    listener.start()
    with torch.no_grad():
        F.conv2d(x, weight, None, *pairs, call["groups"])
    return listener.stop()


def record(calls: int, seed: int, formats: list[str]) -> list[list]:
    rng = random.Random(seed)
    listener = OneDnnListener()
    rows = []
    while len(rows) < calls:
        call = {**draw(rng), "memory_format": rng.choice(formats), "threads": rng.choice(THREADS)}
        if fits(call):
            call["implementation"] = implementation(call, listener)
            rows.append([call[column] for column in COLUMNS])
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--isa", choices=ISAS, help="the best instruction set that oneDNN may use (default: all)")
    parser.add_argument("--calls", type=int, default=120, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.isa and os.environ.get("ONEDNN_MAX_CPU_ISA") != args.isa:
        environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": args.isa}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    brgemm = args.isa not in ("SSE41", "AVX")
    rows = record(args.calls, args.seed, ["contiguous", "contiguous", "channels_last"] if brgemm else ["contiguous"])
    if not any(row[-1] for row in rows):
        raise UserError("oneDNN reported nothing", "torch may be built without it, or with its reports left out")
    machine = {**origin(), "isa": args.isa or ISAS[-1]}
    del machine["threads"]
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    text = f'{{"origin": {json.dumps(machine)},\n "columns": {json.dumps(COLUMNS)},\n "calls": [\n{lines}\n ]}}\n'
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(args.output) as part:
        part.write_text(text)
    ran = sorted({row[-1] for row in rows if row[-1]})
    print(f"{args.output}: {len(rows)} calls, oneDNN's implementations {', '.join(ran)}")
    return 0


if __name__ == "__main__":
    run_main(main)
