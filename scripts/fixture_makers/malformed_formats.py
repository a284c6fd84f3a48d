"""Bad legacy streams, tars and plain pickles: the smallest input for each refusal; see make_malformed.py."""
import io
import json
import struct
import tarfile

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
FLOATS = struct.pack("<6f", 1, 2, 3, 4, 5, 6)


def old_formats(m):
    """`m` is make_malformed, whose words for pickles these use."""
    def storage(key="1", numel=6, kind="FloatStorage", view=b"N", extra=b""):
        return m.several([m.text("storage"), m.name_of("torch", kind), m.text(key), m.text("cpu"), m.number(numel), view]) + b"Q"

    def keys(*names):
        return m.program(b"](" + b"".join(map(m.text, names)) + b"e")

    def stream(value, listed=keys("1"), data=struct.pack("<q", 6) + FLOATS, protocol=1001):
        return b"".join((MAGIC, m.program(m.number(protocol)), m.program(b"}"), m.program(value), listed, data))

    def bad(name, why, *parts, **more):
        m.case(f"legacy_{name}.pth", why, stream(*parts, **more))

    good = m.one_item(m.tensor(storage()))
    bad("other_protocol", "protocol 1002", good, protocol=1002)
    m.case("legacy_cut_in_pickle.pth", "the file ends inside the object's pickle", stream(good)[:90])
    m.case("legacy_cut_before_keys.pth", "the file ends before the list of storage keys",
           b"".join((MAGIC, m.program(m.number(1001)), m.program(b"}"), m.program(good))))
    bad("cut_in_length", "the file ends inside a storage's length", good, data=b"\x06\0\0")
    bad("cut_in_storage", "the file ends inside a storage", good, data=struct.pack("<q", 6) + FLOATS[:20])
    bad("other_length", "the pickle says 6 elements, the stream 5", good, data=struct.pack("<q", 5) + FLOATS[:20])
    bad("huge_length", "a storage of 2^62 elements", good, data=struct.pack("<q", 1 << 62) + FLOATS)
    bad("negative_length", "a storage of -1 elements", good, data=struct.pack("<q", -1) + FLOATS)
    bad("key_not_listed", "the tensor's storage is not in the list of keys", good, listed=keys(), data=b"")
    bad("key_unknown", "the list names a storage that the object does not hold", good, listed=keys("1", "2"))
    bad("key_twice", "the list names a storage twice", good, listed=keys("1", "1"),
        data=2 * (struct.pack("<q", 6) + FLOATS))
    bad("keys_are_a_number", "the list of keys is a number", good, listed=m.program(m.number(1)))
    bad("view_outside", "a view of elements 4 to 8 of a storage of 6", m.one_item(m.tensor(
        storage(view=m.several([m.text("2"), m.number(4), m.number(4)])), shape=(2, 2), stride=(2, 1))))
    bad("view_of_two", "a view described by two numbers", m.one_item(m.tensor(
        storage(view=m.several([m.number(4), m.number(4)])))))
    bad("five_items", "a persistent id without a view's place, as zips have it", m.one_item(m.tensor()))
    bad("tensor_outside", "a tensor of 3 x 3 over a storage of 6", m.one_item(m.tensor(storage(), shape=(3, 3))))

    tars(m)
    programs(m)
    load = m.name_of("torch.storage", "_load_from_bytes")

    def pickled(name, why, body):
        m.case(f"raw_pickle_{name}.pkl", why, m.program(body))

    def raw(data):
        return b"B" + struct.pack("<I", len(data)) + data

    pickled("storage_of_text", "a storage made of a number", m.one_item(m.tensor(load + m.number(5) + b"\x85R")))
    pickled("storage_of_junk", "a storage made of bytes that are no stream",
            m.one_item(m.tensor(load + raw(b"\x80\x02}.junk") + b"\x85R")))
    pickled("storage_of_dict", "a storage made of a stream whose object is a dict",
            m.one_item(m.tensor(load + raw(stream(b"}", keys(), b"")) + b"\x85R")))
    pickled("persistent_id", "a storage outside the pickle, and there is no outside", m.one_item(m.tensor(storage())))


