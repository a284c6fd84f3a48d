"""Files as torch wrote them before 1.6, and plain pickles; read by today's torch, which still understands all of them.

What torch cannot write any more (views of storages, Variables, the tar of before 0.1.10) is put together here from the
description that its reader gives: `_legacy_load` in torch/serialization.py.
"""
import io
import pickle
import struct
import sys
import tarfile
import types
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

from expected import write_expected

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Constant:
    """Stand-ins for what would differ from run to run: storages' addresses, and where classes' sources lie."""

    def __enter__(self):
        self.known = {}
        address = torch._C.StorageBase._cdata
        torch.UntypedStorage._cdata = property(
            lambda storage: self.known.setdefault(address.__get__(storage), 94000000000000 + 64 * len(self.known)))
        self.source = torch.serialization.get_source_lines_and_file
        torch.serialization.get_source_lines_and_file = lambda kind: (
            [f"class {kind.__name__}(Module):\n", "    ...\n"], 1, f"torch/nn/modules/{kind.__name__.lower()}.py")
        return self

    def __exit__(self, *_):
        del torch.UntypedStorage._cdata
        torch.serialization.get_source_lines_and_file = self.source


def save_legacy(path, *values, readable=True, **options):
    """One stream for each value, one after the other; torch reads the first. What torch 2.15 writes and cannot read
    (untyped storages) is held against what was saved."""
    with open(path, "wb") as file:
        for value in values:
            with Constant():
                torch.save(value, file, _use_new_zipfile_serialization=False, **options)
    write_expected(path, torch.load(path, weights_only=False) if readable else values[0])


class Old:
    """Pickles as (how, class, arguments, state), whatever the class would do today."""

    def __init__(self, class_, arguments=(), state=None, new=True):
        self.class_, self.arguments, self.state, self.new = class_, arguments, state, new


