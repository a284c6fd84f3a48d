"""goldens.py SET OUTPUT --threads T [--no-mkldnn] [--channels-last]: small goldens, one kind of backend per case.

The kernels also depend on the process's environment (ONEDNN_MAX_CPU_ISA), so make_fixtures.py runs this once per
combination. Each shape is as small as it can be while the order of additions still shows: more than one block of
input channels (8 for AVX2, 16 for AVX-512), a last block that is not full, more than one block of K.
"""
import argparse
import sys
from collections import OrderedDict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import torch
from torch import nn
from torch.nn import functional as F

from capture_golden import capture
from golden_common import describe_call, origin, write_golden
from parity.layers import cancel
from questions import image


def conv(x, c_out, kernel, scale=1.0, **options):
    """A case: the layer, the input's shape, and what it (and the bias) is multiplied by."""
    layer = nn.Conv2d(x[1], c_out, kernel, **options)
    if layer.bias is not None:
        layer.bias.data *= scale
    return layer, x, scale


def layer_of(kind, x, *sizes, **options):
    """A case of another layer than Conv2d."""
    return kind(*sizes, **options), x, 1.0


def siblings():
    """Layers beside Conv2d, each with the kernels that it is given to."""
    linear, line, volume, back = nn.Linear, nn.Conv1d, nn.Conv3d, nn.ConvTranspose2d
    return {
        "linear": layer_of(linear, (5, 40), 40, 14),
        "linear_two_k_blocks": layer_of(linear, (6, 210), 210, 13, bias=False),
        "linear_one_vector": layer_of(linear, (1, 70), 70, 11),
        "linear_one_feature": layer_of(linear, (9, 37), 37, 1),
        "linear_few_features": layer_of(linear, (7, 33), 33, 5),
        "linear_three_axes": layer_of(linear, (2, 3, 25), 25, 16),
        "linear_without_batch": layer_of(linear, (30,), 30, 9),
        "conv1d": layer_of(line, (2, 20, 17), 20, 9, 5, padding=2),
        "conv1d_slow": layer_of(line, (1, 13, 21), 13, 10, 3, stride=2),
        "conv1d_dilated": layer_of(line, (1, 11, 19), 11, 7, 3, dilation=2, padding="same"),
        "conv1d_depthwise": layer_of(line, (1, 9, 20), 9, 9, 4, groups=9),
        "conv1d_reflect": layer_of(line, (2, 6, 12), 6, 5, 3, padding=1, padding_mode="reflect"),
        "transpose": layer_of(back, (2, 20, 4, 3), 20, 9, 3, padding=1),
        "transpose_stride_2": layer_of(back, (2, 18, 3, 4), 18, 6, 4, stride=2, padding=1),
        "transpose_output_padding": layer_of(back, (2, 10, 3, 4), 10, 7, 3, stride=2, padding=1, output_padding=1),
        "transpose_groups": layer_of(back, (1, 12, 4, 4), 12, 9, 3, stride=2, groups=3),
        "transpose_depthwise": layer_of(back, (1, 8, 5, 4), 8, 8, 3, stride=2, padding=1, groups=8),
        "transpose_dilated": layer_of(back, (2, 9, 4, 4), 9, 5, 2, stride=2, dilation=3, bias=False),
        "transpose_slow": layer_of(back, (1, 14, 4, 5), 14, 6, 3, stride=2, padding=1),
        "transpose_slow_few_pixels": layer_of(back, (1, 17, 2, 3), 17, 2, 2),
        "conv3d": layer_of(volume, (2, 18, 3, 4, 5), 18, 7, 3, padding=1),
        "conv3d_slow": layer_of(volume, (1, 7, 3, 5, 4), 7, 9, 2),
        "conv3d_dilated": layer_of(volume, (1, 5, 5, 5, 4), 5, 6, (3, 2, 2), dilation=(2, 1, 2)),
        "conv3d_depthwise": layer_of(volume, (1, 9, 3, 4, 5), 9, 9, 3, padding=1, groups=9),
        "conv3d_groups": layer_of(volume, (2, 9, 4, 4, 3), 9, 6, (3, 3, 2), stride=(2, 1, 1), padding=1, groups=3),
        "conv3d_pointwise": layer_of(volume, (2, 24, 2, 3, 3), 24, 10, 1),
        "conv3d_same": layer_of(volume, (2, 4, 3, 4, 5), 4, 5, (2, 4, 3), padding="same"),
        "conv3d_circular": layer_of(volume, (1, 3, 4, 4, 3), 3, 5, 3, padding=1, padding_mode="circular"),
    }


