//! Holds the table of allowed dependencies in `src/lib.rs` against every `crate::` in the sources, and a few habits
//! that keep files small enough to read.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Lines of code (tests, comments and blank lines left out) that a file may have.
const LONGEST_FILE: usize = 500;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The table in the crate's documentation: module -> modules that it may use.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("lib.rs")).unwrap();
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("//! | module | may use |"))
        .skip(2);
    rows.map_while(|line| line.strip_prefix("//! |"))
        .map(|row| {
            let mut cells = row.trim_end_matches('|').splitn(2, '|').map(str::trim);
            let module = cells.next().unwrap().to_owned();
            let used = cells.next().unwrap_or_default().split(',').map(str::trim);
            (
                module,
                used.filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
            )
        })
        .collect()
}

/// The first directory or file name below `src`.
fn module_of(path: &Path) -> String {
    let first = path
        .strip_prefix(root())
        .unwrap()
        .components()
        .next()
        .unwrap();
    first
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

/// Code lines: no comments, no doc comments, nothing from the tests module on.
fn code(text: &str) -> Vec<(usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with("//"))
        .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table = table();
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        let module = module_of(&path);
        if ["lib", "main", "error"].contains(&module.as_str()) {
            continue;
        }
        let allowed = table
            .get(&module)
            .unwrap_or_else(|| panic!("`{module}` is not in the table"));
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text) {
            let at = format!("{}:{number}: {line}", path.display());
            for (start, _) in line.match_indices("crate::") {
                let rest = &line[start + "crate::".len()..];
                let used: String = rest
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if used.is_empty() {
                    wrong.push(format!("{at}\n    one module per line, please"));
                } else if table.contains_key(&used) && used != module && !allowed.contains(&used) {
                    wrong.push(format!("{at}\n    `{module}` may not use `{used}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_table_and_the_table_has_no_cycle() {
    let table = table();
    let modules: BTreeSet<String> = sources(&root())
        .iter()
        .map(|path| module_of(path))
        .filter(|name| !["lib", "main", "error"].contains(&name.as_str()))
        .collect();
    assert_eq!(modules, table.keys().cloned().collect());
    let mut settled = BTreeSet::new();
    while settled.len() < table.len() {
        let next: Vec<_> = table
            .iter()
            .filter(|(name, used)| !settled.contains(*name) && used.is_subset(&settled))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(
            !next.is_empty(),
            "a cycle among the modules that are not in {settled:?}"
        );
        settled.extend(next);
    }
}

#[test]
fn files_stay_readable() {
    let long: Vec<_> = sources(&root())
        .into_iter()
        .map(|path| (code(&std::fs::read_to_string(&path).unwrap()).len(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(
        long.is_empty(),
        "more than {LONGEST_FILE} lines of code: {long:?}"
    );
}

#[test]
fn unsafe_code_lives_in_few_files() {
    let homes = [
        "src/bytes/source.rs",
        "src/execute/kernel/dispatch.rs",
        "src/execute/kernel/transpose.rs",
        "src/execute/kernel/vector.rs",
        "src/execute/nnpack/dispatch.rs",
    ];
    for path in sources(&root()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_home = homes.iter().any(|home| path.ends_with(home));
        for (number, line) in code(&text) {
            let uses = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|w| w == "unsafe");
            assert!(
                !uses || is_home,
                "{}:{number}: unsafe outside {homes:?}",
                path.display()
            );
        }
    }
}
