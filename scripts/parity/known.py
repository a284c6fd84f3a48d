"""What is known to be missing, by name: an exception that none of these explains is news."""
from __future__ import annotations


def _torch_is_wrong(setting, case, call):
    return case.get("no_rounding", 0) > 0


def _brgemm_edges(setting, case, call):
    return str(case.get("implementation")).startswith("brg_conv_fwd")


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
    ("brgemm with channels_last: a cut that is searched for", _brgemm_edges),
]


def name_of(setting: dict, case: dict, call: dict) -> str | None:
    return next((name for name, explains in KNOWN if explains(setting, case, call)), None)
