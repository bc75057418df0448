//! Child processes: output line by line to a sink, and an end before their time.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{BuildOptions, Error};

/// Output kept of one build, in bytes; the beginning is dropped first.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Which stream a line of build output came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// A child's standard output.
    Stdout,
    /// A child's standard error.
    Stderr,
}

/// One line of build output, without its line end.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it came from.
    pub stream: Stream,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Receives build output while the build runs; called from several threads.
pub type Sink = Arc<dyn Fn(Line) + Send + Sync>;

/// Ends a running build. Clones share one state; cancelling is final.
#[derive(Clone, Default, Debug)]
pub struct Cancel(Arc<Mutex<CancelState>>);

#[derive(Default, Debug)]
struct CancelState {
    cancelled: bool,
    /// Process group of the child that runs now.
    group: Option<rustix::process::Pid>,
}

impl Cancel {
    /// Kills the child process that runs now, with its children, and lets no other start.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        if let Some(group) = state.group {
            // It may have ended by itself a moment ago.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CancelState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a child ended.
pub(crate) struct Ran {
    pub(crate) success: bool,
    /// Standard output, whole.
    pub(crate) stdout: String,
    /// The end of standard error.
    pub(crate) stderr: String,
}

/// Whether standard output is for people (streamed) or for the builder (kept silent).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdout {
    Stream,
    Silent,
}

/// Runs a child to its end in a process group of its own, so that a terminal's Ctrl-C reaches it
/// through [`Cancel`] only and its children end with it.
pub(crate) fn run(mut command: Command, out: Stdout, options: &BuildOptions) -> Result<Ran, Error> {
    let BuildOptions { sink, cancel, .. } = options;
    let shown = show(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let failed = |source| Error::Run { command: shown.clone(), source };
    let mut child = {
        let mut state = cancel.lock();
        if state.cancelled {
            return Err(Error::Cancelled);
        }
        let child = command.spawn().map_err(failed)?;
        state.group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        child
    };
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let (stdout, stderr) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_lines(stderr, Some((Stream::Stderr, sink)), true));
        let show = (out == Stdout::Stream).then_some((Stream::Stdout, sink));
        let stdout = read_lines(stdout, show, false);
        (stdout, reader.join().unwrap_or_default())
    });
    // Under the lock, so that a late cancel cannot hit a process that took over the number.
    let mut state = cancel.lock();
    let status = child.wait().map_err(failed);
    state.group = None;
    if state.cancelled {
        return Err(Error::Cancelled);
    }
    Ok(Ran { success: status?.success(), stdout, stderr })
}

fn read_lines(from: Option<impl Read>, show: Option<(Stream, &Sink)>, bounded: bool) -> String {
    let mut kept = String::new();
    let Some(from) = from else { return kept };
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return kept,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        kept.push_str(&text);
        if bounded && kept.len() > OUTPUT_BYTES_MAX {
            let cut = kept.ceil_char_boundary(kept.len() - OUTPUT_BYTES_MAX);
            kept.drain(..cut);
        }
        if let Some((stream, sink)) = show {
            sink(Line { stream, text: text.trim_end_matches(['\n', '\r']).to_owned() });
        }
    }
}

fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
