"""distributed.py FOLDER: distributed checkpoints, written by two processes, and what torch puts together from each."""
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import load_file
from torch import nn
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter, filesystem
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor, init_device_mesh

from expected import write_expected

filesystem._generate_uuid = lambda: "00000000-0000-0000-0000-000000000000"


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def trained():
    torch.manual_seed(500)
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 4, 3), norm=nn.BatchNorm2d(4), fc=nn.Linear(4, 2)))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    net.fc(net.norm(net.conv(draw(501, 2, 2, 4, 4))).mean((2, 3))).sum().backward()
    optimizer.step()
    return net, optimizer


def parts(mesh):
    """Tensors cut along each axis, evenly and not; and one that every rank has whole."""
    cut = {
        "rows": (draw(510, 5, 6), Shard(0)), "columns": (draw(511, 4, 7), Shard(1)), "filters": (draw(512, 4, 3, 3, 3), Shard(0)),
        "kernel": (draw(513, 2, 3, 5, 4).half(), Shard(2)), "one_row": (draw(514, 1, 3), Shard(0)),
        "whole": (draw(515, 3, 2), Replicate()), "counts": (torch.arange(11), Shard(0)), "bfloat16": (draw(516, 3, 8).bfloat16(), Shard(1))}
    return {name: distribute_tensor(tensor, mesh, [how]) for name, (tensor, how) in cut.items()}


def rank(number, store, folder):
    os.chdir(folder)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    net, optimizer = trained()
    dcp.save({"model": net.state_dict(), "optimizer": optimizer.state_dict(), "parts": parts(mesh), "epoch": 3,
              "list": [draw(520, 2), "text", {"deep": draw(521, 1)}], "rng": torch.get_rng_state()[:16].clone(),
              "scheduler": {"milestones": (3, 7), "table": {1: 0.5}}}, checkpoint_id="dcp_two_ranks")
    state = {name: tensor for name, tensor in parts(mesh).items() if name != "one_row"}
    dcp.save(state, storage_writer=HuggingFaceStorageWriter("dcp_safetensors", save_distributed=True))
    # torch's own reading: every tensor whole
    whole = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in state.items()}
    dcp.load(whole, storage_reader=HuggingFaceStorageReader("dcp_safetensors"))
    if number == 0:
        write_expected(Path("dcp_safetensors"), dict(sorted(whole.items())))
    dist.destroy_process_group()


def settled(folder):
    """The safetensors library writes the metadata of a header in an order that differs from run to run: sorted."""
    for path in folder.glob("*.safetensors"):
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + length])
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
        assert len(text) == length
        path.write_bytes(data[:8] + text + data[8 + length:])


def in_several_processes(folder):
    for name in ("dcp_two_ranks", "dcp_safetensors"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        mp.spawn(rank, (f"{temporary}/store", str(folder)), nprocs=2)


def in_one_process(folder):
    for name in ("dcp_one_rank", "dcp_consolidated"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with contextlib.chdir(folder):
        net, optimizer = trained()
        state = {"net": net.state_dict(), "column_major": draw(530, 3, 4).t(), "tied": net.fc.weight.detach(), "empty": torch.empty(0, 3)}
        dcp.save(state, checkpoint_id="dcp_one_rank", no_dist=True)
        dcp.save(net.state_dict(), storage_writer=HuggingFaceStorageWriter("dcp_consolidated"), no_dist=True)
        read = {}
        for path in Path("dcp_consolidated").glob("*.safetensors"):
            read |= load_file(path)
        write_expected(Path("dcp_consolidated"), read)
        for name in ("dcp_two_ranks", "dcp_one_rank"):
            dcp_to_torch_save(name, "whole.tmp")
            write_expected(Path(name), torch.load("whole.tmp", weights_only=False))
            Path("whole.tmp").unlink()


if __name__ == "__main__":
    torch.set_num_threads(1)
    in_several_processes(Path(sys.argv[1]))
    in_one_process(Path(sys.argv[1]))
    for name in ("dcp_safetensors", "dcp_consolidated"):
        settled(Path(sys.argv[1]) / name)
