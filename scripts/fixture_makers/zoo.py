"""Classes that the checkpoint fixtures pickle: modules of every kind, and objects of somebody's own."""
import enum
from dataclasses import dataclass, field

import torch
from torch import nn


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), padding_mode="reflect")
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x))


class Zoo(nn.Module):
    """Weights whose axes mean different things, buffers kept and not kept, a parameter of its own, a missing one."""

    def __init__(self):
        super().__init__()
        self.stem = Stem()
        self.same = nn.Conv2d(4, 6, 3, padding="same", groups=2, bias=False)
        self.up = nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1, groups=2)
        self.sound = nn.Conv1d(2, 3, 4, padding_mode="circular")
        self.volume = nn.Conv3d(2, 3, (1, 2, 3))
        self.words = nn.Embedding(7, 5, padding_idx=0)
        self.groups = nn.GroupNorm(2, 4)
        self.rows = nn.LayerNorm((3, 5))
        self.slope = nn.PReLU(3)
        self.two = nn.Bilinear(2, 3, 4)
        self.many = nn.ModuleList([nn.Linear(5, 3), nn.Sequential(nn.Linear(3, 2), nn.Tanh())])
        self.named = nn.ModuleDict({"a b": nn.Linear(1, 1), "c": nn.Identity()})
        self.loose = nn.ParameterList([nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))])
        self.old_norm = nn.utils.weight_norm(nn.Linear(3, 2))  # its `weight` is a plain attribute, not a parameter
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.register_parameter("absent", None)
        self.register_buffer("kept", torch.arange(4))
        self.register_buffer("not_kept", torch.arange(5), persistent=False)
        self.plain_tensor = torch.ones(3)
        self.note = "attributes are not state"


@dataclass
class TrainState:
    step: int
    loss: float
    ema: torch.Tensor
    history: list = field(default_factory=list)


class Tag:
    """A class of somebody's own: nothing but attributes."""

    def __init__(self, name, weight):
        self.name = name
        self.weight = weight


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left = left
        self.right = right


class Vocabulary(dict):
    """A dict with attributes beside its items."""


class Phase(enum.Enum):
    TRAIN = "train"
    TEST = "test"


class Named(torch.Tensor):
    """A tensor subclass."""


class Scaled(torch.Tensor):
    """Rows of int8 and a scale for each, as quantizing libraries wrap them: no elements but those of its attributes."""

    @staticmethod
    def __new__(cls, data, scale):
        return torch.Tensor._make_wrapper_subclass(cls, data.shape, strides=data.stride(), dtype=torch.bfloat16)

    def __init__(self, data, scale):
        self.rows, self.scale, self.group = data, scale, 32

    @classmethod
    def of(cls, tensor):
        scale = tensor.abs().amax(-1, keepdim=True) / 127
        return cls((tensor / scale).round().to(torch.int8), scale)

    def __tensor_flatten__(self):
        return ["rows", "scale"], {"group": self.group}

    @classmethod
    def __tensor_unflatten__(cls, inner, meta, size, stride):
        return cls(inner["rows"], inner["scale"])

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return cls(args[0].rows.detach(), args[0].scale.detach())
        raise NotImplementedError(str(function))
