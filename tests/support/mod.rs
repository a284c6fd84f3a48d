//! The real binary, run as a user would, and snapshots of what it prints.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod golden;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file under `fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    root().join("fixtures").join(name)
}

/// The program, in the repository's root, without whatever the environment says about colours and files.
pub fn pthinspect() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pthinspect"));
    command
        .current_dir(root())
        .env_remove("NO_COLOR")
        .env_remove("PTHINSPECT_FILE");
    command
}

/// What a run printed, and how it ended.
#[derive(Debug)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

/// Runs the program with arguments.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    pthinspect().args(arguments).output().unwrap().into()
}

impl Run {
    /// Standard output of a run that must have gone well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The JSON document of a run that must have gone well.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The message of a run that must have been refused: exit 2, nothing on stdout, one `error:` line and at most one
    /// `hint:` line.
    #[track_caller]
    pub fn refusal(self) -> String {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let shape_is_right = match lines[..] {
            [error] => error.starts_with("error: "),
            [error, hint] => error.starts_with("error: ") && hint.starts_with("hint: "),
            _ => false,
        };
        assert!(shape_is_right, "{}", self.stderr);
        self.stderr
    }
}

/// Compares with `fixtures/snapshots/NAME.txt`; `PTHINSPECT_UPDATE=1` rewrites that file instead.
#[track_caller]
pub fn compare(name: &str, text: &str) {
    let path = fixture("snapshots").join(format!("{name}.txt"));
    if std::env::var_os("PTHINSPECT_UPDATE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; PTHINSPECT_UPDATE=1 writes it", path.display()));
    assert!(
        expected == text,
        "{} differs; PTHINSPECT_UPDATE=1 rewrites it\n--- expected\n{expected}\n--- found\n{text}",
        path.display()
    );
}

/// Runs `pthinspect ARGUMENTS` (separated by blanks) in the repository's root and compares stdout, stderr and exit
/// code with the snapshot.
#[track_caller]
pub fn snapshot(name: &str, arguments: &str) {
    let run = run(arguments.split(' '));
    let mut text = format!("$ pthinspect {arguments}\n{}", run.stdout);
    if !run.stderr.is_empty() {
        text += &format!("--- stderr\n{}", run.stderr);
    }
    if run.code != Some(0) {
        text += &format!("--- exit {}\n", run.code.unwrap());
    }
    compare(name, &text);
}
