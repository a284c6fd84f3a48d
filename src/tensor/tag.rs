//! Memory formats by name: `OHWI`, `HWIO`, `OIhw8i8o`, `ABcd8b8a`, `nChw16c`.
//!
//! A tag spells how the elements lie, from slowest to fastest. First comes every axis once; then, for blocked formats,
//! blocks such as `8i`: of axis i, eight elements that lie side by side. An axis that is cut into blocks is written in
//! upper case, where it counts the blocks; its size is padded with zeros up to a whole number of them. Of several
//! blocks of one axis (`4i16o4i`) the last one takes the lowest digits. So `OIhw8i8o` of a weight [O, I, 3, 3] is the
//! C-contiguous array [O/8, I/8, 3, 3, 8, 8] whose element [a, b, y, x, c, d] is the weight [8a + d, 8b + c, y, x].
//!
//! This is the grammar of oneDNN's `format_tag` (include/oneapi/dnnl/dnnl_types.h: "Memory format tag specification",
//! in the manual under "Understanding Memory Formats"); its position formula is that of `memory_desc_wrapper::off_v`
//! (src/common/memory_desc_wrapper.hpp). A tag without blocks may be written in either case (`OHWI`, TensorFlow's and
//! ONNX's way), and one with blocks all in upper case before them (`OIHW8i8o`, TVM's way).
//!
//! The letters are names, n c d h w for data and g o i d h w for weights, or a b c ... for the axes as they are counted.

use crate::error::{Error, Result};

/// Largest block, and largest product of the blocks of one axis: far beyond any that is in use.
const MOST_BLOCK: usize = 1 << 10;
/// Bytes written at a time.
const BUFFER: usize = 1 << 16;
/// Most blocks: oneDNN allows twelve.
const MOST_BLOCKS: usize = 12;

/// A parsed tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    text: String,
    /// Lower-case letters of the axes from slowest to fastest.
    outer: Vec<char>,
    /// Size and axis of each block, the last one fastest.
    blocks: Vec<(usize, char)>,
    family: Family,
}

/// What the letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Weights,
    Data,
    Counted,
}

impl std::str::FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        parse(text).map_err(|why| format!("{why}; layouts look like OHWI, HWIO, OIhw8i8o or acdb"))
    }
}

fn parse(text: &str) -> std::result::Result<Tag, String> {
    let text = text.trim();
    let start = text.find(|c: char| !c.is_ascii_alphabetic());
    let (axes, rest) = text.split_at(start.unwrap_or(text.len()));
    if axes.is_empty() {
        return Err("a layout starts with the letters of its axes".to_owned());
    }
    let outer: Vec<char> = axes.chars().map(|c| c.to_ascii_lowercase()).collect();
    if let Some(twice) = (1..outer.len()).find(|&i| outer[..i].contains(&outer[i])) {
        let letter = outer[twice];
        return Err(format!(
            "{letter:?} occurs twice; the size of a block stands before its letter, as in 8{letter}"
        ));
    }
    let family = family(&outer)?;
    let blocks = blocks(rest, &outer)?;
    let upper = |c: char| c.is_ascii_uppercase();
    let as_written = axes.chars().zip(&outer);
    let wrong = as_written
        .clone()
        .find(|&(c, axis)| !blocks.is_empty() && upper(c) != blocks.iter().any(|(_, b)| b == axis));
    if let Some((c, _)) = wrong.filter(|_| !axes.chars().all(upper)) {
        let spelled: String = as_written
            .map(|(_, &axis)| match blocks.iter().any(|&(_, b)| b == axis) {
                true => axis.to_ascii_uppercase(),
                false => axis,
            })
            .collect();
        return Err(format!(
            "{c:?}: upper case is for axes that are cut into blocks, here {spelled}{rest}"
        ));
    }
    Ok(Tag {
        text: text.to_owned(),
        outer,
        blocks,
        family,
    })
}

