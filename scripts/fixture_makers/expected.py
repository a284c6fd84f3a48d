"""torch's own answer to `ls`: every tensor of an object, under the names that the contract gives it."""
import hashlib
import json

import numpy
import torch
from torch import nn

PACKED_BITS = {torch.quint4x2: 4, torch.quint2x4: 2}  # several elements to a byte


def tensors_of(value, path=(), inside=()):
    """(path, tensor) pairs: dict keys as they print, items by index, attributes by name, modules as state_dict; numpy's
    arrays too."""
    if id(value) in inside:
        return
    inside = (*inside, id(value))
    if isinstance(value, torch.Tensor):
        yield path, value
        if is_wrapper(value):  # its elements are those of its attributes
            yield from attributes_of(value, path, inside)
    elif isinstance(value, numpy.ndarray):
        yield path, value
        if value.dtype == object:
            for number, item in enumerate(value.ravel(order="K")):
                yield from tensors_of(item, (*path, str(number)), inside)
    elif isinstance(value, nn.Module):
        for name, entry in value.state_dict(keep_vars=True).items():
            yield from tensors_of(entry, (*path, name), inside)
    elif isinstance(value, (dict, list, tuple)) or type(value).__name__ == "deque":
        for number, (key, item) in enumerate(value.items() if isinstance(value, dict) else enumerate(value)):
            # a tensor as a key prints as all of its elements: its place says which it is
            name = str(number) if isinstance(key, torch.Tensor) else str(key)
            yield from tensors_of(item, (*path, name), inside)
        if hasattr(value, "__dict__") and not type(value).__module__.startswith(("collections", "torch")):
            yield from attributes_of(value, path, inside)
    elif isinstance(value, (torch.dtype, torch.device, torch.layout, torch.Size, torch.UntypedStorage, torch.TypedStorage, type)):
        return
    elif type(value).__module__.startswith("torch") and not callable(value):
        yield from state_of(value, path, inside)
    elif type(value).__module__.split(".")[0] not in ("builtins", "numpy", "torch", "pathlib", "datetime", "_io"):
        yield from attributes_of(value, path, inside)


def state_of(value, path, inside):
    """What an object of torch's own has beside its class: attributes by name, or anything else as `state`."""
    reduced = value.__reduce_ex__(2)
    state = reduced[2] if isinstance(reduced, tuple) and len(reduced) > 2 else None
    yield from tensors_of(state, path if isinstance(state, dict) else (*path, "state"), inside)


def attributes_of(value, path, inside):
    names = list(getattr(value, "__dict__", {})) + list(getattr(type(value), "__slots__", ()))
    for name in names:
        yield from tensors_of(getattr(value, name), (*path, name), inside)


def is_lazy(tensor) -> bool:
    """Whether nobody has said yet of what shape it is."""
    return isinstance(tensor, nn.parameter.UninitializedTensorMixin)


def is_wrapper(tensor) -> bool:
    """Whether its class has no elements but those of its attributes: `_make_wrapper_subclass`."""
    if tensor.is_nested or tensor.layout != torch.strided or tensor.is_meta or is_lazy(tensor):
        return False
    try:
        tensor.untyped_storage().data_ptr()
    except RuntimeError:
        return True
    return False


