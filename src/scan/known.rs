//! Who vouches for a name.
//!
//! Four sources: [`CALLS`], the functions and classes that are called, each with the arguments of the call that its
//! own pickling makes; `known/names.txt`, the classes and functions that torch, torchvision, transformers and
//! accelerate define (`scripts/list_known_names.py` reads them out of those libraries); `known/by_hand.txt`, those of
//! Python, numpy and older versions; and [`families`], packages whose classes are all modules or records.
//! Nothing on these lists imports, compiles or opens anything when it is used as the list says.
//!
//! [`is_dangerous`] is not a deny-list: what is on none of the lists is unknown either way.

mod families;

use std::collections::HashMap;
use std::sync::OnceLock;

use super::arguments::Arg;

/// How a known name may be used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    /// Only named.
    Value,
    /// Made without arguments, and given attributes.
    Class,
    /// The same, of a class that is a dict: it is given items too.
    DictClass,
    /// Made by `__new__` with arguments, or as a class.
    New,
    /// Called with one plain value.
    Enum,
    /// A tensor's class, as torch of before 0.4 pickled tensors: made empty and given its parts, or called with another.
    Tensor,
    /// Called with these arguments.
    Call(&'static Call),
}

/// A function and the call that its own pickling makes.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) module: &'static str,
    pub(super) name: &'static str,
    /// What each argument is.
    pub(super) args: &'static [Arg],
    /// How many there are at least.
    pub(super) least: usize,
    /// Whether attributes or state are set on the result.
    pub(super) state: bool,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known {
    /// It is on the list.
    Inert(Use),
    /// It is on no list.
    Unknown,
    /// It reaches beyond data.
    Dangerous,
}

const fn call(
    module: &'static str,
    name: &'static str,
    args: &'static [Arg],
    least: usize,
    state: bool,
) -> Call {
    Call {
        module,
        name,
        args,
        least,
        state,
    }
}

use Arg::{
    Any, Array, Bytes, BytesNested, Class, Device, Dict, Dtype, Factory, Getattr, Hooks, Int, Ints,
    Latin1, Layout, List, NoneOrInt, NumpyDtype, Pairs, Partial, Plain, Retyped, Storage, Tensor,
    Text, TextOrBytes, Tuple, Type,
};

const TENSOR: &str = "torch._tensor";
const UTILS: &str = "torch._utils";

