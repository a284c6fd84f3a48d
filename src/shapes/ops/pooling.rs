//! Pooling, and what changes the size of images.

use super::convolution::{letters, slide, window_words};
use crate::geometry::{Window, WindowKind};
use crate::shapes::call::{Call, Outcome, Refusal, Trouble, Wrong, refuse};
use crate::shapes::value::{Tensor, Value};
use crate::tensor::DType;

/// The number in `max_pool2d`.
fn dims_of(name: &str) -> usize {
    let digit = name.chars().find_map(|c| c.to_digit(10));
    digit.map_or(2, |digit| digit as usize)
}

/// What lies before the spatial axes: batch and channels, or channels alone.
fn lead(input: &Tensor, dims: usize) -> Outcome<usize> {
    match input.rank().checked_sub(dims) {
        Some(lead @ (1 | 2)) => Ok(lead),
        _ => refuse(format!(
            "takes {} or {} axes, got shape {:?}",
            dims + 1,
            dims + 2,
            input.shape
        )),
    }
}

/// `max_pool*d`, `max_pool*d_with_indices`, `avg_pool*d`.
pub(super) fn pool(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let dims = dims_of(call.name);
    let lead = lead(&input, dims)?;
    let kernel = call.sizes("kernel_size", dims, 1)?;
    let stride = match call.ints("stride")? {
        Some(stride) if !stride.is_empty() => call.sizes("stride", dims, 1)?,
        _ => kernel.clone(),
    };
    let padding = call.sizes("padding", dims, 0)?;
    let dilation = call.sizes("dilation", dims, 1)?;
    let ceil = call.bool("ceil_mode")?;
    let mut windows = Vec::new();
    for axis in 0..dims {
        if padding[axis] > kernel[axis] / 2 {
            return refuse(format!(
                "padding {} is more than half of the kernel {}",
                padding[axis], kernel[axis]
            ));
        }
        let size = input.shape[lead + axis];
        if call.name == "avg_pool3d" && size < kernel[axis] {
            // this one does not count the padding
            return refuse(format!(
                "{} of {size} is smaller than the kernel {}",
                letters(dims)[axis],
                kernel[axis]
            ));
        }
        windows.push(Window {
            input: size,
            padding: (padding[axis], padding[axis]),
            dilation: dilation[axis],
            kernel: kernel[axis],
            stride: stride[axis],
            kind: if ceil {
                WindowKind::Ceil
            } else {
                WindowKind::Floor
            },
        });
    }
    if input.shape[1..].contains(&0) {
        return refuse(format!("nothing to pool in shape {:?}", input.shape));
    }
    let outputs = slide(call, &windows, "kernel")?;
    let mut shape = input.shape[..lead].to_vec();
    shape.extend(outputs);
    call.said.detail = window_words(&windows);
    if ceil {
        call.said.detail += " ceil";
    }
    let output = call.result(shape.clone(), input.dtype)?;
    let gives_indices = call.name.ends_with("_with_indices") || call.bool("return_indices")?;
    match gives_indices {
        true => Ok(Value::tuple(vec![
            output,
            call.result(shape, DType::Int64)?,
        ])),
        false => Ok(output),
    }
}

/// `fractional_max_pool*d(self, kernel_size, output_size, random_samples)`
pub(super) fn fractional(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let dims = dims_of(call.name);
    let lead = lead(&input, dims)?;
    let kernel = call.sizes("kernel_size", dims, 1)?;
    let output = call.sizes("output_size", dims, 1)?;
    for axis in 0..dims {
        if output[axis] + kernel[axis] > input.shape[lead + axis] + 1 {
            return refuse(format!(
                "{} outputs of a kernel of {} do not fit into {}",
                output[axis],
                kernel[axis],
                input.shape[lead + axis]
            ));
        }
    }
    let mut shape = input.shape[..lead].to_vec();
    shape.extend(output);
    let indices = call.result(shape.clone(), DType::Int64)?;
    Ok(Value::tuple(vec![
        call.result(shape, input.dtype)?,
        indices,
    ]))
}

