//! The table of accumulation orders: text and JSON.

use std::io::Result;
use std::io::Write;

use serde_json::Value;
use serde_json::json;

use crate::execute::order::table::FAMILIES;
use crate::render::Paint;
use crate::render::wrap;

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

/// A label, and the text beside it.
fn paragraph(
    out: &mut dyn Write,
    paint: Paint,
    label: &str,
    text: &str,
    width: usize,
) -> Result<()> {
    const INDENT: usize = 12;
    let mut lines = Vec::new();
    wrap::paragraph(&mut lines, text, INDENT, width)?;
    write!(out, "  {:<10}", paint.dim(label))?;
    out.write_all(&lines[INDENT..]) // the label stands where the first line's indent was
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
