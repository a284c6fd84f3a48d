//! Every limit: a file that runs into it, an error that names it with the right numbers and the flag that raises it, and
//! that flag letting the file through.
#![allow(clippy::unwrap_used)]

#[path = "support/bombs.rs"]
mod bombs;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};

use pthinspect::bytes::Limits;
use pthinspect::checkpoint::Checkpoint;
use pthinspect::container::Zip;
use pthinspect::pickle;
use support::{fixture, run};

/// A file, what is done with it, and the least value of the limit that lets it through.
struct Case {
    limit: &'static str,
    file: PathBuf,
    flags: Vec<String>,
    enough: u64,
    /// What the error says where the limit is one less.
    says: String,
}

fn path(name: &str) -> PathBuf {
    fixture("checkpoints").join(name)
}

/// The pickle of a fixture, and how many records the zip has.
fn pickle_of(name: &str) -> (Vec<u8>, u64) {
    let source = fs::read(path(name)).unwrap().into();
    let zip = Zip::open(&source, &Limits::default()).unwrap();
    let record = zip.find_in_root("data.pkl").unwrap();
    (zip.stored(record).to_vec(), zip.records().len() as u64)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A picture of one colour.
fn write_picture(path: &Path, side: u32) {
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), side, side);
    encoder.set_color(png::ColorType::Rgb);
    let pixels = vec![7; 3 * (side * side) as usize];
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&pixels)
        .unwrap();
}

/// How many levels lie below the root of the deepest node.
fn depth(checkpoint: &Checkpoint) -> u64 {
    fn below(checkpoint: &Checkpoint, node: usize) -> u64 {
        let children = checkpoint.tree().nodes[node].children.iter();
        children
            .map(|child| 1 + below(checkpoint, child.0))
            .max()
            .unwrap_or(0)
    }
    below(checkpoint, 0)
}

