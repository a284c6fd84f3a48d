//! The words around a figure, the same in the PNG and in the terminal.

use super::About;
use super::Drawn;
use super::short;
use super::signed;
use crate::explain::Figure;
use crate::explain::plot::Arrangement;
use crate::explain::plot::Scale;
use crate::explain::plot::Shade;
use crate::explain::plot::Subject;
use crate::render::escape;
use crate::render::number::count;
use crate::render::number::grouped;

/// The first line: whose numbers these are.
pub(super) fn title(figure: &Figure, about: &About) -> String {
    let name = escape::text(&figure.name).to_string();
    match &about.input {
        Some(input) => format!("{name}({})", escape::text(input)),
        None if name.is_empty() => escape::text(&about.file).to_string(),
        None => name,
    }
}

/// The second line: how many of what.
pub fn summary(figure: &Figure, about: &About) -> String {
    let shape = &figure.shape;
    let sizes = |sizes: &[usize]| {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        sizes.join(" x ")
    };
    let what = match (&figure.arrangement, figure.subject) {
        (_, Subject::Maps) => {
            let maps = count(figure.of as u64, "feature map");
            let of = sizes(
                shape
                    .get(shape.len().saturating_sub(2)..)
                    .unwrap_or_default(),
            );
            format!("{maps} of {of}")
        }
        (_, Subject::Norms) => {
            let kernel = sizes(shape.get(2..).unwrap_or_default());
            let kernel = if kernel.is_empty() {
                "1".to_owned()
            } else {
                kernel
            };
            format!(
                "L2 norms of the {kernel} kernels, {}",
                count(figure.of as u64, "filter")
            )
        }
        (Arrangement::Vector, _) => count(shape.iter().product::<usize>() as u64, "value"),
        (Arrangement::Matrix(row, _, columns), _) => {
            format!(
                "{} rows ({row}) of {}",
                grouped(figure.of as u64),
                grouped(columns.len() as u64)
            )
        }
        _ => {
            let filter = match figure.kind {
                // a transposed convolution's weight begins with its inputs
                Some(kind) if kind.starts_with("ConvTranspose") => {
                    let mut rest = shape.clone();
                    if rest.len() > 1 {
                        rest.remove(1);
                    }
                    sizes(&rest)
                }
                _ => sizes(shape.get(1..).unwrap_or_default()),
            };
            format!("{} of {filter}", count(figure.of as u64, "filter"))
        }
    };
    let kind = figure
        .kind
        .map_or(String::new(), |kind| format!("{kind}, "));
    let mut text = format!("{kind}{what}, {}", figure.dtype);
    if let Some(image) = about.image {
        text += &format!(", image {image}");
    }
    if let Some(order) = &about.order {
        text += &format!(", summed in the order {order}");
    }
    text
}

/// What one has to know to read the figure, a line each.
pub(super) fn notes(figure: &Figure, drawn: &Drawn) -> Vec<String> {
    let mut notes = Vec::new();
    let scale = &figure.scale;
    match &figure.arrangement {
        Arrangement::Table(_) => {
            notes.push("a row for each filter o, a column for each of its input channels i".into())
        }
        Arrangement::Flow("i") => {
            let filter = figure.filters.first().map_or(0, |filter| filter.index);
            notes.push(format!("filter o={filter}, channel by channel"));
        }
        Arrangement::Flow(_) if figure.shape.len() == 3 && figure.subject == Subject::Weight => {
            notes.push("in each filter: input channels downwards, positions across".into());
        }
        Arrangement::Vector => notes.push(
            "read row by row; what stands at the left is the index of the row's first value".into(),
        ),
        Arrangement::Flow(_) | Arrangement::Matrix(..) => {}
    }
    if let Some(groups) = groups(figure) {
        notes.push(groups);
    }
    if figure.sorted {
        notes.push("sorted by L2 norm, the largest first".into());
    }
    if scale.shade == Shade::Rgb {
        notes.push("channels i=0, 1, 2 as red, green and blue; a weight of 0 is mid-grey".into());
    }
    if scale.each.is_some() {
        notes.push(per_filter(figure));
    }
    if scale.beyond > 0 {
        notes.push(format!(
            "{} beyond the ends of the scale, drawn as these",
            count(scale.beyond as u64, "value")
        ));
    }
    if let Some(odd) = odd(figure) {
        notes.push(odd);
    }
    notes.extend(thinned(figure, drawn.factor));
    notes.extend(left_out(figure, drawn));
    notes
}

