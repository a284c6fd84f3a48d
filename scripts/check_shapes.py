#!/usr/bin/env python3
"""Hold `pthinspect shapes` against live torch: every convolution's and fully connected layer's output, to the end.

    check_shapes.py [--models GLOB] [--forms module,script,trace,export,dynamic] [--binary target/release/pthinspect]
                    [--folder FOLDER] [--list]

For each of torchvision's classification models, written as a pickled module, a scripted and a traced TorchScript file and
exported programs (fixed, and with free sizes), and for each of several inputs (the size it was made for, another size and
batch, one too small): torch runs the model on meta tensors with hooks on every Conv2d and Linear, pthinspect walks the
file, and both must name the same outputs of the same modules in the same order, the same final shape, or both break.
Multiply-adds are held against torch.utils.flop_counter (which counts two for each) for the first input.

Weights are single zeros expanded to their shapes, so the files are small and their shapes are real.
"""
from __future__ import annotations

import argparse
import fnmatch
import json
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

warnings.filterwarnings("ignore")
FORMS = {"module": ".pth", "script": "_script.pt", "trace": "_trace.pt", "export": ".pt2", "dynamic": "_dynamic.pt2"}
SIZE = {"inception_v3": 299}
SMALL = 7


def build(name: str) -> nn.Module:
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, **arguments).eval()
    for module in model.modules():
        for key, value in module._parameters.items():
            if value is not None:
                module._parameters[key] = nn.Parameter(torch.zeros(1, dtype=value.dtype).expand(value.shape))
        for key, value in module._buffers.items():
            if value is not None and value.dim() and key != "relative_position_index":
                module._buffers[key] = torch.zeros(1, dtype=value.dtype).expand(value.shape)
            elif value is not None:
                module._buffers[key] = torch.zeros(value.shape, dtype=value.dtype)
    return model


def write(model: nn.Module, form: str, path: Path, size: int) -> None:
    x = torch.zeros(1).expand(1, 3, size, size)
    if form == "module":
        torch.save(model, path)
    elif form == "script":
        torch.jit.script(model).save(str(path))
    elif form == "trace":
        with torch.no_grad():
            torch.jit.trace(model, x, check_trace=False).save(str(path))
    elif form == "export":
        torch.export.save(torch.export.export(model, (x,)), str(path))
    else:
        auto = torch.export.Dim.AUTO
        program = torch.export.export(model, (x.expand(2, -1, -1, -1),), dynamic_shapes=({0: auto, 2: auto, 3: auto},))
        torch.export.save(program, str(path))


