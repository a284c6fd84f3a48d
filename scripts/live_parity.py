#!/usr/bin/env python3
"""Compare pthinspect with the PyTorch that is installed here, bit for bit.

    live_parity.py                                   the quick form: some models, random layers and special values
    live_parity.py --full                            everything (hours; may be interrupted and called again, or twice at once)
    live_parity.py --models vgg11,densenet121 --batches 1,2 --random 0
    live_parity.py --isa AVX2 --layouts channels_last --random 500 --seed 7
    live_parity.py --isa AVX2 --threads 3 --only random.s7.311 --keep DIR
    live_parity.py --env MKL_CBWR=COMPATIBLE --no-mkldnn --random 300
    live_parity.py --python old/bin/python           another torch does the computing
    live_parity.py --ops linear,conv1d --models '' --random 500      random layers beside Conv2d
    live_parity.py --flips --models '' --random 500  each layer again with one bit wrong: is it found?
    live_parity.py --no-origin                       nothing said about where the outputs come from: the order is searched

Makes every distinct Conv2d call of the models and random layers in processes of their own (threads and instruction sets
are a process's), has `pthinspect verify` replay them, and prints a table of how many came out identical and how many
were predicted, by memory format, instruction set, backend and order. Exit 0 only if all of them did, but for exceptions
that parity/known.py explains by name.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path.insert(0, str(SCRIPTS))
from golden_common import KERNEL_ENVIRONMENT, OPS, UserError, cpu_model, inner_call, read_golden, run_main
from parity import report
from parity.layers import random_call
from parity.siblings import random_sibling
from parity.report import forget_origin, golden_meta

BINARY = SCRIPTS.parent / "target" / "release" / "pthinspect"
CAPTURE = SCRIPTS / "parity" / "capture.py"

#: What the README claims to cover.
MODELS = ("alexnet vgg11 vgg16 resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 mobilenet_v2 "
          "mobilenet_v3_large mobilenet_v3_small efficientnet_b0 squeezenet1_1 shufflenet_v2_x1_0 googlenet inception_v3 "
          "regnet_y_400mf convnext_tiny mnasnet1_0 deeplabv3_resnet50 fcn_resnet50 lraspp_mobilenet_v3_large "
          "ssdlite320_mobilenet_v3_large").split()

QUICK = dict(models=["resnet18", "mobilenet_v2"], batches=[1], threads=[1, 2], isa=["native", "AVX2"],
             layouts=["contiguous", "channels_last"], random=160)
FULL = dict(models=MODELS, batches=[1, 2, 16], threads=[1, 2, 3, 4, 8], isa=["native", "AVX2"],
            layouts=["contiguous", "channels_last"], random=5000)

#: A golden in passing may be as large as this; small enough for anyone's disk.
PIECE_BYTES, PIECE_CASES = 400 << 20, 200

#: As many calls, or multiply-adds, as one process makes: some minutes at most are lost when it is stopped.
JOB_CASES, JOB_WORK = 250, 50e9


# ---------------------------------------------------------------------------------------------------------------
# What is to be done


class Job:
    """Calls that one process makes under one setting."""

    def __init__(self, args, isa, layout, threads, name, calls):
        self.setting = dict(isa=isa, layout=layout, threads=threads, dtype=args.dtype, mkldnn=not args.no_mkldnn,
                            env=dict(args.env), origin=not args.no_origin, flips=args.flips)
        self.name, self.calls = name, calls
        self.named()

    def named(self) -> None:
        """The key that results are kept under follows from everything that is computed."""
        told = json.dumps([self.setting, self.calls], sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()[:10]
        self.key = f"{self.setting['isa']}.{self.setting['layout']}.t{self.setting['threads']}." \
                   f"{self.setting['dtype']}.{self.name}.{digest}"

    def environment(self) -> dict:
        environment = {key: value for key, value in os.environ.items() if key not in KERNEL_ENVIRONMENT}
        environment["PYTHONWARNINGS"] = "ignore"
        if self.setting["isa"] != "native":
            environment["ONEDNN_MAX_CPU_ISA"] = self.setting["isa"]
        return environment | self.setting["env"]


def plan(args, work: Path) -> list[Job]:
    jobs = []
    for layout in args.layouts:
        models = calls_of_models(args, layout, work)
        siblings = [op for op in args.ops if op != "conv2d"]
        rounds = args.random if "conv2d" in args.ops else 0
        for isa in args.isa:
            for place, threads in enumerate(args.threads):
                sets = list(models.items())
                mine = [random_call(args.seed, index, layout) for index in range(rounds)][place::len(args.threads)]
                sets += [(f"random.s{args.seed}.{first}", mine[first:first + JOB_CASES])
                         for first in range(0, len(mine), JOB_CASES)]
                for op in siblings:
                    drawn = [random_sibling(op, args.seed, index, layout) for index in range(args.random)]
                    if layout == "channels_last" and op == "linear":
                        continue  # it knows none
                    drawn = drawn[place::len(args.threads)]
                    sets += [(f"{op}.s{args.seed}.{first}", drawn[first:first + JOB_CASES])
                             for first in range(0, len(drawn), JOB_CASES)]
                jobs += [Job(args, isa, layout, threads, name, calls) for name, calls in packed(sets)]
    if args.only:
        for job in jobs:
            job.calls = [call for call in job.calls if call["name"] in args.only]
            job.named()
        jobs = [job for job in jobs if job.calls]
        if not jobs:
            raise UserError(f"no call is named {args.only[0]}", "the names stand in the list of exceptions")
    return jobs


def packed(sets: list) -> list:
    """Small sets together, so that not every handful of calls pays for the start of a process."""
    jobs, room = [], None
    for name, calls in sets:
        work = sum(math.prod(call["input"]) * math.prod(call["weight"]) / channels_of(call) for call in calls)
        if not calls:
            continue
        if room and len(room[1]) + len(calls) <= JOB_CASES and room[2] + work <= JOB_WORK:
            room[0], room[1], room[2] = f"{room[0].split('+')[0]}+", room[1] + calls, room[2] + work
        else:
            room = [name, calls, work]
            jobs.append(room)
    return [(name, calls) for name, calls, _ in jobs]


def channels_of(call: dict) -> int:
    return call["input"][-1 if call.get("op") == "linear" else 1]


def calls_of_models(args, layout: str, work: Path) -> dict[str, list]:
    """Which calls each model adds to those of the models before it."""
    if not args.models:
        return {}
    request = dict(models=args.models, batches=args.batches, layout=layout)
    digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()[:10]
    listed = work / f"calls.{digest}.json"
    if not listed.is_file():
        asked = work / f"calls.{digest}.{os.getpid()}.request"
        asked.write_text(json.dumps(request))
        part = work / f"calls.{digest}.{os.getpid()}.part"
        done = subprocess.run([args.python, str(CAPTURE), "--calls", str(part), str(asked)], text=True,
                              stderr=subprocess.PIPE)
        if done.returncode:
            raise UserError(f"listing the calls of the models failed: {said(done.stderr)}")
        part.replace(listed)
        asked.unlink()
    from parity.layers import identity
    seen, fresh = set(), {}
    for model, calls in json.loads(listed.read_text()).items():
        fresh[model] = [call for call in calls if identity(call) not in seen]
        seen |= {identity(call) for call in calls}
    return fresh


# ---------------------------------------------------------------------------------------------------------------
# Doing it


def work_off(args, jobs: list[Job], work: Path) -> list[dict]:
    """Results of all jobs: those already there, and those that this process does now.

    A job is claimed by a file, so that several processes may share the work; a claim of a process that is gone is void.
    """
    results, waiting = {}, list(jobs)
    began, done = time.monotonic(), 0
    while waiting:
        postponed = []
        for job in waiting:
            stamp = hashlib.sha256(args.binary.read_bytes()).hexdigest()[:16]
            there = finished(work, job, stamp, args)
            if there is None and not claim(work, job):
                postponed.append(job)
                continue
            if there is None:
                try:
                    there = finished(work, job, stamp, args) or do(args, job, work, stamp)
                finally:
                    (work / f"{job.key}.claim").unlink(missing_ok=True)
                done += 1
                wrong = sum(not report.good(case, args.no_origin) for case in there["cases"])
                print(f"{job.key}: {len(there['cases'])} cases, {wrong} exceptions, {there['seconds']:.0f} s "
                      f"({len(results) + 1} of {len(jobs)}, {time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
            results[job.key] = there
        if postponed:
            time.sleep(2)
        waiting = postponed
    return [results[job.key] for job in jobs]


def finished(work: Path, job: Job, stamp: str, args) -> dict | None:
    try:
        there = json.loads((work / f"{job.key}.result.json").read_text())
    except FileNotFoundError:
        return None
    if args.resume == "failed" and there["binary"] != stamp:
        return there if all(report.good(case, args.no_origin) for case in there["cases"]) else None
    return there if args.resume == "any" or there["binary"] == stamp else None


def claim(work: Path, job: Job) -> bool:
    path = work / f"{job.key}.claim"
    try:
        with path.open("x") as f:
            f.write(str(os.getpid()))
        return True
    except FileExistsError:
        try:
            os.kill(int(path.read_text() or 0) or os.getpid(), 0)
        except (ProcessLookupError, FileNotFoundError):
            path.unlink(missing_ok=True)
        return False


def do(args, job: Job, work: Path, stamp: str) -> dict:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{job.key}.", dir=work) as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps(job.setting | dict(calls=job.calls, folder=folder, piece_bytes=PIECE_BYTES,
                                                         piece_cases=PIECE_CASES)))
        errors = open(Path(folder) / "stderr", "w+")
        process = subprocess.Popen([args.python, str(CAPTURE), str(request)], env=job.environment(), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        cases, where = [], None
        for line in process.stdout:
            if not line.startswith("part "):
                continue
            golden = Path(line.split(" ", 1)[1].strip())
            checked, where = check(args, job, golden)
            cases += checked
            golden.unlink()
            process.stdin.write("next\n")
            process.stdin.flush()
        if process.wait():
            errors.seek(0)
            raise UserError(f"capturing {job.key} failed: {said(errors.read())}")
        errors.close()
    names = [case["name"] for case in cases if "~" not in case["name"]]
    if names != [call["name"] for call in job.calls]:
        raise UserError(f"{job.key}: {len(names)} cases came back of {len(job.calls)} calls")
    there = dict(job=job.key, setting=job.setting, binary=stamp, origin=where, cases=cases,
                 seconds=round(time.monotonic() - began, 1))
    part = work / f"{job.key}.{os.getpid()}.part"
    part.write_text(json.dumps(there))
    part.replace(work / f"{job.key}.result.json")
    return there


def check(args, job: Job, golden: Path) -> tuple[list[dict], dict]:
    """What verify says of each case of a golden, with what torch said of it."""
    meta = golden_meta(golden)
    if args.no_origin:
        forget_origin(golden)
    done = subprocess.run([str(args.binary), "verify", str(golden), "--json"], text=True, capture_output=True)
    if done.returncode not in (0, 1, 2) or not done.stdout:
        raise UserError(f"{args.binary.name} verify of {job.key} ended with {done.returncode}: {said(done.stderr)}")
    judged = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
    cases = []
    for case in meta["cases"]:
        if case["name"] not in judged:
            raise UserError(f"verify says nothing of {case['name']} in {job.key}")
        verdict = judged[case["name"]]
        kept = {key: verdict.get(key) for key in ("status", "order", "chosen_by", "elements", "identical", "max_ulp",
                                                  "first_difference", "error")}
        told = {key: case.get(key) for key in ("backend", "implementation", "memory_format", "flipped", "shows")
                if key in case}
        cases.append(dict(name=case["name"], **told, **{k: v for k, v in kept.items() if v is not None}))
        if cases[-1]["status"] == "different" and "~" not in case["name"]:
            cases[-1]["no_rounding"] = beyond_rounding(golden, case)
        if args.keep and not report.good(cases[-1], args.no_origin):
            args.keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(golden, args.keep / f"{job.key}.{golden.name}")
    return cases, meta.get("origin")


def beyond_rounding(golden: Path, case: dict) -> int:
    """How many elements of a golden's output are further from the real sum than any order of additions can be."""
    import torch

    tensors = read_golden(golden)[1]
    x, weight, output = (tensors[f"{case['name']}.{part}"] for part in ("input", "weight", "output"))
    bias = tensors.get(f"{case['name']}.bias")
    op = case.get("op", "conv2d")
    rest = {}
    if op == "conv_transpose2d":
        rest = dict(stride=case["stride"], padding=case["padding"], dilation=case["dilation"], groups=case["groups"],
                    output_padding=case["output_padding"])
    elif op != "linear":
        x, padding = inner_call(x, weight, case["stride"], case["padding"], case["dilation"], case["padding_mode"])
        rest = dict(stride=case["stride"], padding=padding, dilation=case["dilation"], groups=case["groups"])
    layer = OPS[op][1]
    wide = [None if tensor is None else tensor.double() for tensor in (x, weight, bias)]
    exact = layer(*wide, **rest)
    size = layer(*(None if tensor is None else tensor.abs() for tensor in wide), **rest)
    terms = weight[0].numel() + 2
    allowed = 2 * terms * torch.finfo(output.dtype).eps * size + terms * torch.finfo(output.dtype).tiny
    finite = exact.isfinite() & output.isfinite() & (size < torch.finfo(output.dtype).max)
    return int((finite & ((exact - output.double()).abs() > allowed)).sum())


