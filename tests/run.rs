//! `run`: one layer executed, against outputs that PyTorch saved.
#![allow(clippy::unwrap_used)]

mod support;

use safetensors::SafeTensors;
use support::fixture;
use support::run;
use tempfile::TempDir;

const Q1: &str = "fixtures/questions/cifar_q1.pth.tar";
const CORNER: &str = "fixtures/questions/cifar_q1_corner_input.npy";
const NATIVE: &str = "threads=1,cpu_capability=AVX512";

/// `run conv1` of question 1 on the corner of the image, with more arguments.
fn corner(output: &str, more: &[&str]) -> support::Run {
    let mut arguments = vec![
        "run",
        "conv1",
        Q1,
        "--input",
        CORNER,
        "--output",
        output,
        "--padding",
        "2",
    ];
    arguments.extend(more);
    run(arguments)
}

fn expected() -> Vec<u8> {
    std::fs::read(fixture("questions/cifar_q1_corner_output.npy")).unwrap()
}

#[test]
fn question_1_is_computed_to_the_last_bit() {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("y.npy");
    let output = output.to_str().unwrap();
    let done = corner(output, &["--origin", NATIVE]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.stdout, "", "the output is a file; words go to stderr");
    assert_eq!(
        done.stderr,
        "state_dict.module.conv1: [1, 3, 14, 14] -> [1, 192, 14, 14] in the order onednn-direct-blocks/ic16\n"
    );
    assert_eq!(std::fs::read(output).unwrap(), expected());
    for how in [["--kernel", "reference"], ["--threads", "3"]] {
        let done = corner(output, &[&["--origin", NATIVE], &how[..]].concat());
        assert_eq!(done.code, Some(0));
        assert_eq!(std::fs::read(output).unwrap(), expected(), "{how:?}");
    }
    // another order: the same numbers but for their last bits
    let other = corner(output, &["--order", "sequential/chw-muladd-bias-last"]);
    assert_eq!(other.code, Some(0));
    assert_ne!(std::fs::read(output).unwrap(), expected());
}

