"""Every kind of root and every kind of tensor that torch writes, each with torch's own answer.

What torch 2.15 refuses to write is in REFUSED, and tried: should a torch ever write it, this says so.
"""
import functools
import os
import random
import tempfile
from pathlib import Path

os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
import numpy
import torch
import torch.ao.nn.quantized as quantized
import torch.ao.quantization as quantization
import torch.distributed as dist
from safetensors import deserialize
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh
from torch.masked import masked_tensor
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from expected import PACKED_BITS, describe, write_expected, write_expected_entries


def sub_byte(name):
    return torch.arange(6, dtype=torch.uint8).view(getattr(torch, name))


#: What `torch.save` of torch 2.15 refuses, or cannot read again.
REFUSED = {
    **{name: functools.partial(sub_byte, name) for name in (
        *(f"int{bits}" for bits in range(1, 8)), *(f"uint{bits}" for bits in range(1, 8)))},
    "mkldnn layout": lambda: torch.ones(2).to_mkldnn(),
    "efficient zero tensor": lambda: torch._efficientzerotensor((3,)),
    "storage of a meta tensor": lambda: torch.empty(3, device="meta").untyped_storage(),
    "typed storage of float8": lambda: torch.storage.TypedStorage(
        wrap_storage=torch.ones(3).untyped_storage(), dtype=torch.float8_e4m3fn, _internal=True),
    "functional tensor": lambda: torch._to_functional_tensor(torch.ones(3)),
    "fake tensor": lambda: FakeTensorMode().from_tensor(torch.ones(3)),
}


def refused(folder):
    for name, make in REFUSED.items():
        try:
            torch.save(make(), folder / "refused.tmp")
        except Exception:
            continue
        raise AssertionError(f"torch {torch.__version__} writes {name}: make a fixture of it")
    (folder / "refused.tmp").unlink()


def roots(save, draw, zoo):
    save("root_storage.pth", draw(600, 3).untyped_storage())
    save("root_typed_storage.pth", draw(601, 3).half().storage())
    save("root_dataclass.pth", zoo.TrainState(7, 0.5, draw(602, 2), [draw(603, 1), {"deep": draw(604, 1)}]))
    save("root_subclass.pth", draw(606, 2, 2).as_subclass(zoo.Named))
    save("root_wrapper.pth", zoo.Scaled.of(draw(607, 3, 4)))


def training(save, draw):
    """What trainers keep beside the weights: states of random number generators, of optimizers, of averages."""
    random.seed(610)
    numpy.random.seed(611)
    torch.manual_seed(609)
    cuda = torch.Generator().manual_seed(612).get_state()[:16].clone()
    states = {"torch": torch.get_rng_state()[:64].clone(), "cuda": [cuda],
              "numpy": numpy.random.get_state(), "python": random.getstate()}
    # as Lightning and as transformers have them; torch's state is 5056 bytes of the same kind
    save("rng_states.pth", {"rng_states": states, "cpu": states["torch"], "xla": None,
                            "numpy_generator": numpy.random.default_rng(613)}, pickle_protocol=4, arrays=True)
    optimizers = {}
    for name in ("Adafactor", "Adam", "ASGD", "LBFGS", "Rprop", "SparseAdam"):
        kind = getattr(torch.optim, name)
        parameter = nn.Parameter(draw(614, 2, 3))
        optimizer = kind([parameter], lr=0.01)
        parameter.grad = draw(615, 2, 3).to_sparse() if name == "SparseAdam" else draw(615, 2, 3)
        optimizer.step(lambda: parameter.detach().sum()) if name == "LBFGS" else optimizer.step()
        optimizers[name] = optimizer.state_dict()
        if name == "Adam":
            optimizers["whole"] = optimizer
    save("optimizers.pth", optimizers)
    net = nn.Sequential(nn.Linear(2, 1))
    with torch.no_grad():
        for seed, parameter in enumerate(net.parameters()):
            parameter.copy_(draw(616 + seed, *parameter.shape))
    average = AveragedModel(net)
    average.update_parameters(net)
    save("averaged.pth", {"swa": average.state_dict(), "scaler": torch.amp.GradScaler("cpu").state_dict(), "whole": average})


