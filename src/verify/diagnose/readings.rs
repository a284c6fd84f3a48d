//! Other arguments, or axes taken for others: which of them fit the saved output's shape, and which its numbers?

use rayon::prelude::*;
use serde_json::json;

use super::Finding;
use super::Scene;
use super::index;
use super::spread;
use crate::execute::Arguments;
use crate::execute::Form;
use crate::execute::Padding;
use crate::execute::PaddingMode;
use crate::execute::Real;
use crate::execute::kernel::Tiled;
use crate::verify::textbook::Reading;
use crate::verify::textbook::Textbook;
use crate::verify::textbook::Twist;

/// Elements that a reading has to reproduce but for rounding.
const LOOK: usize = 40;
/// Largest stride and dilation tried.
const MOST: usize = 8;

/// Largest padding tried.
const MOST_PADDING: usize = 128;

const MODES: [PaddingMode; 4] = [
    PaddingMode::Zeros,
    PaddingMode::Reflect,
    PaddingMode::Replicate,
    PaddingMode::Circular,
];

/// How `arguments` read their tensors.
pub(super) fn of(arguments: &Arguments, weight: [usize; 4], channels: usize) -> Reading {
    let before = match arguments.padding {
        Padding::Sizes(before) => before,
        Padding::Valid => [0, 0],
        Padding::Same => [0, 1].map(|axis| arguments.dilation[axis] * (weight[2 + axis] - 1) / 2),
    };
    Reading {
        stride: arguments.stride,
        before,
        mode: arguments.padding_mode,
        dilation: arguments.dilation,
        groups: (channels / weight[1].max(1)).max(1),
        twist: Twist::None,
        laid_out: (arguments.form != Form::Images).then_some(*arguments),
    }
}

/// Stride, padding and dilation of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AxisFit {
    stride: usize,
    before: usize,
    dilation: usize,
    /// Padded behind as by `padding='same'`, where that is one more than before.
    same: bool,
}

/// What makes `output` of `input` on one axis, the usual first.
fn axis_fits(input: usize, kernel: usize, output: usize) -> Vec<AxisFit> {
    let mut fits = Vec::new();
    for dilation in 1..=MOST {
        let extent = dilation * kernel.saturating_sub(1) + 1;
        for stride in 1..=MOST {
            for before in 0..=extent.clamp(3, MOST_PADDING) {
                let padded = input + 2 * before;
                if padded >= extent && (padded - extent) / stride + 1 == output {
                    fits.push(AxisFit {
                        stride,
                        before,
                        dilation,
                        same: false,
                    });
                }
            }
        }
        if output == input && extent.is_multiple_of(2) {
            fits.push(AxisFit {
                stride: 1,
                before: (extent - 1) / 2,
                dilation,
                same: true,
            });
        }
        if kernel == 1 {
            break; // dilation means nothing
        }
    }
    // the padding that keeps the middle in the middle is usual, and so is little of everything
    fits.sort_by_key(|fit| {
        let centred = (fit.dilation * (kernel - 1) / 2).abs_diff(fit.before);
        fit.stride + 2 * fit.dilation + centred.min(fit.before)
    });
    fits
}

/// Arguments that make the saved shape, the usual first: both axes alike where that can be.
fn arguments_that_fit<R>(raw: &super::Raw<'_, R>) -> Vec<Arguments> {
    let [_, _, kh, kw] = raw.weight_shape;
    let [_, _, h, w] = raw.input_shape;
    let [_, _, oh, ow] = raw.output_shape;
    let (mut rows, columns) = (axis_fits(h, kh, oh), axis_fits(w, kw, ow));
    if [h, kh, oh] == [1; 3] {
        rows.truncate(1); // a layer of one axis
    }
    let groups = raw.input_shape[1] / raw.weight_shape[1].max(1);
    let mut pairs: Vec<(AxisFit, AxisFit)> = Vec::new();
    for row in &rows {
        pairs.extend(columns.iter().filter(|c| *c == row).map(|c| (*row, *c)));
    }
    let alike = pairs.len();
    const SOME: usize = 60;
    for row in rows.iter().take(SOME) {
        for column in columns.iter().take(SOME) {
            if row != column && row.same == column.same {
                pairs.push((*row, *column));
            }
        }
    }
    pairs[alike..].sort_by_key(|(row, column)| {
        let differing = [
            row.stride != column.stride,
            row.before != column.before,
            row.dilation != column.dilation,
        ];
        let differing = differing.into_iter().filter(|d| *d).count();
        (
            differing,
            row.stride + column.stride + row.dilation + column.dilation,
        )
    });
    let mut all = Vec::new();
    for (row, column) in pairs {
        for mode in MODES {
            if mode != PaddingMode::Zeros && row.before == 0 && column.before == 0 {
                continue;
            }
            all.push(Arguments {
                stride: [row.stride, column.stride],
                padding: match row.same {
                    true => Padding::Same,
                    false => Padding::Sizes([row.before, column.before]),
                },
                dilation: [row.dilation, column.dilation],
                groups: groups.max(1),
                padding_mode: mode,
                form: Form::Images,
            });
        }
    }
    all
}

