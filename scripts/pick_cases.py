#!/usr/bin/env python3
"""Some cases of golden files that PyTorch wrote on other processors, byte for byte, small enough to be kept as fixtures.

    pick_cases.py CAPTURED.safetensors ... --output fixtures/goldens/processors [--most 24000] [--cases 6] [--skip FILE:CASE,...]

Nothing is computed here: tensors and origin are copied from what capture_golden.py wrote on a machine with that processor
(or on an emulated one). The cases are the smallest of each file, of at most MOST bytes each. SKIP leaves out those that no order is known for. MANIFEST.json in the output
folder says which file each comes from, with its digest.
"""
from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file

KEY = "pthinspect.golden"


def pick(path: Path, output: Path, most: int, count: int, skipped: set[str]) -> dict:
    with safe_open(path, "np") as file:
        metadata = file.metadata()
        document = json.loads(metadata[KEY])
        tensors: dict[str, dict] = {}
        for name in file.keys():
            tensors.setdefault(name.rsplit(".", 1)[0], {})[name] = file.get_tensor(name)
    size = {case: sum(tensor.nbytes for tensor in own.values()) for case, own in tensors.items()}
    names = [case["name"] for case in document["cases"] if f"{path.stem}:{case['name']}" not in skipped]
    names.sort(key=lambda name: size[name])
    chosen = {name for name in names[:count] if size[name] <= most}
    document["cases"] = [case for case in document["cases"] if case["name"] in chosen]
    kept = {name: tensor for case in sorted(chosen) for name, tensor in tensors[case].items()}
    target = output / f"{path.name.removesuffix('.safetensors').removesuffix('.golden')}.golden.safetensors"
    save_file(kept, target, metadata={**metadata, KEY: json.dumps(document)})
    return {"cases": sorted(chosen), "from": path.name, "from_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "sha256": hashlib.sha256(target.read_bytes()).hexdigest(), "origin": document["origin"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("captured", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--most", type=int, default=24_000, help="bytes of a case")
    parser.add_argument("--cases", type=int, default=6, help="cases of a file")
    parser.add_argument("--skip", default="", help="cases that are left out, FILE:CASE,... (FILE without its ending)")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    files = {path.stem: pick(path, args.output, args.most, args.cases, set(args.skip.split(","))) for path in args.captured}
    text = json.dumps({"made_by": "python scripts/pick_cases.py CAPTURED ... --output fixtures/goldens/processors", "files": files}, indent=1)
    (args.output / "MANIFEST.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
