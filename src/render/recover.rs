//! `recover`: what was saved, and what was not.

use std::io::{Result, Write};

use serde_json::{Value, json};

use super::escape;
use super::number::grouped;
use super::paint::Paint;
use crate::recover::{Lost, Recovery};

/// Lost tensors that are shown to people; programs get all of them.
const SHOWN: usize = 100;
/// Lines about the damage.
const DAMAGE: usize = 10;

/// Writes the damage, the lost tensors, and a count of the saved ones.
pub fn text(out: &mut dyn Write, recovery: &Recovery, paint: Paint) -> Result<()> {
    for damage in recovery.damage.iter().take(DAMAGE) {
        writeln!(out, "{} {}", paint.warn("damage:"), escape::text(damage))?;
    }
    if recovery.damage.len() > DAMAGE {
        writeln!(out, "... and {} more", recovery.damage.len() - DAMAGE)?;
    }
    for lost in recovery.lost.iter().take(SHOWN) {
        writeln!(
            out,
            "{}  {}{}: {}",
            paint.bad("lost"),
            paint.name(escape::text(&lost.name)),
            kind(lost),
            escape::text(&lost.why)
        )?;
    }
    if recovery.lost.len() > SHOWN {
        writeln!(
            out,
            "... and {} more",
            grouped((recovery.lost.len() - SHOWN) as u64)
        )?;
    }
    let bytes: u64 = recovery.saved.iter().map(|saved| saved.nbytes).sum();
    let all = recovery.saved.len() + recovery.lost.len();
    let into = match &recovery.output {
        Some(output) => format!(" to {}", escape::text(&output.display().to_string())),
        None => "; nothing was written".to_owned(),
    };
    writeln!(
        out,
        "saved {} of {} tensors, {} bytes{into}",
        grouped(recovery.saved.len() as u64),
        grouped(all as u64),
        grouped(bytes)
    )
}

/// Type and shape, as far as they are known.
fn kind(lost: &Lost) -> String {
    match (lost.dtype, &lost.shape) {
        (Some(dtype), Some(shape)) => format!("  {dtype} {shape:?}"),
        (Some(dtype), None) => format!("  {dtype}"),
        (None, Some(shape)) => format!("  {shape:?}"),
        (None, None) => String::new(),
    }
}

/// One document.
pub fn json(recovery: &Recovery) -> Value {
    let saved: Vec<Value> = recovery
        .saved
        .iter()
        .map(|saved| json!({"name": saved.name, "dtype": saved.dtype, "shape": saved.shape, "nbytes": saved.nbytes}))
        .collect();
    let lost: Vec<Value> = recovery
        .lost
        .iter()
        .map(|lost| json!({"name": lost.name, "dtype": lost.dtype, "shape": lost.shape, "why": lost.why}))
        .collect();
    json!({
        "file": recovery.file.display().to_string(),
        "output": recovery.output.as_ref().map(|output| output.display().to_string()),
        "saved": saved,
        "lost": lost,
        "damage": recovery.damage,
    })
}
