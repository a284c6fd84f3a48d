//! Pictures of which input pixels one output pixel reads.

use std::io::{Result, Write};

use super::super::super::paint::Paint;
use super::super::text::{LABEL, WIDTH, line};
use crate::explain::Convolution;
use crate::explain::Padding;

/// Rows and columns of a picture.
const DRAWN: usize = 9;

/// The kernel along the last two axes, as pictures draw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) before: [usize; 2],
    pub(super) after: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Rows and columns of the image that are drawn.
    pub(super) image: [usize; 2],
    pub(super) is_line: bool,
}

impl Plan {
    pub(super) fn of(conv: &Convolution) -> Self {
        let hyper = &conv.hyper;
        let is_line = conv.kernel.len() == 1;
        // the last two axes; of a one-dimensional layer a single row
        let pick = |values: &[usize], one: usize| match values {
            [.., a, b] => [*a, *b],
            [a] => [one, *a],
            [] => [one, one],
        };
        let (kernel, dilation) = (pick(&conv.kernel, 1), pick(&hyper.dilation.value, 1));
        let reach = [0, 1].map(|a| dilation[a] * kernel[a].saturating_sub(1));
        let (before, after) = match &hyper.padding.value {
            Padding::Valid => ([0; 2], [0; 2]),
            Padding::Same => (reach.map(|r| r / 2), reach.map(|r| r - r / 2)),
            Padding::Sizes(sizes) => (pick(sizes, 0), pick(sizes, 0)),
        };
        let mut plan = Self {
            kernel,
            stride: pick(&hyper.stride.value, 1),
            before,
            after,
            dilation,
            image: [1, 1],
            is_line,
        };
        plan.image = plan.fitting();
        plan
    }

    /// An image in which the window of the next output pixel still has room.
    pub(super) fn fitting(&self) -> [usize; 2] {
        [0, 1].map(|a| match (a, self.is_line) {
            (0, true) => 1,
            _ => {
                let reach = self.dilation[a] * self.kernel[a].saturating_sub(1) + 1;
                (reach + self.stride[a])
                    .saturating_sub(self.before[a])
                    .max(3)
            }
        })
    }

    /// The window of output pixel `o`: `#` read, `.` not; in the padding `+` read, `:` not.
    pub(super) fn picture(&self, o: [usize; 2]) -> Vec<String> {
        let is_tap = |axis: usize, at: i64| {
            let from = at + self.before[axis] as i64 - (o[axis] * self.stride[axis]) as i64;
            let step = self.dilation[axis] as i64;
            from >= 0 && from % step == 0 && from / step < self.kernel[axis] as i64
        };
        let range = |axis: usize| {
            let start = -(self.before[axis].min(DRAWN) as i64);
            let end = (self.image[axis] + self.after[axis]).min(DRAWN) as i64;
            start..end.max(start + 1)
        };
        let is_image = |axis: usize, at: i64| at >= 0 && at < self.image[axis] as i64;
        range(0)
            .take(DRAWN + 1)
            .map(|y| {
                let cell = |x: i64| match (
                    is_tap(0, y) && is_tap(1, x),
                    is_image(0, y) && is_image(1, x),
                ) {
                    (true, true) => "# ",
                    (false, true) => ". ",
                    (true, false) => "+ ",
                    (false, false) => ": ",
                };
                range(1).take(DRAWN + 1).map(cell).collect()
            })
            .collect()
    }

    pub(super) fn is_cut(&self) -> bool {
        (0..2).any(|a| self.before[a] + self.image[a] + self.after[a] > DRAWN + 1)
    }
}

/// Pictures side by side, each under its title.
pub(super) fn beside(
    out: &mut dyn Write,
    pictures: &[(String, Vec<String>)],
    paint: Paint,
) -> Result<()> {
    let mut rows: Vec<&[(String, Vec<String>)]> = Vec::new();
    let width = |(title, lines): &(String, Vec<String>)| {
        let widest = lines.iter().map(String::len).max().unwrap_or(0);
        widest.max(title.len()) + 3
    };
    let (mut start, mut used) = (0, 0);
    for (i, picture) in pictures.iter().enumerate() {
        if i > start && used + width(picture) > WIDTH - LABEL + 3 {
            rows.push(&pictures[start..i]);
            (start, used) = (i, 0);
        }
        used += width(picture);
    }
    rows.push(&pictures[start..]);
    for row in rows {
        let heads: String = row
            .iter()
            .map(|p| format!("{:<w$}", p.0, w = width(p)))
            .collect();
        line(out, &paint.dim(heads.trim_end()).to_string())?;
        let height = row.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
        for i in 0..height {
            let cells = row
                .iter()
                .map(|p| format!("{:<w$}", p.1.get(i).map_or("", |l| l), w = width(p)));
            let cells: String = cells.collect();
            line(out, &coloured(cells.trim_end(), paint))?;
        }
    }
    Ok(())
}

/// Taps stand out, in the padding in another colour.
pub(super) fn coloured(text: &str, paint: Paint) -> String {
    let cell = |c: char| match c {
        '#' => paint.key(c).to_string(),
        '+' => paint.negative(c).to_string(),
        '.' | ':' => paint.dim(c).to_string(),
        c => c.to_string(),
    };
    match paint.is_on() {
        true => text.chars().map(cell).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use crate::explain::Convolution;
    use crate::explain::LayerOptions;
    use crate::explain::Padding;

    fn plan(kernel: usize, stride: usize, padding: usize, dilation: usize) -> Plan {
        let options = LayerOptions {
            stride: Some(vec![stride]),
            padding: Some(Padding::Sizes(vec![padding])),
            dilation: Some(vec![dilation]),
            ..LayerOptions::default()
        };
        Plan::of(&Convolution::of(false, &[1, 1, kernel, kernel], None, None, &options).unwrap())
    }

    #[test]
    fn pictures_show_taps_gaps_and_padding() {
        assert_eq!(plan(2, 1, 0, 1).picture([0, 1])[..2], [". # # ", ". # # "]);
        let padded = plan(3, 1, 1, 1).picture([0, 0]);
        assert_eq!(padded[..3], ["+ + + : : ", "+ # # . : ", "+ # # . : "]);
        assert_eq!(
            plan(2, 2, 0, 2).picture([0, 0])[..3],
            ["# . # . . ", ". . . . . ", "# . # . . "]
        );
        for kernel in 1..13 {
            for (stride, padding, dilation) in [(1, 0, 1), (3, 5, 2), (2, 9, 7)] {
                let picture = plan(kernel, stride, padding, dilation).picture([1, 1]);
                assert!(
                    picture.len() <= 10 && picture.iter().all(|row| row.len() <= 20),
                    "{picture:?}"
                );
            }
        }
    }
}
