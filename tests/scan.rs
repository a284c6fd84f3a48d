//! `scan` from outside: every trick is flagged, nothing that torch writes is, and nothing takes long or much.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pthinspect::scan::{Level, Options, Report, scan};
use serde_json::Value;
use support::{fixture, pthinspect, run, snapshot};

fn files(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(fixture(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = name(path);
            let is_index = name.ends_with(".index.json");
            path.is_file() && (is_index || !name.ends_with(".json") && !name.ends_with(".why"))
        })
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn scanned(path: &Path) -> Report {
    scan(path, &Options::default()).unwrap()
}

#[test]
fn every_trick_is_flagged() {
    let why: Value =
        serde_json::from_slice(&fs::read(fixture("malicious/why.json")).unwrap()).unwrap();
    let files = files("malicious");
    assert_eq!(why.as_object().unwrap().len(), files.len());
    assert!(files.len() > 300);
    for path in files {
        let report = scanned(&path);
        assert!(report.verdict > Level::Inert, "{}: clean", name(&path));
        assert!(!report.findings.is_empty(), "{}", name(&path));
        // what would run is named, and not only that something is odd
        let calls = !["size_", "zip_", "args_", "bomb_", "state_", "name_"]
            .iter()
            .any(|start| name(&path).starts_with(start));
        let bytes = fs::read(&path).unwrap();
        if calls && memchr::memmem::find(&bytes, b"posix\nsystem\n").is_some() {
            assert!(
                report
                    .findings
                    .iter()
                    .any(|f| f.what == "posix.system" && f.level == Level::Dangerous),
                "{}: {:?}",
                name(&path),
                report.findings
            );
        }
    }
}

#[test]
fn each_trick_is_called_by_its_name() {
    let kinds = [
        ("zip_three_pickles.pth", "duplicate-member"),
        ("zip_case_twin.pth", "case-twin"),
        ("zip_local_name.pth", "header-mismatch"),
        ("zip_local_size.pth", "header-mismatch"),
        ("zip_local_flags.pth", "header-mismatch"),
        ("zip_overlap.pth", "overlap"),
        ("zip_prefix.pth", "outside-archive"),
        ("zip_suffix.pth", "hidden-pickle"),
        ("zip_between.pth", "outside-archive"),
        ("zip_comment.pth", "hidden-pickle"),
        ("zip_second_pickle.pth", "trailing-bytes"),
        ("zip_pickle_in_storage.pth", "hidden-pickle"),
        ("zip_pickle_inside_storage.pth", "hidden-pickle"),
        ("zip_extra_pickle.pth", "hidden-pickle"),
        ("zip_unlisted.pth", "unlisted-member"),
        ("zip_two_roots.pth", "two-checkpoints"),
        ("zip_nul_name.pth", "member-name"),
        ("int_hexadecimal.pth", "parser-dependent"),
        ("memo_overwritten.pth", "memo"),
        ("memo_far.pth", "memo"),
        ("dup.pth", "opcode"),
        ("name_extension_1.pth", "extension"),
        ("persistent_text.pth", "persistent-id"),
        ("name_computed.pth", "computed-name"),
        ("name_getattr_chain.pth", "call"),
        ("state_setstate.pth", "state"),
        ("state_on_class.pth", "state"),
        ("args_hooks_not_empty.pth", "call"),
        ("args_retyped_function.pth", "call"),
        ("size_expand.pth", "tensor"),
        ("size_storage_larger.pth", "tensor"),
        ("bomb_deflate.pth", "deflate-bomb"),
        ("bomb_deflate_storage.pth", "deflate-bomb"),
        ("bomb_deflate_opcodes.pth", "limit"),
        ("polyglot_safetensors_zip.safetensors", "polyglot"),
        ("polyglot_gguf_zip.gguf", "polyglot"),
        ("polyglot_pickle_zip.pth", "polyglot"),
        ("hidden_before_cut.pth", "damaged"),
        ("zip_three.pth", "polyglot"),
        ("zip_split_mark.pth", "polyglot"),
        ("zip_empty_ends.pth", "unlisted-member"),
        ("zip_parent_name.pth", "path-traversal"),
        ("zip_absolute_name.pth", "path-traversal"),
        ("zip_folder_with_data.pth", "hidden-pickle"),
        ("zip_serialization_id.pth", "hidden-pickle"),
        ("zip_deflated_storage.pth", "hidden-pickle"),
        ("tar_link.pth", "path-traversal"),
        ("tar_parent.tar", "path-traversal"),
        ("tar_zip.pth", "polyglot"),
        ("elf_zip.pth", "polyglot"),
        ("index_parent.bin.index.json", "path-traversal"),
        ("index_absolute.safetensors.index.json", "path-traversal"),
        ("script_saves.pt", "script-code"),
        ("script_reads.pt", "script-code"),
        ("script_operator.pt", "script-code"),
        ("script_bytecode_saves.ptl", "script-code"),
        ("script_class.pt", "global"),
        ("package_source.pt", "python-source"),
        ("package_library.pt2", "native-code"),
        ("items_on_module.pth", "call"),
        ("args_class_called.pth", "call"),
        ("args_property.pth", "call"),
    ];
    for (file, kind) in kinds {
        let report = scanned(&fixture("malicious").join(file));
        let found: BTreeSet<&str> = report.findings.iter().map(|f| f.kind.name()).collect();
        assert!(found.contains(kind), "{file}: {found:?}");
    }
}

#[test]
fn the_place_is_the_members_the_offset_and_the_path() {
    let places = [
        (
            "distributed_second.distcp",
            "zip+0x23e!data.pkl+0x2",
            "posix.system",
        ),
        (
            "exported_inputs.pt2",
            "data/sample_inputs/model.pt!data.pkl+0x2",
            "posix.system",
        ),
        (
            "exported_constants.pt2",
            "data/constants/custom_obj_0+0x2",
            "posix.system",
        ),
        (
            "script_debug.pt",
            "code/__torch__.py.debug_pkl+0x2",
            "posix.system",
        ),
        ("tar_nested.tar", "a/model.pt!data.pkl+0x2", "posix.system"),
        ("npy_fields.npy", "npy_fields.npy+0x84", "posix.system"),
        (
            "legacy_storage.pth",
            "legacy_storage.pth+0x63",
            "posix.system",
        ),
    ];
    for (file, place, what) in places {
        let report = scanned(&fixture("malicious").join(file));
        let finding = &report.findings[0];
        assert_eq!((&*finding.what, &*finding.place), (what, place), "{file}");
        // the bytes there are the name's opcode
        let bytes = fs::read(fixture("malicious").join(file)).unwrap();
        let at = usize::try_from(finding.file_offset.unwrap()).unwrap();
        assert!(bytes[at..].starts_with(b"cposix\nsystem\n"), "{file}");
    }
}

#[test]
fn what_the_odd_and_hostile_fixtures_try_is_flagged() {
    for path in files("malformed") {
        let name = name(&path);
        // damaged data is for `check` to find
        if (name.starts_with("hostile_") || name.starts_with("odd_")) && name != "odd_bad_crc.pth" {
            assert!(scanned(&path).verdict > Level::Inert, "{name}");
        }
    }
}

/// Classes of the fixtures' own, for which nobody vouches: these and nothing else is found.
const OWN: &[&str] = &["zoo.", "mnist_net.", "__main__."];

#[test]
fn nothing_that_torch_writes_is_flagged() {
    let mut clean = 0;
    for folder in ["checkpoints", "questions", "goldens"] {
        for path in files(folder) {
            // another checkpoint behind the end, on purpose
            if name(&path) == "legacy_trailing.pth"
                || name(&path).ends_with(".npy") && folder == "questions"
            {
                continue;
            }
            let report = scanned(&path);
            // torch writes these two, and reading them compiles and runs source out of the file
            if name(&path) == "module_programs.pth" {
                assert_eq!(report.verdict, Level::Dangerous);
                continue;
            }
            let others: Vec<_> = report
                .findings
                .iter()
                .filter(|f| !OWN.iter().any(|own| f.what.starts_with(own)))
                .collect();
            assert!(others.is_empty(), "{}: {others:#?}", path.display());
            clean += usize::from(report.verdict == Level::Inert);
        }
    }
    assert!(clean > 60, "only {clean} clean");
}

#[test]
fn the_document_is_the_contracts() {
    let file = "fixtures/malicious/hidden_in_state_dict.pth";
    let run = run(["scan", file, "--json"]);
    assert_eq!(run.code, Some(1));
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["file"], file);
    assert_eq!(document["verdict"], "dangerous");
    let finding = &document["findings"][0];
    assert_eq!(finding["kind"], "global");
    assert_eq!(finding["what"], "posix.system");
    assert_eq!(finding["where"], "data.pkl+0xa3");
    assert_eq!(finding["path"], "conv.bias");
    assert_eq!(finding["level"], "dangerous");
    let clean = support::run(["scan", "fixtures/checkpoints/state.pth", "--json"]).json();
    assert_eq!(clean["verdict"], "clean");
    assert_eq!(clean["findings"], serde_json::json!([]));
    assert_eq!(clean["globals"][0]["level"], "known-inert");
}

