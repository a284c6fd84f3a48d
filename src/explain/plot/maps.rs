//! Feature maps: the output of a layer.

use super::Arrangement;
use super::Figure;
use super::FigureOptions;
use super::FilterFigures;
use super::Panel;
use super::Scale;
use super::Shade;
use super::Subject;
use super::chosen;
use super::numbers::Numbers;
use super::numbers::check_count;
use crate::error::Error;
use crate::error::Result;
use crate::tensor::TensorView;

pub(super) fn figure(
    name: &str,
    output: &TensorView<'_>,
    image: usize,
    options: &FigureOptions,
) -> Result<Figure> {
    let shape = output.layout().shape();
    let (images, maps, rows, columns) = match *shape {
        [n, o, h, w] => (n, o, h, w),
        [o, h, w] => (1, o, h, w),
        _ => {
            return Err(Error::unsupported(format!(
                "an output of shape {shape:?} is not drawn; [N, O, H, W] and [O, H, W] are"
            )));
        }
    };
    if image >= images {
        return Err(Error::usage(format!(
            "--image {image}: there are {images}, counted from 0"
        )));
    }
    let filters = chosen(options.filters.as_ref(), maps, "filter")?;
    check_count(filters.len().checked_mul(rows * columns))?;
    let bytes = output.to_bytes()?;
    let numbers = Numbers::new(&bytes, output.dtype(), output.layout().numel())?;
    let mut drawn: Vec<(FilterFigures, Vec<f64>)> = Vec::with_capacity(filters.len());
    for filter in filters {
        let start = (image * maps + filter) * rows * columns;
        let values: Vec<f64> = (start..start + rows * columns)
            .map(|at| numbers.at(at))
            .collect();
        drawn.push((FilterFigures::of(filter, values.iter().copied()), values));
    }
    if options.sort {
        drawn.sort_by(|a, b| b.0.norm.total_cmp(&a.0.norm));
    }
    let (figures, values): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
    let panel = |(filter, values): (usize, Vec<f64>)| Panel {
        filter,
        label: format!("o={}", figures[filter].index),
        rows,
        columns,
        planes: 1,
        values,
    };
    let panels: Vec<_> = values.into_iter().enumerate().map(panel).collect();
    Ok(Figure {
        name: name.to_owned(),
        subject: Subject::Maps,
        kind: None,
        dtype: output.dtype(),
        shape: shape.to_vec(),
        groups: 1,
        arrangement: Arrangement::Flow("o"),
        scale: Scale::of(&panels, &figures, Shade::Sequential, options)?,
        panels,
        filters: figures,
        of: maps,
        sorted: options.sort,
    })
}
