//! The table of accumulation orders: text and JSON.

use std::io::Result;
use std::io::Write;

use serde_json::Value;
use serde_json::json;

use crate::execute::order::table::FAMILIES;
use crate::render::Paint;

/// One paragraph per family.
pub fn text(out: &mut dyn Write, paint: Paint, width: usize) -> Result<()> {
    for (i, family) in FAMILIES.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", paint.name(family.form))?;
        for (label, what) in [
            ("rule", family.rule),
            ("used by", family.used),
            ("evidence", family.evidence),
        ] {
            paragraph(out, paint, label, what, width)?;
        }
        paragraph(out, paint, "tried", &family.members.join(", "), width)?;
    }
    Ok(())
}

/// A label and text wrapped at words beside it.
fn paragraph(
    out: &mut dyn Write,
    paint: Paint,
    label: &str,
    text: &str,
    width: usize,
) -> Result<()> {
    const INDENT: usize = 12;
    let room = width.saturating_sub(INDENT).max(20);
    let mut label = label;
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > room {
            writeln!(out, "  {:<10}{line}", paint.dim(label))?;
            label = "";
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "  {:<10}{line}", paint.dim(label))
}

/// `{"orders": [{"form": ..., "rule": ..., "used": ..., "evidence": ..., "members": [...]}]}`
pub fn json() -> Value {
    let families: Vec<Value> = FAMILIES
        .iter()
        .map(|family| {
            json!({
                "form": family.form,
                "rule": family.rule,
                "used": family.used,
                "evidence": family.evidence,
                "members": family.members,
            })
        })
        .collect();
    json!({ "orders": families })
}
