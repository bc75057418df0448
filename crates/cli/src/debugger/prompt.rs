//! A line that is being typed.

/// A text with a cursor in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    text: Vec<char>,
    cursor: usize,
}

impl Line {
    pub(crate) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Line { cursor: text.len(), text }
    }

    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    pub(crate) fn insert(&mut self, letter: char) {
        if !letter.is_control() {
            self.text.insert(self.cursor, letter);
            self.cursor += 1;
        }
    }

    pub(crate) fn backspace(&mut self) {
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
    }

    pub(crate) fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.cursor.saturating_sub(1);
    }

    pub(crate) fn right(&mut self) {
        self.cursor = (self.cursor + 1).min(self.text.len());
    }

    pub(crate) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(crate) fn clear(&mut self) {
        *self = Line::default();
    }

    /// What of it fits into `width` cells, and where the cursor is in that.
    pub(crate) fn window(&self, width: usize) -> (String, usize) {
        let width = width.max(2);
        let from = (self.cursor + 1).saturating_sub(width);
        let shown = self.text.iter().skip(from).take(width).collect();
        (shown, self.cursor - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_where_the_cursor_is() {
        let mut line = Line::new("ac");
        line.left();
        line.insert('b');
        assert_eq!((line.text().as_str(), line.window(10)), ("abc", ("abc".into(), 2)));
        line.home();
        line.delete();
        line.end();
        line.backspace();
        assert_eq!(line.text(), "b");
        line.insert('\n');
        assert_eq!(line.text(), "b");
        assert_eq!(Line::new("abcdef").window(4), ("def".to_owned(), 3));
    }
}