#[test]
fn the_user_may_vouch_for_names() {
    let file = "fixtures/malicious/call_unknown_class.pth";
    assert_eq!(run(["scan", file]).code, Some(1));
    assert_eq!(
        run(["scan", file, "--allow", "__main__.Other"]).code,
        Some(1)
    );
    let vouched = run(["scan", file, "--allow", "__main__.*", "--json"]).json();
    assert_eq!(vouched["verdict"], "clean");
    assert_eq!(vouched["globals"][0]["allowed"], true);
    let text = support::run(["scan", file, "--allow", "__main__.[", "--color", "never"]).refusal();
    assert!(text.contains("--allow"), "{text}");
}

#[test]
fn a_report_for_code_scanning() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("scan.sarif");
    let out_arg = out.to_str().unwrap();
    let file = "fixtures/malicious/hidden_in_state_dict.pth";
    assert_eq!(run(["scan", file, "--sarif", out_arg]).code, Some(1));
    let sarif: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], file);
        let at = usize::try_from(place["region"]["byteOffset"].as_u64().unwrap()).unwrap();
        // the region is where the opcode lies
        let bytes = fs::read(fixture("malicious/hidden_in_state_dict.pth")).unwrap();
        assert!([b'c', b'R'].contains(&bytes[at]), "{at}");
    }
    assert_eq!(run["results"][0]["level"], "error");
}

