//! `nexus profile`: where a past invocation spent its time.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::client::Send;
use crate::{Error, Session};

/// Show where a past invocation spent its time and memory
///
/// The invocation is replayed, as often as it takes to see something. The code is that of
/// production, and nothing is touched. Without --format: text, or what the name of --out says.
#[derive(Args, Debug)]
pub struct ProfileArgs {
    /// The invocation's id, or `last` for the newest
    pub id: String,
    /// How to write it
    #[arg(short, long, value_enum)]
    pub format: Option<Format>,
    /// Write to this file instead of standard output
    #[arg(short = 'O', long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Formats of profiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people: functions, memory, waits
    Text,
    /// A flame graph
    Svg,
    /// For pprof, Grafana, Speedscope…
    Pprof,
    /// For profiler.firefox.com
    Firefox,
    /// Collapsed stacks, one a line
    Folded,
    /// As data, for programs
    Json,
}

impl Format {
    const fn word(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Svg => "svg",
            Format::Pprof => "pprof",
            Format::Firefox => "firefox",
            Format::Folded => "folded",
            Format::Json => "json",
        }
    }

    fn of_file(path: &std::path::Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "svg" => Format::Svg,
            "pb" | "gz" | "pprof" => Format::Pprof,
            "json" => Format::Firefox,
            "folded" | "collapsed" => Format::Folded,
            "txt" => Format::Text,
            _ => return None,
        })
    }
}

pub(crate) fn run(session: &mut Session, args: &ProfileArgs) -> Result<(), Error> {
    let by_name = args.out.as_deref().and_then(Format::of_file);
    let format = args.format.or(by_name).unwrap_or(match session.terminal.json() {
        true => Format::Json,
        false => Format::Text,
    });
    if format == Format::Pprof && args.out.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::Usage {
            message: "a profile for pprof is no text".to_owned(),
            hint: Some("write it to a file: --out profile.pb.gz".to_owned()),
        });
    }
    let id = session.invocation(&args.id)?;
    let place = session.place(["invocations", &id.to_string(), "profile"])?;
    let place = place.with("format", format.word());
    let answer =
        session.client.whole(Send { method: "GET", place, content_type: "", body: None })?;
    let body = session.client.success(answer)?.body;
    let Some(path) = &args.out else { return session.terminal.bytes(&body) };
    std::fs::write(path, &body).map_err(|source| Error::Io {
        operation: "write",
        subject: path.display().to_string(),
        source,
    })?;
    let hint = match format {
        Format::Svg => "open it in a browser",
        Format::Pprof => "open it with: go tool pprof -http=: FILE",
        Format::Firefox => "load it at https://profiler.firefox.com",
        Format::Text | Format::Folded | Format::Json => "",
    };
    session.terminal.say(format_args!("wrote {} ({} bytes)", path.display(), body.len()));
    if !hint.is_empty() {
        session.terminal.say(hint);
    }
    Ok(())
}