#[test]
fn every_kind_of_file_holds_the_same_output() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let elements = expected()[expected().len() - 192 * 14 * 14 * 4..].to_vec();
    for output in ["y.safetensors:out", "y.npz:out", "y.pt", "z.pt:out"] {
        let done = corner(&path(output), &["--origin", NATIVE]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let bytes = std::fs::read(path("y.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("out").unwrap().data(), elements);
    for name in ["y.pt", "z.pt"] {
        let listed = run(["ls", &path(name), "--json", "--sha256"]).json();
        let tensor = &listed["tensors"][0];
        assert_eq!(tensor["shape"], serde_json::json!([1, 192, 14, 14]));
        let at = usize::try_from(tensor["file_offset"].as_u64().unwrap()).unwrap();
        let bytes = std::fs::read(path(name)).unwrap();
        assert_eq!(&bytes[at..at + elements.len()], elements);
    }
    // and what was written can be read: a 1x1 layer over it would take 192 channels, this one takes 3
    for input in ["y.npz:out", "y.safetensors:out", "y.pt", "z.pt:out"] {
        let refused = run([
            "run",
            "conv1",
            Q1,
            "--input",
            &path(input),
            "--output",
            &path("w.npy"),
        ]);
        assert!(refused.refusal().contains("the input has 192 channels"));
    }
}

/// A pickled module knows stride, padding and the rest: nothing but the input is given, for every argument of Conv2d.
#[test]
fn a_module_knows_its_own_arguments() {
    let golden = std::fs::read(fixture("questions/signature_q5.golden.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&golden).unwrap();
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("y.safetensors");
    let mut layers = 0;
    for name in golden.names() {
        let Some(layer) = name.strip_suffix(".input") else {
            continue;
        };
        layers += 1;
        let input = format!("fixtures/questions/signature_q5.golden.safetensors:{name}");
        let done = run([
            "run",
            layer,
            "fixtures/questions/signature_q5_module.pth",
            "--input",
            &input,
            "--output",
            output.to_str().unwrap(),
            "--origin",
            NATIVE,
        ]);
        assert_eq!(done.code, Some(0), "{layer}: {done:?}");
        let bytes = std::fs::read(&output).unwrap();
        let computed = SafeTensors::deserialize(&bytes).unwrap();
        let computed = computed.tensor("output").unwrap();
        let saved = golden.tensor(&format!("{layer}.output")).unwrap();
        assert_eq!(computed.shape(), saved.shape(), "{layer}");
        assert_eq!(computed.data(), saved.data(), "{layer}");
    }
    assert!(layers >= 19);
}

#[test]
fn refusals_name_what_is_wrong_and_leave_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("y.npy");
    let output = output.to_str().unwrap();
    let refused = |more: &[&str]| corner(output, more).refusal();
    assert!(refused(&["--stride", "0"]).contains("stride must be at least 1"));
    assert!(refused(&["--groups", "3"]).contains("groups=3 expects 9"));
    assert!(refused(&["--padding-mode", "mirror"]).contains("padding_mode is \"mirror\""));
    assert!(refused(&["--order", "nonsense"]).contains("nonsense"));
    assert!(refused(&["--origin", "threads=0"]).contains("threads"));
    assert!(refused(&["--origin", "machine=aarch64"]).contains("no rule is known"));
    let nowhere = corner("/nonexistent/y.npy", &[]).refusal();
    assert!(nowhere.contains("/nonexistent/y.npy: cannot be written"));
    let fc = run(["run", "fc", Q1, "--input", CORNER, "--output", output]).refusal();
    assert!(fc.contains("the weight [10, 256] takes 256"), "{fc}");
    let unknown = run(["run", "conv9", Q1, "--input", CORNER, "--output", output]).refusal();
    assert!(unknown.contains("hint: "), "{unknown}");
    for entry in std::fs::read_dir(fixture("malformed")).unwrap() {
        let path = entry.unwrap().path();
        let path = path.to_str().unwrap();
        if path.ends_with(".npy") {
            let refused = run(["run", "conv1", Q1, "--input", path, "--output", output]).refusal();
            assert!(refused.contains(path), "{refused}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// `run conv1` of question 1 with one output element explained.
fn explained(more: &str) -> String {
    format!("run conv1 {Q1} --input {CORNER} --padding 2 --origin {NATIVE} {more}")
}

#[test]
fn one_output_element_is_explained() {
    support::snapshot(
        "explain_output",
        &explained("--explain-output 0,7,0,1 --rows 24"),
    );
    let against = "--explain-output 0,7,4,1 --rows 24 --against sequential/chw-fma-bias-first";
    support::snapshot("explain_output_against", &explained(against));
    let lanes = "--explain-output 0,7,4,4 --rows 24 --order custom/chw-kb40-lanes4_halving-muladd-bias_second";
    support::snapshot("explain_output_lanes", &explained(lanes));
}

#[test]
fn the_explained_element_is_the_one_that_is_computed() {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("y.npy");
    for order in [
        "onednn-direct-blocks/ic16",
        "onednn-gemm/avx2-t1-l2_1024k",
        "mkl-slow2d/kb192-t2",
        "onednn-ref/muladd",
    ] {
        let arguments = format!(
            "{} --json",
            explained(&format!(
                "--explain-output 0,191,3,13 --order {order} --output {}",
                output.display()
            ))
        );
        let document = run(arguments.split(' ')).json();
        let explain = &document["explain"];
        let bytes = std::fs::read(&output).unwrap();
        let flat = (191 * 14 + 3) * 14 + 13;
        let start = bytes.len() - 4 * 192 * 14 * 14 + 4 * flat;
        let computed = u32::from_le_bytes(bytes[start..start + 4].try_into().unwrap());
        assert_eq!(explain["bits"], format!("{computed:#010x}"), "{order}");
        let steps = explain["steps"].as_array().unwrap();
        assert_eq!(steps.last().unwrap()["bits"], explain["bits"]);
        let taps = steps.iter().filter(|step| step["tap"].is_array()).count();
        assert_eq!(taps, 75, "every tap, those in the padding too");
    }
}

#[test]
fn elements_that_are_not_there_are_refused() {
    for index in ["0,192,0,0", "0,0,14,0", "1,0,0,0", "0,0"] {
        let arguments = explained(&format!("--explain-output {index}"));
        assert!(
            run(arguments.split(' '))
                .refusal()
                .contains("is not in the output")
        );
    }
}

/// A golden holds its layers under their names, so it serves as checkpoint, input and expectation.
#[test]
fn the_output_has_the_dtype_of_layer_and_input() {
    let folder = TempDir::new().unwrap();
    for (file, origin) in [
        (
            "bf16_t1",
            "threads=1,cpu_capability=AVX512,cpu_flags=avx512_bf16",
        ),
        (
            "bf16_emulated",
            "threads=1,cpu_capability=AVX512,cpu_flags=avx512f",
        ),
        ("f16_t1", "threads=1"),
    ] {
        let file = format!("fixtures/goldens/narrow/{file}.golden.safetensors");
        let bytes = std::fs::read(support::fixture(&file["fixtures/".len()..])).unwrap();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let expected = golden.tensor("direct_odd_channels.output").unwrap();
        let output = folder.path().join("y.safetensors");
        for ending in ["y.npy", "y.pt", "y.safetensors"] {
            let output = folder.path().join(ending);
            let done = run([
                "run",
                "direct_odd_channels",
                &file,
                "--input",
                &format!("{file}:direct_odd_channels.input"),
                "--output",
                output.to_str().unwrap(),
                "--stride",
                "2",
                "--padding",
                "1",
                "--origin",
                origin,
            ]);
            assert_eq!(done.code, Some(0), "{done:?}");
            let written = std::fs::read(&output).unwrap();
            let found = written
                .windows(expected.data().len())
                .any(|window| window == expected.data());
            assert!(found, "{file} {ending}");
        }
        let bytes = std::fs::read(&output).unwrap();
        let computed = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(computed.tensor("output").unwrap().dtype(), expected.dtype());
    }
    let refused = run([
        "run",
        "conv1",
        Q1,
        "--input",
        "fixtures/goldens/narrow/f16_t1.golden.safetensors:direct_rgb.input",
        "--output",
        folder.path().join("z.npy").to_str().unwrap(),
    ]);
    assert!(refused.refusal().contains("the input is float16"));
}
