#!/usr/bin/env python3
"""Compare pthinspect with the PyTorch that is installed here, bit for bit.

    live_parity.py                                   resnet18 and mobilenet_v2, batch 1, threads 1 and 2, 60 random layers
    live_parity.py --models vgg11,densenet121 --batches 1,2 --random 0
    live_parity.py --isa AVX2                        the same with ONEDNN_MAX_CPU_ISA=AVX2
    live_parity.py --no-origin                       nothing said about where the outputs come from: the order is searched

Captures every distinct Conv2d call in processes of their own (threads and ISA are a process's), has `pthinspect verify`
replay them, and prints how many came out identical and how many were predicted. Exit 0 only if all of them did.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path.insert(0, str(SCRIPTS))
from golden_common import KERNEL_ENVIRONMENT, METADATA_KEY, UserError, run_main

BINARY = SCRIPTS.parent / "target" / "release" / "pthinspect"


@dataclass
class Job:
    """One capturing process and the golden it leaves."""

    label: str
    threads: int
    isa: str
    argv: list[str]
    golden: Path


# ---------------------------------------------------------------------------------------------------------------
# Random layers


def random_layer(draw: random.Random):
    """The arguments of a Conv2d and an input's shape; every draw is a layer that torch accepts."""
    while True:
        kernel = [draw.choice([1, 1, 2, 3, 3, 3, 4, 5, 6, 7])] * 2
        if draw.random() < 0.25:
            kernel[1] = draw.randint(1, 7)
        stride = [draw.choice([1, 1, 1, 2, 3])] * 2
        if draw.random() < 0.15:
            stride[1] = draw.randint(1, 3)
        dilation = [draw.choice([1, 1, 1, 1, 2, 3])] * 2
        groups = 1
        kind = draw.random()
        if kind < 0.6:
            c_in, c_out = draw.randint(1, 90), draw.randint(1, 70)
        elif kind < 0.8:
            groups = draw.randint(2, 6)
            c_in, c_out = groups * draw.randint(1, 20), groups * draw.randint(1, 20)
        else:
            groups = c_in = draw.randint(2, 70)
            c_out = groups * draw.choice([1, 1, 1, 2])
        if kernel == [1, 1] and draw.random() < 0.4:
            c_in, c_out, groups = draw.randint(100, 700), draw.randint(4, 60), 1
        batch = draw.choice([1, 1, 1, 1, 2, 3, 5, 16, 17])
        size = [draw.randint(1, 32), draw.randint(1, 32)]
        extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
        mode = draw.choice(["zeros"] * 6 + ["reflect", "replicate", "circular"])
        word = draw.random()
        if word < 0.15 and stride == [1, 1]:
            padding, sides = "same", [e // 2 for e in extent]
        elif word < 0.25:
            padding, sides = "valid", [0, 0]
        else:
            padding = sides = [draw.choice([0, e // 2, e // 2, draw.randint(0, e)]) for e in extent]
        if any(s + 2 * p < e for s, p, e in zip(size, sides, extent)):
            continue
        if mode != "zeros" and any(p >= s for s, p in zip(size, sides)):
            continue
        work = batch * c_out * (c_in // groups) * kernel[0] * kernel[1] * size[0] * size[1]
        if work > 60_000_000 or batch * c_in * size[0] * size[1] > 600_000:
            continue
        options = dict(stride=tuple(stride), padding=padding if isinstance(padding, str) else tuple(padding),
                       dilation=tuple(dilation), groups=groups, bias=draw.random() < 0.7, padding_mode=mode)
        return (c_in, c_out, tuple(kernel), options), (batch, c_in, *size)


def capture_random(args) -> int:
    """The capturing process for the random layers of one thread count."""
    import torch
    from torch import nn
    from capture_golden import capture

    torch.set_num_threads(args.threads[0])
    torch.manual_seed(args.seed)
    draw = random.Random(args.seed)
    layers = {f"random{index:03}": random_layer(draw) for index in range(args.random)}
    first, step = args.every
    chosen = {name: layers[name] for name in list(layers)[first::step]}
    net = nn.ModuleDict({name: nn.Conv2d(c_in, c_out, kernel, **options)
                         for name, ((c_in, c_out, kernel, options), _) in chosen.items()})
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)
    with capture(net, args.capture_random):
        for name, (_, shape) in chosen.items():
            net[name](torch.randn(shape).to(memory_format=layout))
    return 0


# ---------------------------------------------------------------------------------------------------------------
# Capturing and verifying


def jobs(args, folder: Path) -> list[Job]:
    planned = []
    layout = ["--channels-last"] if args.channels_last else []
    for isa in args.isa:
        for threads in args.threads:
            for model in args.models:
                for batch in args.batches:
                    golden = folder / f"{model}.b{batch}.t{threads}.{isa}.golden.safetensors"
                    argv = [str(SCRIPTS / "capture_golden.py"), "--model", f"torchvision:{model}", "--batch", str(batch),
                            "--threads", str(threads), "--seed", str(args.seed), "--distinct",
                            "--image-size", args.image_size, "--output", str(golden), *layout]
                    planned.append(Job(f"{model}, batch {batch}", threads, isa, argv, golden))
        for index, threads in enumerate(args.threads):
            count = len(range(index, args.random, len(args.threads)))
            if count:
                golden = folder / f"random.s{args.seed}.t{threads}.{isa}.golden.safetensors"
                argv = [str(Path(__file__).resolve()), "--capture-random", str(golden), "--threads", str(threads),
                        "--every", f"{index},{len(args.threads)}", "--random", str(args.random),
                        "--seed", str(args.seed), *layout]
                planned.append(Job("random layers", threads, isa, argv, golden))
    return planned


def capture_all(job: Job) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in KERNEL_ENVIRONMENT}
    if job.isa != "native":
        environment["ONEDNN_MAX_CPU_ISA"] = job.isa
    done = subprocess.run([sys.executable, "-W", "ignore", *job.argv], env=environment, text=True, capture_output=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])
        cause = next((line for line in said if line.startswith("error:")), said[-1])
        raise UserError(f"capturing {job.label} with {job.threads} threads failed: {cause.removeprefix('error: ')}")


def golden_header(path: Path) -> tuple[dict, int]:
    with path.open("rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        return json.loads(f.read(length)), 8 + length


def forget_origin(path: Path) -> None:
    """Take out of a golden everything that says or hints where its outputs were computed."""
    header, begin = golden_header(path)
    meta = json.loads(header["__metadata__"][METADATA_KEY])
    meta.pop("origin", None)
    for case in meta["cases"]:
        for key in ("origin", "backend", "implementation"):
            case.pop(key, None)
    header["__metadata__"][METADATA_KEY] = json.dumps(meta)
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    part = path.with_suffix(".part")
    with path.open("rb") as source, part.open("wb") as target:
        source.seek(begin)
        target.write(struct.pack("<Q", len(raw)) + raw)
        shutil.copyfileobj(source, target)
    part.replace(path)


def verify(binary: Path, golden: Path) -> list[dict]:
    done = subprocess.run([str(binary), "verify", str(golden), "--json"], text=True, capture_output=True)
    if done.returncode not in (0, 1):
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise UserError(f"{binary.name} verify {golden.name} ended with {done.returncode}: "
                        f"{said[0].removeprefix('error: ')}")
    try:
        return json.loads(done.stdout)["cases"]
    except (json.JSONDecodeError, KeyError) as error:
        raise UserError(f"{binary.name} verify {golden.name} --json gave no such JSON as it should: {error}") from error


# ---------------------------------------------------------------------------------------------------------------
# Telling


def geometry(golden: Path, name: str) -> str:
    header, _ = golden_header(golden)
    meta = json.loads(header["__metadata__"][METADATA_KEY])
    case = next(case for case in meta["cases"] if case["name"] == name)
    shape = lambda part: "x".join(map(str, header[f"{name}.{part}"]["shape"]))
    pair = lambda key: case[key] if isinstance(case[key], str) else "x".join(map(str, case[key]))
    words = [f"input {shape('input')}", f"weight {shape('weight')}", f"stride {pair('stride')}",
             f"padding {pair('padding')}", f"dilation {pair('dilation')}", f"groups {case['groups']}"]
    if case["padding_mode"] != "zeros":
        words.append(case["padding_mode"])
    if f"{name}.bias" not in header:
        words.append("no bias")
    if case.get("memory_format") == "channels_last":
        words.append("channels_last")
    words += [case[key] for key in ("backend", "implementation") if key in case]
    return ", ".join(words)


def told(case: dict) -> str:
    words = [case["status"], f"order {case.get('order')}", f"chosen by {case.get('chosen_by')}",
             f"{case.get('identical')} of {case.get('elements')} identical", f"max {case.get('max_ulp')} ulp"]
    first = case.get("first_difference")
    if first:
        words.append(f"first at {first['index']}: {first['expected']} expected, {first['actual']} computed")
    if case.get("error"):
        words.append(str(case["error"]))
    return ", ".join(words)


def columns(rows: list[list[str]]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]),
                                *(cell.rjust(width) for cell, width in zip(row[2:-1], widths[2:])), row[-1]]) for row in rows)


