"""questions.py FOLDER: the five questions about Conv2d weights as files: checkpoints, inputs, PyTorch's outputs.

One thread; the seeds are the questions' numbers.
"""
import argparse
import sys
from collections import OrderedDict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import numpy
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from capture_golden import capture
from mnist_net import MnistNet, sequential


def image(seed, *shape):
    """Numbers like a normalised photograph's: smooth from pixel to pixel, not white noise."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if min(shape[-2:]) < 3:
        return noise
    smooth = F.avg_pool2d(F.pad(noise, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    return (smooth * 3 + noise * 0.3).contiguous()


class CifarNet(nn.Module):
    """AlexNet cut down for CIFAR-10; only the first layer keeps its size, since it is the one asked about."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 192, kernel_size=5, stride=1, padding=2)
        self.conv2 = nn.Conv2d(192, 4, kernel_size=3, padding=1)
        self.fc = nn.Linear(4 * 8 * 8, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


def question_1(folder):
    torch.manual_seed(1)
    net = CifarNet()
    optimizer = torch.optim.SGD(net.fc.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    F.cross_entropy(net(image(10, 4, 3, 32, 32)), torch.tensor([3, 8, 8, 0])).backward()
    optimizer.step()
    net.eval()
    state = OrderedDict((f"module.{name}", tensor) for name, tensor in net.state_dict().items())
    torch.save({
        "epoch": 90, "arch": "cifarnet", "state_dict": state, "best_prec1": torch.tensor(76.25),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(data="cifar10", arch="cifarnet", workers=4, epochs=90, start_epoch=0, batch_size=256,
                                   lr=0.1, momentum=0.9, weight_decay=1e-4, print_freq=10, resume="", evaluate=False,
                                   pretrained=False, seed=None, gpu=None),
    }, folder / "cifar_q1.pth.tar")
    x = image(11, 1, 3, 32, 32)
    with capture(net, folder / "cifar_q1.golden.safetensors", layers="conv1"):
        net.conv1(x)
    numpy.save(folder / "cifar_q1_input.npy", x.numpy())  # its output is in the golden
    corner = x[:, :, :14, :14].contiguous()
    with torch.inference_mode():
        numpy.save(folder / "cifar_q1_corner_output.npy", net.conv1(corner).numpy())
    numpy.save(folder / "cifar_q1_corner_input.npy", corner.numpy())


def question_2(folder):
    torch.manual_seed(2)
    net = MnistNet().eval()
    torch.save(net.state_dict(), folder / "mnist_q2_state.pth")
    torch.save(net, folder / "mnist_q2_module.pth")
    torch.save(sequential(net).eval(), folder / "mnist_q2_sequential.pth")
    with capture(net, folder / "mnist_q2.golden.safetensors", ops=["conv2d"]):
        net(image(20, 1, 1, 28, 28))


def question_3(folder):
    torch.manual_seed(3)
    conv = nn.Conv2d(3, 1, 5)
    x = image(30, 1, 3, 32, 32)
    by_hand = nn.Conv2d(3, 2, 3, padding=1)
    draw = torch.Generator().manual_seed(31)
    pixels = torch.randint(0, 3, (1, 3, 5, 5), generator=draw).float()
    with torch.inference_mode():
        by_hand.weight.copy_(torch.randint(-1, 2, (2, 3, 3, 3), generator=draw))
        by_hand.bias.copy_(torch.tensor([1.0, 0.0]))
    net = nn.ModuleDict({"conv": conv, "by_hand": by_hand})
    torch.save(net.state_dict(), folder / "unfold_q3.pth")
    with capture(net, folder / "unfold_q3.golden.safetensors"):
        y = conv(x)
        hand = by_hand(pixels)
    assert hand.tolist() == long_hand(by_hand, pixels), "small integers have one answer only"
    with torch.inference_mode():
        columns = F.unfold(x, (5, 5))                        # [1, 75, 784]
        rows = conv.weight.view(1, -1)                       # [1, 75]
        unfolded = (rows @ columns).view(1, 1, 28, 28)
        with_bias = unfolded + conv.bias.view(1, 1, 1, 1)
    save_file({"input": x, "weight_matrix": rows.contiguous(), "unfold_matmul": unfolded.contiguous(),
               "unfold_matmul_plus_bias": with_bias.contiguous(), "conv2d": y.contiguous()},
              str(folder / "unfold_q3.safetensors"),
              metadata={"max_abs_difference": f"{float((with_bias - y).abs().max()):.5g}"})  # one key: order is random
    (folder / "unfold_q3.safetensors").chmod(0o644)


def long_hand(conv, x):
    """The convolution by integers, one product at a time."""
    weight, bias, (top, left) = conv.weight.tolist(), conv.bias.tolist(), conv.padding
    pixels = x.tolist()[0]
    size = range(-top, 5 + top - 2), range(-left, 5 + left - 2)
    inside = lambda y, x: 0 <= y < 5 and 0 <= x < 5
    return [[[[bias[o] + sum(weight[o][i][ky][kx] * pixels[i][y + ky][x + kx]
                             for i in range(3) for ky in range(3) for kx in range(3) if inside(y + ky, x + kx))
               for x in size[1]] for y in size[0]] for o in range(len(bias))]]


def question_4(folder):
    torch.manual_seed(4)
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(in_channels=3, out_channels=4, kernel_size=(3, 2))))
    torch.save(net.state_dict(), folder / "kernel_axes_q4.pth")
    with capture(net, folder / "kernel_axes_q4.golden.safetensors"):
        net(image(40, 2, 3, 8, 8))