/// `adaptive_avg_pool*d`, `adaptive_max_pool*d`: the output size is given.
pub(super) fn adaptive(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let dims = dims_of(call.name);
    let lead = lead(&input, dims)?;
    if input.shape[lead.min(1)..].contains(&0) {
        return refuse(format!("nothing to pool in shape {:?}", input.shape));
    }
    let given = call
        .get("output_size")
        .map(|value| value.items().unwrap_or_else(|| vec![value.clone()]));
    let mut shape = input.shape[..lead].to_vec();
    for axis in 0..dims {
        let items = given.as_deref().unwrap_or(&[]);
        let size = match items.get(axis).or(items.first()) {
            // None keeps the size
            None | Some(Value::None) => input.shape[lead + axis],
            Some(value) => match value.int().and_then(|n| usize::try_from(n).ok()) {
                Some(size) => size,
                None => return refuse("output_size holds no sizes"),
            },
        };
        shape.push(size);
    }
    let words: Vec<String> = shape[lead..].iter().map(usize::to_string).collect();
    call.said.detail = format!("to {}", words.join("x"));
    let output = call.result(shape.clone(), input.dtype)?;
    match call.name.contains("max") {
        true => Ok(Value::tuple(vec![
            output,
            call.result(shape, DType::Int64)?,
        ])),
        false => Ok(output),
    }
}

/// `max_unpool*d(self, indices, output_size, ...)`
pub(super) fn unpool(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let dims = dims_of(call.name);
    let lead = lead(&input, dims)?;
    let mut shape = input.shape[..lead].to_vec();
    let sizes = call.sizes("output_size", dims, 1)?;
    shape.extend(sizes);
    call.result(shape, input.dtype)
}

/// `upsample_*`: by `output_size` or `scale_factors`, whichever is given.
pub(super) fn upsample(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let Some(dims) = input
        .rank()
        .checked_sub(2)
        .filter(|dims| (1..=3).contains(dims))
    else {
        return refuse(format!("takes 3 to 5 axes, got shape {:?}", input.shape));
    };
    let mut shape = input.shape[..2].to_vec();
    if let Some(sizes) = call
        .ints("output_size|size")?
        .filter(|sizes| !sizes.is_empty())
    {
        if sizes.len() != dims && sizes.len() != 1 {
            return refuse(format!("output_size needs {dims} numbers, got {sizes:?}"));
        }
        for axis in 0..dims {
            let size = sizes.get(axis).or(sizes.first()).copied().unwrap_or(0);
            shape.push(usize::try_from(size).unwrap_or(0));
        }
    } else {
        let factors = match call.get("scale_factors|scale_factor|scales") {
            Some(value) => value.items().unwrap_or_else(|| vec![value.clone()]),
            None => return refuse("neither a size nor a factor is given"),
        };
        let mut words = Vec::new();
        for axis in 0..dims {
            let factor = factors.get(axis).or(factors.first()).and_then(Value::float);
            let Some(factor) = factor else {
                return crate::shapes::call::unknown("the factor is not known");
            };
            words.push(factor.to_string());
            shape.push((input.shape[2 + axis] as f64 * factor).floor() as usize);
        }
        words.dedup();
        call.said.detail = format!("times {}", words.join("x"));
    }
    if shape[1..].contains(&0) || input.shape[1..].contains(&0) {
        return refuse(format!(
            "{:?} to {shape:?}: an image without pixels",
            input.shape
        ));
    }
    call.result(shape, input.dtype)
}

