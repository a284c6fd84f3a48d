//! The bytes of a filter as they lie in the file, with the weights that they are.

use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};
use crate::tensor::Element;

/// Bytes to a line.
const LINE: usize = 8;
/// Most elements that are dumped.
const MOST: usize = 1 << 20;

/// Bytes and values.
#[derive(Clone, Debug)]
pub struct Dump {
    /// What the lines' offsets count from the start of.
    pub counted_in: CountedIn,
    /// The elements' fixed indices: `None` where an axis runs.
    pub fixed: Vec<Option<usize>>,
    /// In the order of memory.
    pub lines: Vec<Line>,
    /// Elements in all of them.
    pub elements: usize,
}

/// What offsets are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedIn {
    /// The file.
    File,
    /// The storage, which does not lie in the file in the clear.
    Storage,
}

/// Bytes that lie side by side.
#[derive(Clone, Debug)]
pub struct Line {
    /// Offset of the first byte.
    pub offset: u64,
    /// The bytes as they lie there.
    pub bytes: Vec<u8>,
    /// The elements that they are.
    pub weights: Vec<Weight>,
}

/// One element in a line.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Its index (the first one, where several indices share the element).
    pub index: Vec<usize>,
    /// Position in C order.
    pub flat: usize,
    /// How many indices share the element.
    pub shared: usize,
    /// The value.
    pub value: Element,
}

impl Dump {
    /// The part of `tensor` where every `Some` of `fixed` (one per axis) is the index along that axis.
    pub fn of(
        checkpoint: &Checkpoint,
        tensor: &TensorEntry,
        fixed: Vec<Option<usize>>,
    ) -> Result<Self> {
        let layout = &tensor.layout;
        let bits = tensor.dtype.bits();
        let mut indices = indices(layout.shape(), &fixed)?;
        let offset = |index: &[usize]| layout.offset_of(index).unwrap_or(0);
        // stable, so that the first of several indices that share an element stays the first
        indices.sort_by_key(|index| offset(index));
        let view = checkpoint.view(tensor)?;
        let storage = tensor
            .storage
            .map(|id| checkpoint.storage_bytes(id))
            .transpose()?;
        let Some(storage) = storage else {
            return Err(Error::unsupported(
                "has no storage of its own whose bytes could be shown",
            ));
        };
        // storage offsets count from the tensor's first element, of which the place in the file is known
        let first = (layout.storage_offset() * bits / 8) as u64;
        let base = checkpoint.file_offset(tensor);
        let mut dump = Self {
            counted_in: base.map_or(CountedIn::Storage, |_| CountedIn::File),
            fixed,
            lines: Vec::new(),
            elements: indices.len(),
        };
        let mut end = None;
        for index in indices {
            let element = offset(&index);
            let Some(value) = view.element(&index) else {
                return Err(Error::unsupported(
                    "elements of this type cannot be shown one by one",
                ));
            };
            let (start, stop) = (element * bits / 8, ((element + 1) * bits).div_ceil(8));
            let weight = Weight {
                flat: layout.ravel(&index).unwrap_or(0),
                index,
                shared: 1,
                value,
            };
            match dump.lines.last_mut() {
                // the same element again
                Some(line) if end == Some((element, stop)) => {
                    if let Some(last) = line.weights.last_mut() {
                        last.shared += 1;
                    }
                    continue;
                }
                Some(line) if end.is_some_and(|(_, end)| end >= start) && fits(line, end, stop) => {
                    let known = end.map_or(start, |(_, end)| end);
                    line.bytes
                        .extend_from_slice(storage.get(known..stop).unwrap_or_default());
                    line.weights.push(weight);
                }
                _ => dump.lines.push(Line {
                    offset: base.unwrap_or(0) + start as u64 - base.map_or(0, |_| first),
                    bytes: storage.get(start..stop).unwrap_or_default().to_vec(),
                    weights: vec![weight],
                }),
            }
            end = Some((element, stop));
        }
        Ok(dump)
    }
}

/// Whether the bytes up to `stop` still go into a line whose bytes end at `end`.
fn fits(line: &Line, end: Option<(usize, usize)>, stop: usize) -> bool {
    let more = end.map_or(0, |(_, end)| stop.saturating_sub(end));
    line.bytes.len() + more <= LINE
}

/// All indices, in C order, that `fixed` leaves.
fn indices(shape: &[usize], fixed: &[Option<usize>]) -> Result<Vec<Vec<usize>>> {
    let counts = shape
        .iter()
        .zip(fixed)
        .map(|(&n, f)| if f.is_some() { 1 } else { n });
    let counts: Vec<usize> = counts.collect();
    let total = counts
        .iter()
        .try_fold(1, |total: usize, &n| total.checked_mul(n));
    let Some(total) = total.filter(|&total| total <= MOST) else {
        return Err(Error::limit(format!("more than {MOST} elements to show"))
            .with_hint("choose a smaller part with --filter and --channel"));
    };
    let index_of = |mut number: usize| {
        let mut index = vec![0; counts.len()];
        for axis in (0..counts.len()).rev() {
            index[axis] = fixed[axis].unwrap_or(number % counts[axis]);
            number /= counts[axis];
        }
        index
    };
    Ok((0..total).map(index_of).collect())
}
