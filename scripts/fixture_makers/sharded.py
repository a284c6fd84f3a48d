"""Checkpoints in several files, as transformers lays them out: shards, and an index that says which tensor is where."""
import json
from collections import OrderedDict

import torch
from safetensors.torch import load_file, save_file

from expected import write_expected


def index(path, weight_map, total=None, **more):
    metadata = {} if total is None else {"total_size": total}
    path.write_text(json.dumps({"metadata": metadata, "weight_map": weight_map, **more}, indent=2) + "\n")


def folder_of(folder, name):
    path = folder / name
    path.mkdir(exist_ok=True)
    return path


def bytes_of(shards):
    return sum(tensor.numel() * tensor.element_size() for shard in shards for tensor in shard.values())


def make(folder, draw):
    first = OrderedDict((("embed.weight", draw(300, 6, 4)), ("layer.0.conv.weight", draw(301, 4, 3, 3, 3)),
                         ("layer.0.conv.bias", draw(302, 4))))
    second = OrderedDict((("layer.1.conv.weight", draw(303, 5, 4, 1, 2).half()), ("head.weight", draw(304, 2, 5).bfloat16()),
                          ("steps", torch.tensor(7))))
    shards = [first, second]
    path = folder_of(folder, "sharded_safetensors")
    names = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
    for name, shard in zip(names, shards):
        save_file(shard, str(path / name), metadata={"format": "pt"})
        (path / name).chmod(0o644)
    weight_map = {key: name for name, shard in zip(names, shards) for key in shard}
    index(path / "model.safetensors.index.json", dict(sorted(weight_map.items())), bytes_of(shards))
    read = {}
    for name in names:
        read |= load_file(str(path / name))
    write_expected(path, read)

    tied = draw(305, 4, 6)
    shards = [OrderedDict((("a.weight", tied), ("a.tied", tied), ("a.part", tied[1:3]))),
              OrderedDict((("b.conv.weight", draw(306, 2, 2, 3, 3).to(memory_format=torch.channels_last)), ("b.scale", draw(307))))]
    path = folder_of(folder, "sharded_bin")
    names = [f"pytorch_model-{number:05}-of-00002.bin" for number in (1, 2)]
    for number, (name, shard) in enumerate(zip(names, shards)):
        (legacy if number else torch_save)(path / name, shard)
    index(path / "pytorch_model.bin.index.json", {key: name for name, shard in zip(names, shards) for key in shard},
          bytes_of(shards))
    read = {}
    for name in names:
        read |= torch.load(path / name)
    write_expected(path, read)

    # an index that is wrong in every way that leaves the tensors readable
    path = folder_of(folder, "sharded_disagrees")
    shard = OrderedDict((("x.weight", draw(308, 2, 3)), ("y.weight", draw(309, 3))))
    other = OrderedDict(z=draw(310, 2))
    save_file(shard, str(path / "one.safetensors"))
    save_file(other, str(path / "two.safetensors"))
    for name in ("one", "two"):
        (path / f"{name}.safetensors").chmod(0o644)
    index(path / "model.safetensors.index.json",
          {"x.weight": "one.safetensors", "z": "one.safetensors", "gone": "two.safetensors"}, 12345)
    write_expected(path, load_file(str(path / "one.safetensors")) | load_file(str(path / "two.safetensors")))


def torch_save(path, value):
    torch.save(value, path)


def legacy(path, value):
    """A shard of before 1.6: the kinds may be mixed."""
    from old_formats import Constant
    with Constant():
        torch.save(value, path, _use_new_zipfile_serialization=False)