def infinite(case):
    """The same layer with one weight that is infinite: what padding of zeros takes part in becomes a NaN."""
    case[0].weight.data.view(-1)[1] = torch.inf
    return case


def siblings_edges():
    """Layers beside Conv2d at which one rule ends and another begins."""
    linear, volume, back = nn.Linear, nn.Conv3d, nn.ConvTranspose2d
    tiny = back(1, 2, (4, 4), stride=(1, 3), padding=(0, 2), bias=False)
    tiny.weight.data *= 1e-22
    return {
        "conv3d_1x1_rows_of_all_slices": layer_of(volume, (2, 110, 4, 3, 1), 110, 18, 1),
        "conv3d_groups_one_pixel": layer_of(volume, (1, 27, 2, 1, 1), 27, 6, (2, 1, 1), groups=3),
        "conv3d_groups_few_pixels": layer_of(volume, (1, 8, 3, 1, 2), 8, 12, 1, groups=4),
        "conv3d_groups_twelve_pixels": layer_of(volume, (1, 12, 4, 1, 3), 12, 21, 1, groups=3),
        "transpose_copied_infinite": infinite(layer_of(back, (2, 3, 3, 2), 3, 4, (5, 2), stride=2, padding=(2, 0),
                                                       output_padding=(0, 1))),
        "transpose_first_call": (tiny, (3, 1, 6, 5), 1e-20),
        "linear_strided": layer_of(linear, (2, 4, 30), 30, 9),
        "linear_strided_large": layer_of(linear, (2, 9, 50), 50, 14),
    }


def siblings_channels_last():
    """Volumes and transposed convolutions with the channels of one place side by side."""
    volume, back = nn.Conv3d, nn.ConvTranspose2d
    return {
        "conv3d": layer_of(volume, (2, 18, 2, 3, 4), 18, 5, 3, padding=1),
        "conv3d_odd": layer_of(volume, (2, 21, 2, 3, 5), 21, 3, (2, 3, 3), stride=(1, 2, 2), padding=1),
        "conv3d_edges": layer_of(volume, (2, 17, 2, 2, 4), 17, 3, 3, padding=(1, 2, 3)),
        "conv3d_rgb": layer_of(volume, (2, 3, 2, 6, 7), 3, 4, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2)),
        "conv3d_one_channel": layer_of(volume, (2, 1, 3, 4, 5), 1, 4, 3, padding=1),
        "conv3d_pointwise": layer_of(volume, (2, 24, 2, 3, 3), 24, 10, 1),
        "conv3d_groups": layer_of(volume, (2, 9, 4, 4, 3), 9, 6, (3, 3, 2), stride=(2, 1, 1), padding=1, groups=3),
        "conv3d_depthwise": layer_of(volume, (1, 9, 3, 4, 5), 9, 9, 3, padding=1, groups=9),
        "conv3d_slow": layer_of(volume, (1, 7, 3, 5, 4), 7, 9, 2),
        "conv3d_beyond": layer_of(volume, (2, 6, 3, 4, 4), 6, 4, 2, padding=(3, 0, 0), groups=2),
        "transpose": layer_of(back, (2, 20, 4, 3), 20, 9, 3, padding=1),
        "transpose_edges": layer_of(back, (2, 19, 3, 5), 19, 4, 4),
        "transpose_dilated": layer_of(back, (2, 33, 4, 5), 33, 6, (3, 2), padding=1, dilation=2),
        "transpose_pointwise": layer_of(back, (2, 25, 3, 4), 25, 10, 1),
        "transpose_stride_2": layer_of(back, (2, 18, 3, 4), 18, 3, 4, stride=2, padding=1),
        "transpose_groups": layer_of(back, (2, 12, 4, 4), 12, 9, 3, padding=1, groups=3),
        "transpose_depthwise": layer_of(back, (1, 8, 5, 4), 8, 8, 3, stride=2, padding=1, groups=8),
        "transpose_gemm": layer_of(back, (2, 9, 5, 5), 9, 5, 2, stride=2, dilation=3, bias=False),
        "transpose_gemm_few_pixels": layer_of(back, (2, 23, 2, 4), 23, 4, 2, stride=2, dilation=3),
        "transpose_gemm_one_pixel": layer_of(back, (2, 21, 1, 1), 21, 4, (2, 3), stride=2, dilation=3),
        "transpose_slow": layer_of(back, (1, 14, 4, 5), 14, 6, 3, stride=2, padding=1),
        "transpose_slow_few_pixels": layer_of(back, (1, 17, 2, 3), 17, 2, 2),
        "transpose_slow_one_pixel": layer_of(back, (1, 17, 1, 1), 17, 3, 2),
    }


