//! What the README shows is what the program does: every `$ ` line of its ```console blocks is run.
//!
//! The lines are run in order by `sh` in the repository's root, `cargo run --release --` standing for the tested binary;
//! the text below a command is its output, where `...` alone on a line stands for any lines and `[..]` for any text
//! within one. No text: only the exit code counts. A last line `[exit 1]` says that the code is not 0.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

struct Example {
    line: usize,
    command: String,
    shown: Vec<String>,
    code: i32,
}

fn examples(readme: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (number, line) in readme.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if !inside {
            continue;
        } else if let Some(command) = line.strip_prefix("$ ") {
            let command = command.to_owned();
            examples.push(Example {
                line: number + 1,
                command,
                shown: Vec::new(),
                code: 0,
            });
        } else if let Some(example) = examples.last_mut() {
            match line
                .strip_prefix("[exit ")
                .and_then(|rest| rest.strip_suffix(']'))
            {
                Some(code) => example.code = code.parse().unwrap(),
                None => example.shown.push(line.to_owned()),
            }
        }
    }
    examples
}

/// Whether `found` is what `shown` describes.
fn agree(shown: &[String], found: &[&str]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=found.len()).any(|skipped| agree(rest, &found[skipped..]))
        }
        Some((line, rest)) => found
            .split_first()
            .is_some_and(|(first, others)| line_agrees(line, first) && agree(rest, others)),
    }
}

fn line_agrees(shown: &str, found: &str) -> bool {
    let mut parts = shown.split("[..]");
    let Some(mut rest) = parts.next().and_then(|start| found.strip_prefix(start)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn the_commands_of_the_readme_do_what_it_shows() {
    let readme = std::fs::read_to_string(support::root().join("README.md")).unwrap();
    let examples = examples(&readme);
    assert!(
        examples.len() >= 5,
        "only {} examples found",
        examples.len()
    );
    let binary = env!("CARGO_BIN_EXE_pthinspect");
    let mut wrong = Vec::new();
    for example in &examples {
        let command = example
            .command
            .replace("cargo run --release --quiet -- ", &format!("{binary} "))
            .replace("cargo run --release -- ", &format!("{binary} "));
        let folder = std::path::Path::new(binary).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("{{ {command}\n}} 2>&1"))
            .current_dir(support::root())
            .env("PATH", path)
            .env_remove("PTHINSPECT_FILE")
            .output()
            .unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = found.lines().collect();
        let same = example.shown.is_empty() || agree(&example.shown, &lines);
        if output.status.code() != Some(example.code) || !same {
            wrong.push(format!(
                "README.md:{}: $ {}\nexit {:?}, wanted {}\n--- shown\n{}\n--- found\n{found}",
                example.line,
                example.command,
                output.status.code(),
                example.code,
                example.shown.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn wildcards_stand_for_what_varies() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(agree(&shown("a\n...\nz"), &["a", "b", "c", "z"]));
    assert!(agree(&shown("a [..] ms"), &["a 12.5 ms"]));
    assert!(!agree(&shown("a [..] ms"), &["b 12.5 ms"]));
    assert!(!agree(&shown("a"), &["a", "b"]));
}
