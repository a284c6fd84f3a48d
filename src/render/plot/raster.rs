//! A figure as pixels: title, panels with their labels, the scale with its numbers, and what else one has to know.

use super::super::wrap;
use super::About;
use super::Drawing;
use super::Drawn;
use super::color_of;
use super::map_of;
use super::notes;
use crate::explain::Figure;
use crate::explain::plot::Arrangement;
use crate::explain::plot::Cell;
use crate::explain::plot::Cells;
use crate::explain::plot::Panel;
use crate::explain::plot::Scale;
use crate::explain::plot::Shade;
use crate::picture::Raster;
use crate::picture::Rgb;
use crate::picture::TEXT_HEIGHT;
use crate::picture::TEXT_WIDTH;
use crate::picture::Weight;

const PAPER: Rgb = [255; 3];
pub(super) const INK: Rgb = [34, 34, 38];
pub(super) const PALE: Rgb = [104, 104, 112];
pub(super) const EDGE: Rgb = [196, 196, 202];
pub(super) const MARGIN: usize = 24;
/// Pixels that the panels are fitted into where they can be, and that they may take at most, on each side.
const USUAL: usize = 880;
const MOST: usize = 4096;
/// The narrowest page: room for the words.
const NARROWEST: usize = 480;
const BAR: (usize, usize) = (280, 14);

/// Where the panels go.
struct Plan {
    /// Rows and columns of values that become one cell.
    factor: [usize; 2],
    /// Pixels of a cell.
    cell: usize,
    /// Cells of a panel.
    size: (usize, usize),
    /// Panels in a row, rows.
    grid: (usize, usize),
    /// Panels drawn at most.
    shown: usize,
    gap: usize,
    /// Pixels above each row of panels, for labels.
    above: usize,
    /// Pixels left of all of them.
    left: usize,
}

impl Plan {
    fn step(&self) -> (usize, usize) {
        (
            self.size.0 * self.cell + self.gap,
            self.size.1 * self.cell + self.gap + self.above,
        )
    }

    /// Pixels of all panels with their labels.
    fn extent(&self) -> (usize, usize) {
        let (across, down) = self.step();
        let top = if self.above == 0 && self.left > 0 {
            TEXT_HEIGHT + 2
        } else {
            0
        };
        (
            self.left + self.grid.0 * across - self.gap,
            top + self.grid.1 * down - self.gap,
        )
    }
}

/// Draws a figure; at most `most` filters of it.
pub fn raster(figure: &Figure, about: &About, most: Option<usize>) -> Drawing {
    let plan = plan(figure, most.unwrap_or(usize::MAX).max(1));
    let drawn = drawn(figure, &plan);
    let (width, height) = plan.extent();
    let mut page = Page::new(width, height, figure, about, &drawn);
    let (x, y) = (MARGIN, page.top);
    match &figure.arrangement {
        Arrangement::Flow(_) => flow(&mut page.raster, figure, &plan, (x, y)),
        Arrangement::Table(columns) => table(&mut page.raster, figure, &plan, columns, (x, y)),
        Arrangement::Matrix(..) | Arrangement::Vector => {
            matrix(&mut page.raster, figure, &plan, (x, y));
        }
    }
    page.legend(&figure.scale);
    Drawing {
        raster: page.raster,
        drawn,
    }
}

fn drawn(figure: &Figure, plan: &Plan) -> Drawn {
    let (filters, channels) = match figure.arrangement {
        Arrangement::Flow(_) => (plan.shown, 1),
        Arrangement::Table(_) => (plan.grid.1, plan.grid.0),
        Arrangement::Matrix(..) | Arrangement::Vector => (figure.filters.len(), 1),
    };
    Drawn {
        filters,
        channels,
        factor: plan.factor,
    }
}

fn plan(figure: &Figure, most: usize) -> Plan {
    let Some(panel) = figure.panels.first() else {
        return Plan {
            factor: [1, 1],
            cell: 1,
            size: (1, 1),
            grid: (1, 1),
            shown: 0,
            gap: 0,
            above: 0,
            left: 0,
        };
    };
    match &figure.arrangement {
        Arrangement::Flow(_) => plan_flow(panel, figure.panels.len().min(most)),
        Arrangement::Table(columns) => plan_table(figure, panel, columns.len(), most),
        Arrangement::Matrix(..) | Arrangement::Vector => plan_matrix(figure, panel),
    }
}

