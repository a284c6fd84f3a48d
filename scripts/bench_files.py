#!/usr/bin/env python3
"""Speed of everything that is not a convolution: ours and others', in turns, on files made on the spot.

    bench_files.py                              everything, in a temporary folder (12 GB of disk, some minutes)
    bench_files.py --work DIR --only ls,linear  keep the files; some of the parts
    bench_files.py --json OUT --runs 9

Parts: ls, linear, sparse, sha256, check, export, start, search. In each the commands run in turns (ours, the others, ours,
...), so that all meet the same machine. Of each: the least and the median of the clock's seconds, the least of the processors'
seconds (user and system: on a machine that others use too the clock counts their work), and the peak of resident memory as the system counts it for the finished process. (What
this script itself has in memory when it starts a process is the least that can be measured: `true` shows it.) Files are read
once before, so that they lie in the page cache where there is room. Standard output goes to a pipe that is read, or to
/dev/null where --json documents of megabytes are written.

Others are left out where they are not installed: torch, safetensors, sha256sum, openssl, unzip, and with --readers the crates
candle-core and pytorch-reader, which are compiled first (see compare_readers.py).
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
SMALLEST = ROOT / "fixtures/questions/mnist_q2_state.pth"
COUNTS = (1_000, 10_000, 100_000)

TORCH = """
import sys, torch
def walk(value, name):
    if isinstance(value, torch.Tensor): print(name, tuple(value.shape))
    elif isinstance(value, dict): [walk(item, f"{name}.{key}") for key, item in value.items()]
    elif isinstance(value, (list, tuple)): [walk(item, f"{name}.{key}") for key, item in enumerate(value)]
walk(torch.load(sys.argv[1], mmap=True), "")
"""
SAFETENSORS = """
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], "np") as file:
    for name in file.keys(): print(name, file.get_slice(name).get_shape())
"""
TESTZIP = "import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)"
HASHLIB = "import hashlib, sys; print(hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256').hexdigest())"

# ---- files; each maker runs in a process of its own, so that this one stays small ----

MAKE_MANY = """
import sys, torch
from collections import OrderedDict
from safetensors.torch import save_file
count, path = int(sys.argv[1]), sys.argv[2]
state = OrderedDict((f"blocks.{i // 8}.part{i % 8}.weight", torch.full((4, 3, 3, 3), float(i))) for i in range(count))
torch.save(state, path + ".pth")
save_file(state, path + ".safetensors")
"""
MAKE_SPARSE = """
import json, struct, sys, torch
from collections import OrderedDict
from torch._subclasses import FakeTensorMode
path, count, numel = sys.argv[1], 800, 100_000_000_000 // 4 // 800
with FakeTensorMode():
    state = OrderedDict((f"blocks.{i}.weight", torch.empty(numel)) for i in range(count))
with torch.serialization.skip_data(materialize_fake_tensors=True):
    torch.save(state, path + ".pth")
header = {f"blocks.{i}.weight": {"dtype": "F32", "shape": [numel], "data_offsets": [4 * numel * i, 4 * numel * (i + 1)]}
          for i in range(count)}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(path + ".safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    file.truncate(8 + len(text) + 4 * numel * count)
"""
#: One golden file for each case of another, without its origin; beside it one with an output that no order makes: the sums in
#: float64, rounded once.
MAKE_GOLDENS = """
import json, struct, sys, torch
source, folder = sys.argv[1:]
data = open(source, "rb").read()
length, = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + length])
golden = json.loads(header.pop("__metadata__")["pthinspect.golden"])
golden.pop("origin", None)
def write(path, case, tensors):
    entries, at = {"__metadata__": {"pthinspect.golden": json.dumps({**golden, "cases": [case]})}}, 0
    for name, (shape, body) in tensors.items():
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(body)]}
        at += len(body)
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(body for _, body in tensors.values()))
for case in golden["cases"]:
    if case.get("op", "conv2d") != "conv2d":
        continue
    case = {key: value for key, value in case.items() if key not in ("origin", "implementation")}
    name = case["name"]
    tensors = {}
    for key, entry in header.items():
        if key.rsplit(".", 1)[0] == name:
            start, end = entry["data_offsets"]
            tensors[key] = (entry["shape"], data[8 + length + start:8 + length + end])
    write(f"{folder}/{name}.golden.safetensors", case, tensors)
    x, w = (torch.frombuffer(bytearray(tensors[f"{name}.{part}"][1]), dtype=torch.float32).view(tensors[f"{name}.{part}"][0])
            for part in ("input", "weight"))
    exact = torch.nn.functional.conv2d(x.double(), w.double(), None, case["stride"], case["padding"], case["dilation"],
                                       case["groups"]).float()
    tensors[f"{name}.output"] = (tensors[f"{name}.output"][0], exact.numpy().tobytes())
    write(f"{folder}/{name}.rounded.safetensors", case, tensors)
