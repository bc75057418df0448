//! The line tables of one module, made to be searched in both directions.

use std::collections::HashMap;

use super::symbols::{Reader, is_own};

/// Where wasm-ld puts what it threw away.
const TOMBSTONES: std::ops::RangeFrom<u64> = 0xffff_fff0..;

/// From an address on, which line the code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) address: u64,
    /// The number of the file; [`NO_FILE`] behind the end of a sequence.
    file: u32,
    pub(super) line: u32,
    /// A good place for a breakpoint: a statement begins here.
    statement: bool,
}

const NO_FILE: u32 = u32::MAX;

/// A line of a file, small enough to be compared at each instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) file: u32,
    pub(super) line: u32,
}

/// All rows in the order of their addresses.
#[derive(Debug, Default)]
pub(super) struct Lines {
    files: Vec<String>,
    own: Vec<bool>,
    rows: Vec<Row>,
}

impl Lines {
    /// Reads all line programs. What is malformed is left out.
    pub(super) fn read(dwarf: &gimli::Dwarf<Reader<'_>>) -> Self {
        let mut lines = Lines::default();
        let mut known = HashMap::new();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            if let Ok(unit) = dwarf.unit(header) {
                let _ = lines.read_unit(dwarf, &unit, &mut known);
            }
        }
        lines.rows.sort_by_key(|row| (row.address, row.file != NO_FILE));
        lines.own = lines.files.iter().map(|file| is_own(file)).collect();
        lines
    }

    fn read_unit<'b>(
        &mut self,
        dwarf: &gimli::Dwarf<Reader<'b>>,
        unit: &gimli::Unit<Reader<'b>>,
        known: &mut HashMap<String, u32>,
    ) -> Result<(), gimli::Error> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        let mut numbers: HashMap<u64, u32> = HashMap::new();
        let mut rows = program.rows();
        let mut sequence = Vec::new();
        while let Some((header, row)) = rows.next_row()? {
            let address = row.address();
            if row.end_sequence() {
                let end = Row { address, file: NO_FILE, line: 0, statement: false };
                sequence.push(end);
                let start = sequence.first().map_or(0, |row| row.address);
                if start != 0 && !TOMBSTONES.contains(&start) {
                    self.rows.append(&mut sequence);
                }
                sequence.clear();
                continue;
            }
            let index = row.file_index();
            let file = match numbers.get(&index) {
                Some(number) => *number,
                None => {
                    let path = path(dwarf, unit, (header, row)).unwrap_or_default();
                    let next = self.files.len() as u32;
                    let number = *known.entry(path.clone()).or_insert(next);
                    if number == next {
                        self.files.push(path);
                    }
                    numbers.insert(index, number);
                    number
                }
            };
            let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
            sequence.push(Row { address, file, line, statement: row.is_stmt() });
        }
        Ok(())
    }

    /// The files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// The line of an address, where it is one of the user's.
    pub(super) fn own_line(&self, address: u64) -> Option<Line> {
        let after = self.rows.partition_point(|row| row.address <= address);
        let row = self.rows.get(after.checked_sub(1)?)?;
        let own = row.line > 0 && *self.own.get(row.file as usize)?;
        own.then_some(Line { file: row.file, line: row.line })
    }

    /// Where a program stops for a breakpoint on a line, or on the next one that has code: the file's
    /// name, the line and the addresses where the line begins.
    pub(super) fn breakpoint(&self, file: &str, line: u32) -> Option<(&str, u32, Vec<u64>)> {
        let matching: Vec<bool> = self.files.iter().map(|known| is_suffix(known, file)).collect();
        let of_file = |row: &&Row| matching.get(row.file as usize).is_some_and(|it| *it);
        let candidates = self.rows.iter().filter(of_file).filter(|row| row.line >= line);
        let found = candidates.min_by_key(|row| row.line)?;
        let mut addresses = Vec::new();
        let mut before: Option<Row> = None;
        for row in &self.rows {
            let same = |row: &Row| row.line == found.line && row.file == found.file;
            // Consecutive rows of the line are one visit; the first is where it begins.
            if same(row) && !before.as_ref().is_some_and(same) {
                addresses.push(row.address);
            }
            before = Some(*row);
        }
        addresses.dedup();
        Some((self.files.get(found.file as usize)?, found.line, addresses))
    }
}

