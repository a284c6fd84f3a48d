//! Every file in fixtures/checkpoints against torch's own reading of it: names in order, dtype, shape, stride, storage
//! offset and the sha256 of the logical elements. Only `scripts/make_fixtures.py` writes the expectations.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pthinspect::bytes::Limits;
use pthinspect::checkpoint::{Checkpoint, NodeValue, TensorEntry};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints")
}

fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("fixtures/checkpoints");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    paths.sort();
    assert!(paths.len() > 30, "only {} fixtures", paths.len());
    paths
}

fn sha256(checkpoint: &Checkpoint, tensor: &TensorEntry) -> String {
    let mut bytes = Vec::new();
    let view = checkpoint.view(tensor).expect("a view");
    view.write_logical(&mut bytes).expect("a Vec");
    let mut text = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(text, "{byte:02x}").expect("a String");
    }
    text
}

/// What differs between torch's answer and ours.
fn differences(checkpoint: &Checkpoint, expected: &Value, tensor: &TensorEntry) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: &str, ours: Value| {
        if expected[what] != ours {
            found.push(format!(
                "{} {what}: torch {}, ours {ours}",
                tensor.name, expected[what]
            ));
        }
    };
    check("name", tensor.name.as_str().into());
    check("dtype", tensor.dtype.name().into());
    let strided = expected["layout"].is_null();
    if !expected["shape"].is_null() {
        check("shape", tensor.layout.shape().to_vec().into());
    }
    if strided {
        check("stride", tensor.layout.stride().to_vec().into());
        check("storage_offset", tensor.layout.storage_offset().into());
    }
    for key in [
        "layout",
        "device",
        "subclass",
        "qscheme",
        "scale",
        "zero_point",
        "scales",
        "zero_points",
        "axis",
    ] {
        if !expected[key].is_null() {
            check(key, tensor.extra.get(key).cloned().unwrap_or_default());
        }
    }
    for (key, ours) in [("conj", tensor.conj), ("neg", tensor.neg)] {
        assert_eq!(
            expected[key] == Value::Bool(true),
            ours,
            "{} {key}",
            tensor.name
        );
    }
    if !expected["sha256"].is_null() {
        check("sha256", sha256(checkpoint, tensor).into());
    }
    if let Some(parts) = expected["parts"].as_array() {
        let ours: Vec<&str> = tensor.parts.iter().map(|p| p.name.as_str()).collect();
        let theirs: Vec<&str> = parts
            .iter()
            .map(|p| p["name"].as_str().expect("a name"))
            .collect();
        if ours != theirs {
            found.push(format!(
                "{} parts: torch {theirs:?}, ours {ours:?}",
                tensor.name
            ));
            return found;
        }
        for (expected, part) in parts.iter().zip(&tensor.parts) {
            found.extend(differences(checkpoint, expected, part));
        }
    }
    found
}

#[test]
fn every_fixture_is_read_as_torch_reads_it() {
    let mut found = Vec::new();
    let (mut tensors, mut all_arrays) = (0, 0);
    for path in fixtures() {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let opened = Checkpoint::open(&path, &Limits::default());
        let checkpoint = match opened {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                found.push(error.to_string());
                continue;
            }
        };
        let expected = std::fs::read(path.with_file_name(format!("{name}.expected.json")));
        let expected: Vec<Value> =
            serde_json::from_slice(&expected.expect("torch's answer")).expect("JSON");
        let arrays = path.with_file_name(format!("{name}.arrays.expected.json"));
        if let Ok(arrays) = std::fs::read(arrays) {
            // the tree may show more: those inside numpy's own objects
            let arrays: Vec<Value> = serde_json::from_slice(&arrays).expect("JSON");
            let ours = arrays_of(&checkpoint);
            let missing = arrays.iter().filter(|array| !ours.contains(array));
            found
                .extend(missing.map(|array| format!("{name}: numpy has {array}, not in {ours:?}")));
            all_arrays += arrays.len();
        }
        let mut ours: Vec<&TensorEntry> = checkpoint.tensors().iter().collect();
        let mut theirs: Vec<&Value> = expected.iter().collect();
        if name.ends_with("safetensors") || name == "sharded_disagrees" || name.starts_with("dcp_")
        {
            // the library hands them out in an order of its own; ours is the header's
            ours.sort_by(|a, b| a.name.cmp(&b.name));
            theirs.sort_by_key(|tensor| tensor["name"].as_str());
        }
        if ours.len() != theirs.len() {
            let names: Vec<&str> = ours.iter().map(|t| t.name.as_str()).collect();
            found.push(format!("{name}: {} tensors, ours {names:?}", theirs.len()));
            continue;
        }
        for (expected, tensor) in theirs.into_iter().zip(ours) {
            tensors += 1;
            let differences = differences(&checkpoint, expected, tensor);
            found.extend(differences.into_iter().map(|d| format!("{name}: {d}")));
        }
    }
    assert!(
        found.is_empty(),
        "{} differences:\n{}",
        found.len(),
        found.join("\n")
    );
    assert!(tensors > 600, "only {tensors} tensors");
    assert!(all_arrays > 30, "only {all_arrays} arrays");
}

