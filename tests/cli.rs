//! The program from outside: what it prints, how it ends, what it leaves on disk.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::{compare, fixture, pthinspect, run, snapshot};

const Q1: &str = "fixtures/questions/cifar_q1.pth.tar";

#[test]
fn question_1_at_a_glance() {
    snapshot("layer_q1", &format!("layer conv1 {Q1} --color never"));
    snapshot(
        "layer_q1_filter",
        &format!("layer conv1 {Q1} --filter 7 --channel 1"),
    );
    snapshot("layer_q1_at", &format!("layer conv1 {Q1} --at 7,2,4,1"));
    snapshot(
        "layer_q1_flat",
        &format!("layer conv1 {Q1} --flat 596 --json"),
    );
    snapshot(
        "layer_q1_input",
        &format!("layer conv1 {Q1} --input 1,3,32,32 --padding 2"),
    );
    snapshot("ls_q1", &format!("ls {Q1}"));
    snapshot("tree_q1", &format!("tree {Q1}"));
}

#[test]
fn filter_7_lies_where_the_program_says() {
    let report = run(["layer", "conv1", Q1, "--filter", "7", "--json"]).json();
    let slice = &report["selection"]["slice"];
    assert_eq!(slice["flat"], serde_json::json!([525, 600]));
    let start = usize::try_from(slice["file_bytes"][0].as_u64().unwrap()).unwrap();
    let end = usize::try_from(slice["file_bytes"][1].as_u64().unwrap()).unwrap();
    // torch's own w[7], through the golden that torch wrote: filters 7 of the golden's weight
    let golden = fs::read(fixture("questions/cifar_q1.golden.safetensors")).unwrap();
    let golden = safetensors::SafeTensors::deserialize(&golden).unwrap();
    let name = golden
        .names()
        .into_iter()
        .find(|name| name.ends_with(".weight"))
        .unwrap();
    let weight = golden.tensor(name).unwrap();
    assert_eq!(weight.shape(), [192, 3, 5, 5]);
    let expected = &weight.data()[525 * 4..600 * 4];
    let file = fs::read(fixture("questions/cifar_q1.pth.tar")).unwrap();
    assert_eq!(&file[start..end], expected);
    // and the values that are shown are those numbers
    let values = report["selection"]["grids"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|grid| {
            grid["values"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|row| row.as_array().unwrap())
        });
    let shown: Vec<u8> = values
        .flat_map(|v| (v.as_f64().unwrap() as f32).to_le_bytes())
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn the_other_questions_at_a_glance() {
    snapshot(
        "layer_q2_conv2",
        "layer conv2 fixtures/questions/mnist_q2_state.pth",
    );
    snapshot(
        "layer_q2_fc1",
        "layer fc1 fixtures/questions/mnist_q2_state.pth --filter 3",
    );
    snapshot(
        "tree_q2_module",
        "tree fixtures/questions/mnist_q2_module.pth",
    );
    snapshot(
        "tree_q2_sequential",
        "tree fixtures/questions/mnist_q2_sequential.pth",
    );
    snapshot(
        "layer_q4",
        "layer conv fixtures/questions/kernel_axes_q4.pth --input 1,3,8,8 --filter 1",
    );
    snapshot("tree_q5", "tree fixtures/questions/signature_q5_module.pth");
}

#[test]
fn every_memory_order_is_explained() {
    snapshot("ls_views", "ls fixtures/checkpoints/views.pth");
    snapshot(
        "layer_column_major",
        "layer conv_column_major fixtures/checkpoints/views.pth --at 7,2,1,0",
    );
    snapshot(
        "layer_channels_last",
        "layer conv_channels_last fixtures/checkpoints/views.pth --filter 1",
    );
}

#[test]
fn at_and_flat_are_each_others_inverse() {
    for flat in [0usize, 1, 74, 75, 596, 14_399] {
        let by_flat = run(["layer", "conv1", Q1, "--json", "--flat", &flat.to_string()]).json();
        let index: Vec<String> = by_flat["element"]["index"]
            .as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        let by_index = run(["layer", "conv1", Q1, "--json", "--at", &index.join(",")]).json();
        assert_eq!(by_flat["element"], by_index["element"]);
        assert_eq!(by_index["element"]["flat"], flat);
    }
}

/// Every checkpoint that torch wrote, against torch's own answer.
#[test]
fn ls_agrees_with_torch_on_every_fixture() {
    let mut compared = 0;
    for path in files("checkpoints") {
        let expected = Path::new(&format!("{}.expected.json", path.display())).to_owned();
        let Ok(expected) = fs::read(expected) else {
            continue;
        };
        let expected: Vec<Value> = serde_json::from_slice(&expected).unwrap();
        let listed = run(["ls", path.to_str().unwrap(), "--json", "--sha256"]);
        let mut listed = listed.json()["tensors"].as_array().unwrap().clone();
        let mut expected = expected;
        if path.to_string_lossy().contains("dcp_") {
            // in the order in which the ranks' lists were joined; torch puts the dict together by keys
            listed.sort_by_key(|tensor| tensor["name"].to_string());
            expected.sort_by_key(|tensor| tensor["name"].to_string());
        }
        let names = |list: &[Value]| list.iter().map(|t| t["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&listed), names(&expected), "{}", path.display());
        for (found, expected) in listed.iter().zip(&expected) {
            same_tensor(&path, found, expected);
        }
        compared += 1;
    }
    assert!(compared > 20, "only {compared} compared");
}

/// One tensor, and what it is made of.
fn same_tensor(path: &Path, found: &Value, wanted: &Value) {
    let at = format!("{} {}", path.display(), found["name"]);
    for (key, expected) in wanted.as_object().unwrap() {
        if key == "parts" {
            for (found, expected) in found["parts"]
                .as_array()
                .unwrap()
                .iter()
                .zip(expected.as_array().unwrap())
            {
                same_tensor(path, found, expected);
            }
            assert_eq!(
                found["parts"].as_array().map(Vec::len),
                expected.as_array().map(Vec::len),
                "{at}"
            );
        } else {
            // torch shows no single elements of quint4x2, two to a byte: the digest is that of the bytes
            let is_packed = key == "sha256" && wanted.get("packed_sha256").is_some();
            let key = if key == "packed_sha256" {
                "sha256"
            } else {
                key
            };
            assert!(
                is_packed || &found[key] == expected,
                "{at} {key}: {}",
                found[key]
            );
        }
    }
}

/// The files of a folder of fixtures, by name.
fn files(folder: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(fixture(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() || folder == "checkpoints")
        .filter(|path| {
            !path
                .extension()
                .is_some_and(|ending| ending == "why" || ending == "json")
        })
        .collect();
    files.sort();
    files
}

/// What torch would refuse, and this program can read: nothing in them is in doubt.
const READ_ANYWAY: [&str; 1] = ["thousands_of_axes.pth"];

/// Every refusal has its smallest input: exit 2 and one line. The lines are a snapshot, to be read and judged.
#[test]
fn bad_files_are_refused_in_one_line() {
    let mut lines = String::new();
    for path in files("malformed") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let tolerated = ["odd_", "bomb_", "hostile_"]
            .iter()
            .any(|start| name.starts_with(start));
        if name.starts_with("golden_") || name.starts_with("npy_") {
            continue;
        }
        let shown = format!("fixtures/malformed/{name}");
        for command in ["ls", "tree"] {
            let run = run([command, &shown]);
            assert!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
            if run.code == Some(0) && (tolerated || READ_ANYWAY.contains(&name)) {
                continue;
            }
            let message = run.refusal();
            assert!(message.contains(name), "{name} is not named: {message}");
            if command == "ls" {
                lines += &message;
            }
        }
    }
    compare("refusals", &lines.replace("fixtures/malformed/", ""));
}

#[test]
fn wrong_kinds_of_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &[u8], &str); 6] = [
        (
            "page.pth",
            b"<!DOCTYPE html>\n<html><body>404</body></html>",
            "HTML",
        ),
        (
            "lfs.pth",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n",
            "git-lfs",
        ),
        ("gz.pth", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
        ("empty.pth", b"", "empty"),
        ("notes.pth", b"these are my notes\n", "text"),
        (
            "cut.pth",
            &fs::read(fixture("questions/cifar_q1.pth.tar")).unwrap()[..50_000],
            "zip",
        ),
    ];
    for (name, bytes, word) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for command in [&["ls"][..], &["tree"], &["layer", "conv1"]] {
            let mut arguments = command.to_vec();
            arguments.push(path.to_str().unwrap());
            let message = run(arguments).refusal();
            assert!(
                message.to_lowercase().contains(&word.to_lowercase()),
                "{name}: {message}"
            );
        }
    }
    let message = run(["ls", "fixtures/malformed/missing_storage.pth"]).refusal();
    assert!(message.contains("data/0"), "{message}");
    let message = run(["ls", folder.path().to_str().unwrap()]).refusal();
    assert!(message.contains("folder"), "{message}");
    let message = run(["ls", folder.path().join("none.pth").to_str().unwrap()]).refusal();
    assert!(message.contains("none.pth"), "{message}");
}