/// `stride=2, padding=(1, 0)`: what differs from `from`.
fn changes(from: &Arguments, to: &Arguments) -> Vec<String> {
    let pair = |[a, b]: [usize; 2]| match a == b {
        true => a.to_string(),
        false => format!("({a}, {b})"),
    };
    let padding = |padding: Padding| match padding {
        Padding::Sizes(sizes) => pair(sizes),
        Padding::Same => "'same'".into(),
        Padding::Valid => "'valid'".into(),
    };
    let mut changes = Vec::new();
    if from.stride != to.stride {
        changes.push(format!("stride={}", pair(to.stride)));
    }
    if from.padding != to.padding {
        changes.push(format!("padding={}", padding(to.padding)));
    }
    if from.dilation != to.dilation {
        changes.push(format!("dilation={}", pair(to.dilation)));
    }
    if from.groups != to.groups {
        changes.push(format!("groups={}", to.groups));
    }
    if from.padding_mode != to.padding_mode {
        changes.push(format!("padding_mode={}", to.padding_mode.name()));
    }
    changes
}

fn arguments_json(arguments: &Arguments) -> serde_json::Value {
    let padding = match arguments.padding {
        Padding::Sizes(sizes) => json!(sizes),
        Padding::Same => "same".into(),
        Padding::Valid => "valid".into(),
    };
    json!({
        "stride": arguments.stride,
        "padding": padding,
        "dilation": arguments.dilation,
        "groups": arguments.groups,
        "padding_mode": arguments.padding_mode.name(),
    })
}

/// Elements that say much: the middle first, then the rest of the picture.
fn telling<R: Real>(expected: &[R], shape: [usize; 4]) -> Vec<usize> {
    let all: Vec<usize> = (0..expected.len()).collect();
    let mut flats = spread(&all, LOOK);
    let middle = flats.len() / 2;
    flats.rotate_left(middle);
    let [_, o, h, w] = shape;
    // the middle of the first picture and its corners
    let plane = (o / 2) * h * w;
    let places = [
        h / 2 * w + w / 2,
        0,
        w.saturating_sub(1),
        (h * w).saturating_sub(1),
    ];
    let mut first: Vec<usize> = places.iter().map(|p| plane + p).collect();
    first.retain(|flat| *flat < expected.len());
    first.extend(flats);
    first
}

/// Whether a reading gives the saved output but for rounding, and not everything is zero.
fn gives<R: Real>(
    book: &Textbook,
    reading: &Reading,
    expected: &[R],
    shape: [usize; 4],
    flats: &[usize],
) -> bool {
    let mut telling = false;
    for &flat in flats {
        let sum = book.sum(reading, index(shape, flat));
        let saved = expected[flat].to_f64();
        if !book.fits(sum, saved) {
            return false;
        }
        telling |= saved != 0.0 && saved.is_finite();
    }
    telling
}