/// The numpy arrays in the tree, as the expectations have them.
fn arrays_of(checkpoint: &Checkpoint) -> Vec<Value> {
    let tree = checkpoint.tree();
    let mut found = Vec::new();
    let mut left = vec![(0, String::new())];
    while let Some((number, path)) = left.pop() {
        let node = &tree.nodes[number];
        if let NodeValue::Array { dtype, shape } = &node.value {
            found.push(serde_json::json!({"name": path, "array": dtype, "shape": shape}));
        }
        for child in node.children.iter().rev() {
            let key = &tree.nodes[child.0].key;
            let dot = if path.is_empty() { "" } else { "." };
            left.push((child.0, format!("{path}{dot}{key}")));
        }
    }
    found
}

/// A program's convolutions have the arguments that the module had, whatever kind of file keeps them.
#[test]
fn programs_say_what_their_convolutions_are_called_with() {
    let expected = serde_json::json!({
        "stem.0": {"stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1},
        "same": {"stride": [1, 1], "padding": "same", "dilation": [1, 1], "groups": 2},
        "reflect": {"stride": [1, 1], "padding": [1, 2], "dilation": [1, 2], "padding_mode": "reflect"},
        "up": {"stride": [2, 2], "padding": [0, 0], "output_padding": [1, 1]},
        "line": {"stride": [2]},
    });
    let mut programs = 0;
    for path in fixtures() {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let whole = ["scripted", "traced", "lite", "exported"]
            .iter()
            .any(|kind| name.contains(kind));
        if !whole || name.contains("empty") {
            continue;
        }
        programs += 1;
        let checkpoint = Checkpoint::open(&path, &Limits::default()).expect("a program");
        for (layer, arguments) in expected.as_object().expect("layers") {
            let module = checkpoint
                .module(layer)
                .unwrap_or_else(|| panic!("{name}: no {layer}"));
            assert!(
                module.class.starts_with("torch.nn.modules.conv.Conv"),
                "{name}: {}",
                module.class
            );
            for (argument, value) in arguments.as_object().expect("arguments") {
                assert_eq!(
                    &module.attributes[argument], value,
                    "{name}: {layer} {argument}"
                );
            }
        }
        assert_eq!(
            checkpoint.module("stem.1").expect("a norm").class,
            "torch.nn.modules.batchnorm.BatchNorm2d"
        );
    }
    assert!(programs >= 9, "only {programs}");
}

#[test]
fn index_and_shards_are_held_against_each_other() {
    let open = |name: &str| Checkpoint::open(&folder().join(name), &Limits::default());
    for name in ["sharded_safetensors", "sharded_bin"] {
        let by_folder = open(name).expect(name);
        assert_eq!(by_folder.notes(), [""; 0], "{name}");
        assert_eq!(by_folder.format().name(), "sharded");
        let index = ["model.safetensors", "pytorch_model.bin"]
            .map(|kind| format!("{name}/{kind}.index.json"))
            .into_iter()
            .find(|index| folder().join(index).exists());
        let by_index = open(&index.expect("an index")).expect(name);
        let names = |c: &Checkpoint| {
            c.tensors()
                .iter()
                .map(|t| t.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&by_folder), names(&by_index));
        for tensor in by_folder.tensors() {
            let file = by_folder.file_of(tensor).expect("a shard");
            let at = by_folder.file_offset(tensor).expect("an offset") as usize;
            let bytes = std::fs::read(file).expect("a shard");
            let first = by_folder
                .view(tensor)
                .expect("a view")
                .to_bytes()
                .expect("bytes")[..2]
                .to_vec();
            assert_eq!(bytes[at..at + 2], first, "{}", tensor.name);
        }
    }
    let notes = open("sharded_disagrees")
        .expect("readable")
        .notes()
        .join("\n");
    for expected in [
        "no shard: gone",
        "another shard than the index says: z",
        "not named by the index: y.weight",
        "12345",
    ] {
        assert!(notes.contains(expected), "{expected}: {notes}");
    }
}

/// Beyond 4 GB sizes and offsets are zip64's. The file is sparse: it takes a few kilobytes.
#[test]
fn a_checkpoint_of_more_than_4_gb() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.pth");
    const LARGE: u64 = 4_400_000_000;
    let pickle = {
        let storage = |key: &str, numel: u32| {
            let mut bytes = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0".to_vec();
            bytes.extend(key.bytes());
            bytes.extend(b"X\x03\0\0\0cpu\x8a\x05");
            bytes.extend(numel.to_le_bytes());
            bytes.extend(b"\0tQ");
            bytes
        };
        let tensor = |key: &str, numel: u32| {
            let size = [
                b"\x8a\x05".to_vec(),
                numel.to_le_bytes().to_vec(),
                b"\0\x85".to_vec(),
            ]
            .concat();
            [
                b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
                storage(key, numel),
                b"K\0".to_vec(),
                size,
                b"K\x01\x85\x89}tR".to_vec(),
            ]
            .concat()
        };
        [
            b"\x80\x02}X\x05\0\0\0large".to_vec(),
            tensor("0", (LARGE / 4) as u32),
            b"sX\x05\0\0\0after".to_vec(),
            tensor("1", 3),
            b"s.".to_vec(),
        ]
        .concat()
    };
    let after: Vec<u8> = [1.5f32, -2.0, 3.25]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let records: [(&str, u64, &[u8]); 3] = [
        ("a/data.pkl", pickle.len() as u64, &pickle),
        ("a/data/0", LARGE, &[]),
        ("a/data/1", 12, &after),
    ];
    write_sparse_zip64(&path, &records);
    let checkpoint = Checkpoint::open(&path, &Limits::default()).expect("a checkpoint");
    let [large, small] = checkpoint.tensors() else {
        panic!("{:?}", checkpoint.tensors());
    };
    assert_eq!(large.nbytes() as u64, LARGE);
    assert!(checkpoint.file_offset(small).expect("an offset") > LARGE);
    let view = checkpoint.view(small).expect("a view");
    assert_eq!(view.to_f32().expect("floats"), [1.5, -2.0, 3.25]);
}

