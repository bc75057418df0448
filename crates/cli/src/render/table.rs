//! Aligned columns without boxes.

use crate::{Error, Paint, Terminal, Tone};

/// The space between columns.
const GAP: &str = "  ";

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) align: Align,
    /// Whether it may be left out on a narrow terminal.
    pub(crate) optional: bool,
}

impl Column {
    pub(crate) const fn left(title: &'static str) -> Self {
        Column { title, align: Align::Left, optional: false }
    }

    pub(crate) const fn right(title: &'static str) -> Self {
        Column { title, align: Align::Right, optional: false }
    }

    pub(crate) const fn optional(self) -> Self {
        Column { optional: true, ..self }
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Cell { text: text.into(), tone: Tone::Plain }
    }

    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Cell { text: text.into(), tone }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// The cell padded to `width`; no spaces follow the last one of a row.
    fn padded(&self, width: usize, align: Align, last: bool) -> String {
        let space = " ".repeat(width.saturating_sub(self.width()));
        let painted = Paint(self.tone, &self.text);
        match align {
            Align::Right => format!("{space}{painted}"),
            Align::Left if last => painted.to_string(),
            Align::Left => format!("{painted}{space}"),
        }
    }
}

/// Rows below titles.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Table { columns: columns.into(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints the table; nothing when it has no rows.
    pub(crate) fn print(&self, terminal: &mut Terminal) -> Result<(), Error> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let widths: Vec<usize> = (0..self.columns.len()).map(|index| self.width(index)).collect();
        let kept = self.kept(&widths, terminal.width);
        let titles: Vec<Cell> =
            self.columns.iter().map(|column| Cell::toned(Tone::Faint, column.title)).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (place, &index) in kept.iter().enumerate() {
                let last = place + 1 == kept.len();
                line.push_str(&row[index].padded(widths[index], self.columns[index].align, last));
                if !last {
                    line.push_str(GAP);
                }
            }
            terminal.line(line.trim_end())?;
        }
        Ok(())
    }

    fn width(&self, index: usize) -> usize {
        let title = self.columns[index].title.chars().count();
        self.rows.iter().map(|row| row[index].width()).fold(title, usize::max)
    }

    /// The columns to print: empty ones never, optional ones only where there is room.
    fn kept(&self, widths: &[usize], room: Option<usize>) -> Vec<usize> {
        let filled = |index: &usize| self.rows.iter().any(|row| !row[*index].text.is_empty());
        let mut kept: Vec<usize> = (0..self.columns.len()).filter(filled).collect();
        let Some(room) = room else { return kept };
        let needed = |kept: &[usize]| {
            kept.iter().map(|&index| widths[index]).sum::<usize>()
                + GAP.len() * kept.len().saturating_sub(1)
        };
        while needed(&kept) > room {
            match kept.iter().rposition(|&index| self.columns[index].optional) {
                Some(place) => drop(kept.remove(place)),
                None => break,
            }
        }
        kept
    }
}