/// Other arguments that give the saved output, or a twist that does.
pub(super) fn other<R: Tiled>(scene: &Scene<'_, R>, book: &Textbook) -> Option<Finding> {
    let raw = &scene.raw;
    if raw.arguments.form != Form::Images {
        return None; // only images are read in other ways
    }
    let flats = telling(raw.expected, raw.output_shape);
    let reading = scene.reading();
    let (found, _) = fitting(raw, book, &flats);
    if let Some(arguments) = found {
        let changes = changes(&raw.arguments, &arguments).join(", ");
        let identical = scene.proof(raw.input, raw.weight, raw.bias, &arguments);
        let text = format!("wrong arguments: it was made with {changes}");
        let finding = Finding::new("arguments", text, arguments_json(&arguments));
        return Some(finding.proved(identical, raw.expected.len()));
    }
    twisted(scene, book, &reading, &flats)
}

/// The first arguments that give the saved numbers, and all that give the saved shape.
fn fitting<R: Real>(
    raw: &super::Raw<'_, R>,
    book: &Textbook,
    flats: &[usize],
) -> (Option<Arguments>, Vec<Arguments>) {
    let all = arguments_that_fit(raw);
    let channels = raw.input_shape[1];
    let found = all.par_iter().find_first(|arguments| {
        let reading = of(arguments, raw.weight_shape, channels);
        **arguments != raw.arguments && gives(book, &reading, raw.expected, raw.output_shape, flats)
    });
    (found.copied(), all)
}

/// The saved shape does not fit the arguments: which would? For people, and for the report.
pub(super) fn shape<R: Real>(raw: &super::Raw<'_, R>, book: &Textbook) -> Option<Finding> {
    let [n, o, ..] = raw.output_shape;
    let [filters, group_in, kh, kw] = raw.weight_shape;
    let channels = raw.input_shape[1];
    let possible = raw.arguments.form == Form::Images
        && n == raw.input_shape[0]
        && o == filters
        && group_in > 0
        && channels.is_multiple_of(group_in)
        && filters.is_multiple_of((channels / group_in).max(1))
        && kh > 0
        && kw > 0
        && !raw.expected.is_empty()
        && !raw.input.is_empty();
    if !possible {
        return None;
    }
    let flats = telling(raw.expected, raw.output_shape);
    let (found, all) = fitting(raw, book, &flats);
    if let Some(arguments) = found {
        let changes = changes(&raw.arguments, &arguments).join(", ");
        let text = format!(
            "with {changes} the saved shape comes out, and so do the saved numbers, but for roundings: the golden's arguments are wrong"
        );
        return Some(Finding::new("arguments", text, arguments_json(&arguments)));
    }
    let zeros = |a: &&Arguments| a.padding_mode == PaddingMode::Zeros;
    let shown: Vec<&Arguments> = all.iter().filter(zeros).take(3).collect();
    if shown.is_empty() {
        return None;
    }
    let words: Vec<String> = shown
        .iter()
        .map(|to| changes(&raw.arguments, to).join(", "))
        .collect();
    let text = format!(
        "the saved shape would come out with {}; the saved numbers with none of {} that fit",
        words.join("; or "),
        all.len()
    );
    let listed: Vec<_> = shown.iter().map(|a| arguments_json(a)).collect();
    Some(Finding::new("shape", text, json!({"would_fit": listed})))
}

/// Permutations of up to four channels, else their reversal, within the whole input.
fn channel_maps(channels: usize) -> Vec<Vec<usize>> {
    let reversed: Vec<usize> = (0..channels).rev().collect();
    let mut maps = vec![reversed];
    if (2..=4).contains(&channels) {
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in 0..channels {
            all = all
                .into_iter()
                .flat_map(|map| {
                    let free: Vec<usize> = (0..channels).filter(|c| !map.contains(c)).collect();
                    free.into_iter()
                        .map(move |c| [map.as_slice(), &[c]].concat())
                })
                .collect();
        }
        maps.extend(all);
    }
    maps.retain(|map| map.iter().enumerate().any(|(i, &c)| i != c));
    maps
}