def question_5(folder):
    torch.manual_seed(5)
    conv = nn.Conv2d
    layers = {
        "plain": (conv(3, 6, 5), (1, 3, 14, 14)),
        "stride": (conv(3, 6, 5, stride=2), (1, 3, 14, 14)),
        "stride_per_axis": (conv(3, 4, 3, stride=(2, 3)), (1, 3, 11, 12)),
        "padding": (conv(3, 4, 3, padding=1), (1, 3, 8, 8)),
        "padding_per_axis": (conv(3, 4, (5, 3), padding=(2, 0)), (1, 3, 8, 8)),
        "padding_same": (conv(3, 4, 5, padding="same"), (1, 3, 8, 8)),
        "padding_same_even_kernel": (conv(3, 4, (4, 2), padding="same"), (1, 3, 8, 8)),
        "padding_valid": (conv(3, 4, 3, padding="valid"), (1, 3, 8, 8)),
        "dilation": (conv(3, 4, 3, dilation=2), (1, 3, 9, 9)),
        "dilation_per_axis": (conv(3, 4, 3, padding="same", dilation=(1, 3)), (1, 3, 9, 9)),
        "groups": (conv(6, 4, 3, groups=2), (1, 6, 8, 8)),
        "depthwise": (conv(6, 6, 3, padding=1, groups=6), (1, 6, 8, 8)),
        "depthwise_two_per_channel": (conv(4, 8, 3, groups=4), (1, 4, 8, 8)),
        "no_bias": (conv(3, 4, 3, bias=False), (1, 3, 8, 8)),
        "padding_mode_zeros": (conv(3, 4, 3, padding=2, padding_mode="zeros"), (1, 3, 8, 8)),
        "padding_mode_reflect": (conv(3, 4, 3, padding=2, padding_mode="reflect"), (1, 3, 8, 8)),
        "padding_mode_replicate": (conv(3, 4, 3, padding=2, padding_mode="replicate"), (1, 3, 8, 8)),
        "padding_mode_circular": (conv(3, 4, 3, padding=(1, 2), padding_mode="circular"), (1, 3, 8, 8)),
        "batch": (conv(3, 4, 3), (5, 3, 8, 8)),
    }
    net = nn.ModuleDict({name: layer for name, (layer, _) in layers.items()})
    torch.save(net.state_dict(), folder / "signature_q5_state.pth")
    torch.save(net, folder / "signature_q5_module.pth")
    inputs = {name: image(50 + index, *shape) for index, (name, (_, shape)) in enumerate(layers.items())}
    with capture(net, folder / "signature_q5.golden.safetensors"):
        for name, x in inputs.items():
            net[name](x)
    some = ["plain", "groups", "no_bias"]
    with capture(net, folder / "signature_q5_without_weights.golden.safetensors", layers=some, with_weights=False):
        for name in some:
            net[name](inputs[name])


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for make in (question_1, question_2, question_3, question_4, question_5):
        make(target)
