//! `--ascii`: every command prints ASCII alone, says the same as without, and what people read fits into 80 columns.
//!
//! The commands are those of the snapshots, so that a new one is covered by having a snapshot.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use support::fixture;
use support::run;

/// Commands of which no snapshot shows a run, and what else is worth trying.
const MORE: [&str; 10] = [
    "shapes fixtures/questions/mnist_q2_sequential.pth --input 1,1,28,28",
    "orders",
    "orders --tree onednn-direct-blocks/ic16 --weight 4,20,1,2 --input 1,20,3,4",
    "verify fixtures/goldens/open/float64_rounded.golden.safetensors",
    "orders --json",
    "export no_such_tensor fixtures/checkpoints/state.pth --output /tmp/größe.bin",
    "recover fixtures/no_such_größe.pth --output /tmp/größe.safetensors",
    "layer conv1 fixtures/questions/cifar_q1.pth.tar --no-such-größe",
    "ls fixtures/checkpoints/python2_strings.pth --json",
    "tree fixtures/checkpoints/python2_strings.pth",
];

/// Needs a terminal to run in.
const INTERACTIVE: [&str; 1] = ["browse"];

/// Lists go into a pipe as one line for each thing, of whole words, for `grep`; on a terminal, that folds them.
const LISTS: [&str; 4] = ["ls", "tree", "check", "scan"];

fn may_be_wide(arguments: &[String]) -> bool {
    LISTS.contains(&arguments[0].as_str()) || arguments.iter().any(|a| a == "--json")
}

/// Arguments of every run that a snapshot shows.
fn snapshots() -> Vec<Vec<String>> {
    let folder = std::fs::read_dir(fixture("snapshots")).unwrap();
    let mut commands: Vec<String> = folder
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .filter_map(|text| {
            let line = text.lines().next()?;
            line.strip_prefix("$ pthinspect ").map(str::to_owned)
        })
        .collect();
    commands.sort();
    commands.extend(MORE.map(str::to_owned));
    let words = |command: &String| command.split(' ').map(str::to_owned).collect();
    commands.iter().map(words).collect()
}

#[test]
fn every_command_speaks_ascii() {
    let mut wrong = Vec::new();
    for arguments in snapshots() {
        let plain = run(&arguments);
        let mut with = arguments.clone();
        if !with.iter().any(|argument| argument == "--ascii") {
            with.push("--ascii".to_owned());
        }
        let ascii = run(&with);
        let shown = arguments.join(" ");
        if !ascii.stdout.is_ascii() || !ascii.stderr.is_ascii() {
            let odd = |c: &char| !c.is_ascii();
            let odd: BTreeSet<char> = ascii
                .stdout
                .chars()
                .chain(ascii.stderr.chars())
                .filter(odd)
                .collect();
            wrong.push(format!("{shown}: prints {odd:?}"));
        }
        if ascii.code != plain.code || ascii.stdout.lines().count() != plain.stdout.lines().count()
        {
            wrong.push(format!(
                "{shown}: does not say the same\n{}\n{}",
                plain.stdout, ascii.stdout
            ));
        }
        if arguments.iter().any(|argument| argument == "--json") && !plain.stdout.is_empty() {
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(read(&plain.stdout), read(&ascii.stdout), "{shown}");
        }
        if may_be_wide(&arguments) {
            continue;
        }
        // a word as long as some orders' names has nowhere to be folded
        let has_long_word = |line: &&str| line.split(' ').any(|word| word.len() > 40);
        let lines = ascii.stdout.lines().filter(|line| line.len() > 80);
        for line in lines.filter(|line| !has_long_word(line)) {
            wrong.push(format!("{shown}: {} columns: {line}", line.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_is_covered() {
    let help = run(["--help"]).ok();
    let commands = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next());
    let tried: BTreeSet<String> = snapshots().into_iter().map(|a| a[0].clone()).collect();
    for command in commands.filter(|c| *c != "help" && !INTERACTIVE.contains(c)) {
        assert!(
            tried.contains(command),
            "no run of `{command}` with --ascii: a snapshot of it, or a line in MORE, is wanted"
        );
    }
}
