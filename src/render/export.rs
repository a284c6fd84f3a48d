//! `export`: what was written.

use std::io::{Result, Write};

use super::escape;
use super::number;
use super::paint::Paint;
use crate::export::Written;

/// One line per tensor, then the sums.
pub fn text(out: &mut dyn Write, written: &Written, paint: Paint) -> Result<()> {
    let name = |name: &str| {
        if name.is_empty() {
            "(unnamed)".to_owned()
        } else {
            escape::text(name).into_owned()
        }
    };
    let widest = written
        .entries
        .iter()
        .map(|e| name(&e.name).chars().count())
        .max()
        .unwrap_or(0);
    let one_file = written
        .entries
        .windows(2)
        .any(|pair| pair[0].file == pair[1].file);
    for entry in &written.entries {
        let name = format!("{:<width$}", name(&entry.name), width = widest.min(40));
        let place = if one_file {
            format!("{} at byte {}", entry.file, entry.offset)
        } else {
            entry.file.clone()
        };
        let layout = entry.layout.as_ref().map_or_else(String::new, |laid| {
            format!(" as {} {:?}", laid.tag.text(), laid.blocked.array_shape())
        });
        writeln!(
            out,
            "{}  {} {:?}{layout} -> {place}",
            paint.name(name),
            entry.dtype,
            entry.shape
        )?;
    }
    let bytes: u64 = written.entries.iter().map(|entry| entry.nbytes).sum();
    let sums = format!(
        "{}, {}; manifest {}",
        number::count(written.entries.len() as u64, "tensor"),
        number::bytes(bytes),
        written.manifest_path.display()
    );
    writeln!(out, "{}", paint.dim(escape::text(&sums)))
}