/// The calls, by the modules' names of today: see [`today`].
#[rustfmt::skip]
static CALLS: &[Call] = &[
    // torch/_utils.py, torch/_tensor.py, torch/nested/_internal/nested_tensor.py of 2.15, and what older ones wrote
    call(UTILS, "_rebuild_tensor", &[Storage, Int, Ints, Ints], 4, false),
    call(UTILS, "_rebuild_tensor_v2", &[Storage, Int, Ints, Ints, Arg::Bool, Hooks, Dict], 5, false),
    call(UTILS, "_rebuild_tensor_v3", &[Storage, Int, Ints, Ints, Arg::Bool, Hooks, Dtype, Dict], 7, false),
    call(UTILS, "_rebuild_qtensor", &[Storage, Int, Ints, Ints, Tuple, Arg::Bool, Hooks], 7, false),
    call(UTILS, "_rebuild_parameter", &[Tensor, Arg::Bool, Hooks], 3, false),
    call(UTILS, "_rebuild_parameter_with_state", &[Tensor, Arg::Bool, Hooks, Any], 4, false),
    call(UTILS, "_rebuild_sparse_tensor", &[Layout, Tuple], 2, false),
    call(UTILS, "_rebuild_sparse_csr_tensor", &[Layout, Tuple], 2, false),
    call(UTILS, "_rebuild_nested_tensor", &[Tensor, Tensor, Tensor, Tensor], 4, false),
    call(UTILS, "_rebuild_meta_tensor_no_storage", &[Dtype, Ints, Ints, Arg::Bool], 4, false),
    call(UTILS, "_rebuild_device_tensor_from_numpy", &[Array, Dtype, Device, Arg::Bool], 4, false),
    call(UTILS, "_rebuild_xla_tensor", &[Array, Dtype, Device, Arg::Bool], 4, false),
    call(UTILS, "_rebuild_device_tensor_from_cpu_tensor", &[Tensor, Dtype, Device, Arg::Bool], 4, false),
    call(UTILS, "_rebuild_wrapper_subclass", &[Class, Dtype, Ints, Ints, Int, Layout, Device, Arg::Bool], 8, false),
    call(TENSOR, "_rebuild_from_type_v2", &[Retyped, Class, Tuple, Any], 4, false),
    call(TENSOR, "_rebuild_from_type", &[Retyped, Class, Tuple, Dict], 4, false),
    call("torch.nested._internal.nested_tensor", "_rebuild_njt", &[Any], 1, false),
    call("torch.nn.parameter", "UninitializedParameter", &[Arg::Bool], 1, false),
    call("torch.nn.parameter", "UninitializedBuffer", &[Arg::Bool], 1, false),
    call("torch", "Size", &[Ints], 1, false),
    call("torch", "device", &[Text, Int], 1, false),
    call("torch.serialization", "_get_layout", &[Text], 1, false),
    call("torch.storage", "_load_from_bytes", &[BytesNested], 1, false),
    call("torch.torch_version", "TorchVersion", &[Text], 1, true),
    call("torch.amp.grad_scaler", "_refresh_per_optimizer_state", &[], 0, false),
    call("torch.cuda.amp.grad_scaler", "_refresh_per_optimizer_state", &[], 0, false),
    call("torch.nn.backends.thnn", "_get_thnn_function_backend", &[], 0, false),
    call("torch.jit._pickle", "build_intlist", &[Any], 1, false),
    call("torch.jit._pickle", "build_doublelist", &[Any], 1, false),
    call("torch.jit._pickle", "build_boollist", &[Any], 1, false),
    call("torch.jit._pickle", "build_tensorlist", &[Any], 1, false),
    call("torch.jit._pickle", "build_tensor_from_id", &[Any], 1, false),
    call("torch.jit._pickle", "restore_type_tag", &[Any, Text], 2, false),
    // Python's own
    call("builtins", "set", &[List], 0, false),
    call("builtins", "frozenset", &[List], 0, false),
    call("builtins", "tuple", &[List], 0, false),
    call("builtins", "list", &[List], 0, false),
    call("builtins", "type", &[Arg::Nothing], 1, false),
    call("builtins", "bytearray", &[TextOrBytes, Text], 0, false),
    call("builtins", "bytes", &[Plain, Text], 0, false),
    call("builtins", "complex", &[Plain, Plain], 1, false),
    call("builtins", "range", &[Int, Int, Int], 1, false),
    call("builtins", "slice", &[Plain, Plain, Plain], 1, false),
    call("builtins", "getattr", &[Getattr, Text], 2, false),
    call("array", "array", &[Text, List], 1, false),
    call("array", "_array_reconstructor", &[Class, Text, Int, Bytes], 4, false),
    call("ipaddress", "IPv4Address", &[Plain], 1, false),
    call("ipaddress", "IPv6Address", &[Plain], 1, false),
    call("random", "Random", &[], 0, true),
    call("time", "struct_time", &[Tuple, Dict], 1, false),
    call("types", "GenericAlias", &[Type, Arg::Types], 2, false),
    call("_operator", "getitem", &[Arg::Typing, Arg::Types], 2, false),
    call("_codecs", "encode", &[Text, Latin1], 2, false),
    call("copyreg", "_reconstructor", &[Class, Type, Plain], 3, true),
    call("collections", "OrderedDict", &[Pairs], 0, true),
    call("collections", "Counter", &[Dict], 0, true),
    call("collections", "defaultdict", &[Factory], 0, true),
    call("collections", "deque", &[List, NoneOrInt], 0, true),
    call("datetime", "datetime", &[TextOrBytes, Any], 1, false),
    call("datetime", "date", &[TextOrBytes], 1, false),
    call("datetime", "time", &[TextOrBytes, Any], 1, false),
    call("datetime", "timedelta", &[Int, Int, Int], 0, false),
    call("datetime", "timezone", &[Any, Text], 1, false),
    call("decimal", "Decimal", &[Text], 1, false),
    call("fractions", "Fraction", &[Plain, Plain], 1, false),
    call("re", "_compile", &[TextOrBytes, Int], 2, false),
    call("types", "SimpleNamespace", &[], 0, true),
    call("functools", "partial", &[Partial], 1, true),
    call("_operator", "itemgetter", &[Plain], 1, false),
    // numpy
    call("numpy", "dtype", &[Any, Arg::Bool, Arg::Bool], 1, true),
    call("numpy.core.multiarray", "_reconstruct", &[Type, Ints, TextOrBytes], 3, true),
    call("numpy.core.multiarray", "scalar", &[NumpyDtype, Any], 1, false),
    call("numpy.core.numeric", "_frombuffer", &[Bytes, NumpyDtype, Ints, Text], 4, false),
    call("numpy.ma.core", "_mareconstruct", &[Type, Type, Ints, TextOrBytes], 4, true),
    call("numpy.random._pickle", "__randomstate_ctor", &[Any, Any], 0, true),
    call("numpy.random._pickle", "__generator_ctor", &[Any, Any], 0, true),
    call("numpy.random._pickle", "__bit_generator_ctor", &[Any], 0, true),
    call("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence", &[Class, Int, Any], 2, true),
];

