//! Which values fit: as many as a budget of bytes allows, exact, from the start of each tensor.
//!
//! The idea: small tensors whole, and what is left shared evenly among the large ones (as water fills vessels: the
//! largest share `s` with `sum(min(size, s)) <= budget`), each share cut to whole filters.

use std::io::Write;

use super::Embedded;
use super::Report;
use super::tensors::flat;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;

/// Fewest elements of a filter that does not fit that are worth embedding.
const FEWEST: usize = 16;

impl Report {
    /// Embeds as many values as `budget` bytes hold, in place of those that were: of each tensor its first elements in
    /// C order, in its own element type, little-endian, packed to whole bytes, conjugation and negation resolved; one
    /// tensor after the other.
    pub fn embed(&mut self, checkpoint: &Checkpoint, budget: u64) {
        let entries = flat(checkpoint);
        let sizes: Vec<u64> = entries
            .iter()
            .zip(&self.tensors)
            .map(|((entry, _), info)| {
                let readable = entry.storage.is_some() && info.unread.is_none();
                let nbytes = entry.dtype.bytes_of(entry.layout.numel());
                if readable {
                    nbytes.unwrap_or(usize::MAX) as u64
                } else {
                    0
                }
            })
            .collect();
        let share = share(&sizes, budget);
        self.values.clear();
        let mut embedded = Embedded {
            elements: 0,
            whole: 0,
            begun: 0,
            none: 0,
            ..self.embedded.clone()
        };
        for ((entry, _), (info, &size)) in entries.iter().zip(self.tensors.iter_mut().zip(&sizes)) {
            let numel = entry.layout.numel();
            let wanted = match size {
                0 => 0,
                size if size <= share => numel,
                _ => fitting(entry, share),
            };
            info.embedded = take(checkpoint, entry, wanted, &mut self.values);
            match info.embedded {
                0 if numel == 0 || entry.layout_name().is_some() => {}
                0 => embedded.none += 1,
                count if count == numel => embedded.whole += 1,
                _ => embedded.begun += 1,
            }
            embedded.elements += info.embedded as u64;
        }
        self.embedded = embedded;
    }
}

/// The largest share with `sum(min(size, share)) <= budget`.
fn share(sizes: &[u64], budget: u64) -> u64 {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    let mut left = budget;
    for (number, &size) in sorted.iter().enumerate() {
        let others = (sorted.len() - number) as u64;
        if size.saturating_mul(others) > left {
            return left / others;
        }
        left -= size;
    }
    u64::MAX
}

/// Elements of whole filters (slices along the first axis) that `share` bytes hold; where not even one fits, elements.
fn fitting(entry: &TensorEntry, share: u64) -> usize {
    let share = usize::try_from(share).unwrap_or(usize::MAX);
    let elements = entry.dtype.elements_in(share).min(entry.layout.numel());
    let of_filter = match entry.layout.shape() {
        [filters, _, ..] if *filters > 0 => entry.layout.numel() / filters,
        _ => 1,
    };
    let whole = elements - elements % of_filter.max(1);
    match whole {
        0 if elements >= FEWEST => elements,
        whole => whole,
    }
}

/// Reads the first `count` elements; how many were read: all, or none where that fails.
fn take(checkpoint: &Checkpoint, entry: &TensorEntry, count: usize, values: &mut Vec<u8>) -> usize {
    let at = values.len();
    let (Some(len), Ok(view)) = (entry.dtype.bytes_of(count), checkpoint.view(entry)) else {
        return 0;
    };
    let mut prefix = Prefix { values, left: len };
    if len > 0 {
        // it stops when there is enough, which is no failure
        let _ = view.write_logical(&mut prefix);
    }
    if prefix.left > 0 {
        values.truncate(at);
        return 0;
    }
    count
}

/// Takes the first bytes and refuses the rest.
struct Prefix<'a> {
    values: &'a mut Vec<u8>,
    left: usize,
}

impl Write for Prefix<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.left);
        self.values.extend_from_slice(&bytes[..taken]);
        self.left -= taken;
        if self.left == 0 {
            return Err(std::io::Error::other("enough"));
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn small_ones_whole_and_the_rest_evenly() {
        assert_eq!(share(&[10, 100, 1000], 2000), u64::MAX);
        assert_eq!(share(&[10, 100, 1000], 1110), u64::MAX);
        assert_eq!(share(&[10, 100, 1000], 1109), 999);
        assert_eq!(share(&[10, 100, 1000], 110), 50);
        assert_eq!(share(&[10, 100, 1000], 0), 0);
        assert_eq!(share(&[], 0), u64::MAX);
        assert_eq!(share(&[u64::MAX, u64::MAX], 7), 3);
    }
}