def tars(m):
    def members(pairs):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
            for name, data in pairs:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                made.addfile(info, io.BytesIO(data))
        data = out.getvalue()
        return data[:len(data.rstrip(b"\0")) + 511 & ~511]  # one block or none of zeros will do

    def storage(key=1, kind="FloatStorage", data=struct.pack("<q", 6) + FLOATS):
        return m.program(m.several([m.number(key), m.text("cpu"), m.name_of("torch", kind)])) + data

    def tensor(key=2, of=1, size=(2, 3), stride=(3, 1), offset=0, axes=None):
        return (m.program(m.several([m.number(key), m.number(of), m.name_of("torch", "FloatTensor")]))
                + struct.pack("<q", len(size) if axes is None else axes) + struct.pack(f"<{2 * len(size)}q", *size, *stride)
                + struct.pack("<q", offset))

    def bad(name, why, value=m.one_item(m.text("2") + b"Q"), storages=(storage(),), views=(), tensors=(tensor(),), more=()):
        listed = m.program(b"](" + b"".join(m.several(map(m.number, view)) for view in views) + b"e")
        m.case(f"tar_{name}.pth", why, members([
            ("sys_info", m.program(b"}")), ("pickle", m.program(value)),
            ("storages", m.program(m.number(len(storages))) + b"".join(storages) + listed),
            ("tensors", m.program(m.number(len(tensors))) + b"".join(tensors)), *more]))

    m.case("tar_of_files.tar", "a tar of other files", members([("model/weights.pth", b"PK"), ("readme.txt", b"hello\n")]))
    good = members([("pickle", b"}."), ("storages", b"K\0."), ("tensors", b"K\0.")])
    m.case("tar_cut.pth", "the tar ends inside a member", good[:513])
    m.case("tar_bad_checksum.pth", "a header of the tar is damaged", b"Q" + good[1:])
    bad("two_pickles", "two members are called pickle", more=[("pickle", m.program(b"}"))])
    bad("unknown_number", "the object names tensor 9, there is none", m.one_item(m.text("9") + b"Q"))
    bad("number_is_a_list", "a persistent id that is a list", m.one_item(b"]Q"))
    bad("unknown_class", "torch.QuaternionStorage", storages=[storage(kind="QuaternionStorage")])
    bad("storage_twice", "two storages have the number 1", storages=[storage(), storage()])
    bad("storage_cut", "a storage of 600 elements, and 6 are there", storages=[storage(data=struct.pack("<q", 600) + FLOATS)])
    bad("storage_of_two", "a storage described by two items", storages=[m.program(m.several([m.number(1), m.text("cpu")]))])
    bad("view_outside", "a view of elements 4 to 8 of a storage of 6", views=[(3, 1, 4, 4)], tensors=[tensor(of=3, size=(2,), stride=(1,))])
    bad("view_of_a_view", "a view of a view", views=[(3, 1, 0, 4), (4, 3, 0, 2)])
    bad("view_of_three", "a view described by three numbers", views=[(3, 1, 4)])
    bad("tensor_outside", "a tensor of 3 x 3 over a storage of 6", tensors=[tensor(size=(3, 3))])
    bad("tensor_twice", "two tensors have the number 2", tensors=[tensor(), tensor()])
    bad("tensor_of_nothing", "a tensor over storage 8, there is none", tensors=[tensor(of=8)])
    bad("tensor_of_4000_axes", "a tensor of 4000 axes", tensors=[tensor(axes=4000)])
    bad("tensor_negative", "a tensor of -2 rows", tensors=[tensor(size=(-2, 3))])
    bad("count_is_text", "the number of tensors is text", tensors=[])
    name, why, data = m.CASES.pop()
    m.CASES.append((name, why, data.replace(m.program(m.number(0)), m.program(b"N\x85")[:4] + b".")))


