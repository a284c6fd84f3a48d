//! Checkpoints in several files that do not fit together: each refusal by its smallest folder.

use std::path::Path;

use pthinspect::bytes::Limits;
use pthinspect::checkpoint::Checkpoint;
use pthinspect::error::ErrorKind;

/// A safetensors file of one tensor of two floats.
fn shard(tensor: &str) -> Vec<u8> {
    let header =
        format!("{{\"{tensor}\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}}}");
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &[0; 8],
    ]
    .concat()
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
    folder
}

fn open(path: &Path) -> Result<Checkpoint, pthinspect::Error> {
    Checkpoint::open(path, &Limits::default())
}

#[test]
fn indexes_that_cannot_be_followed_are_refused() {
    let cases: &[(&str, &str)] = &[
        ("{\"weight_map\": [1]}", "no index of a sharded checkpoint"),
        (
            "{\"weight_map\": {\"a\": 5}}",
            "no index of a sharded checkpoint",
        ),
        (
            "{\"weight_map\": {\"a\": \"one.safetensors\"",
            "no index of a sharded checkpoint",
        ),
        (
            "{\"weight_map\": {\"a\": \"gone.safetensors\"}}",
            "\"gone.safetensors\", which is not beside it",
        ),
        (
            "{\"weight_map\": {\"a\": \"../one.safetensors\"}}",
            "which is not a file beside the index",
        ),
        (
            "{\"weight_map\": {\"a\": \"/etc/passwd\"}}",
            "which is not a file beside the index",
        ),
        (
            "{\"weight_map\": {\"a\": \"\"}}",
            "which is not a file beside the index",
        ),
        (
            "{\"weight_map\": {\"a\": \".\"}}",
            "which is not a file beside the index",
        ),
        (
            "{\"weight_map\": {\"a\": \"c\\\\one.safetensors\"}}",
            "which is not a file beside the index",
        ),
        (
            "{\"weight_map\": {\"a\": \"one.safetensors\", \"a\": \"two.safetensors\"}}",
            "names the tensor \"a\" twice",
        ),
        (
            "{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"again.safetensors\"}}",
            "two shards hold \"a\"",
        ),
        (
            "{\"weight_map\": {\"a\": \"other.index.json\"}}",
            "is the index of a sharded checkpoint",
        ),
        ("{\"weight_map\": {\"a\": \"page.bin\"}}", "is a web page"),
    ];
    for (index, expected) in cases {
        let folder = folder(&[
            ("model.safetensors.index.json", index.as_bytes().to_vec()),
            ("one.safetensors", shard("a")),
            ("again.safetensors", shard("a")),
            ("other.index.json", b"{\"weight_map\": {}}".to_vec()),
            ("page.bin", b"<html>".to_vec()),
        ]);
        for path in [
            folder.path().to_owned(),
            folder.path().join("model.safetensors.index.json"),
        ] {
            let error = open(&path).expect_err(index);
            assert!(error.to_string().contains(expected), "{index}: {error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn an_index_in_memory_has_no_shards() {
    let bytes = b"{\"weight_map\": {\"a\": \"Cargo.toml\"}}".to_vec();
    let error =
        Checkpoint::from_bytes("x.index.json", bytes, &Limits::default()).expect_err("no shards");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().expect("a hint").contains("path"));
}

#[test]
fn folders_without_one_checkpoint_say_what_they_hold() {
    let none = folder(&[("readme.txt", b"hello".to_vec())]);
    let error = open(none.path()).expect_err("nothing").to_string();
    assert!(error.contains("folder without a checkpoint"), "{error}");
    let two = folder(&[("a.safetensors", shard("a")), ("b.safetensors", shard("b"))]);
    let error = open(two.path()).expect_err("two").to_string();
    assert!(
        error.contains("2 checkpoints and no index: a.safetensors, b.safetensors"),
        "{error}"
    );
    let index = b"{\"weight_map\": {\"a\": \"a.safetensors\"}}".to_vec();
    let indexes = folder(&[("x.index.json", index.clone()), ("y.index.json", index)]);
    let error = open(indexes.path()).expect_err("two").to_string();
    assert!(error.contains("x.index.json, y.index.json"), "{error}");
    let one = folder(&[
        ("model.safetensors", shard("a")),
        ("config.json", b"{}".to_vec()),
    ]);
    let checkpoint = open(one.path()).expect("the only one");
    assert_eq!(checkpoint.tensors()[0].name, "a");
    assert_eq!(checkpoint.format().name(), "safetensors");
}

#[test]
fn shards_may_lie_in_folders_of_their_own() {
    let index =
        b"{\"weight_map\": {\"a\": \"parts/one.safetensors\", \"b\": \"parts/two.safetensors\"}}"
            .to_vec();
    let folder = folder(&[
        ("model.safetensors.index.json", index),
        ("parts/one.safetensors", shard("a")),
        ("parts/two.safetensors", shard("b")),
    ]);
    let checkpoint = open(folder.path()).expect("a checkpoint");
    let [a, b] = checkpoint.tensors() else {
        panic!("{:?}", checkpoint.tensors());
    };
    assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "b"));
    assert!(
        checkpoint
            .file_of(b)
            .expect("a shard")
            .ends_with("parts/two.safetensors")
    );
    assert_eq!(checkpoint.storages()[1].key, "parts/two.safetensors");
}

