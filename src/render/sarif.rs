//! SARIF 2.1.0 of a scan, as code-scanning services read it.
//!
//! A finding's kind is its rule; dangerous is `error`, unknown `warning`. The place in the file is a byte region, the
//! place in the object a logical location. Source of the format: OASIS, Static Analysis Results Interchange Format
//! 2.1.0, 27 March 2020.

use serde_json::{Value, json};

use crate::scan::{Finding, Kind, Level, Report};

/// The document for reports: one run.
pub fn document(reports: &[Report]) -> Value {
    let worst = reports.iter().map(|report| report.verdict).max();
    let left_out: usize = reports.iter().map(|report| report.left_out).sum();
    let rules: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| {
            json!({
                "id": kind.name(),
                "shortDescription": {"text": kind.help()},
                "defaultConfiguration": {"level": "warning"},
                "properties": {"tags": ["security"]},
            })
        })
        .collect();
    let results: Vec<Value> = reports
        .iter()
        .flat_map(|report| {
            report
                .findings
                .iter()
                .map(|finding| result(report, finding))
        })
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "pthinspect",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {"verdict": worst.map(Level::verdict), "findingsLeftOut": left_out},
        }],
    })
}

fn result(report: &Report, finding: &Finding) -> Value {
    let index = Kind::ALL.iter().position(|kind| *kind == finding.kind);
    let file = match &finding.file {
        Some(file) if report.file.is_dir() => report.file.join(file),
        Some(file) => report.file.parent().unwrap_or(&report.file).join(file),
        None => report.file.clone(),
    };
    let mut physical = json!({"artifactLocation": {"uri": uri(&file.to_string_lossy())}});
    if let (Some(offset), Some(object)) = (finding.file_offset, physical.as_object_mut()) {
        object.insert(
            "region".to_owned(),
            json!({"byteOffset": offset, "byteLength": 1}),
        );
    }
    let mut location = json!({"physicalLocation": physical});
    if let (Some(path), Some(object)) = (&finding.path, location.as_object_mut())
        && !path.is_empty()
    {
        let logical = json!([{"fullyQualifiedName": path, "kind": "member"}]);
        object.insert("logicalLocations".to_owned(), logical);
    }
    json!({
        "ruleId": finding.kind.name(),
        "ruleIndex": index,
        "level": if finding.level == Level::Dangerous { "error" } else { "warning" },
        "message": {"text": format!("{}: {} ({})", finding.what, finding.message, finding.place)},
        "locations": [location],
        "properties": {"what": finding.what, "where": finding.place, "level": finding.level.name()},
    })
}

/// A path as a URI, or one relative to the folder of the run: what is not plain is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    let drive = cfg!(windows) && path.as_bytes().get(1) == Some(&b':');
    if path.starts_with('/') || drive {
        uri.push_str(if drive { "file:///" } else { "file://" });
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            b'\\' if cfg!(windows) => uri.push('/'),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_become_references() {
        assert_eq!(super::uri("a b/é.pth"), "a%20b/%C3%A9.pth");
        assert_eq!(super::uri("/a/100%#?.pth"), "file:///a/100%25%23%3F.pth");
    }
}