fn plan_flow(panel: &Panel, count: usize) -> Plan {
    const GAP: usize = 10;
    let (rows, columns) = (panel.rows, panel.columns);
    // as wide as high, on the whole
    let across = (count as f64 * rows as f64 / columns as f64).sqrt().ceil() as usize;
    let across = across.clamp(1, count).max(count.min(4));
    let largest = match count {
        1 => 480,
        2..=4 => 210,
        5..=16 => 144,
        _ => 96,
    };
    let room = (USUAL / across).saturating_sub(GAP);
    let cell = (room / columns).min(largest / rows.max(columns)).max(1);
    // what is still too wide is made smaller, down to a few pixels a panel
    let limit = (MOST / across).saturating_sub(GAP).max(4);
    let factor = (rows.max(columns) * cell).div_ceil(limit).max(1);
    let size = (columns.div_ceil(factor), rows.div_ceil(factor));
    let label = TEXT_WIDTH * format!("o={count}").len();
    let above = if size.0 * cell + GAP >= label {
        TEXT_HEIGHT
    } else {
        0
    };
    let down = size.1 * cell + GAP + above;
    let fits = (2 * MOST / down).max(1) * across;
    let shown = count.min(fits);
    Plan {
        factor: [factor, factor],
        cell,
        size,
        grid: (across.min(shown), shown.div_ceil(across)),
        shown,
        gap: GAP,
        above,
        left: 0,
    }
}

fn plan_table(figure: &Figure, panel: &Panel, columns: usize, most: usize) -> Plan {
    let filters = figure.filters.len().min(most);
    // small panels on a grid of lines, larger ones apart
    let gap = |cell: usize| match cell * panel.columns.max(panel.rows) {
        0..10 => 1,
        10..24 => 2,
        _ => 5,
    };
    let fits = |cell: usize, count: usize, size: usize, room: usize| {
        count * (size * cell + gap(cell)) <= room
    };
    let cell = (2..=16).rev().find(|&cell| {
        let wide = fits(cell, columns, panel.columns, USUAL);
        // few channels, many filters: rather high than too small to see
        wide && (cell <= 3 || fits(cell, filters, panel.rows, USUAL * 3 / 2))
    });
    let cell = cell.unwrap_or(1);
    let most = |size: usize| (MOST / (size * cell + gap(cell))).max(1);
    let grid = (
        columns.min(most(panel.columns)),
        filters.min(most(panel.rows)),
    );
    Plan {
        factor: [1, 1],
        cell,
        size: (panel.columns, panel.rows),
        grid,
        shown: grid.0 * grid.1,
        gap: gap(cell),
        above: 0,
        left: left_labels(figure),
    }
}

fn plan_matrix(figure: &Figure, panel: &Panel) -> Plan {
    let factor = [panel.rows, panel.columns].map(|size| size.div_ceil(MOST / 2));
    let size = (
        panel.columns.div_ceil(factor[1]),
        panel.rows.div_ceil(factor[0]),
    );
    let cell = (USUAL / size.0).min(USUAL / size.1).clamp(1, 24);
    Plan {
        factor,
        cell,
        size,
        grid: (1, 1),
        shown: 1,
        gap: 0,
        above: 0,
        left: left_labels(figure),
    }
}

/// Pixels for the labels of rows.
fn left_labels(figure: &Figure) -> usize {
    let widest = match &figure.arrangement {
        Arrangement::Vector => figure.shape.iter().product::<usize>().to_string().len(),
        _ => {
            let largest = figure.filters.iter().map(|filter| filter.index).max();
            2 + largest.unwrap_or(0).to_string().len()
        }
    };
    widest * TEXT_WIDTH + 8
}

/// A raster with everything around the panels already drawn.
struct Page {
    raster: Raster,
    /// Where the panels begin.
    top: usize,
    /// Where the scale begins.
    bottom: usize,
}

impl Page {
    fn new(width: usize, height: usize, figure: &Figure, about: &About, drawn: &Drawn) -> Self {
        let width = width.max(NARROWEST);
        let letters = width / TEXT_WIDTH;
        let title = wrap::narrow(&notes::title(figure, about), letters);
        let summary = wrap::narrow(&notes::summary(figure, about), letters);
        let mut notes = notes::notes(figure, drawn);
        if figure.odd() != [0; 3] {
            notes.push("magenta with a cross: NaN; with a plus or a minus: infinities".into());
        }
        let lines: Vec<String> = notes
            .iter()
            .flat_map(|note| wrap::narrow(note, letters))
            .collect();
        let line = TEXT_HEIGHT + 2;
        let top = MARGIN + line * (title.len() + summary.len()) + 14;
        let bottom = top + height + 18;
        let legend = bar_height(&figure.scale) + TEXT_HEIGHT + 10;
        let all = bottom + legend + line * lines.len() + MARGIN - 4;
        let mut raster = Raster::new(width + 2 * MARGIN, all, PAPER);
        let mut y = MARGIN;
        let blocks = [(title, Weight::Bold, INK), (summary, Weight::Regular, PALE)];
        for (block, weight, color) in blocks {
            for text in block {
                raster.text(MARGIN, y, &text, weight, color);
                y += line;
            }
        }
        for (number, text) in lines.iter().enumerate() {
            raster.text(
                MARGIN,
                bottom + legend + number * line,
                text,
                Weight::Regular,
                PALE,
            );
        }
        Self {
            raster,
            top,
            bottom,
        }
    }

