#!/usr/bin/env python3
"""Speed of Conv2d beside others, layer by layer, in one run on one machine: PyTorch, ONNX Runtime, candle, tract.

    bench_conv.py [--models resnet50,mobilenet_v2,convnext_tiny,questions,growth] [--threads 1] [--rounds 5] [--seconds 0.3]
                  [--batch 1] [--peers torch,onnxruntime,candle,tract] [--binary target/release/pthinspect] [--json OUT]

For each distinct convolution of the models torch computes the output once; `pthinspect verify` must reproduce every bit
of it, or the layer is counted as wrong and the exit code is 1. Then the programs take turns: each round, each of them runs
the layer for a while and its best time counts; of all rounds, again the best. A time holds everything that a call costs once
the operands are in memory: of pthinspect, packing weights and padding included, reading the file excluded. Peers hold their
weights as they like: ONNX Runtime and tract pack them when the session is made, outside the time.

Numbers are GFLOP/s: two for each multiply-add.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from golden_common import UserError, describe_call, origin, run_main, write_golden
from parity.layers import model_calls, module_and_input

import torch

SCRIPTS = Path(__file__).resolve().parent
PEERS = ("torch", "onnxruntime", "candle", "tract")
CARGO = """[package]
name = "bench_probe"
version = "0.0.0"
edition = "2021"

[dependencies]
candle-core = { version = "0.11", optional = true }
tract-onnx = { version = "0.23", optional = true }
rayon = "1"

[features]
candle = ["dep:candle-core"]
tract = ["dep:tract-onnx"]

[profile.release]
debug = false

