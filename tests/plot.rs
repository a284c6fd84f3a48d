//! `plot`: what is drawn, in the terminal and as PNG.
#![allow(clippy::unwrap_used)]

mod support;

use pthinspect::bytes::Limits;
use pthinspect::picture::Picture;
use pthinspect::picture::Samples;
use support::pthinspect;
use support::run;
use support::snapshot;
use tempfile::TempDir;

const EDGES: &str = "fixtures/pictures/edges.pth";
const SCENE: &str = "fixtures/pictures/scene.png";

/// Compares with a PNG in `folder` pixel by pixel; `PTHINSPECT_UPDATE=1` rewrites that file instead.
#[track_caller]
fn assert_drawn(folder: &str, name: &str, arguments: &str) {
    let golden = support::root().join(folder).join(format!("{name}.png"));
    let temporary = TempDir::new().unwrap();
    let output = temporary.path().join("out.png");
    let mut words: Vec<&str> = arguments.split(' ').collect();
    words.extend(["--output", output.to_str().unwrap()]);
    let done = run(&words);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.stdout, "");
    let png = std::fs::read(&output).unwrap();
    if std::env::var_os("PTHINSPECT_UPDATE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &png).unwrap();
        return;
    }
    let decode = |bytes: &[u8]| Picture::decode(bytes, &Limits::default()).unwrap();
    let expected = std::fs::read(&golden).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
    let (found, expected) = (decode(&png), decode(&expected));
    let size = |picture: &Picture| (picture.width, picture.height);
    assert_eq!(size(&found), size(&expected), "{name}");
    let (Samples::Eight(a), Samples::Eight(b)) = (&found.samples, &expected.samples) else {
        panic!("8 bits")
    };
    let first = a.iter().zip(b).position(|(a, b)| a != b);
    let place = first.map(|at| (at / 3 % found.width, at / 3 / found.width));
    assert_eq!(place, None, "{name}: the first pixel that differs (x, y)");
}

#[test]
fn the_pictures_of_the_readme_are_what_the_program_draws() {
    assert_drawn(
        "docs",
        "plot_conv1",
        &format!("plot conv1 {EDGES} --sort norm"),
    );
    assert_drawn(
        "docs",
        "plot_maps",
        &format!(
            "plot conv1 {EDGES} --input {SCENE} --stride 2 --padding 3 --filter 0,1,3,6,8,11,12,13"
        ),
    );
}

#[test]
fn pngs() {
    let cases = [
        (
            "plot_table",
            format!("plot conv2 {EDGES} --filter ..3 --channel 2,0,9..12"),
        ),
        (
            "plot_odd",
            "plot conv fixtures/pictures/odd.pth --per-filter".to_owned(),
        ),
        (
            "plot_matrix",
            format!("plot fc {EDGES} --sort norm --colors grey"),
        ),
        ("plot_histogram", format!("plot conv1 {EDGES} --histogram")),
    ];
    for (name, arguments) in cases {
        assert_drawn("fixtures/snapshots", name, &arguments);
    }
}

#[test]
fn terminals_without_colours() {
    snapshot("plot_rgb", &format!("plot conv1 {EDGES} --first 5"));
    snapshot(
        "plot_apart",
        &format!("plot conv1 {EDGES} --apart --filter 6,13"),
    );
    let one = format!("plot conv2 {EDGES} --filter 3 --ascii");
    support::compare("plot_one_filter", &run(one.split(' ')).ok());
    snapshot(
        "plot_depthwise",
        &format!("plot depthwise {EDGES} --sort norm"),
    );
    snapshot("plot_table", &format!("plot conv2 {EDGES}"));
    snapshot("plot_fc", "plot fc1 fixtures/questions/mnist_q2_state.pth");
    snapshot("plot_norms", &format!("plot conv2 {EDGES} --norms"));
    snapshot("plot_odd", "plot conv fixtures/pictures/odd.pth");
    snapshot(
        "plot_histogram",
        "plot conv2 fixtures/questions/mnist_q2_state.pth --histogram --bins 12",
    );
    snapshot(
        "plot_maps",
        &format!("plot conv1 {EDGES} --input {SCENE} --stride 2 --padding 3 --filter 0,6,11"),
    );
    snapshot("plot_json", "plot conv fixtures/pictures/odd.pth --json");
}

#[test]
fn terminals_with_colours() {
    let arguments = format!("plot conv2 {EDGES} --filter ..2");
    for (name, variable) in [("plot_24_bits", "truecolor"), ("plot_256_colours", "")] {
        let done = pthinspect()
            .args(arguments.split(' '))
            .args(["--color", "always"])
            .env("COLORTERM", variable)
            .output()
            .unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(text.contains('▀') && text.contains("\u{1b}[0;"), "{text}");
        support::compare(name, &text.replace('\u{1b}', "ESC"));
    }
}

