#!/usr/bin/env python3
"""Record what PyTorch's convolutions and Linear layers really computed, for `pthinspect verify` to replay bit for bit.

As a command:

    capture_golden.py --model torchvision:resnet18 --batch 1 --threads 2 --seed 0 --output resnet18.golden.safetensors
    capture_golden.py --factory my_package.models:build --checkpoint weights.pth --input x.npy --output G.safetensors
    capture_golden.py --checkpoint whole_module.pt --trust-pickle --output G.safetensors

As an import:

    from capture_golden import capture
    with capture(model, "G.safetensors") as golden:
        model(x)
    print(golden.cases)

Every call of every nn.Conv2d, Conv1d, Conv3d, ConvTranspose2d and Linear becomes a case named after its module; the second
call of the same module is `NAME#2`. --ops chooses.
"""
from __future__ import annotations

import argparse
import difflib
import fnmatch
import importlib
import importlib.util
import inspect
import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from golden_common import (AXES, OPS, OneDnnListener, UserError, check_folder, describe_call, one_line, op_of, origin,
                           run_main, size_text, whole_file, write_golden)

import torch
import torch.nn.functional as F
from torch import nn

#: Where a model that is itself a layer, and so has no name, puts its one layer.
ROOT_NAME = "conv"


# ---------------------------------------------------------------------------------------------------------------
# Capturing


class Capture:
    """The cases seen so far; `path` is written when the `with` block of `capture` ends well."""

    def __init__(self, path, layers=None, distinct=False, with_weights=True, ops=None):
        self.path = path
        self.cases: list[dict] = []
        self.tensors: dict[str, torch.Tensor] = {}
        self.skipped: list[str] = []
        self.origin: dict | None = None
        self._ops = list(OPS) if ops is None else ops
        self._layers = [layers] if isinstance(layers, str) else layers
        self._distinct = distinct
        self._with_weights = with_weights
        self._calls: dict[str, int] = {}
        self._seen: set = set()
        self._listener = OneDnnListener()
        self._model: nn.Module | None = None

    def attach(self, model: nn.Module) -> list:
        self._model = model
        hooks = []
        for name, module in model.named_modules():
            if op_of(module) in self._ops and self._wanted(name):
                hooks += self.watch(module, name or ROOT_NAME)
        if not hooks:
            names = [name for name, module in model.named_modules() if op_of(module) in self._ops]
            raise UserError(f"the model has no {kinds(self._ops)} layer" if not names else
                            f"no such layer is named {' or '.join(self._layers)}; there are {', '.join(names[:8])}"
                            + (", ..." if len(names) > 8 else ""))
        return hooks

    def watch(self, conv: nn.Module, name: str) -> list:
        """Record the calls of one layer as `name`; gives the hooks, to be removed at the end."""
        return [conv.register_forward_pre_hook(self._before), conv.register_forward_hook(self._after(name))]

    def _wanted(self, name: str) -> bool:
        return self._layers is None or any(fnmatch.fnmatchcase(name or ROOT_NAME, glob) for glob in self._layers)

    def _before(self, module, args) -> None:
        self._listener.start()

    def _after(self, name: str):
        def hook(module, args, output):
            implementation = self._listener.stop()
            self._record(name, module, args[0], output, implementation)
        return hook

    def _record(self, name, conv, x, output, implementation) -> None:
        self._calls[name] = self._calls.get(name, 0) + 1
        if self._calls[name] > 1:
            name = f"{name}#{self._calls[name]}"
        if torch.is_autocast_enabled():
            raise UserError(f"{name} runs under autocast, which hides the tensors that the convolution really gets",
                            "capture without autocast, in the dtype you want: model.to(torch.bfloat16)")
        weight, bias, op = conv.weight, conv.bias, op_of(conv)
        if op == "linear":
            case = describe_call(name, x, weight, bias, None, None, None, None, None, op)
        else:
            case = describe_call(name, x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups,
                                 conv.padding_mode, op, output_padding_of(conv, x, output))
        if implementation:
            case["implementation"] = implementation
        here = origin(x.device.type)
        if self.origin is None:
            self.origin = here
        elif here != self.origin:
            case["origin"] = {key: value for key, value in here.items() if self.origin.get(key) != value}

        key = (tuple(x.shape), x.dtype, tuple(weight.shape), bias is not None,
               str({k: v for k, v in case.items() if k != "name"}))
        if self._distinct and key in self._seen:
            return
        if does_more(conv) and not repeats(conv, x, output):
            self.skipped.append(name)
            print(f"warning: {name} ({type(conv).__name__}) computes more than a {OPS[op][0]} of its weight; left out",
                  file=sys.stderr)
            return
        self._seen.add(key)
        self.cases.append(case)
        batched = [t if op == "linear" or t.dim() == AXES[op] + 2 else t.unsqueeze(0) for t in (x, output)]
        self._keep(f"{name}.input", batched[0])
        self._keep(f"{name}.output", batched[1])
        for part, tensor in (("weight", weight), ("bias", bias)):
            if tensor is not None and (self._with_weights or not self._in_checkpoint(f"{name}.{part}", tensor)):
                self._keep(f"{name}.{part}", tensor)

    def _in_checkpoint(self, name, tensor) -> bool:
        """Would the model's state_dict give this very tensor under this very name?"""
        saved = self._model.state_dict().get(name)
        return saved is not None and torch.equal(saved, tensor)

    def _keep(self, name, tensor) -> None:
        self.tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)

    def write(self) -> None:
        if not self.cases:
            plain = "plain " if self.skipped else ""
            raise UserError(f"no {plain}{kinds(self._ops)} ran", "call model(x) in the block")
        if OneDnnListener.isa:
            self.origin["onednn_isa"] = OneDnnListener.isa
        write_golden(self.path, self.cases, self.tensors, self.origin)


