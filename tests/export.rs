//! `export`: what it leaves on disk.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use serde_json::Value;
use support::{fixture, run};

const Q1: &str = "fixtures/questions/cifar_q1.pth.tar";

#[test]
fn export_writes_logical_elements_and_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("conv1.bin");
    run([
        "export",
        "conv1.weight",
        Q1,
        "--output",
        out.to_str().unwrap(),
    ])
    .ok();
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.path().join("conv1.bin.json")).unwrap()).unwrap();
    let tensor = &manifest["tensors"][0];
    assert_eq!(tensor["shape"], serde_json::json!([192, 3, 5, 5]));
    assert_eq!(
        tensor["axes"],
        serde_json::json!([
            "out_channels",
            "in_channels/groups",
            "kernel_height",
            "kernel_width"
        ])
    );
    assert_eq!(tensor["file"], "conv1.bin");
    let listed = run(["ls", Q1, "conv1.weight", "--json", "--sha256"]).json();
    assert_eq!(tensor["sha256"], listed["tensors"][0]["sha256"]);
    assert_eq!(
        sha256(&fs::read(&out).unwrap()),
        tensor["sha256"].as_str().unwrap()
    );
}

/// One tensor is large enough to be copied from file to file.
#[test]
fn without_digests_the_bytes_are_the_same() {
    use std::io::Write;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.safetensors");
    let header = r#"{"a":{"dtype":"F32","shape":[200000],"data_offsets":[0,800000]},"b":{"dtype":"U8","shape":[3],"data_offsets":[800000,800003]}}"#;
    let data: Vec<u8> = (0..800_003u32).map(|i| (i * 7 + i / 256) as u8).collect();
    let mut out = fs::File::create(&file).unwrap();
    out.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    out.write_all(header.as_bytes()).unwrap();
    out.write_all(&data).unwrap();
    drop(out);
    for digests in [true, false] {
        for place in ["all.bin", "files/"] {
            let place = format!("{}/{digests}-{place}", folder.path().display());
            let mut words = vec!["export", file.to_str().unwrap(), "--output", &place];
            if !digests {
                words.push("--no-sha256");
            }
            let manifest = run([&words[..], &["--json"]].concat()).json();
            let written = match place.strip_suffix('/') {
                Some(folder) => ["a.bin", "b.bin"]
                    .map(|name| fs::read(format!("{folder}/{name}")).unwrap())
                    .concat(),
                None => fs::read(&place).unwrap(),
            };
            assert!(written == data, "{place}");
            for (tensor, bytes) in [(0, &data[..800_000]), (1, &data[800_000..])] {
                let digest = manifest["tensors"][tensor].get("sha256");
                assert_eq!(digest.is_some(), digests);
                assert!(digest.is_none_or(|digest| digest == sha256(bytes).as_str()));
            }
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn export_of_strided_tensors_is_in_c_order() {
    let folder = tempfile::tempdir().unwrap();
    let views = "fixtures/checkpoints/views.pth";
    let expected: Vec<Value> =
        serde_json::from_slice(&fs::read(fixture("checkpoints/views.pth.expected.json")).unwrap())
            .unwrap();
    let out = format!("{}/", folder.path().join("all").display());
    let manifest = run(["export", views, "--output", &out, "--json"]).json();
    for (written, expected) in manifest["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&expected)
    {
        assert_eq!(written["name"], expected["name"]);
        let bytes = fs::read(
            folder
                .path()
                .join("all")
                .join(written["file"].as_str().unwrap()),
        );
        assert_eq!(
            sha256(&bytes.unwrap()),
            expected["sha256"].as_str().unwrap()
        );
    }
    assert_eq!(
        manifest["tensors"].as_array().unwrap().len(),
        expected.len()
    );
    // one after the other in one file
    let blob = folder.path().join("all.bin");
    let manifest = run([
        "export",
        views,
        "--output",
        blob.to_str().unwrap(),
        "--json",
    ])
    .json();
    let bytes = fs::read(&blob).unwrap();
    let mut end = 0;
    for (written, expected) in manifest["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&expected)
    {
        let start = usize::try_from(written["offset"].as_u64().unwrap()).unwrap();
        assert_eq!(start, end);
        end = start + usize::try_from(written["nbytes"].as_u64().unwrap()).unwrap();
        assert_eq!(
            sha256(&bytes[start..end]),
            expected["sha256"].as_str().unwrap()
        );
    }
    assert_eq!(end, bytes.len());
}

#[test]
fn export_to_npy_by_ending() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("w.npy");
    run([
        "export",
        "conv1.weight",
        Q1,
        "--output",
        out.to_str().unwrap(),
    ])
    .ok();
    let bytes = fs::read(&out).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01\0"));
    let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
    assert!(
        header.contains("'<f4'") && header.contains("(192, 3, 5, 5)"),
        "{header}"
    );
    assert_eq!(bytes.len(), 128 + 57_600);
}

#[test]
fn a_failed_export_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.bin");
    run(["export", "nothing", Q1, "--output", out.to_str().unwrap()]).refusal();
    run([
        "export",
        "fixtures/malformed/missing_storage.pth",
        "--output",
        out.to_str().unwrap(),
    ])
    .refusal();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
