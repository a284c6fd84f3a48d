//! `pthinspect shapes`: walks through models in every form, where they break, and what would fit.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{run, snapshot};

fn walk(file: &str, more: &str) -> (Option<i32>, Value) {
    let arguments = format!("shapes fixtures/{file} --json {more}");
    let run = run(arguments.split(' '));
    assert_eq!(run.stderr, "", "{arguments}");
    (run.code, serde_json::from_str(&run.stdout).unwrap())
}

#[test]
fn snapshots_of_what_people_read() {
    for (name, arguments) in [
        (
            "shapes_q2_module",
            "shapes fixtures/questions/mnist_q2_module.pth --input 1,1,28,28",
        ),
        (
            "shapes_q2_module_after",
            "shapes fixtures/questions/mnist_q2_module.pth --input 1,1,28,28 --after conv1 max_pool2d=2 --after conv2 max_pool2d=2",
        ),
        (
            "shapes_q2_sequential",
            "shapes fixtures/questions/mnist_q2_sequential.pth --input 1,1,28,28",
        ),
        (
            "shapes_q2_scripted",
            "shapes fixtures/shapes/mnist_q2_scripted.pt --input 1,1,28,28",
        ),
        (
            "shapes_q2_traced",
            "shapes fixtures/shapes/mnist_q2_traced.pt --input 1,1,28,28",
        ),
        (
            "shapes_q2_exported",
            "shapes fixtures/shapes/mnist_q2_exported.pt2 --input 1,1,28,28",
        ),
        (
            "shapes_q2_too_large",
            "shapes fixtures/questions/mnist_q2_sequential.pth --input 1,1,32,32",
        ),
        (
            "shapes_q2_too_small",
            "shapes fixtures/questions/mnist_q2_sequential.pth --input 1,1,13,13",
        ),
        (
            "shapes_q2_colours",
            "shapes fixtures/questions/mnist_q2_sequential.pth --input 1,3,28,28",
        ),
        (
            "shapes_q2_ascii",
            "shapes fixtures/questions/mnist_q2_sequential.pth --input 1,1,28,28 --ascii",
        ),
        (
            "shapes_branches",
            "shapes fixtures/shapes/branches_scripted.pt --input 2,3,32,32 --input 2,1,32,32",
        ),
        (
            "shapes_unknown",
            "shapes fixtures/shapes/unknown_scripted.pt --input 1,1,8,8",
        ),
        (
            "shapes_resnet18_depth",
            "shapes fixtures/shapes/resnet18_module.pth --input 1,3,224,224 --depth 2",
        ),
        (
            "shapes_part",
            "shapes fixtures/shapes/resnet18_module.pth --module layer2.0 --input 1,64,56,56",
        ),
        (
            "shapes_state_dict",
            "shapes fixtures/questions/mnist_q2_state.pth --input 1,1,28,28",
        ),
        (
            "shapes_inputs",
            "shapes fixtures/shapes/branches_scripted.pt --input 2,3,32,32",
        ),
    ] {
        snapshot(name, arguments);
    }
}

#[test]
fn nothing_is_wider_than_a_terminal_and_ascii_is_ascii() {
    for arguments in [
        "shapes fixtures/questions/mnist_q2_module.pth --input 1,1,28,28 --ascii",
        "shapes fixtures/shapes/branches_exported.pt2 --input 2,3,32,32 --input 2,1,32,32 --ascii",
        "shapes fixtures/shapes/resnet18_module.pth --input 1,3,224,224 --ascii",
        "shapes fixtures/shapes/resnet18_module.pth --input 1,3,224,224 --ascii --depth 1",
    ] {
        let text = run(arguments.split(' ')).stdout;
        assert!(text.is_ascii(), "{arguments}");
        for line in text.lines() {
            assert!(line.len() <= 80, "{arguments}: {line}");
        }
    }
}

/// The sizes after each change, as question 2 asks for them.
fn way(document: &Value) -> Vec<u64> {
    let mut found = Vec::new();
    for step in document["steps"].as_array().unwrap() {
        let shape = step["outputs"][0]["shape"].as_array().unwrap();
        let size = shape.last().unwrap().as_u64().unwrap();
        if found.last() != Some(&size) {
            found.push(size);
        }
    }
    found
}

#[test]
fn the_mnist_net_in_every_form() {
    for (file, more) in [
        ("questions/mnist_q2_sequential.pth", ""),
        (
            "questions/mnist_q2_module.pth",
            " --after conv1 max_pool2d=2 --after conv2 max_pool2d=2",
        ),
        ("shapes/mnist_q2_scripted.pt", ""),
        ("shapes/mnist_q2_traced.pt", ""),
        ("shapes/mnist_q2_exported.pt2", ""),
        ("shapes/mnist_q2_free_batch.pt2", ""),
    ] {
        let (code, document) = walk(file, &format!("--input 1,1,28,28{more}"));
        assert_eq!(code, Some(0), "{file}");
        assert_eq!(document["verdict"], "fits", "{file}");
        assert_eq!(way(&document), [24, 12, 8, 4, 320, 50, 10], "{file}");
        assert_eq!(document["totals"]["parameters"], 21_840, "{file}");
        assert_eq!(document["totals"]["macs"], 480_500, "{file}");
        assert_eq!(
            document["fits"]["sizes"],
            serde_json::json!([[28, 31]]),
            "{file}"
        );
        assert_eq!(document["fits"]["axes_may_differ"], true, "{file}");
    }
}