def onednn():
    """Mkldnn whatever the number of threads: batch > 1, kernels over 3x3, or groups."""
    return {
        "direct": conv((2, 40, 5, 5), 16, 3, padding=1),
        "direct_odd_channels": conv((2, 19, 6, 7), 13, 3, stride=2, padding=1),
        "direct_rgb": conv((1, 3, 19, 19), 10, 7, stride=2, padding=3, bias=False),
        "direct_5x5": conv((1, 16, 7, 7), 8, 5, padding=2),
        "direct_dilated": conv((2, 20, 7, 7), 16, 3, padding=2, dilation=2),
        "direct_same": conv((2, 12, 7, 6), 8, (4, 3), padding="same"),
        "direct_wide": conv((2, 4, 2, 40), 6, (1, 3), padding=(0, 1)),
        "direct_batch_16": conv((16, 5, 4, 4), 8, 3, padding=1),
        "groups_16": conv((1, 32, 6, 6), 32, 3, padding=1, groups=2),
        "groups_8": conv((1, 32, 6, 6), 32, 3, groups=4),
        "groups_odd": conv((1, 30, 6, 6), 18, 3, padding=1, groups=3),
        "depthwise": conv((1, 18, 7, 7), 18, 3, padding=1, groups=18),
        "depthwise_5x5": conv((1, 24, 10, 9), 24, 5, stride=2, padding=2, groups=24, bias=False),
        "depthwise_dilated": conv((2, 9, 9, 9), 9, 3, padding=2, dilation=2, groups=9),
        "depthwise_two_per_channel": conv((2, 8, 6, 6), 16, 3, groups=8),
        "pointwise_stride_2": conv((2, 44, 6, 6), 18, 1, stride=2),
        "pointwise_odd_stride": conv((1, 150, 4, 5), 10, 1, stride=2),
        "gemm_11x11": conv((1, 3, 27, 27), 6, 11, stride=4, padding=2),
        "gemm_wide_padding": conv((1, 4, 10, 10), 6, 9, padding=4),
        "reflect": conv((2, 10, 6, 6), 8, 3, padding=1, padding_mode="reflect"),
    }


def onednn_short():
    """One of each kernel, for the ISAs that differ in nothing but fused or not."""
    cases = onednn()
    return {name: cases[name] for name in ("direct_5x5", "groups_8", "depthwise_5x5", "pointwise_odd_stride")}


def versions():
    """Few small layers that every torch takes alike: the direct, 1x1, depthwise and gemm kernels."""
    return {
        "direct": conv((2, 20, 4, 4), 9, 3, padding=1),
        "pointwise": conv((2, 140, 2, 3), 5, 1),
        "depthwise": conv((1, 10, 5, 5), 10, 3, stride=2, padding=1, groups=10),
        "gemm_wide_padding": conv((1, 4, 6, 6), 5, 9, padding=4),
    }


def without_brgemm():
    """channels_last where there is no brgemm: the direct and 1x1 kernels, and the gemm convolution's other way."""
    return {
        "direct": conv((1, 20, 5, 5), 10, 3, padding=1),
        "direct_5x5": conv((2, 3, 7, 7), 9, 5, padding=2),
        "pointwise": conv((2, 130, 4, 3), 9, 1),
        "depthwise": conv((1, 10, 6, 6), 10, 3, padding=1, groups=10),
        "gemm_wide_padding": conv((1, 4, 6, 5), 6, 9, padding=4),
        "gemm_odd_groups": conv((2, 15, 6, 6), 9, 3, groups=3, padding=1),
        "depthwise_left": conv((1, 5, 4, 4), 5, 3, padding=(3, 7), dilation=3, groups=5),
    }


def onednn_gemm():
    """oneDNN's gemm convolution, which has kernels of its own for each ISA."""
    return {name: case for name, case in onednn().items() if name.startswith("gemm_")}