def logical_bytes(tensor) -> bytes:
    """The elements in C order, whatever the strides; taken from the storage, so any dtype will do."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    size = tensor.element_size()
    storage = torch.tensor([], dtype=torch.uint8).set_(tensor.untyped_storage()).numpy()
    if tensor.numel() == 0:
        return b""
    elements = numpy.frombuffer(storage.tobytes(), dtype=f"V{size}", count=len(storage) // size)
    strides = [stride * size for stride in tensor.stride()]
    return numpy.lib.stride_tricks.as_strided(elements[tensor.storage_offset():], tensor.shape, strides).tobytes()


def packed_bytes(tensor) -> bytes:
    """The elements of less than a byte in C order, the first in the lowest bits. The storage may be longer: torch makes
    room for rows of whole bytes, and fills it without."""
    width = PACKED_BITS[tensor.dtype]
    storage = numpy.frombuffer(bytes(tensor.untyped_storage()), dtype=numpy.uint8)
    elements = (storage[:, None] >> numpy.arange(0, 8, width) & (1 << width) - 1).astype(numpy.uint8).ravel()
    elements = numpy.lib.stride_tricks.as_strided(elements[tensor.storage_offset():], tensor.shape, tensor.stride())
    if tensor.is_contiguous() and tensor.storage_offset() == 0:  # all that torch's own dequantize() understands
        assert numpy.array_equal(elements, quantized_integers(tensor)), "not what torch dequantizes"
    elements = numpy.ascontiguousarray(elements).ravel()
    elements = numpy.pad(elements, (0, -elements.size % (8 // width))).reshape(-1, 8 // width)
    return (elements << numpy.arange(0, 8, width)).sum(1).astype(numpy.uint8).tobytes()


def quantized_integers(tensor):
    floats = tensor.dequantize().double()
    if str(tensor.qscheme()) == "torch.per_tensor_affine":
        return (floats / tensor.q_scale() + tensor.q_zero_point()).round().numpy()
    rest = [-1 if axis == tensor.q_per_channel_axis() else 1 for axis in range(tensor.dim())]
    scales, zeros = tensor.q_per_channel_scales().view(rest), tensor.q_per_channel_zero_points().view(rest)
    return (floats / scales + zeros).round().numpy()


def describe(name, tensor) -> dict:
    entry = {"name": name, "dtype": str(tensor.dtype)[6:]}
    if tensor.is_nested:
        parts = [describe(str(index), part) for index, part in enumerate(tensor.unbind())]
        return {**entry, "shape": None, "stride": None, "storage_offset": None, "sha256": None,
                "layout": "nested" if tensor.layout == torch.strided else str(tensor.layout)[6:], "parts": parts}
    if is_lazy(tensor):
        return {**entry, "shape": None, "stride": None, "storage_offset": None, "sha256": None, "layout": "uninitialized"}
    entry["shape"] = list(tensor.shape)
    if tensor.layout != torch.strided:
        layout = str(tensor.layout)[6:]
        compressed = {"sparse_csr": ("crow_indices", "col_indices"), "sparse_bsr": ("crow_indices", "col_indices"),
                      "sparse_csc": ("ccol_indices", "row_indices"), "sparse_bsc": ("ccol_indices", "row_indices")}
        if layout == "sparse_coo":
            parts = {"indices": tensor._indices(), "values": tensor._values()}
        else:
            parts = {part: getattr(tensor, part)() for part in (*compressed[layout], "values")}
        return {**entry, "stride": None, "storage_offset": None, "sha256": None, "layout": layout,
                "parts": [describe(part, value) for part, value in parts.items()]}
    entry |= {"stride": list(tensor.stride()), "storage_offset": tensor.storage_offset()}
    if is_wrapper(tensor):
        kind = type(tensor)
        return {**entry, "sha256": None, "subclass": f"{kind.__module__}.{kind.__qualname__}"}
    if tensor.is_meta:
        return {**entry, "sha256": None, "device": "meta"}
    if tensor.dtype in PACKED_BITS:
        return {**entry, "sha256": hashlib.sha256(packed_bytes(tensor)).hexdigest(), **quantizer(tensor)}
    entry["sha256"] = hashlib.sha256(logical_bytes(tensor)).hexdigest()
    if tensor.is_quantized:
        entry |= quantizer(tensor)
    for view in ("conj", "neg"):
        if getattr(tensor, f"is_{view}")():
            entry[view] = True
    return entry


def quantizer(tensor) -> dict:
    scheme = str(tensor.qscheme())[6:]
    if scheme.startswith("per_channel"):
        return {"qscheme": scheme, "scales": tensor.q_per_channel_scales().tolist(),
                "zero_points": tensor.q_per_channel_zero_points().tolist(), "axis": tensor.q_per_channel_axis()}
    return {"qscheme": scheme, "scale": tensor.q_scale(), "zero_point": tensor.q_zero_point()}


def write_expected(path, value, arrays=False) -> None:
    """`NAME.expected.json` beside `path`: a list, one tensor a line; with `arrays` also `NAME.arrays.expected.json`: of
    numpy's arrays, which `tree` shows."""
    tensors, others = [], []
    for names, found in tensors_of(value):
        name = ".".join(names)
        if isinstance(found, torch.Tensor):
            tensors.append(describe(name, found))
        else:
            others.append({"name": name, "array": str(found.dtype), "shape": list(found.shape)})
    write_expected_entries(path, tensors)
    if arrays:
        write_expected_entries(path.with_name(f"{path.name}.arrays"), others)


def write_expected_entries(path, entries) -> None:
    lines = [json.dumps(entry) for entry in entries]
    text = "[\n " + ",\n ".join(lines) + "\n]\n" if lines else "[]\n"
    path.with_name(f"{path.name}.expected.json").write_text(text)
