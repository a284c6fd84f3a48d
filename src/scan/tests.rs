use super::{Kind, Level, Options, Report, scan_bytes};

fn scanned(pickle: &[u8]) -> Report {
    scan_bytes("model.pkl", pickle.to_vec(), &Options::default()).unwrap()
}

#[test]
fn the_path_is_that_of_the_tensors_names() {
    // a module's attributes, its modules, a list in a dict
    let report = scanned(
        b"\x80\x02ctorch.nn.modules.container\nSequential\n)\x81}X\x08\0\0\0_modules}X\x02\0\0\0fc]cposix\nsystem\nassb.",
    );
    let finding = &report.findings[0];
    assert_eq!(finding.what, "posix.system");
    assert_eq!(finding.path.as_deref(), Some("fc.0"));
    assert_eq!(finding.place, "model.pkl+0x42");
    assert_eq!(finding.file_offset, Some(0x42));
}

#[test]
fn what_the_object_does_not_show_has_no_path() {
    let report = scanned(b"\x80\x02cposix\nsystem\n0}.");
    assert_eq!(report.findings[0].path, None);
}

#[test]
fn repetitions_are_counted() {
    let calls = b"cposix\nsystem\n)R0".repeat(1000);
    let report = scanned(&[b"\x80\x02", &calls[..], b"N."].concat());
    assert_eq!(report.names.len(), 1);
    assert_eq!(report.names[0].count, 1000);
    assert_eq!(report.findings.len() + report.left_out, 2000);
    assert!(report.findings.len() < 100);
}

#[test]
fn a_verdict_is_the_worst_of_the_findings() {
    assert_eq!(scanned(b"\x80\x02}.").verdict, Level::Inert);
    assert_eq!(
        scanned(b"\x80\x02c__main__\nNet\n.").verdict,
        Level::Unknown
    );
    assert_eq!(
        scanned(b"\x80\x02](c__main__\nNet\ncposix\nsystem\ne.").verdict,
        Level::Dangerous
    );
    assert_eq!(Level::Inert.verdict(), "clean");
}

#[test]
fn kinds_have_names_of_their_own() {
    let names: std::collections::HashSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    assert!(Kind::ALL.iter().all(|kind| kind.help().ends_with('.')));
}
