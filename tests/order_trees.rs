//! The summation trees that scripts/reveal_order.py read out of live torch, against those of the predicted orders.
#![allow(clippy::unwrap_used)]

mod support;

use pthinspect::execute::Arguments;
use pthinspect::execute::Call;
use pthinspect::execute::FloatType;
use pthinspect::execute::MemoryFormat;
use pthinspect::execute::Op;
use pthinspect::execute::Origin;
use pthinspect::execute::Padding;
use pthinspect::execute::conv2d;
use pthinspect::execute::order::tree;
use pthinspect::execute::predict;
use support::fixture;

fn sizes<const N: usize>(text: &str) -> [usize; N] {
    let numbers: Vec<usize> = text.split(',').map(|n| n.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// `layer NAME key=value ...`
fn call(line: &str) -> Call {
    let value = |key: &str| {
        let found = line
            .split(' ')
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {key} in {line}"))
    };
    let weight: [usize; 4] = sizes(value("weight"));
    let arguments = Arguments {
        stride: sizes(value("stride")),
        padding: Padding::Sizes(sizes(value("padding"))),
        dilation: sizes(value("dilation")),
        groups: value("groups").parse().unwrap(),
        ..Arguments::default()
    };
    Call {
        op: Op::Conv2d,
        geometry: conv2d::resolve(sizes(value("input")), weight, Some(weight[0]), &arguments)
            .unwrap(),
        memory_format: match value("memory_format") {
            "channels_last" => MemoryFormat::ChannelsLast,
            _ => MemoryFormat::Contiguous,
        },
        dtype: FloatType::Float32,
        matmul: false,
    }
}

#[test]
fn torch_adds_in_the_predicted_trees() {
    let mut compared = 0;
    for entry in std::fs::read_dir(fixture("order")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let origin: Origin = lines
            .next()
            .unwrap()
            .strip_prefix("origin ")
            .unwrap()
            .parse()
            .unwrap();
        let mut layer = None;
        for line in lines {
            if line.starts_with("layer ") {
                layer = Some((line, call(line)));
                continue;
            }
            let (at, revealed) = line.trim().split_once(' ').unwrap();
            let (words, call) = layer.as_ref().unwrap();
            let [n, o, y, x] = sizes(at);
            let predictions = predict::predict(call, &origin);
            let place = [n, o, y * call.geometry.output[1] + x];
            assert!(
                !predictions.is_empty(),
                "{}: nothing predicted for {words}",
                path.display()
            );
            for prediction in predictions {
                let tree = tree::of_order(&prediction.order, &call.geometry, place);
                let tree = tree.map_or("none".to_owned(), |tree| tree.to_string());
                assert_eq!(
                    tree,
                    revealed,
                    "{}: {} at {at} of {words}",
                    path.display(),
                    prediction.order
                );
            }
            compared += 1;
        }
    }
    assert!(compared > 200, "only {compared} trees");
}
