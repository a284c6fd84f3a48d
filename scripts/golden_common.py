"""What the scripts share: where an output was computed, how torch saw a convolution call, and how files are written.

Importable without side effects; nothing here runs a model.
"""
from __future__ import annotations

import glob
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

try:
    import torch
    import torch.nn.functional as F
except ImportError as missing:  # one line for people who run a script in the wrong environment
    sys.exit(f"error: this script needs PyTorch ({missing})\nhint: pip install torch torchvision numpy safetensors")

METADATA_KEY = "pthinspect.golden"
VERSION = 1

#: Environment variables that change which kernels oneDNN, MKL or ATen choose, or what those kernels compute.
KERNEL_ENVIRONMENT = (
    "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
    "ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE",
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "MKL_NUM_THREADS", "MKL_DYNAMIC",
    "OMP_NUM_THREADS",
)


class UserError(Exception):
    """Something the person at the keyboard can mend: printed as one line `error: ...`, exit 2."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def run_main(main) -> None:
    """Run `main()` as a command: 0 done, 1 the answer is no, 2 could not be done."""
    try:
        code = main()
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        code = 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    sys.exit(code or 0)


def one_line(error: BaseException) -> str:
    """An exception's message with its line breaks folded, short enough to read."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else text[:397] + "..."


# ---------------------------------------------------------------------------------------------------------------
# Where an output was computed


@lru_cache(maxsize=None)
def cpu_vendor() -> str | None:
    return _cpuinfo("vendor_id") or _sysctl("machdep.cpu.vendor") or _cpuinfo("CPU implementer")


@lru_cache(maxsize=None)
def cpu_model() -> str | None:
    return _cpuinfo("model name") or _sysctl("machdep.cpu.brand_string") or platform.processor() or None