[workspace]
"""


def call_of(name: str, batch_input: list[int], weight: list[int], padding: int = 0, bias: bool = True) -> dict:
    return dict(name=name, input=batch_input, weight=weight, bias=bias, stride=[1, 1], padding=[padding] * 2, dilation=[1, 1],
                groups=1, padding_mode="zeros", layout="contiguous", weight_layout="contiguous", unbatched=False, offset=0,
                stride_of_input=list(torch.empty(batch_input).stride()), seed=1, special=[])


def question_calls() -> list[dict]:
    """The layers of the questions that people ask: small ones."""
    return [call_of("question1.conv1", [1, 3, 32, 32], [192, 3, 5, 5], 2), call_of("question2.conv1", [1, 1, 28, 28], [10, 1, 5, 5]),
            call_of("question2.conv2", [1, 10, 12, 12], [20, 10, 5, 5])]


def growth_calls() -> list[dict]:
    """One layer whose batch grows, then its channels, then its image."""
    def layer(batch: int, channels: int, image: int) -> dict:
        return call_of("growth", [batch, channels, image, image], [channels, channels, 3, 3], 1, bias=False)
    return ([layer(batch, 64, 28) for batch in (1, 2, 4, 8, 16, 32, 64)] + [layer(1, channels, 14) for channels in (16, 32, 64, 128, 256, 512, 1024, 2048)]
            + [layer(1, 16, image) for image in (7, 14, 28, 56, 112, 224, 448, 1024)])


def calls(args) -> list[dict]:
    own = {"questions": question_calls, "growth": growth_calls}
    found, seen = [], set()
    for name in args.models.split(","):
        for call in own[name]() if name in own else model_calls(name, [args.batch], "contiguous"):
            key = json.dumps([call[k] for k in ("input", "weight", "bias", "stride", "padding", "dilation", "groups", "padding_mode")])
            if key not in seen:
                seen.add(key)
                found.append(call)
    return found


def describe(call: dict) -> str:
    o, i, h, w = call["weight"]
    stride = f" s{call['stride'][0]}" if call["stride"][0] > 1 else ""
    groups = f" g{call['groups']}" if call["groups"] > 1 else ""
    batch = f", batch {call['input'][0]}" if call["input"][0] > 1 else ""
    return f"{h}x{w}{stride} {i * call['groups']}→{o}{groups}, {call['input'][2]}x{call['input'][3]}{batch}"


def flops(call: dict, output) -> float:
    return 2.0 * output.numel() * math.prod(call["weight"][1:])


class Torch:
    name = "PyTorch " + torch.__version__.split("+")[0]

    def __init__(self, conv, x, folder, args):
        self.conv, self.x = conv, x

    def best(self, seconds: float) -> float:
        with torch.inference_mode():
            return best_of(lambda: self.conv(self.x), seconds)


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, conv, x, folder, args):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
        self.session = onnxruntime.InferenceSession(str(folder / "layer.onnx"), options, providers=["CPUExecutionProvider"])
        self.feed = {"x": x.numpy()}

    def best(self, seconds: float) -> float:
        return best_of(lambda: self.session.run(None, self.feed), seconds)


def best_of(run, seconds: float) -> float:
    best, end = math.inf, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


class Probe:
    """A Rust program that runs the layer with another crate: `bench_probe READER FOLDER SECONDS`."""

    def __init__(self, conv, x, folder, args):
        self.folder, self.args = folder, args

    def best(self, seconds: float) -> float:
        done = subprocess.run([str(self.args.probe), self.key, str(self.folder), str(seconds), str(self.args.threads)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
        return float(done.stdout)


class Candle(Probe):
    name, key = "candle 0.11", "candle"


class Tract(Probe):
    name, key = "tract 0.23", "tract"


class Ours:
    name = "pthinspect"

    def __init__(self, folder, args, guess: float):
        self.file, self.args, self.order = folder / "layer.golden.safetensors", args, None
        self.guess = guess

    def best(self, seconds: float) -> float:
        repeat = max(3, min(2000, int(seconds / max(self.guess, 1e-6))))
        words = [str(self.args.binary), "verify", str(self.file), "--json", "--threads", str(self.args.threads), "--repeat", str(repeat)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise UserError(done.stderr.strip())
        case = json.loads(done.stdout)["cases"][0]
        self.status, self.order, self.chosen_by = case["status"], case["order"], case["chosen_by"]
        self.guess = min(self.guess, *case["seconds"])  # as long as the others from now on
        return min(case["seconds"])


def write_onnx(conv, x, path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    names = ["x", "w"] + (["b"] if conv.bias is not None else [])
    tensors = [numpy_helper.from_array(conv.weight.detach().numpy(), "w")]
    if conv.bias is not None:
        tensors.append(numpy_helper.from_array(conv.bias.detach().numpy(), "b"))
    pads = list(conv.padding) * 2
    node = helper.make_node("Conv", names, ["y"], strides=list(conv.stride), pads=pads, dilations=list(conv.dilation), group=conv.groups,
                            kernel_shape=list(conv.kernel_size))
    graph = helper.make_graph([node], "layer", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def write_raw(conv, x, folder: Path) -> None:
    """For the probe: sizes as text, operands as bytes."""
    sizes = [*x.shape, *conv.weight.shape, conv.stride[0], conv.padding[0], conv.dilation[0], conv.groups, int(conv.bias is not None)]
    (folder / "sizes.txt").write_text(" ".join(map(str, sizes)))
    (folder / "x.raw").write_bytes(x.contiguous().numpy().tobytes())
    (folder / "w.raw").write_bytes(conv.weight.detach().contiguous().numpy().tobytes())
    if conv.bias is not None:
        (folder / "b.raw").write_bytes(conv.bias.detach().numpy().tobytes())


def build_probe(folder: Path, peers: list[str]) -> Path:
    wanted = [peer for peer in ("candle", "tract") if peer in peers]
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text(CARGO)
    shutil.copy(SCRIPTS / "bench_probe.rs", folder / "src" / "main.rs")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder / "target"), "RUSTFLAGS": "-C target-cpu=native"}
    subprocess.run(["cargo", "build", "--release", "--quiet", *(["--features", ",".join(wanted)] if wanted else [])], cwd=folder, env=environment, check=True)
    return folder / "target" / "release" / "bench_probe"


def measure_peak(args) -> float:
    words = [str(args.probe), "peak", "-", "0.05", str(args.threads)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def measure(call: dict, folder: Path, args) -> dict:
    conv, x = module_and_input(call, torch.float32)
    x = x.contiguous()
    with torch.inference_mode():
        output = conv(x)
    tensors = {"layer.input": x, "layer.output": output, "layer.weight": conv.weight}
    if conv.bias is not None:
        tensors["layer.bias"] = conv.bias
    case = describe_call("layer", x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    write_golden(folder / "layer.golden.safetensors", [case], tensors, origin())
    if any(peer in args.peers for peer in ("onnxruntime", "tract")):
        write_onnx(conv, x, folder / "layer.onnx")
    write_raw(conv, x, folder)
    kinds = {"torch": Torch, "onnxruntime": OnnxRuntime, "candle": Candle, "tract": Tract}
    work = flops(call, output)
    runners = {"pthinspect": Ours(folder, args, work / 4e10)}
    failed = {}
    for peer in args.peers:
        try:
            runners[peer] = kinds[peer](conv, x, folder, args)
        except Exception as error:
            failed[peer] = str(error).splitlines()[0]
    times = {name: math.inf for name in runners}
    for _ in range(args.rounds):
        for name, runner in runners.items():
            time.sleep(args.rest)
            try:
                times[name] = min(times[name], runner.best(args.seconds))
            except RuntimeError as error:
                failed[name] = str(error)
    ours = runners["pthinspect"]
    speed = {name: work / 1e9 / seconds for name, seconds in times.items() if seconds < math.inf}
    return dict(name=call["name"], layer=describe(call), gflops=work / 1e9, speed=speed, order=ours.order, status=ours.status,
                chosen_by=ours.chosen_by, failed=failed)


def mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def report(rows: list[dict], args) -> str:
    names = ["pthinspect", *args.peers]
    lines = ["| layer | " + " | ".join(names) + " | of peak | of " + " | of ".join(args.peers) + " | order |", "| --- |" + " ---: |" * (2 * len(names)) + " --- |"]
    for row in rows:
        speed = [row["speed"].get(name) for name in names]
        cells = [f"{value:.1f}" if value else "-" for value in speed]
        ratios = [f"{speed[0] / args.peak:.2f}"] + [f"{speed[0] / value:.2f}" if value else "-" for value in speed[1:]]
        same = "" if row["status"] == "identical" else f" **{row['status']}**"
        lines.append(f"| {row['layer']} | " + " | ".join(cells + ratios) + f" | {row['order']}{same} |")
    lines.append("")
    for model in args.models.split(","):
        chosen = [row for row in rows if row["name"].startswith(model.rstrip("s"))]
        for peer in args.peers:
            ratios = [row["speed"]["pthinspect"] / row["speed"][peer] for row in chosen if peer in row["speed"]]
            if ratios:
                lines.append(f"{model}: {mean(ratios):.2f} x {peer} (geometric mean of {len(ratios)} layers; least {min(ratios):.2f}, most {max(ratios):.2f})")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", default="resnet50,mobilenet_v2,convnext_tiny,questions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--binary", type=Path, default=Path("target/release/pthinspect"))
    parser.add_argument("--rest", type=float, default=0.1, help="seconds between two programs: a peer's threads spin for a while after its last call")
    parser.add_argument("--work", type=Path, help="where the probe is compiled, kept (default: a temporary folder)")
    parser.add_argument("--most", type=int, help="only the first so many layers")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.peers = [peer for peer in args.peers.split(",") if peer]
    torch.set_num_threads(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        args.probe = build_probe(args.work or Path(temporary) / "probe", args.peers)
        args.peak = 0.0
        for call in calls(args)[:args.most]:
            row = measure(call, Path(temporary), args)
            rows.append(row)
            args.peak = max(args.peak, measure_peak(args))
            print(f"{row['layer']}: " + ", ".join(f"{name} {value:.1f}" for name, value in row["speed"].items()) + f" GFLOP/s, {row['status']}",
                  *(f"({peer}: {why})" for peer, why in row["failed"].items()), file=sys.stderr, flush=True)
    print(f"{args.threads} thread{'s' * (args.threads > 1)}, GFLOP/s, best of {args.rounds} rounds; {Torch.name}; "
          f"peak of fused multiply-adds {args.peak:.0f}\n")
    print(report(rows, args))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return int(any(row["status"] != "identical" for row in rows))


if __name__ == "__main__":
    run_main(main)
