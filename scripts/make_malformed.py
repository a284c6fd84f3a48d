#!/usr/bin/env python3
"""make_malformed.py FOLDER: the smallest bad input for each refusal, and FILE.why beside it: what is wrong, in a line.

    odd_*      no correct writer makes it, yet torch reads it: whoever reads it must say so (`check`, `scan`)
    bomb_*     small, and meant to cost memory, time or stack: read or refused, but quickly and without a crash
    hostile_*  asks for code to run (the code is `true`): `ls` shows data, `scan` says what would have run
    the rest   cannot be read: exit 2 and one line

No torch here: zips, pickles, safetensors and npy files are put together byte by byte. Nothing is dangerous to open.
"""
from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import warnings
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "fixture_makers"))
from malformed_formats import old_formats

CASES: list[tuple[str, str, bytes]] = []


def case(name: str, why: str, data: bytes) -> None:
    assert name not in [known for known, _, _ in CASES], name
    CASES.append((name, why, data))


# ---------------------------------------------------------------------------------------------------------------
# Writing zips and pickles


def archive(records, deflate=False) -> bytes:
    """A zip of (name, bytes); names may repeat."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as made:
        warnings.simplefilter("ignore")
        for name, data in records:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
            made.writestr(entry, data)
    return out.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -2**31 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def several(items) -> bytes:
    """A tuple of already pickled items."""
    return b"(" + b"".join(items) + b"t"


def name_of(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def storage(key="0", numel=6, kind="FloatStorage") -> bytes:
    return several([text("storage"), name_of("torch", kind), text(key), text("cpu"), number(numel)]) + b"Q"


def tensor(stored=None, offset=0, shape=(2, 3), stride=(3, 1)) -> bytes:
    """torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, False, OrderedDict())"""
    arguments = [stored or storage(), number(offset), several(map(number, shape)), several(map(number, stride)),
                 b"\x89", name_of("collections", "OrderedDict") + b")R"]
    return name_of("torch._utils", "_rebuild_tensor_v2") + several(arguments) + b"R"


def one_item(value: bytes, key="w") -> bytes:
    return b"}" + text(key) + value + b"s"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


FLOATS = struct.pack("<6f", 1, 2, 3, 4, 5, 6)
STATE = program(one_item(tensor()))


def records(pickle=STATE, data=FLOATS, root="m", **more):
    return [(f"{root}/data.pkl", pickle), (f"{root}/byteorder", b"little"), (f"{root}/data/0", data),
            (f"{root}/version", b"3\n"), *((f"{root}/{name}", value) for name, value in more.items())]


def pickled(name: str, why: str, body: bytes, whole=False, deflate=False) -> None:
    case(f"{name}.pth", why, archive(records(body if whole else program(body)), deflate))


def entry_offsets(data: bytes) -> dict[str, tuple[int, int]]:
    """Of each member: where its local header and where its central entry begins."""
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        at, found = made.start_dir, {}
        for info in made.infolist():
            found[info.filename] = (info.header_offset, at)
            at += 46 + sum(struct.unpack_from("<HHH", data, at + 28))
    return found


def patched(data: bytes, *changes) -> bytes:
    """(position, struct format, value) written over."""
    out = bytearray(data)
    for at, form, value in changes:
        struct.pack_into(form, out, at, value)
    return bytes(out)


# ---------------------------------------------------------------------------------------------------------------
# The cases


def other_kinds_of_file():
    case("html_page.pth", "an HTML page: a download that needed a login or hit a 404",
         b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>404: Not Found</body></html>\n")
    case("git_lfs_pointer.pth", "a git-lfs pointer: the file itself was never pulled",
         b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a2146" * 8 + b"\nsize 46830571\n")
    case("gzip.pth", "gzip: has to be unpacked first", gzip.compress(archive(records()), mtime=0))
    case("xz.pth", "xz: has to be unpacked first", b"\xfd7zXZ\x00\x00\x04" + bytes(24))
    case("empty.pth", "zero bytes long", b"")
    case("one_byte.pth", "one byte long", b"P")
    case("text.pth", "plain text", b"epoch 1 loss 0.51\nepoch 2 loss 0.42\n")
    case("json.pth", "JSON", b'{"conv1.weight": [1.0, 2.0]}\n')
    case("png.pth", "a PNG picture", b"\x89PNG\r\n\x1a\n" + bytes(24))
    case("hdf5.pth", "HDF5, as Keras saves", b"\x89HDF\r\n\x1a\n" + bytes(40))
    case("gguf.pth", "GGUF, as llama.cpp saves", b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    case("zeros.pth", "nothing but zero bytes: an upload or a disk that failed", bytes(512))


def damaged_zips():
    good = archive(records())
    where = entry_offsets(good)
    case("truncated_zip.pth", "cut off in the middle, as by a broken download: no central directory", good[:len(good) // 2])
    case("truncated_by_one.pth", "the last byte is missing: the end of central directory record is cut", good[:-1])
    case("zip_without_data_pkl.pth", "a zip, but of photos: no data.pkl", archive([("photos/readme.txt", b"holiday\n")]))
    case("empty_zip.pth", "a zip of no files", archive([]))
    case("missing_storage.pth", "data.pkl names storage 0, there is no data/0", archive(records()[:2] + records()[3:]))
    case("short_storage.pth", "storage 0 should hold 6 floats (24 bytes), data/0 has 20", archive(records(data=FLOATS[:20])))
    case("long_storage.pth", "storage 0 should hold 6 floats (24 bytes), data/0 has 28", archive(records(data=FLOATS + bytes(4))))
    case("odd_duplicate_data_pkl.pth", "two records are called data.pkl: torch reads one, other readers the other",
         archive([("m/data.pkl", STATE), *records(program(one_item(tensor(), "other")))]))
    case("odd_duplicate_storage.pth", "two records are called data/0", archive([("m/data/0", bytes(24)), *records()]))
    case("two_roots.pth", "two root folders, each with a data.pkl", archive(records() + records(root="n")))
    local, central = where["m/data/0"]
    case("encrypted.pth", "data/0 is encrypted", patched(good, (local + 6, "<H", 1), (central + 8, "<H", 1)))
    case("unknown_compression.pth", "data/0 is compressed by method 12 (bzip2)",
         patched(good, (local + 8, "<H", 12), (central + 10, "<H", 12)))
    case("odd_bad_crc.pth", "one bit of data/0 was flipped: its CRC-32 does not fit",
         good.replace(FLOATS, FLOATS[:8] + bytes([FLOATS[8] ^ 1]) + FLOATS[9:]))
    case("odd_local_name_differs.pth", "the local header calls data/0 data/1, the central directory data/0",
         good[:local + 30] + b"m/data/1" + good[local + 38:])
    case("odd_local_size_differs.pth", "the local header says data/0 has 8 bytes, the central directory says 24",
         patched(good, (local + 18, "<I", 8), (local + 22, "<I", 8)))
    case("size_beyond_file.pth", "the central directory says data/0 has 1 GiB, the file ends long before",
         patched(good, (central + 20, "<I", 1 << 30), (central + 24, "<I", 1 << 30)))
    case("offset_beyond_file.pth", "the central directory puts data/0 behind the end of the file",
         patched(good, (central + 42, "<I", 0x7FFFFFFF)))
    case("odd_overlapping_records.pth", "the central directory puts data/0 and data.pkl at the same place",
         patched(good, (central + 42, "<I", where["m/data.pkl"][0])))
    case("directory_beyond_file.pth", "the end record puts the central directory behind the end of the file",
         patched(good, (len(good) - 6, "<I", 0x7FFFFFF0)))
    deflated = archive(records(data=bytes(1 << 20)), deflate=True)
    local, central = entry_offsets(deflated)["m/data/0"]
    case("odd_inflates_to_more.pth", "data/0 inflates to 1 MiB where both headers say 24 bytes",
         patched(deflated, (local + 22, "<I", 24), (central + 24, "<I", 24)))
    deflated = archive(records(), deflate=True)
    local, central = entry_offsets(deflated)["m/data.pkl"]
    case("broken_deflate.pth", "data.pkl is no valid deflate stream",
         deflated[:local + 40] + b"\xff" * 16 + deflated[local + 56:])
    case("unknown_byteorder.pth", "byteorder is neither little nor big",
         archive([(name, b"middle" if name.endswith("byteorder") else data) for name, data in records()]))


def broken_pickles():
    pickled("empty_pickle", "data.pkl has no bytes", b"", whole=True)
    pickled("missing_stop", "data.pkl ends without STOP", STATE[:-1], whole=True)
    pickled("truncated_pickle", "data.pkl ends inside a string", STATE[:12], whole=True)
    pickled("stack_underflow", "REDUCE on an empty stack", b"R")
    pickled("stop_on_empty_stack", "STOP with nothing on the stack", b"")
    pickled("missing_mark", "APPENDS without a MARK", b"]K\x01e")
    pickled("odd_items", "SETITEMS over an odd number of keys and values", b"}(K\x01K\x02K\x03u")
    pickled("append_to_number", "APPEND to a number", b"K\x01K\x02a")
    pickled("unknown_opcode", "0xFF is no pickle opcode", b"\xff")
    pickled("odd_unknown_protocol", "pickle protocol 9", b"\x80\x09}.", whole=True)
    pickled("memo_never_put", "BINGET 7, and nothing was put there", b"h\x07")
    pickled("bad_utf8", "a string that is not UTF-8", b"X\x02\x00\x00\x00\xff\xfe")
    pickled("bad_int_text", "INT with the text 0x10, which parsers read differently", b"I0x10\n")
    pickled("bad_long_text", "LONG with a letter in its digits", b"L12z4L\n")
    pickled("frame_too_long", "a FRAME of 2^60 bytes", b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}.", whole=True)


def pickle_bombs():
    doubling = tensor() + b"q\x00" + b"".join(b"]q" + bytes([level]) + b"(h" + bytes([level - 1]) + b"h" + bytes([level - 1])
                                              + b"e" for level in range(1, 65))
    pickled("bomb_memo_doubling", "64 lists, each holding the one before twice: 2^64 paths to one tensor", doubling)
    pickled("bomb_nested_tuples", "a million tuples inside each other", b"K\x01" + b"\x85" * 1_000_000, deflate=True)
    pickled("bomb_nested_lists", "300,000 lists inside each other, a tensor at the bottom",
            b"]" * 300_000 + tensor() + b"a" * 300_000, deflate=True)
    pickled("bomb_nested_dicts", "100,000 dicts inside each other",
            b"}U\x01a" * 100_000 + b"}" + b"s" * 100_000, deflate=True)
    pickled("bomb_huge_binbytes8", "BINBYTES8 of 2^62 bytes", b"\x8e" + struct.pack("<Q", 1 << 62) + b"x")
    pickled("bomb_huge_binunicode", "BINUNICODE of 4 GiB", b"X\xff\xff\xff\xffx")
    pickled("bomb_huge_long4", "LONG4 of 2^31-1 bytes", b"\x8b\xff\xff\xff\x7f\x01")
    pickled("negative_long4", "LONG4 of -1 bytes", b"\x8b\xff\xff\xff\xff\x01")
    pickled("bomb_huge_memo_index", "LONG_BINPUT to memo slot 4294967295", b"K\x01r\xff\xff\xff\xff")
    pickled("bomb_huge_memo_index_text", "PUT to memo slot 10^30", b"K\x01p1" + b"0" * 30 + b"\n")
    pickled("bomb_list_in_itself", "a list that holds itself, and a tensor: endless paths", b"]q\x00(h\x00" + tensor() + b"e")
    pickled("bomb_many_marks", "200,000 MARKs that nothing closes", b"(" * 200_000, deflate=True)


def impossible_tensors():
    def bad(name, why, value, **how):
        pickled(name, why, one_item(value), **how)

    bad("tensor_outside_storage", "a tensor of 3 x 3 at stride (3, 1) over a storage of 6", tensor(shape=(3, 3)))
    bad("offset_outside_storage", "a tensor that begins behind the end of its storage", tensor(offset=100))
    bad("negative_offset", "storage offset -1", tensor(offset=-1))
    bad("negative_shape", "shape (2, -3)", tensor(shape=(2, -3)))
    bad("negative_stride", "stride (-3, 1)", tensor(stride=(-3, 1)))
    bad("shape_overflow", "shape (2^62, 2^62): more elements than 64 bits count", tensor(shape=(1 << 62, 1 << 62)))
    bad("shape_beyond_64_bits", "shape (2^100,)", tensor(shape=(1 << 100,), stride=(1,)))
    bad("stride_overflow", "stride (2^62, 1): the last element lies beyond 64 bits", tensor(shape=(9, 3), stride=(1 << 62, 1)))
    bad("stride_for_other_rank", "two sizes, three strides", tensor(stride=(3, 3, 1)))
    bad("thousands_of_axes", "a tensor of 20,000 axes", tensor(shape=(1,) * 20_000, stride=(1,) * 20_000), deflate=True)
    bad("shape_of_text", "a size that is a string", tensor().replace(number(2) + number(3) + b"t", text("2") + number(3) + b"t", 1))
    bad("numel_lies", "the pickle says storage 0 holds 1000 floats, data/0 has 6", tensor(storage(numel=1000)))
    bad("numel_negative", "the pickle says storage 0 holds -6 floats", tensor(storage(numel=-6)))
    bad("numel_overflow", "the pickle says storage 0 holds 2^62 floats", tensor(storage(numel=1 << 62)))
    bad("storage_key_is_path", "the storage is called ../../secret", tensor(storage(key="../../secret")))
    bad("unknown_storage_class", "torch.QuaternionStorage", tensor(storage(kind="QuaternionStorage")))
    bad("persistent_id_is_text", "the persistent id is no tuple", tensor(text("storage") + b"Q"))
    bad("persistent_id_too_short", "the persistent id has 2 items", tensor(several([text("storage"), text("0")]) + b"Q"))
    bad("persistent_id_of_what", "a persistent id that begins with 'gadget'", tensor(several(
        [text("gadget"), name_of("torch", "FloatStorage"), text("0"), text("cpu"), number(6)]) + b"Q"))
    bad("tensor_of_number", "_rebuild_tensor_v2 gets a number for its storage", tensor(number(5)))
    bad("tensor_without_shape", "_rebuild_tensor_v2 gets 2 arguments",
        name_of("torch._utils", "_rebuild_tensor_v2") + several([storage(), number(0)]) + b"R")


def hostile_pickles():
    """Readable as data: ls names a placeholder and runs nothing; scan says what they would have run."""
    pickled("hostile_posix_system", "REDUCE of posix.system('true')",
            one_item(name_of("posix", "system") + text("true") + b"\x85R", "w"))
    pickled("hostile_stack_global", "builtins.eval named by STACK_GLOBAL from two strings of the memo",
            b"\x80\x04" + text("builtins") + b"\x94" + text("eval") + b"\x94h\x00h\x01\x93" + text("1+1") + b"\x85R.", whole=True)
    pickled("hostile_obj_pop", "a call made by OBJ and dropped by POP, before a harmless dict",
            b"(" + name_of("posix", "system") + text("true") + b"o0" + one_item(tensor()))
    pickled("hostile_inst", "a call made by INST", b"(" + text("true") + b"iposix\nsystem\n")
    pickled("hostile_dotted_name", "an attribute walk in a GLOBAL: os, path.os.system",
            name_of("os", "path.os.system") + text("true") + b"\x85R")
    pickled("hostile_build", "BUILD with a state that sets __setstate__'s rival attributes on a class of torch's",
            name_of("torch.nn", "Module") + b")\x81}" + text("__class__") + name_of("posix", "system") + b"sb")
    pickled("hostile_second_pickle", "a second pickle after the first STOP: posix.system('true')",
            STATE + program(name_of("posix", "system") + text("true") + b"\x85R"), whole=True)
    pickled("hostile_extension", "EXT1: a class by a number that only the loading program knows", b"\x82\x05")


def safetensors(header, data=b"", length=None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def broken_safetensors():
    def bad(name, why, header, data=b"", length=None):
        case(f"{name}.safetensors", why, safetensors(header, data, length))

    w = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    case("seven_bytes.safetensors", "too short to hold the header's length", b"\x10\0\0\0\0\0\0")
    bad("header_too_long", "the header should have 1000 bytes, the file ends before", {"w": w}, FLOATS, 1000)
    bad("header_absurdly_long", "the header should have 2^63 bytes", {"w": w}, FLOATS, 1 << 63)
    bad("header_of_nothing", "a header of 0 bytes", b"")
    bad("bad_json", "the header is cut-off JSON", b'{"w":{"dtype":"F32","shape":[2,3]')
    bad("not_an_object", "the header is a JSON list", b"[1,2,3]")
    bad("bomb_nested_json", "20,000 nested lists in the header", b'{"w":' + b"[" * 20_000)
    bad("bad_utf8_header", "the header is not UTF-8", b'{"\xff\xfe":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}', FLOATS)
    bad("duplicate_names", "two tensors are called w", b'{"w":' + json.dumps(w).encode() + b',"w":'
        + json.dumps({**w, "data_offsets": [24, 48]}).encode() + b"}", FLOATS * 2)
    bad("unknown_dtype", "dtype F31", {"w": {**w, "dtype": "F31"}}, FLOATS)
    bad("missing_dtype", "a tensor without dtype", {"w": {"shape": [2, 3], "data_offsets": [0, 24]}}, FLOATS)
    bad("overlapping_offsets", "two tensors share bytes 12 to 24", {"a": w, "b": {**w, "data_offsets": [12, 36]}}, FLOATS * 2)
    bad("hole_in_data", "bytes 24 to 32 belong to no tensor", {"a": w, "b": {**w, "data_offsets": [32, 56]}}, bytes(56))
    bad("offsets_backwards", "data_offsets [24, 0]", {"w": {**w, "data_offsets": [24, 0]}}, FLOATS)
    bad("offsets_for_other_shape", "shape [2, 3] of F32 is 24 bytes, data_offsets span 20", {"w": {**w, "data_offsets": [0, 20]}}, FLOATS[:20])
    bad("truncated_data", "the file ends 4 bytes before the last tensor does", {"w": w}, FLOATS[:20])
    bad("trailing_data", "8 bytes follow the last tensor", {"w": w}, FLOATS + bytes(8))
    bad("negative_size", "shape [-2, 3]", {"w": {**w, "shape": [-2, 3]}}, FLOATS)
    bad("fractional_size", "shape [2.5, 3]", {"w": {**w, "shape": [2.5, 3]}}, FLOATS)
    bad("size_overflow", "shape [2^62, 2^62]", {"w": {**w, "shape": [1 << 62, 1 << 62]}}, FLOATS)
    bad("metadata_not_text", "__metadata__ holds a number", {"__metadata__": {"epoch": 3}, "w": w}, FLOATS)


def golden(case_over=None, tensors_over=None, drop=(), meta=None) -> bytes:
    """A golden file of one 1x1 convolution, right but for what is asked for."""
    described = {"name": "c", "op": "conv2d", "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1,
                 "padding_mode": "zeros", "memory_format": "contiguous", **(case_over or {})}
    shapes = {"c.input": [1, 2, 2, 2], "c.output": [1, 2, 2, 2], "c.weight": [2, 2, 1, 1], "c.bias": [2],
              **(tensors_over or {})}
    header, data = {}, b""
    if meta is None:
        meta = json.dumps({"version": 1, "cases": [described]})
    if meta is not False:
        header["__metadata__"] = {"pthinspect.golden": meta}
    for name, shape in shapes.items():
        if name in drop:
            continue
        count = 1
        for size in shape:
            count *= size
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += bytes(4 * count)
    return safetensors(header, data)


def broken_goldens():
    def bad(name, why, **what):
        case(f"golden_{name}.safetensors", why, golden(**what))

    bad("without_metadata", "safetensors, but no golden: no pthinspect.golden in its metadata", meta=False)
    bad("bad_json", "pthinspect.golden is no JSON", meta="{version: 1}")
    bad("no_cases", "pthinspect.golden has no cases", meta='{"version": 1}')
    bad("future_version", "version 99", meta='{"version": 99, "cases": []}')
    bad("missing_output", "c.output is missing", drop=("c.output",))
    bad("missing_input", "c.input is missing", drop=("c.input",))
    bad("missing_weight", "c.weight is missing, and no --checkpoint gives it", drop=("c.weight", "c.bias"))
    bad("wrong_input_channels", "the input has 3 channels, the weight wants 2", tensors_over={"c.input": [1, 3, 2, 2]})
    bad("wrong_output_shape", "the output should be [1, 2, 2, 2], it is [1, 2, 3, 3]", tensors_over={"c.output": [1, 2, 3, 3]})
    bad("wrong_bias", "2 filters, 3 biases", tensors_over={"c.bias": [3]})
    bad("weight_of_three_axes", "the weight has 3 axes", tensors_over={"c.weight": [2, 2, 1]})
    bad("stride_0", "stride (0, 1)", case_over={"stride": [0, 1]})
    bad("dilation_0", "dilation (1, 0)", case_over={"dilation": [1, 0]})
    bad("groups_0", "groups 0", case_over={"groups": 0})
    bad("groups_do_not_divide", "2 filters in 3 groups", case_over={"groups": 3})
    bad("negative_padding", "padding (-1, 0)", case_over={"padding": [-1, 0]})
    bad("huge_padding", "padding 2^40: an output that no memory holds", case_over={"padding": [1 << 40, 1 << 40]})
    bad("unknown_padding", "padding 'full'", case_over={"padding": "full"})
    bad("unknown_padding_mode", "padding_mode 'mirror'", case_over={"padding_mode": "mirror"})
    bad("same_with_stride", "padding 'same' with stride 2, which torch refuses", case_over={"padding": "same", "stride": [2, 2]})
    bad("unknown_op", "op 'conv9d'", case_over={"op": "conv9d"})
    bad("kernel_larger_than_input", "a 3 x 3 kernel over 2 x 2 pixels", tensors_over={"c.weight": [2, 2, 3, 3]})


def npy(header: str, data=b"", magic=b"\x93NUMPY\x01\x00") -> bytes:
    raw = header.encode() + b" " * (-(len(magic) + 3 + len(header)) % 64) + b"\n"
    return magic + struct.pack("<H", len(raw)) + raw + data


def broken_arrays():
    shape = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2, 2), }"
    case("npy_bad_magic.npy", "no \\x93NUMPY at the front", npy(shape, bytes(32), b"\x93NUMPI\x01\x00"))
    case("npy_short.npy", "8 floats announced, 7 there", npy(shape, bytes(28)))
    case("npy_cut_header.npy", "the file ends inside the header", npy(shape)[:40])
    case("npy_objects.npy", "pickled Python objects, which may run code", npy(shape.replace("<f4", "|O"), bytes(32)))
    case("npy_huge_shape.npy", "shape (2^62, 2^62)", npy(shape.replace("1, 2, 2, 2", "4611686018427387904, 4611686018427387904")))
    case("npy_header_code.npy", "the header is an expression, not a literal", npy("__import__('os').system('true')"))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    old_formats(sys.modules[__name__])
    for make in (other_kinds_of_file, damaged_zips, broken_pickles, pickle_bombs, impossible_tensors, hostile_pickles,
                 broken_safetensors, broken_goldens, broken_arrays):
        make()
    for name, why, data in CASES:
        (folder / name).write_bytes(data)
        (folder / f"{name}.why").write_text(why + "\n")


if __name__ == "__main__":
    main()