def mkl():
    """Slow2d and SlowDilated2d: one image, kernels up to 3 on a side, small."""
    return {
        "slow2d": conv((1, 14, 8, 7), 10, 3, padding=1),
        "slow2d_two_k_blocks": conv((1, 40, 5, 5), 12, 3, padding=1),
        "slow2d_three_k_blocks": conv((1, 64, 4, 4), 8, 3, padding=1, bias=False),
        "slow2d_stride": conv((1, 9, 13, 12), 7, 3, stride=(2, 3)),
        "slow2d_two_channels_out": conv((1, 12, 7, 7), 2, 3, padding=1),
        "slow2d_few_pixels": conv((1, 24, 4, 5), 9, 3),
        "slow2d_tail_columns": conv((1, 10, 6, 6), 11, 3),
        "slow2d_five_columns": conv((1, 20, 7, 7), 5, 3, padding=1),
        "slow2d_1x1": conv((1, 50, 6, 5), 14, 1),
        "slow2d_1x1_two_k_blocks": conv((1, 200, 4, 4), 12, 1),
        "slow2d_one_pixel": conv((1, 48, 1, 1), 10, 1),
        "slow2d_one_pixel_odd": conv((1, 37, 1, 1), 7, 1, bias=False),
        "dilated": conv((1, 12, 8, 8), 10, 3, padding=2, dilation=2),
        "dilated_per_axis": conv((1, 5, 9, 9), 3, 3, padding=(1, 3), dilation=(1, 3)),
        "circular": conv((1, 6, 7, 7), 6, 3, padding=1, padding_mode="circular"),
    }


def threads_matter():
    """1x1 layers, which one thread would have sent to Slow2d, and the gemm convolution, which cuts by threads."""
    return {
        "pointwise": conv((2, 40, 5, 5), 24, 1),
        "pointwise_144": conv((2, 144, 3, 3), 16, 1),
        "pointwise_320": conv((2, 320, 2, 2), 8, 1, bias=False),
        "pointwise_small": conv((1, 50, 6, 5), 14, 1),
        "one_pixel_batch_3": conv((3, 24, 1, 1), 6, 1),
        "direct_odd_channels": conv((2, 19, 6, 7), 13, 3, stride=2, padding=1),
        "gemm_groups": conv((2, 15, 8, 8), 9, 3, padding=1, groups=3),
        "gemm_11x11": conv((1, 3, 27, 27), 6, 11, stride=4, padding=2),
    }


def without_mkldnn():
    """What runs where oneDNN is switched off."""
    return {
        "plain": conv((2, 22, 6, 6), 9, 3, padding=1),
        "kernel_7": conv((1, 3, 15, 15), 8, 7, stride=2, padding=3),
        "groups": conv((1, 12, 6, 6), 8, 3, groups=2),
        "depthwise": conv((2, 6, 7, 7), 6, 3, padding=1, groups=6),
        "dilated_groups": conv((2, 8, 8, 8), 8, 3, padding=2, dilation=2, groups=2),
        "pointwise": conv((3, 60, 4, 4), 10, 1),
    }


def products():
    """MKL's matrix products at their edges: shares of threads that are too small, one channel, one pixel, one product."""
    return {
        "last_rows": conv((1, 5, 3, 11), 11, 3, padding=1),
        "few_channels": conv((1, 6, 9, 12), 3, 3, padding=1),
        "wide": conv((1, 3, 3, 6), 43, 3, padding=1),
        "tall": conv((1, 4, 13, 12), 9, 3, padding=1, bias=False),
        "two_k_blocks": conv((1, 32, 5, 5), 5, 3, padding=1),
        "dilated": conv((2, 7, 7, 7), 9, 3, padding=2, dilation=2),
        "groups": conv((1, 12, 5, 5), 15, 3, padding=1, groups=3),
        "images": conv((3, 5, 5, 5), 6, 3, padding=1),
        "one_channel": conv((1, 9, 8, 7), 1, 2, padding=1),
        "one_channel_groups": conv((1, 10, 4, 5), 2, (1, 3), groups=2),
        "one_pixel": conv((2, 37, 1, 1), 7, 1),
        "one_pixel_groups": conv((1, 9, 2, 2), 21, 2, groups=3),
        "one_product": conv((1, 1, 5, 5), 13, 1, bias=False),
        "zeros": conv((1, 3, 5, 5), 14, 2, bias=False),
        "zeros_one_product": conv((1, 1, 5, 5), 5, 1, bias=False),
        "zeros_one_product_dilated": conv((1, 1, 5, 5), 5, 1, dilation=2, bias=False),
    }


