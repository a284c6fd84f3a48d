//! The page for people: readable at 80 columns, with and without colour.

use std::io::{Result, Write};

use super::super::escape;
use super::super::ls::memory_word;
use super::super::number::{bytes, count, grouped};
use super::super::paint::Paint;
use super::super::wrap::{lines, paragraph};
use super::address;
use super::arguments;
use super::assumed;
use super::dump;
use super::figures;
use super::flags;
use super::groups;
use super::output;
use super::picture;
use super::placement;
use super::tensors;
use super::unfold;
use super::values;
use super::window;
use super::words;
use crate::explain::Layer;
use crate::explain::Memory;
use crate::explain::Part;
use crate::explain::Relation;
use crate::explain::Slice;
use crate::explain::Spot;

/// Columns of the page; longer lines only where a name or a number leaves no choice.
pub(super) const WIDTH: usize = 80;
/// Where the text beside a label starts.
pub(super) const LABEL: usize = 10;
/// Axes up to which diagrams and formulas are drawn.
pub(super) const DRAWN_AXES: usize = 8;

/// Writes the page.
pub fn text(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let name = match layer.name.as_str() {
        "" => "(unnamed)",
        name => name,
    };
    let (name, headline) = (escape::text(name), words::headline(layer));
    if name.chars().count() + 2 + headline.chars().count() <= WIDTH {
        writeln!(out, "{}  {}", paint.name(name), paint.title(headline))?;
    } else {
        writeln!(out, "{}", paint.name(name))?;
        for line in lines(&headline, WIDTH - 2) {
            writeln!(out, "  {}", paint.title(line))?;
        }
    }
    writeln!(out)?;
    paragraph(out, &words::summary(layer), 2, WIDTH)?;
    if layer.convolution.is_some() {
        let order = "Which product is added first depends on the backend: see `pthinspect orders`.";
        writeln!(out, "  {}", paint.dim(order))?;
    }
    let sections = &layer.sections;
    if sections.is_empty() {
        writeln!(out)?;
        tensors::tensors(out, layer, paint)?;
        writeln!(out)?;
        memory(out, layer, paint)?;
        place(out, layer, paint)?;
        if let Some(conv) = layer
            .convolution
            .as_ref()
            .filter(|conv| conv.groups.value > 1)
        {
            writeln!(out)?;
            groups::write(out, conv, "groups", paint)?;
        }
    }
    if sections.is_empty() || sections.window.is_some() || sections.im2col.is_some() {
        assumed::write(out, layer, paint)?;
    }
    if let Some(output) = &layer.output {
        writeln!(out)?;
        output::write(out, layer, output, paint)?;
    }
    if let Some(selection) = layer.selection.as_ref().filter(|_| sections.hex.is_none()) {
        writeln!(out)?;
        values::selection(out, layer, selection, paint)?;
    }
    if let Some(element) = &layer.element {
        writeln!(out)?;
        values::element(out, layer, element, paint)?;
    }
    beyond(out, layer, paint)?;
    if sections.is_empty() {
        flags::write(out, layer, paint)?;
    }
    Ok(())
}

/// The sections that were asked for.
fn beyond(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let sections = &layer.sections;
    if sections.memory {
        writeln!(out)?;
        picture::write(out, layer, &layer.picture, paint)?;
    }
    if sections.arguments {
        writeln!(out)?;
        arguments::write(out, layer, paint)?;
    }
    if let Some(found) = &sections.window {
        writeln!(out)?;
        window::write(out, layer, found, paint)?;
    }
    if let Some(found) = &sections.im2col {
        writeln!(out)?;
        unfold::write(out, layer, found, paint)?;
    }
    if let Some(found) = &sections.layout {
        writeln!(out)?;
        placement::write(out, layer, found, paint)?;
    }
    if let Some(found) = &sections.hex {
        writeln!(out)?;
        dump::write(out, layer, found, paint)?;
    }
    if let Some(found) = &sections.figures {
        writeln!(out)?;
        figures::write(out, layer, found, paint)?;
    }
    Ok(())
}