fn twists<R>(raw: &super::Raw<'_, R>) -> Vec<(Twist, String)> {
    let [filters, group_in, kh, kw] = raw.weight_shape;
    let [_, channels, h, w] = raw.input_shape;
    let mut twists = Vec::new();
    if kh * kw > 1 {
        twists.push((
            Twist::FlippedKernel,
            "a true convolution: the kernels are turned by 180 degrees (PyTorch's Conv2d does not turn them)".to_owned(),
        ));
    }
    if kh == kw && kh > 1 {
        twists.push((
            Twist::TransposedKernel,
            "kernel rows and columns are exchanged in the weight".into(),
        ));
    }
    if filters == group_in && filters > 1 {
        twists.push((
            Twist::SwappedChannels,
            "filters and input channels are exchanged in the weight: [I, O, KH, KW] for [O, I, KH, KW]".into(),
        ));
    }
    for map in channel_maps(channels) {
        let words = match map.as_slice() {
            [2, 1, 0] => "the input's channels are reversed: RGB and BGR exchanged".to_owned(),
            map if map.len() > 4 => "the input's channels are in reverse".to_owned(),
            map => format!("the input's channels are in another sequence: {map:?}"),
        };
        twists.push((Twist::Channels(map), words));
    }
    if h == w && h > 1 {
        let words = "rows and columns of the input are exchanged".into();
        twists.push((Twist::TransposedInput, words));
    }
    if h > 1 {
        twists.push((Twist::UpsideDown, "the input is upside down".into()));
    }
    if w > 1 {
        twists.push((
            Twist::Mirrored,
            "the input is mirrored, left and right".into(),
        ));
    }
    twists
}

fn twisted<R: Tiled>(
    scene: &Scene<'_, R>,
    book: &Textbook,
    reading: &Reading,
    flats: &[usize],
) -> Option<Finding> {
    let raw = &scene.raw;
    let (twist, words) = twists(raw).into_iter().find(|(twist, _)| {
        let reading = Reading {
            twist: twist.clone(),
            ..reading.clone()
        };
        gives(book, &reading, raw.expected, raw.output_shape, flats)
    })?;
    let (kind, input, weight) = untwisted(raw, &twist);
    let input = input.as_deref().unwrap_or(raw.input);
    let weight = weight.as_deref().unwrap_or(raw.weight);
    let identical = scene.proof(input, weight, raw.bias, &raw.arguments);
    let details = match &twist {
        Twist::Channels(map) => json!({"channels": map}),
        other => json!({"as": format!("{other:?}")}),
    };
    let finding = Finding::new(kind, words, details);
    Some(finding.proved(identical, raw.expected.len()))
}

/// Which tensor was taken for another, and that other.
type Untwisted<R> = (&'static str, Option<Vec<R>>, Option<Vec<R>>);

fn untwisted<R: Real>(raw: &super::Raw<'_, R>, twist: &Twist) -> Untwisted<R> {
    let [filters, group_in, kh, kw] = raw.weight_shape;
    let [images, channels, h, w] = raw.input_shape;
    let weight = |at: &dyn Fn(usize, usize, usize, usize) -> [usize; 4]| {
        let mut out = Vec::with_capacity(raw.weight.len());
        for o in 0..filters {
            for i in 0..group_in {
                for y in 0..kh {
                    for x in 0..kw {
                        let [o, i, y, x] = at(o, i, y, x);
                        out.push(raw.weight[((o * group_in + i) * kh + y) * kw + x]);
                    }
                }
            }
        }
        ("weights", None, Some(out))
    };
    let input = |at: &dyn Fn(usize, usize, usize) -> [usize; 3]| {
        let mut out = Vec::with_capacity(raw.input.len());
        for n in 0..images {
            for c in 0..channels {
                for y in 0..h {
                    for x in 0..w {
                        let [c, y, x] = at(c, y, x);
                        out.push(raw.input[((n * channels + c) * h + y) * w + x]);
                    }
                }
            }
        }
        ("input", Some(out), None)
    };
    match twist {
        Twist::None => ("arguments", None, None),
        Twist::FlippedKernel => weight(&|o, i, y, x| [o, i, kh - 1 - y, kw - 1 - x]),
        Twist::TransposedKernel => weight(&|o, i, y, x| [o, i, x, y]),
        Twist::SwappedChannels => weight(&|o, i, y, x| [i, o, y, x]),
        Twist::Channels(map) => input(&|c, y, x| [map[c], y, x]),
        Twist::TransposedInput => input(&|c, y, x| [c, x, y]),
        Twist::UpsideDown => input(&|c, y, x| [c, h - 1 - y, x]),
        Twist::Mirrored => input(&|c, y, x| [c, y, w - 1 - x]),
    }
}