def said(text: str) -> str:
    lines = text.strip().splitlines() or ["nothing"]
    return next((line for line in lines if line.startswith("error:")), lines[-1]).removeprefix("error: ")


# ---------------------------------------------------------------------------------------------------------------
# The command


def arguments():
    def words(text):
        return [word for word in text.split(",") if word]

    def numbers(text):
        return [int(word) for word in words(text)]

    def setting(text):
        name, equals, value = text.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
        return name, value

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="examples:\n" + __doc__.split("\n\n")[1])
    what = parser.add_argument_group("what is computed")
    what.add_argument("--full", action="store_true", help="everything that is not said otherwise below")
    what.add_argument("--models", type=words, metavar="A,B", help="torchvision's names; '' for none")
    what.add_argument("--ops", type=words, default=["conv2d"], metavar="A,B", help="of the random layers: conv2d (the "
                      "default), linear, conv1d, conv_transpose2d, conv3d")
    what.add_argument("--batches", type=numbers, metavar="N,N")
    what.add_argument("--random", type=int, metavar="N", help="random layers, dealt out over --threads")
    what.add_argument("--seed", type=int, default=0, help="of the random layers")
    what.add_argument("--only", action="append", metavar="NAME", help="only this call; may be given again")
    how = parser.add_argument_group("under which settings")
    how.add_argument("--threads", type=numbers, metavar="T,T")
    how.add_argument("--isa", type=words, metavar="AVX2,...", help="ONEDNN_MAX_CPU_ISA; 'native' sets nothing")
    how.add_argument("--layouts", type=words, metavar="contiguous,channels_last")
    how.add_argument("--dtype", default="float32")
    how.add_argument("--no-mkldnn", action="store_true", help="torch.backends.mkldnn switched off")
    how.add_argument("--env", type=setting, action="append", default=[], metavar="NAME=VALUE")
    how.add_argument("--python", default=sys.executable, metavar="PATH", help="the interpreter whose torch computes")
    run = parser.add_argument_group("the run")
    run.add_argument("--binary", type=Path, default=BINARY, metavar="PATH", help="default: target/release/pthinspect")
    run.add_argument("--flips", action="store_true", help="each call again with one bit wrong in each of its tensors")
    run.add_argument("--no-origin", action="store_true", help="remove the origin first: the order has to be found")
    run.add_argument("--work", type=Path, metavar="DIR", help="results stay there and are not computed again; --full: "
                     "target/parity")
    run.add_argument("--resume", choices=["same", "failed", "any"], default="same",
                     help="results of which binaries count: the same; all that were right; any")
    run.add_argument("--report", action="store_true", help="compute nothing: the table of the results that are there")
    run.add_argument("--keep", type=Path, metavar="DIR", help="leave the goldens with exceptions there")
    run.add_argument("--show", type=int, default=20, metavar="N", help="exceptions shown of each kind")
    run.add_argument("--json", type=Path, metavar="OUT", help="the table and the exceptions as JSON")
    args = parser.parse_args()
    for key, value in (FULL if args.full else QUICK).items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    return args


