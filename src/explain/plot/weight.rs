//! A weight cut into panels.

use super::Arrangement;
use super::Figure;
use super::FigureOptions;
use super::FilterFigures;
use super::Panel;
use super::Scale;
use super::Shade;
use super::Subject;
use super::chosen;
use super::numbers;
use super::numbers::Numbers;
use super::numbers::check_count;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::error::Result;
use crate::explain::kind::Kind;
use crate::explain::layer::Layer;

/// Values in a row of a vector.
const VECTOR_ROW: usize = 64;

/// How the axes of a weight are drawn: filter, channel, and what of the kernel goes into a panel.
struct Axes {
    filters: usize,
    channels: usize,
    /// Flat distance from one filter, one channel to the next.
    strides: [usize; 2],
    /// Planes of a kernel (3-d), each with panels of its own.
    depth: usize,
    rows: usize,
    columns: usize,
    letters: [&'static str; 2],
}

impl Axes {
    /// Of a weight of any shape, in C order; `transposed` weights begin with their inputs.
    fn of(shape: &[usize], kind: Kind) -> Self {
        let letters = match kind {
            Kind::Embedding => ["t", "j"],
            Kind::Norm | Kind::BatchNorm => ["c", "i"],
            _ => ["o", "i"],
        };
        let size = |axis: usize| shape.get(axis).copied().unwrap_or(1);
        let kernel: &[usize] = shape.get(2..).unwrap_or_default();
        let numel: usize = kernel.iter().product();
        let (first, second) = (size(0), size(1));
        let strides = [second * numel, numel];
        let (rows, columns) = match *kernel {
            [.., rows, columns] => (rows, columns),
            [columns] => (1, columns),
            [] => (1, 1),
        };
        let depth = kernel.iter().rev().skip(2).product();
        let mut axes = Self {
            filters: first,
            channels: second,
            strides,
            depth,
            rows,
            columns,
            letters,
        };
        if matches!(kind, Kind::ConvTranspose(_)) {
            std::mem::swap(&mut axes.filters, &mut axes.channels);
            axes.strides.swap(0, 1);
        }
        axes
    }
}

/// The weight with what was chosen of it.
struct Chosen<'a> {
    numbers: Numbers<'a>,
    axes: Axes,
    /// In the order of drawing.
    filters: Vec<usize>,
    channels: Vec<usize>,
}

impl Chosen<'_> {
    /// One plane of one kernel.
    fn kernel(&self, filter: usize, channel: usize, plane: usize) -> Vec<f64> {
        let axes = &self.axes;
        let size = axes.rows * axes.columns;
        let start = filter * axes.strides[0] + channel * axes.strides[1] + plane * size;
        (start..start + size)
            .map(|at| self.numbers.at(at))
            .collect()
    }

    /// All that is drawn of one filter.
    fn values(&self, filter: usize) -> impl Iterator<Item = f64> + '_ {
        let planes =
            move |&channel: &usize| (0..self.axes.depth).map(move |plane| (channel, plane));
        let kernels = self.channels.iter().flat_map(planes);
        kernels.flat_map(move |(channel, plane)| self.kernel(filter, channel, plane))
    }
}

pub(super) fn figure(
    checkpoint: &Checkpoint,
    name: &str,
    options: &FigureOptions,
) -> Result<Figure> {
    let layer = Layer::of(checkpoint, name, &options.layer)?;
    // the name of a bias finds its layer, but it is the bias that is asked for
    let (tensor, kind) = match checkpoint.find_tensor(name) {
        Ok(tensor) if tensor.name != layer.weight.name && tensor.name.ends_with(name) => {
            (tensor, Kind::Other)
        }
        _ => (checkpoint.find_tensor(&layer.weight.name)?, layer.kind),
    };
    let convolution = layer.convolution.as_ref().filter(|_| kind != Kind::Other);
    numbers::check(tensor.dtype).map_err(|e| e.in_record(tensor.name.clone()))?;
    let shape = tensor.layout.shape().to_vec();
    if tensor.layout.numel() == 0 {
        return Err(
            Error::usage(format!("has the shape {shape:?}: nothing to draw"))
                .in_record(tensor.name.clone()),
        );
    }
    let mut axes = Axes::of(&shape, kind);
    if shape.len() < 2 {
        (axes.filters, axes.channels) = (1, shape.first().copied().unwrap_or(1));
        axes.strides = [axes.channels, 1];
    }
    let is_vector = shape.len() < 2;
    if is_vector && (options.filters.is_some() || options.channels.is_some() || options.norms) {
        return Err(Error::usage(format!(
            "{} has {} and so neither filters nor channels to choose from",
            tensor.name,
            if shape.is_empty() {
                "no axis"
            } else {
                "one axis"
            }
        )));
    }
    let view = checkpoint.view(tensor)?;
    let bytes = view.to_bytes()?;
    let groups = convolution.map_or(1, |c| c.groups.value);
    let mut chosen = Chosen {
        numbers: Numbers::new(&bytes, tensor.dtype, tensor.layout.numel())?,
        filters: chosen(options.filters.as_ref(), axes.filters, "filter")?,
        channels: chosen(options.channels.as_ref(), axes.channels, "channel")?,
        axes,
    };
    let kernel = chosen.axes.depth * chosen.axes.rows * chosen.axes.columns;
    let count = chosen.filters.len().checked_mul(chosen.channels.len());
    check_count(count.and_then(|count| count.checked_mul(kernel)))?;
    let of_filter = |&filter: &usize| FilterFigures::of(filter, chosen.values(filter));
    let mut figures: Vec<_> = chosen.filters.iter().map(of_filter).collect();
    if options.sort {
        figures.sort_by(|a, b| b.norm.total_cmp(&a.norm));
        chosen.filters = figures.iter().map(|filter| filter.index).collect();
    }
    let is_picture = convolution.is_some()
        && groups == 1
        && !matches!(kind, Kind::ConvTranspose(_))
        && chosen.axes.channels == 3
        && options.channels.is_none()
        && chosen.axes.depth == 1
        && shape.len() == 4;
    let (arrangement, panels, usual) = if options.norms {
        norms(&chosen, &mut figures)
    } else if is_vector {
        vector(&chosen)
    } else if is_picture && !options.apart {
        (Arrangement::Flow("o"), pictures(&chosen), Shade::Rgb)
    } else {
        cut(&chosen, shape.len(), kernel)
    };
    Ok(Figure {
        name: tensor.name.clone(),
        subject: if options.norms {
            Subject::Norms
        } else {
            Subject::Weight
        },
        kind: kind.name(),
        dtype: tensor.dtype,
        groups,
        scale: Scale::of(&panels, &figures, usual, options)?,
        of: chosen.axes.filters,
        shape,
        arrangement,
        panels,
        filters: figures,
        sorted: options.sort,
    })
}