def nnpack():
    """Each of NNPACK's algorithms: 16 images and oneDNN switched off. Blocks are of 146 (Winograd) and 128 (Fourier)
    channels and of 292 products (strided) where the level-1 cache has 32 KiB."""
    return {
        "winograd": conv((17, 2, 9, 7), 3, 3, bias=False),
        "winograd_two_blocks": conv((16, 150, 1, 2), 2, 3, padding=1),
        "winograd_groups": conv((16, 4, 4, 5), 4, 3, padding=1, groups=2),
        "winograd_circular": conv((16, 2, 4, 4), 1, 3, padding=1, padding_mode="circular"),
        "fourier8": conv((16, 3, 5, 6), 2, (4, 2), padding=(2, 1)),
        "fourier8_wide": conv((16, 1, 2, 13), 1, (2, 8), padding=(1, 7)),
        "fourier8_1x1": conv((16, 5, 3, 3), 3, 1),
        "fourier8_two_blocks": conv((16, 130, 1, 2), 2, 2, padding=1),
        "fourier16": conv((16, 2, 7, 8), 1, (9, 5), padding=(4, 2)),
        "fourier16_tiles": conv((16, 1, 10, 14), 1, 5, padding=2),
        "fourier16_16x16": conv((16, 1, 2, 16), 1, 16, padding=(15, 8)),
        "fourier16_two_blocks": conv((16, 130, 1, 1), 1, (9, 2), padding=(4, 1)),
        "strided": conv((16, 4, 7, 6), 3, 3, stride=2, padding=1),
        "strided_groups": conv((16, 4, 4, 5), 6, 5, stride=(1, 3), padding=4, groups=2, bias=False),
        "strided_two_blocks": conv((16, 33, 2, 2), 2, 3, stride=(2, 1), padding=1),
        "strided_1x1": conv((16, 5, 3, 5), 2, 1, stride=2),
        # so small that products, transforms and outputs fall below 2^-126: NNPACK has none of that
        "winograd_subnormal": conv((16, 2, 4, 5), 2, 3, padding=1, scale=1e-37),
        "fourier8_subnormal": conv((16, 2, 5, 4), 2, 4, padding=1, scale=1e-37),
        "fourier16_subnormal": conv((16, 2, 4, 5), 1, 9, padding=4, scale=1e-37),
        "strided_subnormal": conv((16, 2, 5, 6), 3, 3, stride=2, padding=1, scale=1e-37, bias=False),
    }


def nnpack_short():
    """One of each algorithm."""
    cases = nnpack()
    return {name: cases[name] for name in ("winograd_groups", "fourier8", "fourier16", "strided", "strided_1x1")}


def channels_last():
    return {
        "direct": conv((1, 24, 6, 6), 14, 3, padding=1),
        "direct_rgb": conv((1, 3, 17, 17), 10, 7, stride=2, padding=3),
        "direct_even_kernel": conv((2, 12, 6, 6), 8, 4, padding=2),
        "groups": conv((1, 16, 6, 6), 16, 3, padding=1, groups=2),
        "depthwise": conv((1, 24, 7, 7), 24, 3, padding=1, groups=24),
        "depthwise_dilated": conv((1, 12, 8, 8), 12, 3, padding=2, dilation=2, groups=12),
        "pointwise": conv((2, 72, 3, 3), 20, 1),
        "slow2d": conv((1, 20, 6, 6), 14, 3, padding=1),
    }


def narrow():
    """bfloat16 and float16: whole kernels only, no layer for a matrix product."""
    return {
        "direct": conv((1, 40, 5, 4), 8, 3, padding=1),
        "direct_odd_channels": conv((2, 19, 5, 4), 7, 3, stride=2, padding=1),
        "direct_rgb": conv((1, 3, 11, 11), 4, 7, stride=2, padding=3, bias=False),
        "direct_dilated": conv((1, 18, 5, 5), 8, 3, padding=2, dilation=2),
        "direct_same": conv((1, 12, 6, 6), 5, (3, 3), padding="same"),
        "groups_8": conv((1, 16, 4, 4), 16, 3, groups=2),
        "groups_4": conv((1, 12, 5, 5), 24, 3, groups=3),
        "depthwise": conv((1, 18, 5, 5), 18, 3, padding=1, groups=18),
        "pointwise_12_rows": conv((1, 180, 12, 1), 6, 1, bias=False),
        "pointwise_520": conv((2, 520, 1, 2), 4, 1),
        "one_pixel": conv((1, 37, 1, 1), 7, 1),
        "reflect": conv((1, 10, 4, 4), 8, 3, padding=1, padding_mode="reflect"),
    }