def main() -> int:
    args = arguments()
    for op in args.ops:
        if op not in OPS:
            raise UserError(f"--ops knows no {op!r}", f"it knows {', '.join(OPS)}")
    args.binary = args.binary.resolve()
    if not args.binary.is_file():
        raise UserError(f"{args.binary} does not exist", "cargo build --release, or --binary PATH")
    if args.full and args.work is None:
        args.work = SCRIPTS.parent / "target" / "parity"
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
        return compare(args, args.work)
    with tempfile.TemporaryDirectory(prefix="live_parity.") as folder:
        return compare(args, Path(folder))


def compare(args, work: Path) -> int:
    began = time.monotonic()
    jobs = plan(args, work)
    if args.report:
        args.resume = "any"
        results = [there for there in (finished(work, job, "", args) for job in jobs) if there]
    else:
        results = work_off(args, jobs, work)
    calls = {(job.key, call["name"]): call for job in jobs for call in job.calls}
    summary = report.summarize(results, calls, args.no_origin)
    summary["command"] = " ".join(["python", "scripts/live_parity.py", *sys.argv[1:]])
    summary["jobs"] = dict(planned=len(jobs), done=len(results))
    summary["machine"] = dict(cpu=cpu_model(), cores=os.cpu_count(), system=platform.system())
    summary["seconds"] = dict(wall=round(time.monotonic() - began), jobs=round(sum(r["seconds"] for r in results)))
    print(report.text(summary, args.show))
    if args.json:
        args.json.write_text(json.dumps(summary, indent=1) + "\n")
    return 0 if all(one["known"] for one in summary["exceptions"]) else 1


if __name__ == "__main__":
    run_main(main)