    /// The scale with its numbers.
    fn legend(&mut self, scale: &Scale) {
        let (width, height) = (BAR.0, bar_height(scale));
        let (x, y) = (MARGIN, self.bottom);
        for dx in 0..width {
            let at = dx as f64 / (width - 1) as f64;
            match scale.shade {
                Shade::Rgb => {
                    // a bar for each channel, the two others being zero
                    for channel in 0..3 {
                        let mut color = [128; 3];
                        color[channel] = (at * 255.0).round() as u8;
                        self.raster
                            .fill(x + dx, y + channel * BAR.1, 1, BAR.1, color);
                    }
                }
                Shade::Diverging => {
                    let color = map_of(scale.shade).color(2.0 * at - 1.0);
                    self.raster.fill(x + dx, y, 1, height, color);
                }
                Shade::Sequential | Shade::Grey => {
                    self.raster
                        .fill(x + dx, y, 1, height, map_of(scale.shade).color(at));
                }
            }
        }
        self.raster.frame(x, y, width, height, EDGE);
        if scale.shade == Shade::Rgb {
            for (channel, name) in ["i=0 red", "i=1 green", "i=2 blue"].iter().enumerate() {
                let y = (y + channel * BAR.1).saturating_sub(1);
                self.raster
                    .text(x + width + 8, y, name, Weight::Regular, PALE);
            }
        }
        let [low, zero, high] = notes::ends(scale);
        let below = y + height + 1;
        let middle = x + width / 2 - TEXT_WIDTH / 2;
        let right = (x + width).saturating_sub(high.len() * TEXT_WIDTH);
        for (x, text) in [(x, low), (middle, zero), (right, high)] {
            self.raster.text(x, below, &text, Weight::Regular, INK);
        }
    }
}

/// Pixels of the scale's colours.
fn bar_height(scale: &Scale) -> usize {
    if scale.shade == Shade::Rgb {
        3 * BAR.1
    } else {
        BAR.1
    }
}

fn flow(raster: &mut Raster, figure: &Figure, plan: &Plan, (x, y): (usize, usize)) {
    let (across, down) = plan.step();
    for (number, panel) in figure.panels.iter().take(plan.shown).enumerate() {
        let left = x + number % plan.grid.0 * across;
        let top = y + number / plan.grid.0 * down;
        if plan.above > 0 {
            let short = panel.label.split(' ').next_back().unwrap_or_default();
            let fits = panel.label.len() * TEXT_WIDTH < across;
            let label = if fits { &panel.label } else { short };
            raster.text(left, top, label, Weight::Regular, PALE);
        }
        draw_panel(raster, figure, panel, plan, (left, top + plan.above));
    }
}

fn table(
    raster: &mut Raster,
    figure: &Figure,
    plan: &Plan,
    columns: &[String],
    (x, y): (usize, usize),
) {
    let (across, down) = plan.step();
    let (x, top) = (x + plan.left, y + TEXT_HEIGHT + 2);
    let widest = columns.iter().map(String::len).max().unwrap_or(0);
    for column in labelled(plan.grid.0, across, (widest + 1) * TEXT_WIDTH) {
        raster.text(
            x + column * across,
            y,
            &columns[column],
            Weight::Regular,
            PALE,
        );
    }
    let every = labelled(plan.grid.1, down, TEXT_HEIGHT);
    if plan.gap <= 2 {
        // lines between the panels, on which light ones are seen
        let (width, height) = (
            plan.grid.0 * across + plan.gap,
            plan.grid.1 * down + plan.gap,
        );
        raster.fill(x - plan.gap, top - plan.gap, width, height, EDGE);
    }
    for row in 0..plan.grid.1 {
        for column in 0..plan.grid.0 {
            let panel = &figure.panels[row * columns.len() + column];
            let place = (x + column * across, top + row * down);
            draw_panel(raster, figure, panel, plan, place);
            if column == 0 && every.contains(&row) {
                let middle = place.1 + (plan.size.1 * plan.cell) / 2;
                let at = middle.saturating_sub(TEXT_HEIGHT / 2);
                row_label(raster, &panel.label, plan, x, at);
            }
        }
    }
}

