"""torch's own answer to `ls`: every tensor of an object, under the names that the contract gives it."""
import hashlib
import json

import numpy
import torch
from torch import nn

ITEM_BYTES = {torch.quint4x2: None, torch.quint2x4: None}  # several elements to a byte


def tensors_of(value, path=(), inside=()):
    """(path, tensor) pairs: dict keys as they print, items by index, attributes by name, modules as state_dict."""
    if id(value) in inside:
        return
    inside = (*inside, id(value))
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, nn.Module):
        for name, tensor in value.state_dict(keep_vars=True).items():
            if isinstance(tensor, torch.Tensor):
                yield (*path, name), tensor
    elif isinstance(value, (dict, list, tuple)) or type(value).__name__ == "deque":
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tensors_of(item, (*path, str(key)), inside)
        if hasattr(value, "__dict__") and not type(value).__module__.startswith(("collections", "torch")):
            yield from attributes_of(value, path, inside)
    elif type(value).__module__.split(".")[0] not in ("builtins", "numpy", "torch", "pathlib", "datetime", "_io"):
        yield from attributes_of(value, path, inside)


def attributes_of(value, path, inside):
    names = list(getattr(value, "__dict__", {})) + list(getattr(type(value), "__slots__", ()))
    for name in names:
        yield from tensors_of(getattr(value, name), (*path, name), inside)


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


def describe(name, tensor) -> dict:
    entry = {"name": name, "dtype": str(tensor.dtype)[6:]}
    if tensor.is_nested:
        parts = [describe(str(index), part) for index, part in enumerate(tensor.unbind())]
        return {**entry, "shape": None, "stride": None, "storage_offset": None, "sha256": None,
                "layout": "nested" if tensor.layout == torch.strided else str(tensor.layout)[6:], "parts": parts}
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
    if tensor.is_meta:
        return {**entry, "sha256": None, "device": "meta"}
    if tensor.dtype in ITEM_BYTES:
        packed = bytes(tensor.untyped_storage())
        return {**entry, "sha256": None, "packed_sha256": hashlib.sha256(packed).hexdigest(), **quantizer(tensor)}
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


def write_expected(path, value) -> None:
    """`NAME.expected.json` beside `path`: a list, one tensor a line."""
    lines = [json.dumps(describe(".".join(names), tensor)) for names, tensor in tensors_of(value)]
    text = "[\n " + ",\n ".join(lines) + "\n]\n" if lines else "[]\n"
    path.with_name(f"{path.name}.expected.json").write_text(text)
