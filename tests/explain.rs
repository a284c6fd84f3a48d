//! What `layer` explains, against torch's and numpy's own numbers (`fixtures/explain`), and as people read it.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use support::fixture;
use support::run;
use support::snapshot;

const Q1: &str = "fixtures/questions/cifar_q1.pth.tar";
const Q3: &str = "fixtures/questions/unfold_q3.pth";
const Q5: &str = "fixtures/questions/signature_q5_module.pth";
const VIEWS: &str = "fixtures/checkpoints/views.pth";

fn cases(name: &str) -> Vec<Value> {
    let text = fs::read(fixture(&format!("explain/{name}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// `1,3,8,8`
fn sizes(value: &Value) -> String {
    let sizes = value.as_array().unwrap();
    sizes
        .iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// `layer NAME FILE --json` with the arguments of a case, and more.
fn layer(case: &Value, more: &[&str]) -> Value {
    let mut arguments = vec![
        "layer".into(),
        text(&case["layer"]),
        text(&case["file"]),
        "--json".into(),
    ];
    arguments.extend(["--input".into(), sizes(&case["input"])]);
    for (name, value) in case["arguments"].as_object().unwrap() {
        arguments.extend([format!("--{name}"), value.to_string()]);
    }
    arguments.extend(more.iter().map(|&more| more.to_owned()));
    run(arguments).json()
}

#[test]
fn unfold_is_torchs_unfold() {
    let mut compared = 0;
    for case in cases("unfold")
        .iter()
        .filter(|case| case.get("unfolded").is_some())
    {
        let found = layer(case, &["--im2col"]);
        let im2col = &found["im2col"];
        let shape: Vec<Value> = im2col["unfolded"].as_array().unwrap()[1..].to_vec();
        assert_eq!(json!(shape), case["unfolded"], "{case}");
        let rows = im2col["input_flat"].as_array().unwrap();
        let cells = rows.iter().flat_map(|row| row.as_array().unwrap());
        let bytes: Vec<u8> = cells
            .flat_map(|cell| {
                i32::try_from(cell.as_i64().unwrap_or(-1))
                    .unwrap()
                    .to_le_bytes()
            })
            .collect();
        assert_eq!(hex(&bytes), text(&case["sha256"]), "{case}");
        let weight = &found["weight"]["shape"];
        let taps = weight.as_array().unwrap()[1..]
            .iter()
            .map(|n| n.as_u64().unwrap());
        assert_eq!(
            im2col["weight_matrix"],
            json!([weight[0], taps.product::<u64>()])
        );
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn windows_and_unread_rows_are_what_gradients_show() {
    let mut windows = 0;
    for case in cases("unfold") {
        let is_transposed = case.get("unfolded").is_none();
        for wanted in case["windows"].as_array().unwrap() {
            let found = layer(&case, &["--output-at", &sizes(&wanted["output"])]);
            let axes = found["window"]["axes"].as_array().unwrap();
            let sources = |axis: usize| -> Vec<u64> {
                let taps = axes[axis].as_array().unwrap().iter();
                taps.filter_map(|tap| tap["source"].as_u64()).collect()
            };
            let mut times = std::collections::BTreeMap::new();
            for y in sources(0) {
                for x in sources(1) {
                    *times.entry([y, x]).or_insert(0) += 1;
                }
            }
            let times: Vec<_> = times
                .into_iter()
                .map(|([y, x], n)| json!([y, x, n]))
                .collect();
            assert_eq!(json!(times), wanted["reads"], "{case} {wanted}");
            for axis in (0..2).filter(|_| !is_transposed) {
                assert_eq!(
                    found["output"]["axes"][axis]["unread_inputs"], case["unread"][axis],
                    "{case}"
                );
            }
            windows += 1;
        }
    }
    assert!(windows > 25, "{windows}");
}

#[test]
fn layouts_are_numpys_transposes() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("weight.bin");
    let mut tags = std::collections::BTreeSet::new();
    for case in cases("layouts") {
        let tag = text(&case["as"]);
        let mut arguments = vec![
            "export".into(),
            text(&case["tensor"]),
            text(&case["file"]),
            "--json".into(),
        ];
        arguments.extend([
            "--as".into(),
            tag.clone(),
            "--output".into(),
            output.to_string_lossy().into_owned(),
        ]);
        if !case["groups"].is_null() {
            arguments.extend(["--groups".into(), case["groups"].to_string()]);
        }
        let manifest = run(arguments).json();
        let bytes = fs::read(&output).unwrap();
        let entry = &manifest["tensors"][0];
        assert_eq!(
            bytes.len() as u64,
            case["nbytes"].as_u64().unwrap(),
            "{case}"
        );
        assert_eq!(hex(&bytes), text(&case["sha256"]), "{case}");
        assert_eq!(entry["sha256"], case["sha256"]);
        assert_eq!(entry["nbytes"], case["nbytes"]);
        assert_eq!(entry["layout"]["tag"], tag.as_str());
        let shape = entry["layout"]["shape"].as_array().unwrap();
        assert_eq!(
            shape.iter().map(|n| n.as_u64().unwrap()).product::<u64>() * 4,
            bytes.len() as u64
        );
        goes_where_layer_says(&case, &bytes);
        tags.insert(tag);
    }
    assert!(tags.len() > 20, "{tags:?}");
}

/// The weight that `layer --as --at` follows lies there in the exported file.
fn goes_where_layer_says(case: &Value, exported: &[u8]) {
    let (name, file) = (text(&case["tensor"]), text(&case["file"]));
    let groups = text(&case["groups"]);
    for flat in ["0", "17", "35"] {
        let mut arguments = vec!["layer", &name, &file, "--json", "--flat", flat];
        let tag = text(&case["as"]);
        arguments.extend(["--as", &tag]);
        if !case["groups"].is_null() {
            arguments.extend(["--groups", &groups]);
        }
        let found = run(arguments).json();
        let position =
            usize::try_from(found["as"]["chosen"]["position"].as_u64().unwrap()).unwrap();
        let value = exported[position * 4..][..4]
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"));
        let value = format!("0x{}", value.collect::<String>());
        assert_eq!(found["element"]["bits"], value, "{case} {flat}");
        let first = found["as"]["first"].as_array().unwrap();
        if let Some(index) = first.get(position) {
            assert_eq!(*index, found["element"]["index"], "{case} {flat}");
        }
    }
}

#[test]
fn exported_layouts_are_arrays_that_numpy_reads() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("weight.npy");
    let path = output.to_string_lossy().into_owned();
    let state = "fixtures/questions/mnist_q2_state.pth";
    run([
        "export",
        "conv2.weight",
        state,
        "--as",
        "OIhw8i8o",
        "--output",
        &path,
    ])
    .ok();
    let bytes = fs::read(&output).unwrap();
    let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
    assert!(header.contains("(3, 2, 5, 5, 8, 8)"), "{header}");
    // other tensors stay as they are, and are told apart in the manifest
    let folder = format!("{}/", folder.path().join("all").display());
    let manifest = run([
        "export", "conv2", state, "--as", "HWIO", "--output", &folder, "--json",
    ])
    .json();
    let entries = manifest["tensors"].as_array().unwrap();
    let has_layout: Vec<bool> = entries
        .iter()
        .map(|entry| entry.get("layout").is_some())
        .collect();
    assert_eq!(has_layout, [true, false]);
    for (arguments, why) in [
        (["fc1.weight", "OHWI"], "none of these"),
        (["conv2.weight", "gOIhw8i8o"], "--groups"),
        (["conv2.weight", "nchw"], "none of these"),
        (["conv2.weight", "oIHw8i"], "upper case"),
    ] {
        let [name, tag] = arguments;
        let refused = run(["export", name, state, "--as", tag, "--output", &path]);
        assert!(refused.refusal().contains(why), "{tag}");
    }
}

#[test]
fn figures_are_torchs() {
    let near = |a: &Value, b: &Value| {
        let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
        (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e-3)
    };
    for case in cases("figures") {
        let found = run([
            "layer",
            &text(&case["layer"]),
            &text(&case["file"]),
            "--figures",
            "--json",
        ])
        .json();
        let found = found["figures"]["filters"].as_array().unwrap();
        let wanted = case["filters"].as_array().unwrap();
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            for figure in ["norm", "mean", "std", "min", "max"] {
                assert!(
                    near(&found[figure], &wanted[figure]),
                    "{case} {figure}: {}",
                    found[figure]
                );
            }
            assert_eq!(found["zeros"], wanted["zeros"]);
        }
    }
    let sorted = run([
        "layer",
        "conv1",
        Q1,
        "--figures",
        "--sort",
        "norm",
        "--json",
    ])
    .json();
    let filters = sorted["figures"]["filters"].as_array().unwrap();
    let norms: Vec<f64> = filters
        .iter()
        .map(|filter| filter["norm"].as_f64().unwrap())
        .collect();
    assert!(norms.len() == 192 && norms.is_sorted_by(|a, b| a >= b));
}

/// Every byte that the dump shows is the file's, in the place that it says; every weight of the filter is there once.
#[test]
fn dumped_bytes_are_the_files() {
    for (name, file, filter) in [
        ("conv1", Q1, "7"),
        ("conv_column_major", VIEWS, "3"),
        ("conv_channels_last", VIEWS, "1"),
        ("stepped", VIEWS, "2"),
        ("expanded", VIEWS, "1"),
        ("big", "fixtures/checkpoints/big_endian.pth", "0"),
    ] {
        let name = match name {
            "big" => text(&run(["ls", file, "--json"]).json()["tensors"][0]["name"]),
            name => name.to_owned(),
        };
        let found = run(["layer", &name, file, "--hex", "--filter", filter, "--json"]).json();
        let bytes = fs::read(support::root().join(file)).unwrap();
        let dump = &found["hex"];
        assert_eq!(dump["offsets_in"], "file");
        let mut seen = 0;
        for line in dump["lines"].as_array().unwrap() {
            let shown = text(&line["bytes"]);
            let start = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
            let there: String = bytes[start..start + shown.len() / 2]
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(shown, there, "{name}");
            for weight in line["weights"].as_array().unwrap() {
                let flat = weight["flat"].to_string();
                let element = run(["layer", &name, file, "--flat", &flat, "--json"]).json();
                assert_eq!(
                    element["element"]["value"], weight["value"],
                    "{name} {flat}"
                );
                assert_eq!(
                    element["element"]["index"], weight["index"],
                    "{name} {flat}"
                );
                seen += weight["indices"].as_u64().unwrap();
            }
            if seen > 80 {
                break; // a process for each is dear
            }
        }
        let shape = found["weight"]["shape"].as_array().unwrap();
        let each: u64 = shape[1..].iter().map(|n| n.as_u64().unwrap()).product();
        assert!(seen == each || seen > 80, "{name}: {seen} of {each}");
    }
}

/// The second program of question 3, unfold and a product of matrices, is one of the orders: every bit.
#[test]
fn unfold_and_matmul_is_another_order_of_the_same_sum() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("y.npy").to_string_lossy().into_owned();
    let tensors = "fixtures/questions/unfold_q3.safetensors";
    let bytes = fs::read(support::root().join(tensors)).unwrap();
    let torchs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (order, name) in [
        ("onednn-direct-blocks/ic16", "conv2d"),
        ("sequential/chw-muladd-bias-last", "unfold_matmul_plus_bias"),
    ] {
        let input = format!("{tensors}:input");
        run([
            "run", "conv", Q3, "--input", &input, "--order", order, "--output", &output,
        ])
        .ok();
        let found = fs::read(&output).unwrap();
        assert!(
            found.ends_with(torchs.tensor(name).unwrap().data()),
            "{name}"
        );
    }
}

#[test]
fn question_3_at_a_glance() {
    snapshot(
        "layer_q3_im2col",
        &format!("layer conv {Q3} --input 1,3,32,32 --im2col"),
    );
    snapshot(
        "layer_q3_by_hand",
        &format!("layer by_hand {Q3} --input 1,3,5,5 --padding 1 --im2col"),
    );
    let tensors = "fixtures/questions/unfold_q3.safetensors";
    snapshot(
        "run_q3_two_orders",
        &format!(
            "run conv {Q3} --input {tensors}:input --origin threads=1,cpu_capability=AVX512 --explain-output 0,0,13,0 \
             --against sequential/chw-muladd-bias-last --rows 16"
        ),
    );
    let golden = "fixtures/questions/unfold_q3.golden.safetensors";
    snapshot(
        "run_q3_by_hand",
        &format!(
            "run by_hand {Q3} --input {golden}:by_hand.input --padding 1 --explain-output 0,0,0,0"
        ),
    );
}

#[test]
fn question_5_at_a_glance() {
    snapshot(
        "layer_q5_arguments",
        &format!("layer plain {Q5} --arguments"),
    );
    for layer in [
        "stride_per_axis",
        "padding_same_even_kernel",
        "dilation",
        "groups",
        "depthwise_two_per_channel",
        "padding_mode_reflect",
    ] {
        snapshot(
            &format!("layer_q5_{layer}"),
            &format!("layer {layer} {Q5} --arguments"),
        );
    }
    snapshot(
        "layer_groups",
        &format!("layer depthwise {Q5} --input 1,6,8,8"),
    );
    snapshot(
        "layer_up_arguments",
        "layer up fixtures/checkpoints/module_zoo.pth --arguments",
    );
    snapshot(
        "layer_sound_arguments",
        "layer sound fixtures/checkpoints/module_zoo.pth --arguments",
    );
}

#[test]
fn windows_are_drawn() {
    snapshot(
        "layer_window_zeros",
        &format!("layer conv1 {Q1} --input 1,3,32,32 --padding 2 --output-at 0,5"),
    );
    for (mode, at) in [
        ("reflect", "0,9"),
        ("replicate", "9,0"),
        ("circular", "0,0"),
    ] {
        snapshot(
            &format!("layer_window_{mode}"),
            &format!("layer padding_mode_{mode} {Q5} --input 1,3,8,8 --output-at {at}"),
        );
    }
    snapshot(
        "layer_window_dilation",
        &format!("layer dilation {Q5} --input 1,3,9,9 --padding 2 --output-at 0,1"),
    );
    snapshot(
        "layer_window_same",
        &format!("layer padding_same_even_kernel {Q5} --input 1,3,8,8 --output-at 7,7"),
    );
    snapshot(
        "layer_window_up",
        "layer up fixtures/checkpoints/module_zoo.pth --input 1,6,4,4 --output-at 2,3",
    );
    snapshot(
        "layer_window_sound",
        "layer sound fixtures/checkpoints/module_zoo.pth --input 1,2,9 --output-at 0 --padding 2",
    );
    snapshot(
        "layer_window_volume",
        "layer volume fixtures/checkpoints/module_zoo.pth --input 1,2,3,5,5 --output-at 1,0,2",
    );
}

#[test]
fn memory_is_drawn_as_it_lies() {
    for name in [
        "conv_column_major",
        "conv_channels_last",
        "stepped",
        "expanded",
        "window",
        "transposed",
        "diagonal",
    ] {
        snapshot(
            &format!("layer_memory_{name}"),
            &format!("layer {name} {VIEWS} --memory"),
        );
    }
    snapshot("layer_memory_q1", &format!("layer conv1 {Q1} --memory"));
}

#[test]
fn bytes_layouts_and_figures_are_shown() {
    snapshot(
        "layer_hex",
        &format!("layer conv1 {Q1} --hex --filter 7 --channel 1"),
    );
    snapshot(
        "layer_hex_column_major",
        &format!("layer conv_column_major {VIEWS} --hex --filter 0 --channel 2"),
    );
    snapshot(
        "layer_as",
        &format!("layer conv1 {Q1} --as OIhw8i8o --at 7,2,4,1"),
    );
    snapshot("layer_as_ohwi", &format!("layer conv1 {Q1} --as OHWI"));
    snapshot(
        "layer_as_depthwise",
        &format!("layer depthwise {Q5} --as Goihw8g"),
    );
    snapshot(
        "layer_as_input",
        &format!("layer conv1 {Q1} --as nChw8c --input 1,3,32,32"),
    );
    snapshot(
        "layer_figures",
        &format!("layer plain {Q5} --figures --sort norm"),
    );
    snapshot(
        "layer_sections_json",
        &format!(
            "layer by_hand {Q3} --input 1,3,3,3 --im2col --output-at 0,0 --as OHWI --memory --json"
        ),
    );
}

#[test]
fn sections_that_make_no_sense_are_refused() {
    for (arguments, why) in [
        (vec!["layer", "conv1", Q1, "--im2col"], "--input"),
        (vec!["layer", "conv1", Q1, "--output-at", "0,0"], "--input"),
        (
            vec![
                "layer",
                "conv1",
                Q1,
                "--input",
                "1,3,8,8",
                "--output-at",
                "4,0",
            ],
            "not in the output",
        ),
        (vec!["layer", "conv1", Q1, "--as", "Goihw8g"], "--groups"),
        (vec!["layer", "conv1", Q1, "--as", "OIhw8x"], "axis"),
        (vec!["layer", "conv1", Q1, "--as", "io"], "other tensors"),
        (vec!["layer", "conv1", Q1, "--as", "nhwc"], "--input"),
        (vec!["layer", "fc", Q1, "--arguments"], "convolutions"),
        (
            vec!["layer", "conv1", Q1, "--padding-mode", "mirror"],
            "reflect",
        ),
        (
            vec!["layer", "padding_mode_reflect", Q5, "--input", "1,3,2,2"],
            "at most",
        ),
    ] {
        let refused = run(&arguments);
        let message = refused.refusal();
        assert!(message.contains(why), "{arguments:?}: {message}");
    }
}

/// Sections of every tensor of files of all kinds: no panic, nothing wider than 80 columns, JSON that reads back.
#[test]
fn sections_fit_into_80_columns_whatever_the_tensor() {
    let mut shown = 0;
    for file in [
        VIEWS,
        Q5,
        "fixtures/checkpoints/module_zoo.pth",
        "fixtures/checkpoints/dtypes.pth",
        "fixtures/checkpoints/quantized.pth",
        "fixtures/checkpoints/big_endian.pth",
        "fixtures/checkpoints/deflated.pth",
    ] {
        let listed = run(["ls", file, "--json"]).json();
        for tensor in listed["tensors"].as_array().unwrap() {
            let name = text(&tensor["name"]);
            for flags in [
                &["--memory"][..],
                &["--hex"],
                &["--figures"],
                &["--arguments"],
                &["--as", "OHWI"],
            ] {
                let arguments = ["layer", &name, file, "--ascii"]
                    .into_iter()
                    .chain(flags.iter().copied());
                let page = run(arguments.clone());
                if page.code != Some(0) {
                    page.refusal();
                    continue;
                }
                shown += 1;
                for line in page.stdout.lines() {
                    // names of tensors are as long as they are
                    assert!(
                        line.len() <= 80 || line.contains(&name),
                        "{file} {name} {flags:?}: {line}"
                    );
                }
            }
        }
    }
    assert!(shown > 300, "{shown}");
}

#[test]
fn dead_equal_and_broken_filters_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let rows: [[f32; 2]; 6] = [
        [1.0, 2.0],
        [0.0, -0.0],
        [1.0, 2.0],
        [f32::NAN, 3.0],
        [f32::INFINITY, 1.0],
        [0.0, 0.0],
    ];
    let bytes: Vec<u8> = rows
        .iter()
        .flatten()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![6, 2, 1, 1], &bytes)
            .unwrap();
    fs::write(
        &path,
        safetensors::serialize([("c.weight", view)], None).unwrap(),
    )
    .unwrap();
    let file = path.to_string_lossy().into_owned();
    let found = run(["layer", "c", &file, "--figures", "--json"]).json();
    let filters = found["figures"]["filters"].as_array().unwrap();
    let dead: Vec<_> = filters
        .iter()
        .map(|filter| filter["dead"] == true)
        .collect();
    assert_eq!(dead, [false, true, false, false, false, true]);
    assert_eq!(filters[2]["same_as"], 0);
    assert_eq!(
        (&filters[3]["nan"], &filters[4]["inf"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(filters[3]["mean"], 3.0);
    let page = run(["layer", "c", &file, "--figures"]).ok();
    assert!(
        page.contains("2 filters dead") && page.contains("= 0"),
        "{page}"
    );
}