#[test]
fn a_folder_is_scanned_file_by_file() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["state.pth", "with_metadata.safetensors"] {
        fs::copy(fixture("checkpoints").join(file), folder.path().join(file)).unwrap();
    }
    fs::write(folder.path().join("README.md"), "a model\n").unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let document = run(["scan", &path, "--json"]).json();
    assert_eq!(
        (&document["files"], &document["files_without_pickles"]),
        (&Value::from(2), &Value::from(1))
    );
    fs::copy(fixture("malicious/raw.pkl"), folder.path().join("raw.pkl")).unwrap();
    let run = run(["scan", &path, "--json"]);
    assert_eq!(run.code, Some(1));
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["findings"][0]["file"], "raw.pkl");
}

#[test]
fn several_files_have_a_verdict_each_and_one_in_all() {
    let (good, bad) = (
        "fixtures/checkpoints/state.pth",
        "fixtures/malicious/raw.pkl",
    );
    let clean = run(["scan", good, "fixtures/checkpoints/views.pth"]);
    assert_eq!(clean.code, Some(0));
    assert!(clean.stdout.ends_with("2 files: 2 clean\nverdict: clean\n"));
    assert_eq!(clean.stdout.matches("verdict: ").count(), 3);
    let mixed = run(["scan", good, bad, "--json"]);
    assert_eq!(mixed.code, Some(1));
    let document: Value = serde_json::from_str(&mixed.stdout).unwrap();
    assert_eq!(document["verdict"], "dangerous");
    assert_eq!(document["reports"][0]["verdict"], "clean");
    assert_eq!(
        document["reports"][1]["findings"][0]["what"],
        "posix.system"
    );
    // what cannot be read is told, and the others are scanned all the same
    let failed = run(["scan", "missing.pth", good]);
    assert_eq!(failed.code, Some(2));
    assert!(
        failed.stderr.contains("error: missing.pth"),
        "{}",
        failed.stderr
    );
    assert!(
        failed
            .stdout
            .ends_with("2 files: 1 clean, 1 not scanned\nverdict: not all were scanned\n")
    );
    let document = run(["scan", "missing.pth", good, "--json"]);
    let document: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!(document["verdict"], Value::Null);
    assert_eq!(document["not_scanned"][0]["file"], "missing.pth");
}

