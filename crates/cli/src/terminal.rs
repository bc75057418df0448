//! Where output goes: data to standard output, talk to standard error, colours where wanted.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use nexus_model::Timestamp;

use crate::Error;
use crate::args::{ColorChoice, Globals, OutputFormat};

/// What a piece of text means; colours follow from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Ordinary.
    Plain,
    /// Headings, names.
    Strong,
    /// Less important.
    Faint,
    /// It worked.
    Good,
    /// It did not.
    Bad,
    /// It needs attention.
    Warn,
    /// Ids, addresses: what is copied.
    Key,
}

impl Tone {
    const fn style(self) -> Style {
        let style = Style::new();
        match self {
            Tone::Plain => style,
            Tone::Strong => style.bold(),
            Tone::Faint => style.dimmed(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Key => AnsiColor::Cyan.on_default(),
        }
    }
}

/// Text with its tone; formats with escape codes, which the terminal strips where not wanted.
#[derive(Clone, Copy, Debug)]
pub struct Paint<T>(pub Tone, pub T);

impl<T: std::fmt::Display> std::fmt::Display for Paint<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == Tone::Plain {
            return self.1.fmt(f);
        }
        let style = self.0.style();
        write!(f, "{style}{}{style:#}", self.1)
    }
}

/// The two streams, and how things are shown on them.
pub struct Terminal {
    /// Takes bytes as they are; text is stripped before where `plain`.
    out: Box<dyn Write + Send>,
    plain: bool,
    err: Box<dyn Write + Send>,
    /// Text or JSON.
    pub format: OutputFormat,
    /// The columns of standard output, where it is a terminal.
    pub width: Option<usize>,
    /// The zone of printed times.
    pub zone: TimeZone,
    /// The moment that relative times refer to.
    pub now: Timestamp,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Terminal {
    /// The process' own streams.
    pub fn of_process(globals: &Globals, now: Timestamp) -> Self {
        let choice = match globals.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        let zone = if globals.utc { TimeZone::UTC } else { TimeZone::system() };
        let plain = match choice {
            anstream::ColorChoice::Auto => {
                anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never
            }
            choice => choice == anstream::ColorChoice::Never,
        };
        Terminal {
            out: Box::new(io::LineWriter::new(io::stdout())),
            plain,
            err: Box::new(anstream::AutoStream::new(io::stderr(), choice)),
            format: globals.format(),
            width: terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)),
            zone,
            now,
        }
    }

    /// Streams of a test: no colours, UTC.
    pub fn captured(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Terminal {
            out,
            plain: true,
            err: Box::new(anstream::StripStream::new(err)),
            format: OutputFormat::Text,
            width: None,
            zone: TimeZone::UTC,
            now: Timestamp::EPOCH,
        }
    }

    /// Whether data is printed as JSON.
    pub fn json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints a line of data.
    ///
    /// # Errors
    /// Standard output cannot be written; [`Error::Closed`] when its reader went away.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Error> {
        let text = text.to_string();
        let line = match self.plain {
            true => writeln!(self.out, "{}", anstream::adapter::strip_str(&text)),
            false => writeln!(self.out, "{text}"),
        };
        line.map_err(written)
    }

    /// Prints bytes of data as they are.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).map_err(written)
    }

    /// Prints one JSON value on one line.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub fn value(&mut self, value: &impl serde::Serialize) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(|error| Error::Protocol {
            what: "the answer".to_owned(),
            reason: error.to_string(),
        })?;
        self.line(text)
    }

    /// Prints a line of talk. What cannot be said is left out: talk never makes a command fail.
    pub fn say(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.err, "{text}");
    }

    /// A moment, as it is shown here.
    pub fn time(&self, at: Timestamp) -> String {
        crate::units::show_time(at, &self.zone)
    }
}

fn written(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Io { operation: "write to", subject: "standard output".into(), source },
    }
}