def kinds(ops) -> str:
    *first, last = [OPS[op][0] for op in ops]
    return f"{', '.join(first)} or {last}" if first else last


def output_padding_of(conv, x, output) -> list[int] | None:
    """What a transposed convolution really took: `forward` may be given the output's size instead."""
    if op_of(conv) != "conv_transpose2d":
        return None
    sizes = zip(x.shape[-2:], output.shape[-2:], conv.stride, conv.padding, conv.dilation, conv.kernel_size)
    return [out - ((size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
            for size, out, stride, padding, dilation, kernel in sizes]


def does_more(conv: nn.Module) -> bool:
    kind, plain = type(conv), getattr(nn, OPS[op_of(conv)][0])
    inner = "_conv_forward"
    return kind.forward is not plain.forward or getattr(kind, inner, None) is not getattr(plain, inner, None)


def repeats(conv: nn.Module, x, output) -> bool:
    """Does a plain layer of the module's weight give the same bits? Subclasses may do anything in between."""
    op = op_of(conv)
    try:
        if op == "linear":
            again = F.linear(x, conv.weight, conv.bias)
        elif op == "conv_transpose2d":
            again = F.conv_transpose2d(x, conv.weight, conv.bias, conv.stride, conv.padding,
                                       output_padding_of(conv, x, output), conv.groups, conv.dilation)
        else:
            again = getattr(nn, OPS[op][0])._conv_forward(conv, x, conv.weight, conv.bias)
    except Exception:
        return False
    return isinstance(output, torch.Tensor) and again.shape == output.shape and torch.equal(again, output)


@contextmanager
def capture(model: nn.Module, path, layers=None, distinct=False, with_weights=True, ops=None):
    """Record every call of a layer made inside the block and write `path` at its end.

    layers        a glob or a list of globs over module names; all by default
    distinct      only one case per distinct call (shapes and hyperparameters)
    ops           the golden file's words for the kinds of layers: a list of some of OPS; all by default
    with_weights  False: weights are left out where the model's state_dict holds them under the same names
    The block runs in inference mode.
    """
    check_folder(path)
    seen = Capture(path, layers, distinct, with_weights, ops)
    hooks = seen.attach(model)
    try:
        with torch.inference_mode():
            yield seen
    finally:
        seen._listener.stop()
        for hook in hooks:
            hook.remove()
    seen.write()


# ---------------------------------------------------------------------------------------------------------------
# Models


def torchvision_model(name: str, seed: int, image) -> nn.Module:
    """A torchvision model with random weights whose activations keep a sensible size all the way down."""
    try:
        import torchvision
    except ImportError as missing:
        raise UserError(f"--model torchvision:{name} needs torchvision ({missing})") from missing
    torch.manual_seed(seed)
    known = torchvision.models.list_models()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        raise UserError(f"torchvision has no model {name!r}", f"near: {', '.join(near)}" if near else None)
    accepts = inspect.signature(torchvision.models.get_model_builder(name)).parameters
    options = {key: value for key, value in {"weights_backbone": None, "init_weights": True}.items() if key in accepts}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = True  # else they warn
    try:
        model = torchvision.models.get_model(name, weights=None, **options)
    except Exception as error:
        raise UserError(f"torchvision could not make {name}: {one_line(error)}") from error
    randomize_norms(model, seed)
    calibrate_norms(model, seed, image)
    return model


def randomize_norms(model: nn.Module, seed: int) -> None:
    """Give normalisation layers the varied scales and shifts that training would."""
    generator = torch.Generator().manual_seed(seed + 1)
    for module in model.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)):
            if weight is not None:
                weight.data.uniform_(0.5, 1.5, generator=generator)
            if bias is not None:
                bias.data.normal_(0, 0.2, generator=generator)
        elif op_of(module) not in (None, "linear") and bias is not None:
            bias.data.normal_(0, 0.1, generator=generator)