/// `pad`, `constant_pad_nd`, `reflection_pad*d`, `replication_pad*d`: last axis first, two numbers each.
pub(super) fn pad(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let numbers = call.ints("pad|padding")?.unwrap_or_default();
    let mode = match call.get("mode") {
        Some(Value::Str(mode)) => mode.to_string(),
        _ if call.name.starts_with("reflection") => "reflect".to_owned(),
        _ if call.name.starts_with("replication") => "replicate".to_owned(),
        _ => "constant".to_owned(),
    };
    if numbers.len() % 2 != 0 || numbers.len() / 2 > input.rank() {
        return refuse(format!("{numbers:?} cannot pad shape {:?}", input.shape));
    }
    let mut shape = input.shape.to_vec();
    for (number, pair) in numbers.chunks(2).enumerate() {
        let axis = input.rank() - 1 - number;
        let size = input.shape[axis] as i64;
        let widest = pair[0].max(pair[1]);
        if mode == "reflect" && widest >= size || mode == "circular" && widest > size {
            let axes = letters(numbers.len() / 2);
            let letter = axes
                .len()
                .checked_sub(1 + number)
                .map_or("axis", |at| axes[at]);
            return Err(Trouble::Refused(Refusal {
                why: format!("{mode} cannot pad {letter} of {size} by {widest}"),
                what: Wrong::Spatial,
                ..Refusal::default()
            }));
        }
        let padded = size
            .checked_add(pair[0])
            .and_then(|n| n.checked_add(pair[1]));
        match padded.and_then(|n| usize::try_from(n).ok()) {
            Some(padded) => shape[axis] = padded,
            None => return refuse(format!("{size} padded by {pair:?} is less than nothing")),
        }
    }
    call.said.detail = format!("{numbers:?} {mode}");
    call.result(shape, input.dtype)
}

/// `pixel_shuffle`, `pixel_unshuffle`: channels to pixels by a factor, and back.
pub(super) fn pixels(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let up = call.name == "pixel_shuffle";
    let factor = call.int(
        if up {
            "upscale_factor"
        } else {
            "downscale_factor"
        },
        1,
    )?;
    let (Some(lead), Ok(factor)) = (input.rank().checked_sub(3), usize::try_from(factor)) else {
        return refuse(format!("takes 3 axes or more, got shape {:?}", input.shape));
    };
    let (channels, height, width) = (
        input.shape[lead],
        input.shape[lead + 1],
        input.shape[lead + 2],
    );
    let square = factor.saturating_mul(factor);
    let mut shape = input.shape[..lead].to_vec();
    if factor == 0 {
        return refuse("the factor is 0");
    }
    if up {
        if channels % square != 0 {
            return refuse(format!(
                "{channels} channels are no multiple of {factor} x {factor}"
            ));
        }
        shape.extend([channels / square, height * factor, width * factor]);
    } else {
        if height % factor != 0 || width % factor != 0 {
            return refuse(format!("{height} x {width} is no multiple of {factor}"));
        }
        shape.extend([
            channels.saturating_mul(square),
            height / factor,
            width / factor,
        ]);
    }
    call.said.detail = format!("by {factor}");
    call.result(shape, input.dtype)
}

/// `grid_sampler(input, grid, ...)`, `affine_grid_generator(theta, size)`
pub(super) fn grid(call: &mut Call<'_>) -> Outcome {
    if call.name.starts_with("affine") {
        let size = call.ints("size")?.unwrap_or_default();
        let mut shape: Vec<usize> = size
            .iter()
            .map(|&n| usize::try_from(n).unwrap_or(0))
            .collect();
        if shape.len() < 3 {
            return refuse("size needs 4 or 5 numbers");
        }
        let axes = shape.len() - 2;
        shape.remove(1);
        shape.push(axes);
        return call.result(shape, DType::Float32);
    }
    let (input, grid) = (call.tensor("input")?, call.tensor("grid")?);
    if input.rank() != grid.rank() || input.rank() < 4 || input.shape[0] != grid.shape[0] {
        return refuse(format!(
            "an input {:?} and a grid {:?} do not fit",
            input.shape, grid.shape
        ));
    }
    let mut shape = input.shape[..2].to_vec();
    shape.extend(&grid.shape[1..grid.rank() - 1]);
    call.result(shape, input.dtype)
}