fn matrix(raster: &mut Raster, figure: &Figure, plan: &Plan, (x, y): (usize, usize)) {
    let Some(panel) = figure.panels.first() else {
        return;
    };
    let (x, top) = (x + plan.left, y + TEXT_HEIGHT + 2);
    draw_panel(raster, figure, panel, plan, (x, top));
    let (columns, rows) = plan.size;
    let column_label = |column: usize| match &figure.arrangement {
        Arrangement::Matrix(_, letter, columns) => {
            format!("{letter}={}", columns[column * plan.factor[1]])
        }
        _ => String::new(),
    };
    let widest = (0..columns)
        .map(|column| column_label(column).len())
        .max()
        .unwrap_or(0);
    if widest > 0 {
        for column in labelled(columns, plan.cell, (widest + 1) * TEXT_WIDTH) {
            raster.text(
                x + column * plan.cell,
                y,
                &column_label(column),
                Weight::Regular,
                PALE,
            );
        }
    }
    for row in labelled(rows, plan.cell, TEXT_HEIGHT) {
        let middle = top + row * plan.cell + plan.cell / 2;
        let label = match &figure.arrangement {
            Arrangement::Matrix(letter, ..) => {
                format!("{letter}={}", figure.filters[row * plan.factor[0]].index)
            }
            _ => (row * plan.factor[0] * panel.columns).to_string(),
        };
        row_label(
            raster,
            &label,
            plan,
            x,
            middle.saturating_sub(TEXT_HEIGHT / 2),
        );
    }
}

/// Right-aligned before `x`.
fn row_label(raster: &mut Raster, label: &str, plan: &Plan, x: usize, y: usize) {
    let width = (label.chars().count() * TEXT_WIDTH + 6).min(plan.left);
    raster.text(x - width, y, label, Weight::Regular, PALE);
}

/// Which of `count` things, `step` pixels apart, get a label of `size` pixels: every one, or every 2nd, 5th, 10th, ...
fn labelled(count: usize, step: usize, size: usize) -> Vec<usize> {
    let mut every = 1;
    for factor in [2, 5, 10].into_iter().cycle() {
        if every * step >= size || every > count {
            break;
        }
        every = match factor {
            2 => every * 2,
            5 => every / 2 * 5,
            _ => every * 2,
        };
    }
    (0..count).step_by(every.max(1)).collect()
}

fn draw_panel(
    raster: &mut Raster,
    figure: &Figure,
    panel: &Panel,
    plan: &Plan,
    (x, y): (usize, usize),
) {
    let Cells {
        rows,
        columns,
        cells,
    } = figure.cells(panel, plan.factor);
    let size = plan.cell;
    for (number, &cell) in cells.iter().enumerate() {
        let Some(color) = color_of(cell, figure.scale.shade) else {
            continue;
        };
        let (left, top) = (x + number % columns * size, y + number / columns * size);
        raster.fill(left, top, size, size, color);
        mark(raster, cell, (left, top), size);
    }
    // light colours must not run into the paper; below a few pixels the edge would hide them
    if plan.gap > 2 || plan.gap == 0 {
        raster.frame(x - 1, y - 1, columns * size + 2, rows * size + 2, EDGE);
    }
}

/// What is not finite is marked besides its colour: a cross for NaN, a plus, a minus; a dot where there is no room.
fn mark(raster: &mut Raster, cell: Cell, (x, y): (usize, usize), size: usize) {
    let ink = [0; 3];
    let (middle, inner) = (size / 2, size.saturating_sub(2));
    match cell {
        Cell::At(_) | Cell::Rgb(_) | Cell::Absent => {}
        _ if size < 5 => {
            if size > 2 {
                raster.set(x + middle, y + middle, ink);
            }
        }
        Cell::Nan => {
            for at in 1..size - 1 {
                raster.set(x + at, y + at, ink);
                raster.set(x + size - 1 - at, y + at, ink);
            }
        }
        Cell::Infinite | Cell::NegativeInfinite => {
            raster.fill(x + 1, y + middle, inner, 1, ink);
            if cell == Cell::Infinite {
                raster.fill(x + middle, y + 1, 1, inner, ink);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::labelled;

    #[test]
    fn labels_keep_their_distance() {
        assert_eq!(labelled(4, 20, 16), [0, 1, 2, 3]);
        assert_eq!(labelled(12, 6, 16), [0, 5, 10]);
        assert_eq!(labelled(45, 1, 16), [0, 20, 40]);
        assert_eq!(labelled(3, 1, 160), [0]);
    }
}