/// Paths take any number of parts.
#[rustfmt::skip]
static PATH: Call = call("pathlib", "Path", &[Text; 32], 0, false);
/// The fields of a record, in order.
#[rustfmt::skip]
static RECORD: Call = call("", "record", &[Any; 64], 0, true);
/// What an exception was made with.
#[rustfmt::skip]
static EXCEPTION: Call = call("builtins", "Exception", &[Any; 8], 0, true);

/// What a name stands for today: Python 2's names, and numpy's before and after its version 2, are the same things.
pub(super) fn today<'n>(module: &'n str, name: &'n str) -> (&'n str, &'n str) {
    match (module, name) {
        ("__builtin__", "xrange") => ("builtins", "range"),
        ("__builtin__", name) => ("builtins", name),
        ("exceptions", name) => ("builtins", name),
        ("UserDict", "IterableUserDict") => ("collections", "UserDict"),
        ("copy_reg", name) => ("copyreg", name),
        ("numpy._core.multiarray", name) => ("numpy.core.multiarray", name),
        ("numpy._core.numeric", name) => ("numpy.core.numeric", name),
        // one of them is an alias of the other, by version
        ("operator", name @ ("itemgetter" | "getitem")) => ("_operator", name),
        ("torch.tensor", name) if name.starts_with("_rebuild") => ("torch._tensor", name),
        same => same,
    }
}

type Table = HashMap<(&'static str, &'static str), Use>;

/// Lines of a kind, a module and its names.
const LISTS: [&str; 2] = [
    include_str!("known/names.txt"),
    include_str!("known/by_hand.txt"),
];

fn usage(kind: &str) -> Option<Use> {
    Some(match kind {
        "value" => Use::Value,
        "class" => Use::Class,
        "dict" => Use::DictClass,
        "new" => Use::New,
        "enum" => Use::Enum,
        "tensor" => Use::Tensor,
        "path" => Use::Call(&PATH),
        "record" => Use::Call(&RECORD),
        "exception" => Use::Call(&EXCEPTION),
        _ => return None,
    })
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::new();
        for line in LISTS.iter().flat_map(|list| list.lines()) {
            let mut words = line.split_ascii_whitespace();
            let kind = words.next().and_then(usage);
            if let (Some(usage), Some(module)) = (kind, words.next()) {
                table.extend(words.map(|name| ((module, name), usage)));
            }
        }
        table.extend(
            CALLS
                .iter()
                .map(|call| ((call.module, call.name), Use::Call(call))),
        );
        table
    })
}