#: What a processor must have, from the best: oneDNN's names, and the flags as Linux lists them.
CPU_ISAS = (
    ("avx512_core", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
    ("avx2", {"avx2", "fma"}),
    ("avx", {"avx"}),
    ("sse41", {"sse4_1"}),
)


@lru_cache(maxsize=None)
def cpu_isa() -> str | None:
    """The best instruction set of the processor that changes orders, whatever torch is told to use of it."""
    flags = set((_cpuinfo("flags") or "").split())
    return next((name for name, needed in CPU_ISAS if needed <= flags), None)


def cache(level: int) -> Path | None:
    """Where Linux describes the data cache of this level that the first core sees."""
    for index in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        if _read(f"{index}/level") == str(level) and _read(f"{index}/type") in ("Unified", "Data"):
            return Path(index)
    return None


@lru_cache(maxsize=None)
def cache_bytes(level: int) -> int | None:
    """The data cache of this level that one core sees; oneDNN and NNPACK take block sizes from those of level 1 and 2."""
    index = cache(level)
    size = re.fullmatch(r"(\d+)([KMG]?)", index and _read(f"{index}/size") or "")
    if size:
        return int(size[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[size[2]]
    mac = _sysctl({1: "hw.l1dcachesize", 2: "hw.l2cachesize"}[level])
    return int(mac) if mac and mac.isdigit() else None


@lru_cache(maxsize=None)
def l1_threads() -> int | None:
    """Hardware threads that share it: NNPACK gives each of them its part."""
    index = cache(1)
    shared = index and _read(f"{index}/shared_cpu_list")
    if not shared:
        return None
    ends = [part.split("-") for part in shared.split(",")]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def nnpack_facts() -> dict:
    """What matters to NNPACK, which runs only where mkldnn is switched off."""
    if mkldnn_enabled():
        return {}
    enabled = getattr(torch._C, "_get_nnpack_enabled", lambda: True)()
    return {"l1_threads": l1_threads(), **({} if enabled else {"nnpack": False})}


def l2_bytes() -> int | None:
    return cache_bytes(2)


#: Flags in /proc/cpuinfo that decide how oneDNN and ATen compute in bfloat16 and float16.
NARROW_FLAGS = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16", "avx512_fp16",
                "amx_tile", "amx_bf16", "amx_fp16", "avx_ne_convert", "avx_vnni_int8", "avx10_1", "avx10_2")


@lru_cache(maxsize=None)
def cpu_flags() -> list[str] | None:
    flags = (_cpuinfo("flags") or "").split()
    return [flag for flag in NARROW_FLAGS if flag in flags] or None


def mkldnn_enabled() -> bool:
    return bool(torch.backends.mkldnn.is_available() and torch._C._get_mkldnn_enabled())


def library_version(pattern: str) -> str | None:
    found = re.search(pattern, torch.__config__.show())
    return found[1] if found else None


def origin(device: str = "cpu") -> dict:
    """Everything known about who computes here; whatever cannot be found out is left out."""
    cpu = getattr(torch.backends, "cpu", None)
    facts = {
        "torch": torch.__version__.split("+")[0],
        "device": device,
        "machine": platform.machine(),
        "cpu_capability": cpu.get_cpu_capability() if cpu else None,
        "cpu_isa": cpu_isa(),
        "cpu_vendor": cpu_vendor(),
        "cpu_flags": cpu_flags(),
        "threads": torch.get_num_threads(),
        "mkldnn": mkldnn_enabled(),
        "l1_bytes": cache_bytes(1),
        "l2_bytes": cache_bytes(2),
        **nnpack_facts(),
        "cpu_model": cpu_model(),
        "onednn": library_version(r"MKL-DNN v([\d.]+)"),
        "mkl": library_version(r"Math Kernel Library Version (\S+?)-"),
        "env": {name: os.environ[name] for name in KERNEL_ENVIRONMENT if name in os.environ},
    }
    if facts["cpu_capability"] == "NO AVX":
        facts["cpu_capability"] = "DEFAULT"
    return {key: value for key, value in facts.items() if value is not None}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _cpuinfo(key: str) -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.split(":")[0].strip() == key:
            return line.split(":", 1)[1].strip()
    return None


def _sysctl(key: str) -> str | None:
    if sys.platform != "darwin":
        return None
    done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True)
    return done.stdout.strip() or None


# ---------------------------------------------------------------------------------------------------------------
# How torch saw a convolution call


def suggests_channels_last(tensor: torch.Tensor) -> bool:
    """ATen's `suggest_memory_format` for four and five axes: are the strides like channels_last?

    The rule looks at strides only, so a tensor that is both (one channel, or 1 x 1 pixels) is taken for what its
    strides happen to say, and for contiguous where even they do not tell.
    """
    if tensor.dim() not in (4, 5) or tensor.stride(1) == 0:
        return False
    least = 0
    for axis in (1, *range(tensor.dim() - 1, 1, -1), 0):
        size, stride = tensor.size(axis), tensor.stride(axis)
        if size == 0 or stride < least:
            return False
        if axis == 0 and least == tensor.stride(1):
            return False
        least = stride * size if size > 1 else stride
    return True


def as_images(tensor: torch.Tensor) -> torch.Tensor:
    """A Conv1d's tensor as torch's convolution sees it: an image of one row."""
    return tensor.unsqueeze(2) if tensor.dim() == 3 else tensor


def layout_name(tensor: torch.Tensor) -> str:
    """`contiguous`, `channels_last`, or the strides where the tensor is neither."""
    if suggests_channels_last(tensor):
        return "channels_last"
    return "contiguous" if tensor.is_contiguous() else "strided"


def convolved_layout(x: torch.Tensor, weight: torch.Tensor) -> str:
    """The memory format torch's convolution works in: channels_last as soon as input or weight suggests it."""
    either = any(layout_name(tensor) == "channels_last" for tensor in (x, weight))
    return "channels_last" if either else "contiguous"


#: torch.nn's class and torch.nn.functional's function, by the golden file's word.
OPS = {"conv2d": ("Conv2d", F.conv2d), "conv1d": ("Conv1d", F.conv1d), "conv3d": ("Conv3d", F.conv3d),
       "conv_transpose2d": ("ConvTranspose2d", F.conv_transpose2d), "linear": ("Linear", F.linear)}

#: Axes of a kernel.
AXES = {"conv2d": 2, "conv1d": 1, "conv3d": 3, "conv_transpose2d": 2, "linear": 0}


def op_of(module) -> str | None:
    """The golden file's word for a layer; None for a module that is not captured."""
    return next((op for op, (name, _) in OPS.items() if isinstance(module, getattr(torch.nn, name))), None)


def numbers(value, axes: int) -> list[int]:
    return [int(value)] * axes if isinstance(value, int) else [int(item) for item in value]


def inner_call(x, weight, stride, padding, dilation, padding_mode):
    """The input and padding that reach torch's convolution once F.pad or an uneven 'same' has padded by hand."""
    kernel = weight.shape[2:]
    if padding == "valid":
        sides = [(0, 0)] * len(kernel)
    elif padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel)]
        sides = [(total // 2, total - total // 2) for total in totals]
    else:
        sides = [(side, side) for side in padding]
    if padding_mode != "zeros":
        flat = [side for pair in reversed(sides) for side in pair]
        return F.pad(x, flat, mode=padding_mode), [0] * len(kernel)
    extra = [after - before for before, after in sides]
    if any(extra):
        x = F.pad(x, [side for more in reversed(extra) for side in (0, more)])
    return x, [before for before, _ in sides]


def describe_call(name, x, weight, bias, stride, padding, dilation, groups, padding_mode, op="conv2d",
                  output_padding=None) -> dict:
    """A golden's case: the contract's keys, then what else may help to understand the call."""
    if op == "linear":
        return describe_linear(name, x, weight, bias)
    axes = AXES[op]
    case = {
        "name": name, "op": op,
        "stride": numbers(stride, axes), "padding": padding if isinstance(padding, str) else numbers(padding, axes),
        "dilation": numbers(dilation, axes), "groups": int(groups), "padding_mode": padding_mode,
    }
    if output_padding is not None:
        case["output_padding"] = numbers(output_padding, axes)
    batched = x if x.dim() == axes + 2 else x.unsqueeze(0)
    if op == "conv_transpose2d":
        inner, inner_padding = batched, case["padding"]
    else:
        inner, inner_padding = inner_call(batched, weight, case["stride"], case["padding"], case["dilation"],
                                          padding_mode)
    case["memory_format"] = convolved_layout(as_images(inner), as_images(weight))
    if op == "conv1d":  # made contiguous before it is taken for an image
        case["memory_format"] = "contiguous"
    case["backend"] = select_backend(inner, weight, bias, case["stride"], inner_padding, case["dilation"], groups,
                                     case.get("output_padding"))
    for key, tensor in (("input_layout", as_images(batched)), ("weight_layout", as_images(weight))):
        if layout_name(tensor) != case["memory_format"]:
            case[key] = layout_name(tensor)
    if x.dim() == axes + 1:
        case["unbatched"] = True
    case["alignment"] = misaligned(input=inner, weight=weight, bias=bias)
    return {key: value for key, value in case.items() if value is not None}


def describe_linear(name, x, weight, bias) -> dict:
    case = {"name": name, "op": "linear", "memory_format": "contiguous", "backend": "Addmm"}
    for key, tensor in (("input_layout", x), ("weight_layout", weight)):
        if not tensor.is_contiguous():
            case[key] = "strided"
    case["alignment"] = misaligned(input=x, weight=weight, bias=bias)
    return {key: value for key, value in case.items() if value is not None}


def misaligned(**tensors) -> dict | None:
    """Small matrices in MKL are summed differently by the address of their first element."""
    return {key: tensor.data_ptr() % 64 for key, tensor in tensors.items()
            if tensor is not None and tensor.is_contiguous() and tensor.data_ptr() % 64} or None


def select_backend(x, weight, bias, stride, padding, dilation, groups, output_padding=None) -> str | None:
    """torch's own name for the backend it would take, where this torch can be asked."""
    transposed, output_padding = output_padding is not None, output_padding or [0] * len(stride)
    try:
        chosen = torch._C._select_conv_backend(x, weight, bias, stride, padding, dilation, transposed, output_padding,
                                               groups)
    except Exception:
        return None
    return str(chosen).split(".")[-1]


class OneDnnListener:
    """Listens to oneDNN's own report (ONEDNN_VERBOSE) around one call: which implementation ran, on which ISA.

    The report goes to the process's stdout, so file descriptor 1 is turned aside for that long.
    """

    #: The ISA in force, which oneDNN reports once per process, before the first thing it runs.
    isa: str | None = None

    def __init__(self):
        self._file = self._stdout = None

    def start(self) -> None:
        try:
            sys.stdout.flush()
            self._file = tempfile.TemporaryFile()
            self._stdout = os.dup(1)
            os.dup2(self._file.fileno(), 1)
            torch._C._verbose.mkldnn_set_verbose(1)
        except Exception:
            self.stop()

    def stop(self) -> str | None:
        """The implementation of the convolution that ran since `start`, such as `jit:avx2`; None without oneDNN."""
        if self._file is None:
            return None
        try:
            torch._C._verbose.mkldnn_set_verbose(0)
        except Exception:
            pass
        if self._stdout is not None:
            os.dup2(self._stdout, 1)
            os.close(self._stdout)
        self._file.seek(0)
        text = self._file.read().decode(errors="replace")
        self._file.close()
        self._file = self._stdout = None
        isa = re.search(r"info,cpu,isa:(.*)", text)
        if isa:
            OneDnnListener.isa = isa[1].strip()
        ran = re.findall(r"exec,cpu,(?:convolution|deconvolution|inner_product|matmul),([^,]+),", text)
        return ran[-1] if ran else None


# ---------------------------------------------------------------------------------------------------------------
# Writing


@contextmanager
def whole_file(path):
    """A path beside `path` to write to; it takes the name `path` only if the block succeeds."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.chmod(part, 0o666 & ~current_umask())  # safetensors makes files for the owner alone
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or one_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_golden(path, cases: list[dict], tensors: dict, file_origin: dict | None) -> None:
    """Write the golden file: `tensors` under `CASE.input` and so on, `cases` and the origin in the metadata."""
    from safetensors.torch import save_file

    meta = {"version": VERSION}
    if file_origin is not None:
        meta["origin"] = file_origin
    meta["cases"] = cases
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    check_folder(path)
    with whole_file(path) as part:
        try:
            save_file(owned, str(part), metadata={METADATA_KEY: json.dumps(meta)})
        except OSError:
            raise
        except Exception as error:
            raise UserError(f"cannot write {path}: {one_line(error)}") from error


def read_golden(path) -> tuple[dict, dict]:
    """The metadata and the tensors of a golden file."""
    from safetensors import safe_open

    try:
        with safe_open(str(path), "pt") as f:
            text = (f.metadata() or {}).get(METADATA_KEY)
            if text is None:
                raise UserError(f"{path} is no golden file: its metadata has no {METADATA_KEY!r}")
            return json.loads(text), {name: f.get_tensor(name) for name in f.keys()}
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from error


def check_folder(path) -> None:
    """Fail before the work, not after it."""
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write {path}: the folder {folder} is not writable")


def size_text(count: int) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