def live(model: nn.Module, shape: tuple) -> dict:
    """What torch makes of an input of that shape: the outputs of convolutions and fully connected layers in order."""
    calls, hooks = [], []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            hook = lambda _, __, output, name=name: calls.append((name, list(output.shape)))
            hooks.append(module.register_forward_hook(hook))
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            output = model(torch.empty(shape, device="meta"))
        end, flops = list(output.shape), counter.get_total_flops()
    except Exception as error:  # whatever torch refuses with
        end, flops = f"{type(error).__name__}: {error}".splitlines()[0], 0
    for hook in hooks:
        hook.remove()
    return {"calls": calls, "end": end, "macs": flops // 2}


def walk(binary: Path, path: Path, shape: tuple) -> dict:
    words = [str(binary), "shapes", str(path), "--json", "--no-fits", "--input", ",".join(map(str, shape))]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        return {"calls": [], "end": f"exit {done.returncode}: {done.stderr.strip()}", "macs": 0, "verdict": "error"}
    found = json.loads(done.stdout)
    calls = [(step["module"], step["outputs"][0]["shape"]) for step in found["steps"]
             if step["op"].rstrip("_") in ("conv2d", "_convolution", "convolution", "linear") and step["outputs"]]
    end = found["outputs"][0] if found["outputs"] and found["verdict"] == "fits" else None
    if found["broken"]:
        end = f"{found['broken']['module']}: {found['broken']['why']}"
    unknown = [f"{step['step']} {step['module']} {step['op']}: {step['unknown']}" for step in found["steps"] if step["unknown"]]
    return {"calls": calls, "end": end, "macs": found["totals"]["macs"], "verdict": found["verdict"],
            "unknown": unknown, "parameters": found["totals"]["parameters"]}


def compare(torch_says: dict, we_say: dict, with_macs: bool, refused: bool) -> list[str]:
    wrong = []
    if we_say.get("unknown"):
        wrong.append(f"not known: {we_say['unknown'][0]}")
    if refused:
        if we_say["verdict"] != "breaks":
            wrong.append(f"the exported program takes no such input, we say {we_say['end']}")
    elif isinstance(torch_says["end"], str):
        if we_say["verdict"] != "breaks":
            wrong.append(f"torch breaks ({torch_says['end'][:90]}), we say {we_say['end']}")
    elif torch_says["end"] != we_say["end"]:
        wrong.append(f"torch ends with {torch_says['end']}, we with {we_say['end']}")
    ours = {}
    for name, shape in we_say["calls"]:
        ours.setdefault(name, []).append(shape)
    theirs = {}
    for name, shape in torch_says["calls"]:
        theirs.setdefault(name, []).append(shape)
    for name, shapes in theirs.items():
        if ours.get(name) != shapes:
            wrong.append(f"{name}: torch {shapes}, we {ours.get(name)}")
    # attention calls its projections without their modules: their order is compared for what torch names
    order = [name for name, _ in we_say["calls"] if name in theirs]
    if order != [name for name, _ in torch_says["calls"]] and not wrong:
        wrong.append("the order differs")
    if with_macs and not wrong and torch_says["macs"] != we_say["macs"]:
        wrong.append(f"multiply-adds: torch {torch_says['macs']}, we {we_say['macs']}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", default="*", metavar="GLOB", help="several with commas")
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--binary", type=Path, default=Path("target/release/pthinspect"))
    parser.add_argument("--folder", type=Path, help="keep the files there, and use those that are there")
    parser.add_argument("--list", action="store_true", help="only name the models")
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in torchvision.models.list_models(module=torchvision.models)
             if any(fnmatch.fnmatchcase(name, glob) for glob in args.models.split(","))]
    if args.list:
        print(*names)
        return 0
    failed = checked = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            size = SIZE.get(name, 224)
            model = build(name)
            on_meta = torchvision.models.get_model(name, **({"init_weights": False} if "inception" in name or "googlenet" in name else {})).eval().to("meta")
            inputs = [(1, 3, size, size), (3, 3, size + 41, size + 72), (1, 3, SMALL, SMALL), (1, 4, size, size)]
            torch_says = [live(on_meta, shape) for shape in inputs]
            parameters = sum(p.numel() for p in model.parameters())
            for form in args.forms.split(","):
                path = folder / f"{name}{FORMS[form]}"
                try:
                    if not path.exists():
                        write(model, form, path, size)
                except Exception as error:
                    print(f"skipped: {path.name} cannot be made: {str(error).splitlines()[0][:100]}")
                    continue
                for number, shape in enumerate(inputs):
                    # a trace keeps the sizes it saw, a program with free sizes what it guards: only the first is binding
                    if number and form in ("trace", "dynamic") and not is_same_there(form, path, shape):
                        continue
                    refused = form == "export" and number > 0
                    says = torch_says[number]
                    found = walk(args.binary, path, shape)
                    wrong = compare(says if not refused else {**says, "calls": []}, found, number == 0, refused)
                    if number == 0 and found.get("parameters") != parameters:
                        wrong.append(f"parameters: torch {parameters}, we {found.get('parameters')}")
                    checked += 1
                    failed += bool(wrong)
                    for line in wrong[:3]:
                        print(f"WRONG {path.name} {shape}: {line}")
            print(f"{name}: {checked} walks so far, {failed} wrong", flush=True)
    print(f"{checked} walks, {failed} wrong")
    return 1 if failed else 0


def is_same_there(form: str, path: Path, shape: tuple) -> bool:
    """Whether the file itself, run by torch, takes the input (or refuses it) as the model does: hooks see the model."""
    # sizes that tracing or export turned into numbers are the file's own; what it does then is not the model's
    try:
        if form == "trace":
            with torch.no_grad():
                torch.jit.load(str(path), map_location="meta")(torch.empty(shape, device="meta"))
        else:
            torch.export.load(str(path)).module()(torch.zeros(1).expand(shape))
    except Exception:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