#[test]
fn a_wrong_input_breaks_where_it_does_in_torch() {
    let sequential = "questions/mnist_q2_sequential.pth";
    for (input, module, what, expected, got) in [
        ("1,1,32,32", "8", "features", 320, 500),
        ("1,1,13,13", "3", "spatial", 5, 4),
        ("1,1,4,4", "0", "spatial", 5, 4),
        ("1,3,28,28", "0", "channels", 1, 3),
    ] {
        let (code, document) = walk(sequential, &format!("--input {input}"));
        let broken = &document["broken"];
        assert_eq!(code, Some(1), "{input}");
        assert_eq!(document["verdict"], "breaks");
        assert_eq!(
            (broken["module"].as_str(), broken["what"].as_str()),
            (Some(module), Some(what)),
            "{input}"
        );
        assert_eq!(
            (broken["expected"].as_u64(), broken["got"].as_u64()),
            (Some(expected), Some(got)),
            "{input}"
        );
    }
    // the view takes any multiple of 320, and makes a batch of it: worth a warning, and no fit
    let (code, document) = walk("shapes/mnist_q2_scripted.pt", "--input 1,1,60,60");
    assert_eq!(code, Some(0));
    assert_eq!(document["outputs"], serde_json::json!([[9, 10]]));
    assert!(
        document["warnings"][0]
            .as_str()
            .unwrap()
            .contains("the batch of 1 became 9")
    );
}

#[test]
fn an_exported_program_takes_what_it_was_exported_with() {
    let (code, document) = walk(
        "shapes/mnist_q2_exported.pt2",
        "--input 2,1,28,28 --no-fits",
    );
    assert_eq!(code, Some(1));
    assert_eq!(document["broken"]["op"], "input");
    let (code, _) = walk(
        "shapes/mnist_q2_free_batch.pt2",
        "--input 2,1,28,28 --no-fits",
    );
    assert_eq!(code, Some(0));
    let (code, document) = walk(
        "shapes/mnist_q2_free_batch.pt2",
        "--input 65,1,28,28 --no-fits",
    );
    assert_eq!(code, Some(1), "{document}");
}

#[test]
fn branches_say_what_they_add_and_put_together() {
    for file in [
        "shapes/branches_scripted.pt",
        "shapes/branches_exported.pt2",
    ] {
        let (code, document) = walk(file, "--input 2,3,32,32 --input 2,1,32,32");
        assert_eq!(code, Some(0), "{file}");
        let steps = document["steps"].as_array().unwrap();
        let inputs = |op: &str| {
            let step = steps.iter().find(|step| step["op"] == op).unwrap();
            step["inputs"].clone()
        };
        assert_eq!(
            inputs("cat"),
            serde_json::json!([{"step": 1}, {"step": 2}]),
            "{file}"
        );
        assert_eq!(
            inputs("add"),
            serde_json::json!([{"step": 4}, {"step": 5}]),
            "{file}"
        );
        assert_eq!(
            steps[1]["inputs"],
            serde_json::json!([{"input": 1}]),
            "{file}"
        );
        assert_eq!(document["outputs"], serde_json::json!([[2, 4]]), "{file}");
    }
}

#[test]
fn what_nobody_knows_stays_unknown() {
    let (code, document) = walk("shapes/unknown_scripted.pt", "--input 1,1,8,8");
    assert_eq!(code, Some(1));
    assert_eq!(document["verdict"], "unknown");
    let steps = document["steps"].as_array().unwrap();
    let unknown: Vec<&str> = steps
        .iter()
        .filter(|step| step["outputs"].is_null())
        .map(|step| step["op"].as_str().unwrap())
        .collect();
    assert_eq!(unknown, ["nonzero", "to", "sum", "linear"]);
    assert_eq!(document["fits"], Value::Null);
}

#[test]
fn a_class_of_somebodys_own_is_said_to_be_assumed() {
    let (code, document) = walk("shapes/own_class.pth", "--input 1,3,32,32");
    assert_eq!(code, Some(0));
    assert_eq!(document["assumed_order"][0]["class"], "Own");
    assert!(
        document["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["assumed"] == true)
    );
    let (code, document) = walk("questions/mnist_q2_module.pth", "--input 1,1,28,28");
    assert_eq!(code, Some(1));
    assert_eq!(document["verdict"], "assumed-order-breaks");
    let behind: Vec<&str> = document["would_fit_after"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["module"].as_str().unwrap())
        .collect();
    assert_eq!(behind, ["conv1", "conv2"]);
    // the part that is torch's own is no assumption
    let (code, document) = walk(
        "shapes/own_class.pth",
        "--module features --input 1,3,32,32",
    );
    assert_eq!(code, Some(0));
    assert!(
        document["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["assumed"] == false)
    );
}

#[test]
fn a_pickled_resnet_has_torchvisions_counts() {
    let (code, document) = walk("shapes/resnet18_module.pth", "--input 1,3,224,224");
    assert_eq!(code, Some(0));
    assert_eq!(document["outputs"], serde_json::json!([[1, 1000]]));
    // `num_params` and `_ops` (1.814 billion) of ResNet18_Weights
    assert_eq!(document["totals"]["parameters"], 11_689_512);
    assert_eq!(document["totals"]["macs"], 1_814_073_344u64);
    assert_eq!(document["fits"]["sizes"], serde_json::json!([[1, null]]));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    for arguments in [
        "shapes fixtures/questions/mnist_q2_state.pth --input 1,1,28,28",
        "shapes fixtures/shapes/branches_scripted.pt --input 2,3,32,32",
        "shapes fixtures/shapes/resnet18_module.pth --module nowhere --input 1,3,8,8",
        "shapes fixtures/questions/mnist_q2_module.pth --input 1,1,28,28 --after nowhere relu",
        "shapes fixtures/questions/mnist_q2_module.pth --input 1,1,28,28 --after conv1 max_pool2d=x",
        "shapes fixtures/shapes/resnet18_module.pth --input 1,3,8,8 --limit program_steps=100",
    ] {
        run(arguments.split(' ')).refusal();
    }
}