def programs(m):
    def script(name, why, *records, drop=()):
        held = {"m/data.pkl": m.program(m.name_of("__torch__", "Net") + b")\x81}b"), "m/constants.pkl": m.program(b")"),
                "m/code/__torch__.py": b"class Net(Module):\n  __parameters__ = []\n", **dict(records)}
        m.case(f"torchscript_{name}.pt", why, m.archive([pair for pair in held.items() if pair[0] not in drop]))

    script("missing_constant", "constants.pkl names storage 0, there is no constants/0", ("m/constants.pkl", m.program(m.tensor() + b"\x85")))
    script("missing_storage", "data.pkl names storage 0, there is no data/0",
           ("m/data.pkl", m.program(m.name_of("__torch__", "Net") + b")\x81" + m.one_item(m.tensor()) + b"b")))
    script("broken_constants", "constants.pkl is cut off", ("m/constants.pkl", b"\x80\x02("))
    script("unknown_byteorder", "byteorder is neither little nor big", ("m/byteorder", b"middle"))

    graph = {"graph_module": {"graph": {"nodes": []}, "signature": {"input_specs": []}}}
    meta = {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 3}], "requires_grad": True,
            "strides": [{"as_int": 3}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}
    weight = {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": meta}

    def exported(name, why, weights={}, tensor={}, config=None, drop=(), records=()):
        config = config or json.dumps({"config": {"w": {**weight, **weights, "tensor_meta": {**meta, **tensor}}}}).encode()
        held = {"m/models/model.json": json.dumps(graph).encode(), "m/data/weights/model_weights_config.json": config,
                "m/data/weights/weight_0": FLOATS, **dict(records)}
        m.case(f"exported_{name}.pt2", why, m.archive([pair for pair in held.items() if pair[0] not in drop]))

    exported("missing_config", "nothing says what the weights are", drop=["m/data/weights/model_weights_config.json"])
    exported("missing_weight", "weight_0 is not there", drop=["m/data/weights/weight_0"])
    exported("bad_config", "the config is cut-off JSON", config=b'{"config": {"w": {"path_name": ')
    exported("config_of_numbers", "a weight is a number", config=b'{"config": {"w": 5}}')
    exported("unknown_dtype", "dtype 99", tensor={"dtype": 99})
    exported("outside_record", "a tensor of 3 x 3 in a record of 6", tensor={"sizes": [{"as_int": 3}, {"as_int": 3}]})
    exported("negative_size", "-2 rows", tensor={"sizes": [{"as_int": -2}, {"as_int": 3}]})
    exported("symbolic_size", "a size that is an expression", tensor={"sizes": [{"as_expr": {"expr_str": "s0"}}, {"as_int": 3}]})
    exported("size_overflow", "2^62 x 2^62", tensor={"sizes": [{"as_int": 1 << 62}, {"as_int": 1 << 62}]})
    exported("other_rank", "two sizes, one stride", tensor={"strides": [{"as_int": 1}]})
    exported("pickled_junk", "a pickled weight that is no torch file", weights={"use_pickle": True})
    exported("pickled_dict", "a pickled weight that is a dict of two", weights={"use_pickle": True}, records=[(
        "m/data/weights/weight_0", m.archive(m.records(m.program(b"}" + m.text("a") + m.tensor() + b"s" + m.text("b") + m.tensor() + b"s"))))])
    exported("bad_graph", "the graph is cut-off JSON", records=[("m/models/model.json", b'{"graph_module": {')])
    exported("bomb_deep_name", "a tensor 3000 levels deep", config=json.dumps({"config": {"a." * 3000: weight}}).encode())
    old = json.dumps(graph).encode()
    m.case("exported_old_without_weights.pt2", "the layout of 2.1 to 2.5 without its weights",
           m.archive([("serialized_exported_program.json", old), ("version", b"8.8")]))
    m.case("exported_old_junk_weights.pt2", "the layout of 2.1 to 2.5, and its weights are a web page", m.archive([
        ("serialized_exported_program.json", old), ("serialized_state_dict.pt", b"<html>"), ("version", b"8.8")]))
