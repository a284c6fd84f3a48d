//! The table of accumulation orders: text and JSON.

use std::io::Result;
use std::io::Write;

use serde_json::Value;
use serde_json::json;

use crate::execute::Order;
use crate::execute::order::table::FAMILIES;
use crate::execute::order::table::Family;
use crate::execute::order::tree;
use crate::execute::order::tree::Tree;
use crate::execute::predict::trust;
use crate::render::Paint;
use crate::render::number;
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
        if let Some((order, layer, tree)) = example(family) {
            paragraph(
                out,
                paint,
                "tree",
                &format!("{order} of {layer}: {tree}"),
                width,
            )?;
        }
    }
    Ok(())
}

/// One paragraph per processor on which predictions were held against PyTorch's outputs.
pub fn trust(out: &mut dyn Write, paint: Paint, width: usize) -> Result<()> {
    for row in trust::ROWS {
        writeln!(out)?;
        let title = format!("{}, torch {}", row.processor, row.torch);
        writeln!(out, "{}", paint.name(title))?;
        let counted = |count: trust::Count| {
            format!(
                "{} outputs, {} identical, {} of them predicted",
                count.outputs, count.identical, count.predicted
            )
        };
        let mut lines = vec![
            ("backends", row.backends.to_owned()),
            ("runs", row.runs.to_owned()),
            ("hardware", row.evidence.to_owned()),
            ("known", counted(row.known)),
        ];
        if row.fresh.outputs > 0 {
            lines.push(("fresh", counted(row.fresh)));
        }
        if !row.open.is_empty() {
            lines.push(("open", row.open.to_owned()));
        }
        for (label, what) in lines {
            paragraph(out, paint, label, &what, width)?;
        }
    }
    Ok(())
}

fn trust_json() -> Value {
    let count = |count: trust::Count| json!({"outputs": count.outputs, "identical": count.identical, "predicted": count.predicted});
    let rows = trust::ROWS.iter().map(|row| {
        json!({
            "processor": row.processor,
            "torch": row.torch,
            "backends": row.backends,
            "runs": row.runs,
            "evidence": row.evidence,
            "known": count(row.known),
            "fresh": count(row.fresh),
            "open": row.open,
        })
    });
    rows.collect()
}

/// The usual member, a layer, and the summation tree of one of its output elements.
fn example(family: &Family) -> Option<(String, String, String)> {
    let (order, g) = family.example()?;
    let tree = tree::of_order(&order, &g, [0, 0, 0])?;
    let [kh, kw] = g.kernel;
    let groups = match g.groups {
        1 => String::new(),
        groups => format!(", groups={groups}"),
    };
    let stride = match g.stride {
        [1, 1] => String::new(),
        [sh, sw] => format!(", stride=({sh}, {sw})"),
    };
    let layer = format!(
        "Conv2d({}, {}, ({kh}, {kw}){stride}{groups})",
        g.in_channels, g.out_channels
    );
    Some((order.to_string(), layer, tree.to_string()))
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

/// `{"orders": [{"form": ..., "rule": ..., "used": ..., "evidence": ..., "members": [...]}], "trust": [...]}`
pub fn json() -> Value {
    let families: Vec<Value> = FAMILIES
        .iter()
        .map(|family| {
            let tree = example(family)
                .map(|(order, layer, tree)| json!({"order": order, "layer": layer, "tree": tree}));
            json!({
                "form": family.form,
                "rule": family.rule,
                "used": family.used,
                "evidence": family.evidence,
                "members": family.members,
                "tree": tree,
            })
        })
        .collect();
    json!({ "orders": families, "trust": trust_json() })
}

/// The tree of one output element.
#[derive(Debug)]
pub struct Shown {
    /// Image, filter, row, column.
    pub at: [usize; 4],
    /// Elements that are summed in the same way.
    pub elements: usize,
    /// `None` where what is summed is not each product and the bias once.
    pub tree: Option<Tree>,
}

/// A line for each different sum.
pub fn trees(out: &mut dyn Write, paint: Paint, order: Order, shown: &[Shown]) -> Result<()> {
    writeln!(out, "{}", paint.name(order))?;
    for one in shown {
        let elements = number::count(one.elements as u64, "output element");
        let at = format!("{:?}", one.at);
        writeln!(out, "  {}  {}", paint.key(at), paint.dim(elements))?;
        match &one.tree {
            Some(tree) => writeln!(out, "    {tree}")?,
            None => writeln!(out, "    no tree of its products and the bias")?,
        }
    }
    Ok(())
}

/// `{"order": ..., "trees": [{"at": [...], "elements": n, "tree": ...}]}`
pub fn trees_json(order: Order, shown: &[Shown]) -> Value {
    let one = |one: &Shown| {
        let tree = one.tree.as_ref().map(ToString::to_string);
        json!({"at": one.at, "elements": one.elements, "tree": tree})
    };
    json!({
        "order": order.to_string(),
        "trees": shown.iter().map(one).collect::<Vec<_>>(),
    })
}