"""


class Bench:
    def __init__(self, args, work: Path):
        self.program, self.python, self.runs, self.work = str(args.program), sys.executable, args.runs, work
        self.args, self.tables, self.probe = args, {}, None
        self.has_torch = subprocess.run([self.python, "-c", "import torch"], capture_output=True).returncode == 0

    # ---- measuring ----

    def once(self, command: list, environment: dict, quiet: bool, expect: tuple) -> tuple[float, float, float] | None:
        """Seconds of the clock, seconds of the processors, MB; None where somebody else's program fails."""
        env = {**os.environ, **environment}
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, env=env)
        if not quiet:
            while os.read(child.stdout.fileno(), 1 << 20):
                pass
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.stdout:
            child.stdout.close()
        if child.returncode not in expect and command[0] != self.program:
            return None
        if child.returncode not in expect:
            sys.exit(f"exit code {child.returncode}: {' '.join(map(str, command))}")
        return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def turns(self, title: str, rows: dict, clean=None, quiet=False, expect=(0,)) -> list[dict]:
        """Runs the commands in turns and prints a table; the first is ours."""
        seen: dict[str, list] = {name: [] for name in rows}
        for turn in range(self.runs + 1):
            for name, command in rows.items():
                environment = {}
                if isinstance(command, tuple):
                    command, environment = command
                result = self.once(command, environment, quiet, expect)
                if turn > 0 and result:  # the first reads the files into the page cache
                    seen[name].append(result)
                if clean:
                    clean()
        table = []
        for name, results in seen.items():
            if not results:
                print(f"{name} fails on this file", file=sys.stderr)
                continue
            walls = [wall for wall, _, _ in results]
            table.append({"name": name, "min_s": min(walls), "median_s": statistics.median(walls),
                          "cpu_s": min(cpu for _, cpu, _ in results), "peak_mb": max(mb for _, _, mb in results)})
        self.show(title, table)
        return table

    def show(self, title: str, table: list[dict]) -> None:
        self.tables[title] = table
        print(f"\n{title}\n\n| | least | median | processors | peak memory | times ours: clock, "
              "processors |\n| --- | --- | --- | --- | --- | --- |")
        for row in table:
            clock, cpu = (row[key] / max(table[0][key], 1e-6) for key in ("min_s", "cpu_s"))
            print(f"| {row['name']} | {seconds(row['min_s'])} | {seconds(row['median_s'])} | {seconds(row['cpu_s'])} | "
                  f"{row['peak_mb']:.0f} MB | {clock:.2f}, {cpu:.2f} |", flush=True)

    # ---- files ----

    def made(self, name: str, command: list, environment=None) -> Path:
        path = self.work / name
        if not path.exists():
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, **(environment or {})})
        return path

    def big(self, suffix=".pth") -> Path:
        path = self.work / f"big{suffix}"
        return self.made(path.name, [self.python, SCRIPTS / "make_big_checkpoint.py", path, "--size", self.args.size])

    # ---- parts ----

    def ls(self) -> None:
        for suffix, title in ((".pth", "zip"), (".safetensors", "safetensors")):
            path = self.big(suffix)
            rows = {"pthinspect ls": [self.program, "ls", path], "pthinspect ls --json": [self.program, "ls", "--json", path]}
            if suffix == ".pth":
                rows["torch.load(mmap=True)"] = [self.python, "-c", TORCH, path]
            else:
                rows["safetensors.safe_open (Python)"] = [self.python, "-c", SAFETENSORS, path]
            if self.probe:
                names = ("candle", "pytorch-reader") if suffix == ".pth" else ("safetensors",)
                rows |= {f"{name} (Rust)": [self.probe, f"list-{name}", path] for name in names}
            self.turns(f"Names and shapes of a checkpoint of {self.args.size}, {title}", rows)

    def linear(self) -> None:
        for suffix in (".pth", ".safetensors"):
            table = []
            for count in COUNTS:
                stem = self.work / f"many{count}"
                path = self.made(f"many{count}{suffix}", [self.python, "-c", MAKE_MANY, count, stem])
                rows = {f"{command}, {count:,} tensors": [self.program, *command.split(), path]
                        for command in ("ls", "ls --json", "tree", "check", "scan", "layer blocks.7.part3")}
                if self.has_torch and suffix == ".pth":
                    rows[f"torch.load(mmap=True), {count:,} tensors"] = [self.python, "-c", TORCH, path]
                found = self.turns(f"{count:,} tensors, {suffix}", rows)
                for row in found:
                    row["us_per_tensor"] = row["min_s"] * 1e6 / count
                table += found
            print("\nmicroseconds per tensor: " + "; ".join(
                f"{row['name']} {row['us_per_tensor']:.1f}" for row in table if row["name"].startswith(("ls", "check", "tree"))))

    def sparse(self) -> None:
        for suffix in (".pth", ".safetensors"):
            path = self.made(f"sparse{suffix}", [self.python, "-c", MAKE_SPARSE, self.work / "sparse"])
            rows = {"pthinspect ls": [self.program, "ls", path], "pthinspect ls --json": [self.program, "ls", "--json", path],
                    "pthinspect tree": [self.program, "tree", path]}
            if self.has_torch and suffix == ".pth":
                rows["torch.load(mmap=True)"] = [self.python, "-c", TORCH, path]
            self.turns(f"100 GB (sparse), 800 tensors, {suffix}", rows)

    def sha256(self) -> None:
        path, one = self.big(), {"RAYON_NUM_THREADS": "1"}
        rows = {"pthinspect ls --sha256, one thread": ([self.program, "ls", "--sha256", path], one),
                "pthinspect ls --sha256": [self.program, "ls", "--sha256", path],
                "Python's hashlib (OpenSSL)": [self.python, "-c", HASHLIB, path]}
        rows |= {"openssl dgst -sha256": ["openssl", "dgst", "-sha256", path]} if shutil.which("openssl") else {}
        rows |= {"sha256sum": ["sha256sum", path]} if shutil.which("sha256sum") else {}
        self.turns(f"SHA-256 of {self.args.size}", rows)

    def check(self) -> None:
        path = self.big()
        rows = {"pthinspect check": [self.program, "check", path],
                "pthinspect check, one thread": ([self.program, "check", path], {"RAYON_NUM_THREADS": "1"}),
                "cat > /dev/null": ["cat", path],
                "Python's zipfile.testzip": [self.python, "-c", TESTZIP, path]}
        rows |= {"unzip -tqq": ["unzip", "-tqq", path]} if shutil.which("unzip") else {}
        self.turns(f"Is a checkpoint of {self.args.size} whole?", rows)

    def export(self) -> None:
        path, out = self.big(), self.work / "exported"
        reference = self.work / "exported_once"
        if not reference.exists():
            subprocess.run([self.program, "export", path, "--output", f"{reference}/"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([self.program, "export", path, "--output", reference / "all.one"], check=True,
                           stdout=subprocess.DEVNULL)

        def clean():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            os.sync()  # what one wrote must not be written to the disk in the next one's time

        clean()
        whole, files = reference / "all.one", out / "files"
        folder = self.work / "exported_files"
        if not folder.exists():
            folder.mkdir()
            for file in reference.iterdir():
                if not file.name.startswith("all.one"):
                    file.rename(folder / file.name)
        self.turns(f"Elements of {self.args.size} to one file", {
            "pthinspect export -o all.bin": [self.program, "export", path, "--output", out / "all.bin"],
            "pthinspect export --no-sha256 -o all.bin": [self.program, "export", path, "--no-sha256", "--output", out / "all.bin"],
            "cp": ["cp", whole, out / "all.bin"]}, clean)
        self.turns(f"Elements of {self.args.size} to a file for each tensor", {
            "pthinspect export -o files/": [self.program, "export", path, "--output", f"{files}/"],
            "pthinspect export --no-sha256 -o files/": [self.program, "export", path, "--no-sha256", "--output", f"{files}/"],
            "cp -r": ["cp", "-r", folder, files]}, clean)

    def start(self) -> None:
        rows = {"pthinspect --version": [self.program, "--version"], "pthinspect ls": [self.program, "ls", SMALLEST],
                "true": ["true"], "python -c pass": [self.python, "-c", "pass"]}
        self.turns("Start-up", rows)

    def search(self) -> None:
        """The order of each distinct convolution of resnet50, found from its output alone."""
        table = []
        for isa in ("", "AVX2"):
            for threads in (1, 2):
                name = f"goldens_{isa or 'default'}_t{threads}"
                folder = self.work / name
                environment = {"ONEDNN_MAX_CPU_ISA": isa} if isa else {}
                if not folder.exists():
                    folder.mkdir()
                    whole = self.made(f"{name}.golden.safetensors", [
                        self.python, SCRIPTS / "capture_golden.py", "--model", "torchvision:resnet50", "--distinct", "--seed",
                        "7", "--threads", threads, "--output", self.work / f"{name}.golden.safetensors"], environment)
                    subprocess.run([self.python, "-c", MAKE_GOLDENS, whole, folder], check=True)
                    whole.unlink()
                for kind, words, expect in (("golden", "found", (0,)), ("rounded", "refused", (1,))):
                    layers = []
                    for path in sorted(folder.glob(f"*.{kind}.safetensors")):
                        runs = [self.once([self.program, "verify", path], {}, False, expect)
                                for _ in range(1 + min(3, self.runs))][1:]
                        layers.append((*min(runs), path.name.removesuffix(f".{kind}.safetensors")))
                    walls = [layer[0] for layer in layers]
                    slowest = max(layers)
                    table.append({"name": f"{isa or 'all vectors'}, {threads} threads: {len(layers)} layers {words}; slowest "
                                          f"{slowest[3]}", "min_s": max(walls), "median_s": statistics.median(walls),
                                  "cpu_s": max(layer[1] for layer in layers), "peak_mb": max(layer[2] for layer in layers)})
        self.tables["search"] = table
        print("\nOrder of each distinct convolution of resnet50, from the output alone (1 image, 224 x 224), a process each\n")
        print("| torch ran with | slowest | median | processors at most | peak memory |\n| --- | --- | --- | --- | --- |")
        for row in table:
            print(f"| {row['name']} | {seconds(row['min_s'])} | {seconds(row['median_s'])} | {seconds(row['cpu_s'])} | "
                  f"{row['peak_mb']:.0f} MB |")


def seconds(value: float) -> str:
    return f"{value * 1e3:.1f} ms" if value < 0.1 else f"{value:.2f} s"


PARTS = ("start", "ls", "linear", "sparse", "sha256", "check", "export", "search")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/pthinspect")
    parser.add_argument("--work", type=Path, help="keep the files there (default: a temporary folder)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by comma")
    parser.add_argument("--runs", type=int, default=7, help="turns that count")
    parser.add_argument("--size", default="2GB", help="of the large checkpoint")
    parser.add_argument("--readers", type=Path, metavar="DIR", help="compile candle-core and pytorch-reader there, and ask them")
    parser.add_argument("--json", type=Path, help="write every figure there")
    args = parser.parse_args()
    unknown = set(args.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if not args.program.exists():
        parser.error(f"{args.program} is not there: cargo build --release")
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(args, work)
        if args.readers:
            said = subprocess.run([sys.executable, "-c", "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
                                   "import compare_readers; print(compare_readers.build(Path(sys.argv[2]), release=True))",
                                   SCRIPTS, args.readers], check=True, capture_output=True, text=True)
            bench.probe = said.stdout.strip()
        for part in PARTS:
            if part in args.only.split(","):
                getattr(bench, part)()
        if args.json:
            args.json.write_text(json.dumps(bench.tables, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