/// A distributed checkpoint that torch wrote, in a folder of its own; then one thing is changed.
fn damaged_dcp(change: impl FnOnce(&Path)) -> Result<Checkpoint, pthinspect::Error> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/checkpoints/dcp_two_ranks");
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(from).expect("a fixture") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, folder.path().join(name)).expect("copied");
    }
    change(folder.path());
    open(folder.path())
}

/// Replaces the first such bytes of a file.
fn replace(path: &Path, from: &[u8], to: &[u8]) {
    let bytes = std::fs::read(path).expect("a file");
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("such bytes");
    let changed = [&bytes[..at], to, &bytes[at + from.len()..]].concat();
    std::fs::write(path, changed).expect("written");
}

#[test]
fn distributed_checkpoints_that_miss_something_are_refused() {
    type Change = fn(&Path);
    let cases: &[(Change, &str)] = &[
        (
            |folder| std::fs::remove_file(folder.join("__1_0.distcp")).expect("removed"),
            "which is not there",
        ),
        (
            |folder| std::fs::write(folder.join("__1_0.distcp"), b"PK\x03\x04").expect("written"),
            "bytes from byte",
        ),
        (
            |folder| replace(&folder.join(".metadata"), b"__1_0.distcp", b"../_0.distcp"),
            "not a file beside the index",
        ),
        (
            |folder| {
                replace(
                    &folder.join(".metadata"),
                    b"TensorStorageMetadata",
                    b"TensorStorageMetadatX",
                )
            },
            "where a TensorStorageMetadata is expected",
        ),
        (
            |folder| replace(&folder.join(".metadata"), b"storage_data", b"storage_datX"),
            "has no storage_data",
        ),
        (
            |folder| replace(&folder.join(".metadata"), b"float32", b"float3x"),
            "its dtype is torch.float3x",
        ),
        (
            |folder| std::fs::write(folder.join(".metadata"), b"\x80\x04}.").expect("written"),
            "where a Metadata is expected",
        ),
        (
            |folder| std::fs::write(folder.join(".metadata"), b"\x80\x04").expect("written"),
            "STOP",
        ),
    ];
    for (change, expected) in cases {
        let error = damaged_dcp(change).expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    assert!(damaged_dcp(|_| ()).is_ok());
}

#[test]
fn pieces_in_safetensors_files_must_fit() {
    let shard = |offsets: &str, shape: &str, bytes: usize| {
        let sharding = format!("{{\\\"a\\\": {{\\\"saved_offsets\\\": {offsets}}}}}");
        let header = format!(
            "{{\"__metadata__\":{{\"DCP_SHARDING_INFO\":\"{sharding}\"}},\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{bytes}]}}}}"
        );
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &vec![7; bytes]].concat()
    };
    let two = |first: Vec<u8>, second: Vec<u8>| {
        let folder = folder(&[
            ("shard-1.safetensors", first),
            ("shard-2.safetensors", second),
        ]);
        open(folder.path())
    };
    let good = two(shard("[0, 0]", "[1,2]", 8), shard("[1, 0]", "[2,2]", 16)).expect("whole");
    assert_eq!(good.tensors()[0].layout.shape(), [3, 2]);
    assert_eq!(good.format().name(), "dcp");
    let bytes = good
        .view(&good.tensors()[0])
        .expect("a view")
        .to_bytes()
        .expect("bytes")
        .into_owned();
    assert_eq!(bytes, [7; 24]);
    for (second, expected) in [
        (shard("[2, 0]", "[1,2]", 8), "4 of its 6 elements"),
        (shard("[0, 0]", "[2,2]", 16), "overlap"),
        (shard("[1]", "[2]", 8), "does not fit"),
        (shard("[1, 0, 0]", "[2,2]", 16), "does not fit"),
        (shard("[-1, 0]", "[2,2]", 16), "DCP_SHARDING_INFO"),
        (
            shard("[18446744073709551615, 0]", "[2,2]", 16),
            "does not fit",
        ),
    ] {
        let error = two(shard("[0, 0]", "[1,2]", 8), second)
            .expect_err(expected)
            .to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
