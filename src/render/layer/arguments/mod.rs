//! `--arguments`: what each argument of a convolution does, with a small picture of which input pixels one output pixel
//! reads; the layer's own numbers throughout.

mod plan;
mod transposed;

use std::io::{Result, Write};

use self::plan::Plan;
use self::plan::beside;
use super::super::number::{count, grouped};
use super::super::paint::Paint;
use super::super::wrap::paragraph;
use super::groups;
use super::text::{WIDTH, line};
use super::words::times;
use crate::explain::Convolution;
use crate::explain::Layer;
use crate::explain::Origin;
use crate::explain::Padding;
use crate::explain::Role;

/// An argument, its value, who says so, and a sentence.
fn argument(
    out: &mut dyn Write,
    name: &str,
    value: &str,
    origin: Option<Origin>,
    text: &str,
    paint: Paint,
) -> Result<()> {
    let from = match origin {
        Some(Origin::Default) => "  (assumed: the file does not say)",
        Some(Origin::Follows) => "  (it follows from the input)",
        _ => "",
    };
    writeln!(out)?;
    writeln!(
        out,
        "  {}{}",
        paint.title(format!("{name}={value}")),
        paint.dim(from)
    )?;
    paragraph(out, text, 4, WIDTH)
}

fn tuple(values: &[usize]) -> String {
    match values {
        [one] => one.to_string(),
        values => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("({})", values.join(", "))
        }
    }
}

/// The section.
pub(super) fn write(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let Some(conv) = &layer.convolution else {
        return Ok(());
    };
    if conv.transposed {
        paragraph(out, "What each argument does.", 2, WIDTH)?;
        channels(out, layer, conv, paint)?;
        return transposed::write(out, layer, conv, paint);
    }
    paragraph(
        out,
        "What each argument does. In the pictures # is an input pixel that one output pixel reads, . one that it \
         does not read, + padding that it reads, : padding that it does not.",
        2,
        WIDTH,
    )?;
    channels(out, layer, conv, paint)?;
    let plan = Plan::of(conv);
    kernel(out, conv, &plan, paint)?;
    stride(out, conv, &plan, paint)?;
    padding(out, layer, conv, &plan, paint)?;
    dilation(out, conv, &plan, paint)?;
    group(out, conv, paint)?;
    bias(out, layer, conv, paint)?;
    padding_mode(out, conv, &plan, paint)
}

/// in_channels and out_channels, with the belief that they are kernels giving several channels each made impossible.
fn channels(out: &mut dyn Write, layer: &Layer, conv: &Convolution, paint: Paint) -> Result<()> {
    let shape = &layer.weight.shape;
    let (inputs, outputs) = (conv.in_channels, conv.out_channels);
    if conv.transposed {
        let text = format!(
            "The weight is {shape:?}: input channels come first. Every input channel has {} kernels of {}.",
            shape[1],
            times(&conv.kernel)
        );
        return argument(
            out,
            "in_channels",
            &format!("{inputs}, out_channels={outputs}"),
            None,
            &text,
            paint,
        );
    }
    let each = times(&shape[1..]);
    let filters = count(outputs as u64, "filter");
    let mut text = format!(
        "{filters} of {each}: one filter per output channel. A filter is as deep as the channels that it sees, and gives \
         one map, the sum over all of them."
    );
    if conv.groups.value <= 1 && inputs > 1 && outputs > inputs && outputs.is_multiple_of(inputs) {
        text += &format!(
            " Not {} that give {inputs} channels each.",
            count((outputs / inputs) as u64, "kernel")
        );
    }
    argument(
        out,
        "in_channels",
        &format!("{inputs}, out_channels={outputs}"),
        None,
        &text,
        paint,
    )?;
    if conv.groups.value > 1 {
        return line(out, "see groups below for which filter sees which channels");
    }
    let names: Vec<String> = match inputs {
        0..=4 => (0..inputs).map(|i| format!("channel {i}")).collect(),
        n => vec![
            "channel 0".into(),
            "channel 1".into(),
            "...".into(),
            format!("channel {}", n - 1),
        ],
    };
    let products = grouped(
        shape[1..]
            .iter()
            .fold(1, |n: u64, &k| n.saturating_mul(k as u64)),
    );
    let middle = (names.len().max(1) - 1) / 2;
    let wide = names.iter().map(String::len).max().unwrap_or(0);
    for (i, name) in names.iter().enumerate() {
        let joint = match (i, names.len()) {
            (_, 1) => "───",
            (0, _) => "─┐ ",
            (i, n) if i + 1 == n => "─┘ ",
            _ => "─┤ ",
        };
        let joint = match (i == middle, names.len()) {
            (true, 1) | (false, _) => joint,
            (true, 2) => "─┬─",
            (true, _) => "─┼─",
        };
        let rest = if i == middle {
            format!(" filter o ({each}): {products} products, one sum ──► map o")
        } else if i == middle + 1 || names.len() == 1 {
            format!("    for o = 0 to {}", outputs.saturating_sub(1))
        } else {
            String::new()
        };
        line(out, format!("{name:<wide$} {joint}{rest}").trim_end())?;
    }
    Ok(())
}