fn family(outer: &[char]) -> std::result::Result<Family, String> {
    let all = |letters: &str| outer.iter().all(|c| letters.contains(*c));
    let has = |letters: &str| letters.chars().all(|c| outer.contains(&c));
    let spatial = || match (
        outer.contains(&'d'),
        outer.contains(&'h'),
        outer.contains(&'w'),
    ) {
        (false, false, _) | (false, true, true) | (true, true, true) => Ok(()),
        _ => Err("kernels have the axes w, hw or dhw".to_owned()),
    };
    if all("goidhw") && has("oi") {
        return spatial().map(|()| Family::Weights);
    }
    if all("ncdhw") && has("nc") {
        return spatial().map(|()| Family::Data);
    }
    let counted = (0..outer.len())
        .all(|i| u8::try_from(i).is_ok_and(|i| outer.contains(&char::from(b'a' + i))));
    match counted && outer.len() <= MOST_BLOCKS {
        true => Ok(Family::Counted),
        false => Err(
            "the letters are o, i and d, h, w (g for groups), n, c and d, h, w, or a, b, c, ..."
                .to_owned(),
        ),
    }
}

fn blocks(text: &str, outer: &[char]) -> std::result::Result<Vec<(usize, char)>, String> {
    let mut blocks: Vec<(usize, char)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let size = rest[..digits]
            .parse()
            .ok()
            .filter(|size| (1..=MOST_BLOCK).contains(size));
        let letter = rest[digits..].chars().next();
        let (Some(size), Some(letter)) = (size, letter) else {
            return Err(format!("{rest:?} is no block, such as 8i"));
        };
        if !outer.contains(&letter) {
            return Err(format!("there is no axis {:?} to cut into blocks", letter));
        }
        blocks.push((size, letter));
        rest = &rest[digits + letter.len_utf8()..];
    }
    let product = |axis: char| {
        let sizes = blocks.iter().filter(|(_, b)| *b == axis);
        sizes.fold(1, |product: usize, (size, _)| product.saturating_mul(*size))
    };
    if blocks.len() > MOST_BLOCKS || outer.iter().any(|&axis| product(axis) > MOST_BLOCK) {
        return Err(format!("blocks of more than {MOST_BLOCK} elements"));
    }
    Ok(blocks)
}

impl Tag {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is a layout of data (n, c, ...), not of weights.
    pub fn is_data(&self) -> bool {
        self.family == Family::Data
    }

    /// Whether it is one for tensors with `rank` axes, or, with the groups as an axis of their own, for weights with
    /// that many.
    pub fn fits(&self, rank: usize) -> bool {
        match self.family {
            Family::Weights if self.outer.contains(&'g') => self.outer.len() == rank + 1,
            Family::Weights | Family::Data => self.outer.len() == rank,
            Family::Counted => self.outer.len() == rank || self.outer.len() == rank + 1,
        }
    }

    /// Whether, for a tensor with `rank` axes, it takes the groups apart as an axis of their own.
    pub fn has_groups(&self, rank: usize) -> bool {
        match self.family {
            Family::Weights => self.outer.contains(&'g'),
            Family::Data => false,
            Family::Counted => self.outer.len() == rank + 1,
        }
    }

    /// The same in oneDNN's two spellings, by names (where `letters`, the names of the tensor's axes, are known) and by
    /// counted axes.
    fn spelled(&self, letters: &[char]) -> [String; 2] {
        let canonical = |c: char, name: &dyn Fn(usize) -> char| {
            let axis = letters.iter().position(|&letter| letter == c);
            axis.map_or(c, name)
        };
        let spell = |name: &dyn Fn(usize) -> char| {
            let cut = |axis: &char| self.blocks.iter().any(|(_, b)| b == axis);
            let outer = self.outer.iter().map(|axis| {
                let c = canonical(*axis, name);
                if cut(axis) { c.to_ascii_uppercase() } else { c }
            });
            let mut text: String = outer.collect();
            for (size, axis) in &self.blocks {
                text += &format!("{size}{}", canonical(*axis, name));
            }
            text
        };
        [
            spell(&|axis| letters[axis]),
            spell(&|axis| u8::try_from(axis).map_or('?', |axis| char::from(b'a' + axis))),
        ]
    }
}

