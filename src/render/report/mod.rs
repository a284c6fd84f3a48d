//! `report`: one page that needs nothing but itself.
//!
//! The page is a frame (`page.html`), a style sheet, the scripts joined into one, and one block of data. The data are
//! JSON, deflated and in base64, so that no name out of a file can end the block or begin a tag; the scripts put names
//! into the page as text only. A content security policy names style and script by their SHA-256 and allows nothing
//! else: no other script, no network, no form.

use std::io::Result;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;

use super::escape;
use super::module;
use super::number::grouped;
use super::paint::Paint;
use crate::checkpoint::Checkpoint;
use crate::report::Report;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// Joined in this order; the last one starts the page.
const SCRIPTS: [&str; 14] = [
    include_str!("strict.js"),
    include_str!("dom.js"),
    include_str!("numbers.js"),
    include_str!("data.js"),
    include_str!("layout.js"),
    include_str!("colour.js"),
    include_str!("tree.js"),
    include_str!("explorer.js"),
    include_str!("pictures.js"),
    include_str!("shapes.js"),
    include_str!("program.js"),
    include_str!("filemap.js"),
    include_str!("views.js"),
    include_str!("main.js"),
];

/// What the page shows: the report, and what other commands found, with the keys of their `--json`.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// Name and version of this program.
    program: &'static str,
    /// Version of these keys.
    version: u32,
    /// The report.
    #[serde(flatten)]
    report: &'a Report,
    /// The module objects in the file: path, class, as PyTorch prints it, attributes.
    modules: &'a [Value],
    /// What other commands found.
    #[serde(flatten)]
    findings: &'a Findings,
}

/// What other commands found, with the keys of their `--json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// `scan`; an object with `error` where it could not be done.
    pub scan: Value,
    /// `check`, without the map.
    pub check: Value,
    /// `verify`, where golden files were given.
    pub verify: Value,
    /// `shapes`, where the file tells an order of layers.
    pub shapes: Value,
}

/// The module objects of a checkpoint, as PyTorch prints them.
pub fn modules(checkpoint: &Checkpoint) -> Vec<Value> {
    let biases: std::collections::HashSet<&str> = checkpoint
        .tensors()
        .iter()
        .filter_map(|tensor| match tensor.name.as_str() {
            "bias" => Some(""),
            name => name.strip_suffix(".bias"),
        })
        .collect();
    let value = |found: &crate::checkpoint::Module| {
        let has_bias = biases.contains(found.path.as_str());
        json!({
            "path": found.path,
            "class": found.class,
            "text": module::text(&found.class, &found.attributes, has_bias),
            "attributes": found.attributes,
        })
    };
    checkpoint.modules().iter().map(value).collect()
}

impl<'a> Document<'a> {
    /// Joins the parts.
    pub fn new(report: &'a Report, modules: &'a [Value], findings: &'a Findings) -> Self {
        Self {
            program: concat!("pthinspect ", env!("CARGO_PKG_VERSION")),
            version: 1,
            report,
            modules,
            findings,
        }
    }

    /// The data as one JSON document; `values` are the embedded values in base64.
    pub fn json(&self) -> serde_json::Result<Value> {
        let mut document = serde_json::to_value(self)?;
        document["values"] = BASE64.encode(&self.report.values).into();
        Ok(document)
    }

    /// Bytes of the page, values left out.
    pub fn size_without_values(&self) -> Result<usize> {
        let [frame, style, script] = [FRAME.len(), STYLE.len(), script().len()];
        // hashes, title and the block's own keys come on top
        let title = 6 * self.report.file.len();
        Ok(frame + style + script + title + 1024 + self.packed()?.len())
    }

