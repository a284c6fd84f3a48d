#!/usr/bin/env python3
"""list_known_names.py OUT: the names for which `scan` vouches, read out of the libraries that define them.
list_known_names.py --families: whether the packages of src/scan/known/families.rs are what that file says.

One line a name: KIND MODULE NAME.

    class   made without arguments (NEWOBJ) and given its attributes (BUILD): modules, optimizers, schedulers
    new     made with arguments by __new__: named tuples
    enum    called with a plain value
    record  called with its fields
    value   a function or constant that is only named, never called

Only what a package defines itself is listed, under the module that pickle names. Packages that are not installed are
left out with a warning, so a list for a release is made where all of them are: torch, torchvision, transformers,
accelerate. Nothing that compiles, loads or imports when it is unpickled may be on the list: torch.fx, torch.jit,
torch.package, torch.hub and torch.utils are not walked.
"""
from __future__ import annotations

import enum
import importlib
import inspect
import pkgutil
import re
import sys
import types
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import torch  # noqa: E402

# whole packages: every class that is one of these, or every class
MODULES = ["torch.nn", "torch.ao.nn", "torch.ao.quantization.observer", "torch.ao.quantization.fake_quantize",
           "torch.ao.quantization.stubs", "torchvision.models", "torchvision.ops", "torchvision.transforms"]
OPTIMIZERS = ["torch.optim"]
ALL_CLASSES = ["torch.ao.quantization.qconfig", "torch.nn.utils", "torch.nn.parameter", "torch.amp.grad_scaler",
               "torch.cuda.amp.grad_scaler", "torch.optim.lr_scheduler", "torch.optim.swa_utils",
               "torch.distributed.checkpoint.metadata", "torch.distributed.checkpoint.filesystem",
               "torch.distributed.checkpoint.planner", "torch.distributed.checkpoint._hf_utils",
               "torch.distributions", "torch.distributed._mesh_layout", "torch.distributed.tensor._dtensor_spec",
               "torch.distributed.tensor.placement_types", "torch.distributed.algorithms.join",
               "torch.nn.parallel.distributed", "torchvision.models._api",
               "torchvision.transforms.transforms", "torchvision.models.detection", "torchvision.tv_tensors",
               "torch.utils.data.dataset", "torch.utils.data.sampler"]
FUNCTIONS = ["torch.utils.data._utils.collate", "torchvision.models.optical_flow.raft", "torch.nn.functional", "torch.nn.init", "torch._C._nn", "torchvision.ops.boxes", "torchvision.ops.misc",
             "torchvision.transforms.functional"]
ENUMS = ["torchvision.models", "torchvision.transforms.functional", "transformers.trainer_utils",
         "transformers.training_args", "transformers.utils.generic", "transformers.debug_utils",
         "accelerate.utils.dataclasses", "torch.distributed.checkpoint.metadata"]
# what transformers.Trainer writes into training_args.bin
SINGLE = ["transformers.training_args.TrainingArguments", "transformers.training_args_seq2seq.Seq2SeqTrainingArguments",
          "transformers.trainer_pt_utils.AcceleratorConfig", "accelerate.state.PartialState",
          "accelerate.state.AcceleratorState", "accelerate.utils.dataclasses.DeepSpeedPlugin",
          "accelerate.utils.dataclasses.FullyShardedDataParallelPlugin", "transformers.trainer_callback.TrainerState",
          "torch.distributed.tensor.DTensor", "torch.distributed.device_mesh.DeviceMesh",
          "torch.utils.data.dataloader.DataLoader", "torch.utils.data.dataloader._InfiniteConstantSampler"]
# classes of theirs whose __setstate__ or __new__ does more than to assign attributes, or makes an object of another class
REVIEWED = {
    "torchmetrics.metric.Metric": "wraps two methods of its own",
    "timm.optim": "sets defaults of its parameter groups, as torch.optim does",
    "timm.layers.ml_decoder.TransformerDecoderLayerOptimal": "sets an activation where there is none",
    "ultralytics.nn.modules.block.AAttn": "sets one attribute of old checkpoints",
    "torchmetrics.": "__new__ wants arguments, and makes a metric of another class of its own",
    "diffusers.models.": "__new__ of deprecated names makes an object of the new name",
}
LEFT_OUT = ("torch.nn.utils._expanded_weights", "torch.ao.nn.sparse", "torch.distributed.checkpoint._fsspec")