/// One digit of a position: `(index along axis / divide) % size`, times `stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// Axis, among [`Blocked::axes`].
    pub axis: usize,
    /// What the index is divided by, rounded down.
    pub divide: usize,
    /// Values that it takes.
    pub size: usize,
    /// Elements from one value to the next.
    pub stride: usize,
    /// Whether it is a block, not a whole axis or its blocks' number.
    pub is_block: bool,
}

/// A tensor in the layout that a [`Tag`] names: contiguous, blocks filled up with zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Names of the axes: those of the tensor, the groups taken apart as the first one where the tag has them.
    pub axes: Vec<char>,
    /// Sizes, likewise.
    pub dims: Vec<usize>,
    /// Sizes rounded up to whole blocks.
    pub padded: Vec<usize>,
    /// From slowest to fastest; their sizes are the shape of the array in this layout.
    pub digits: Vec<Digit>,
    /// Elements, padding included.
    pub numel: usize,
    /// oneDNN's spelling by names and by counted axes.
    pub spellings: [String; 2],
    /// Sizes of the tensor itself.
    shape: Vec<usize>,
}

impl Blocked {
    /// A tensor of `shape`, whose axes are called `letters` (o, i, d, h, w; or n, c, d, h, w), in the layout `tag`. Where
    /// the tag has the groups as an axis, the first axis is taken apart into `groups` times what is left.
    ///
    /// # Errors
    ///
    /// `Usage` where the tag is one for other tensors, or the groups do not divide the first axis; `Limit` where the
    /// padded size overflows.
    pub fn of(tag: &Tag, shape: &[usize], letters: &[char], groups: usize) -> Result<Self> {
        let grouped = tag.has_groups(shape.len());
        let mut axes = letters.to_vec();
        let mut dims = shape.to_vec();
        if grouped && !shape.is_empty() {
            if groups == 0 || !shape[0].is_multiple_of(groups) {
                let text = format!("{} filters cannot form {groups} groups", shape[0]);
                return Err(Error::usage(text));
            }
            axes.insert(0, 'g');
            dims.splice(..1, [groups, shape[0] / groups]);
        }
        // the axis of each letter: by name, or counted from a
        let names: Vec<char> = match tag.family {
            Family::Counted => (b'a'..).map(char::from).take(dims.len()).collect(),
            Family::Weights | Family::Data => axes.clone(),
        };
        let same = names.len() == tag.outer.len() && names.iter().all(|c| tag.outer.contains(c));
        if axes.len() != dims.len() || !same {
            return Err(misfit(tag, shape, letters));
        }
        let axis_of = |letter: char| names.iter().position(|&name| name == letter).unwrap_or(0);
        let mut digits: Vec<Digit> = Vec::new();
        // from the fastest on
        let mut taken = vec![1; dims.len()];
        for &(size, letter) in tag.blocks.iter().rev() {
            let axis = axis_of(letter);
            digits.push(digit(axis, taken[axis], size, true));
            taken[axis] *= size;
        }
        let counts: Vec<usize> = dims
            .iter()
            .zip(&taken)
            .map(|(n, block)| n.div_ceil(*block))
            .collect();
        for &letter in tag.outer.iter().rev() {
            let axis = axis_of(letter);
            digits.push(digit(axis, taken[axis], counts[axis], false));
        }
        let mut stride: usize = 1;
        for digit in &mut digits {
            digit.stride = stride;
            stride = stride.checked_mul(digit.size).ok_or_else(|| {
                Error::limit(format!("{} of shape {shape:?} overflows", tag.text))
            })?;
        }
        digits.reverse();
        Ok(Self {
            padded: counts
                .iter()
                .zip(&taken)
                .map(|(count, block)| count * block)
                .collect(),
            spellings: match tag.family {
                Family::Counted => {
                    let named = Tag {
                        outer: tag.outer.iter().map(|&c| axes[axis_of(c)]).collect(),
                        blocks: tag
                            .blocks
                            .iter()
                            .map(|&(n, c)| (n, axes[axis_of(c)]))
                            .collect(),
                        ..tag.clone()
                    };
                    named.spelled(&axes)
                }
                Family::Weights | Family::Data => tag.spelled(&axes),
            },
            shape: shape.to_vec(),
            axes,
            dims,
            digits,
            numel: stride,
        })
    }