type Cut = (Arrangement, Vec<Panel>, Shade);

/// One panel a filter, the three channels as red, green and blue.
fn pictures(chosen: &Chosen<'_>) -> Vec<Panel> {
    let panel = |(number, &filter): (usize, &usize)| Panel {
        filter: number,
        label: format!("o={filter}"),
        rows: chosen.axes.rows,
        columns: chosen.axes.columns,
        planes: 3,
        values: chosen.values(filter).collect(),
    };
    chosen.filters.iter().enumerate().map(panel).collect()
}

fn vector(chosen: &Chosen<'_>) -> Cut {
    let values: Vec<f64> = chosen.values(0).collect();
    let columns = values.len().min(VECTOR_ROW);
    let panel = Panel {
        filter: 0,
        label: String::new(),
        rows: values.len().div_ceil(columns),
        columns,
        planes: 1,
        values,
    };
    (Arrangement::Vector, vec![panel], Shade::Diverging)
}

/// The whole as one matrix: a row for each filter.
fn matrix(chosen: &Chosen<'_>, values: Vec<f64>) -> Cut {
    let [row, column] = chosen.axes.letters;
    let panel = Panel {
        filter: 0,
        label: String::new(),
        rows: chosen.filters.len(),
        columns: chosen.channels.len(),
        planes: 1,
        values,
    };
    let arrangement = Arrangement::Matrix(row, column, chosen.channels.clone());
    (arrangement, vec![panel], Shade::Diverging)
}

/// L2 norms of the kernels, a row for each filter; the filters' figures become those of their norms.
fn norms(chosen: &Chosen<'_>, figures: &mut [FilterFigures]) -> Cut {
    let mut values = Vec::with_capacity(chosen.filters.len() * chosen.channels.len());
    for (number, &filter) in chosen.filters.iter().enumerate() {
        let start = values.len();
        for &channel in &chosen.channels {
            let planes =
                (0..chosen.axes.depth).flat_map(|plane| chosen.kernel(filter, channel, plane));
            let kernel = FilterFigures::of(channel, planes);
            // a kernel that is not all finite has no norm
            let is_whole = kernel.odd == [0; 3];
            values.push(if is_whole { kernel.norm } else { f64::NAN });
        }
        figures[number] = FilterFigures::of(filter, values[start..].iter().copied());
    }
    let (arrangement, panels, _) = matrix(chosen, values);
    (arrangement, panels, Shade::Sequential)
}

/// What is neither picture nor vector.
fn cut(chosen: &Chosen<'_>, rank: usize, kernel: usize) -> Cut {
    let axes = &chosen.axes;
    if kernel == 1 {
        let values = chosen
            .filters
            .iter()
            .flat_map(|&filter| chosen.values(filter));
        return matrix(chosen, values.collect());
    }
    let flow = |letter, panels| (Arrangement::Flow(letter), panels, Shade::Diverging);
    if rank == 3 {
        let panel = |(number, &filter): (usize, &usize)| Panel {
            filter: number,
            label: format!("o={filter}"),
            rows: chosen.channels.len(),
            columns: axes.columns,
            planes: 1,
            values: chosen.values(filter).collect(),
        };
        return flow("o", chosen.filters.iter().enumerate().map(panel).collect());
    }
    let columns: Vec<(usize, usize)> = chosen
        .channels
        .iter()
        .flat_map(|&channel| (0..axes.depth).map(move |plane| (channel, plane)))
        .collect();
    let column_label = |(channel, plane): (usize, usize)| match axes.depth {
        1 => format!("i={channel}"),
        _ => format!("i={channel} z={plane}"),
    };
    let panel = |number: usize, at: (usize, usize), label: String| Panel {
        filter: number,
        label,
        rows: axes.rows,
        columns: axes.columns,
        planes: 1,
        values: chosen.kernel(chosen.filters[number], at.0, at.1),
    };
    let row_label = |number: usize| format!("o={}", chosen.filters[number]);
    match (chosen.filters.len(), columns.as_slice()) {
        (filters, &[only]) => {
            let panels = (0..filters).map(|number| panel(number, only, row_label(number)));
            flow("o", panels.collect())
        }
        (1, columns) => {
            let panels = columns.iter().map(|&at| panel(0, at, column_label(at)));
            flow("i", panels.collect())
        }
        (filters, columns) => {
            let row = |number: usize| {
                let panel = move |&at: &(usize, usize)| panel(number, at, row_label(number));
                columns.iter().map(panel)
            };
            let panels = (0..filters).flat_map(row).collect();
            let labels = columns.iter().map(|&at| column_label(at)).collect();
            (Arrangement::Table(labels), panels, Shade::Diverging)
        }
    }
}