/// A zip of stored records whose bytes are the given ones, and zeros (holes) up to the given length.
fn write_sparse_zip64(path: &Path, records: &[(&str, u64, &[u8])]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::File::create(path).expect("a file");
    let mut directory = Vec::new();
    for (name, len, bytes) in records {
        let at = file.stream_position().expect("a position");
        let wide = [16u16.to_le_bytes().to_vec(), len.to_le_bytes().repeat(2)].concat();
        let mut header =
            b"PK\x03\x04\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
        header.extend((name.len() as u16).to_le_bytes());
        header.extend([20, 0]);
        header.extend(name.bytes());
        header.extend([1, 0]);
        header.extend(&wide);
        file.write_all(&header).expect("written");
        file.write_all(bytes).expect("written");
        file.seek(SeekFrom::Current((len - bytes.len() as u64) as i64))
            .expect("a hole");
        directory.extend(
            b"PK\x01\x02\x2d\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        );
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        directory.extend(name.bytes());
        directory.extend([1, 0, 24, 0]);
        directory.extend(len.to_le_bytes().repeat(2));
        directory.extend(at.to_le_bytes());
    }
    let at = file.stream_position().expect("a position");
    let count = records.len() as u64;
    file.write_all(&directory).expect("written");
    let end64 = file.stream_position().expect("a position");
    let mut end = b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0".to_vec();
    end.extend(count.to_le_bytes().repeat(2));
    end.extend((directory.len() as u64).to_le_bytes());
    end.extend(at.to_le_bytes());
    end.extend(b"PK\x06\x07\0\0\0\0");
    end.extend(end64.to_le_bytes());
    end.extend(b"\x01\0\0\0PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    file.write_all(&end).expect("written");
}

#[test]
fn a_state_dict_and_its_module_have_the_same_names() {
    let open = |name| Checkpoint::open(&folder().join(name), &Limits::default()).expect(name);
    let names = |c: &Checkpoint| {
        c.tensors()
            .iter()
            .map(|t| t.name.clone())
            .collect::<Vec<_>>()
    };
    let (module, state) = (open("module_zoo.pth"), open("module_zoo_state.pth"));
    assert_eq!(names(&module), names(&state));
    assert!(
        module
            .notes()
            .iter()
            .any(|note| note.contains("plain_tensor")),
        "{:?}",
        module.notes()
    );
    let conv = module.module("stem.conv").expect("stem.conv");
    assert_eq!(conv.class, "torch.nn.modules.conv.Conv2d");
    assert_eq!(conv.attributes["stride"], serde_json::json!([2, 1]));
    assert_eq!(conv.attributes["padding_mode"], "reflect");
    assert!(state.modules().is_empty());
}
