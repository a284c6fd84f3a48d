"""shapes.py FOLDER: models to walk through: the MNIST tutorial's net in each form, branches, somebody's own class.

Weights are single zeros expanded to their shapes: the files are small, the shapes are real. Paths of the machine are taken
out of programs, as programs.py does.
"""
import sys
import warnings
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch
import torchvision
from torch import nn

from mnist_net import MnistNet
from programs import without_paths

warnings.filterwarnings("ignore")


def light(model):
    """The model with weights that take no room."""
    for module in model.modules():
        for values in (module._parameters, module._buffers):
            for key, value in values.items():
                if value is not None and value.dim():
                    zeros = torch.zeros(1, dtype=value.dtype).expand(value.shape)
                    values[key] = nn.Parameter(zeros) if values is module._parameters else zeros
    return model.eval()


def clean(write, path):
    """A program's file without the machine's paths, deflated."""
    source = path.with_name("source.tmp" if path.suffix != ".pt2" else "source.pt2")
    write(str(source))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = without_paths(info.filename, old.read(info))
            if data is None:
                continue
            name = info.filename.partition("/")[2]
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, data)
    source.unlink()


class Branches(nn.Module):
    """Two inputs, a residual addition, a concatenation, sizes computed from sizes."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(3, 8, 3, padding=1)
        self.right = nn.Conv2d(1, 8, 3, padding=1)
        self.both = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.short = nn.Conv2d(16, 16, 1, stride=2)
        self.fc = nn.Linear(16, 4)

    def forward(self, image, mask):
        x = torch.cat([self.left(image), self.right(mask)], 1)
        x = torch.relu(self.both(x) + self.short(x))
        n, c, h, w = x.shape
        x = x.view(n, c, h * w).mean(2)
        return self.fc(x)


class Own(nn.Module):
    """A class of somebody's own around parts that are torch's."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(6 * 14 * 14, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


class Unknown(nn.Module):
    """An operator whose shape nobody can know without running it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        x = self.conv(x)
        return self.fc(torch.nonzero(x).float().sum(0))


def make(folder):
    torch.manual_seed(500)
    x = torch.zeros(1).expand(1, 1, 28, 28)
    net = light(MnistNet())
    clean(torch.jit.script(net).save, folder / "mnist_q2_scripted.pt")
    with torch.no_grad():
        clean(torch.jit.trace(net, x, check_trace=False).save, folder / "mnist_q2_traced.pt")
    clean(lambda path: torch.export.save(torch.export.export(net, (x,)), path), folder / "mnist_q2_exported.pt2")
    batch = torch.export.Dim("batch", min=1, max=64)
    free = torch.export.export(net, (x.expand(2, -1, -1, -1),), dynamic_shapes=({0: batch},))
    clean(lambda path: torch.export.save(free, path), folder / "mnist_q2_free_batch.pt2")
    branches = light(Branches())
    inputs = (torch.zeros(1).expand(2, 3, 32, 32), torch.zeros(1).expand(2, 1, 32, 32))
    clean(torch.jit.script(branches).save, folder / "branches_scripted.pt")
    clean(lambda path: torch.export.save(torch.export.export(branches, inputs), path), folder / "branches_exported.pt2")
    clean(torch.jit.script(light(Unknown())).save, folder / "unknown_scripted.pt")
    torch.save(light(Own()), folder / "own_class.pth")
    with torch.device("meta"):
        model = torchvision.models.resnet18()
    clean(lambda path: torch.save(light(model), path), folder / "resnet18_module.pth")


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    make(target)