#[test]
fn nothing_is_wider_than_80_columns_and_every_line_ends_without_colour() {
    for name in [
        "conv1",
        "conv2",
        "depthwise",
        "fc",
        "conv1.bias",
        "conv1 --norms",
        "conv2 --histogram",
    ] {
        for colors in ["never", "always"] {
            let arguments =
                format!("plot {name} {EDGES} --color {colors}").replace(" --norms ", " ");
            let text = run(arguments.split(' ')).ok();
            for line in text.lines() {
                let mut width = 0;
                let mut inside = false;
                for c in line.chars() {
                    match c {
                        '\u{1b}' => inside = true,
                        'm' if inside => inside = false,
                        _ => width += usize::from(!inside),
                    }
                }
                assert!(width <= 80, "{name}: {width}: {line:?}");
                let last = line.rfind('\u{1b}').map(|at| &line[at..]);
                assert!(
                    last.is_none_or(|last| last.starts_with("\u{1b}[0m")),
                    "{line:?}"
                );
            }
        }
    }
}

#[test]
fn the_output_of_run_is_what_is_drawn() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("y.npy");
    let flags = [
        "--input",
        SCENE,
        "--stride",
        "2",
        "--padding",
        "3",
        "--order",
        "onednn-direct/ic8",
    ];
    let done = run(["run", "conv1", EDGES, "--output", path.to_str().unwrap()]
        .iter()
        .chain(&flags));
    assert_eq!(done.code, Some(0), "{done:?}");
    let drawn = run(["plot", "conv1", EDGES, "--json"].iter().chain(&flags)).json();
    assert_eq!(drawn["shape"], serde_json::json!([16, 48, 48]));
    assert_eq!(drawn["order"], "onednn-direct/ic8");
    let bytes = std::fs::read(&path).unwrap();
    let (words, _) = bytes[bytes.len() - 16 * 48 * 48 * 4..].as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    for (map, figures) in values
        .chunks(48 * 48)
        .zip(drawn["filters"].as_array().unwrap())
    {
        let float = |name: &str| figures[name].as_f64().unwrap() as f32;
        assert_eq!(Some(float("max")), map.iter().copied().reduce(f32::max));
        assert_eq!(Some(float("min")), map.iter().copied().reduce(f32::min));
    }
}

#[test]
fn every_kind_of_layer_has_a_picture() {
    let listed = run(["ls", "fixtures/checkpoints/module_zoo_state.pth", "--json"]).json();
    let mut drawn = 0;
    for tensor in listed["tensors"].as_array().unwrap() {
        let name = tensor["name"].as_str().unwrap();
        let done = run([
            "plot",
            name,
            "fixtures/checkpoints/module_zoo_state.pth",
            "--json",
        ]);
        if tensor["numel"] == 0 {
            assert!(done.refusal().contains("nothing to draw"), "{name}");
            continue;
        }
        let document = done.json();
        assert_eq!(document["name"], *name);
        let count: u64 = document["filters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["count"].as_u64().unwrap())
            .sum();
        assert_eq!(
            count,
            tensor["numel"].as_u64().unwrap(),
            "{name}: every value is somewhere"
        );
        drawn += 1;
    }
    assert!(drawn > 20, "{drawn}");
}

#[test]
fn refusals() {
    let odd = "fixtures/pictures/odd.pth";
    for (arguments, what) in [
        (
            "conv FILE --filter 4",
            "--filter 4: there are 4, counted from 0",
        ),
        ("conv FILE --channel 1", "--channel 1: there are 1"),
        ("conv FILE --output x.jpg", "must end in .png"),
        ("conv FILE --range 0,1", "leaves out 0"),
        ("conv FILE --range 1,1 --colors grey", "is empty"),
        ("conv FILE --range 1 --per-filter", "cannot be used with"),
        ("conv FILE --output no_such_folder/x.png", "no_such_folder"),
        (
            "same3 FILE --input fixtures/pictures/small.png --image 1",
            "--image 1: there are 1",
        ),
        ("same1 FILE --input fixtures/pictures/small.png", "takes 1"),
        ("complex64 fixtures/checkpoints/dtypes.pth", "two numbers"),
    ] {
        let arguments = format!("plot {arguments}").replace("FILE", odd);
        let message = run(arguments.split(' ')).refusal();
        assert!(message.contains(what), "{arguments}\n{message}");
    }
}