#[test]
fn bad_requests_are_refused_in_one_line() {
    for (arguments, word) in [
        (&["layer", "conv9", Q1][..], "conv9"),
        (&["layer", "conv1", Q1, "--filter", "192"], "192"),
        (&["layer", "conv1", Q1, "--channel", "3"], "counted from 0"),
        (&["layer", "conv1", Q1, "--at", "0,0,0"], "[192, 3, 5, 5]"),
        (&["layer", "conv1", Q1, "--at", "0,0,5,0"], "[192, 3, 5, 5]"),
        (&["layer", "conv1", Q1, "--flat", "14400"], "14400"),
        (&["layer", "conv1", Q1, "--groups", "5"], "5"),
        (&["layer", "conv1", Q1, "--in-channels", "4"], "4"),
        (
            &["layer", "conv1", Q1, "--stride", "0", "--input", "1,3,9,9"],
            "stride",
        ),
        (
            &["layer", "conv1", Q1, "--input", "1,4,32,32"],
            "4 input channels",
        ),
        (&["layer", "conv1", Q1, "--input", "1,3,4,4"], "kernel"),
        (&["layer", "conv1", Q1, "--input", "3"], "N,C,H,W"),
        (&["layer", Q1, "conv1"], "NAME"),
        (&["layer", Q1], "NAME"),
        (&["ls", Q1, "nothing.*"], "nothing.*"),
        (&["ls", Q1, "["], "glob"),
        (
            &["export", "conv1", Q1, "--output", "/proc/nowhere/"],
            "/proc/nowhere",
        ),
        (
            &["export", "conv1", Q1, "--output", "/nowhere/out.bin"],
            "/nowhere/out.bin",
        ),
        (&["export", Q1, "--output", "/tmp/all.npy"], ".npy"),
    ] {
        let message = run(arguments).refusal();
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
}

#[test]
fn usage_errors_of_the_argument_parser_end_with_2_too() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["layer"],
        &["ls", "--color", "sometimes"],
        &["layer", "x", Q1, "--flat", "-1"],
        &["layer", "x", Q1, "--at", "a,b"],
        &["export", Q1],
    ] {
        let run = run(arguments);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.starts_with("error: "), "{run:?}");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn help_goes_to_stdout_and_every_command_has_examples() {
    let help = run(["--help"]).ok();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        // not the second line of a description
        .filter_map(|line| {
            line.strip_prefix("  ")
                .filter(|rest| !rest.starts_with(' '))
        })
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(
        commands.contains(&"ls") && commands.contains(&"layer"),
        "{commands:?}"
    );
    for command in commands {
        let help = run([command, "--help"]).ok();
        assert!(help.contains("Examples:"), "{command}");
        assert!(
            help.contains(&format!("$ pthinspect {command}")),
            "{command}"
        );
        assert!(help.contains("--json"), "{command}");
    }
}