    /// Sizes of the array in this layout, slowest first.
    pub fn array_shape(&self) -> Vec<usize> {
        self.digits.iter().map(|digit| digit.size).collect()
    }

    /// Elements that are there only to fill up blocks.
    pub fn padding(&self) -> usize {
        let elements: usize = self.dims.iter().product();
        self.numel - elements
    }

    /// Where the element at `index` of the tensor goes; `None` outside its shape.
    pub fn position(&self, index: &[usize]) -> Option<usize> {
        let inside =
            index.len() == self.shape.len() && index.iter().zip(&self.shape).all(|(i, n)| i < n);
        if !inside {
            return None;
        }
        let mut split = index.to_vec();
        if self.dims.len() > index.len() {
            split.splice(..1, [index[0] / self.dims[1], index[0] % self.dims[1]]);
        }
        let digits = self.digits.iter();
        Some(
            digits
                .map(|d| split[d.axis] / d.divide % d.size * d.stride)
                .sum(),
        )
    }

    /// The index of the tensor's element at `position`; `None` in the padding.
    pub fn index(&self, position: usize) -> Option<Vec<usize>> {
        let mut split = vec![0; self.dims.len()];
        for digit in &self.digits {
            split[digit.axis] += position / digit.stride % digit.size * digit.divide;
        }
        if position >= self.numel || split.iter().zip(&self.dims).any(|(i, n)| i >= n) {
            return None;
        }
        if self.dims.len() > self.shape.len() {
            let first = split[0] * self.dims[1] + split[1];
            split.splice(..2, [first]);
        }
        Some(split)
    }

    /// Writes `elements` (C order, `size` bytes each) in this layout, the padding as zeros.
    pub fn write(
        &self,
        elements: &[u8],
        size: usize,
        out: &mut dyn std::io::Write,
    ) -> std::io::Result<()> {
        let zeros = vec![0; size];
        let mut counters = vec![0; self.digits.len()];
        let mut split = vec![0; self.dims.len()];
        let mut bytes = Vec::with_capacity(BUFFER + size);
        for _ in 0..self.numel {
            let axes = || split.iter().zip(&self.dims);
            let element = match axes().all(|(i, n)| i < n) {
                true => {
                    let flat = axes().fold(0, |flat, (i, n)| flat * n + i);
                    elements.get(flat * size..(flat + 1) * size)
                }
                false => None,
            };
            bytes.extend_from_slice(element.unwrap_or(&zeros));
            if bytes.len() >= BUFFER {
                out.write_all(&bytes)?;
                bytes.clear();
            }
            for (digit, counter) in self.digits.iter().zip(&mut counters).rev() {
                *counter += 1;
                split[digit.axis] += digit.divide;
                if *counter < digit.size {
                    break;
                }
                split[digit.axis] -= digit.size * digit.divide;
                *counter = 0;
            }
        }
        out.write_all(&bytes)
    }
}

fn digit(axis: usize, divide: usize, size: usize, is_block: bool) -> Digit {
    Digit {
        axis,
        divide,
        size,
        stride: 1,
        is_block,
    }
}

fn misfit(tag: &Tag, shape: &[usize], letters: &[char]) -> Error {
    let axes: String = letters.iter().collect();
    let text = format!(
        "{} is a layout for other tensors: this one has shape {shape:?}, its axes are {}",
        tag.text,
        axes.to_ascii_uppercase()
    );
    Error::usage(text)
}

#[cfg(test)]
mod tests {
    use super::{Blocked, Tag};

    const OIHW: [char; 4] = ['o', 'i', 'h', 'w'];

    fn blocked(tag: &str, shape: &[usize], groups: usize) -> Blocked {
        let tag: Tag = tag.parse().unwrap();
        Blocked::of(&tag, shape, &OIHW, groups).unwrap()
    }

