"""checkpoints.py FOLDER: small files as torch and safetensors write them, and torch's own reading of each.

Beside every FILE lies FILE.expected.json: what torch finds in it (see expected.py).
"""
import argparse
import datetime
import fractions
import functools
import pathlib
import pickle
import sys
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.serialization import config

import kinds
import old_formats
import sharded
import zoo
from expected import write_expected

FOLDER = Path()


def draw(seed, *shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def bits(seed, dtype, *shape):
    """Any bit pattern, NaNs with payloads included; 0 and 1 for bool."""
    size = torch.empty(0, dtype=dtype).element_size()
    raw = torch.randint(0, 256, (int(numpy.prod(shape)) * size,), generator=torch.Generator().manual_seed(seed))
    if dtype is torch.bool:
        return (raw % 2).bool().view(shape)
    return raw.to(torch.uint8).view(dtype).view(shape)


def save(name, value, expect=True, **options):
    """Write with torch, read back with torch, and note what it read."""
    path = FOLDER / name
    torch.save(value, path, **options)
    if expect:
        write_expected(path, torch.load(path, weights_only=False))
    return path


def small_state():
    return OrderedDict((("conv1.weight", draw(1, 4, 3, 3, 3)), ("conv1.bias", draw(2, 4)),
                        ("fc.weight", draw(3, 2, 4)), ("steps", torch.tensor(12345))))


# ---------------------------------------------------------------------------------------------------------------
# How the file is written


def plain_forms():
    state = small_state()
    save("state.pth", state)
    for protocol in (2, 3, 4, 5):
        save(f"protocol_{protocol}.pth", state, pickle_protocol=protocol)
    save("no_byteorder.pth", state, _disable_byteorder_record=True)
    config.save.storage_alignment = 256
    save("aligned_256.pth", state)
    config.save.storage_alignment = 64
    torch.serialization.set_crc32_options(False)
    save("without_crc32.pth", state)
    torch.serialization.set_crc32_options(True)
    with torch.serialization.skip_data():
        path = save("skip_data.pth", state, expect=False)
    write_expected(path, torch.load(path))  # holes: zeros, with the CRCs of nothing
    config.save.storage_alignment = 1
    save("aligned_1.pth", state)
    config.save.storage_alignment = 64
    save("python2_strings.pth", state, pickle_module=types.SimpleNamespace(Pickler=Python2Pickler, __name__="pickle"))


class Python2Pickler(pickle._Pickler):
    """Writes text as Python 2's str did: BINSTRING and SHORT_BINSTRING."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        data = text.encode()
        self.write(b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + len(data).to_bytes(4, "little") + data)
        self.memoize(text)

    dispatch[str] = save_str


def rewritten(source, target, root=None, deflate=False, change=None, load=None):
    """The same records in a zip that Python wrote: another root folder, deflated, with other bytes or without some."""
    with zipfile.ZipFile(FOLDER / source) as old, zipfile.ZipFile(FOLDER / target, "w") as new:
        for info in old.infolist():
            folder, name = info.filename.split("/", 1)
            data = old.read(info)
            if change:
                data = change(name, data)
            if data is None:
                continue
            entry = zipfile.ZipInfo(f"{root or folder}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
            new.writestr(entry, data)
    path = FOLDER / target
    write_expected(path, load(path) if load else torch.load(path, weights_only=False))


def rewritten_forms():
    rewritten("state.pth", "deflated.pth", deflate=True)
    rewritten("state.pth", "other_root.pth", root="some folder, über")
    # No serialization_id, no version file but `version`: as torch 1.6 wrote it.
    rewritten("state.pth", "as_torch_1_6.pth", root="archive",
              change=lambda name, data: data if name in ("data.pkl", "version") or name.startswith("data/") else None)


def big_endian():
    """What a big-endian machine writes: the same pickle, every element's bytes turned round."""
    dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
              torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128]
    state = OrderedDict((str(dtype)[6:], bits(10 + index, dtype, 3, 2)) for index, dtype in enumerate(dtypes))
    state["transposed"] = draw(30, 4, 3).t()
    source = FOLDER / "big_endian_source.tmp"
    torch.save(state, source)
    widths = [torch.empty(0, dtype=dtype).element_size() // (2 if dtype.is_complex else 1) for dtype in dtypes] + [4]

    def swap(name, data):
        if name == "byteorder":
            return b"big"
        if not name.startswith("data/"):
            return data
        width = widths[int(name[5:])]
        return b"".join(data[at:at + width][::-1] for at in range(0, len(data), width))

    rewritten(source.name, "big_endian.pth", root="big_endian", change=swap)
    source.unlink()
    read = torch.load(FOLDER / "big_endian.pth")
    for name, tensor in state.items():
        assert tensor.contiguous().view(torch.uint8).equal(read[name].contiguous().view(torch.uint8)), name


def legacy_forms():
    """The format before torch 1.6."""
    base = draw(20, 4, 6)
    for name, value in (("legacy_state.pth", small_state()),
                        ("legacy_views.pth", OrderedDict(base=base, rows=base[1:3], transposed=base.t())),
                        ("legacy_module.pth", nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, 3), act=nn.ReLU())))):
        if isinstance(value, nn.Module):
            for index, parameter in enumerate(value.parameters()):
                parameter.data = draw(21 + index, *parameter.shape)
        old_formats.save_legacy(FOLDER / name, value)