class OldPickler(pickle._Pickler):
    """A pickler of before: `Old`s as they say, storages and classes by persistent ids."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file, named):
        super().__init__(file, protocol=2)
        self.named = named

    def persistent_id(self, value):
        return self.named(value)

    def save_old(self, value):
        self.save(value.class_)
        self.save(tuple(value.arguments))
        self.write(pickle.NEWOBJ if value.new else pickle.REDUCE)
        self.memoize(value)
        if value.state is not None:
            self.save(value.state)
            self.write(pickle.BUILD)

    dispatch[Old] = save_old


class Run:
    """A storage: its bytes under a key, and perhaps a window of it."""

    def __init__(self, key, tensor, view=None, kind=None):
        self.key, self.tensor, self.view = key, tensor.contiguous(), view
        self.kind = kind or getattr(torch, tensor.storage()._pickle_storage_type())

    def numel(self):
        return self.tensor.numel()

    def bytes(self):
        return struct.pack("<q", self.numel()) + self.tensor.view(torch.uint8).numpy().tobytes()


def legacy_stream(path, value, keys, module_source=None):
    """The stream with persistent ids of our own choice."""
    runs = {}

    def named(thing):
        if isinstance(thing, Run):
            runs.setdefault(thing.key, thing)
            return "storage", thing.kind, thing.key, "cuda:0", thing.numel(), thing.view
        return None

    out = io.BytesIO()
    for part in (MAGIC, PROTOCOL, SYSTEM):
        pickle.dump(part, out, protocol=2)
    OldPickler(out, named).dump(value)
    pickle.dump(keys, out, protocol=2)
    for key in keys:
        out.write(runs[key].bytes())
    path.write_bytes(out.getvalue())
    write_expected(path, torch.load(path, map_location="cpu", weights_only=False))


def rebuild(storage, offset, size, stride):
    """`_rebuild_tensor` of 0.1.10 to 0.3."""
    return Old(torch._utils._rebuild_tensor, (storage, offset, size, stride), new=False)


def legacy(folder, draw, zoo):
    base = draw(230, 4, 6)
    state = OrderedDict(weight=draw(231, 3, 2, 2, 2), bias=draw(232, 3))
    save_legacy(folder / "legacy_dtypes.pth", OrderedDict(
        (str(dtype)[6:], (torch.arange(6) % 2).to(dtype).view(2, 3).t()) for dtype in (
            torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
            torch.uint8, torch.bool, torch.complex64, torch.complex128)))
    save_legacy(folder / "legacy_untyped.pth", {
        **{str(dtype)[6:]: torch.arange(6).to(dtype).view(2, 3).t() for dtype in (
            torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2)},
        "storage": draw(229, 3).untyped_storage()}, readable=False)
    save_legacy(folder / "legacy_trailing.pth", state, {"second": draw(233, 5)})
    save_legacy(folder / "legacy_protocol_4.pth", state, pickle_protocol=4)
    save_legacy(folder / "legacy_root_tensor.pth", base[1:3, ::2])
    save_legacy(folder / "legacy_root_storage.pth", draw(234, 5).storage())
    save_legacy(folder / "legacy_root_number.pth", 17)
    save_legacy(folder / "legacy_empty.pth", {"empty": torch.empty(0, 3), "scalar": torch.tensor(2.5)})
    save_legacy(folder / "legacy_storages.pth", {"tensor": base[2:], "storage": base.storage(), "again": base.t()})
    save_legacy(folder / "legacy_quantized.pth", {
        "per_tensor": torch.quantize_per_tensor(base, 0.1, 3, torch.qint8), "beside": draw(235, 2),
        "per_channel": torch.quantize_per_channel(base, torch.ones(4) / 8, torch.arange(4), 0, torch.quint8)})
    save_legacy(folder / "legacy_sparse.pth", {"coo": (base * (base > 0.5)).to_sparse(), "csr": base.relu().to_sparse_csr()})
    torch.manual_seed(236)
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), norm=nn.BatchNorm2d(4),
                                    pool=nn.MaxPool2d(2), fc=nn.Linear(4, 2)))
    save_legacy(folder / "legacy_checkpoint.pth", {
        "epoch": 3, "net": net, "optimizer": torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9).state_dict()})
    # conv weights as Torch7 laid them out, from a storage whose windows have keys of their own
    run = Run("70000001", draw(237, 100))
    legacy_stream(folder / "legacy_storage_views.pth", OrderedDict(
        whole=rebuild(run, 0, (10, 10), (10, 1)),
        window=rebuild(Run("70000001", run.tensor, ("70000002", 20, 30)), 2, (4, 7), (7, 1)),
        same_window=rebuild(Run("70000001", run.tensor, ("70000002", 20, 30)), 0, (5, 6), (1, 5)),
        column_major=rebuild(Run("70000003", draw(238, 90)), 0, (10, 1, 3, 3), (1, 10, 10, 30))), ["70000001", "70000003"])
    values = OrderedDict((name, rebuild(Run(f"7100000{n}", draw(239 + n, 6)), 0, (2, 3), (3, 1)))
                         for n, name in enumerate(("a", "b", "c", "d", "e")))
    plain = Run("71000009", draw(250, 6).half())
    legacy_stream(folder / "legacy_variables.pth", OrderedDict(
        variable=Old(torch.autograd.Variable, (), (values["a"], None, OrderedDict(), False, False)),
        parameter=Old(nn.Parameter, (), (values["b"], None, OrderedDict(), True, False)),
        parameter_of_0_3=Old(nn.Parameter, (values["c"],), (True, False, OrderedDict()), new=False),
        frozen=Old(nn.Parameter, (values["d"],), (False, False, OrderedDict()), new=False),
        tensor=values["e"], plain=Old(torch.HalfTensor, (), (plain, 1, (2, 2), (2, 1)))),
        [f"7100000{n}" for n in (4, 3, 2, 1, 0, 9)])


def tar(path, value, storages, views, tensors):
    """`storages`: (key, tensor), `views`: (key, root, offset, numel), `tensors`: (key, storage's key, layout)."""
    def member(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))

    def named(thing):
        if isinstance(thing, int) and not isinstance(thing, bool) and thing >= 72000000:
            return str(thing)
        if isinstance(thing, type) and issubclass(thing, nn.Module):
            if thing in classes:
                return None
            classes.add(thing)
            return thing, f"torch/nn/modules/{thing.__name__.lower()}.py", f"class {thing.__name__}(Module):\n    ...\n"
        return None

    classes = set()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        member("sys_info", pickle.dumps(SYSTEM, 2))
        out = io.BytesIO()
        OldPickler(out, named).dump(value)
        member("pickle", out.getvalue())
        out = io.BytesIO(pickle.dumps(len(storages), 2))
        out.seek(0, 2)
        for key, tensor in storages:
            kind = getattr(torch, tensor.storage()._pickle_storage_type())
            pickle.dump((key, "cpu", kind), out, 2)
            out.write(struct.pack("<q", tensor.numel()) + tensor.contiguous().view(torch.uint8).numpy().tobytes())
        pickle.dump(views, out, 2)
        member("storages", out.getvalue())
        out = io.BytesIO(pickle.dumps(len(tensors), 2))
        out.seek(0, 2)
        for key, storage, size, stride, offset in tensors:
            pickle.dump((key, storage, torch.FloatTensor), out, 2)
            out.write(struct.pack("<q", len(size)) + struct.pack(f"<{2 * len(size)}q", *size, *stride) + struct.pack("<q", offset))
        member("tensors", out.getvalue())
    write_expected(path, torch.load(path, weights_only=False))