fn kernel(out: &mut dyn Write, conv: &Convolution, plan: &Plan, paint: Paint) -> Result<()> {
    let taps: usize = conv.kernel.iter().product();
    let axes = match plan.is_line {
        true => "They are summed away: the output has no kernel axis.",
        false => "Rows and columns of the kernel are summed away: the output has no kernel axes.",
    };
    let text = format!(
        "{} per channel for one output pixel. {axes}",
        count(taps as u64, "tap")
    );
    argument(out, "kernel_size", &tuple(&conv.kernel), None, &text, paint)?;
    let mut alone = *plan;
    (alone.before, alone.after, alone.stride, alone.dilation) = ([0; 2], [0; 2], [1; 2], [1; 2]);
    alone.image = alone.fitting();
    let mut pictures = vec![("output (0, 0)".to_owned(), alone.picture([0, 0]))];
    if plan.is_line {
        pictures[0].0 = "output 0".to_owned();
    }
    beside(out, &pictures, paint)?;
    match alone.is_cut() {
        true => line(
            out,
            &paint.dim("the pictures show a corner only").to_string(),
        ),
        false => Ok(()),
    }
}

fn stride(out: &mut dyn Write, conv: &Convolution, plan: &Plan, paint: Paint) -> Result<()> {
    let known = &conv.hyper.stride;
    let steps = &known.value;
    let text = match steps.iter().all(|&s| s == 1) {
        true => "The window moves by one pixel from one output pixel to the next; with 2 the output is half as large.".to_owned(),
        false => format!(
            "The window moves by {} pixels from one output pixel to the next: the output is that much smaller.",
            times(steps)
        ),
    };
    argument(
        out,
        "stride",
        &tuple(steps),
        Some(known.origin),
        &text,
        paint,
    )?;
    let mut pictures = match plan.is_line {
        true => vec![
            ("output 0".to_owned(), plan.picture([0, 0])),
            ("output 1".to_owned(), plan.picture([0, 1])),
        ],
        false => vec![
            ("output (0, 0)".to_owned(), plan.picture([0, 0])),
            ("output (0, 1)".to_owned(), plan.picture([0, 1])),
            ("output (1, 0)".to_owned(), plan.picture([1, 0])),
        ],
    };
    if steps.iter().all(|&s| s == 1) && conv.hyper.padding.value != Padding::Same {
        let mut twice = *plan;
        twice.stride = [2, 2];
        twice.image = twice.fitting();
        let (title, at) = if plan.is_line {
            ("output 1", [0, 1])
        } else {
            ("output (0, 1)", [0, 1])
        };
        pictures.truncate(2);
        pictures.push((format!("stride=2: {title}"), twice.picture(at)));
    }
    beside(out, &pictures, paint)
}