def arguments():
    def words(text):
        return [word for word in text.split(",") if word]

    def numbers(text):
        return [int(word) for word in words(text)]

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="examples:\n" + __doc__.split("\n\n")[1])
    parser.add_argument("--binary", type=Path, default=BINARY, metavar="PATH", help="default: target/release/pthinspect")
    parser.add_argument("--models", type=words, default=["resnet18", "mobilenet_v2"], metavar="A,B", help="torchvision's names")
    parser.add_argument("--batches", type=numbers, default=[1], metavar="N,N")
    parser.add_argument("--threads", type=numbers, default=[1, 2], metavar="T,T")
    parser.add_argument("--image-size", default="224", metavar="S|H,W")
    parser.add_argument("--random", type=int, default=60, metavar="N", help="random layers, dealt out over --threads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--isa", type=words, default=["native"], metavar="AVX2,...",
                        help="ONEDNN_MAX_CPU_ISA for the capture; 'native' sets nothing")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--no-origin", action="store_true", help="remove the origin first: the order has to be found")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the goldens there")
    parser.add_argument("--capture-random", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--every", type=numbers, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.capture_random:
        return capture_random(args)
    args.binary = args.binary.resolve()
    if not args.binary.is_file():
        raise UserError(f"{args.binary} does not exist", "cargo build --release, or --binary PATH")
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="live_parity."))
    try:
        return compare(args, folder)
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