def tars(folder, draw):
    storages = [(72000001, draw(260, 54)), (72000002, draw(261, 3)), (72000003, torch.arange(10)),
                (72000004, draw(262, 4).double())]
    views = [(72000005, 72000001, 18, 12)]
    tensors = [(72000011, 72000001, (3, 2, 3, 3), (18, 9, 3, 1), 0), (72000012, 72000002, (3,), (1,), 0),
               (72000013, 72000003, (2, 3), (1, 2), 4), (72000014, 72000005, (3, 4), (1, 3), 0),
               (72000015, 72000004, (), (), 3)]
    tar(folder / "tar_state.pth", OrderedDict((("conv.weight", 72000011), ("conv.bias", 72000012), ("counts", 72000013),
                                               ("window", 72000014), ("scalar", 72000015), ("epoch", 3))),
        storages, views, tensors)
    hooks = dict(_backward_hooks=OrderedDict(), _forward_hooks=OrderedDict(), training=True, _buffers=OrderedDict())
    parameter = [Old(nn.Parameter, (), (key, None, OrderedDict(), True, False)) for key in (72000011, 72000012)]
    conv = Old(nn.Conv2d, (), dict(
        hooks, in_channels=2, out_channels=3, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1),
        transposed=False, output_padding=(0, 0), groups=1, _modules=OrderedDict(),
        _parameters=OrderedDict(weight=parameter[0], bias=parameter[1])))
    relu = Old(nn.ReLU, (), dict(hooks, inplace=True, _parameters=OrderedDict(), _modules=OrderedDict()))
    net = Old(nn.Sequential, (), dict(hooks, _parameters=OrderedDict(),
                                      _modules=OrderedDict((("0", conv), ("1", relu)))))
    tar(folder / "tar_module.pth", net, storages, views, tensors)


def raw(folder, draw, zoo):
    base = draw(270, 3, 4)
    state = OrderedDict(base=base, transposed=base.t(), half=draw(271, 2).half(), parameter=nn.Parameter(draw(272, 2)),
                        large=draw(273, 20, 20), epoch=4, note="a pickle without torch.save")
    with Constant():
        for protocol in (0, 2, 3, 4, 5):
            path = folder / f"raw_pickle_{protocol}.pkl"
            path.write_bytes(pickle.dumps(state, protocol))
            write_expected(path, pickle.loads(path.read_bytes()))
    torch.manual_seed(274)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.Flatten())
    for name, value in (("raw_module.pkl", net), ("raw_storage.pkl", draw(275, 3).storage()),
                        ("raw_tensor.pkl", draw(276, 3)), ("raw_list.pkl", [1, draw(277, 2), {"x": zoo.Tag("t", draw(278, 1))}])):
        path = folder / name
        with Constant():
            path.write_bytes(pickle.dumps(value))
        write_expected(path, pickle.loads(path.read_bytes()))


def make(folder, draw, zoo):
    legacy(folder, draw, zoo)
    tars(folder, draw)
    raw(folder, draw, zoo)
