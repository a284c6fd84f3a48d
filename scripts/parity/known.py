"""What is known to be missing, by name: an exception that none of these explains is news."""
from __future__ import annotations

MKL = ("Slow2d", "SlowDilated2d")


def _torch_is_wrong(setting, case, call):
    return case.get("no_rounding", 0) > 0


def _mkl_threads(setting, case, call):
    return case["backend"] in MKL and setting["threads"] > 2


def _mkl_one_channel(setting, case, call):
    return case["backend"] in MKL and case["memory_format"] == "channels_last" and call["weight"][0] == call["groups"]


def _mkl_one_product(setting, case, call):
    return case["backend"] in MKL and call["weight"][1:] == [1, 1, 1]


def _gemm_channels_last(setting, case, call):
    return case.get("implementation") == "x64:gemm:jit" and case["memory_format"] == "channels_last"


def _brgemm_edges(setting, case, call):
    return str(case.get("implementation")).startswith("brg_conv_fwd")


def _nnpack(setting, case, call):
    return case["backend"] == "NnpackSpatial"


def _bf16_matrix_products(setting, case, call):
    implementation = str(case.get("implementation"))
    return setting["dtype"] == "bfloat16" and implementation.startswith(("x64:gemm:jit", "ip:"))


def _bf16_brgemm(setting, case, call):
    return setting["dtype"] == "bfloat16" and str(case.get("implementation")).startswith(("brg_conv_fwd", "brgconv_1x1"))


#: (name, does it explain this exception?)
KNOWN = [
    ("PyTorch's own output is wrong: further from the real sum than rounding in any order can be", _torch_is_wrong),
    ("bfloat16 through the gemm convolution or the inner product", _bf16_matrix_products),
    ("bfloat16 in channels_last: how brgemm cuts is searched for", _bf16_brgemm),
    ("MKL with three or more threads: the edges of small layers", _mkl_threads),
    ("channels_last through MKL with one output channel", _mkl_one_channel),
    ("MKL with one product a sum: the sign of zero", _mkl_one_product),
    ("depthwise in channels_last through the gemm convolution: not predicted", _gemm_channels_last),
    ("brgemm, where whole kernel columns lie in the padding", _brgemm_edges),
    ("NNPACK: Winograd and FFT tiles, no sum over taps", _nnpack),
]


def name_of(setting: dict, case: dict, call: dict) -> str | None:
    return next((name for name, explains in KNOWN if explains(setting, case, call)), None)
