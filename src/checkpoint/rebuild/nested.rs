//! The rows of nested tensors: views of one buffer of values.

use crate::checkpoint::TensorEntry;
use crate::tensor::Layout;

/// Rows of a `torch.nested` tensor of strided layout: `width` sizes and strides for each, and where it begins.
/// `None` where they do not fit one another or the buffer.
pub(super) fn rows(
    values: &TensorEntry,
    width: usize,
    sizes: &[usize],
    strides: &[usize],
    offsets: &[usize],
) -> Option<Vec<TensorEntry>> {
    if width == 0
        || sizes.len() != strides.len()
        || Some(sizes.len()) != width.checked_mul(offsets.len())
    {
        return None;
    }
    let each = sizes.chunks(width).zip(strides.chunks(width)).zip(offsets);
    let rows = each.enumerate().map(|(number, ((size, stride), &offset))| {
        let offset = values.layout.storage_offset().checked_add(offset)?;
        row(
            values,
            number,
            Layout::new(size.to_vec(), stride.to_vec(), offset).ok()?,
        )
    });
    rows.collect()
}

/// Rows of a jagged tensor: the `i`-th is `values[offsets[i]:offsets[i + 1]]` along `axis`, or (with holes between the
/// rows) the first `lengths[i]` of these.
pub(super) fn windows(
    values: &TensorEntry,
    axis: usize,
    offsets: &[usize],
    lengths: Option<&[usize]>,
) -> Option<Vec<TensorEntry>> {
    let step = *values.layout.stride().get(axis)?;
    if lengths.is_some_and(|lengths| lengths.len() + 1 != offsets.len()) {
        return None;
    }
    let rows = offsets.windows(2).enumerate().map(|(number, ends)| {
        let mut shape = values.layout.shape().to_vec();
        shape[axis] = match lengths {
            Some(lengths) => lengths[number],
            None => ends[1].checked_sub(ends[0])?,
        };
        let skipped = ends[0].checked_mul(step)?;
        let offset = values.layout.storage_offset().checked_add(skipped)?;
        row(
            values,
            number,
            Layout::new(shape, values.layout.stride().to_vec(), offset).ok()?,
        )
    });
    rows.collect()
}

fn row(values: &TensorEntry, number: usize, layout: Layout) -> Option<TensorEntry> {
    // an empty row reaches nothing, wherever it begins
    (layout.extent() <= values.layout.extent()).then(|| TensorEntry {
        name: number.to_string(),
        layout,
        extra: serde_json::Map::new(),
        parts: Vec::new(),
        ..*values
    })
}
