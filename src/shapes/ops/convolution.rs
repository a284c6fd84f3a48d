//! Convolutions, transposed ones, and what cuts an image into patches.

use crate::geometry::{Misfit, Padding, Window, WindowKind};
use crate::shapes::call::{AxisFormula, Call, Outcome, Refusal, Trouble, Wrong, mismatch, refuse};
use crate::shapes::value::Tensor;
use crate::shapes::value::Value;

/// Letters of the spatial axes, for one to three of them.
pub(super) fn letters(dims: usize) -> &'static [&'static str] {
    match dims {
        1 => &["L"],
        2 => &["H", "W"],
        3 => &["D", "H", "W"],
        _ => &[],
    }
}

/// Windows on all spatial axes: their outputs, or a refusal that shows the formula.
pub(super) fn slide(call: &mut Call<'_>, windows: &[Window], what: &str) -> Outcome<Vec<usize>> {
    let formulas: Vec<AxisFormula> = letters(windows.len())
        .iter()
        .zip(windows)
        .map(|(&axis, &window)| AxisFormula { axis, window })
        .collect();
    let mut outputs = Vec::new();
    for formula in &formulas {
        match formula.window.output() {
            Ok(output) => outputs.push(output),
            Err(misfit) => {
                let axis = formula.axis;
                let why = match misfit {
                    Misfit::TooSmall(span, padded) => format!(
                        "the {what} spans {span}, but {axis} has {padded}{}",
                        if padded == formula.window.input {
                            ""
                        } else {
                            " with its padding"
                        }
                    ),
                    other => format!("{axis}: {other}"),
                };
                let (expected, got) = match misfit {
                    Misfit::TooSmall(span, padded) => (Some(span), Some(padded)),
                    _ => (None, None),
                };
                return Err(Trouble::Refused(Refusal {
                    why,
                    formulas: vec![formula.clone()],
                    expected,
                    got,
                    what: Wrong::Spatial,
                }));
            }
        }
    }
    call.said.formulas = formulas;
    Ok(outputs)
}

/// `conv1d`, `conv2d`, `conv3d`, `_convolution`, `convolution`, `_convolution_mode`, `conv_transpose*d`.
pub(super) fn convolution(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("input|self")?;
    let weight = call.tensor("weight")?;
    let dims = weight.rank().saturating_sub(2);
    if !(1..=3).contains(&dims) {
        return refuse(format!(
            "a weight of shape {:?} is no convolution's",
            weight.shape
        ));
    }
    let named_dims = call.name.chars().rev().nth(1).and_then(|c| c.to_digit(10));
    if named_dims.is_some_and(|named| named as usize != dims) && call.name.ends_with('d') {
        return refuse(format!(
            "{} takes no weight of shape {:?}",
            call.name, weight.shape
        ));
    }
    let transposed = call.name.contains("transpose") || call.bool("transposed")?;
    let batched = match input.rank().checked_sub(dims) {
        Some(2) => true,
        Some(1) if !matches!(call.name, "convolution" | "_convolution") => false,
        _ => {
            return refuse(format!(
                "takes {} or {} axes, got shape {:?}",
                dims + 1,
                dims + 2,
                input.shape
            ));
        }
    };
    let lead = usize::from(batched);
    let groups = usize::try_from(call.int("groups", 1)?).unwrap_or(0);
    if groups == 0 {
        return refuse("groups is 0");
    }
    let (takes, gives) = match transposed {
        true => (weight.shape[0], weight.shape[1].saturating_mul(groups)),
        false => (weight.shape[1].saturating_mul(groups), weight.shape[0]),
    };
    let channels = input.shape[lead];
    if channels != takes {
        let why = format!(
            "takes {takes} channel{}, got {channels}",
            if takes == 1 { "" } else { "s" }
        );
        return mismatch(Wrong::Channels, takes, channels, why);
    }
    if weight.shape[0] % groups != 0 {
        return refuse(format!(
            "{} filters cannot form {groups} groups",
            weight.shape[0]
        ));
    }
    if let Some(bias) = call.optional("bias")?
        && *bias.shape != [gives]
    {
        return refuse(format!(
            "the bias has shape {:?}, expected [{gives}]",
            bias.shape
        ));
    }
    let windows = windows(call, &input, &weight, transposed)?;
    let outputs = slide(call, &windows, "kernel")?;
    let mut shape = input.shape[..lead].to_vec();
    shape.push(gives);
    shape.extend(&outputs);
    // every output element is a sum over the channels of its group and the kernel; transposed: every input element
    // goes into as many
    let positions: &[usize] = if transposed {
        &input.shape[lead + 1..]
    } else {
        &outputs
    };
    let factors = input.shape[..lead]
        .iter()
        .chain(positions)
        .chain(weight.shape.iter());
    call.said.macs = factors.fold(1u64, |n, &factor| n.saturating_mul(factor as u64));
    call.said.detail = described(&weight, groups, transposed, &windows);
    call.result(shape, input.dtype)
}