def every_kind():
    kinds.make(FOLDER, draw, zoo)


def older_forms():
    old_formats.make(FOLDER, draw, zoo)


def several_files():
    sharded.make(FOLDER, draw)


# ---------------------------------------------------------------------------------------------------------------
# What the tensors are


def views():
    base = draw(40, 6, 8)
    conv = draw(41, 4, 3, 5, 5)
    columns = torch.empty_strided((10, 3, 3, 3), (1, 10, 30, 90)).copy_(draw(42, 10, 3, 3, 3))
    tied = draw(43, 5, 4)
    save("views.pth", OrderedDict(
        base=base, transposed=base.t(), stepped=base[::2, 1::3], row=base[3], element=base[2, 5], column=base[:, 4],
        diagonal=base.diagonal(), expanded=draw(44, 3, 1).expand(3, 7), expanded_scalar=draw(45).expand(2, 3),
        broadcast_row=base[0].expand(4, 8), window=draw(46, 10).unfold(0, 4, 2), narrow=base.narrow(1, 2, 3),
        conv=conv, conv_channels_last=conv.to(memory_format=torch.channels_last), conv_filters=conv[1:3],
        conv_permuted=conv.permute(2, 3, 1, 0), conv_column_major=columns,
        volume_channels_last=draw(47, 2, 3, 2, 2, 2).to(memory_format=torch.channels_last_3d),
        empty=torch.empty(0), empty_middle=torch.empty(3, 0, 2), empty_slice=base[6:], scalar=torch.tensor(2.5),
        one=torch.ones(1, 1, 1, 1), one_row=base[:1], tied_a=tied, tied_b=tied, tied_flat=tied.view(-1),
        part_of_half=draw(48, 8).half()[3:6]))
    save("shared_across_dicts.pth", {"encoder": {"weight": tied}, "decoder": {"weight": tied, "bias": tied[0]},
                                     "again": [tied, {"deep": tied.t()}]})
    conjugated = torch.complex(draw(50, 3, 2), draw(51, 3, 2))
    # One storage under two dtypes torch refuses to save, so the imaginary parts are of other numbers.
    other = torch.complex(draw(52, 3, 2), draw(53, 3, 2))
    save("conj_neg.pth", OrderedDict(plain=conjugated, conj=conjugated.conj(), conj_transposed=conjugated.mH,
                                     imag=other.imag, neg=other.conj().imag, both=torch._neg_view(conjugated.conj())))


def dtypes():
    names = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
             "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2", "int64", "int32", "int16", "int8", "uint8",
             "uint16", "uint32", "uint64", "bool", "complex32", "bcomplex32", "complex64", "complex128",
             "bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"]
    state = OrderedDict((name, bits(60 + index, getattr(torch, name), 3, 5)) for index, name in enumerate(names))
    save("dtypes.pth", state)
    strided = OrderedDict((name, tensor.t()[1:, :2]) for name, tensor in state.items())
    save("dtypes_strided.pth", strided)


def quantized():
    x = draw(90, 4, 3, 2)
    scales, zeros = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0, 1, 2, 3])
    floats = torch.tensor([0.0, 1.5, -2.0, 3.0])
    state = OrderedDict()
    for name in ("qint8", "quint8", "qint32"):
        dtype = getattr(torch, name)
        state[f"{name}.per_tensor"] = torch.quantize_per_tensor(x, 0.05, 10, dtype)
        state[f"{name}.per_channel"] = torch.quantize_per_channel(x, scales, zeros, 0, dtype)
        state[f"{name}.transposed"] = state[f"{name}.per_tensor"].transpose(0, 1)
    state["quint8.per_channel_float"] = torch.quantize_per_channel(x, scales, floats, 0, torch.quint8)
    state["quint4x2.per_channel_float"] = torch.quantize_per_channel(x, scales, floats, 0, torch.quint4x2)
    save("quantized.pth", state)