    #[test]
    fn blocks_follow_onednns_formula() {
        // by hand: the example of oneDNN's manual, nChw8c, with weights' names
        let found = blocked("OIhw8i8o", &[10, 3, 3, 2], 1);
        assert_eq!(found.array_shape(), [2, 1, 3, 2, 8, 8]);
        assert_eq!(found.padded, [16, 8, 3, 2]);
        assert_eq!(found.numel, 768);
        assert_eq!(found.padding(), 768 - 180);
        assert_eq!(
            found.position(&[9, 2, 1, 1]),
            Some(384 + 3 * 64 + 2 * 8 + 1)
        );
        assert_eq!(found.spellings, ["OIhw8i8o", "ABcd8b8a"]);
        // i = 4 * 3 + 1: the last 4i takes i % 4, the first the rest
        let found = blocked("OIhw4i16o4i", &[32, 32, 1, 1], 1);
        assert_eq!(found.position(&[5, 13, 0, 0]), Some(3 * 64 + 5 * 4 + 1));
        assert_eq!(found.spellings[1], "ABcd4b16a4b");
    }

    #[test]
    fn groups_are_the_first_axis_taken_apart() {
        let found = blocked("gOIhw8i8o", &[6, 4, 3, 3], 2);
        assert_eq!(found.dims, [2, 3, 4, 3, 3]);
        assert_eq!(found.position(&[4, 1, 0, 2]), Some(576 + 2 * 64 + 8 + 1));
        assert_eq!(found.spellings, ["gOIhw8i8o", "aBCde8c8b"]);
        let found = blocked("Goihw8g", &[12, 1, 3, 3], 12);
        assert_eq!(found.array_shape(), [2, 1, 1, 3, 3, 8]);
        assert_eq!(found.position(&[9, 0, 1, 0]), Some(72 + 3 * 8 + 1));
        assert_eq!(found.index(72 + 3 * 8 + 1), Some(vec![9, 0, 1, 0]));
        assert_eq!(
            found.index(72 + 3 * 8 + 4),
            None,
            "beyond the twelfth group"
        );
    }

    #[test]
    fn both_spellings_are_the_same_layout() {
        let shape = [20, 5, 3, 2];
        for (names, counted) in [
            ("OHWI", "acdb"),
            ("HWIO", "cdba"),
            ("iohw", "bacd"),
            ("OIhw8i8o", "ABcd8b8a"),
            ("OIHW16i16o", "ABcd16b16a"),
            ("Ohwi8o", "Acdb8a"),
            ("OIhw4i16o4i", "ABcd4b16a4b"),
        ] {
            let (a, b) = (blocked(names, &shape, 1), blocked(counted, &shape, 1));
            assert_eq!(a.digits, b.digits, "{names}");
            assert_eq!(a.spellings, b.spellings, "{names}");
            for position in 0..a.numel {
                if let Some(index) = a.index(position) {
                    assert_eq!(a.position(&index), Some(position));
                }
            }
            let there = (0..a.numel).filter(|&p| a.index(p).is_some()).count();
            assert_eq!(there, 600, "{names}");
        }
    }

    #[test]
    fn transposed_convolutions_have_their_input_channels_first() {
        let tag: Tag = "OHWI".parse().unwrap();
        let found = Blocked::of(&tag, &[4, 6, 2, 2], &['i', 'o', 'h', 'w'], 1).unwrap();
        assert_eq!(found.array_shape(), [6, 2, 2, 4]);
    }

    #[test]
    fn what_is_no_tag_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "letters"),
            ("OO", "twice"),
            ("OIhw8", "block"),
            ("OIhw0i", "block"),
            ("OIhw99999i", "block"),
            ("OIhw32i64i", "blocks"),
            ("OIhw8x", "axis"),
            ("oihw8i", "oIhw8i"),
            ("OIHw8i8o", "OIhw8i8o"),
            ("OIh", "hw"),
            ("xyz", "letters"),
            ("NCHWc", "twice"),
            ("acd", "letters"),
        ] {
            let error = text.parse::<Tag>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let refused = |tag: &str, shape: &[usize]| {
            let tag: Tag = tag.parse().unwrap();
            Blocked::of(&tag, shape, &OIHW[..shape.len()], 3).is_err()
        };
        assert!(refused("OIhw8i8o", &[4, 4]));
        assert!(refused("nchw", &[4, 4, 1, 1]));
        assert!(refused("goihw", &[4, 4, 1, 1]), "3 groups of 4 filters");
        assert!(refused("oIhw1024i", &[usize::MAX / 2, 3, 1, 1]));
    }
}