#[test]
fn a_folder_is_not_clean_because_of_what_cannot_be_read() {
    for (from, name) in [
        ("malformed/gzip.pth", "model.pth.gz"),
        ("malformed/html_page.pth", "model.pth"),
        ("malformed/git_lfs_pointer.pth", "pytorch_model.bin"),
        (
            "malicious/index_parent.bin.index.json",
            "pytorch_model.bin.index.json",
        ),
        ("malicious/raw.pkl", ".git/model"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        fs::copy(
            fixture("checkpoints/state.pth"),
            folder.path().join("state.pth"),
        )
        .unwrap();
        fs::write(folder.path().join("README.md"), "a model\n").unwrap();
        fs::copy(fixture(from), folder.path().join(name)).unwrap();
        let report = scanned(folder.path());
        assert!(report.verdict > Level::Inert, "{name}");
        assert_eq!(report.findings[0].file.as_deref(), Some(Path::new(name)));
        assert_eq!(report.verdicts.len(), 2, "{name}");
        assert_eq!(report.skipped, 1, "{name}");
    }
}

#[test]
fn a_limit_that_is_reached_is_never_clean() {
    for limit in ["pickle_steps=20", "pickle_memory=2000", "records=2"] {
        let run = run(["scan", "fixtures/checkpoints/state.pth", "--limit", limit]);
        assert_eq!(run.code, Some(1), "{limit}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stdout.contains("unknown     limit: "),
            "{limit}: {}",
            run.stdout
        );
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_and_models_without_pickles_are_clean() {
    for file in [
        "html_page.pth",
        "git_lfs_pointer.pth",
        "gzip.pth",
        "text.pth",
    ] {
        let path = format!("fixtures/malformed/{file}");
        run(["scan", &path]).refusal();
    }
    run(["scan", "fixtures/malformed/gguf.pth"]).ok();
    run(["scan", "fixtures/checkpoints/dtypes.safetensors"]).ok();
}

#[test]
fn bombs_are_refused_in_little_memory() {
    // the address space is limited to 160 MB, which is above what the program's own image and stacks take
    for path in files("malicious") {
        if !name(&path).starts_with("bomb_") {
            continue;
        }
        for command in ["scan", "ls", "tree"] {
            let binary = pthinspect().get_program().to_owned();
            let shell = std::process::Command::new("sh")
                .args(["-c", "ulimit -v 163840; exec \"$0\" \"$@\""])
                .arg(&binary)
                .arg(command)
                .arg(&path)
                .output()
                .unwrap();
            let code = shell.status.code();
            assert!(
                matches!(code, Some(0..=2)) && (command != "scan" || code == Some(1)),
                "{command} {}: {:?} {}",
                name(&path),
                shell.status,
                String::from_utf8_lossy(&shell.stderr)
            );
        }
    }
}

#[test]
fn reports_for_people() {
    snapshot("scan_clean", "scan fixtures/checkpoints/training.pth");
    snapshot("scan_names", "scan fixtures/checkpoints/state.pth --names");
    snapshot(
        "scan_dangerous",
        "scan fixtures/malicious/hidden_in_state_dict.pth --color never",
    );
    snapshot(
        "scan_structure",
        "scan fixtures/malicious/zip_three_pickles.pth --color never",
    );
    snapshot(
        "scan_json",
        "scan fixtures/malicious/zip_second_pickle.pth --json",
    );
}