def sparse_and_others():
    dense = draw(100, 4, 6).relu() * (draw(101, 4, 6) > 0)
    coo = dense.to_sparse()
    doubled = torch.sparse_coo_tensor([[0, 0, 2], [1, 1, 3]], [1.0, 2.0, 3.0], (3, 4))
    hybrid = torch.sparse_coo_tensor([[1, 3]], draw(102, 2, 2), (5, 2))
    save("sparse.pth", OrderedDict(coo=coo, coo_uncoalesced=doubled, coo_hybrid=hybrid, csr=dense.to_sparse_csr(),
                                   csc=dense.to_sparse_csc(), bsr=dense.to_sparse_bsr((2, 3)),
                                   bsc=dense.to_sparse_bsc((2, 3)), beside=draw(103, 2)))
    save("nested.pth", OrderedDict(nested=torch.nested.nested_tensor([draw(104, 2, 3), draw(105, 1, 3)]),
                                   jagged=torch.nested.nested_tensor([draw(106, 2, 3), draw(107, 4, 3)],
                                                                     layout=torch.jagged), beside=draw(108, 2)))
    save("meta.pth", OrderedDict(meta=torch.empty(3, 4, device="meta"), meta_strided=torch.empty_strided(
        (3, 4), (1, 3), dtype=torch.bfloat16, device="meta"), beside=draw(109, 2)))
    odd = draw(110, 3).as_subclass(zoo.Named)
    with_note, parameter = draw(111, 2), nn.Parameter(draw(112, 2))
    with_note.note = "a tensor with an attribute"
    parameter.note = {"a": "parameter with state"}
    save("wrapped.pth", OrderedDict(
        subclass=odd, with_attribute=with_note, parameter=nn.Parameter(draw(113, 2, 2)), parameter_with_state=parameter,
        frozen=nn.Parameter(draw(114, 2), requires_grad=False), buffer=nn.Buffer(draw(115, 2)),
        requires_grad=draw(116, 2).requires_grad_()))


# ---------------------------------------------------------------------------------------------------------------
# What lies around them


def training_checkpoint():
    torch.manual_seed(120)
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, 3), norm=nn.BatchNorm2d(3)))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    for step in range(2):
        optimizer.zero_grad()
        net(draw(121 + step, 2, 2, 5, 5)).pow(2).mean().backward()
        optimizer.step()
        scheduler.step()
    save("training.pth", {
        "epoch": 17, "best_acc1": 76.13, "arch": "tiny", "state_dict": net.state_dict(),
        "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(),
        "args": argparse.Namespace(lr=1e-3, data=pathlib.PurePosixPath("/data/images"), gpu=None, mean=torch.ones(3)),
        "ema": zoo.TrainState(17, 0.25, draw(123, 2), [1.0, {"w": draw(124, 1)}]),
        "rng": torch.get_rng_state()[:16].clone()})


def objects():
    loop = [1, "again"]
    loop.append(loop)
    shared = {"shared": draw(130, 2)}
    vocabulary = zoo.Vocabulary(hello=1, tensor=draw(131, 2))
    vocabulary.unknown = draw(132, 1)
    counts = defaultdict(list, {"a": [1, 2], "b": [draw(133, 1)]})
    save("objects.pth", {
        "none": None, "true": True, "false": False, "ints": [0, -1, 255, 256, 65535, 65536, 2**31 - 1, -2**31, 2**31],
        "long": [2**63, -2**63, 2**64 - 1, 2**100, -2**70, 2**2050], "floats": [0.5, -0.0, float("inf"), float("nan")],
        "complex": 1 - 2j, "text": ["", "plain", "ünïcödé \u2192 \U0001f600", "two\nlines", "x" * 300],
        "bytes": [b"", b"\x00\xff raw", bytearray(b"array")], "tuple": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "set": {1, 2, 3}, "frozenset": frozenset({4, 5}), "range": range(2, 9, 3), "slice": slice(1, None, 2),
        "ordered": OrderedDict(z=1, a=2), "default": counts, "counter": Counter({"x": 3}), "deque": deque([1, draw(134, 1)], 5),
        1: "an int as key", (1, 2): {"weight": draw(135, 1)}, None: "none as key",
        2.5: draw(136, 1), "with.dot": draw(137, 1), "with space": draw(138, 1), "": draw(139, 1),
        "path": pathlib.PurePosixPath("a/b.txt"), "when": datetime.datetime(2026, 11, 21, 10, 30, 15, 123456),
        "day": datetime.date(2026, 11, 21), "for": datetime.timedelta(days=2, seconds=3),
        "zone": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc), "fraction": fractions.Fraction(1, 3),
        "partial": functools.partial(int, base=2), "class": zoo.Tag, "function": torch.nn.functional.relu,
        "dataclass": zoo.TrainState(3, 0.5, draw(140, 2)), "object": zoo.Tag("mine", draw(141, 2, 2)),
        "slots": zoo.Slotted(draw(142, 1), "right"), "enum": zoo.Phase.TRAIN, "dict_subclass": vocabulary,
        "namespace": types.SimpleNamespace(a=1, weight=draw(143, 1)), "namespace_in_list": [argparse.Namespace(x=draw(144, 1))],
        "dtype": torch.bfloat16, "device": torch.device("cuda", 1), "size": torch.Size([2, 3]),
        "layout": torch.strided,
        "numpy_array": numpy.arange(6, dtype=numpy.float32).reshape(2, 3), "numpy_fortran": numpy.asfortranarray(numpy.eye(2, 3)),
        "numpy_big_endian": numpy.arange(3, dtype=">i2"), "numpy_scalar": numpy.float64(1.5), "numpy_int": numpy.int64(-7),
        "numpy_text": numpy.array(["a", "bcd"]), "numpy_dtype": numpy.dtype("float16"), "numpy_bool": numpy.bool_(True),
        "storage": draw(145, 3).untyped_storage(), "typed_storage": draw(146, 3).storage(),
        "loop": loop, "shared_1": shared, "shared_2": shared, "last": draw(147, 2)})
    save("deeply_nested.pth", functools.reduce(lambda inner, _: {"n": [inner]}, range(150), draw(148, 2)))


