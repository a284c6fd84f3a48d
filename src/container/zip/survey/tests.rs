use std::io::Write;

use super::{ProblemKind, Survey};
use crate::bytes::Limits;
use crate::container::Method;

fn archive(records: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in records {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn kinds(bytes: &[u8]) -> Vec<ProblemKind> {
    let survey = Survey::of(bytes, &Limits::default()).unwrap();
    survey.problems.iter().map(|problem| problem.kind).collect()
}

const RECORDS: [(&str, &[u8]); 2] = [("m/a", b"first record"), ("m/b", b"second")];

#[test]
fn a_correct_archive_has_no_problems() {
    for method in [
        zip::CompressionMethod::Stored,
        zip::CompressionMethod::Deflated,
    ] {
        let bytes = archive(&RECORDS, method);
        assert_eq!(kinds(&bytes), []);
        let survey = Survey::of(&bytes, &Limits::default()).unwrap();
        for (member, (name, content)) in survey.members.iter().zip(RECORDS) {
            assert_eq!(member.record.name, name);
            assert!(member.listed && member.is_whole());
            assert_eq!(&member.content(&bytes, 100).unwrap()[..], content);
        }
        assert_eq!(
            survey.members[0].content(&bytes, 3).is_err(),
            survey.members[0].record.method == Method::Deflated
        );
    }
}

#[test]
fn what_is_put_around_an_archive_is_seen() {
    let bytes = archive(&RECORDS, zip::CompressionMethod::Stored);
    let before = [b"something", &bytes[..]].concat();
    assert_eq!(kinds(&before), [ProblemKind::Outside]);
    assert_eq!(Survey::of(&before, &Limits::default()).unwrap().start, 9);
    let after = [&bytes[..], b"something"].concat();
    assert_eq!(kinds(&after), [ProblemKind::Outside]);
}

/// torch's local headers state no sizes: descriptors behind the data do.
#[test]
fn records_are_found_without_a_directory() {
    let torchs = std::fs::read("fixtures/checkpoints/state.pth").unwrap();
    let whole = Survey::of(&torchs, &Limits::default()).unwrap();
    let directory = usize::try_from(whole.directory.as_ref().unwrap().start).unwrap();
    let cut = Survey::of(&torchs[..directory], &Limits::default()).unwrap();
    assert_eq!(cut.problems[0].kind, ProblemKind::NoDirectory);
    assert_eq!(cut.members.len(), whole.members.len());
    for (found, listed) in cut.members.iter().zip(&whole.members) {
        assert_eq!(found.record, listed.record);
        assert!(found.is_whole() && !found.listed);
    }
    // inside the fifth record's data
    let inside = usize::try_from(whole.members[4].record.data_at).unwrap() + 10;
    let cut = Survey::of(&torchs[..inside], &Limits::default()).unwrap();
    let last = cut.members.last().unwrap();
    assert_eq!((last.available, last.stated), (10, false));
}

#[test]
fn many_headers_take_no_longer_than_few() {
    // each header announces a descriptor that never comes
    let header = b"PK\x03\x04\x14\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a";
    let bytes = header.repeat(100_000);
    let survey = Survey::of(&bytes, &Limits::default()).unwrap();
    assert_eq!(survey.members.len(), 100_000);
    let limits = Limits {
        records: 10,
        ..Limits::default()
    };
    assert!(Survey::of(&bytes, &limits).is_err());
}