/// Whether a path ends with another, whole components of it.
fn is_suffix(path: &str, end: &str) -> bool {
    let end = end.trim_start_matches("./").replace('\\', "/");
    if end.is_empty() {
        return false;
    }
    match path.strip_suffix(end.as_str()) {
        Some(before) => before.is_empty() || before.ends_with('/') || end.starts_with('/'),
        // A path of another machine or checkout: the end of the longer one decides.
        None => {
            path.len() < end.len() && end.ends_with(path) && path.contains('/') && {
                end[..end.len() - path.len()].ends_with('/')
            }
        }
    }
}

type At<'a, 'b> = (&'a gimli::LineProgramHeader<Reader<'b>>, &'a gimli::LineRow);

/// The whole path of a row's file.
fn path<'b>(
    dwarf: &gimli::Dwarf<Reader<'b>>,
    unit: &gimli::Unit<Reader<'b>>,
    (header, row): At<'_, 'b>,
) -> Option<String> {
    let file = row.file(header)?;
    let text = |value| -> Option<String> {
        Some(dwarf.attr_string(unit, value).ok()?.to_string_lossy().into_owned())
    };
    let mut path = match &unit.comp_dir {
        Some(dir) => dir.to_string_lossy().into_owned(),
        None => String::new(),
    };
    let join = |path: &mut String, part: &str| {
        if part.starts_with('/') || path.is_empty() {
            *path = part.to_owned();
        } else if !part.is_empty() {
            if !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(part);
        }
    };
    // Directory 0 is the compilation directory.
    if file.directory_index() != 0
        && let Some(directory) = file.directory(header)
    {
        join(&mut path, &text(directory)?);
    }
    join(&mut path, &text(file.path_name())?);
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(address: u64, file: u32, line: u32) -> Row {
        Row { address, file, line, statement: true }
    }

    fn lines() -> Lines {
        Lines {
            files: vec!["/home/me/app/src/lib.rs".into(), "/rustc/1/library/core/src/x.rs".into()],
            own: vec![true, false],
            rows: vec![
                row(10, 0, 3),
                row(14, 0, 5),
                row(20, 1, 7),
                row(24, 0, 5),
                row(30, NO_FILE, 0),
                row(40, 0, 9),
                row(44, NO_FILE, 0),
            ],
        }
    }

    #[test]
    fn addresses_have_lines_of_the_user_only() {
        let lines = lines();
        let at = |address| lines.own_line(address).map(|line| line.line);
        let expected = [None, Some(3), Some(5), None, Some(5), None, Some(9), None];
        assert_eq!([9, 10, 19, 20, 29, 30, 43, 44].map(at), expected);
    }

    #[test]
    fn breakpoints_move_to_the_next_line_with_code() {
        let lines = lines();
        let at = |file, line| lines.breakpoint(file, line).map(|(_, line, at)| (line, at));
        assert_eq!(at("src/lib.rs", 3), Some((3, vec![10])));
        assert_eq!(at("lib.rs", 4), Some((5, vec![14, 24])));
        assert_eq!(at("/ci/work/home/me/app/src/lib.rs", 9), None);
        assert_eq!(at("b.rs", 3), None);
        assert_eq!(at("lib.rs", 10), None);
    }

    #[test]
    fn paths_end_with_whole_components() {
        for (path, end, expected) in [
            ("/a/b/src/lib.rs", "src/lib.rs", true),
            ("/a/b/src/lib.rs", "/a/b/src/lib.rs", true),
            ("/a/b/src/mylib.rs", "lib.rs", false),
            ("src/lib.rs", "/x/y/src/lib.rs", true),
            ("lib.rs", "/x/y/src/lib.rs", false),
            ("/a/lib.rs", "", false),
        ] {
            assert_eq!(is_suffix(path, end), expected, "{path} {end}");
        }
    }
}
