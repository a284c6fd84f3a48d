//! A figure in the terminal: two cells to a character by half blocks, each with a colour of its own; where there are no
//! colours, two characters to a cell, a sign and a shade.

use std::io::Result;
use std::io::Write;

use super::super::wrap;
use super::About;
use super::Colors;
use super::Drawn;
use super::Look;
use super::color_of;
use super::map_of;
use super::notes;
use crate::explain::Figure;
use crate::explain::plot::Arrangement;
use crate::explain::plot::Cell;
use crate::explain::plot::Cells;
use crate::explain::plot::Panel;
use crate::explain::plot::Shade;
use crate::picture::ColorMap;
use crate::picture::Rgb;
use crate::render::Paint;

/// Lines of panels, unless more are asked for.
const SCREEN: usize = 40;
/// Characters of the scale.
const BAR: usize = 32;
/// Magnitudes, after a sign.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
/// Least first.
const RAMP: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];

/// One place on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Letter(char),
    /// The upper and the lower half.
    Halves(Option<Rgb>, Option<Rgb>),
}

const BLANK: Slot = Slot::Letter(' ');

/// Lines of places, as many as are drawn on.
struct Canvas {
    look: Look,
    shade: Shade,
    lines: Vec<Vec<Slot>>,
}

/// Prints a figure; says what of it was drawn.
pub fn text(
    out: &mut dyn Write,
    paint: Paint,
    figure: &Figure,
    about: &About,
    look: &Look,
) -> Result<Drawn> {
    let width = look.width.max(20);
    writeln!(out, "{}", paint.name(notes::title(figure, about)))?;
    for line in wrap::narrow(&notes::summary(figure, about), width - 2) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    let mut canvas = Canvas {
        look: *look,
        shade: figure.scale.shade,
        lines: Vec::new(),
    };
    let drawn = match &figure.arrangement {
        Arrangement::Flow(_) => canvas.flow(figure),
        Arrangement::Table(columns) => canvas.table(figure, columns),
        Arrangement::Matrix(..) | Arrangement::Vector => canvas.matrix(figure),
    };
    canvas.gap();
    canvas.legend(figure);
    canvas.write(out)?;
    for note in notes::notes(figure, &drawn)
        .iter()
        .chain(&canvas.key(figure))
    {
        for line in wrap::narrow(note, width - 2) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(drawn)
}

impl Canvas {
    fn is_colored(&self) -> bool {
        self.look.colors != Colors::None && !self.look.ascii
    }

    /// Characters that a cell is wide, and cells to a line's height.
    fn cell(&self) -> (usize, usize) {
        if self.is_colored() { (1, 2) } else { (2, 1) }
    }

    /// Characters and lines of a panel.
    fn extent(&self, panel: &Panel, [rows, columns]: [usize; 2], scale: usize) -> (usize, usize) {
        let (wide, high) = self.cell();
        (
            panel.columns.div_ceil(columns) * scale * wide,
            (panel.rows.div_ceil(rows) * scale).div_ceil(high),
        )
    }

    fn slot(&mut self, x: usize, line: usize) -> &mut Slot {
        if self.lines.len() <= line {
            self.lines.resize(line + 1, Vec::new());
        }
        let slots = &mut self.lines[line];
        if slots.len() <= x {
            slots.resize(x + 1, BLANK);
        }
        &mut slots[x]
    }

    fn put(&mut self, x: usize, line: usize, text: &str) {
        for (number, letter) in text.chars().enumerate() {
            *self.slot(x + number, line) = Slot::Letter(letter);
        }
    }

    /// An empty line below everything.
    fn gap(&mut self) {
        self.lines.push(Vec::new());
    }

    fn flow(&mut self, figure: &Figure) -> Drawn {
        let Some(first) = figure.panels.first() else {
            return nothing();
        };
        let all = figure.panels.len();
        let count = all.min(self.look.most.unwrap_or(usize::MAX));
        let indent = 2;
        let room = self.look.width.saturating_sub(indent).max(8);
        let label = figure
            .panels
            .iter()
            .map(|panel| panel.label.chars().count())
            .max()
            .unwrap_or(0);
        let across = |width: usize| ((room + 2) / (width.max(label) + 2)).max(1);
        let lines = |width: usize, height: usize| count.div_ceil(across(width)) * (height + 2) - 1;
        let fits =
            |(width, height): (usize, usize)| width <= room && lines(width, height) <= SCREEN;
        // as large as all of them fit; not so small that nothing is seen
        let larger = (2..=4).rev().find(|&scale| {
            let extent = self.extent(first, [1, 1], scale);
            fits(extent) && (extent.0 <= 24 || count == 1)
        });
        let scale = larger.unwrap_or(1);
        let smallest = |factor: usize| self.extent(first, [factor, factor], 1).0 <= room.min(20);
        let factor = (1..).find(|&factor| {
            let extent = self.extent(first, [factor, factor], scale);
            extent.0 <= room && (fits(extent) || smallest(factor))
        });
        let factor = factor.unwrap_or(1);
        let (width, height) = self.extent(first, [factor, factor], scale);
        let per_row = across(width);
        let rows = match self.look.most {
            Some(_) => count.div_ceil(per_row),
            None => count
                .div_ceil(per_row)
                .min(((SCREEN + 1) / (height + 2)).max(1)),
        };
        let shown = count.min(rows * per_row);
        let start = self.lines.len();
        for (number, panel) in figure.panels.iter().take(shown).enumerate() {
            let x = indent + number % per_row * (width.max(label) + 2);
            let line = start + number / per_row * (height + 2);
            self.put(x, line, &panel.label);
            self.panel(x, line + 1, &figure.cells(panel, [factor, factor]), scale);
        }
        Drawn {
            filters: shown,
            channels: 1,
            factor: [factor, factor],
        }
    }

    fn table(&mut self, figure: &Figure, columns: &[String]) -> Drawn {
        let Some(first) = figure.panels.first() else {
            return nothing();
        };
        let left = 2 + widest(figure) + 1;
        let room = self.look.width.saturating_sub(left).max(8);
        let filters = figure
            .filters
            .len()
            .min(self.look.most.unwrap_or(usize::MAX));
        let (_, halves) = self.cell();
        // at least half a line between them
        let step = |scale: usize| {
            let (width, _) = self.extent(first, [1, 1], scale);
            (width + 1, first.rows * scale / halves + 1)
        };
        let fits = |scale: usize| {
            let (across, down) = step(scale);
            columns.len() * across <= room && filters * down <= SCREEN
        };
        let scale = (2..=4).rev().find(|&scale| fits(scale)).unwrap_or(1);
        let (across, down) = step(scale);
        let shown_columns = columns.len().min((room / across).max(1));
        let shown_rows = match self.look.most {
            Some(_) => filters,
            None => filters.min((SCREEN / down).max(1)),
        };
        let mut free = 0;
        for (column, label) in columns.iter().take(shown_columns).enumerate() {
            let x = left + column * across;
            if x >= free && x + label.len() <= self.look.width {
                self.put(x, 0, label);
                free = x + label.len() + 1;
            }
        }
        for row in 0..shown_rows {
            let line = 1 + row * down;
            for column in 0..shown_columns {
                let panel = &figure.panels[row * columns.len() + column];
                if column == 0 {
                    self.put(left - 1 - panel.label.chars().count(), line, &panel.label);
                }
                let cells = figure.cells(panel, [1, 1]);
                self.panel(left + column * across, line, &cells, scale);
            }
        }
        Drawn {
            filters: shown_rows,
            channels: shown_columns,
            factor: [1, 1],
        }
    }

    fn matrix(&mut self, figure: &Figure) -> Drawn {
        let Some(panel) = figure.panels.first() else {
            return nothing();
        };
        let is_vector = figure.arrangement == Arrangement::Vector;
        let left = 2 + widest(figure) + 1;
        let room = self.look.width.saturating_sub(left).max(8);
        let fits = |rows: usize, columns: usize, scale: usize| {
            let (width, height) = self.extent(panel, [rows, columns], scale);
            [height <= SCREEN || is_vector, width <= room]
        };
        let scale = (2..=4).rev().find(|&scale| fits(1, 1, scale) == [true; 2]);
        let scale = scale.unwrap_or(1);
        let rows = (1..).find(|&rows| fits(rows, 1, scale)[0]).unwrap_or(1);
        let columns = (1..).find(|&columns| fits(1, columns, scale)[1]);
        let factor = [rows, columns.unwrap_or(1)];
        let cells = figure.cells(panel, factor);
        let (wide, halves) = self.cell();
        let start = match &figure.arrangement {
            Arrangement::Matrix(_, letter, columns) => {
                let mut free = 0;
                for column in 0..cells.columns {
                    let label = format!("{letter}={}", columns[column * factor[1]]);
                    let x = left + column * scale * wide;
                    if x >= free && x + label.len() <= self.look.width && column % 5 == 0 {
                        self.put(x, 0, &label);
                        free = x + label.len() + 1;
                    }
                }
                1
            }
            _ => 0,
        };
        let mut free = start;
        for row in 0..cells.rows {
            let line = start + row * scale / halves;
            let label = match &figure.arrangement {
                Arrangement::Matrix(letter, ..) => {
                    format!("{letter}={}", figure.filters[row * factor[0]].index)
                }
                _ => (row * factor[0] * panel.columns).to_string(),
            };
            let is_start = row * scale % halves == 0;
            if line >= free && is_start && (row % 4 == 0 || scale * 2 > halves) {
                self.put(left - 1 - label.len(), line, &label);
                free = line + 1;
            }
        }
        self.panel(left, start, &cells, scale);
        Drawn {
            filters: figure.filters.len(),
            channels: 1,
            factor,
        }
    }

    /// Draws cells with their upper left corner at (x, line), each `scale` times as large.
    fn panel(&mut self, x: usize, line: usize, cells: &Cells, scale: usize) {
        let (colored, shade) = (self.is_colored(), self.shade);
        for (number, &cell) in cells.cells.iter().enumerate() {
            let (row, column) = (number / cells.columns, number % cells.columns);
            for (down, across) in (0..scale * scale).map(|at| (at / scale, at % scale)) {
                let (y, x) = (
                    row * scale + down,
                    x + (column * scale + across) * if colored { 1 } else { 2 },
                );
                if !colored {
                    let [sign, block] = shaded(cell, shade);
                    *self.slot(x, line + y) = Slot::Letter(sign);
                    *self.slot(x + 1, line + y) = Slot::Letter(block);
                    continue;
                }
                let Some(color) = color_of(cell, shade) else {
                    continue;
                };
                let slot = self.slot(x, line + y / 2);
                let (top, bottom) = match *slot {
                    Slot::Halves(top, bottom) => (top, bottom),
                    Slot::Letter(_) => (None, None),
                };
                *slot = match y % 2 {
                    0 => Slot::Halves(Some(color), bottom),
                    _ => Slot::Halves(top, Some(color)),
                };
            }
        }
    }

    /// The scale with its numbers, in a line.
    fn legend(&mut self, figure: &Figure) {
        let line = self.lines.len();
        let [low, zero, high] = notes::ends(&figure.scale);
        let mut x = 2;
        self.put(x, line, &low);
        x += low.chars().count() + 1;
        let (per_cell, _) = self.cell();
        let count = match (self.is_colored(), self.shade) {
            (true, _) => BAR,
            (false, Shade::Diverging) => 9,
            (false, _) => RAMP.len(),
        };
        for number in 0..count {
            let at = number as f32 / (count - 1) as f32;
            let cell = match self.shade {
                Shade::Diverging => Cell::At(2.0 * at - 1.0),
                Shade::Rgb => Cell::Rgb([at; 3]),
                Shade::Sequential | Shade::Grey => Cell::At(at),
            };
            let column = x + number * per_cell;
            if self.is_colored() {
                let color = color_of(cell, self.shade);
                *self.slot(column, line) = Slot::Halves(color, color);
            } else {
                let [sign, block] = shaded(cell, self.shade);
                *self.slot(column, line) = Slot::Letter(sign);
                *self.slot(column + 1, line) = Slot::Letter(block);
            }
        }
        let width = count * per_cell;
        if !zero.is_empty() {
            // below, where it does not hide the middle
            self.put(
                x + width / 2 - usize::from(self.is_colored()),
                line + 1,
                &zero,
            );
        }
        self.put(x + width + 1, line, &high);
    }

    /// How the marks are to be read that need a word.
    fn key(&self, figure: &Figure) -> Vec<String> {
        let mut key = Vec::new();
        if !self.is_colored() && figure.scale.shade == Shade::Rgb {
            key.push("without colours: the mean of the three channels; --apart shows each".into());
        }
        if figure.odd() != [0; 3] {
            key.push(match self.is_colored() {
                true => "what is not finite is magenta".into(),
                false => "?? stands for NaN, +! and -! for infinities".into(),
            });
        }
        key
    }

    fn write(&self, out: &mut dyn Write) -> Result<()> {
        for line in &self.lines {
            let end = line
                .iter()
                .rposition(|&slot| slot != BLANK)
                .map_or(0, |at| at + 1);
            let mut state = (None, None);
            for &slot in &line[..end] {
                let (letter, front, back) = match slot {
                    Slot::Letter(letter) => (letter, None, None),
                    Slot::Halves(None, None) => (' ', None, None),
                    // one colour as a blank: seamless in every font
                    Slot::Halves(Some(top), Some(bottom)) if top == bottom => {
                        (' ', None, Some(top))
                    }
                    Slot::Halves(Some(top), bottom) => ('▀', Some(top), bottom),
                    Slot::Halves(None, bottom) => ('▄', bottom, None),
                };
                if state != (front, back) {
                    self.switch(out, front, back)?;
                    state = (front, back);
                }
                write!(out, "{letter}")?;
            }
            if state != (None, None) {
                write!(out, "\u{1b}[0m")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn switch(&self, out: &mut dyn Write, front: Option<Rgb>, back: Option<Rgb>) -> Result<()> {
        write!(out, "\u{1b}[0")?;
        for (code, color) in [(38, front), (48, back)] {
            let Some(color) = color else { continue };
            match self.look.colors {
                Colors::Indexed => write!(out, ";{code};5;{}", ColorMap::of_256(color))?,
                Colors::True | Colors::None => {
                    let [r, g, b] = color;
                    write!(out, ";{code};2;{r};{g};{b}")?;
                }
            }
        }
        write!(out, "m")
    }
}

fn nothing() -> Drawn {
    Drawn {
        filters: 0,
        channels: 0,
        factor: [1, 1],
    }
}

/// Characters of the widest row label.
fn widest(figure: &Figure) -> usize {
    match &figure.arrangement {
        Arrangement::Vector => figure.shape.iter().product::<usize>().to_string().len(),
        _ => {
            let largest = figure.filters.iter().map(|filter| filter.index).max();
            2 + largest.unwrap_or(0).to_string().len()
        }
    }
}

/// A sign and a block of one of five shades; what has no sign, twice one of ten characters.
fn shaded(cell: Cell, shade: Shade) -> [char; 2] {
    let block = |at: f32| SHADES[((at * 4.0).ceil() as usize).min(4)];
    let ramp = |at: f32| [RAMP[((at * 10.0) as usize).min(9)]; 2];
    match cell {
        Cell::At(at) if map_of(shade) == ColorMap::Diverging => {
            // what is next to nothing has no sign
            if at.abs() < 1.0 / 16.0 {
                return [' ', ' '];
            }
            [if at < 0.0 { '-' } else { '+' }, block(at.abs())]
        }
        Cell::At(at) => ramp(at),
        Cell::Rgb(parts) => ramp(parts.iter().sum::<f32>() / 3.0),
        Cell::Nan => ['?', '?'],
        Cell::Infinite => ['+', '!'],
        Cell::NegativeInfinite => ['-', '!'],
        Cell::Absent => [' ', ' '],
    }
}
