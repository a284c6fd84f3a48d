#!/usr/bin/env python3
"""Read out of live torch in which order it adds: the summation tree of output elements of Conv2d layers.

    reveal_order.py [SET ...] [--output FILE] [--threads T] [--no-mkldnn]
    reveal_order.py --input 1,18,6,6 --weight 8,18,1,2 [--stride 1 --padding 0 --dilation 1 --groups 1]
                    [--channels-last] [--at 0,0,2,2] [--threads T] [--no-mkldnn]

The method is FPRev's (Xie et al., "FPRev: Revealing the Order of Floating-Point Summation"). One term of the sum is
set to +M, one to -M, the others to 1, with M so large that M + 1 rounds to M. What is added to M before -M meets it is
lost, what is added afterwards survives: the result is the number of terms outside the smallest subtree that holds both.
From that, for pairs of terms, follows the tree. The inputs are all 1; the terms are set through one filter's weights
and bias. Nothing is known here of any backend: torch is a function that adds.

Output, as `pthinspect orders --tree` writes it: terms are flat indices within the filter, `b` is the bias, taps in the
padding are no terms; a chain is flat, (b 0 1 2) is (((b 0) 1) 2), and 0..14/2 abbreviates evenly spaced terms.
Kernels are also chosen by the environment (ONEDNN_MAX_CPU_ISA=AVX2), which is written down with the rest of the origin.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from golden_common import UserError, origin, run_main, whole_file

import torch
from torch.nn import functional as F

M = 2.0 ** 60


def layer(input, weight, stride=1, padding=0, dilation=1, groups=1, channels_last=False, at=None):
    two = lambda value: (value, value) if isinstance(value, int) else tuple(value)
    return {"input": input, "weight": weight, "stride": two(stride), "padding": two(padding),
            "dilation": two(dilation), "groups": groups, "channels_last": channels_last, "at": at}


#: Small layers, each for a kernel of its own and with more than one of its blocks.
SETS = {
    "onednn": {
        "direct": layer((2, 40, 5, 5), (16, 40, 3, 3), padding=1),
        "direct_rgb": layer((2, 3, 19, 19), (10, 3, 7, 7), stride=2, padding=3),
        "direct_odd": layer((2, 19, 6, 7), (13, 19, 3, 2), padding=1),
        "direct_groups": layer((1, 32, 6, 6), (32, 8, 3, 3), groups=4),
        "direct_dilated": layer((2, 20, 7, 7), (16, 20, 3, 3), padding=2, dilation=2),
        "depthwise": layer((1, 18, 7, 7), (18, 1, 3, 3), padding=1, groups=18),
        "pointwise": layer((2, 300, 6, 6), (16, 300, 1, 1)),
        "pointwise_20": layer((2, 200, 20, 20), (16, 200, 1, 1)),
        "gemm_11x11": layer((1, 3, 27, 27), (6, 3, 11, 11), stride=4, padding=2),
        "gemm_groups": layer((1, 30, 6, 6), (18, 10, 3, 3), groups=3),
        "covers_image": layer((2, 70, 3, 3), (16, 70, 3, 3)),
    },
    "channels_last": {
        "brgemm": layer((2, 40, 6, 6), (16, 40, 3, 3), padding=1, channels_last=True),
        "brgemm_edges": layer((2, 24, 8, 9), (16, 24, 2, 4), padding=(1, 2), channels_last=True),
        "brgemm_pointwise": layer((2, 200, 6, 6), (16, 200, 1, 1), channels_last=True),
        "brgemm_depthwise": layer((2, 32, 7, 7), (32, 1, 3, 3), padding=1, groups=32, channels_last=True),
        "groups": layer((2, 32, 6, 6), (32, 8, 3, 3), padding=1, groups=4, channels_last=True),
    },
    "mkl": {
        "slow2d": layer((1, 14, 8, 7), (10, 14, 3, 3), padding=1),
        "slow2d_two_blocks": layer((1, 40, 5, 5), (12, 40, 3, 3), padding=1),
        "slow2d_three_blocks": layer((1, 64, 4, 4), (8, 64, 3, 3)),
        "slow2d_few_pixels": layer((1, 24, 4, 5), (9, 24, 3, 3)),
        "slow2d_five_columns": layer((1, 20, 7, 7), (5, 20, 3, 3), padding=1),
        "slow2d_pointwise": layer((1, 200, 4, 4), (12, 200, 1, 1)),
        "slow2d_one_pixel": layer((1, 48, 1, 1), (10, 48, 1, 1)),
        "slow_dilated": layer((1, 12, 8, 8), (10, 12, 3, 3), padding=2, dilation=2),
        "slow2d_nhwc": layer((1, 14, 8, 7), (16, 14, 3, 3), padding=1, channels_last=True),
    },
    "reference": {
        # the im2col buffer of the gemm convolution would be too large for these
        "ref": layer((1, 15, 29, 29), (1, 15, 5, 12), padding=(2, 7), dilation=2),
    },
}


# ---------------------------------------------------------------------------------------------------------------
# Trees


def reveal(terms, total):
    """The tree of `terms`: a term, or a pair of trees; `total` sums terms set to what a dictionary says, others to 1."""
    def common(a, b):
        size = len(terms) - total({a: M, b: -M})
        if size != int(size) or size < 2:
            raise ValueError("no sum of these terms")
        return int(size)

    def build(these):
        first, others = these[0], these[1:]
        siblings = {}
        for other in others:
            siblings.setdefault(common(first, other), []).append(other)
        tree, size = first, 1
        for expected, members in sorted(siblings.items()):
            size += len(members)
            if size != expected:
                raise ValueError("no tree of these terms")
            tree = (tree, build(members))
        return tree

    return build(list(terms))


def text(tree) -> str:
    """A chain flat, evenly spaced neighbours abbreviated."""
    if not isinstance(tree, tuple):
        return str(tree)
    members = []
    while isinstance(tree, tuple):
        tree, last = tree
        members.append(last)
    members.append(tree)
    members.reverse()
    words, i = [], 0
    while i < len(members):
        end = i + 1
        if all(isinstance(m, int) for m in members[i:i + 2]) and len(members) > i + 1 and members[i + 1] > members[i]:
            step = members[i + 1] - members[i]
            while end < len(members) and members[end] == members[i] + step * (end - i):
                end += 1
            if end - i >= 3:
                words.append(f"{members[i]}..{members[end - 1]}" + (f"/{step}" if step > 1 else ""))
                i = end
                continue
        words.append(text(members[i]))
        i += 1
    return "(" + " ".join(words) + ")"


# ---------------------------------------------------------------------------------------------------------------
# Torch


class Probe:
    """One layer, whose output elements are summed over terms that can be set."""

    def __init__(self, call):
        self.call = call
        memory_format = torch.channels_last if call["channels_last"] else torch.contiguous_format
        self.x = torch.ones(call["input"]).to(memory_format=memory_format)
        self.weight = torch.ones(call["weight"])
        self.bias = torch.ones(call["weight"][0])

    def run(self):
        c = self.call
        return F.conv2d(self.x, self.weight, self.bias, c["stride"], c["padding"], c["dilation"], c["groups"])

    def terms(self, at):
        """`b` and the flat indices of the taps that do not lie in the padding."""
        c = self.call
        _, i, kh, kw = c["weight"]

        def inside(axis, o, k):
            return 0 <= o * c["stride"][axis] + k * c["dilation"][axis] - c["padding"][axis] < c["input"][2 + axis]

        rows = [inside(0, at[2], k) for k in range(kh)]
        columns = [inside(1, at[3], k) for k in range(kw)]
        return ["b"] + [t for t in range(i * kh * kw) if rows[t // kw % kh] and columns[t % kw]]

    def tree(self, at):
        flat = self.weight[at[1]].view(-1)

        def total(values):
            for term, value in values.items():
                if term == "b":
                    self.bias[at[1]] = value
                else:
                    flat[term] = value
            result = self.run()[tuple(at)].item()
            for term in values:
                if term == "b":
                    self.bias[at[1]] = 1
                else:
                    flat[term] = 1
            return result

        return reveal(self.terms(at), total)


def places(call, output):
    """Middle, first and last element, unless the call names one."""
    if call["at"]:
        return [list(call["at"])]
    n, o, h, w = output
    chosen = [[0, o // 2, h // 2, w // 2], [0, 0, 0, 0], [n - 1, o - 1, h - 1, w - 1], [0, o - 1, 0, w - 1]]
    return [place for i, place in enumerate(chosen) if place not in chosen[:i]]


def origin_text() -> str:
    """As `pthinspect run --origin` takes it."""
    known = origin()
    keys = ("torch", "device", "machine", "cpu_capability", "cpu_vendor", "threads", "mkldnn", "l2_bytes")
    words = [f"{key}={str(known[key]).lower() if key == 'mkldnn' else known[key]}" for key in keys if key in known]
    words += [f"{key}={value}" for key, value in known.get("env", {}).items() if key != "OMP_NUM_THREADS"]
    return ",".join(words)


def reveal_layers(layers, out) -> None:
    numbers = lambda values: ",".join(map(str, values))
    print(f"origin {origin_text()}", file=out)
    for name, call in layers.items():
        probe = Probe(call)
        with torch.inference_mode():
            output = tuple(probe.run().shape)
            print(f"layer {name} input={numbers(call['input'])} weight={numbers(call['weight'])} "
                  f"stride={numbers(call['stride'])} padding={numbers(call['padding'])} "
                  f"dilation={numbers(call['dilation'])} groups={call['groups']} "
                  f"memory_format={'channels_last' if call['channels_last'] else 'contiguous'}", file=out)
            for at in places(call, output):
                try:
                    tree = text(probe.tree(at))
                except ValueError as error:
                    tree = f"none: {error}"
                print(f"  {numbers(at)} {tree}", file=out, flush=True)


def sizes(value: str):
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a list of numbers") from None


def pair(value: str):
    numbers = sizes(value)
    if len(numbers) not in (1, 2):
        raise argparse.ArgumentTypeError(f"{value!r} is not one number or two")
    return (numbers * 2)[:2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)} [default: all]")
    parser.add_argument("--input", type=sizes, metavar="N,C,H,W")
    parser.add_argument("--weight", type=sizes, metavar="O,I,KH,KW")
    parser.add_argument("--stride", type=pair, default=(1, 1))
    parser.add_argument("--padding", type=pair, default=(0, 0))
    parser.add_argument("--dilation", type=pair, default=(1, 1))
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--at", type=sizes, metavar="N,O,Y,X")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-mkldnn", action="store_true")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    args = parser.parse_args()
    if (args.input is None) != (args.weight is None):
        raise UserError("--input and --weight belong together")
    unknown = [name for name in args.sets if name not in SETS]
    if unknown:
        raise UserError(f"there is no set {unknown[0]!r}", f"the sets are {', '.join(SETS)}")
    torch.set_num_threads(args.threads)
    torch._C._set_mkldnn_enabled(not args.no_mkldnn)
    if args.input:
        layers = {"layer": layer(args.input, args.weight, args.stride, args.padding, args.dilation, args.groups,
                                 args.channels_last, args.at)}
    else:
        layers = {name: call for s in args.sets or SETS for name, call in SETS[s].items()}
    if args.output:
        with whole_file(args.output) as path, open(path, "w") as out:
            reveal_layers(layers, out)
    else:
        reveal_layers(layers, sys.stdout)
    return 0


if __name__ == "__main__":
    run_main(main)