def compare(args, folder: Path) -> int:
    rows = [["set", "threads", "cases", "identical", "predicted", "seconds", "orders"]]
    exceptions, total = [], Counter()
    for job in jobs(args, folder):
        capture_all(job)
        if args.no_origin:
            forget_origin(job.golden)
        began = time.monotonic()
        cases = verify(args.binary, job.golden)
        took = time.monotonic() - began
        expected = {case["name"] for case in json.loads(golden_header(job.golden)[0]["__metadata__"][METADATA_KEY])["cases"]}
        if {case["name"] for case in cases} != expected:
            raise UserError(f"verify reported {len(cases)} of the {len(expected)} cases of {job.golden.name}")
        identical = [case for case in cases if case["status"] == "identical"]
        predicted = [case for case in identical if case["chosen_by"] == "origin"]
        orders = Counter(case.get("order") or "none" for case in cases)
        label = job.label if job.isa == "native" else f"{job.label}, {job.isa}"
        rows.append([label, str(job.threads), str(len(cases)), str(len(identical)), str(len(predicted)), f"{took:.1f}",
                     ", ".join(f"{order} {count}" for order, count in orders.most_common())])
        total += Counter(cases=len(cases), identical=len(identical), predicted=len(predicted))
        good = identical if args.no_origin else predicted
        exceptions += [f"{label}, {job.threads} threads: {case['name']}: {geometry(job.golden, case['name'])}\n    {told(case)}"
                       for case in cases if case not in good]
        if not args.keep:
            job.golden.unlink()
    print(columns(rows))
    print(f"\n{total['cases']} cases, {total['identical']} identical, {total['predicted']} predicted from the origin")
    if exceptions:
        print(f"\n{len(exceptions)} exceptions:")
        print("\n".join(exceptions))
    return 1 if exceptions else 0


if __name__ == "__main__":
    run_main(main)
