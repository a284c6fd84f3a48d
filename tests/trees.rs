//! What `tree` is given to show of the objects in a checkpoint.

use std::path::Path;

use pthinspect::bytes::Limits;
use pthinspect::checkpoint::{Checkpoint, NodeId, NodeValue, StorageId};

fn open(name: &str) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints");
    Checkpoint::open(&folder.join(name), &Limits::default()).expect(name)
}

fn child(checkpoint: &Checkpoint, parent: NodeId, key: &str) -> NodeId {
    let nodes = &checkpoint.tree().nodes;
    let mut children = nodes[parent.0].children.iter();
    let found = children.find(|child| nodes[child.0].key == key);
    *found.unwrap_or_else(|| panic!("no {key}"))
}

fn value<'c>(checkpoint: &'c Checkpoint, path: &[&str]) -> &'c NodeValue {
    let node = path
        .iter()
        .fold(NodeId(0), |node, key| child(checkpoint, node, key));
    &checkpoint.tree().nodes[node.0].value
}

#[test]
fn known_objects_print_on_one_line() {
    let checkpoint = open("objects.pth");
    for (key, text) in [
        ("complex", "complex(1.0, -2.0)"),
        ("range", "range(2, 9, 3)"),
        ("slice", "slice(1, None, 2)"),
        ("path", "pathlib.PurePosixPath('a/b.txt')"),
        (
            "when",
            "datetime.datetime(2026, 11, 21, 10, 30, 15, 123456)",
        ),
        ("day", "datetime.date(2026, 11, 21)"),
        ("for", "datetime.timedelta(2, 3, 0)"),
        ("fraction", "fractions.Fraction(1, 3)"),
        ("device", "torch.device('cuda', 1)"),
        ("size", "torch.Size([2, 3])"),
        ("numpy_scalar", "numpy.float64(1.5)"),
        ("numpy_int", "numpy.int64(-7)"),
        ("numpy_bool", "numpy.bool(True)"),
        ("numpy_dtype", "numpy.dtype('float16')"),
    ] {
        assert_eq!(value(&checkpoint, &[key]), &NodeValue::Repr(text.into()));
    }
    for (key, name) in [
        ("dtype", "torch.bfloat16"),
        ("layout", "torch.strided"),
        ("class", "zoo.Tag"),
        ("function", "torch.nn.functional.relu"),
    ] {
        assert_eq!(value(&checkpoint, &[key]), &NodeValue::Global(name.into()));
    }
    for (key, dtype, shape) in [
        ("numpy_array", "float32", vec![2, 3]),
        ("numpy_big_endian", ">i2", vec![3]),
        ("numpy_text", "<U3", vec![2]),
    ] {
        let dtype = dtype.to_owned();
        assert_eq!(
            value(&checkpoint, &[key]),
            &NodeValue::Array { dtype, shape }
        );
    }
}

#[test]
fn unknown_objects_are_placeholders_with_their_attributes() {
    let checkpoint = open("objects.pth");
    let object = |class: &str| NodeValue::Object {
        class: class.into(),
    };
    assert_eq!(
        value(&checkpoint, &["dataclass"]),
        &object("zoo.TrainState")
    );
    assert_eq!(
        value(&checkpoint, &["dataclass", "loss"]),
        &NodeValue::Float(0.5)
    );
    assert_eq!(value(&checkpoint, &["enum"]), &object("zoo.Phase"));
    assert_eq!(
        value(&checkpoint, &["enum", "0"]),
        &NodeValue::Str("train".into())
    );
    assert_eq!(
        value(&checkpoint, &["slots", "right"]),
        &NodeValue::Str("right".into())
    );
    let class = Some("collections.defaultdict".to_owned());
    assert_eq!(value(&checkpoint, &["default"]), &NodeValue::Dict { class });
    assert_eq!(
        value(&checkpoint, &["long", "1"]),
        &NodeValue::Int((-(1i128 << 63)).to_string())
    );
    assert_eq!(value(&checkpoint, &["bytes", "1"]), &NodeValue::Bytes(6));
}

#[test]
fn a_value_inside_itself_is_a_reference() {
    let checkpoint = open("objects.pth");
    let lies_in = child(&checkpoint, NodeId(0), "loop");
    assert_eq!(
        value(&checkpoint, &["loop", "2"]),
        &NodeValue::Reference(lies_in)
    );
}

#[test]
fn a_module_shows_attributes_state_and_submodules() {
    let checkpoint = open("module_zoo.pth");
    let shown = |path: &[&str]| format!("{:?}", value(&checkpoint, path));
    assert!(shown(&[]).contains("zoo.Zoo"));
    assert_eq!(shown(&["note"]), r#"Str("attributes are not state")"#);
    assert_eq!(shown(&["absent"]), "None");
    assert_eq!(shown(&["not_kept"]), r#"Repr("torch.Tensor(int64, [5])")"#);
    assert!(shown(&["stem", "conv", "weight"]).starts_with("Tensor("));
    let bare = checkpoint.module("same").expect("same");
    assert_eq!(bare.attributes["padding"], "same");
    assert_eq!(bare.attributes["groups"], 2);
}

#[test]
fn shared_tensors_have_one_storage() {
    let checkpoint = open("shared_across_dicts.pth");
    let names: Vec<&str> = checkpoint
        .sharing(StorageId(0))
        .map(|t| t.name.as_str())
        .collect();
    let wanted = [
        "encoder.weight",
        "decoder.weight",
        "decoder.bias",
        "again.0",
        "again.1.deep",
    ];
    assert_eq!(names, wanted);
    assert_eq!(checkpoint.storages().len(), 1);
}

#[test]
fn file_offsets_are_where_the_elements_are() {
    for name in ["views.pth", "with_metadata.safetensors", "other_root.pth"] {
        let checkpoint = open(name);
        let file = std::fs::read(checkpoint.path()).expect("the file");
        let mut looked_at = 0;
        for tensor in checkpoint.tensors() {
            let Some(offset) = checkpoint.file_offset(tensor) else {
                assert_eq!(tensor.layout.numel(), 0, "{}", tensor.name);
                continue;
            };
            let first = vec![0; tensor.layout.shape().len()];
            let bits = checkpoint
                .view(tensor)
                .expect("a view")
                .bits(&first)
                .expect("an element");
            let size = tensor.dtype.bits() / 8;
            let at = offset as usize;
            assert_eq!(
                file[at..at + size],
                bits.to_le_bytes()[..size],
                "{}",
                tensor.name
            );
            looked_at += 1;
        }
        assert!(looked_at > 3);
    }
    let deflated = open("deflated.pth");
    assert!(
        deflated
            .tensors()
            .iter()
            .all(|tensor| deflated.file_offset(tensor).is_none())
    );
}