def calibrate_norms(model: nn.Module, seed: int, image) -> None:
    """One pass over random images sets the running statistics, so that no activation dies out or explodes."""
    norms = [module for module in model.modules()
             if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats]
    if not norms:
        return
    model.eval()
    kept = [module.momentum for module in norms]
    for module in norms:
        module.train()
        module.momentum = 1.0
    try:
        with torch.inference_mode():
            model(torch.randn(2, *image, generator=torch.Generator().manual_seed(seed + 2)))
    except Exception:
        pass  # a model that wants another input keeps its initial statistics
    finally:
        for module, momentum in zip(norms, kept):
            module.eval()
            module.momentum = momentum


def factory_model(spec: str, seed: int) -> nn.Module:
    """`package.module:function`, or `path/to/file.py:function`; what it returns must be a module."""
    place, _, attribute = spec.rpartition(":")
    if not place or not attribute:
        raise UserError(f"--factory wants MODULE:FUNCTION, not {spec!r}")
    torch.manual_seed(seed)
    try:
        if place.endswith(".py"):
            described = importlib.util.spec_from_file_location(Path(place).stem, place)
            module = importlib.util.module_from_spec(described)
            sys.modules[described.name] = module
            described.loader.exec_module(module)
        else:
            sys.path.insert(0, os.getcwd())
            module = importlib.import_module(place)
    except Exception as error:
        raise UserError(f"cannot import {place}: {one_line(error)}") from error
    if not hasattr(module, attribute):
        raise UserError(f"{place} has no {attribute!r}")
    try:
        model = getattr(module, attribute)()
    except Exception as error:
        raise UserError(f"{spec} failed: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise UserError(f"{spec} gives a {type(model).__name__}, not a torch.nn.Module")
    return model


def load_checkpoint(path: str, trust: bool):
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except Exception as error:
        hint = None if trust else ("if you trust the file, --trust-pickle lets it run the code it names "
                                   "(whole modules need this)")
        raise UserError(f"cannot load {path}: {one_line(error)}", hint) from error


def into_model(model: nn.Module, checkpoint, path: str) -> nn.Module:
    """Load a state dict, bare or inside a training checkpoint, saved through DataParallel or not."""
    state = checkpoint
    if isinstance(state, nn.Module):
        state = state.state_dict()
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(checkpoint).__name__}, not a state dict")
    if state and all(str(key).startswith("module.") for key in state):
        state = {key[len("module."):]: value for key, value in state.items()}
    try:
        model.load_state_dict(state)
    except Exception as error:
        raise UserError(f"{path} does not fit the model: {one_line(error)}") from error
    return model


def build_model(args, image) -> nn.Module:
    checkpoint = load_checkpoint(args.checkpoint, args.trust_pickle) if args.checkpoint else None
    if args.model:
        library, _, name = args.model.partition(":")
        if library != "torchvision" or not name:
            raise UserError(f"--model wants torchvision:NAME, not {args.model!r}", "for your own models: --factory")
        model = torchvision_model(name, args.seed, image)
    elif args.factory:
        model = factory_model(args.factory, args.seed)
    elif isinstance(checkpoint, nn.Module):
        return checkpoint
    else:
        raise UserError(f"{args.checkpoint} holds no whole module, only tensors: what model do they belong to?",
                        "name it with --model torchvision:NAME or --factory MODULE:FUNCTION")
    return into_model(model, checkpoint, args.checkpoint) if checkpoint is not None else model


def read_input(path: str, dtype) -> torch.Tensor:
    import numpy
    try:
        array = numpy.load(path, allow_pickle=False)
    except Exception as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from error
    if not isinstance(array, numpy.ndarray) or array.dtype.kind not in "fiu":
        raise UserError(f"{path} holds no array of numbers")
    return torch.from_numpy(numpy.ascontiguousarray(array)).to(dtype)


# ---------------------------------------------------------------------------------------------------------------
# The command


def arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n" + __doc__.split("As a command:\n\n")[1].split("\n\nAs an import")[0])
    source = parser.add_argument_group("the model")
    source.add_argument("--model", metavar="torchvision:NAME", help="a torchvision model with random weights by --seed")
    source.add_argument("--factory", metavar="MODULE:FUNCTION", help="your own: a function or class that gives the model")
    source.add_argument("--checkpoint", metavar="FILE", help="weights for it; alone: a module pickled whole")
    source.add_argument("--trust-pickle", action="store_true", help="let --checkpoint run the code it names")
    given = parser.add_argument_group("the input")
    given.add_argument("--input", metavar="X.npy", help="instead of random numbers; cast to the model's dtype")
    given.add_argument("--batch", type=int, default=1, metavar="N")
    given.add_argument("--channels", type=int, metavar="C", help="default: what the first layer expects")
    given.add_argument("--image-size", default="224", metavar="S|H,W")
    given.add_argument("--channels-last", action="store_true", help="model and input in channels_last")
    how = parser.add_argument_group("what is kept")
    how.add_argument("--dtype", choices=["float32", "float64", "bfloat16", "float16"],
                     help="cast model and input; default: as they are")
    how.add_argument("--layers", action="append", metavar="GLOB", help="only these modules; may be given again")
    how.add_argument("--ops", type=lambda text: text.split(","), metavar="A,B",
                     help=f"only these kinds of layers, of {', '.join(OPS)}")
    how.add_argument("--distinct", action="store_true", help="one case per distinct call (shapes and hyperparameters)")
    how.add_argument("--without-weights", action="store_true",
                     help="verify then takes them from its --checkpoint, under the same names")
    how.add_argument("--save-checkpoint", metavar="FILE", help="torch.save the model's state dict too")
    how.add_argument("--output", required=True, metavar="GOLDEN", help="the golden file to write (.safetensors)")
    run = parser.add_argument_group("the run")
    run.add_argument("--threads", type=int, metavar="T", help="default: torch's own")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--no-mkldnn", action="store_true", help="with torch.backends.mkldnn switched off")
    args = parser.parse_args(argv)
    if not (args.model or args.factory or args.checkpoint):
        raise UserError("which model? give --model, --factory or --checkpoint")
    if args.model and args.factory:
        raise UserError("--model and --factory exclude each other")
    for op in args.ops or []:
        if op not in OPS:
            raise UserError(f"--ops knows no {op!r}", f"it knows {', '.join(OPS)}")
    for name in ("batch", "threads", "channels"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f"--{name} must be at least 1")
    return args


def image_size(text: str) -> list[int]:
    try:
        sides = [int(side) for side in text.replace("x", ",").split(",")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise UserError(f"--image-size wants S or H,W, not {text!r}")
    return sides * 2 if len(sides) == 1 else sides


def main(argv=None) -> int:
    args = arguments(argv)
    warnings.simplefilter("ignore")
    check_folder(args.output)
    if args.threads:
        torch.set_num_threads(args.threads)
    size = image_size(args.image_size)
    model = build_model(args, [args.channels or 3, *size]).eval()
    first = next((module for module in model.modules() if op_of(module)), None)
    if first is None:
        raise UserError(f"the model has no {kinds(OPS)} layer")
    if args.dtype:
        model = model.to(getattr(torch, args.dtype))
    if args.input:
        x = read_input(args.input, first.weight.dtype)
    else:
        features = first.in_features if isinstance(first, nn.Linear) else first.in_channels
        sides = {"conv1d": size[-1:], "conv3d": [size[0], *size], "linear": []}.get(op_of(first), size)
        shape = [args.batch, args.channels or features, *sides]
        x = torch.randn(shape, generator=torch.Generator().manual_seed(args.seed)).to(first.weight.dtype)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
        if x.dim() == 4:
            x = x.to(memory_format=torch.channels_last)
    if args.save_checkpoint:
        check_folder(args.save_checkpoint)
        with whole_file(args.save_checkpoint) as part:
            torch.save(model.state_dict(), part)
    if args.no_mkldnn:
        torch._C._set_mkldnn_enabled(False)
    with capture(model, args.output, args.layers, args.distinct, not args.without_weights, args.ops) as golden:
        try:
            model(x)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"the model failed on an input of {list(x.shape)}: "
                            f"{type(error).__name__}: {one_line(error)}") from error
    where = golden.origin
    print(f"{args.output}: {len(golden.cases)} cases, {size_text(os.path.getsize(args.output))} (torch {where['torch']}, "
          f"{where.get('onednn_isa', where.get('cpu_capability'))}, {where['threads']} threads)")
    return 0


if __name__ == "__main__":
    run_main(main)