def modules(save, draw):
    """Modules that are pickled in ways of their own."""
    def filled(module, seed):
        for number, tensor in enumerate((*module.parameters(), *module.buffers())):
            if not isinstance(tensor, nn.parameter.UninitializedTensorMixin) and tensor.is_floating_point():
                tensor.data = draw(seed + number, *tensor.shape)
        return module

    torch.manual_seed(620)
    pruned = filled(nn.Conv2d(1, 2, 2), 621)
    prune.l1_unstructured(pruned, "weight", 0.5)
    normed = filled(nn.utils.spectral_norm(nn.Linear(2, 2)), 623)
    save("module_forms.pth", {
        "pruned": pruned, "spectral_norm": normed,
        "orthogonal": filled(parametrizations.orthogonal(nn.Linear(2, 2, bias=False), use_trivialization=False), 625).state_dict(),
        "parameters": nn.ParameterDict({"b": nn.Parameter(draw(627, 1)), "a": draw(628, 1)})})
    # these two run code of their own when torch reads them
    save("module_programs.pth", {
        "traced": torch.fx.symbolic_trace(filled(nn.Sequential(nn.Conv2d(1, 1, 2, stride=2)), 629)),
        "compiled": torch.compile(filled(nn.Linear(2, 1), 631), backend="eager")})
    lazy = nn.Sequential(nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d())
    save("uninitialized.pth", {"module": lazy, "state": lazy.state_dict(), "parameter": nn.UninitializedParameter(),
                               "buffer": nn.UninitializedBuffer(), "beside": draw(634, 1)})


def without_slack(tensor):
    """Behind elements of less than a byte torch's storage has bytes that nobody set."""
    storage = tensor.untyped_storage()
    for at in range(tensor.numel() * PACKED_BITS[tensor.dtype] // 8, len(storage)):
        storage[at] = 0
    return tensor


def quantized_kinds(save, draw):
    x = draw(640, 4, 3)
    scales, zeros = torch.tensor([.1, .2, .3, .4]), torch.tensor([0, 1, 2, 3])
    save("quantized_packed.pth", {
        "uint4": without_slack(torch.quantize_per_channel(x, scales, zeros.float(), 0, torch.quint4x2)),
        "uint2": without_slack(torch.quantize_per_channel(x, scales, zeros.float(), 0, torch.quint2x4)),
        "uint4_per_tensor": without_slack(torch.quantize_per_tensor(x, .1, 7, torch.quint4x2)),
        "last_axis": torch.quantize_per_channel(x, scales[:3], zeros[:3], 1, torch.qint32),
        "double_scales": torch.quantize_per_channel(x, scales.double(), zeros, 0, torch.qint8),
        "window": torch.quantize_per_tensor(x, .1, 3, torch.quint8)[1:, 1:],
        "parameter": nn.Parameter(torch.quantize_per_tensor(x, .1, 3, torch.quint8), requires_grad=False)})
    torch.backends.quantized.engine = "fbgemm"
    torch.manual_seed(641)
    dynamic = quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2), nn.LSTM(2, 1)), {nn.Linear, nn.LSTM})
    conv = quantized.Conv2d(1, 2, 3, stride=2, padding=1)
    conv.set_weight_bias(torch.quantize_per_channel(draw(642, 2, 1, 3, 3), scales[:2], zeros[:2] * 0, 0, torch.qint8), draw(643, 2))
    conv.scale, conv.zero_point = 0.25, 3
    table = quantized.EmbeddingBag(3, 4, dtype=torch.quint4x2)
    table.set_weight(torch.quantize_per_channel(draw(644, 3, 4), scales[:3], zeros[:3].float(), 0, torch.quint4x2))
    whole = {"dynamic": dynamic, "table": table, "add": quantized.QFunctional()}
    save("quantized_modules.pth", {**whole, "state": {"conv": conv.state_dict(), "linear": dynamic[0].state_dict()}})
    # read again a quantized convolution has no `state_dict()` (it lacks its hooks): torch's answer before it was saved
    path = save("quantized_conv.pth", {"conv": conv}, expect=False)
    write_expected(path, {"conv": conv})


