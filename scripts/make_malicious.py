#!/usr/bin/env python3
"""make_malicious.py FOLDER: one small file for each trick that a hostile checkpoint may try, and why.json: what each tries.

`scan` must flag every one of them (exit 1). The payload is the command `true`, and no file asks for anything else.
Zips, pickles and tars are put together byte by byte, no torch is needed. Bombs are small here, and large when opened.
"""
from __future__ import annotations

import io
import json
import struct
import sys
import tarfile
import zlib
from pathlib import Path

import make_malformed as m
from make_malformed import (archive, entry_offsets, name_of, number, one_item, patched, program, records, several, storage, tensor,
                            text)

CASES: dict[str, tuple[str, bytes]] = {}


def case(name: str, why: str, data: bytes) -> None:
    assert name not in CASES, name
    CASES[name] = (why, data)


def pickled(name: str, why: str, body: bytes, whole=False) -> None:
    case(f"{name}.pth", why, archive(records(body if whole else program(body))))


def short(value: str) -> bytes:
    """SHORT_BINUNICODE"""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def stack_global(module: str, name: str) -> bytes:
    return short(module) + short(name) + b"\x93"


def p4(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


SYSTEM = name_of("posix", "system")
TRUE = text("true") + b"\x85"
CALL = SYSTEM + TRUE + b"R"
PAYLOAD = b"\x80\x02" + CALL + b"."
EMPTY = name_of("collections", "OrderedDict") + b")R"


# LABEL MODULE NAME ARGUMENTS, of a tuple; the names that the advisories about scanners and their lists of bypasses give
CALLED = """
posix_system posix system 'true',
os_system os system 'true',
nt_system nt system 'true',
subprocess_popen subprocess Popen 'true',
builtins_eval builtins eval '1+1',
builtins_exec builtins exec 'pass',
builtins_compile builtins compile 'pass', '', 'exec'
builtins_globals builtins globals
builtins_breakpoint builtins breakpoint
python2_eval __builtin__ eval '1+1',
python2_apply __builtin__ apply SYSTEM, ('true',)
python2_execfile __builtin__ execfile 'x',
python2_commands commands getoutput 'true',
import builtins __import__ 'this',
importlib importlib import_module 'this',
importlib_loader importlib.machinery SourceFileLoader 'this', 'this.py'
runpy runpy _run_code 'pass', {}
pip_main pip main [],
pip_internal pip._internal.cli.main main [],
ensurepip ensurepip _run_pip [],
pickle_loads pickle loads b'N.',
pickle_c _pickle loads b'N.',
torch_load torch load 'x.pth',
torch_hub torch.hub load 'a/b',
torch_jit torch.jit load 'x.pt',
torch_jit_exec torch.jit.unsupported_tensor_ops execWrapper 'pass', {}, {}
torch_graph_module torch.fx.graph_module reduce_graph_module {}, ''
torch_symbolic_shapes torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression '1', []
torch_bottleneck torch.utils.bottleneck.__main__ run_cprofile '1',
torch_bottleneck_autograd torch.utils.bottleneck.__main__ run_autograd_prof '1', {}
torch_collect_env torch.utils.collect_env run 'true',
torch_config_module torch.utils._config_module ConfigModule.load_config b'N.',
torch_decoder torch.utils.data.datapipes.utils.decoder basichandlers 'pkl', b'N.'
torch_dynamo torch._dynamo.guards GuardBuilder.get '1',
torch_inductor torch._inductor.codecache compile_file 'x',
torch_from_file torch from_file 'x',
torch_ops_library torch.ops load_library 'x.so',
torch_package torch.package PackageImporter 'x.pt',
torch_cpp_extension torch.utils.cpp_extension load 'x', []
torch_distributed torch.distributed init_process_group 'gloo',
torchvision_read torchvision.io read_file 'x',
numpy_runstring numpy.testing._private.utils runstring 'pass', {}
numpy_f2py numpy.f2py.crackfortran getlincoef '1', {}
numpy_f2py_param numpy.f2py.crackfortran param_eval '1', {}, {}
numpy_load numpy load 'x.npy',
numpy_memmap numpy memmap 'x',
numpy_fromfile numpy fromfile 'x',
timeit timeit timeit 'pass',
cprofile cProfile run 'pass',
cprofile_context cProfile runctx 'pass', {}, {}
profile profile Profile.run 'pass',
trace trace Trace.run 'pass',
bdb bdb Bdb.run 'pass',
pdb pdb run 'pass',
doctest doctest debug_script 'pass',
pydoc pydoc pipepager 'x', 'true'
pydoc_locate pydoc locate 'this',
ctypes ctypes CDLL 'libc.so.6',
ctypes_load ctypes.util find_library 'c',
webbrowser webbrowser open 'about:blank',
socket socket create_connection 'localhost',
requests requests get 'http://localhost',
urllib urllib.request urlopen 'http://localhost',
aiohttp aiohttp.client ClientSession
ssl ssl get_server_certificate ('localhost', 1),
smtplib smtplib SMTP 'localhost',
ftplib ftplib FTP 'localhost',
imaplib imaplib IMAP4_stream 'true',
xmlrpc xmlrpc.client ServerProxy 'http://localhost',
sqlite3 sqlite3 connect 'x',
open io open '/dev/null',
file_io _io FileIO '/dev/null',
linecache linecache getlines 'x',
fileinput fileinput input 'x',
shelve shelve open 'x',
dbm dbm open 'x',
logging_handler logging FileHandler '/dev/null',
logging_config logging.config listen 0,
signal signal signal 2, 0
asyncio_subclass asyncio.unix_events _UnixSubprocessTransport._start
code_interpreter code InteractiveInterpreter.runcode
idlelib idlelib.pyshell ModifiedInterpreter.runcommand
idlelib_run idlelib.run Executive.runcode
idlelib_calltip idlelib.calltip get_entity '1',
idlelib_autocomplete idlelib.autocomplete AutoComplete.get_entity '1',
idlelib_object idlelib.debugobj ObjectTreeItem.SetText '1',
lib2to3 lib2to3.pgen2.grammar Grammar.loads
lib2to3_label lib2to3.pgen2.pgen ParserGenerator.make_label '1',
distutils distutils.file_util write_file 'x', []
distutils_spawn distutils.spawn spawn ['true'],
test_support test.support.script_helper assert_python_ok '-c', 'pass'
aix_support _aix_support _read_cmd_output 'true',
osx_support _osx_support _read_output 'true',
pyrepl _pyrepl.pager pipe_pager '', 'true'
tempfile tempfile mktemp
gc gc get_objects
types_function types FunctionType
types_code types CodeType
marshal marshal loads b'N',
operator_methodcaller operator methodcaller 'true',
operator_attrgetter operator attrgetter '__class__',
operator_call operator call SYSTEM, 'true'
functools_reduce functools reduce SYSTEM, ('true',)
functools_reduce_c _functools reduce SYSTEM, ('true',)
itertools_starmap itertools starmap SYSTEM, ('true',)
map builtins map SYSTEM, ('true',)
threading threading Thread None, SYSTEM
multiprocessing multiprocessing.util spawnv_passfds
multiprocessing_process multiprocessing Process None, SYSTEM
concurrent concurrent.futures ThreadPoolExecutor
dill dill._dill _create_function
dill_load dill loads b'N.',
cloudpickle cloudpickle.cloudpickle _make_function
joblib joblib load 'x',
joblib_pickle joblib.numpy_pickle load 'x',
pandas_read_pickle pandas read_pickle 'x',
pandas_eval pandas.core.computation.eval eval '1',
yaml yaml unsafe_load '1',
hydra hydra.utils instantiate {},
sympy sympy.core.sympify sympify '1',
keras keras.models load_model 'x',
tensorflow tensorflow.io read_file 'x',
transformers_pipeline transformers pipeline 'x',
huggingface_hub huggingface_hub hf_hub_download 'a/b', 'x'
uuid_popen uuid _get_command_stdout 'true',
platform_popen platform popen 'true',
pty_spawn pty spawn 'true',
shutil shutil which 'true',
sys_setattr sys setrecursionlimit 1000,
unknown_function somewhere something
"""


def item(value) -> bytes:
    """A value of CALLED, in protocol 2."""
    if value is None:
        return b"N"
    if isinstance(value, bytes):
        return b"C" + bytes([len(value)]) + value
    if isinstance(value, tuple):
        return several(map(item, value))
    if isinstance(value, list):
        return b"](" + b"".join(map(item, value)) + b"e"
    if isinstance(value, dict):
        return b"}"
    return SYSTEM if value == "SYSTEM" else number(value) if isinstance(value, int) else text(value)


def calls():
    for line in CALLED.strip().splitlines():
        label, module, name, *arguments = line.split(" ", 3)
        values = eval(f"({arguments[0]})", {"SYSTEM": "SYSTEM"}) if arguments else ()  # of the table above
        pickled(f"call_{label}", f"calls {module}.{name}", one_item(name_of(module, name) + item(values) + b"R"))
    pickled("call_unknown_class", "an object of somebody's own class", one_item(name_of("__main__", "Net") + b")\x81}b"))


def hidden_calls():
    pickled("hidden_in_state_dict", "a call among tensors, in the place of one",
            b"}(" + text("conv.weight") + tensor() + text("conv.bias") + CALL + b"u")
    pickled("hidden_by_pop", "REDUCE, then POP: the object does not show it", CALL + b"0" + one_item(tensor()))
    pickled("hidden_by_pop_mark", "REDUCE between MARK and POP_MARK", b"(" + CALL + b"1" + one_item(tensor()))
    pickled("hidden_by_obj", "OBJ, then POP", b"(" + SYSTEM + text("true") + b"o0" + one_item(tensor()))
    pickled("hidden_by_inst", "INST, the name in its argument", b"(" + text("true") + b"iposix\nsystem\n0" + one_item(tensor()))
    pickled("hidden_by_newobj", "NEWOBJ of a class of somebody's", name_of("subprocess", "Popen") + TRUE + b"\x81")
    pickled("hidden_by_newobj_ex", "NEWOBJ_EX", b"\x80\x04" + stack_global("subprocess", "Popen") + TRUE + b"}\x92.", whole=True)
    pickled("hidden_as_key", "the call is a key of a dict", b"}" + CALL + b"N" + b"s")
    pickled("hidden_in_set", "the call is an item of a set", b"\x80\x04\x8f(" + CALL + b"\x90.", whole=True)
    pickled("hidden_in_hooks", "the call stands where a tensor's hooks stand", one_item(
        name_of("torch._utils", "_rebuild_tensor_v2") + several([storage(), number(0), several([number(6)]),
                                                                several([number(1)]), b"\x89", CALL]) + b"R"))
    pickled("hidden_in_storage_id", "the call is part of a persistent id",
            one_item(several([text("storage"), name_of("torch", "FloatStorage"), CALL, text("cpu"), number(6)]) + b"Q"))
    pickled("hidden_in_metadata", "the call is an attribute of an OrderedDict",
            EMPTY + b"}" + text("_metadata") + CALL + b"sb")
    pickled("hidden_in_memo", "the call is memoised, popped and never used again", CALL + b"q\x050" + one_item(tensor()))
    pickled("hidden_before_error", "the call is made, then the pickle breaks", CALL + b"0\xff")
    pickled("hidden_before_cut", "the call is made, then the pickle ends without STOP", b"\x80\x02" + CALL, whole=True)
    pickled("hidden_by_unknown_protocol_later", "a call, then PROTO 9", CALL + b"0\x80\x09}")


def names():
    pickled("name_stack_global", "STACK_GLOBAL: the names are texts", p4(stack_global("posix", "system") + TRUE + b"R"), whole=True)
    pickled("name_stack_global_memo", "STACK_GLOBAL over memoised texts, far from where they are written",
            p4(short("posix") + b"\x940" + short("system") + b"\x940" + one_item(b"h\x00h\x01\x93" + TRUE + b"R")), whole=True)
    pickled("name_computed", "STACK_GLOBAL over the result of a call",
            p4(stack_global("_codecs", "encode") + short("posix") + short("latin1") + b"\x86R" + short("system") + b"\x93" + TRUE + b"R"), whole=True)
    pickled("name_dotted", "a walk over attributes: OrderedDict.__init__.__globals__",
            p4(stack_global("collections", "OrderedDict.__init__.__globals__")), whole=True)
    pickled("name_dotted_module", "a module reached as another module's attribute", p4(stack_global("torch.nn", "modules.module.os.system")), whole=True)
    pickled("name_in_inert_module", "a name that a known module has imported", name_of("torch.nn.modules.module", "warnings"))
    pickled("name_getattr", "getattr, by which everything is reached",
            name_of("builtins", "getattr") + name_of("torch", "Tensor") + text("__init__") + b"\x86R")
    pickled("name_getattr_chain", "getattr over getattr, and a call of what comes out",
            name_of("builtins", "getattr") + name_of("builtins", "getattr") + name_of("torch.nn.modules.conv", "Conv2d") + text("forward")
            + b"\x86R" + text("__globals__") + b"\x86R")
    pickled("name_python2_getattr", "getattr of Python 2", name_of("__builtin__", "getattr") + name_of("posix", "environ") + text("get") + b"\x86R")
    pickled("name_extension_1", "EXT1: a name by number", b"\x82\x05)R")
    pickled("name_extension_2", "EXT2", b"\x83\x05\x01)R")
    pickled("name_extension_4", "EXT4", b"\x84\x05\x01\x01\x00)R")
    pickled("name_odd_spelling", "a name with a blank in it", name_of("posix ", "system") + TRUE + b"R")
    pickled("name_unicode", "a name that looks like another: Cyrillic o", "cpоsix\nsystem\n".encode() + TRUE + b"R")
    pickled("name_value_called", "a dtype is called", name_of("torch", "float32") + b")R")
    pickled("name_result_called", "the result of a call is called", name_of("collections", "Counter") + b")R)R")
    pickled("name_storage_called", "a storage is called", storage() + b")R")


def odd_arguments():
    rebuild = name_of("torch._utils", "_rebuild_tensor_v2")
    pickled("args_too_few", "_rebuild_tensor_v2 with two arguments", one_item(rebuild + several([storage(), number(0)]) + b"R"))
    pickled("args_too_many", "_rebuild_tensor_v2 with nine", one_item(rebuild + several([storage()] + [number(0)] * 8) + b"R"))
    pickled("args_storage_is_a_class", "a class where a storage belongs", one_item(rebuild + several(
        [name_of("torch", "FloatStorage"), number(0), several([number(1)]), several([number(1)]), b"\x89", EMPTY]) + b"R"))
    pickled("args_hooks_not_empty", "hooks that are not empty", one_item(rebuild + several(
        [storage(), number(0), several([number(6)]), several([number(1)]), b"\x89",
         name_of("collections", "OrderedDict") + several([several([number(1), name_of("torch", "relu")])]) + b"\x85R"]) + b"R"))
    retyped = name_of("torch._tensor", "_rebuild_from_type_v2")
    pickled("args_retyped_function", "_rebuild_from_type_v2 calls what it is given",
            one_item(retyped + several([SYSTEM, name_of("torch", "Tensor"), TRUE, b"}"]) + b"R"))
    pickled("args_retyped_inert", "_rebuild_from_type_v2 calls a known function that is no rebuild function",
            one_item(retyped + several([name_of("builtins", "getattr"), name_of("torch", "Tensor"),
                                        name_of("torch", "Tensor") + text("data") + b"\x86", b"}"]) + b"R"))
    pickled("args_retyped_in_itself", "_rebuild_from_type_v2 calls itself",
            one_item(retyped + several([retyped, name_of("torch", "Tensor"), several([rebuild, name_of("torch", "Tensor"), b")", b"}"]), b"}"]) + b"R"))
    pickled("args_state_on_tensor", "BUILD on a tensor", one_item(tensor() + b"}" + text("data") + b"Nsb"))
    pickled("args_codec", "a codec that is none of a pickle's", name_of("_codecs", "encode") + text("x") + text("rot13") + b"\x86R")
    pickled("args_factory", "a defaultdict that calls something for each missing key", name_of("collections", "defaultdict") + SYSTEM + b"\x85R")
    pickled("args_factory_known", "the same with a function of torch's", name_of("collections", "defaultdict")
            + name_of("torch.nn.functional", "relu") + b"\x85R")
    pickled("args_partial", "functools.partial over something unknown", name_of("functools", "partial") + SYSTEM + b"\x85R"
            + several([SYSTEM, TRUE, b"}", b"N"]) + b"b")
    pickled("args_partial_swapped", "functools.partial whose state has another function", name_of("functools", "partial")
            + name_of("torch.nn.functional", "relu") + b"\x85R" + several([name_of("builtins", "getattr"), b")", b"}", b"N"]) + b"b")
    pickled("args_reconstructor", "copyreg._reconstructor with a base that is none of Python's",
            name_of("copyreg", "_reconstructor") + several([name_of("torch.nn.modules.conv", "Conv2d"), name_of("subprocess", "Popen"), TRUE]) + b"R")
    pickled("args_set_of_text", "set() of something that is no list", name_of("builtins", "set") + text("abc") + b"\x85R")
    pickled("args_module_called", "a module's class is called with arguments: its __init__ runs",
            name_of("torch.nn.modules.linear", "Linear") + number(1 << 30) + number(1 << 30) + b"\x86R")
    pickled("args_load_from_bytes", "torch.storage._load_from_bytes over a pickle of its own",
            name_of("torch.storage", "_load_from_bytes") + b"C" + bytes([len(PAYLOAD)]) + PAYLOAD + b"\x85R")
    pickled("args_load_from_bytes_zip", "the same over a zip", name_of("torch.storage", "_load_from_bytes")
            + b"B" + struct.pack("<I", len(archive(records(PAYLOAD)))) + archive(records(PAYLOAD)) + b"\x85R")
    pickled("args_keywords", "a rebuild function with keyword arguments", b"\x80\x04" + stack_global("torch._utils", "_rebuild_parameter")
            + b")}" + short("data") + b"Ns\x92.", whole=True)
    pickled("args_unpacked_list", "REDUCE with a list where a tuple belongs", SYSTEM + b"](" + text("true") + b"eR")


def half_known():
    """Names that are vouched for, used as nothing writes them."""
    arguments = name_of("transformers.training_args", "TrainingArguments")
    module = name_of("torch.nn.modules.container", "ModuleList") + b")\x81"
    relu = name_of("torch.nn.functional", "relu")
    none = name_of("builtins", "type") + b"N\x85R"
    pickled("args_class_called", "a class that is pickled by __new__ is called: its __init__ runs", arguments + b")R")
    pickled("args_property", "getattr of a property that sets up processes", name_of("builtins", "getattr") + arguments + b")\x81"
            + text("device") + b"\x86R")
    pickled("args_type_made", "type() with three arguments makes a class", name_of("builtins", "type")
            + several([text("X"), several([name_of("torch.nn.modules.module", "Module")]), b"}" + text("__del__") + SYSTEM + b"s"]) + b"R")
    pickled("args_type_called", "what type() gives is called", none + b")R")
    pickled("args_getitem", "operator.getitem of something that is no type", name_of("_operator", "getitem")
            + name_of("torch.nn.modules.module", "Module") + text("x") + b"\x86R")
    pickled("args_getitem_dict", "operator.getitem takes a function out of a dict, and it is called", name_of("operator", "getitem")
            + b"}" + text("f") + SYSTEM + b"s" + text("f") + b"\x86R" + TRUE + b"R")
    pickled("args_alias_called", "a generic alias is called: so is its class", name_of("types", "GenericAlias")
            + several([name_of("builtins", "list"), none]) + b"R)R")
    pickled("args_partial_of_partial", "functools.partial over a partial", name_of("functools", "partial") + name_of("functools", "partial")
            + relu + b"\x85R\x85R")
    pickled("args_partial_called", "the result of functools.partial is called", name_of("functools", "partial") + relu + b"\x85R"
            + several([relu, b")", b"}", b"N"]) + b"b" + TRUE + b"R")
    pickled("args_enum_object", "an enum's value is an object", name_of("transformers.trainer_utils", "HubStrategy") + module + b"\x85R")
    pickled("args_reconstruct_memmap", "numpy.memmap is called, and not made empty", name_of("numpy", "memmap") + text("/dev/null") + b"\x85R")
    pickled("items_on_module", "SETITEMS on a module: its __setitem__ runs", module + b"(" + number(0) + b"Nu")
    pickled("items_appended", "APPENDS on a module: its extend runs", module + b"(" + number(0) + b"e")
    pickled("items_on_class", "APPEND on a class", name_of("torch.nn.modules.container", "ModuleList") + b"Na")
    pickled("name_family_import", "a name that a module of models has imported", name_of("transformers.models.bert.modeling_bert", "os.system")
            + TRUE + b"R")
    pickled("name_family_function", "a function of a package of models", name_of("timm.models._hub", "load_state_dict_from_hf") + TRUE + b"R")
    pickled("name_family_dunder", "a module's __builtins__", name_of("timm.layers.mlp", "__builtins__"))
    pickled("name_two_walks", "an attribute of a known class, and an attribute of that",
            p4(stack_global("torch.nn.modules.conv", "Conv2d.forward.__globals__")), whole=True)
    pickled("persistent_module_call", "a persistent id of a module whose class is a function", several(
        [text("module"), SYSTEM, text("x.py"), text("")]) + b"Q)R")


def state():
    module = name_of("torch.nn.modules.conv", "Conv2d") + b")\x81"
    pickled("state_setstate", "BUILD sets __setstate__, a second BUILD calls it",
            module + b"}" + text("__setstate__") + SYSTEM + b"sb" + text("true") + b"b")
    pickled("state_class", "BUILD sets __class__", module + b"}" + text("__class__") + name_of("torch.nn.modules.conv", "Conv1d") + b"sb")
    pickled("state_slots", "BUILD with slots: setattr on the object", module + b"N}" + text("__class__") + name_of("torch.nn.modules.conv", "Conv1d")
            + b"s\x86b")
    pickled("state_on_class", "BUILD on a class: its methods are replaced", name_of("torch.nn.modules.conv", "Conv2d")
            + b"N}" + text("forward") + name_of("torch.nn.functional", "relu") + b"s\x86b")
    pickled("state_on_function", "BUILD on a function", name_of("torch._utils", "_rebuild_tensor_v2") + b"N}" + text("__code__") + b"Ns\x86b")
    pickled("state_on_storage", "BUILD on a storage", storage() + b"}" + text("x") + b"Nsb")
    pickled("state_on_dict", "BUILD on a dict", b"}}b")
    pickled("state_twice", "two BUILDs on one object", module + b"}b}b")


def notation():
    pickled("int_hexadecimal", "INT 0x10: an integer to one unpickler and an error to another", b"I0x10\n")
    pickled("int_octal", "INT 010", b"I010\n")
    pickled("int_underscore", "INT 1_0", b"I1_0\n")
    pickled("int_before_call", "a scanner that stops at INT 0x10 does not see what follows", b"I0x10\n0" + CALL)
    pickled("long_without_l", "LONG with a letter inside", b"L1x0L\n")
    pickled("float_text", "FLOAT that is none", b"F1_0.5\n")
    pickled("string_unquoted", "STRING without quotes", b"Sabc\n")
    pickled("text_opcodes", "opcodes of protocol 0 in a pickle of protocol 2", b"(dp0\nS'a'\np1\nI1\ns")
    pickled("dup", "DUP, which no writer emits", one_item(b"N") + b"2\x86")
    pickled("frame_lies", "a FRAME that ends inside an opcode", b"\x80\x04\x95\x03" + bytes(7) + b"}" + short("abcdefgh") + b"Ns.", whole=True)
    pickled("frame_too_long", "a FRAME longer than the pickle", b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.", whole=True)
    pickled("memo_overwritten", "a memo index is given another value: which one is meant depends on the reader",
            p4(short("posix") + b"q\x000" + short("system") + b"q\x000" + short("math") + b"q\x00" + b"0h\x00"), whole=True)
    pickled("memo_far", "memo index 2^31", b"}r" + struct.pack("<I", 1 << 31))
    pickled("memo_far_call", "a call by way of a far memo index", SYSTEM + b"r" + struct.pack("<I", 1 << 30) + b"0j" + struct.pack("<I", 1 << 30) + TRUE + b"R")
    pickled("persistent_text", "PERSID: a persistent id that is text", b"Pposix.system\n")
    pickled("persistent_kind", "a persistent id of another kind", several([text("exec"), text("pass")]) + b"Q")
    pickled("protocol_9", "a protocol that does not exist", b"\x80\x09}.", whole=True)
    pickled("opcode_in_text", "the bytes of a call inside a text, and a call outside", text("cposix\nsystem\n") + b"0" + CALL)


def sizes():
    def shaped(name, why, **how):
        pickled(f"size_{name}", why, one_item(tensor(**how)))

    shaped("storage_larger", "the storage claims more elements than its record has", stored=storage(numel=7))
    shaped("storage_smaller", "the storage claims fewer", stored=storage(numel=5), shape=(5,), stride=(1,))
    shaped("storage_missing", "the storage has no record", stored=storage(key="7"))
    shaped("tensor_outside", "the tensor reaches past its storage", shape=(2, 4), stride=(4, 1))
    shaped("offset_outside", "the tensor begins past its storage's end", offset=6)
    shaped("negative_shape", "a negative size", shape=(-2, 3))
    shaped("negative_stride", "a negative stride", stride=(-3, 1))
    shaped("negative_offset", "a negative offset", offset=-1)
    shaped("overflow", "sizes whose product is beyond 64 bits", shape=(1 << 40, 1 << 40), stride=(0, 0))
    shaped("empty_overflow", "(0, 2^62, 4): nothing, and too much", shape=(0, 1 << 62, 4), stride=(0, 0, 0))
    shaped("expand", "6 elements expanded to 2^60: copying it takes all memory there is", shape=(1 << 60,), stride=(0,))
    shaped("ranks", "more sizes than strides", shape=(2, 3), stride=(1,))
    pickled("size_storage_class", "a storage class that is none", one_item(storage(kind="PickleStorage")))


def structure():
    good = archive(records())
    bad = records(PAYLOAD)
    where = entry_offsets(good)
    local, central = where["m/data/0"]
    case("zip_three_pickles.pth", "three data.pkl: torch reads the first, others the last", archive([("m/data.pkl", PAYLOAD), ("m/data.pkl", m.STATE), *records()]))
    case("zip_duplicate_storage.pth", "two data/0", archive([("m/data/0", bytes(24)), *records()]))
    case("zip_case_twin.pth", "DATA.PKL beside data.pkl: torch takes either", archive(records() + [("m/DATA.PKL", PAYLOAD)]))
    case("zip_case_alone.pth", "DATA.PKL alone", archive([("m/DATA.PKL", PAYLOAD), *records()[1:]]))
    case("zip_two_roots.pth", "two root folders, each with a data.pkl", archive(records() + records(PAYLOAD, root="n")))
    case("zip_local_name.pth", "the local header has another name", good[:local + 30] + b"m/data/9" + good[local + 38:])
    case("zip_local_size.pth", "the local header has another size", patched(good, (local + 18, "<I", 8), (local + 22, "<I", 8)))
    case("zip_local_method.pth", "the local header says deflated", patched(good, (local + 8, "<H", 8)))
    case("zip_local_flags.pth", "the directory says encrypted, the local header does not", patched(good, (central + 8, "<H", 1)))
    case("zip_local_crc.pth", "the local header has another CRC", patched(good, (local + 14, "<I", 1)))
    case("zip_encrypted.pth", "a member is encrypted", patched(good, (local + 6, "<H", 1), (central + 8, "<H", 1)))
    case("zip_bzip2.pth", "a member is compressed by bzip2", patched(good, (local + 8, "<H", 12), (central + 10, "<H", 12)))
    case("zip_overlap.pth", "two members share their bytes", patched(good, (central + 42, "<I", where["m/data.pkl"][0])))
    case("zip_prefix.pth", "a pickle before the zip", PAYLOAD + good)
    case("zip_suffix.pth", "a pickle after the zip", good + PAYLOAD)
    case("zip_comment.pth", "a pickle in the comment of the zip", good[:-2] + struct.pack("<H", len(PAYLOAD)) + PAYLOAD)
    case("zip_after_zip.pth", "a second zip after the first", good + archive(bad))
    between = where["m/data/0"][0]
    shifted = bytearray(good[:between] + PAYLOAD + good[between:])
    # the directory's offsets behind the inserted bytes move with them
    at = shifted.rindex(b"PK\x05\x06")
    struct.pack_into("<I", shifted, at + 16, struct.unpack_from("<I", shifted, at + 16)[0] + len(PAYLOAD))
    cursor = shifted.index(b"PK\x01\x02")
    while shifted[cursor:cursor + 4] == b"PK\x01\x02":
        header = struct.unpack_from("<I", shifted, cursor + 42)[0]
        if header >= between:
            struct.pack_into("<I", shifted, cursor + 42, header + len(PAYLOAD))
        cursor += 46 + sum(struct.unpack_from("<HHH", shifted, cursor + 28))
    case("zip_between.pth", "a pickle between two members", bytes(shifted))
    hidden = bytearray(good)
    end = hidden.rindex(b"PK\x05\x06")
    cut = where["m/version"][1]
    directory = hidden[hidden.index(b"PK\x01\x02"):cut]
    struct.pack_into("<HHII", hidden, end + 8, 3, 3, len(directory), hidden.index(b"PK\x01\x02"))
    case("zip_unlisted.pth", "a member that the directory does not list", bytes(hidden[:cut] + hidden[end:]))
    case("zip_pickle_in_storage.pth", "data/0 is a pickle", archive(records(one_pickle(24), PAYLOAD)))
    case("zip_pickle_inside_storage.pth", "a pickle inside data/0, behind floats", archive([(n, m.FLOATS + PAYLOAD if n.endswith("data/0") else
         program(one_item(tensor(storage(numel=(24 + len(PAYLOAD)) // 4)))) if n.endswith("pkl") else d) for n, d in records()]))
    case("zip_second_pickle.pth", "a second pickle after STOP", archive(records(m.STATE + PAYLOAD)))
    case("zip_trailing_bytes.pth", "bytes after STOP", archive(records(m.STATE + bytes(32))))
    case("zip_pickle_in_version.pth", "the member `version` is a pickle", archive([(n, PAYLOAD if n.endswith("version") else d) for n, d in records()]))
    case("zip_extra_pickle.pth", "another member is a pickle", archive(records() + [("m/extra/notes.txt", PAYLOAD)]))
    case("zip_nested.pth", "another member is a torch zip of its own", archive(records() + [("m/extra/model.bin", archive(bad))]))
    case("zip_nul_name.pth", "a NUL in a member's name", good.replace(b"m/version", b"m/ver\0ion"))
    case("zip_three.pth", "three zips, the one in the middle calls", good + archive(bad) + good)
    case("zip_split_mark.pth", "the mark of a split zip before the first header", b"PK\x07\x08" + archive(bad))
    case("zip_empty_end.pth", "the end record of an empty zip after a zip", archive(bad) + b"PK\5\6" + bytes(18))
    case("zip_empty_ends.pth", "a thousand of them", archive(bad) + (b"PK\5\6" + bytes(18)) * 1000)
    case("zip_parent_name.pth", "a member's name leads out of the folder", archive(records() + [("m/../../x", b"x")]))
    case("zip_absolute_name.pth", "a member's name is an absolute path", archive(records() + [("/tmp/x", b"x")]))
    case("zip_folder_with_data.pth", "a folder that has data, and they call", archive(records() + [("m/data/", PAYLOAD)]))
    case("zip_serialization_id.pth", "the serialization id is a pickle that calls", archive(records() + [("m/.data/serialization_id", PAYLOAD)]))
    case("zip_format_version.pth", "so is the format's version", archive(records() + [("m/.format_version", PAYLOAD)]))
    case("zip_deflated_storage.pth", "a deflated storage is a pickle", archive(records(data=PAYLOAD), deflate=True))
    case("zip_bad_crc_pickle.pth", "data.pkl's CRC is wrong, and it calls", patched(archive(bad), (14, "<I", 1), (entry_offsets(archive(bad))["m/data.pkl"][1] + 16, "<I", 1)))
    case("zip_cut.pth", "cut off, and the pickle calls", archive(bad)[:-60])


def one_pickle(nbytes: int) -> bytes:
    return program(one_item(tensor(storage(kind="ByteStorage", numel=len(PAYLOAD)), shape=(nbytes,), stride=(1,))))


def tarred(members) -> bytes:
    """A tar; a text stands for a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname, data = tarfile.SYMTYPE, data, b""
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def other_files():
    case("raw.pkl", "a plain pickle that calls", PAYLOAD)
    case("raw_protocol_0.pkl", "the same in protocol 0", b"cposix\nsystem\n(S'true'\ntR.")
    case("raw_without_ending.bin", "the same with another file's ending", b"cposix\nsystem\n(S'true'\ntR.")
    case("raw_after_numbers.pkl", "a pickle of a number, then one that calls", b"\x80\x02K\x01." + PAYLOAD)
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    rest = b"\x80\x02M\xe9\x03.\x80\x02}."
    case("legacy.pth", "a legacy stream whose object calls", magic + rest + PAYLOAD + b"\x80\x02].")
    case("legacy_system_info.pth", "a legacy stream whose system info calls", magic + b"\x80\x02M\xe9\x03." + PAYLOAD + b"\x80\x02}.\x80\x02].")
    case("legacy_keys.pth", "a legacy stream whose list of keys calls", magic + rest + b"\x80\x02}." + PAYLOAD)
    case("legacy_trailing.pth", "a pickle after a legacy stream", magic + rest + b"\x80\x02}.\x80\x02]." + PAYLOAD)
    case("tar_nested.tar", "a tar of another kind: a member is a torch zip that calls", tarred([("a/model.pt", archive(records(PAYLOAD)))]))
    case("tar_zip.pth", "a tar by its beginning, a zip by its end", tarred([("a.txt", b"a")]) + archive(records(PAYLOAD)))
    case("tar_link.pth", "a tar whose storages are a link to another file", tarred([("pickle", b"\x80\x02}."), ("storages", "/etc/hostname")]))
    case("tar_parent.tar", "a member's name leads out of the folder", tarred([("../../a.txt", b"a")]))
    case("elf_zip.pth", "a program by its beginning, a zip by its end", b"\x7fELF\2\1\1" + bytes(57) + archive(records(PAYLOAD)))
    case("legacy_magic.pth", "a legacy stream that calls before the magic number", b"\x80\x02" + CALL + b"0" + magic[2:] + rest + b"\x80\x02}.\x80\x02].")
    case("legacy_protocol.pth", "a legacy stream that calls where its protocol stands", magic + PAYLOAD + b"\x80\x02}.\x80\x02}.\x80\x02].")
    case("legacy_storage.pth", "a pickle among the storages of a legacy stream", magic + rest + b"\x80\x02}.\x80\x02]." + bytes(64) + PAYLOAD + bytes(64))
    case("tar.pth", "a tar of before 0.1.10 whose pickle calls", tarred(
        [("sys_info", b"\x80\x02}."), ("pickle", PAYLOAD), ("storages", b"\x80\x02K\x00."), ("tensors", b"\x80\x02K\x00.")]))
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    plain = struct.pack("<Q", len(header)) + header + bytes(8)
    case("polyglot_safetensors_zip.safetensors", "safetensors by its beginning, a zip by its end", plain + archive(records(PAYLOAD)))
    case("polyglot_safetensors_pickle.safetensors", "a pickle in a safetensors' data", struct.pack("<Q", len(header) + 1)
         + header.replace(b"[2]", b"[8]").replace(b",8]", b",32]") + PAYLOAD.ljust(32, b"\0"))
    case("polyglot_gguf_zip.gguf", "GGUF by its beginning, a zip by its end", b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + archive(records(PAYLOAD)))
    case("polyglot_pickle_zip.pth", "a pickle by its beginning, a zip by its end", b"\x80\x02}." + good_zip())
    descr = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    descr = descr.ljust(117) + b"\n"
    case("npy_objects.npy", "a numpy array of objects: a pickle that calls", b"\x93NUMPY\x01\0" + struct.pack("<H", len(descr)) + descr + PAYLOAD)
    fields = b"{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    case("npy_fields.npy", "a numpy array of records, one of whose fields is an object", b"\x93NUMPY\x02\0" + struct.pack("<I", len(fields)) + fields + PAYLOAD)
    case("npz_objects.npz", "the same in an .npz", archive([("a.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(descr)) + descr + PAYLOAD)]))


def script(code=b"", **pickles) -> bytes:
    """A TorchScript archive."""
    parts = {"data": b"\x80\x02}.", "constants": b"\x80\x02)."} | pickles
    return archive([(f"m/{name}.pkl", data) for name, data in parts.items()]
                   + [("m/code/__torch__.py", code), ("m/version", b"3\n")])


def torchscript_and_packages():
    case("script_data.pt", "TorchScript: data.pkl calls", script(data=PAYLOAD))
    case("script_constants.pt", "constants.pkl calls", script(constants=PAYLOAD))
    case("script_attributes.pt", "attributes.pkl calls", script(attributes=PAYLOAD))
    case("script_bytecode.ptl", "bytecode.pkl of a mobile model calls", script(bytecode=PAYLOAD))
    case("script_debug.pt", "the table of source lines beside the code calls", archive(
        [("m/data.pkl", b"\x80\x02}."), ("m/constants.pkl", b"\x80\x02)."), ("m/code/__torch__.py.debug_pkl", PAYLOAD)]))
    case("script_saves.pt", "the code writes a file when it runs", script(b"def forward(self, x: Tensor) -> Tensor:\n  torch.save(x, \"x\")\n"))
    case("script_reads.pt", "the code reads a file", script(b"def forward(self) -> Tensor:\n  return (torch . # here\n from_file)(\"x\")\n"))
    case("script_operator.pt", "the code calls an operator that torch does not have", script(b"def forward(self):\n  return ops.mine.run(\"x\")\n"))
    case("script_class.pt", "an object of a class that loads libraries", script(
        data=program(name_of("__torch__.torch.classes.aoti", "AOTIModelContainerRunnerCpu") + b")\x81" + text("x.so") + b"b")))
    case("script_bytecode_saves.ptl", "the bytecode names an operator that writes files", script(bytecode=program(several([text("aten::save"), text("")]))))
    case("package_source.pt", "torch.package: Python source, by which the pickle's names are resolved", archive(
        [("m/model/model.pkl", program(name_of("torch.nn.modules.linear", "Identity") + b")\x81}b")),
         ("m/torch/nn/modules/linear.py", b"class Identity: pass\n"), ("m/.data/extern_modules", b"")]))
    case("package_pickle.pt", "torch.package: a pickle calls", archive([("m/model/model.pkl", PAYLOAD), ("m/.data/extern_modules", b"")]))
    case("package_library.pt2", "a shared library, which the loader of a compiled model loads",
         archive([("m/data/aotinductor/model/x.so", b"\x7fELF\2\1\1" + bytes(57)), ("m/archive_format", b"pt2")]))
    case("exported_inputs.pt2", "an exported program: the sample inputs are a torch zip that calls",
         archive([("m/models/model.json", b"{}"), ("m/data/sample_inputs/model.pt", archive(records(PAYLOAD))), ("m/archive_format", b"pt2")]))
    case("exported_constants.pt2", "its constants are a pickle that calls", archive(
        [("m/models/model.json", b"{}"), ("m/data/constants/custom_obj_0", PAYLOAD), ("m/archive_format", b"pt2")]))
    case("exported_weight.pt2", "one of its weights is a pickle that calls", archive(
        [("m/models/model.json", b"{}"), ("m/data/weights/weight_0", PAYLOAD), ("m/archive_format", b"pt2")]))
    case("distributed_second.distcp", "DCP: the second of the zips in a file calls", archive(records()) + archive(records(PAYLOAD)) + archive(records()))
    case("distributed.metadata", "DCP: the metadata calls", PAYLOAD)
    case("index_parent.bin.index.json", "an index that names a file in another folder", b'{"metadata": {}, "weight_map": {"w": "../secret.bin"}}')
    case("index_absolute.safetensors.index.json", "an index that names a file by its absolute path",
         b'{"metadata": {}, "weight_map": {"w": "/etc/hostname"}}')


def good_zip() -> bytes:
    return archive(records())


def bombs():
    def deflated(data: bytes, name="m/data.pkl") -> bytes:
        """A zip whose one deflated member was never whole in memory."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
        crc = zlib.crc32(data)
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(packed), len(data), len(name), 0)
        local = b"PK\x03\x04" + fields + name.encode() + packed
        central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
        return local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)

    case("bomb_deflate.pth", "a data.pkl of 100 MB in 100 KB of deflate", deflated(b"\x80\x02}." + bytes(100 << 20)))
    case("bomb_deflate_opcodes.pth", "16 MB of EMPTY_LIST in 16 KB of deflate", deflated(b"\x80\x02" + b"]" * (15 << 20) + b"."))
    case("bomb_deflate_storage.pth", "a data/0 of 80 MB in 80 KB", deflated(bytes(80 << 20), "m/data/0"))
    case("bomb_nested_tuples.pth", "a million tuples, one inside the other, around a call", deflated(program(CALL + b"\x85" * 1_000_000)))
    case("bomb_many_strays.pth", "many beginnings of pickles, each as long as the file", deflated(
        program(b"}0" + CALL + b"0B" + struct.pack("<I", 600_000) + b"\x80\x02(" * 200_000)))
    body = b"]" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(40))
    pickled("bomb_doubling", "40 tuples of the one before, twice: 2^40 lists", body + CALL + b"\x86")
    pickled("bomb_long_text", "BINUNICODE8 of 2^60 bytes", b"\x80\x04" + CALL + b"\x8d" + struct.pack("<Q", 1 << 60), whole=True)
    pickled("bomb_long_bytes", "BINBYTES8 of 2^60 bytes", b"\x80\x04" + CALL + b"\x8e" + struct.pack("<Q", 1 << 60), whole=True)
    pickled("bomb_long4", "LONG4 of 2^31 - 1 bytes", CALL + b"\x8b" + struct.pack("<i", (1 << 31) - 1))
    pickled("bomb_negative_long4", "LONG4 of -1 bytes", CALL + b"\x8b" + struct.pack("<i", -1))


def main() -> int:
    for make in (calls, hidden_calls, names, odd_arguments, half_known, state, notation, sizes, structure, other_files,
                 torchscript_and_packages, bombs):
        make()
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (why, data) in CASES.items():
        (folder / name).write_bytes(data)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(why)}" for name, (why, _) in sorted(CASES.items()))
    (folder / "why.json").write_text(f"{{\n{lines}\n}}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