#[test]
fn each_limit_is_reached_named_and_raised() {
    let folder = tempfile::tempdir().unwrap();
    let (pickle, records) = pickle_of("state.pth");
    let steps = pickle::trace(&pickle, &Limits::default()).steps;
    let open = |name: &str| Checkpoint::open(&path(name), &Limits::default()).unwrap();
    let nested = open("deeply_nested.pth");
    let nodes = nested.tree().nodes.len();
    let header = {
        let bytes = fs::read(path("dtypes.safetensors")).unwrap();
        u64::from_le_bytes(bytes[..8].try_into().unwrap())
    };
    // 17 MB of text in 17 KB, which the ratio of 200 to 1 does not allow beyond 16 MB
    let inflating = folder.path().join("inflating.pth");
    bombs::inflating_text(&inflating, 17 << 20);
    let (inflated, kept) = {
        let source = fs::read(&inflating).unwrap().into();
        let zip = Zip::open(&source, &Limits::default()).unwrap();
        (zip.records()[0].len, zip.records()[0].stored_len)
    };
    let side = 14u64;
    let (picture, out) = (folder.path().join("in.png"), folder.path().join("out.npy"));
    write_picture(&picture, 14);
    let case = |limit, file, flags, enough, says| Case {
        limit,
        file,
        flags,
        enough,
        says,
    };
    let cases = [
        case(
            "records",
            path("state.pth"),
            words(&["ls"]),
            records,
            format!(
                "the zip has {records} records, the limit is {} (records)",
                records - 1
            ),
        ),
        case(
            "pickle_bytes",
            path("state.pth"),
            words(&["ls"]),
            pickle.len() as u64,
            format!(
                "has {} bytes, the limit is {} (pickle_bytes)",
                pickle.len(),
                pickle.len() - 1
            ),
        ),
        case(
            "header_bytes",
            path("dtypes.safetensors"),
            words(&["ls"]),
            header,
            format!(
                "the safetensors header has {header} bytes, the limit is {} (header_bytes)",
                header - 1
            ),
        ),
        case(
            "pickle_steps",
            path("state.pth"),
            words(&["ls"]),
            steps,
            format!(
                "the pickle has more than {} opcodes (pickle_steps)",
                steps - 1
            ),
        ),
        case(
            "tree_nodes",
            path("deeply_nested.pth"),
            words(&["ls"]),
            nodes as u64,
            format!(
                "the file unfolds to more than {} values (tree_nodes)",
                nodes - 1
            ),
        ),
        case(
            "tree_depth",
            path("deeply_nested.pth"),
            words(&["ls"]),
            depth(&nested),
            format!(
                "the values lie more than {} levels deep (tree_depth)",
                depth(&nested) - 1
            ),
        ),
        case(
            "axes",
            path("dtypes.safetensors"),
            words(&["ls"]),
            2,
            "a tensor of 2 axes, more than 1 (axes)".to_owned(),
        ),
        case(
            "inflate_ratio",
            inflating.clone(),
            words(&["ls"]),
            inflated.div_ceil(kept),
            format!(
                "inflates from {kept} bytes to {inflated}, the limit is 16777216 (inflate_ratio)"
            ),
        ),
        case(
            "picture_pixels",
            fixture("questions/cifar_q1.pth.tar"),
            words(&[
                "run",
                "conv1",
                "--padding",
                "2",
                "--input",
                picture.to_str().unwrap(),
                "--output",
                out.to_str().unwrap(),
            ]),
            side * side,
            format!(
                "the picture has {side} x {side} pixels, the limit is {} (picture_pixels)",
                side * side - 1
            ),
        ),
        // the largest tensor of the state dict
        case(
            "tensor_bytes",
            path("state.pth"),
            words(&["ls", "--sha256"]),
            open("state.pth")
                .tensors()
                .iter()
                .map(|t| t.nbytes() as u64)
                .max()
                .unwrap(),
            "(tensor_bytes)".to_owned(),
        ),
    ];
    let mut covered: BTreeSet<&str> = BTreeSet::new();
    for Case {
        limit,
        file,
        flags,
        enough,
        says,
    } in &cases
    {
        covered.insert(limit);
        let file = file.to_str().unwrap();
        let with = |value: u64| {
            let flag = format!("{limit}={value}");
            let mut words = flags.clone();
            words.extend([file.to_owned(), "--limit".to_owned(), flag]);
            run(words)
        };
        with(*enough).ok();
        // of the ratio the default is too little; of all others one less
        let less = if *limit == "inflate_ratio" {
            1
        } else {
            enough - 1
        };
        let refusal = with(less).refusal();
        assert!(refusal.contains(says.as_str()), "{limit}: {refusal}");
        let hint = format!("hint: --limit {limit}=VALUE raises that limit");
        assert!(refusal.contains(&hint), "{limit}: {refusal}");
    }
    // memory has no exact number: it is found, and named as the limit that it is
    for (limit, enough) in [("pickle_memory", 1 << 20), ("tree_bytes", 1 << 20)] {
        covered.insert(limit);
        let state = path("module_zoo.pth");
        let with = |value: u64| {
            run([
                "ls",
                state.to_str().unwrap(),
                "--limit",
                &format!("{limit}={value}"),
            ])
        };
        with(enough).ok();
        if limit == "pickle_memory" {
            let refusal = with(100).refusal();
            assert!(
                refusal.contains("the values of the pickle (pickle_memory) would take more than 100 bytes of memory"),
                "{refusal}"
            );
        }
    }
    // how many steps a program takes is not shown either
    covered.insert("program_steps");
    let script = path("torchscript_scripted.pt");
    let with = |flags: &[&str]| {
        let walk = ["shapes", script.to_str().unwrap(), "--input", "1,3,8,8"];
        run(walk.iter().chain(flags))
    };
    assert_ne!(with(&[]).code, Some(2));
    let refusal = with(&["--limit", "program_steps=1"]).refusal();
    assert!(refusal.contains("(program_steps)"), "{refusal}");
    assert!(
        refusal.contains("hint: --limit program_steps=VALUE raises"),
        "{refusal}"
    );
    let doubling = fixture("malformed/bomb_memo_doubling.pth");
    let refusal = run(["ls", doubling.to_str().unwrap()]).refusal();
    assert!(
        refusal.contains("(tree_bytes) would take more than"),
        "{refusal}"
    );
    assert!(
        refusal.contains("hint: --limit tree_bytes=VALUE raises"),
        "{refusal}"
    );
    let all: BTreeSet<&str> = Limits::default().table().iter().map(|row| row.0).collect();
    assert_eq!(covered, all);
}

#[test]
fn help_lists_each_with_its_default() {
    let help = run(["--help"]).ok();
    for (name, value, meaning) in Limits::default().table() {
        let line = help
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{name}=")));
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{help}"));
        let shown = line.trim_start()[name.len() + 1..]
            .split(' ')
            .next()
            .unwrap();
        let (digits, shift) = match shown.strip_suffix(['k', 'M', 'G']) {
            Some(digits) if shown.ends_with('k') => (digits, 10),
            Some(digits) if shown.ends_with('M') => (digits, 20),
            Some(digits) => (digits, 30),
            None => (shown, 0),
        };
        assert_eq!(digits.parse::<u64>().unwrap() << shift, value, "{line}");
        // the text may be wrapped: its beginning is on the line
        let begins: String = meaning.chars().take(12).collect();
        assert!(line.contains(&begins), "{line}");
        // and it can be given as it is shown
        let flag = format!("{name}={shown}");
        run(["ls", path("state.pth").to_str().unwrap(), "--limit", &flag]).ok();
    }
}

#[test]
fn what_is_no_limit_is_refused() {
    let file = path("state.pth");
    for bad in [
        "memory=1",
        "records",
        "records=",
        "records=-1",
        "records=1T",
        "records=99999999999999999999",
    ] {
        run(["ls", file.to_str().unwrap(), "--limit", bad]).refusal();
    }
}
