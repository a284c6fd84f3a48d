//! `ls`: a table for terminals, plain columns for pipes, JSON for programs.

use std::io::{Result, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

use super::escape;
use super::number;
use super::paint::Paint;
use crate::explain::Listing;
use crate::explain::Memory;
use crate::explain::Row;

/// Longest name in a table, even into a pipe.
const NAME_MAX: usize = 4096;
/// Narrowest column that a name is shortened to.
const NAME_MIN: usize = 20;

/// Writes the table; `width` is that of a terminal, `None` means full names and bare numbers, one tensor a line.
pub fn text(
    out: &mut dyn Write,
    listing: &Listing,
    paint: Paint,
    width: Option<usize>,
) -> Result<()> {
    let digests = listing.rows.iter().any(|row| row.sha256.is_some());
    let plain = width.is_none();
    let with_storage = width.is_none_or(|width| width >= 110);
    let mut header = vec!["NAME", "DTYPE", "SHAPE", "BYTES", "OFFSET"];
    if with_storage {
        header.push("STORAGE");
    }
    let with_notes = plain || listing.rows.iter().any(|row| notes(row) != "-");
    if with_notes {
        header.push("NOTES");
    }
    if digests {
        header.push("SHA256");
    }
    let cells: Vec<Vec<String>> = listing
        .rows
        .iter()
        .map(|row| header.iter().map(|title| cell(row, title, plain)).collect())
        .collect();
    let others = other_columns(&header, &cells);
    let room = width.map(|width| width.saturating_sub(others).max(NAME_MIN));
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.clone());
    for mut line in cells {
        if let (Some(room), Some(name)) = (room, line.first_mut()) {
            *name = escape::shorten(name, room).into_owned();
        }
        table.add_row(line);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if matches!(header[i], "BYTES" | "OFFSET") {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (i, line) in table.lines().enumerate() {
        let line = line.trim_end();
        match (i, line.split_once(' ')) {
            (0, _) => writeln!(out, "{}", paint.title(line))?,
            (_, Some((name, rest))) => writeln!(out, "{} {rest}", paint.name(name))?,
            (_, None) => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// Width of all columns but the first, gaps included.
fn other_columns(header: &[&str], cells: &[Vec<String>]) -> usize {
    let widest = |column: usize| {
        let widths = cells.iter().map(|line| line[column].chars().count());
        widths.chain([header[column].len()]).max().unwrap_or(0)
    };
    (1..header.len())
        .map(|column| widest(column) + 2)
        .sum::<usize>()
        + 2
}

/// What a row has under `title`; never empty and, in plain columns, without blanks, which would break them for awk.
fn cell(row: &Row, title: &str, plain: bool) -> String {
    let number = |n: u64| {
        if plain {
            n.to_string()
        } else {
            number::grouped(n)
        }
    };
    let word = |text: &str| {
        // no table has room for more; whole names are in --json
        let text = escape::text(text);
        let text = escape::shorten(&text, NAME_MAX);
        if plain {
            text.replace(' ', "\\x20")
        } else {
            text.into_owned()
        }
    };
    let text = match title {
        "NAME" => word(&row.name),
        "DTYPE" => row.dtype.to_owned(),
        "SHAPE" if !row.has_shape() => String::new(),
        "SHAPE" => shape(&row.shape),
        "BYTES" => number(row.nbytes),
        "OFFSET" => row.file_offset.map(number).unwrap_or_default(),
        "STORAGE" => word(row.storage.as_deref().unwrap_or_default()),
        "NOTES" => notes(row),
        _ => row.sha256.clone().unwrap_or_default(),
    };
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

/// `[64,3,7,7]`: one word; of thousands of axes only the first.
fn shape(shape: &[usize]) -> String {
    const SHOWN: usize = 12;
    let sizes: Vec<_> = shape.iter().take(SHOWN).map(ToString::to_string).collect();
    match shape.len() {
        0..=SHOWN => format!("[{}]", sizes.join(",")),
        axes => format!("[{},…{axes}_axes]", sizes.join(",")),
    }
}

/// Short words, one comma-separated word in all; [`legend`] explains them.
fn notes(row: &Row) -> String {
    let mut notes = Vec::new();
    match (&row.layout, &row.memory) {
        (Some(layout), _) => notes.push(escape::text(layout).into_owned()),
        (None, Memory::Contiguous) => {}
        (None, memory) => notes.push(memory_word(memory).to_owned()),
    }
    if row.tied > 0 {
        notes.push(format!("tied:{}", row.tied + 1));
    }
    if row.overlapping > 0 {
        notes.push("overlaps".to_owned());
    }
    if row.part && row.tied == 0 {
        notes.push("part".to_owned());
    }
    notes.extend(row.conj.then(|| "conj".to_owned()));
    notes.extend(row.neg.then(|| "neg".to_owned()));
    if row
        .extra
        .get("device")
        .is_some_and(|device| device == "meta")
    {
        notes.push("meta".to_owned());
    }
    if notes.is_empty() {
        "-".to_owned()
    } else {
        notes.join(",")
    }
}

/// One word for how elements lie in memory.
pub(super) fn memory_word(memory: &Memory) -> &'static str {
    match memory {
        Memory::Contiguous => "contiguous",
        Memory::ChannelsLast => "channels_last",
        Memory::ColumnMajor => "column-major",
        Memory::Permuted(_) => "permuted",
        Memory::Expanded => "expanded",
        Memory::Strided => "strided",
    }
}

/// What the words in NOTES mean, for those that occur.
pub fn legend(out: &mut dyn Write, listing: &Listing, paint: Paint) -> Result<()> {
    const WORDS: [(&str, &str); 11] = [
        ("channels_last", "stored with the channel axis fastest"),
        (
            "column-major",
            "stored with the first axis fastest (transposed)",
        ),
        ("permuted", "stored with its axes in another order"),
        ("expanded", "several indices share one stored element"),
        ("strided", "stored with gaps or overlaps"),
        ("tied", "tied:N: N names for the same elements"),
        ("overlaps", "shares some elements with another tensor"),
        ("part", "a view of a part of a larger storage"),
        ("conj", "conjugated when read"),
        ("neg", "negated when read"),
        ("meta", "a shape without elements"),
    ];
    let occurs = |word: &str| {
        listing
            .rows
            .iter()
            .any(|row| notes(row).split([',', ':']).any(|note| note == word))
    };
    for (word, meaning) in WORDS.iter().filter(|(word, _)| occurs(word)) {
        writeln!(out, "{}", paint.dim(format_args!("{word:<14} {meaning}")))?;
    }
    Ok(())
}

/// The sums: one line.
pub fn footer(listing: &Listing) -> String {
    let totals = &listing.totals;
    let mut line = format!(
        "{}, {}, {} stored",
        number::count(totals.tensors as u64, "tensor"),
        number::count(totals.elements, "element"),
        number::bytes(totals.stored),
    );
    if totals.referenced < totals.stored {
        line += &format!(
            ", {} of them in no tensor",
            number::bytes(totals.stored - totals.referenced)
        );
    }
    if listing.rows.len() < totals.tensors {
        line = format!(
            "{} shown of {line}",
            number::grouped(listing.rows.len() as u64)
        );
    }
    format!("{line}; {}", listing.format)
}

/// The contract's document.
pub fn json(listing: &Listing) -> Value {
    let rows: Vec<Value> = listing.rows.iter().map(json_row).collect();
    let totals = &listing.totals;
    json!({
        "file": listing.file.to_string_lossy(),
        "format": listing.format,
        "tensors": rows,
        "totals": {
            "tensors": totals.tensors,
            "elements": totals.elements,
            "storages": totals.storages,
            "bytes_stored": totals.stored,
            "bytes_referenced": totals.referenced,
        },
    })
}

fn json_row(row: &Row) -> Value {
    let strided = row.layout.is_none();
    let or_null = |known: bool, value: Value| if known { value } else { Value::Null };
    let mut object = Map::from_iter([
        ("name".to_owned(), json!(row.name)),
        ("dtype".to_owned(), json!(row.dtype)),
        (
            "shape".to_owned(),
            or_null(row.has_shape(), json!(row.shape)),
        ),
        ("stride".to_owned(), or_null(strided, json!(row.stride))),
        (
            "storage_offset".to_owned(),
            or_null(strided, json!(row.storage_offset)),
        ),
        ("numel".to_owned(), json!(row.numel)),
        ("nbytes".to_owned(), json!(row.nbytes)),
        ("storage".to_owned(), json!(row.storage)),
        (
            "file_offset".to_owned(),
            or_null(row.file.is_none(), json!(row.file_offset)),
        ),
        (
            "memory".to_owned(),
            or_null(strided, json!(memory_word(&row.memory))),
        ),
    ]);
    if let Some(file) = &row.file {
        object.insert("file".to_owned(), json!(file.to_string_lossy()));
        object.insert("offset_in_file".to_owned(), json!(row.file_offset));
    }
    if let Some(sha256) = &row.sha256 {
        object.insert("sha256".to_owned(), json!(sha256));
    }
    for (key, set) in [("conj", row.conj), ("neg", row.neg)] {
        if set {
            object.insert(key.to_owned(), Value::Bool(true));
        }
    }
    for (key, value) in &row.extra {
        object.entry(key).or_insert_with(|| value.clone());
    }
    if !row.parts.is_empty() {
        let parts = row.parts.iter().map(json_row).collect();
        object.insert("parts".to_owned(), Value::Array(parts));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::{footer, json, legend, text};
    use crate::explain::Listing;
    use crate::explain::Memory;
    use crate::explain::Row;
    use crate::explain::Totals;
    use crate::render::Paint;

    fn row(name: &str, memory: Memory) -> Row {
        Row {
            name: name.to_owned(),
            dtype: "float32",
            shape: vec![64, 3, 7, 7],
            stride: vec![147, 49, 7, 1],
            storage_offset: 0,
            numel: 9408,
            nbytes: 37632,
            storage: Some("data/0".to_owned()),
            file: None,
            file_offset: Some(1216),
            memory,
            layout: None,
            tied: 0,
            overlapping: 0,
            part: false,
            conj: false,
            neg: false,
            extra: serde_json::Map::new(),
            parts: Vec::new(),
            sha256: None,
        }
    }

    fn listing(rows: Vec<Row>) -> Listing {
        let totals = Totals {
            tensors: rows.len(),
            elements: 9408,
            storages: 1,
            stored: 40_000,
            referenced: 37_632,
        };
        Listing {
            file: "model.pth".into(),
            format: "torch-zip",
            rows,
            totals,
        }
    }

    fn printed(listing: &Listing, width: Option<usize>) -> String {
        let mut out = Vec::new();
        text(&mut out, listing, Paint::new(false), width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_narrow_terminal_shortens_names_and_never_wraps() {
        let long = "encoder.layers.11.self_attention.output.projection.dense.weight";
        let listing = listing(vec![
            row(long, Memory::Contiguous),
            row("x", Memory::ColumnMajor),
        ]);
        let page = printed(&listing, Some(80));
        assert_eq!(page.lines().count(), 3);
        assert!(
            page.lines().all(|line| line.chars().count() <= 80),
            "{page}"
        );
        assert!(page.contains('…') && page.contains("37,632") && page.contains("column-major"));
        // narrower than the other columns: the name keeps some room, and lines are longer rather than broken
        assert_eq!(printed(&listing, Some(20)).lines().count(), 3);
    }

    #[test]
    fn a_pipe_gets_whole_names_and_bare_numbers() {
        let listing = listing(vec![
            row("a b\u{1b}[31m", Memory::Contiguous),
            row("", Memory::Strided),
        ]);
        let page = printed(&listing, None);
        let words: Vec<Vec<&str>> = page
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let expected = [
            "a\\x20b\\x1b[31m",
            "float32",
            "[64,3,7,7]",
            "37632",
            "1216",
            "data/0",
            "-",
        ];
        assert_eq!(words[1], expected);
        assert_eq!((words[2][0], words[2][6]), ("-", "strided"));
    }

    #[test]
    fn the_footer_counts_what_no_tensor_reaches() {
        let listing = listing(vec![row("x", Memory::ChannelsLast)]);
        assert_eq!(
            footer(&listing),
            "1 tensor, 9,408 elements, 40,000 bytes stored, 2,368 bytes of them in no tensor; torch-zip"
        );
        let mut out = Vec::new();
        legend(&mut out, &listing, Paint::new(false)).unwrap();
        assert!(
            String::from_utf8(out)
                .unwrap()
                .starts_with("channels_last ")
        );
        assert_eq!(json(&listing)["tensors"][0]["memory"], "channels_last");
    }
}