def walk(name):
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a package that is not installed, or wants one that is not
        print(f"warning: {name} is left out: {error}", file=sys.stderr)
        return
    yield module
    for inner in pkgutil.iter_modules(getattr(module, "__path__", [])):
        full = f"{name}.{inner.name}"
        if not inner.name.startswith("__main") and not full.startswith(LEFT_OUT):
            yield from walk(full)


def own(module, kind):
    for name, value in sorted(vars(module).items()):
        if kind(value) and getattr(value, "__module__", None) == module.__name__ and value.__qualname__ == name:
            yield name, value


def families() -> int:
    """Every class of the families: what runs when it is made by __new__ and given attributes."""
    source = Path(__file__).parent.parent / "src" / "scan" / "known" / "families.rs"
    patterns = re.findall(r'"([\w.*]+)"', source.read_text().split("const RECORDS", 1)[0])
    patterns += ["torchmetrics.**"]
    regexes = [re.compile(p.replace(".", r"\.").replace("**", "MANY").replace("*", r"\w*").replace(r"\.MANY", r"(\.\w+)*") + "$")
               for p in patterns]
    trusted = ("torch.", "builtins", "typing", "collections", "enum", "abc")
    inert = (enum.Enum, tuple)  # whose __new__ keeps a value
    classes = odd = 0
    for package in sorted({p.split(".*")[0].split(".modeling_")[0] for p in patterns}):
        for module in walk(package):
            if not any(r.match(module.__name__) for r in regexes) or ".auto." in module.__name__:
                continue
            for name, value in own(module, inspect.isclass):
                classes += 1
                if issubclass(value, inert):
                    continue
                for base in value.__mro__:
                    full = f"{base.__module__}.{base.__qualname__}"
                    hooks = [hook for hook in ("__setstate__", "__new__", "__del__") if hook in vars(base)]
                    if hooks and not full.startswith(trusted) and not full.startswith(tuple(REVIEWED)):
                        print(f"{module.__name__}.{name}: {full} has {', '.join(hooks)}")
                        odd += 1
    print(f"{classes} classes, {odd} not reviewed", file=sys.stderr)
    return 1 if odd or not classes else 0


def main() -> int:
    if sys.argv[1] == "--families":
        return families()
    found: dict[tuple[str, str], str] = {}

    def add(module, name, value):
        if inspect.isclass(value):
            kind = "enum" if issubclass(value, enum.Enum) else "new" if issubclass(value, tuple) else "class"
        else:
            kind = "value"
        found.setdefault((module, name), kind)

    modules = (torch.nn.Module,)
    optimizers = (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.nn.Module)
    for packages, wanted in ((MODULES, lambda c: issubclass(c, modules)), (OPTIMIZERS, lambda c: issubclass(c, optimizers)),
                             (ALL_CLASSES, lambda c: True), (ENUMS, lambda c: issubclass(c, enum.Enum))):
        for package in packages:
            for module in walk(package):
                for name, value in own(module, inspect.isclass):
                    if wanted(value):
                        add(module.__name__, name, value)
    for package in FUNCTIONS:
        try:
            module = importlib.import_module(package)
        except ImportError:
            module = getattr(torch._C, package.rsplit(".", 1)[-1], None)
        for name, value in sorted(vars(module).items()):
            if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)) and not name.startswith("__"):
                if getattr(value, "__module__", None) in (package, None) and value.__name__ == name:
                    add(package, name, value)
    for full in SINGLE:
        module, name = full.rsplit(".", 1)
        try:
            add(module, name, getattr(importlib.import_module(module), name))
        except (ImportError, AttributeError) as error:
            print(f"warning: {full} is left out: {error}", file=sys.stderr)
    for name, value in sorted(vars(torch.return_types).items()):
        if inspect.isclass(value) and issubclass(value, tuple):
            found[("torch.return_types", name)] = "record"
    constants = (torch.dtype, torch.layout, torch.memory_format, torch.qscheme)
    for name, value in sorted(vars(torch).items()):
        if isinstance(value, constants) and str(value) == f"torch.{name}":
            add("torch", name, value)
        if isinstance(value, torch.memory_format):
            add("torch._utils", f"torch.{name}", value)
        if inspect.isclass(value) and name.endswith("Storage") and name != "UntypedStorage":
            found[("torch", name)] = "value"
    lines = [f"{kind} {module} {name}" for (module, name), kind in sorted(found.items())]
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    print(f"{len(lines)} names, torch {torch.__version__}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
