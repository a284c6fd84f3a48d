//! The sentences around the table: what is assumed, the way in short, where each number comes from, what would fit.

use crate::shapes::{Broken, Origin, Sizes, Step, Walk, Wrong};

/// `torch.nn.modules.container.Sequential` is `Sequential`.
pub(super) fn short_class(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// What the file does not tell.
pub(super) fn assumption(walk: &Walk) -> Option<String> {
    let (path, class) = walk.assumed.first()?;
    let more = match walk.assumed.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let at = if path.is_empty() {
        String::new()
    } else {
        format!(" at {path}")
    };
    let mut text = format!(
        "{class}{at}{more} is a class of somebody's own: a pickle holds its modules, not its forward. ASSUMED: its modules \
         one after the other, as __init__ defined them; a flatten where a Linear meets an image. What forward does without \
         a module (pooling, relu, view, adding) is not in the file."
    );
    if !walk.inserts.is_empty() {
        let inserts: Vec<String> = walk
            .inserts
            .iter()
            .map(|insert| {
                let numbers: Vec<String> = insert.numbers.iter().map(i64::to_string).collect();
                format!(
                    "{}({}) after {}",
                    insert.op,
                    numbers.join(", "),
                    insert.after
                )
            })
            .collect();
        text += &format!(" Put in by --after: {}.", inserts.join(", "));
    }
    Some(text)
}

/// The spatial size of a step's output, then its features: `24`, `24x20`, `320`.
fn size_of(shape: &[usize]) -> Option<String> {
    match shape {
        [_, _, h, w] if h == w => Some(h.to_string()),
        [_, _, h, w] => Some(format!("{h}x{w}")),
        [_, features] => Some(features.to_string()),
        [_, _, d, h, w] => Some(format!("{d}x{h}x{w}")),
        _ => None,
    }
}

/// `28 → 24 → 12 → 8 → 4 → 320 → 50 → 10`: the sizes one after the other, as long as it is one way: a branch may only
/// come to where the way is already, as the short cut of a residual block does.
pub(super) fn way(walk: &Walk, arrow: &str) -> Option<String> {
    const MOST: usize = 24;
    let input = walk.inputs.first().filter(|_| walk.inputs.len() == 1)?;
    let mut sizes = vec![size_of(&input.shape)?];
    let mut before = Origin::Input(0);
    for (number, step) in walk.steps.iter().enumerate() {
        if !step.live {
            continue;
        }
        let [(shape, _)] = step.outputs.as_deref()? else {
            return None;
        };
        match size_of(shape) {
            Some(size) if sizes.last() != Some(&size) => {
                if !step.inputs.contains(&before) {
                    return None;
                }
                sizes.push(size);
            }
            _ => {}
        }
        before = Origin::Step(number);
    }
    let end = if walk.broken.is_some() {
        format!(" {arrow} broken")
    } else {
        String::new()
    };
    (sizes.len() > 1 && sizes.len() <= MOST).then(|| sizes.join(&format!(" {arrow} ")) + &end)
}

/// How the number that does not fit came about: `500 = 20 * 5 * 5 (#6)`.
pub(super) fn composition(walk: &Walk, broken: &Broken) -> Option<String> {
    if broken.what != Wrong::Features {
        return None;
    }
    let (number, step) = folded(&walk.steps)?;
    let got = broken.got?;
    let last = step.outputs.as_ref()?.first()?.0.last().copied();
    (last == Some(got)).then(|| {
        format!(
            "{got} is {} (#{number})",
            step.detail.split(" = ").next().unwrap_or("")
        )
    })
}

/// The last step that put an image together to one axis.
fn folded(steps: &[Step]) -> Option<(usize, &Step)> {
    let found = steps.iter().enumerate().rev().find(|(_, step)| {
        matches!(
            step.op.as_str(),
            "flatten" | "view" | "reshape" | "_unsafe_view"
        ) && step.live
            && step.detail.contains(" = ")
    });
    found.map(|(number, step)| (number + 1, step))
}

/// The flags that would let an assumed order fit.
pub(super) fn suggestion(walk: &Walk) -> Option<String> {
    let flags: Vec<String> = walk
        .would_fit
        .iter()
        .map(|insert| {
            let numbers: Vec<String> = insert.numbers.iter().map(i64::to_string).collect();
            format!(
                "--after {} {}={}",
                insert.after,
                insert.op,
                numbers.join(",")
            )
        })
        .collect();
    (!flags.is_empty()).then(|| {
        format!(
            "{} (with these the input goes through to the end: found by trying, not in the file)",
            flags.join(" ")
        )
    })
}

/// The closing lines: a label and a text each.
pub(super) fn answers(walk: &Walk, arrow: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut channels: Vec<usize> = Vec::new();
    for step in walk
        .steps
        .iter()
        .filter(|step| step.op.contains("conv") || step.op == "linear" || step.op == "addmm")
    {
        let ends = step.detail.split_once("->");
        let number = |text: &str| text.split(' ').next().and_then(|n| n.parse::<usize>().ok());
        if let Some((takes, gives)) =
            ends.and_then(|(takes, gives)| Some((number(takes)?, number(gives)?)))
        {
            if channels.is_empty() {
                channels.push(takes);
            }
            channels.push(gives);
        }
    }
    channels.dedup();
    if (2..=12).contains(&channels.len()) {
        let words: Vec<String> = channels.iter().map(usize::to_string).collect();
        let text = format!(
            "{}: fixed by the file, as sizes of its weights; how many filters a layer has was somebody's choice",
            words.join(&format!(" {arrow} "))
        );
        found.push(("channels", text));
    }
    if walk.steps.iter().any(|step| !step.formulas.is_empty()) {
        found.push((
            "spatial",
            "height and width follow from the input by the formulas; the weights hold for any size"
                .to_owned(),
        ));
    }
    if let Some((number, step)) = folded(&walk.steps)
        && let Some((product, result)) = step.detail.split_once(" = ")
    {
        let of = if product.matches('*').count() == 2 {
            " (channels * height * width)"
        } else {
            ""
        };
        found.push((
            "flatten",
            format!("{result} = {product}{of}, step {number}"),
        ));
    }
    if walk.exported_for.iter().flatten().any(|size| size != "any") {
        let shapes: Vec<String> = walk
            .exported_for
            .iter()
            .map(|sizes| format!("[{}]", sizes.join(", ")))
            .collect();
        let text = format!(
            "for {} and nothing else: PyTorch refuses other sizes, whatever the operators would take; dynamic_shapes of \
             torch.export.export frees them",
            shapes.join(" and ")
        );
        found.push(("exported", text));
    }
    found.extend(fits(walk));
    found
}

fn fits(walk: &Walk) -> Vec<(&'static str, String)> {
    let Some(fits) = &walk.fits else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let axes = fits.axes.join(" and ");
    let equal = if fits.apart || fits.axes.len() == 1 {
        ""
    } else {
        ", all equal"
    };
    let text = match &fits.sizes {
        Sizes::None => format!("no {axes} up to {} (tried, all equal)", fits.tried),
        Sizes::From(low) => format!("{axes} from {low} up{equal} (tried to {})", fits.tried),
        Sizes::Range(low, high) if low == high => {
            format!("{axes} of {low}{equal}, nothing else up to {}", fits.tried)
        }
        Sizes::Range(low, high) => format!(
            "{axes} from {low} to {high}{equal}, nothing else up to {}",
            fits.tried
        ),
        Sizes::Multiples(step, low) => format!(
            "{axes} in multiples of {step} from {low} up{equal} (tried to {})",
            fits.tried
        ),
        Sizes::Ranges(ranges) => {
            let words: Vec<String> = ranges
                .iter()
                .take(6)
                .map(|(low, high)| {
                    if low == high {
                        low.to_string()
                    } else {
                        format!("{low} to {high}")
                    }
                })
                .collect();
            let more = if ranges.len() > 6 { ", ..." } else { "" };
            format!(
                "{axes} of {}{more}{equal} (tried to {})",
                words.join(", "),
                fits.tried
            )
        }
    };
    let channels = match fits.channels {
        Some(1) => "1 channel, ".to_owned(),
        Some(n) => format!("{n} channels, "),
        None => String::new(),
    };
    let whose = match (walk.exported_for.is_empty(), walk.assumed.is_empty()) {
        (false, _) => "the operators: ",
        (true, false) => "in the assumed order: ",
        (true, true) => "",
    };
    found.push(("fits", format!("{whose}{channels}{text}")));
    if let (Some(path), Some(low)) = (&fits.pinned_by, fits.reaches)
        && fits.sizes != Sizes::From(low)
    {
        found.push((
            "",
            match path.as_str() {
                "" => format!(
                    "any size from {low} up comes as far as the model's own code, which pins it"
                ),
                path => format!("any size from {low} up comes as far as {path}, which pins it"),
            },
        ));
    }
    found
}