fn padding(
    out: &mut dyn Write,
    layer: &Layer,
    conv: &Convolution,
    plan: &Plan,
    paint: Paint,
) -> Result<()> {
    let known = &conv.hyper.padding;
    let reach: Vec<usize> = conv
        .kernel
        .iter()
        .zip(&conv.hyper.dilation.value)
        .map(|(k, d)| d * k.saturating_sub(1))
        .collect();
    let (value, text) = match &known.value {
        Padding::Same => (
            "'same'".to_owned(),
            format!(
                "As much as keeps the size: {} rows or columns in all, the odd one at the end.",
                tuple(&reach)
            ),
        ),
        Padding::Valid => ("'valid'".to_owned(), format!("None: the output is {} smaller.", tuple(&reach))),
        Padding::Sizes(sizes) if sizes.iter().all(|&n| n == 0) => {
            let keep = match reach.iter().all(|r| r.is_multiple_of(2)) {
                true => format!("padding={} would keep its size.", tuple(&reach.iter().map(|r| r / 2).collect::<Vec<_>>())),
                false => "padding='same' would keep its size.".to_owned(),
            };
            let smaller = format!("No rows or columns around the image: the output is {} smaller. {keep}", tuple(&reach));
            (tuple(sizes), smaller)
        }
        Padding::Sizes(sizes) => (
            tuple(sizes),
            "So many rows and columns are put around the image, on both sides, before the window slides.".to_owned(),
        ),
    };
    argument(out, "padding", &value, Some(known.origin), &text, paint)?;
    let mut shown = *plan;
    if shown.before == [0, 0] && shown.after == [0, 0] {
        let half = [0, 1].map(|a| (plan.dilation[a] * plan.kernel[a].saturating_sub(1)) / 2);
        shown.before = if plan.is_line { [0, half[1]] } else { half };
        shown.after = shown.before;
        shown.image = shown.fitting();
        if shown.before != [0, 0] {
            let title = format!(
                "padding={}",
                tuple(&shown.before[usize::from(plan.is_line)..])
            );
            beside(
                out,
                &[
                    ("as it is".to_owned(), plan.picture([0, 0])),
                    (title, shown.picture([0, 0])),
                ],
                paint,
            )?;
        }
    } else {
        beside(
            out,
            &[("output (0, 0), top left".to_owned(), shown.picture([0, 0]))],
            paint,
        )?;
    }
    formula(out, layer, paint)
}

/// The size of the output, filled in as far as the numbers are known.
fn formula(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    if layer.output.is_some() {
        return Ok(()); // the page has it, with the input's numbers
    }
    let text = "H_out = floor((H + 2*padding - dilation*(k - 1) - 1)/stride) + 1";
    line(out, &paint.dim(text).to_string())
}

fn dilation(out: &mut dyn Write, conv: &Convolution, plan: &Plan, paint: Paint) -> Result<()> {
    let known = &conv.hyper.dilation;
    let extent: Vec<usize> = conv
        .kernel
        .iter()
        .zip(&known.value)
        .map(|(k, d)| d * k.saturating_sub(1) + 1)
        .collect();
    let is_one = known.value.iter().all(|&d| d == 1);
    let text = match is_one {
        true => "The taps stand side by side: 1 means no gap. With 2, one pixel is passed over between them.".to_owned(),
        false => format!(
            "The taps stand {} apart: the kernel of {} spans {} pixels, dilation*(k - 1) + 1 along each axis.",
            times(&known.value),
            times(&conv.kernel),
            times(&extent)
        ),
    };
    argument(
        out,
        "dilation",
        &tuple(&known.value),
        Some(known.origin),
        &text,
        paint,
    )?;
    if conv.kernel.iter().all(|&k| k == 1) {
        return line(
            out,
            &paint
                .dim("a kernel of one tap has nothing to spread")
                .to_string(),
        );
    }
    let with = |d: [usize; 2]| {
        let mut plan = *plan;
        (plan.before, plan.after, plan.dilation) = ([0; 2], [0; 2], d);
        plan.image = plan.fitting();
        plan.picture([0, 0])
    };
    let other = if is_one { [2, 2] } else { [1, 1] };
    let named = |d: [usize; 2]| format!("dilation={}", tuple(&d[usize::from(plan.is_line)..]));
    beside(
        out,
        &[
            (named(plan.dilation), with(plan.dilation)),
            (named(other), with(other)),
        ],
        paint,
    )
}