#[test]
fn colours_come_only_where_wanted() {
    let colours = |arguments: &[&str]| run(arguments).ok().contains('\u{1b}');
    assert!(!colours(&["ls", Q1]), "into a pipe");
    assert!(colours(&["ls", Q1, "--color", "always"]));
    assert!(!colours(&["--color", "never", "ls", Q1]));
    // the page says the same with and without
    let plain = run(["layer", "conv1", Q1]).ok();
    let mut stripped = run(["layer", "conv1", Q1, "--color", "always"]).ok();
    while let Some(start) = stripped.find('\u{1b}') {
        let end = start + stripped[start..].find('m').unwrap();
        stripped.replace_range(start..=end, "");
    }
    assert_eq!(plain, stripped);
}

#[test]
fn pages_fit_into_80_columns() {
    for file in [
        Q1,
        "fixtures/questions/signature_q5_module.pth",
        "fixtures/questions/signature_q5_state.pth",
        "fixtures/checkpoints/module_zoo.pth",
        "fixtures/checkpoints/module_zoo_state.pth",
        "fixtures/checkpoints/views.pth",
    ] {
        let listed = run(["ls", file, "--json"]).json();
        for tensor in listed["tensors"].as_array().unwrap() {
            let name = tensor["name"].as_str().unwrap();
            let page = run(["layer", name, file, "--filter", "0", "--flat", "0"]);
            if page.code != Some(0) {
                // a scalar has no filters, an empty tensor no elements
                page.refusal();
                continue;
            }
            for line in page.stdout.lines() {
                assert!(line.chars().count() <= 80, "{file} {name}: {line}");
            }
        }
    }
}

/// Copies the fixture `from` into `folder` as `to`.
fn copy(from: &str, folder: &Path, to: &str) {
    fs::copy(support::root().join(from), folder.join(to)).unwrap();
}

#[test]
fn the_only_checkpoint_of_the_folder_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let here = || {
        let mut command = pthinspect();
        command.current_dir(folder.path());
        command
    };
    let none: support::Run = here().arg("ls").output().unwrap().into();
    assert!(none.refusal().contains("no checkpoint"));
    copy(Q1, folder.path(), "a.pth.tar");
    copy(
        "fixtures/questions/cifar_q1.golden.safetensors",
        folder.path(),
        "x.golden.safetensors",
    );
    let one: support::Run = here().args(["layer", "conv1"]).output().unwrap().into();
    assert!(one.stderr.contains("a.pth.tar"), "{one:?}");
    assert!(one.ok().starts_with("state_dict"));
    copy(Q1, folder.path(), "b.pth");
    let two: support::Run = here().arg("ls").output().unwrap().into();
    let message = two.refusal();
    assert!(message.contains("a.pth.tar, b.pth"), "{message}");
    let variable: support::Run = here()
        .env("PTHINSPECT_FILE", "b.pth")
        .args(["ls", "--json"])
        .output()
        .unwrap()
        .into();
    assert_eq!(variable.json()["file"], "b.pth");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = pthinspect()
        .args(["layer", "conv1", Q1, "--filter", "0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
