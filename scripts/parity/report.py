"""What live_parity.py found, as a table and as a list of exceptions."""
from __future__ import annotations

import json
import shutil
import struct
from collections import Counter
from pathlib import Path

from golden_common import METADATA_KEY
from parity.known import name_of


def good(case: dict, no_origin: bool) -> bool:
    """A wrong bit must be found exactly if torch's output shows it; everything else must be predicted and identical."""
    if case.get("shows"):
        return case["status"] == "different"
    return case["status"] == "identical" and (no_origin or case["chosen_by"] == "origin")


def backend(case: dict) -> str:
    """Who computed it, in torch's and oneDNN's own words."""
    name = case.get("backend") or "backend not told"
    return f"{name} {case['implementation']}" if case.get("implementation") else name


def family(order: str | None) -> str:
    return (order or "none").split("/")[0]


def summarize(results: list[dict], calls: dict, no_origin: bool) -> dict:
    """Rows by dtype, memory format, instruction set and backend; a call that a setting meets twice counts twice."""
    rows, exceptions, flips = {}, [], {}
    for result in results:
        setting = result["setting"]
        for case in result["cases"]:
            if not good(case, no_origin):
                call = calls[result["job"], case["name"].split("~")[0]]
                exceptions.append(dict(known=name_of(setting, case, call), setting=setting, case=case, call=call))
            if "flipped" in case:
                count = flips.setdefault(case["flipped"][0], dict(wrong=0, show=0, found=0, quiet=0, not_reported=0))
                count["wrong"] += 1
                count["show" if case["shows"] else "quiet"] += 1
                count["found" if case["shows"] else "not_reported"] += case["status"] == ("different" if case["shows"] else "identical")
                continue
            key = (setting["dtype"], case["memory_format"], setting["isa"], backend(case))
            row = rows.setdefault(key, dict(cases=0, identical=0, predicted=0, orders=Counter()))
            row["cases"] += 1
            row["identical"] += case["status"] == "identical"
            row["predicted"] += case["status"] == "identical" and case["chosen_by"] == "origin"
            if case["status"] == "identical":
                row["orders"][family(case["order"])] += 1
    order = ["native", "AVX512_CORE", "AVX2", "AVX", "SSE41"]
    place = lambda key: (key[0], key[1] != "contiguous", order.index(key[2]) if key[2] in order else 9, key[3])
    table = [dict(dtype=key[0], memory_format=key[1], isa=key[2], backend=key[3], **rows[key] | dict(orders=dict(rows[key]["orders"])))
             for key in sorted(rows, key=place)]
    origins = {json.dumps({key: (result["origin"] or {}).get(key) for key in ("torch", "onednn", "mkl", "cpu_capability")})
               for result in results}
    return dict(rows=table, flips=flips, exceptions=exceptions, torch=[json.loads(text) for text in sorted(origins)],
                binaries=sorted({result["binary"] for result in results}))


def text(summary: dict, most: int) -> str:
    dtypes = {row["dtype"] for row in summary["rows"]}
    head = ["memory format", "oneDNN's ISA", "backend", "orders", "cases", "identical", "predicted"]
    lines = []
    total = Counter()
    for row in summary["rows"]:
        orders = ", ".join(name for name, _ in sorted(row["orders"].items(), key=lambda item: (-item[1], item[0])))
        first = row["memory_format"] if dtypes == {"float32"} else f"{row['dtype']} {row['memory_format']}"
        counts = {key: row[key] for key in ("cases", "identical", "predicted")}
        total += Counter(counts)
        lines.append([first, row["isa"], row["backend"], orders or "none", *(f"{n:,}" for n in counts.values())])
    lines.append(["all", "", "", "", *(f"{total[key]:,}" for key in ("cases", "identical", "predicted"))])
    told = [markdown(head, lines), ""]
    if summary["flips"]:
        head = ["one bit wrong in", "cases", "torch's output shows it", "found", "it does not", "not reported"]
        told += [markdown(head, [[part, *map(str, count.values())] for part, count in sorted(summary["flips"].items())], 5), ""]
    took = summary["seconds"]
    told.append(f"{took['jobs']} s of capturing and replaying, {took['wall']} s by the clock: {summary['command']}")
    if summary["jobs"]["done"] < summary["jobs"]["planned"]:
        told.append("not finished: {done} of {planned} jobs".format(**summary["jobs"]))
    by_name: dict = {}
    for one in summary["exceptions"]:
        by_name.setdefault(one["known"] or "NOT KNOWN", []).append(one)
    for name, ones in sorted(by_name.items()):
        told.append(f"\n{len(ones)} exceptions: {name}")
        told += [exception(one) for one in ones[:most]]
        if len(ones) > most:
            told.append(f"... and {len(ones) - most} more")
    return "\n".join(told)