def other_layouts(save, draw):
    dense = draw(650, 3, 4) * (draw(651, 3, 4) > 0.3)
    save("sparse_kinds.pth", {
        "batch_csr": torch.stack([torch.eye(3)] * 2).to_sparse_csr(), "hybrid_csr": torch.stack([torch.eye(3)] * 2, 2).to_sparse_csr(dense_dim=1),
        "parameter": nn.Parameter(dense.to_sparse()), "empty": torch.sparse_coo_tensor(size=(3, 4)), "half": dense.half().to_sparse(),
        "complex": dense.to(torch.complex64).to_sparse(), "bool_bsc": (dense > 0).to_sparse_bsc((1, 2)),
        "int32_csr": torch.sparse_csr_tensor(torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([0, 1], dtype=torch.int32), draw(652, 2), (2, 3)),
        "scalar": torch.sparse_coo_tensor(torch.zeros(0, 1, dtype=torch.long), draw(653, 1), ())})
    rows = [draw(654, 2, 3), draw(655, 1, 3)]
    jagged = functools.partial(torch.nested.nested_tensor, layout=torch.jagged)
    save("nested_kinds.pth", {
        "parameter": nn.Parameter(torch.nested.nested_tensor(rows)), "one_axis": torch.nested.nested_tensor([draw(656, 2), draw(657, 0)]),
        "jagged_transposed": nn.Parameter(jagged(rows).transpose(1, 2)),
        "jagged_lengths": torch.nested.narrow(draw(658, 3, 5, 2), 1, torch.tensor([0, 1, 0]), torch.tensor([2, 3, 1]), layout=torch.jagged)})


def lazy_bits(save, draw):
    z = torch.complex(draw(660, 2, 3), draw(661, 2, 3))
    save("conj_neg_kinds.pth", {
        "half": z.to(torch.complex32).conj(), "double": z.to(torch.complex128).conj()[1:].t(), "both": torch._neg_view(z.clone().conj()),
        "imaginary": nn.Parameter(z.clone().conj().imag), "float": torch._neg_view(draw(662, 3)), "int": torch._neg_view(torch.arange(3)),
        "as_real": torch.view_as_real(z.clone()), "meta": torch.empty(3, device="meta", dtype=torch.complex64).conj()})


