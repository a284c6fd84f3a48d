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


@lru_cache(maxsize=None)
def l2_bytes() -> int | None:
    """The L2 cache that one core sees, which oneDNN's gemm convolution takes its block sizes from."""
    for index in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        if _read(f"{index}/level") == "2" and _read(f"{index}/type") in ("Unified", "Data"):
            size = re.fullmatch(r"(\d+)([KMG]?)", _read(f"{index}/size") or "")
            if size:
                return int(size[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[size[2]]
    mac = _sysctl("hw.l2cachesize")
    return int(mac) if mac and mac.isdigit() else None


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
        "cpu_vendor": cpu_vendor(),
        "threads": torch.get_num_threads(),
        "mkldnn": mkldnn_enabled(),
        "l2_bytes": l2_bytes(),
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
    """ATen's `suggest_memory_format` for four axes: are the strides like channels_last?

    The rule looks at strides only, so a tensor that is both (one channel, or 1 x 1 pixels) is taken for what its
    strides happen to say, and for contiguous where even they do not tell.
    """
    if tensor.dim() != 4 or tensor.stride(1) == 0:
        return False
    least = 0
    for axis in (1, 3, 2, 0):
        size, stride = tensor.size(axis), tensor.stride(axis)
        if size == 0 or stride < least:
            return False
        if axis == 0 and least == tensor.stride(1):
            return False
        least = stride * size if size > 1 else stride
    return True


def layout_name(tensor: torch.Tensor) -> str:
    """`contiguous`, `channels_last`, or the strides where the tensor is neither."""
    if suggests_channels_last(tensor):
        return "channels_last"
    return "contiguous" if tensor.is_contiguous() else "strided"


def convolved_layout(x: torch.Tensor, weight: torch.Tensor) -> str:
    """The memory format torch's convolution works in: channels_last as soon as input or weight suggests it."""
    either = suggests_channels_last(x) or suggests_channels_last(weight)
    return "channels_last" if either else "contiguous"


def pair(value) -> list[int]:
    return [int(value)] * 2 if isinstance(value, int) else [int(item) for item in value]


def inner_call(x, weight, stride, padding, dilation, padding_mode):
    """The input and padding that reach torch's convolution once F.pad or an uneven 'same' has padded by hand."""
    kernel = weight.shape[2:]
    if padding == "valid":
        sides = [(0, 0), (0, 0)]
    elif padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel)]
        sides = [(total // 2, total - total // 2) for total in totals]
    else:
        sides = [(side, side) for side in padding]
    if padding_mode != "zeros":
        (top, bottom), (left, right) = sides
        return F.pad(x, (left, right, top, bottom), mode=padding_mode), [0, 0]
    extra = [after - before for before, after in sides]
    if any(extra):
        x = F.pad(x, (0, extra[1], 0, extra[0]))
    return x, [before for before, _ in sides]


def describe_call(name, x, weight, bias, stride, padding, dilation, groups, padding_mode) -> dict:
    """A golden's case: the contract's keys, then what else may help to understand the call."""
    case = {
        "name": name, "op": "conv2d",
        "stride": pair(stride), "padding": padding if isinstance(padding, str) else pair(padding),
        "dilation": pair(dilation), "groups": int(groups), "padding_mode": padding_mode,
    }
    batched = x if x.dim() == 4 else x.unsqueeze(0)
    inner, inner_padding = inner_call(batched, weight, case["stride"], case["padding"], case["dilation"], padding_mode)
    case["memory_format"] = convolved_layout(inner, weight)
    case["backend"] = select_backend(inner, weight, bias, case["stride"], inner_padding, case["dilation"], groups)
    for key, tensor in (("input_layout", x), ("weight_layout", weight)):
        if layout_name(tensor) != case["memory_format"]:
            case[key] = layout_name(tensor)
    if x.dim() == 3:
        case["unbatched"] = True
    # Small matrices in MKL are summed differently by the address of their first element.
    misaligned = {key: tensor.data_ptr() % 64 for key, tensor in (("input", inner), ("weight", weight), ("bias", bias))
                  if tensor is not None and tensor.is_contiguous() and tensor.data_ptr() % 64}
    if misaligned:
        case["alignment"] = misaligned
    return {key: value for key, value in case.items() if value is not None}


def select_backend(x, weight, bias, stride, padding, dilation, groups) -> str | None:
    """torch's own name for the backend it would take, where this torch can be asked."""
    try:
        chosen = torch._C._select_conv_backend(x, weight, bias, stride, padding, dilation, False, [0, 0], groups)
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
        ran = re.findall(r"exec,cpu,convolution,([^,]+),", text)
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