def old_numpy_names():
    """numpy 1 called its modules numpy.core; files written then still do."""
    source = FOLDER / "numpy_source.tmp"
    torch.save({"mean": numpy.ones(3, numpy.float32), "best": numpy.float64(0.5), "weight": draw(150, 2)}, source)
    rewritten(source.name, "numpy_1_names.pth", root="archive",
              change=lambda name, data: data.replace(b"numpy._core.", b"numpy.core.") if name == "data.pkl" else data)
    source.unlink()


def modules():
    torch.manual_seed(160)
    save("module_zoo.pth", zoo.Zoo())
    save("module_zoo_state.pth", zoo.Zoo().state_dict())
    save("module_in_checkpoint.pth", {"epoch": 3, "model": nn.DataParallel(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())),
                                      "criterion": nn.CrossEntropyLoss(weight=torch.ones(2)), "models": [nn.Linear(2, 1)]})
    save("parametrized_state.pth", nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)).state_dict())
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    flat = torch.cat([weight.detach().flatten() for weight in lstm.parameters()])
    at = 0
    for weight in lstm.parameters():  # as cuDNN lays them out: every weight a window of one buffer
        weight.data = flat[at:at + weight.numel()].view_as(weight)
        at += weight.numel()
    save("lstm_flat_weights.pth", lstm.state_dict())
    save("lstm_module.pth", lstm)
    attention = nn.TransformerEncoderLayer(8, 2, 16)
    save("transformer_module.pth", attention)


def roots():
    save("root_tensor.pth", draw(170, 3, 4))
    save("root_parameter.pth", nn.Parameter(draw(171, 3)))
    save("root_list.pth", [draw(172, 2), [draw(173, 1), 5], {"a": draw(174, 1)}])
    save("root_tuple.pth", (draw(175, 2), "text", draw(176, 1)))
    save("root_number.pth", 42)
    save("root_empty_dict.pth", {})
    save("root_object.pth", zoo.Tag("root", draw(177, 2)))


def safetensors_files():
    names = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
             "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2", "int64", "int32", "int16", "int8", "uint8",
             "uint16", "uint32", "uint64", "bool", "complex64"]
    every = {}
    for index, name in enumerate(names):
        tensor = bits(180 + index, getattr(torch, name), 3, 4)
        try:
            save_file({name: tensor}, str(FOLDER / "probe.tmp"))
            every[name] = tensor
        except Exception as error:
            print(f"safetensors does not write {name}: {error}", file=sys.stderr)
    (FOLDER / "probe.tmp").unlink()
    state = {"conv1.weight": draw(210, 4, 3, 3, 3), "conv1.bias": draw(211, 4), "empty": torch.empty(0, 3),
             "scalar": torch.tensor(1.5), "ünïcödé \U0001f600": draw(212, 2)}
    for name, tensors, metadata in (("dtypes.safetensors", every, None),
                                    ("with_metadata.safetensors", state, {"format": "pt"}),
                                    ("without_metadata.safetensors", state, None), ("empty.safetensors", {}, None)):
        path = FOLDER / name
        save_file(tensors, str(path), metadata=metadata)
        path.chmod(0o644)
        write_expected(path, load_file(str(path)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    FOLDER = Path(sys.argv[1])
    FOLDER.mkdir(parents=True, exist_ok=True)
    for make in (plain_forms, rewritten_forms, big_endian, legacy_forms, older_forms, several_files, views, dtypes, quantized, sparse_and_others,
                 training_checkpoint, objects, old_numpy_names, modules, roots, safetensors_files, every_kind):
        make()
