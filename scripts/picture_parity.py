#!/usr/bin/env python3
"""Compare what pthinspect makes of pictures with PIL and torchvision, bit for bit.

    picture_parity.py                    200 random PNGs: modes, depths, sizes, transforms; and 60 JPEGs
    picture_parity.py --count 2000 --seed 7 --binary target/release/pthinspect

PNG: every bit must agree, and the exit code says whether they do. JPEG: the decoders round differently; the table says
how far apart samples come to lie.
"""
import argparse
import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy
import PIL
import torch
import torchvision
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import v2

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS, "box": Image.BOX}


def png(color: int, depth: int, rows: list[bytes], width: int, interlaced: bool, palette: bytes, trns: bytes) -> bytes:
    """A PNG of any colour type and depth; PIL writes too few of them. Interlaced ones are left to PIL's own reader to check."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, int(interlaced))
    parts = [chunk(b"IHDR", head)]
    if palette:
        parts.append(chunk(b"PLTE", palette))
    if trns:
        parts.append(chunk(b"tRNS", trns))
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
    if interlaced:
        data = adam7(rows, width, bits)
    else:
        data = b"".join(b"\0" + row for row in rows)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def adam7(rows: list[bytes], width: int, bits: int) -> bytes:
    """The seven passes of an interlaced picture."""
    pixels = [[int.from_bytes(row, "big") >> (8 * len(row) - (x + 1) * bits) & ((1 << bits) - 1) for x in range(width)]
              for row in rows]
    out = b""
    for y0, x0, dy, dx in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)):
        for row in pixels[y0::dy]:
            chosen = row[x0::dx]
            if chosen:
                number, count = 0, len(chosen) * bits
                for value in chosen:
                    number = number << bits | value
                out += b"\0" + (number << (-count % 8)).to_bytes((count + 7) // 8, "big")
    return out


def random_png(rng: random.Random):
    color, depth = rng.choice([(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8),
                               (4, 8), (4, 16), (6, 8), (6, 16)])
    width, height = rng.randint(1, 40), rng.randint(1, 40)
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
    palette = rng.randbytes(3 << depth) if color == 3 else b""
    trns = b""
    if rng.random() < 0.3:
        trns = {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: rng.randbytes(1 << depth)}.get(color, b"")
    rows = [rng.randbytes((width * bits + 7) // 8) for _ in range(height)]
    data = png(color, depth, rows, width, rng.random() < 0.3, palette, trns)
    return data, f"colour {color} depth {depth}"


def random_flags(rng: random.Random, image: Image.Image):
    """Flags, and the same done by PIL and torchvision."""
    flags = []
    # PIL keeps palette indices and one bit apart; the program shows colours and grey
    if image.mode == "P":
        image = image.convert("RGB")
    if image.mode == "1":
        image = image.convert("L")
    if rng.random() < 0.4:
        mode = rng.choice(["L", "RGB"])
        flags += ["--convert", mode]
        if image.mode == "I;16":
            image = Image.fromarray((numpy.array(image) >> 8).astype("uint8"))
        image = image.convert(mode)
    if rng.random() < 0.6:
        # over- and undershoot of 16-bit samples wraps in PIL for the filters that have any
        name = rng.choice(["bilinear", "box"] if image.mode == "I;16" else list(FILTERS))
        if rng.random() < 0.3:
            side = rng.randint(1, 60)
            size, text = side, str(side)
        else:
            size = (rng.randint(1, 60), rng.randint(1, 60))
            text = f"{size[0]},{size[1]}"
        longest = max(image.size) / min(image.size) * (size if isinstance(size, int) else 1)
        if longest < 2000:
            flags += ["--resize", text, "--resize-filter", name]
            interpolation = getattr(transforms.InterpolationMode, name.upper())
            image = transforms.Resize(size, interpolation)(image)
    if rng.random() < 0.3:
        size = (rng.randint(1, image.height), rng.randint(1, image.width))
        flags += ["--center-crop", f"{size[0]},{size[1]}"]
        image = transforms.CenterCrop(size)(image)
    if image.mode == "I;16":
        tensor = v2.functional.to_dtype(v2.functional.to_image(image), torch.float32, scale=True)
    else:
        tensor = transforms.ToTensor()(image)
    if rng.random() < 0.5:
        channels = len(tensor)
        count = rng.choice([1, channels])
        mean = [round(rng.uniform(0, 1), 3) for _ in range(count)]
        std = [round(rng.uniform(0.1, 1), 3) for _ in range(count)]
        flags += ["--mean", ",".join(map(str, mean)), "--std", ",".join(map(str, std))]
        tensor = transforms.Normalize(mean, std)(tensor)
    return flags, tensor


def as_tensor(binary: str, picture: Path, folder: Path, flags) -> torch.Tensor | str:
    """The picture through a 1x1 convolution that leaves every number as it is."""
    found = ""
    for channels in (3, 1, 4, 2):
        output = folder / "y.npy"
        done = subprocess.run([binary, "run", f"same{channels}", folder / "same.pth", "--input", picture, "--output", output,
                               "--order", "sequential/chw-muladd-bias-last", *flags], capture_output=True, text=True)
        if done.returncode == 0:
            return torch.from_numpy(numpy.load(output))
        if "the picture has" not in done.stderr:
            return done.stderr
        found = done.stderr
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--jpegs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--binary", default="target/debug/pthinspect")
    args = parser.parse_args()
    print(f"PIL {PIL.__version__}, torchvision {torchvision.__version__}, torch {torch.__version__}, seed {args.seed}")
    rng = random.Random(args.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save({f"same{n}.weight": torch.eye(n).view(n, n, 1, 1) for n in (1, 2, 3, 4)}, folder / "same.pth")
        for number in range(args.count):
            data, what = random_png(rng)
            path = folder / "x.png"
            path.write_bytes(data)
            flags, expected = random_flags(rng, Image.open(io.BytesIO(data)))
            found = as_tensor(args.binary, path, folder, flags)
            if isinstance(found, str) or found.shape != expected.shape or not torch.equal(found, expected):
                wrong += 1
                how = found.strip() if isinstance(found, str) else f"{list(found.shape)} {list(expected.shape)}"
                if not isinstance(found, str) and found.shape == expected.shape:
                    how = f"{int((found != expected).sum())} of {found.numel()} differ, by {float((found - expected).abs().max()):.3g}"
                print(f"differs: {number}: {what} {' '.join(flags)}: {how}")
        print(f"PNG: {args.count - wrong} of {args.count} identical in every bit")
        jpegs(args, rng, folder)
    sys.exit(wrong > 0)


def jpegs(args, rng: random.Random, folder: Path):
    """How far decoded samples lie from PIL's, by chroma subsampling."""
    table: dict[str, list] = {}
    for _ in range(args.jpegs):
        height, width = rng.randint(8, 120), rng.randint(8, 120)
        noise = numpy.random.default_rng(rng.randrange(1 << 30)).normal(0, 20, (height, width, 3))
        y, x = numpy.mgrid[:height, :width][:, :, :, None]
        image = Image.fromarray(numpy.clip(128 + 90 * numpy.sin(x / 9 + y / 13 + numpy.arange(3)) + noise, 0, 255).astype("uint8"))
        sampling = rng.choice(["grey", "4:4:4", "4:2:2", "4:2:0"])
        if sampling == "grey":
            image = image.convert("L")
        path = folder / "x.jpg"
        options = {} if sampling == "grey" else {"subsampling": sampling}
        image.save(path, quality=rng.choice([30, 75, 90, 95, 100]), progressive=rng.random() < 0.5, **options)
        found = as_tensor(args.binary, path, folder, [])
        if isinstance(found, str):
            print(f"refused: {sampling}: {found.strip()}")
            continue
        away = ((found - transforms.ToTensor()(Image.open(path))).abs() * 255).round()
        table.setdefault(sampling, []).append(away.flatten())
    for sampling, rows in sorted(table.items()):
        away = torch.cat(rows)
        print(f"JPEG {sampling}: {len(rows)} pictures, samples off by at most {int(away.max())}; "
              f"{100 * float((away > 0).float().mean()):.2f} % differ, {100 * float((away > 1).float().mean()):.2f} % by more than 1")


if __name__ == "__main__":
    main()