/// What is known of a name, by its name of today.
pub(super) fn known(module: &str, name: &str) -> Known {
    let (module, name) = today(module, name);
    if let Some(&usage) = table().get(&(module, name)) {
        return Known::Inert(usage);
    }
    if let Some(usage) = families::usage(module, name) {
        return Known::Inert(usage);
    }
    if is_dangerous(module, name) {
        Known::Dangerous
    } else {
        Known::Unknown
    }
}

/// Functions that rebuild tensors: those that a retyped tensor may be made by.
pub(super) fn is_rebuild(module: &str, name: &str) -> bool {
    matches!(known(module, name), Known::Inert(Use::Call(_))) && name.starts_with("_rebuild_")
}

/// Packages of Python's own library (and of others) that reach processes, files, the network, code or the interpreter.
#[rustfmt::skip]
const REACHING: &[&str] = &[
    "_aix_support", "_bootsubprocess", "_osx_support", "_posixsubprocess", "_pyrepl", "_pickle", "_socket", "_ssl", "_thread", "_winapi",
    "ast", "asyncio", "asyncore", "atexit", "bdb", "builtins", "cProfile", "cPickle", "cffi", "cgi", "click", "cloudpickle", "code",
    "codecs", "_codecs", "codeop", "commands", "compileall", "concurrent", "copy", "copyreg", "ctypes", "curses", "dbm", "dill", "dis", "distutils", "doctest",
    "email", "encodings", "ensurepip", "faulthandler", "fickling", "fileinput", "ftplib", "functools", "_functools", "gc", "getpass", "glob", "gzip", "http",
    "httplib", "httpx", "idlelib", "imaplib", "imp", "importlib", "inspect", "io", "_io", "itertools", "joblib", "jsonpickle", "lib2to3", "linecache", "logging",
    "mailcap", "marshal", "mmap", "modulefinder", "multiprocessing", "netrc", "nntplib", "nt", "ntpath", "numexpr", "operator", "_operator", "optparse", "os", "paramiko",
    "pdb", "pexpect", "pickle", "pip", "pipes", "pkg_resources", "pkgutil", "platform", "plistlib", "poplib", "popen2", "posix", "posixpath", "profile", "psutil", "pty",
    "py_compile", "pyclbr", "pydoc", "readline", "requests", "resource", "rlcompleter", "runpy", "sched", "selectors", "setuptools", "sh", "shelve", "shlex", "shutil",
    "signal", "site", "smtplib", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys", "sysconfig", "tarfile", "telnetlib", "tempfile", "test", "threading", "timeit",
    "tkinter", "tokenize", "trace", "tracemalloc", "turtle", "types", "unittest", "urllib", "urllib2", "urllib3", "uuid", "venv", "wave", "weakref", "webbrowser", "winreg", "_winreg", "wsgiref",
    "xmlrpc", "zipapp", "zipfile", "zipimport", "zipfile",
];

