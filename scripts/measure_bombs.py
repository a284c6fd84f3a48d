#!/usr/bin/env python3
"""Time and memory of every command on files that mean to cost both.

    measure_bombs.py                                 makes the files (cargo test), measures target/release/pthinspect
    measure_bombs.py --program pthinspect FOLDER     measures what lies in a folder

Of each file: the slowest and the largest run over all commands, in seconds and in MB of resident memory (as the system
counts them for the finished child), and how the commands ended. A run's seconds are those of the clock or of the
processors, whichever are fewer: on a machine that others use too the clock counts their work, and the processors count
each of several threads. Nothing is averaged; `--repeat N` keeps the best of N. Exit code 1 if a run took longer than
--seconds or more than --megabytes.
"""
from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUT = ROOT / "fixtures/questions/cifar_q1_input.npy"
#: FILE and OUT are filled in.
COMMANDS = [
    "ls FILE",
    "ls FILE --sha256 --json",
    "tree FILE",
    "tree FILE --all --json",
    "layer w FILE",
    "layer w FILE --filter 0",
    "export w FILE --output OUT.d",
    f"run w FILE --input {INPUT} --output OUT.npy",
    "scan FILE",
    "scan FILE --json",
    "check FILE",
    "check FILE --map --json",
    "recover FILE --output OUT.safetensors",
    "verify FILE",
]
LIMIT = 60


def bounded() -> None:
    """In the child: what goes wrong must not fill the disk or the memory."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


def run(program: str, command: str, file: Path, out: Path) -> tuple[float, float, int]:
    """Seconds, megabytes, exit code (negative: a signal)."""
    words = [word.replace("FILE", str(file)).replace("OUT", str(out)) for word in command.split()]
    start = time.monotonic()
    child = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=bounded)
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        seconds = time.monotonic() - start
        if pid:
            return min(seconds, usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)
        if seconds > LIMIT:
            child.kill()
        time.sleep(0.001)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="\n\n".join(__doc__.split("\n\n")[1:]))
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--program", default=str(ROOT / "target/release/pthinspect"))
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", default="", help="files whose names hold this")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder
        if folder is None:
            folder = Path(temporary) / "bombs"
            subprocess.run(["cargo", "test", "--quiet", "--test", "bombs"], cwd=ROOT, check=True,
                           env={**os.environ, "PTHINSPECT_BOMBS": str(folder)}, stdout=subprocess.DEVNULL)
        # each lies in a folder of its own
        files = sorted(own / own.name.removesuffix(".d") for own in folder.iterdir()) + sorted((ROOT / "fixtures/malformed").glob("*bomb_*"))
        files = [file for file in files if file.suffix != ".why" and args.only in file.name]
        print(f"{'file':44} {'bytes':>10} {'slowest':>8} {'of':24} {'largest':>8} {'of':24} exit codes")
        worst = (0.0, 0.0)
        for file in files:
            size = sum(part.stat().st_size for part in (file.iterdir() if file.is_dir() else [file]))
            found = []
            for command in COMMANDS:
                runs = [run(args.program, command, file, Path(temporary) / "out") for _ in range(args.repeat)]
                found.append((min(r[0] for r in runs), min(r[1] for r in runs), runs[0][2],
                              command.replace(" FILE", "").split(" --o")[0].split(" --i")[0]))
            slowest, largest = max(found, key=lambda r: r[0]), max(found, key=lambda r: r[1])
            codes = " ".join(f"{sum(1 for r in found if r[2] == code)}x{code}" for code in sorted({r[2] for r in found}))
            print(f"{file.name:44} {size:>10} {slowest[0]:>7.2f}s {slowest[3]:24} {largest[1]:>5.0f} MB {largest[3]:24} {codes}",
                  flush=True)
            worst = (max(worst[0], slowest[0]), max(worst[1], largest[1]))
    print(f"worst: {worst[0]:.2f} s, {worst[1]:.0f} MB")
    return int(worst[0] > args.seconds or worst[1] > args.megabytes)


if __name__ == "__main__":
    sys.exit(main())