fn windows(
    call: &Call<'_>,
    input: &Tensor,
    weight: &Tensor,
    transposed: bool,
) -> Outcome<Vec<Window>> {
    let dims = weight.rank() - 2;
    let stride = call.sizes("stride", dims, 1)?;
    let dilation = call.sizes("dilation", dims, 1)?;
    let extra = call.sizes("output_padding", dims, 0)?;
    let padding = match call.get("padding") {
        Some(Value::Str(word)) if &**word == "same" => Padding::Same,
        Some(Value::Str(word)) if &**word == "valid" => Padding::Valid,
        _ => Padding::Sizes(call.sizes("padding", dims, 0)?),
    };
    let mut windows = Vec::new();
    for axis in 0..dims {
        let kernel = weight.shape[2 + axis];
        if stride[axis] == 0 || dilation[axis] == 0 || kernel == 0 {
            return refuse("stride, dilation and kernel must be at least 1");
        }
        if transposed && extra[axis] >= stride[axis].max(dilation[axis]) {
            return refuse("output_padding must be smaller than stride or dilation");
        }
        let padding = match padding.on(axis, kernel, dilation[axis], stride[axis]) {
            Ok(padding) => padding,
            Err(misfit) => return refuse(misfit.to_string()),
        };
        windows.push(Window {
            input: input.shape[input.rank() - dims + axis],
            padding,
            dilation: dilation[axis],
            kernel,
            stride: stride[axis],
            kind: match transposed {
                true => WindowKind::Transposed(extra[axis]),
                false => WindowKind::Floor,
            },
        });
    }
    Ok(windows)
}

/// `1->10 k5`, `64->64 k3 s2 p1 g64`
fn described(weight: &Tensor, groups: usize, transposed: bool, windows: &[Window]) -> String {
    let (takes, gives) = match transposed {
        true => (weight.shape[0], weight.shape[1] * groups),
        false => (weight.shape[1] * groups, weight.shape[0]),
    };
    let mut text = format!("{takes}->{gives} {}", window_words(windows));
    if groups > 1 {
        text += &format!(" g{groups}");
    }
    text
}

/// `k5`, `k3x2 s2 p1 d2`; what is a default is left out.
pub(super) fn window_words(windows: &[Window]) -> String {
    let each = |value: &dyn Fn(&Window) -> usize| {
        let mut values: Vec<String> = windows
            .iter()
            .map(|window| value(window).to_string())
            .collect();
        values.dedup();
        match values.len() {
            1 => values.remove(0),
            _ => windows
                .iter()
                .map(|window| value(window).to_string())
                .collect::<Vec<_>>()
                .join("x"),
        }
    };
    let mut text = format!("k{}", each(&|window| window.kernel));
    if windows.iter().any(|window| window.stride != 1) {
        text += &format!(" s{}", each(&|window| window.stride));
    }
    if windows.iter().any(|window| window.padding != (0, 0)) {
        text += &format!(" p{}", each(&|window| window.padding.0));
    }
    if windows.iter().any(|window| window.dilation != 1) {
        text += &format!(" d{}", each(&|window| window.dilation));
    }
    text
}

/// `unfold` of images (`im2col`): `[N, C, H, W]` to `[N, C*kH*kW, positions]`.
pub(super) fn im2col(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let lead = match input.rank() {
        3 => 0,
        4 => 1,
        _ => return refuse(format!("takes 3 or 4 axes, got shape {:?}", input.shape)),
    };
    let kernel = call.sizes("kernel_size", 2, 1)?;
    let windows = patches(
        call,
        &kernel,
        [input.shape[lead + 1], input.shape[lead + 2]],
    )?;
    let outputs = slide(call, &windows, "patch")?;
    let mut shape = input.shape[..lead].to_vec();
    shape.push(input.shape[lead] * kernel[0] * kernel[1]);
    shape.push(outputs[0] * outputs[1]);
    call.result(shape, input.dtype)
}

/// `fold` (`col2im`): the way back.
pub(super) fn col2im(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let lead = match input.rank() {
        2 => 0,
        3 => 1,
        _ => return refuse(format!("takes 2 or 3 axes, got shape {:?}", input.shape)),
    };
    let kernel = call.sizes("kernel_size", 2, 1)?;
    let output = call.sizes("output_size", 2, 1)?;
    let windows = patches(call, &kernel, [output[0], output[1]])?;
    let counts = slide(call, &windows, "patch")?;
    call.said.formulas.clear();
    let (rows, columns) = (input.shape[lead], input.shape[lead + 1]);
    let taps = kernel[0] * kernel[1];
    if taps == 0 || rows % taps != 0 {
        return refuse(format!("{rows} rows are no multiple of a patch of {taps}"));
    }
    if columns != counts[0] * counts[1] {
        return mismatch(
            Wrong::Other,
            counts[0] * counts[1],
            columns,
            format!(
                "an image of {output:?} has {} patches, got {columns}",
                counts[0] * counts[1]
            ),
        );
    }
    let mut shape = input.shape[..lead].to_vec();
    shape.push(rows / taps);
    shape.extend(output);
    call.result(shape, input.dtype)
}

fn patches(call: &Call<'_>, kernel: &[usize], input: [usize; 2]) -> Outcome<Vec<Window>> {
    let stride = call.sizes("stride", 2, 1)?;
    let padding = call.sizes("padding", 2, 0)?;
    let dilation = call.sizes("dilation", 2, 1)?;
    Ok((0..2)
        .map(|axis| Window {
            input: input[axis],
            padding: (padding[axis], padding[axis]),
            dilation: dilation[axis],
            kernel: kernel[axis],
            stride: stride[axis],
            kind: WindowKind::Floor,
        })
        .collect())
}