/// Parts of torch, numpy and others that load, compile or run.
#[rustfmt::skip]
const RUNNING: &[&str] = &[
    "torch.load", "torch.save", "torch.compile", "torch.from_file", "torch.hub", "torch.jit", "torch.package", "torch.fx", "torch.serialization", "torch.storage", "torch.utils",
    "torch.ops", "torch._ops", "torch.classes", "torch._classes", "torch.library", "torch.testing", "torch.distributed", "torch.multiprocessing", "torch._dynamo", "torch._inductor",
    "torch.onnx", "torch.backends", "torch.cuda", "torch.xpu", "torch.autograd", "torch.export", "torch.importlib", "torch._C", "torch.overrides", "torch.profiler",
    "torch._utils", "torch._utils_internal", "torch._appdirs", "torch._deploy", "torch._jit_internal", "torch._lobpcg", "torch._namedtensor_internals", "torch.quantization.fx",
    "numpy.load", "numpy.save", "numpy.savez", "numpy.loadtxt", "numpy.savetxt", "numpy.fromfile", "numpy.genfromtxt", "numpy.memmap", "numpy.lib", "numpy.testing", "numpy.f2py",
    "numpy.distutils", "numpy.ctypeslib", "numpy.core", "numpy._core", "numpy.vectorize", "numpy.frompyfunc", "numpy.apply_along_axis", "numpy.apply_over_axes", "numpy.piecewise",
    "pandas.read_pickle", "pandas.eval", "pandas.io", "pandas.core.computation", "pandas.compat", "keras", "tensorflow", "sympy", "scipy.io", "scipy.weave", "sklearn.externals",
    "pathlib.Path.", "transformers.pipelines", "transformers.dynamic_module_utils", "transformers.utils.hub", "huggingface_hub", "safetensors", "lightning.pytorch.cli", "accelerate.commands",
    "torchvision.io", "torchvision.datasets", "PIL", "cv2", "yaml", "ruamel", "h5py", "nltk", "datasets", "fsspec", "hydra", "omegaconf.OmegaConf", "jax.experimental", "anyio", "trio", "cgitb",
];

/// Whether a name is known to reach beyond data. Names that only exist as attributes of attributes do too, unless they
/// are a class inside a class.
fn is_dangerous(module: &str, name: &str) -> bool {
    let package = module.split('.').next().unwrap_or(module);
    if REACHING.contains(&package) {
        return true;
    }
    let full = format!("{module}.{name}");
    let begins = |start: &&str| {
        full.strip_prefix(*start)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || start.ends_with('.'))
    };
    if RUNNING.iter().any(begins) {
        return true;
    }
    let walks = name.split('.').rev().skip(1).any(|part| {
        !part.starts_with(|c: char| c.is_uppercase() || c == '_') || part.starts_with("__")
    });
    let dunder = |part: &str| part.starts_with("__") && part.ends_with("__") && part.len() > 4;
    walks
        || name.split('.').any(dunder)
        || ["eval", "exec", "system", "popen", "execfile", "compile"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::{CALLS, Known, known, table};

    #[test]
    fn the_lists_are_read_and_agree() {
        assert!(table().len() > 1400, "{}", table().len());
        for call in CALLS {
            assert!(
                call.least <= call.args.len(),
                "{}.{}",
                call.module,
                call.name
            );
            assert!(matches!(known(call.module, call.name), Known::Inert(_)));
        }
    }

    #[test]
    fn names_are_sorted() {
        for (module, name) in [
            ("torch.nn.modules.conv", "Conv2d"),
            ("__builtin__", "set"),
            ("numpy._core.multiarray", "scalar"),
            ("torch", "float8_e4m3fn"),
            ("torchvision.models.resnet", "BasicBlock"),
        ] {
            assert!(
                matches!(known(module, name), Known::Inert(_)),
                "{module}.{name}"
            );
        }
        for (module, name) in [
            ("posix", "system"),
            ("__builtin__", "eval"),
            ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
            ("torch.hub", "load"),
            ("torch", "load"),
            ("collections", "OrderedDict.fromkeys.__globals__"),
            ("os.path", "join"),
            ("torch.nn", "modules.os.system"),
            ("numpy.testing._private.utils", "runstring"),
        ] {
            assert!(
                matches!(known(module, name), Known::Dangerous),
                "{module}.{name}"
            );
        }
        for (module, name) in [
            ("__main__", "Net"),
            ("mypackage.models", "Outer.Inner"),
            ("torch.nn", "Linear2"),
        ] {
            assert!(
                matches!(known(module, name), Known::Unknown),
                "{module}.{name}"
            );
        }
    }
}