/// A label in the left margin; the caller goes on with the line.
pub(super) fn label(out: &mut dyn Write, paint: Paint, word: &str) -> Result<()> {
    write!(
        out,
        "  {}",
        paint.dim(format_args!("{word:<width$}", width = LABEL - 2))
    )
}

/// Stride, order, formulas, and a table of where slices lie.
fn memory(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let weight = &layer.weight;
    if weight.shape.is_empty() || weight.shape.len() > DRAWN_AXES {
        return Ok(());
    }
    label(out, paint, "memory")?;
    let order = address::fastest_first(&layer.axes, &weight.shape, &weight.stride);
    let walk = match (&weight.memory, &order[..]) {
        (Memory::Expanded | Memory::Strided, _) | (_, [] | [_]) => String::new(),
        (_, [fastest, rest @ ..]) => format!(": {fastest} fastest, then {}", rest.join(", ")),
    };
    let word = memory_word(&weight.memory);
    let painted = match weight.memory {
        Memory::Contiguous => paint.good(word),
        _ => paint.warn(word),
    };
    writeln!(out, "stride {:?}, {painted}{walk}", weight.stride)?;
    let letters = address::letters(&layer.axes);
    let flat = address::horner(&letters, &weight.shape);
    if weight.memory == Memory::Contiguous && weight.storage_offset == 0 {
        line(out, &format!("flat = {}", paint.key(flat)))?;
    } else {
        let stored = address::strided(&letters, &weight.stride, weight.storage_offset);
        line(out, &format!("stored at element  {}", paint.key(stored)))?;
        line(out, &format!("flat (C order)  =  {}", paint.key(flat)))?;
    }
    if weight.memory != Memory::Contiguous {
        line(out, &warning(&weight.memory))?;
        if !layer.first_stored.is_empty() {
            let first: Vec<String> = layer
                .first_stored
                .iter()
                .map(|i| format!("{i:?}"))
                .collect();
            line(out, &format!("first in memory    {} ...", first.join(" ")))?;
        }
        if weight.memory.is_dense() {
            writeln!(out)?;
            picture::rulers(out, layer, &layer.picture, paint)?;
            writeln!(out)?;
        }
    }
    slices(out, layer, paint)
}

/// A line beside a label.
pub(super) fn line(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{:LABEL$}{text}", "")
}

fn warning(memory: &Memory) -> String {
    match memory {
        Memory::Expanded => "one stored element serves several indices",
        _ => "not the order of the indices: read by stride, or `export` first",
    }
    .to_owned()
}

/// Where the first, second and last filter (row, vector, ...) lie, and the rule for the others.
fn slices(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let weight = &layer.weight;
    let (Some(word), Some(first)) = (words::slice_word(layer.kind), layer.slices.first()) else {
        return Ok(());
    };
    let each: u64 = first.flat.end - first.flat.start;
    let letter = layer.axes[0].letter();
    let width = word.len() + 1 + letter.len().max(weight.shape[0].to_string().len());
    let header = format!(
        "{:width$}  {:>17}   {}",
        "", "flat", "file bytes (end not included)"
    );
    line(out, &paint.dim(header).to_string())?;
    let (rule, file_rule) = rules(weight, each, &letter);
    let row = |name: String, flat: String, file: String| {
        format!("{name:<width$}  {flat:>17}   {file}")
            .trim_end()
            .to_owned()
    };
    line(out, &row(format!("{word} {letter}"), rule, file_rule))?;
    for slice in &layer.slices {
        let index = slice.prefix.first().copied().unwrap_or(0);
        line(
            out,
            &row(
                format!("{word} {index}"),
                range(&slice.flat),
                place_text(slice),
            ),
        )?;
    }
    let Some(inner) = layer.channels.first() else {
        return Ok(());
    };
    let each_inner = inner.flat.end - inner.flat.start;
    line(
        out,
        &format!(
            "{} {} of it: {} from flat {each}*{letter} + {each_inner}*{}",
            words::inner_word(layer.kind),
            layer.axes[1].letter(),
            count(each_inner, "value"),
            layer.axes[1].letter(),
        ),
    )
}