    fn packed(&self) -> Result<String> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::new(6));
        serde_json::to_writer(&mut packer, self)?;
        Ok(BASE64.encode(packer.finish()?))
    }

    /// Writes the page.
    pub fn page(&self, out: &mut dyn Write) -> Result<()> {
        let script = script();
        let title = title(&self.report.file);
        let policy = policy(&script);
        let data = format!(
            "{{\"encoding\":\"base64(zlib(JSON))\",\"document\":\"{}\",\"values\":\"{}\"}}",
            self.packed()?,
            BASE64.encode(&self.report.values)
        );
        let mut rest = FRAME;
        for (mark, text) in [
            ("{{policy}}", policy.as_str()),
            ("{{title}}", &title),
            ("{{style}}", STYLE),
            ("{{data}}", &data),
            ("{{script}}", &script),
        ] {
            let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
            out.write_all(before.as_bytes())?;
            out.write_all(text.as_bytes())?;
            rest = after;
        }
        out.write_all(rest.as_bytes())
    }
}

fn script() -> String {
    SCRIPTS.concat()
}

/// Nothing but this style, this script and pictures that the page draws itself.
fn policy(script: &str) -> String {
    let hash = |text: &str| BASE64.encode(sha2::Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(script)
    )
}

/// The file's own name, safe in HTML.
fn title(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let mut title = String::new();
    for c in escape::text(name).chars() {
        match c {
            '&' => title.push_str("&amp;"),
            '<' => title.push_str("&lt;"),
            '>' => title.push_str("&gt;"),
            '"' => title.push_str("&quot;"),
            c => title.push(c),
        }
    }
    title
}

/// What was written, for people.
pub fn text(
    out: &mut dyn Write,
    report: &Report,
    page: &str,
    size: u64,
    paint: Paint,
) -> Result<()> {
    writeln!(
        out,
        "{}  {} bytes, {} tensors",
        paint.title(escape::text(page)),
        grouped(size),
        grouped(report.totals.tensors as u64)
    )?;
    for line in left_out(report) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// What is embedded, and what had to be left out.
fn left_out(report: &Report) -> Vec<String> {
    let embedded = &report.embedded;
    let mut lines = vec![if embedded.begun + embedded.none == 0 {
        format!("all {} values, exact", grouped(embedded.elements))
    } else {
        format!(
            "exact values of {} of {} elements: {} tensors whole, of {} the first filters",
            grouped(embedded.elements),
            grouped(report.totals.elements),
            grouped(embedded.whole as u64),
            grouped(embedded.begun as u64)
        )
    }];
    let mut left_out = |what: &str, is: bool| {
        if is {
            lines.push(format!("left out for want of room: {what}"));
        }
    };
    left_out("histograms and norms of filters", embedded.without_details);
    left_out("the map of the file", embedded.without_map);
    left_out("contents beside the tensors", report.contents_left_out > 0);
    lines
}

#[cfg(test)]
mod tests {
    use super::{FRAME, SCRIPTS, STYLE, policy, script, title};

    #[test]
    fn no_source_can_end_its_own_element() {
        assert!(!STYLE.to_ascii_lowercase().contains("</"));
        for script in SCRIPTS {
            let lower = script.to_ascii_lowercase();
            assert!(!lower.contains("</script") && !lower.contains("<!--"));
        }
    }

    #[test]
    fn the_scripts_have_no_way_to_run_text() {
        let script = script();
        for word in [
            "eval(",
            "new Function",
            "innerHTML",
            "outerHTML",
            "document.write",
            "insertAdjacentHTML",
        ] {
            assert!(!script.contains(word), "{word}");
        }
        for word in ["http://", "https://", "fetch(", "XMLHttpRequest", "import("] {
            let found = script.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(word), "{word}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn the_frame_has_each_mark_once_in_order() {
        let marks = [
            "{{policy}}",
            "{{title}}",
            "{{style}}",
            "{{data}}",
            "{{script}}",
        ];
        let places: Vec<_> = marks.iter().map(|mark| FRAME.find(mark).unwrap()).collect();
        assert!(places.is_sorted());
        assert!(marks.iter().all(|mark| FRAME.matches(mark).count() == 1));
        assert!(policy("").contains("default-src 'none'"));
    }

    #[test]
    fn titles_are_text() {
        assert_eq!(title("a/<b>&\"c\".pth"), "&lt;b&gt;&amp;&quot;c&quot;.pth");
        assert_eq!(title("a\u{202e}.pth"), "a\\u{202e}.pth");
    }
}
