#!/usr/bin/env python3
"""What each reader reads of the same files: pthinspect, torch.load, pytorch-reader, candle-core and the safetensors crate.

    compare_readers.py [--program target/release/pthinspect] [--fixtures fixtures/checkpoints] [--work FOLDER]
                       [--details] [--json OUT] [FILE...]

Every file has torch's own answer beside it (NAME.expected.json), and every reader runs in a process of its own with a
limit on time and memory. What counts:

* right: every tensor that torch finds is found, with the same type, shape and elements (sha256 in C order), and with the
  same strides where the reader shows any. Tensors are matched by name. Where a reader names them otherwise by design (it
  leaves out a prefix, numbers them, ...), the set of types, shapes and hashes decides. A bool shown as a byte is right.
* partly: at least one tensor right, the others missing, and it says so (an error for the tensor, a line on stderr).
* silent: a tensor that torch finds is missing, or has other elements, shape or type, and nothing says so.
* refused: an error and no tensor. crashed: a signal, a panic, or a limit.

Files without any tensor are left out: a reader that reads nothing would be right about them.

The pickles of the fixtures are run by torch.load(weights_only=False): only let it at files that you made yourself.
"""
import argparse
import hashlib
import io
import json
import os
import pickletools
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
SECONDS = 60
MEMORY = 4 << 30

CARGO = """[package]
name = "readers_probe"
version = "0.0.0"
edition = "2021"

[dependencies]
pytorch-reader = "=0.23.0-pre.1"
candle-core = { version = "=0.11.1", default-features = false }
safetensors = "=0.8.0"
serde_json = "1"
sha2 = "0.10"

[workspace]
"""

#: name of the column, what runs it
READERS = {
    "pthinspect": "ours",
    "torch.load(weights_only=True)": "torch-safe",
    "torch.load(weights_only=False)": "torch-any",
    "pytorch-reader 0.23.0-pre.1": "pytorch-reader",
    "candle-core 0.11.1": "candle",
    "safetensors 0.8.0": "safetensors",
}
ROWS = (
    "zip: state dicts and plain values", "zip: whole modules and objects",
    "zip: sparse, quantized, nested, meta, conj and wrapped tensors", "legacy stream (0.1.10 to 1.5)",
    "tar of before 0.1.10", "raw pickles", "TorchScript", "TorchScript for mobile (.ptl)", "exported programs (.pt2)",
    "safetensors", "sharded folders with an index", "distributed checkpoints (DCP)",
)

SHORT = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
         "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
         "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
         "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8E4M3": "float8_e4m3fn",
         "F8E8M0": "float8_e8m0fnu", "F4": "float4_e2m1fn_x2"}


def dtype_name(shown: str) -> str:
    return SHORT.get(shown.upper(), shown)


# ---- which kind of file is it? ----

def group_of(path: Path, expected: list) -> str:
    """The row of the table: by the file's own bytes, and by what torch found in it."""
    if path.is_dir():
        names = {child.name for child in path.iterdir()}
        sharding = any(b"DCP_SHARDING_INFO" in child.read_bytes()[:100_000] for child in path.iterdir() if child.is_file())
        if ".metadata" in names or sharding:
            return "distributed checkpoints (DCP)"
        return "sharded folders with an index"
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        return "safetensors"
    if data[257:262] == b"ustar":
        return "tar of before 0.1.10"
    if b"l\xfc\x9cF\xf9 j\xa8P\x19" in data[:32]:
        return "legacy stream (0.1.10 to 1.5)"
    if not data.startswith(b"PK"):
        return "raw pickles"
    archive = zipfile.ZipFile(io.BytesIO(data))
    names = archive.namelist()
    if any("/models/" in name for name in names) or "serialized_exported_program.json" in names:
        return "exported programs (.pt2)"
    if any(name.endswith("constants.pkl") for name in names):
        lite = any(name.endswith("bytecode.pkl") for name in names)
        return "TorchScript for mobile (.ptl)" if lite else "TorchScript"
    beyond = {"layout", "parts", "qscheme", "device", "conj", "neg"}
    if any(beyond & tensor.keys() for tensor in expected) or is_wrapped(archive):
        return "zip: sparse, quantized, nested, meta, conj and wrapped tensors"
    if of_classes(archive):
        return "zip: whole modules and objects"
    return "zip: state dicts and plain values"


