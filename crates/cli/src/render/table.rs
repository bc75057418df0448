//! Aligned columns without boxes.

use crate::{Error, Paint, Terminal, Tone};

/// The space between columns.
const GAP: &str = "  ";
/// What a column that may be cut has at least.
const CUT_WIDTH_MIN: usize = 20;

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
    /// Whether its text may be cut on a narrow terminal; for one column of a table.
    pub(crate) cut: bool,
}

impl Column {
    pub(crate) const fn left(title: &'static str) -> Self {
        Column { title, align: Align::Left, optional: false, cut: false }
    }

    pub(crate) const fn right(title: &'static str) -> Self {
        Column { title, align: Align::Right, optional: false, cut: false }
    }

    pub(crate) const fn optional(self) -> Self {
        Column { optional: true, ..self }
    }

    pub(crate) const fn cut(self) -> Self {
        Column { cut: true, ..self }
    }
}

/// One cell: one line, whatever it is made from.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Cell::toned(Tone::Plain, text)
    }

    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Cell { text: one_line(text.into()), tone }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// The cell padded or cut to `width`; no spaces follow the last one of a row.
    fn padded(&self, width: usize, align: Align, last: bool) -> String {
        let space = " ".repeat(width.saturating_sub(self.width()));
        let text = match self.width() > width {
            true => shortened(&self.text, width),
            false => self.text.clone(),
        };
        // The end of a line that is empty to the eye is empty.
        let painted = if text.is_empty() { text } else { Paint(self.tone, text).to_string() };
        match align {
            Align::Right => format!("{space}{painted}"),
            Align::Left if last => painted,
            Align::Left => format!("{painted}{space}"),
        }
    }
}

/// The first line of a text; a mark stands for the others.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut lines = text.lines().map(|line| line.replace(char::is_control, " "));
    let first = lines.next().unwrap_or_default();
    match lines.any(|line| !line.trim().is_empty()) {
        true => format!("{first} …"),
        false => first,
    }
}

fn shortened(text: &str, width: usize) -> String {
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
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
        let mut widths: Vec<usize> =
            (0..self.columns.len()).map(|index| self.width(index)).collect();
        let kept = self.kept(&widths, terminal.width);
        self.cut(&mut widths, &kept, terminal.width);
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
        let least = |index: usize| match self.columns[index].cut {
            true => widths[index].min(CUT_WIDTH_MIN),
            false => widths[index],
        };
        while needed(&kept, least) > room {
            match kept.iter().rposition(|&index| self.columns[index].optional) {
                Some(place) => drop(kept.remove(place)),
                None => break,
            }
        }
        kept
    }

    /// Narrows the column that may be cut to the room that the others leave.
    fn cut(&self, widths: &mut [usize], kept: &[usize], room: Option<usize>) {
        let cut = kept.iter().copied().find(|&index| self.columns[index].cut);
        let (Some(room), Some(cut)) = (room, cut) else { return };
        let others = needed(kept, |index| if index == cut { 0 } else { widths[index] });
        let least = widths[cut].min(CUT_WIDTH_MIN);
        widths[cut] = widths[cut].min(room.saturating_sub(others)).max(least);
    }
}

/// What columns take with the gaps between them.
fn needed(columns: &[usize], width: impl Fn(usize) -> usize) -> usize {
    columns.iter().map(|&index| width(index)).sum::<usize>()
        + GAP.len() * columns.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(table: &Table, width: Option<usize>) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = Box::new(file.reopen().unwrap());
        let mut terminal = Terminal::captured(out, Box::new(std::io::sink()));
        terminal.width = width;
        table.print(&mut terminal).unwrap();
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn a_long_text_is_one_line_and_fits() {
        let mut table = Table::new([
            Column::left("ID"),
            Column::right("COUNT").optional(),
            Column::left("REASON").cut(),
        ]);
        let reason = "it answered with the error that was\n    at deep (index.js:3:48)\n";
        table.row([Cell::new("a"), Cell::new("7"), Cell::new(reason)]);
        table.row([Cell::new("b"), Cell::new("12"), Cell::new("short\n")]);
        assert_eq!(
            printed(&table, None),
            "ID  COUNT  REASON\n\
             a       7  it answered with the error that was …\n\
             b      12  short\n"
        );
        assert_eq!(
            printed(&table, Some(36)),
            "ID  COUNT  REASON\n\
             a       7  it answered with the err…\n\
             b      12  short\n"
        );
        // The optional column goes before the text is cut too short to say anything.
        assert_eq!(printed(&table, Some(26)), "ID  REASON\na   it answered with the…\nb   short\n");
    }
}