/// Flat range and file bytes of the slice `letter`, `each` values long; the latter only where one formula says it.
fn rules(weight: &Part, each: u64, letter: &str) -> (String, String) {
    let flat = match each {
        1 => format!("{letter}..{letter}+1"),
        each => format!("{each}*{letter}..{each}*({letter}+1)"),
    };
    let spot = weight.whole.spot.as_ref();
    let file = match spot.and_then(|spot| spot.file.as_ref()) {
        Some(file)
            if weight.memory == Memory::Contiguous && weight.dtype.bits().is_multiple_of(8) =>
        {
            let size = each * (weight.dtype.bits() as u64 / 8);
            format!("{}+{size}*{letter}, {size} bytes each", file.start)
        }
        _ => String::new(),
    };
    (flat, file)
}

fn range(range: &std::ops::Range<u64>) -> String {
    format!("{}..{}", range.start, range.end)
}

/// `1216..1516`, or what can be said where the bytes are scattered or not in the file.
pub(super) fn place_text(slice: &Slice) -> String {
    match &slice.spot {
        None => "no elements".to_owned(),
        Some(spot) => match &spot.file {
            Some(file) if spot.exact => range(file),
            Some(file) => format!("{} {}", scattered(spot), range(file)),
            None if spot.exact => format!("storage elements {}", range(&spot.elements)),
            None => format!(
                "{} storage elements {}",
                scattered(spot),
                range(&spot.elements)
            ),
        },
    }
}

fn scattered(spot: &Spot) -> String {
    match spot.every {
        Some(step) => format!("1 in {step} of"),
        None => "scattered in".to_owned(),
    }
}

/// The file, the byte range, the storage and who else lives in it.
fn place(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let weight = &layer.weight;
    label(out, paint, "file")?;
    let file = layer
        .file
        .file_name()
        .unwrap_or(layer.file.as_os_str())
        .to_string_lossy();
    let order = match layer.byte_order {
        crate::tensor::ByteOrder::Little => "little-endian",
        crate::tensor::ByteOrder::Big => "big-endian",
    };
    writeln!(out, "{} ({}, {order})", escape::text(&file), layer.format)?;
    match weight.whole.spot.as_ref().map(|spot| (spot, &spot.file)) {
        Some((_, Some(file))) => {
            let hex = format!("{:#x}..{:#x}", file.start, file.end);
            line(
                out,
                &format!("bytes {}  {}", paint.key(range(file)), paint.dim(hex)),
            )?;
        }
        Some((spot, None)) => line(
            out,
            &format!(
                "elements {} of its storage, which is not in the file in the clear",
                range(&spot.elements)
            ),
        )?,
        None => line(out, "no elements, no bytes")?,
    }
    if let Some((key, size, location)) = &weight.storage {
        let key = if key.is_empty() {
            "its own".to_owned()
        } else {
            escape::text(key).into_owned()
        };
        let device = match location.as_str() {
            "" | "cpu" => String::new(),
            device => format!(", saved from {}", escape::text(device)),
        };
        let text = format!(
            "storage {key}, {}{device}{}",
            bytes(*size),
            neighbours(weight)
        );
        paragraph(out, &text, LABEL, WIDTH)?;
    }
    if weight.lazy {
        line(
            out,
            "conjugated or negated when read: the stored bits are not the values",
        )?;
    }
    Ok(())
}

/// Who shares the storage.
fn neighbours(weight: &Part) -> String {
    const SHOWN: usize = 3;
    if weight.neighbours.is_empty() {
        return ", not shared".to_owned();
    }
    let mut text = String::new();
    for (relation, phrase) in [
        (Relation::Same, "the same elements as"),
        (Relation::Overlapping, "overlapping"),
        (Relation::Apart, "beside"),
    ] {
        let names: Vec<_> = weight
            .neighbours
            .iter()
            .filter(|(_, found)| *found == relation)
            .map(|(name, _)| escape::text(name))
            .collect();
        if names.is_empty() {
            continue;
        }
        let shown = names
            .iter()
            .take(SHOWN)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let more = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {} more", grouped(more as u64)),
        };
        text += &format!(", {phrase} {shown}{more}");
    }
    text
}