def globals_of(archive) -> set:
    record = archive.open(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    record._expected_crc = None  # torch can leave it out
    found, text, memo = set(), [""], []
    for opcode, argument, _ in pickletools.genops(record.read()):
        if opcode.name in ("GLOBAL", "INST"):
            found.add(argument.replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            found.add(".".join(text[-2:]))
        elif opcode.name == "MEMOIZE":
            memo.append(text[-1])
        elif opcode.name in ("BINGET", "LONG_BINGET") and argument < len(memo):
            text.append(memo[argument])
        elif isinstance(argument, str):
            text.append(argument)
    return found


def is_wrapped(archive) -> bool:
    return any("_rebuild_wrapper_subclass" in name or "_rebuild_from_type" in name for name in globals_of(archive))


def of_classes(archive) -> bool:
    inert = ("torch._utils.", "torch._tensor.", "collections.OrderedDict", "torch.", "torch.storage.", "_codecs.encode")
    return any(not name.startswith(inert) or name.startswith("torch.nn.") for name in globals_of(archive))


# ---- the readers ----

def limits():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def child(command: list) -> dict:
    """What a process printed, as {"tensors": [...], "said": text, "error": text or None, "crash": text or None}."""
    try:
        environment = {**os.environ, "RUST_BACKTRACE": "0"}
        run = subprocess.run(command, capture_output=True, timeout=SECONDS, preexec_fn=limits, env=environment)
    except subprocess.TimeoutExpired:
        return {"tensors": [], "said": "", "error": None, "crash": f"ran longer than {SECONDS} s"}
    said = run.stderr.decode(errors="replace").strip()
    last = said.splitlines()[-1] if said else ""
    crash = None
    if run.returncode < 0:
        crash = f"{signal.Signals(-run.returncode).name}: {last}"
    elif run.returncode == 101:
        crash = next((line for line in said.splitlines() if "panicked" in line), "panic")
    error = f"exit {run.returncode}: {last}" if run.returncode > 0 and not crash else None
    return {"stdout": run.stdout, "said": said, "error": error, "crash": crash, "tensors": []}


def ours(program: str, path: Path) -> dict:
    answer = child([program, "ls", str(path), "--json", "--sha256"])
    if not answer["error"] and not answer["crash"]:
        answer["tensors"] = json.loads(answer["stdout"])["tensors"]
    answer["said"] = ""
    return answer


def crate(probe: Path, reader: str, path: Path, expected: list) -> dict:
    keys = sorted({tensor["name"].split(".")[0] for tensor in expected if "." in tensor["name"]})
    answer = child([str(probe), reader, str(path), *(keys if reader == "candle" else [])])
    lines = answer.get("stdout", b"").decode().splitlines()
    answer["tensors"] = [json.loads(line) for line in lines]
    for tensor in answer["tensors"]:
        tensor["dtype"] = dtype_name(tensor["dtype"])
    return answer


def torch_reads(path: Path, weights_only: bool) -> dict:
    """torch.load in a fork of this process, so that torch is imported once."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receive)
        signal.alarm(SECONDS)
        with os.fdopen(send, "w") as pipe:
            json.dump(load(path, weights_only), pipe)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) or not text:
        return {"tensors": [], "said": "", "error": None, "crash": f"signal {os.WTERMSIG(status)}"}
    return json.loads(text)


def load(path: Path, weights_only: bool) -> dict:
    import warnings

    import torch
    from fixture_makers.expected import describe, tensors_of
    answer = {"tensors": [], "said": "", "error": None, "crash": None}
    sys.stderr = io.StringIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                value = torch.load(path, map_location="cpu", weights_only=weights_only)
            except AttributeError:  # untyped storages of a legacy stream cannot be mapped
                value = torch.load(path, weights_only=weights_only)
            answer["tensors"] = [describe(".".join(names), tensor) for names, tensor in tensors_of(value)]
    except Exception as error:  # noqa: BLE001 - whatever torch raises is its answer
        message = re.sub("\x1b\\[[0-9;]*m", "", str(error))
        answer["error"] = f"{type(error).__name__}: {message.splitlines()[0] if message else ''}"
    return answer


# ---- grading ----

def described(tensor: dict) -> str:
    """Type, shape and elements of a tensor, its parts included: what must be the same, as text."""
    if tensor.get("parts"):
        return json.dumps([tensor["dtype"], tensor.get("layout"), [described(part) for part in tensor["parts"]]])
    elements = tensor.get("sha256") or tensor.get("packed_sha256")
    dtype = "uint8" if tensor["dtype"] == "bool" else tensor["dtype"]
    return json.dumps([dtype, tensor["shape"], elements])


def differs(theirs: dict, wanted: dict) -> str | None:
    """What is wrong with one tensor; None if it is right."""
    if "error" in theirs:
        return None
    if wanted.get("packed_sha256") and theirs.get("packed_sha256") is None:
        theirs = {**theirs, "packed_sha256": theirs.get("sha256"), "sha256": None}
    if not wanted.get("parts"):
        theirs = {**theirs, "parts": None}  # scales and zero points, which are compared below
    if wanted["dtype"] == "float4_e2m1fn_x2" == theirs["dtype"] and theirs["shape"][-1] == 2 * wanted["shape"][-1]:
        theirs = {**theirs, "shape": wanted["shape"]}  # counted in numbers, not in pairs
    if described(theirs) != described(wanted):
        return f"{wanted['name']}: torch {described(wanted)}, read {described(theirs)}"
    for key in ("qscheme", "scale", "zero_point", "scales", "zero_points", "axis"):
        if key in wanted and theirs.get(key) != wanted[key]:
            return f"{wanted['name']}: {key} is {theirs.get(key)}, torch has {wanted[key]}"
    if theirs.get("stride") is not None and wanted.get("stride") is not None and theirs["stride"] != wanted["stride"]:
        return f"{wanted['name']}: stride {theirs['stride']}, torch has {wanted['stride']}"
    return None


def grade(answer: dict, expected: list) -> tuple[str, str]:
    """right, partly, silent, refused or crashed; and why."""
    if answer["crash"]:
        return "crashed", answer["crash"]
    if answer["error"] and not answer["tensors"]:
        return "refused", answer["error"]
    by_name = {tensor["name"]: tensor for tensor in answer["tensors"]}
    missing = [tensor for tensor in expected if tensor["name"] not in by_name]
    if missing and "error" not in str(answer["tensors"]):
        content = Counter(described(tensor) for tensor in answer["tensors"])
        if not Counter(described(tensor) for tensor in expected) - content:
            return "right", "under other names"
    wrong = [differs(by_name[t["name"]], t) for t in expected if t["name"] in by_name]
    wrong = [what for what in wrong if what]
    failed = [t["name"] for t in expected if "error" in by_name.get(t["name"], {})]
    right = len(expected) - len(missing) - len(wrong) - len(failed)
    if wrong:
        return "silent", wrong[0]
    if not missing and not failed:
        return "right", ""
    short = f"{right} of {len(expected)} tensors; " + ", ".join(repr(name) for name in
                                                               [t["name"] for t in missing][:2] + failed[:2])
    if missing and not failed and not answer["said"] and not answer["error"]:
        return "silent", f"{short} missing without a word"
    said = answer["error"] or answer["said"].splitlines()[-1:] or [by_name[failed[0]]["error"]]
    said = said if isinstance(said, str) else said[0]
    return ("partly" if right else "refused"), f"{short}: {said[:120]}"


def applies(column: str, path: Path) -> bool:
    return READERS[column] != "safetensors" or path.suffix == ".safetensors"


def build(work: Path, release: bool = False) -> Path:
    (work / "src").mkdir(parents=True, exist_ok=True)
    (work / "Cargo.toml").write_text(CARGO)
    shutil.copy(SCRIPTS / "readers_probe.rs", work / "src" / "main.rs")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(work / "target")}
    command = ["cargo", "build", "--quiet", *(["--release"] if release else [])]
    subprocess.run(command, cwd=work, env=environment, check=True)
    return work / "target" / ("release" if release else "debug") / "readers_probe"


def in_order(results: dict) -> list:
    return [group for group in ROWS if group in results]


def table(results: dict, columns: list) -> str:
    lines = ["| files | " + " | ".join(f"`{c}`" for c in columns) + " |", "| --- |" + " --- |" * len(columns)]
    totals = defaultdict(Counter)
    for group in in_order(results):
        cells = []
        for column in columns:
            counts = Counter(verdict for verdict, _ in (files[column] for files in results[group].values() if column in files))
            totals[column] += counts
            cells.append(cell(counts))
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    lines.append("| **all** | " + " | ".join(cell(totals[column]) for column in columns) + " |")
    return "\n".join(lines)


def cell(counts: Counter) -> str:
    """`3 of 8` right, and what became of the others where it is worse than an error."""
    total = sum(counts.values())
    if not total:
        return "-"
    more = [f"{counts[grade]} {grade}" for grade in ("partly", "silent", "crashed") if counts[grade]]
    return ", ".join([f"{counts['right']} of {total}", *more])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="some of the files (default: all that have torch's answer)")
    parser.add_argument("--program", default="target/release/pthinspect")
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures/checkpoints"))
    parser.add_argument("--work", type=Path, help="where the other readers are compiled, kept (default: a temporary folder)")
    parser.add_argument("--details", action="store_true", help="a line for each file and reader that is not right")
    parser.add_argument("--json", type=Path, help="write every verdict there")
    args = parser.parse_args()
    sys.path[:0] = [str(SCRIPTS), str(SCRIPTS / "fixture_makers")]  # classes of the fixtures' own, too
    import torch
    torch.set_num_threads(1)
    names = sorted(args.fixtures.glob("*.expected.json"))
    answered = [Path(str(name).removesuffix(".expected.json")) for name in names]
    # numpy's arrays in a checkpoint have an answer of their own, beside that of its tensors
    files = args.files or [path for path in answered if path.exists()]
    with tempfile.TemporaryDirectory() as temporary:
        probe = build(args.work or Path(temporary))
        results = defaultdict(dict)
        for path in files:
            expected = json.loads(Path(f"{path}.expected.json").read_text())
            if not expected:
                continue
            verdicts = {}
            for column, reader in READERS.items():
                if not applies(column, path):
                    continue
                if reader == "ours":
                    answer = ours(args.program, path)
                elif reader.startswith("torch"):
                    answer = torch_reads(path, reader == "torch-safe")
                else:
                    answer = crate(probe, reader, path, expected)
                verdicts[column] = grade(answer, expected)
            results[group_of(path, expected)][path.name] = verdicts
    columns = list(READERS)
    count = sum(len(files) for files in results.values())
    print(f"{count} files; torch {torch.__version__.split('+')[0]}\n")
    print(table(results, columns))
    if args.details:
        for group in in_order(results):
            print(f"\n{group}")
            for name, verdicts in results[group].items():
                for column, (verdict, why) in verdicts.items():
                    if verdict != "right" or why:
                        print(f"  {name}  {column}: {verdict}  {why[:200].replace(chr(10), ' ')}".rstrip())
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(verdicts["pthinspect"][0] == "right" for files in results.values() for verdicts in files.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
