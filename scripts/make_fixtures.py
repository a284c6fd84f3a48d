#!/usr/bin/env python3
"""Make everything under fixtures/ from nothing, the same bytes every time, with a manifest of how.

    make_fixtures.py [--only questions,goldens,checkpoints,programs,distributed,formats,malformed,malicious,pictures,predict,order,explain,shapes,versions]
                     [--output fixtures]

Goldens hold the numbers of the CPU that computes them. A set that this CPU cannot make is left as it is, and said so.
"""
from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path.insert(0, str(SCRIPTS))
from golden_common import KERNEL_ENVIRONMENT, UserError, cpu_model, cpu_vendor, l2_bytes, origin, run_main, size_text

import torch

LIMIT = 10_000_000
PARTS = ("questions", "goldens", "checkpoints", "programs", "distributed", "formats", "malformed", "malicious", "pictures", "predict",
         "order", "explain", "shapes")

#: (file under goldens/, ATen's capability it needs, environment, arguments of fixture_makers/goldens.py)
GOLDENS = [
    ("avx512_t1", "AVX512", {}, "onednn {} --threads 1"),
    ("avx512_t2", "AVX512", {}, "threads_matter {} --threads 2"),
    ("avx512_channels_last", "AVX512", {}, "channels_last {} --threads 1 --channels-last"),
    ("avx512_blocks_t2", "AVX512", {}, "blocks {} --threads 2"),
    ("avx2_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "onednn {} --threads 1"),
    ("avx2_t2", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "threads_matter {} --threads 2"),
    ("avx2_channels_last", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "channels_last {} --threads 1 --channels-last"),
    ("avx2_blocks_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "blocks {} --threads 1"),
    ("siblings_avx512_t1", "AVX512", {}, "siblings {} --threads 1"),
    ("siblings_avx2_t2", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "siblings {} --threads 2"),
    ("siblings_edges_t1", "AVX512", {}, "siblings_edges {} --threads 1"),
    ("siblings_edges_t2", "AVX512", {}, "siblings_edges {} --threads 2"),
    ("siblings_channels_last_avx512_t2", "AVX512", {}, "siblings_channels_last {} --threads 2 --channels-last"),
    ("siblings_channels_last_avx2_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"},
     "siblings_channels_last {} --threads 1 --channels-last"),
    ("mkl_t1", "AVX2", {}, "mkl {} --threads 1"),
    ("mkl_t2", "AVX2", {}, "mkl {} --threads 2"),
    ("without_mkldnn_t1", "AVX2", {}, "without_mkldnn {} --threads 1 --no-mkldnn"),
    ("without_mkldnn_t2", "AVX2", {}, "without_mkldnn {} --threads 2 --no-mkldnn"),
    ("mkl_products_t1", "AVX2", {}, "products {} --threads 1 --no-mkldnn"),
    ("mkl_products_t4", "AVX2", {}, "products {} --threads 4 --no-mkldnn"),
    ("mkl_products_t8", "AVX2", {}, "products {} --threads 8 --no-mkldnn"),
    ("mkl_products_channels_last_t3", "AVX2", {}, "products {} --threads 3 --no-mkldnn --channels-last"),
    ("mkl_float64_t1", "AVX2", {}, "products {} --threads 1 --dtype float64"),
    ("mkl_float64_t4", "AVX2", {}, "products {} --threads 4 --dtype float64"),
    ("mkl_float64_channels_last_t3", "AVX2", {}, "products {} --threads 3 --dtype float64 --channels-last"),
    ("knobs/mkl_auto_t3", "AVX2", {"MKL_CBWR": "AUTO"}, "products {} --threads 3 --no-mkldnn"),
    ("knobs/mkl_compatible_t2", "AVX2", {"MKL_CBWR": "COMPATIBLE"}, "products {} --threads 2 --no-mkldnn"),
    ("knobs/mkl_compatible_channels_last_t1", "AVX2", {"MKL_CBWR": "COMPATIBLE"},
     "products {} --threads 1 --no-mkldnn --channels-last"),
    ("knobs/mkl_compatible_float64_t1", "AVX2", {"MKL_CBWR": "COMPATIBLE"}, "products {} --threads 1 --dtype float64"),
    ("knobs/avx_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX"}, "onednn_short {} --threads 1"),
    ("knobs/sse41_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "SSE41"}, "onednn_short {} --threads 1"),
    ("knobs/avx_gemm_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX"}, "onednn_gemm {} --threads 1"),
    ("knobs/sse41_gemm_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "SSE41"}, "onednn_gemm {} --threads 1"),
    ("narrow/bf16_t1", "AVX512", {}, "narrow {} --threads 1 --dtype bfloat16"),
    ("narrow/bf16_channels_last", "AVX512", {}, "narrow {} --threads 2 --dtype bfloat16 --channels-last"),
    ("narrow/bf16_emulated", "AVX512", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "narrow {} --threads 1 --dtype bfloat16"),
    ("narrow/bf16_avx2", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "narrow {} --threads 2 --dtype bfloat16"),
    ("narrow/f16_t1", "AVX2", {}, "narrow {} --threads 1 --dtype float16"),
    ("narrow/f16_channels_last", "AVX2", {}, "narrow {} --threads 2 --dtype float16 --channels-last"),
    ("narrow/f16_default", "AVX2", {"ATEN_CPU_CAPABILITY": "default"},
     "narrow {} --threads 1 --dtype float16 --channels-last"),
    ("nnpack_t1", "AVX2", {}, "nnpack {} --threads 1 --no-mkldnn"),
    ("nnpack_channels_last_t2", "AVX2", {}, "nnpack_short {} --threads 2 --no-mkldnn --channels-last"),
    ("open/float64_rounded", "AVX2", {}, "float64_rounded {} --threads 1"),
]
#: (the torch that makes it, file under goldens/knobs/, environment, arguments of fixture_makers/goldens.py); each torch
#: makes its own when it runs this script with `--only versions`
VERSIONS = [(version, f"torch_{version.replace('.', '_')}_{name}", env, f"{sets} {{}} --threads 2")
            for version in ("2.0.1", "2.4.1", "2.8.0", "2.11.0", "2.15.0")
            for name, env, sets in (("avx2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "versions"), ("best", {}, "versions"))]
VERSIONS += [("2.0.1", "torch_2_0_1_channels_last", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "without_brgemm {} --threads 1 --channels-last")]
#: (file under predict/, ATen's capability it needs, arguments of record_implementations.py)
PREDICTIONS = [
    ("sse41", "DEFAULT", "{} --isa SSE41 --calls 90 --seed 7"),
    ("avx", "AVX2", "{} --isa AVX --calls 90 --seed 7"),
    ("avx2", "AVX2", "{} --isa AVX2 --calls 180 --seed 7"),
    ("avx512_core", "AVX512", "{} --isa AVX512_CORE --calls 220 --seed 7"),
]
#: (file under order/, ATen's capability it needs, environment, arguments of reveal_order.py)
TREES = [
    ("avx512_t1", "AVX512", {}, "onednn channels_last --threads 1"),
    ("avx512_t2", "AVX512", {}, "onednn channels_last --threads 2"),
    ("avx2_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "onednn channels_last --threads 1"),
    ("avx2_t2", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "onednn channels_last --threads 2"),
    ("avx_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX"}, "onednn --threads 1"),
    ("sse41_t1", "AVX2", {"ONEDNN_MAX_CPU_ISA": "SSE41"}, "onednn --threads 1"),
    ("reference_t4", "AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "reference --threads 4"),
    ("mkl_t1", "AVX2", {}, "mkl --threads 1"),
    ("mkl_t2", "AVX2", {}, "mkl --threads 2"),
    ("without_mkldnn_t1", "AVX2", {}, "mkl --threads 1 --no-mkldnn"),
]
CAPABILITIES = ["DEFAULT", "NO AVX", "AVX2", "AVX512"]


def commands(part: str, goldens: str):
    """(the files a command writes, its environment, its words), in order; {} stands for the output."""
    if part == "questions":
        yield "questions", {}, "fixture_makers/questions.py {}"
    elif part == "explain":
        yield "explain", {}, "fixture_makers/explain.py {}"
    elif part == "checkpoints":
        yield "checkpoints", {}, "fixture_makers/checkpoints.py {}"
    elif part == "programs":
        yield "checkpoints", {}, "fixture_makers/programs.py {}"
    elif part == "distributed":
        yield "checkpoints", {}, "fixture_makers/distributed.py {}"
    elif part == "formats":
        yield "goldens/formats", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, "fixture_makers/formats.py {}"
    elif part == "malformed":
        yield "malformed", {}, "make_malformed.py {}"
    elif part == "versions":
        for version, name, env, words in VERSIONS:
            if torch.__version__.split("+")[0] == version:
                yield f"goldens/knobs/{name}.golden.safetensors", env, f"fixture_makers/goldens.py {words}"
    elif part == "shapes":
        yield "shapes", {}, "fixture_makers/shapes.py {}"
        yield "shapes/operators.json", {}, "record_shapes.py {} --cases 8"
    elif part == "malicious":
        yield "malicious", {}, "make_malicious.py {}"
    elif part == "pictures":
        yield "pictures", {}, "fixture_makers/pictures.py {}"
    elif part == "predict":
        for name, needs, words in PREDICTIONS:
            if is_capable(f"predict/{name}", needs):
                yield f"predict/{name}.json", {}, f"record_implementations.py {words}"
    elif part == "order":
        for name, needs, env, words in TREES:
            if is_capable(f"order/{name}", needs):
                yield f"order/{name}.tree", env, f"reveal_order.py {words} --output {{}}"
    else:
        for name, needs, env, words in GOLDENS:
            if fnmatch.fnmatchcase(name, goldens) and is_capable(f"goldens/{name}", needs):
                yield f"goldens/{name}.golden.safetensors", env, f"fixture_makers/goldens.py {words}"


def is_capable(target: str, needs: str) -> bool:
    """Whether this CPU can make what needs this capability; says so if not."""
    here = origin().get("cpu_capability")
    capable = here in CAPABILITIES and CAPABILITIES.index(here) >= CAPABILITIES.index(needs)
    if not capable:
        print(f"skipped: {target} needs {needs}, this CPU has {here}", file=sys.stderr)
    return capable


def make(part: str, folder: Path, made: dict, goldens: str) -> None:
    for target, env, words in commands(part, goldens):
        path = folder / target
        clean = {key: value for key, value in os.environ.items() if key not in KERNEL_ENVIRONMENT}
        argv = [sys.executable, "-W", "ignore", *(str(path) if word == "{}" else word for word in words.split())]
        argv[3] = str(SCRIPTS / argv[3])
        start = time.time() - 1
        done = subprocess.run(argv, env={**clean, **env, "PYTHONHASHSEED": "0"})
        if done.returncode:
            raise UserError(f"{words.replace('{}', str(path))} failed (exit {done.returncode})")
        knobs = "".join(f"{key}={value} " for key, value in env.items())
        how = f"{knobs}python scripts/{words.replace('{}', 'fixtures/' + target)}"
        threads = int(words.split("--threads ")[1].split()[0]) if "--threads " in words else 1
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            if part in ("checkpoints", "programs", "distributed") and file.stat().st_mtime < start:
                continue  # another command's, or an older torch's
            made[file.relative_to(folder).as_posix()] = {"command": how, "threads": threads}


def manifest(folder: Path, made: dict) -> dict:
    """What is under `folder`; files not made by this run keep what the old manifest says of them."""
    old_path = folder / "MANIFEST.json"
    old = json.loads(old_path.read_text()) if old_path.exists() else {"machines": [], "files": {}}
    here = {"torch": torch.__version__, "cpu": cpu_model(), "cpu_vendor": cpu_vendor(), "l2_bytes": l2_bytes(),
            "cpu_capability": origin().get("cpu_capability")}
    machines: list[dict] = []

    def number(machine: dict) -> int:
        if machine not in machines:
            machines.append(machine)
        return machines.index(machine)

    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name in ("MANIFEST.json", "README.md") or "snapshots/" in name:
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if name in made:
            how = {**made[name], "machine": number(here)}
        elif name in old["files"] and old["files"][name]["sha256"] == digest:
            before = old["files"][name]
            how = {"command": before["command"], "threads": before["threads"],
                   "machine": number(old["machines"][before["machine"]])}
        else:
            print(f"warning: fixtures/{name} is in no manifest and was not made now", file=sys.stderr)
            continue
        files[name] = {"sha256": digest, "bytes": len(data), **how}
    return {"machines": machines, "files": files}


def write_manifest(path: Path, listing: dict) -> None:
    """One line per file, so that a change reads as a change of these files."""
    machines = ",\n".join(f"  {json.dumps(machine)}" for machine in listing["machines"])
    files = ",\n".join(f"  {json.dumps(name)}: {json.dumps(how)}" for name, how in listing["files"].items())
    path.write_text(f'{{"made_by": "python scripts/make_fixtures.py",\n "machines": [\n{machines}\n ],\n'
                    f' "files": {{\n{files}\n }}}}\n')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, default=SCRIPTS.parent / "fixtures", metavar="FOLDER")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--goldens", default="*", metavar="GLOB", help="only these of the part goldens: 'narrow/*'")
    args = parser.parse_args()
    chosen = args.only.split(",")
    for part in chosen:
        if part not in PARTS:
            raise UserError(f"no part is called {part!r}; there are {', '.join(PARTS)}")
    made: dict = {}
    for part in chosen:
        make(part, args.output, made, args.goldens)
    listing = manifest(args.output, made)
    write_manifest(args.output / "MANIFEST.json", listing)
    total = sum(path.stat().st_size for path in args.output.rglob("*") if path.is_file())
    print(f"{args.output}: {len(listing['files'])} files, {size_text(total)}")
    if total > LIMIT:
        raise UserError(f"{args.output} is larger than {size_text(LIMIT)}")
    return 0


if __name__ == "__main__":
    run_main(main)