/// What became of cells for which there was no room.
fn thinned(figure: &Figure, factor: [usize; 2]) -> Option<String> {
    let [rows, columns] = factor;
    let is_mean = figure.subject == Subject::Maps || figure.scale.shade == Shade::Rgb;
    let every = match (rows > 1, columns > 1) {
        (false, false) => return None,
        _ if is_mean => {
            return Some(format!(
                "each cell is the mean of {rows} x {columns} values"
            ));
        }
        (true, true) if rows == columns => format!("{} row and column", ordinal(rows)),
        (true, true) => format!(
            "{} row and every {} column",
            ordinal(rows),
            ordinal(columns)
        ),
        (true, false) => format!("{} row", ordinal(rows)),
        (false, true) => format!("{} column", ordinal(columns)),
    };
    Some(format!(
        "every {every} is drawn, and whatever is not finite"
    ))
}

/// `2nd`, `3rd`, `4th`
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn groups(figure: &Figure) -> Option<String> {
    let groups = figure.groups;
    let is_transposed = figure
        .kind
        .is_some_and(|kind| kind.starts_with("ConvTranspose"));
    if groups < 2 || figure.subject == Subject::Maps || is_transposed {
        return (groups > 1 && is_transposed).then(|| {
            format!("{groups} groups: o counts the output channels within one, i the input channels of all")
        });
    }
    let (filters, channels) = (figure.shape.first()?, figure.shape.get(1)?);
    let per_group = filters / groups;
    Some(match (channels, per_group) {
        (1, 1) => "depthwise: filter o sees input channel o and no other".into(),
        (1, _) => format!("depthwise: filter o sees input channel o/{per_group} and no other"),
        (_, 1) => format!("{groups} groups: filter o sees input channels {channels}*o + i"),
        _ => {
            format!("{groups} groups: filter o sees input channels {channels}*(o/{per_group}) + i")
        }
    })
}

fn per_filter(figure: &Figure) -> String {
    let whose = match figure.arrangement {
        Arrangement::Matrix(..) => "each row",
        _ if figure.subject == Subject::Maps => "each map",
        _ => "each filter",
    };
    match figure.scale.shade {
        Shade::Diverging | Shade::Rgb => {
            format!("{whose} has its own scale, up to its largest magnitude")
        }
        Shade::Sequential | Shade::Grey => {
            format!("{whose} has its own scale, from its least to its largest value")
        }
    }
}

fn odd(figure: &Figure) -> Option<String> {
    let [nan, infinite, negative] = figure.odd();
    let parts: Vec<String> = [(nan, "NaN"), (infinite, "+Inf"), (negative, "-Inf")]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count as u64)))
        .collect();
    (!parts.is_empty()).then(|| format!("not finite: {}", parts.join(", ")))
}

fn left_out(figure: &Figure, drawn: &Drawn) -> Option<String> {
    let what = match (&figure.arrangement, figure.subject) {
        (Arrangement::Flow("i"), _) => "channels",
        (_, Subject::Maps) => "maps",
        (Arrangement::Matrix(..), _) => "rows",
        _ => "filters",
    };
    let all = match figure.arrangement {
        Arrangement::Flow(_) => figure.panels.len(),
        _ => figure.filters.len(),
    };
    let mut parts = Vec::new();
    if drawn.filters < all {
        parts.push(format!(
            "{} of {} {what}",
            grouped(drawn.filters as u64),
            grouped(all as u64)
        ));
    }
    if let Arrangement::Table(columns) = &figure.arrangement
        && drawn.channels < columns.len()
    {
        parts.push(format!(
            "{} of {} channels",
            grouped(drawn.channels as u64),
            grouped(columns.len() as u64)
        ));
    }
    (!parts.is_empty()).then(|| format!("shown: the first {}", parts.join(", the first ")))
}

/// What stands at the left end, the middle and the right end of the colour bar.
pub(super) fn ends(scale: &Scale) -> [String; 3] {
    let is_signed = matches!(scale.shade, Shade::Diverging | Shade::Rgb);
    match (&scale.each, is_signed) {
        (Some(_), true) => ["-largest".into(), "0".into(), "+largest".into()],
        (Some(_), false) => ["least".into(), String::new(), "largest".into()],
        (None, true) => [signed(scale.range.0), "0".into(), signed(scale.range.1)],
        (None, false) => [short(scale.range.0), String::new(), short(scale.range.1)],
    }
}