def values(seed, *shape):
    """An image, or noise where the input is none."""
    return image(seed, *shape) if len(shape) == 4 else torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Residual(nn.Module):
    """ResNet's basic block with a strided shortcut."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, depthwise (here twice, by one module), project; with squeeze-and-excite."""

    def __init__(self, channels, expanded):
        super().__init__()
        self.expand = nn.Conv2d(channels, expanded, 1, bias=False)
        self.depthwise = nn.Conv2d(expanded, expanded, 3, 1, 1, groups=expanded, bias=False)
        self.squeeze = nn.Conv2d(expanded, 8, 1)
        self.excite = nn.Conv2d(8, expanded, 1)
        self.project = nn.Conv2d(expanded, channels, 1, bias=False)

    def forward(self, x):
        y = F.relu6(self.depthwise(F.relu6(self.expand(x))))
        y = F.relu6(self.depthwise(y))
        y = y * F.hardsigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return x + self.project(y)


def blocks():
    """The two kinds of block that most image networks are made of, run as a network."""
    return nn.Sequential(OrderedDict(
        stem=nn.Conv2d(3, 12, 7, 2, 3, bias=False), norm=nn.BatchNorm2d(12), relu=nn.ReLU(), pool=nn.MaxPool2d(3, 2, 1),
        layer1=Residual(12, 18, 2), layer2=InvertedResidual(18, 44)))


SETS = {make.__name__: make for make in
        (onednn, onednn_short, onednn_gemm, mkl, threads_matter, without_mkldnn, products, nnpack, nnpack_short, channels_last,
         narrow, siblings, siblings_edges, siblings_channels_last)}


def float64_rounded(path):
    """What no order of float32 additions gives: computed in float64 and rounded once."""
    layer, x = nn.Conv2d(40, 8, 3, padding=1), image(200, 1, 40, 5, 5)
    with torch.no_grad():
        y = F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), padding=1).float()
    case = describe_call("conv", x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups,
                         layer.padding_mode)
    tensors = {"input": x, "weight": layer.weight.detach(), "bias": layer.bias.detach(), "output": y}
    write_golden(path, [case], {f"conv.{part}": tensor for part, tensor in tensors.items()}, origin())


def laid_out(tensor, channels_last):
    """In the memory format asked for, as far as it has one."""
    if not channels_last or tensor.dim() not in (4, 5):
        return tensor.contiguous()
    return tensor.to(memory_format=torch.channels_last if tensor.dim() == 4 else torch.channels_last_3d)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", metavar="SET[,SET]")
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--no-mkldnn", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.no_mkldnn:
        torch._C._set_mkldnn_enabled(False)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(100)
    if args.sets == "float64_rounded":
        float64_rounded(args.output)
        return
    if args.sets == "blocks":
        net = blocks().eval()
        with capture(net, args.output):
            net(image(100, 2, 3, 28, 28))
        return
    cases = {name: case for chosen in args.sets.split(",") for name, case in SETS[chosen]().items()}
    net = nn.ModuleDict({name: layer for name, (layer, _, _) in cases.items()})
    dtype = getattr(torch, args.dtype)
    inputs = {name: values(200 + index, *shape) for index, (name, (_, shape, _)) in enumerate(cases.items())}
    if dtype in (torch.bfloat16, torch.float16):
        generator = torch.Generator().manual_seed(300)
        for name, x in inputs.items():
            cancel(x, net[name].weight.data, net[name].groups, generator)
            if net[name].bias is not None:
                net[name].bias.data *= 1e-3
    net = net.to(dtype)
    for parameter in net.parameters():
        parameter.data = laid_out(parameter.data, args.channels_last)
    with capture(net, args.output):
        for name, x in inputs.items():
            if cases[name][2] != 1:
                x = x * cases[name][2]
            if name.startswith("zeros"):
                x = x * 0.0  # of both signs
            x = laid_out(x.to(dtype), args.channels_last)
            if name.startswith("linear_strided"):
                x = x.transpose(0, 1).contiguous().transpose(0, 1)
            net[name](x)


if __name__ == "__main__":
    main()