fn group(out: &mut dyn Write, conv: &Convolution, paint: Paint) -> Result<()> {
    let groups = conv.groups.value;
    let kernel: String = [", kD", ", kH", ", kW"][3 - conv.kernel.len().clamp(1, 3)..].concat();
    let weight = match conv.transposed {
        true => format!("[in, out/g{kernel}]"),
        false => format!("[out, in/g{kernel}]"),
    };
    let text = match (groups, conv.transposed) {
        (0 | 1, true) => format!(
            "One group: every input channel reaches every output channel. The weight is {weight}."
        ),
        (0 | 1, false) => format!(
            "One group: every filter sees all input channels. With g groups a filter sees the in/g channels of its own \
             group only, and the weight is {weight}."
        ),
        (_, true) => format!(
            "Input channel i belongs to group i // {}, and reaches only that group's {}. The weight is {weight}.",
            conv.channels_per_group(),
            count(conv.filters_per_group() as u64, "output channel"),
        ),
        (_, false) => format!(
            "Filter o belongs to group {}, and sees only that group's {}{}. The weight is {weight}.",
            match conv.filters_per_group() {
                1 => "o".to_owned(),
                each => format!("o // {each}"),
            },
            count(conv.channels_per_group() as u64, "channel"),
            if conv.is_depthwise() {
                ": depthwise"
            } else {
                ""
            }
        ),
    };
    argument(
        out,
        "groups",
        &groups.to_string(),
        Some(conv.groups.origin),
        &text,
        paint,
    )?;
    match groups {
        0 | 1 => Ok(()),
        _ => groups::write(out, conv, "", paint),
    }
}

fn bias(out: &mut dyn Write, layer: &Layer, conv: &Convolution, paint: Paint) -> Result<()> {
    let (value, text) = match layer.others.iter().any(|part| part.role == Role::Bias) {
        true => (
            "True",
            format!(
                "{}, one per filter, added to every pixel of its map.",
                count(conv.out_channels as u64, "number")
            ),
        ),
        false => (
            "False",
            "Nothing is added to the sums of products.".to_owned(),
        ),
    };
    argument(out, "bias", value, None, &text, paint)
}

fn padding_mode(out: &mut dyn Write, conv: &Convolution, plan: &Plan, paint: Paint) -> Result<()> {
    let known = &conv.hyper.padding_mode;
    let is_padded = plan.before != [0, 0] || plan.after != [0, 0];
    let text = match is_padded {
        true => "What the padding holds, here along one row a b c d e of the image:",
        false => {
            "What the padding would hold; this layer has none. Along one row a b c d e of the image, with 2:"
        }
    };
    let value = format!("'{}'", known.value);
    argument(out, "padding_mode", &value, Some(known.origin), text, paint)?;
    let pads = if is_padded {
        (plan.before[1].min(4), plan.after[1].min(4))
    } else {
        (2, 2)
    };
    let pads = if pads == (0, 0) {
        (plan.before[0].min(4), plan.after[0].min(4))
    } else {
        pads
    };
    for mode in ["zeros", "reflect", "replicate", "circular"] {
        let Ok(parsed) = crate::execute::PaddingMode::parse(mode) else {
            continue;
        };
        let letter = |at: usize| match parsed.source(at, pads.0, 5) {
            Some(source) => ["a", "b", "c", "d", "e"]
                .get(source)
                .copied()
                .unwrap_or("?"),
            None => "0",
        };
        let cells = |range: std::ops::Range<usize>| range.map(letter).collect::<Vec<_>>().join(" ");
        let mark = if known.value == mode && is_padded {
            "  <- this layer"
        } else {
            ""
        };
        line(
            out,
            &format!(
                "{mode:<10} {} | a b c d e | {}{}",
                cells(0..pads.0),
                cells(pads.0 + 5..pads.0 + 5 + pads.1),
                paint.warn(mark)
            ),
        )?;
    }
    Ok(())
}