def markdown(head: list[str], rows: list[list[str]], numbers: int = 3) -> str:
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    numeric = len(head) - numbers
    line = lambda row: "| " + " | ".join(cell.rjust(width) if index >= numeric else cell.ljust(width)
                                         for index, (cell, width) in enumerate(zip(row, widths))) + " |"
    rule = "| " + " | ".join("-" * (width - 1) + ":" if index >= numeric else "-" * width
                             for index, width in enumerate(widths)) + " |"
    return "\n".join([line(head), rule, *map(line, rows)])


def exception(one: dict) -> str:
    setting, case, call = one["setting"], one["case"], one["call"]
    shape = lambda sizes: "x".join(map(str, sizes))
    pair = lambda value: value if isinstance(value, str) else shape(value)
    words = [call["op"]] if call.get("op") else []
    words += [f"input {shape(call['input'])}", f"weight {shape(call['weight'])}", f"stride {pair(call['stride'])}",
             f"padding {pair(call['padding'])}", f"dilation {pair(call['dilation'])}", f"groups {call['groups']}"]
    if call["padding_mode"] != "zeros":
        words.append(call["padding_mode"])
    words += [word for word, said in (("no bias", not call["bias"]), ("unbatched", call["unbatched"])) if said]
    words += [f"{kind} in {where}" for where, kind, _ in call["special"]]
    verdict = [case["status"], f"order {case.get('order')}", f"chosen by {case.get('chosen_by')}",
               f"{case.get('identical')} of {case.get('elements')} identical", f"max {case.get('max_ulp')} ulp"]
    first = case.get("first_difference")
    if first:
        verdict.append(f"first at {first['index']}: {first['expected']} expected, {first['actual']} computed")
    if case.get("no_rounding"):
        verdict.append(f"{case['no_rounding']} elements of PyTorch's are beyond rounding")
    if case.get("error"):
        verdict.append(str(case["error"]))
    flags = [f"--isa {setting['isa']} --layouts {setting['layout']} --threads {setting['threads']}"]
    if setting["dtype"] != "float32":
        flags.append(f"--dtype {setting['dtype']}")
    if not setting["mkldnn"]:
        flags.append("--no-mkldnn")
    flags += [f"--env {name}={value}" for name, value in setting["env"].items()]
    name = case["name"].split("~")[0]
    if "flipped" in case:
        flags.append("--flips")
        verdict.insert(0, "{}[{}] bit {}, which {}".format(*case["flipped"], "shows" if case["shows"] else "does not show"))
    model, _, _ = name.partition(".")
    if call.get("op"):
        op, seed, index = name.split(".")
        flags.append(f"--ops {op} --models '' --random {int(index) + 1} --seed {seed[1:]} --only {name}")
    elif model == "random":
        _, seed, index = name.split(".")
        flags.append(f"--models '' --random {int(index) + 1} --seed {seed[1:]} --only {name}")
    else:
        flags.append(f"--models {model} --batches {call['input'][0]} --random 0 --only {name}")
    return (f"{case['name']}: {case['memory_format']}, {backend(case)}: {', '.join(words)}\n"
            f"    {', '.join(verdict)}\n    scripts/live_parity.py {' '.join(flags)}")


# ---------------------------------------------------------------------------------------------------------------
# Golden files


def golden_header(path: Path) -> tuple[dict, int]:
    with path.open("rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        return json.loads(f.read(length)), 8 + length


def golden_meta(path: Path) -> dict:
    return json.loads(golden_header(path)[0]["__metadata__"][METADATA_KEY])


def forget_origin(path: Path) -> None:
    """Take out of a golden everything that says or hints where its outputs were computed."""
    header, begin = golden_header(path)
    meta = json.loads(header["__metadata__"][METADATA_KEY])
    meta.pop("origin", None)
    for case in meta["cases"]:
        for key in ("origin", "backend", "implementation"):
            case.pop(key, None)
    header["__metadata__"][METADATA_KEY] = json.dumps(meta)
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    part = path.with_suffix(".part")
    with path.open("rb") as source, part.open("wb") as target:
        source.seek(begin)
        target.write(struct.pack("<Q", len(raw)) + raw)
        shutil.copyfileobj(source, target)
    part.replace(path)