def subclasses(save, draw, zoo, folder):
    with_note = nn.Parameter(draw(670, 2))
    with_note.note = {"mask": draw(671, 2)}
    wrapped = nn.Linear(3, 2)
    wrapped.weight = nn.Parameter(zoo.Scaled.of(draw(672, 2, 3)), requires_grad=False)
    wrapped.bias.data = draw(673, 2)
    save("wrapper_kinds.pth", {
        "module": wrapped, "state": wrapped.state_dict(), "inside_another": zoo.Scaled(zoo.Scaled.of(draw(674, 2, 3)), draw(675, 1)),
        "masked": masked_tensor(draw(676, 3), torch.tensor([True, False, True])), "parameter_state": with_note,
        "subclass_parameter": nn.Parameter(draw(677, 2).as_subclass(zoo.Named)), "after": draw(678, 1)})
    with tempfile.TemporaryDirectory() as temporary:
        dist.init_process_group("gloo", init_method=f"file://{temporary}/store", rank=0, world_size=1)
        mesh = init_device_mesh("cpu", (1,))
        tensors = {"rows": distribute_tensor(draw(680, 4, 3), mesh, [Shard(0)]),
                   "whole": nn.Parameter(distribute_tensor(draw(681, 2), mesh, [Replicate()]))}
        for tensor in tensors.values():
            hash(tensor.device_mesh)
            tensor.device_mesh._hash = 0  # kept in the file, and of addresses
        save("dtensor.pth", tensors)
        dist.destroy_process_group()
    # as devices save whose tensors have no storage; torch puts them on the device that is named
    array = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    numbers = {"contiguous": array, "fortran": numpy.asfortranarray(array), "ints": numpy.arange(3)}
    values = {name: Call(torch._utils._rebuild_device_tensor_from_numpy, value, torch.from_numpy(value).dtype, "cpu", False)
              for name, value in numbers.items()}
    values["from_cpu"] = Call(torch._utils._rebuild_device_tensor_from_cpu_tensor, draw(682, 2), torch.float32, "cpu", True)
    save("device_tensors.pth", values)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def numpy_kinds(save, draw):
    codes = "? b B h H i I l L e f d F D >i4 >f8 >c8 S5 U2 >U2 M8[ns] M8[D] m8[25s]".split()
    arrays = {code: numpy.arange(2).astype(code) for code in codes}
    arrays |= {code: numpy.zeros(2, code) for code in ("g", "G", "V3", "O")}
    arrays |= {"packed": numpy.zeros(2, [("a", "<i4"), ("b", ">f8", (2,)), ("c", "U3"), ("d", [("e", "i1"), ("f", "O")])]),
               "aligned": numpy.zeros(1, numpy.dtype([("a", "i1"), ("b", "f8")], align=True)),
               "record": numpy.rec.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "<f4")]), "no_axis": numpy.array(3.5),
               "fortran": numpy.asfortranarray(numpy.eye(2, 3)), "empty": numpy.zeros((0, 3)), "matrix": numpy.matrix("1 2"),
               "tensors": numpy.array([draw(690, 1), {"inside": draw(691, 1)}, None], dtype=object)}
    scalars = {"datetime": numpy.datetime64("2026-11-21T10:00"), "timedelta": numpy.timedelta64(5, "D"), "text": numpy.str_("abc"),
               "bytes": numpy.bytes_(b"ab"), "big_endian": numpy.array(5, ">i4")[()], "complex": numpy.complex64(1 - 2j), "not_a_time": numpy.datetime64("NaT")}
    save("numpy_kinds.pth", {"arrays": arrays, "scalars": scalars}, pickle_protocol=5, arrays=True)


def newest_safetensors(folder):
    """Types that safetensors has and torch has not: what the library itself says of them."""
    import json
    import struct
    tags = {"F4": ("float4_e2m1fn", 4), "F6_E2M3": ("float6_e2m3fn", 6), "F6_E3M2": ("float6_e3m2fn", 6)}
    header, data = {}, b""
    for tag, (_, bits) in tags.items():
        header[tag] = {"dtype": tag, "shape": [1, 8, 1], "data_offsets": [len(data), len(data) + bits]}
        data += bytes((37 * (len(data) + at) + 11) % 256 for at in range(bits))
    text = json.dumps(header).encode()
    path = folder / "newest_dtypes.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    entries = []
    for name, read in deserialize(path.read_bytes()):
        plain = describe(name, torch.frombuffer(bytearray(read["data"]), dtype=torch.uint8))
        entries.append({**plain, "dtype": tags[read["dtype"]][0], "shape": read["shape"], "stride": [8, 1, 1]})
    write_expected_entries(path, sorted(entries, key=lambda entry: entry["name"]))


def make(folder, draw, zoo):
    def save(name, value, expect=True, arrays=False, **options):
        path = Path(folder) / name
        torch.save(value, path, **options)
        if expect:
            write_expected(path, torch.load(path, weights_only=False), arrays=arrays)
        return path

    alignment = torch.utils.serialization.config.save.storage_alignment
    torch.utils.serialization.config.save.storage_alignment = 1  # small files
    refused(folder)
    roots(save, draw, zoo)
    training(save, draw)
    modules(save, draw)
    quantized_kinds(save, draw)
    other_layouts(save, draw)
    lazy_bits(save, draw)
    subclasses(save, draw, zoo, folder)
    numpy_kinds(save, draw)
    newest_safetensors(folder)
    torch.utils.serialization.config.save.storage_alignment = alignment
