#!/usr/bin/env python3
"""make_corpus.py [FOLDER]: fills FOLDER/TARGET (default fuzz/corpus) with each target's seeds, from fixtures/ and fuzz/seeds.

Small files are taken: a fuzzer that mutates 40 KB at a time learns little from each of its mutations. The large programs
(TorchScript, .pt2) are taken apart and put together again without most of their weights; nothing of torch is needed.
"""
from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
LARGEST = 12_500


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((FIXTURES / folder).rglob("*"))]
    return [path for path in found if path.is_file() and path.suffix not in (".json", ".why")]


def is_zip(data: bytes) -> bool:
    return data[:4] == b"PK\x03\x04"


def members(data: bytes) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(info.filename, archive.read(info)) for info in archive.infolist() if info.file_size < 1 << 20]
    except Exception:  # a fixture that is meant to be broken
        return []


def slim(data: bytes) -> bytes | None:
    """The same zip, deflated, without debug information: what is large in a program is what nobody reads."""
    kept = [(name, content) for name, content in members(data) if not name.endswith(".debug_pkl")]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return out.getvalue() if kept else None


def small(paths: list[Path]) -> list[bytes]:
    found = []
    for path in paths:
        data = path.read_bytes()
        if len(data) > LARGEST and is_zip(data):
            data = slim(data) or data
        if 0 < len(data) <= LARGEST:
            found.append(data)
    return found


def pickles_of(paths: list[Path]) -> list[bytes]:
    found = []
    for path in paths:
        data = path.read_bytes()
        if is_zip(data):
            found += [content for name, content in members(data) if name.endswith(".pkl") and len(content) < 6000]
        elif path.suffix in (".pkl", ".p"):
            found.append(data)
    return found


def starting(data: list[bytes], *starts: bytes) -> list[bytes]:
    return [one for one in data if one.startswith(starts)]


def seeds() -> dict[str, list[bytes]]:
    good, bad, evil = files("checkpoints"), files("malformed"), files("malicious")
    own = {folder.name: [path.read_bytes() for path in sorted(folder.iterdir())] for folder in (HERE / "seeds").iterdir()}
    every = small(good + bad)
    headers = [one for one in small(files("checkpoints", "malformed", "questions")) if one[8:9] == b"{"]
    return {
        "pickle": pickles_of(good + bad + evil) + own["pickle"],
        "container": starting(small(good + bad + evil), b"PK") + own["container"],
        "safetensors": headers,
        "open_and_explain": every,
        "scan": small(good + evil),
        "check": every,
        "recover": every,
        "legacy": [one for one in every if not is_zip(one) and one[8:9] != b"{"] + own["legacy"],
        "dcp_metadata": [path.read_bytes() for path in good if path.name == ".metadata"] + own["dcp_metadata"],
        "npy": [path.read_bytes() for path in files("") if path.suffix == ".npy" and path.stat().st_size < LARGEST]
        + own["npy"],
        "shapes": small(files("shapes")) + [one for one in small(good) if is_zip(one)],
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "corpus"
    for target, found in seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for data in found:
            (folder / target / hashlib.sha1(data).hexdigest()).write_bytes(data)
        print(f"{target}: {len({*found})} seeds")


if __name__ == "__main__":
    main()
