"""pictures.py FOLDER: a network small enough to keep whose first layer has something to show, and pictures to feed it.

`edges.pth` is trained here, on black and white gratings of eight directions and on soft patches of four colours: its first
layer comes to look like that of any network trained on photographs. Beside it lie pictures of every kind that is read,
and what PIL and torchvision make of them.
"""
import io
import json
import math
import random
import struct
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import numpy
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torch import nn
from torchvision import transforms

from picture_parity import png as any_png

SIZE = 28
DIRECTIONS = 8
#: red, green, blue, yellow, each against its opposite
COLORS = [[1.3, -0.65, -0.65], [-0.65, 1.3, -0.65], [-0.65, -0.65, 1.3], [0.65, 0.65, -1.3]]


class Edges(nn.Module):
    """Tells directions of gratings and colours of patches."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3)
        self.depthwise = nn.Conv2d(16, 16, kernel_size=3, padding=1, groups=16)
        self.conv2 = nn.Conv2d(16, 8, kernel_size=3, padding=1)
        self.fc = nn.Linear(16, DIRECTIONS + len(COLORS))

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        return self.fc(x.mean((2, 3)))


def patches(count, generator):
    """Gratings in random phase and wavelength, soft patches of colour, and their classes."""
    pick = lambda *ends: torch.rand(count, 1, 1, generator=generator) * (ends[1] - ends[0]) + ends[0]
    classes = torch.randint(DIRECTIONS + len(COLORS), (count,), generator=generator)
    y, x = torch.meshgrid(*[torch.arange(SIZE) - SIZE / 2.0] * 2, indexing="ij")
    angle = classes.view(-1, 1, 1) * (math.pi / DIRECTIONS)
    along = x * torch.cos(angle) + y * torch.sin(angle)
    wave = torch.cos(along * (2 * math.pi / pick(5.5, 9)) + pick(0, 2 * math.pi))
    blob = torch.exp(-((x - pick(-6, 6)) ** 2 + (y - pick(-6, 6)) ** 2) / (2 * pick(3, 5) ** 2))
    is_grating = (classes < DIRECTIONS).view(-1, 1, 1, 1)
    color = torch.tensor(COLORS)[(classes - DIRECTIONS).clamp(min=0)][:, :, None, None]
    images = torch.where(is_grating, wave[:, None].expand(-1, 3, -1, -1), color * blob[:, None]) * pick(0.5, 1.0)[:, None]
    grey = torch.randn(count, 1, SIZE, SIZE, generator=generator) * 0.45
    speckle = torch.randn(count, 3, SIZE, SIZE, generator=generator) * 0.3
    return images + grey + speckle, classes


def train():
    generator = torch.Generator().manual_seed(5)
    torch.manual_seed(5)
    net = Edges()
    trained = [*net.conv1.parameters(), *net.fc.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=6e-3, weight_decay=0.6)
    steps = 1500
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    right = 0.0
    for step in range(steps):
        images, classes = patches(64, generator)
        scores = net(images)
        loss = nn.functional.cross_entropy(scores, classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        right = 0.98 * right + 0.02 * float((scores.argmax(1) == classes).float().mean())
    print(f"edges.pth: {right:.2f} of the last patches told right", file=sys.stderr)
    return net.eval()


def scene():
    """A picture with edges of all directions and some colour: discs, bars, a fan, on a soft ground."""
    size = 96
    y, x = numpy.mgrid[:size * 4, :size * 4] / 4.0
    ground = numpy.stack([150 + 60 * x / size, 170 + 40 * y / size, 215 - 60 * y / size], -1)
    def paint(mask, color):
        ground[mask] = color
    paint((x - 30) ** 2 + (y - 32) ** 2 < 20 ** 2, (214, 60, 48))
    paint((x - 30) ** 2 + (y - 32) ** 2 < 11 ** 2, (250, 236, 214))
    paint((x - 30) ** 2 + (y - 32) ** 2 < 4 ** 2, (24, 30, 60))
    paint((abs(x - 70) < 15) & (abs(y - 28) < 15) & ((x + y) // 4 % 2 < 1), (28, 92, 168))
    angle = numpy.arctan2(y - 72, x - 30)
    paint(((x - 30) ** 2 + (y - 72) ** 2 < 18 ** 2) & (numpy.floor(angle * 12 / math.pi) % 2 < 1), (34, 34, 40))
    paint((abs(y - 72) < 16) & (abs(x - 70) < 18) & (x // 3 % 2 < 1), (40, 140, 74))
    small = ground.reshape(size, 4, size, 4, 3).mean((1, 3))
    return Image.fromarray(numpy.clip(small + 0.5, 0, 255).astype("uint8"))


def kinds(folder):
    """A PNG of every colour type and depth, some interlaced, and what torchvision makes of it."""
    rng = random.Random(1)
    expected, width, height = {}, 9, 5
    for color, depth in [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16),
                         (6, 8), (6, 16)]:
        for interlaced in (False, True):
            bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
            rows = [rng.randbytes((width * bits + 7) // 8) for _ in range(height)]
            palette = rng.randbytes(3 << depth) if color == 3 else b""
            trns = {0: b"\0\1", 2: b"\0\1\0\2\0\3"}.get(color, b"") if interlaced else b""
            name = f"color{color}_depth{depth}{'_interlaced' if interlaced else ''}"
            data = any_png(color, depth, rows, width, interlaced, palette, trns)
            (folder / f"{name}.png").write_bytes(data)
            image = Image.open(io.BytesIO(data))
            if image.mode == "P":
                image = image.convert("RGB")
            if image.mode == "I;16":
                tensor = transforms.v2.functional.to_dtype(transforms.v2.functional.to_image(image), torch.float32, scale=True)
            else:
                tensor = transforms.ToTensor()(image)
            expected[name] = tensor.contiguous()
    return expected


def main():
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(train().state_dict(), folder / "edges.pth")
    odd = torch.linspace(-1, 1, 4 * 5 * 5).reshape(4, 1, 5, 5).clone()
    odd[1, 0, 2, 2], odd[1, 0, 0, 0], odd[2, 0, 4, 4], odd[3, 0, 1, :] = float("nan"), float("inf"), float("-inf"), 0
    torch.save({"conv.weight": odd, "same1.weight": torch.eye(1).view(1, 1, 1, 1), "same2.weight": torch.eye(2).view(2, 2, 1, 1),
                "same3.weight": torch.eye(3).view(3, 3, 1, 1), "same4.weight": torch.eye(4).view(4, 4, 1, 1),
                "same3_half.weight": torch.eye(3, dtype=torch.float16).view(3, 3, 1, 1),
                "same3_double.weight": torch.eye(3, dtype=torch.float64).view(3, 3, 1, 1)}, folder / "odd.pth")
    image = scene()
    image.save(folder / "scene.png", optimize=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    image.crop((16, 20, 36, 32)).save(folder / "turned.jpg", quality=92, exif=turned)
    image.crop((0, 0, 16, 8)).convert("CMYK").save(folder / "cmyk.jpg")
    image.crop((16, 20, 36, 32)).convert("L").save(folder / "grey.jpg", quality=92)
    image.crop((16, 20, 36, 37)).save(folder / "progressive.jpg", quality=60, progressive=True)
    image.crop((16, 20, 36, 37)).save(folder / "small.jpg", quality=92)
    expected = kinds(folder)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    image = image.crop((16, 20, 36, 37))
    image.save(folder / "small.png")
    expected["small"] = transforms.ToTensor()(image)
    expected["small_normalized"] = transforms.Normalize(mean, std)(expected["small"])
    for name, size in [("bilinear", (12, 25)), ("bicubic", (23, 9)), ("lanczos", (5, 13)), ("box", (7, 20))]:
        resized = transforms.Resize(size, getattr(transforms.InterpolationMode, name.upper()))(image)
        expected[f"small_{name}"] = transforms.ToTensor()(resized)
    cropped = transforms.CenterCrop((8, 11))(transforms.Resize(13)(image))
    expected["small_cropped"] = transforms.ToTensor()(cropped)
    expected["small_grey"] = transforms.ToTensor()(image.convert("L"))
    for name in ("small.jpg", "grey.jpg", "progressive.jpg"):
        expected[name] = transforms.ToTensor()(Image.open(folder / name))
    expected["turned.jpg"] = transforms.ToTensor()(ImageOps.exif_transpose(Image.open(folder / "turned.jpg")))
    save_file({name: tensor.contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")


if __name__ == "__main__":
    main()
