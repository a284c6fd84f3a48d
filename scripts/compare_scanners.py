#!/usr/bin/env python3
"""compare_scanners.py [--python PYTHON] [--bad FOLDER]... [--good FOLDER]... [--program PTHINSPECT] [--json OUT]

What `pthinspect scan` and four scanners written in Python say of the same files: a table of flagged, missed and refused
for hostile files (fixtures/malicious), of passed, false alarms and refused for harmless ones (fixtures/checkpoints).

The four (picklescan, modelscan, fickling, modelaudit) are installed into a temporary environment, or PYTHON is one that
has them; each runs in a process of its own, by its own interface for programs, and none of them loads a model. A file
is *refused* where a scanner gives no verdict: an error, or a kind of file that it does not take. Harmless files that
hold classes of somebody's own are left out: there, a warning is right. Of modelaudit's findings, warnings and critical
ones count.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("picklescan", "modelscan", "fickling", "modelaudit")
QUIET = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1"}
# fixtures that hold classes of their own, or another checkpoint behind the end, on purpose
NOT_HARMLESS = ("module_zoo.pth", "raw_list.pkl", "legacy_trailing.pth", "root_object.pth", "objects.pth", "training.pth", "wrapped.pth")


def verdict_of(tool: str):
    """A function of a path: "flagged", "passed" or "refused"."""
    if tool == "picklescan":
        from picklescan.scanner import scan_file_path

        def judge(path):
            result = scan_file_path(path)
            return "flagged" if result.issues_count else "refused" if result.scan_err or not result.scanned_files else "passed"
    elif tool == "modelscan":
        from modelscan.modelscan import ModelScan

        def judge(path):
            result = ModelScan().scan(path)
            if result["summary"]["total_issues"]:
                return "flagged"
            return "passed" if result["summary"]["scanned"]["total_scanned"] and not result["errors"] else "refused"
    elif tool == "fickling":
        import fickling

        def judge(path):
            return "passed" if fickling.is_likely_safe(path) else "flagged"
    else:
        from modelaudit.core import scan_model_directory_or_file

        def judge(path):
            result = scan_model_directory_or_file(path)
            severe = [i for i in result.issues if str(getattr(i.severity, "value", i.severity)) in ("warning", "critical")]
            return "flagged" if severe else "refused" if result.has_errors else "passed"
    return judge


def work(tool: str) -> int:
    """Reads paths from stdin, one a line; writes a verdict on each."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    judge = verdict_of(tool)
    for line in sys.stdin:
        path = line.rstrip("\n")
        try:
            verdict = judge(path)
        except (Exception, SystemExit):  # of the scanner, whatever it is
            verdict = "refused"
        print(json.dumps([path, verdict]), file=out, flush=True)
    return 0


def run_tool(python: str, tool: str, paths: list[str]) -> dict[str, str]:
    """Verdicts of a tool; a file at which it dies, or takes over two minutes, is refused, and it goes on behind it."""
    verdicts: dict[str, str] = {}
    while left := [path for path in paths if path not in verdicts]:
        words = [python, __file__, "--work", tool]
        with tempfile.TemporaryFile("w+") as lines:
            try:
                subprocess.run(words, input="\n".join(left), text=True, stdout=lines, stderr=subprocess.DEVNULL,
                               env=os.environ | QUIET, timeout=120 + len(left))
            except subprocess.TimeoutExpired:
                pass
            lines.seek(0)
            done = dict(json.loads(line) for line in lines)
        verdicts |= done
        if len(done) < len(left):
            verdicts[next(path for path in left if path not in done)] = "refused"
    return verdicts


def run_program(program: str, paths: list[str]) -> dict[str, str]:
    words = {0: "passed", 1: "flagged"}
    return {path: words.get(subprocess.run([program, "scan", path], capture_output=True).returncode, "refused") for path in paths}


def files(folders: list[str], harmless: bool) -> list[str]:
    found = (path for folder in folders for path in sorted(Path(folder).rglob("*")))
    text = (".json", ".why", ".md", ".txt", ".csv", ".yaml")
    wanted = (path for path in found if path.is_file() and (not str(path).endswith(text) or str(path).endswith(".index.json")))
    return [str(path) for path in wanted if not harmless or path.name not in NOT_HARMLESS]


def main() -> int:
    if sys.argv[1:2] == ["--work"]:
        return work(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("--python")
    parser.add_argument("--bad", action="append")
    parser.add_argument("--good", action="append")
    parser.add_argument("--program", default=str(ROOT / "target" / "release" / "pthinspect"))
    parser.add_argument("--json")
    args = parser.parse_args()
    bad = files(args.bad or [str(ROOT / "fixtures" / "malicious")], harmless=False)
    good = files(args.good or [str(ROOT / "fixtures" / "checkpoints")], harmless=True)
    with tempfile.TemporaryDirectory() as folder:
        python = args.python
        if python is None:
            venv.create(folder, with_pip=True)
            python = str(Path(folder) / "bin" / "python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", *TOOLS], check=True)
        versions = subprocess.run([python, "-c", f"import importlib.metadata as m; print(*(m.version(t) for t in {TOOLS}))"],
                                  capture_output=True, text=True, check=True).stdout.split()
        names = [f"{tool} {version}" for tool, version in zip(TOOLS, versions)]
        verdicts = {"pthinspect": run_program(args.program, bad + good)}
        verdicts |= {name: run_tool(python, tool, bad + good) for name, tool in zip(names, TOOLS)}
    print(f"| {len(bad)} hostile, {len(good)} harmless files | flagged | missed | refused | passed | false alarms | refused |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name, of in verdicts.items():
        hostile, harmless = [of[path] for path in bad], [of[path] for path in good]
        counts = [hostile.count(word) for word in ("flagged", "passed", "refused")]
        counts += [harmless.count(word) for word in ("passed", "flagged", "refused")]
        print(f"| {name} | {' | '.join(map(str, counts))} |")
    if args.json:
        Path(args.json).write_text(json.dumps(verdicts, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
