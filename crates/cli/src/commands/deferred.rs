//! `nexus result`, `nexus cancel`, `nexus signal`: invocations that nobody waits for.

use std::time::{Duration, Instant};

use clap::Args;
use nexus_model::EventId;
use nexus_model::units::{exact_duration, parse_duration};
use nexus_model::view::{CountView, PendingView, ProgressView};

use crate::away::Away;
use crate::client::{Answer, Send};
use crate::commands::input;
use crate::commands::invoke::{self, Show};
use crate::{Error, Paint, Session, Tone, exit};

/// How long one request waits; the server allows 60 s.
const WAIT: Duration = Duration::from_secs(30);
/// How long between two tries to hear of progress.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

/// Print the result of an asynchronous invocation
///
/// The body goes to standard output as it is; id and status go to standard error.
#[derive(Args, Debug)]
pub struct ResultArgs {
    /// The invocation's id, or `last` for the newest
    pub id: String,
    /// Wait for the end, however long it takes
    #[arg(short, long)]
    pub wait: bool,
    /// Wait at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Wait, and print what the function says about how far it is
    #[arg(short, long)]
    pub follow: bool,
    /// Print nothing but the body
    #[arg(short, long)]
    pub quiet: bool,
}

/// Stop an invocation that is queued, waiting, suspended or running, or all that an event led to
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// The invocation's id, or `last` for the newest; or the event's id
    pub id: String,
    /// Why: kept with the decision
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Give a word from outside to a durable invocation, which may wait for it
#[derive(Args, Debug)]
pub struct SignalArgs {
    /// The invocation's id, or `last` for the newest
    pub id: String,
    /// The signal's name: the one that the function waits for
    #[arg(value_parser = signal_name)]
    pub name: String,
    /// Its data: text, @file or @- for standard input
    #[arg(short, long, value_name = "DATA", default_value = "", hide_default_value = true)]
    pub data: String,
    /// The media type of the data [default: found by looking at it]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
}

pub(crate) fn result(session: &mut Session, args: &ResultArgs) -> Result<(), Error> {
    let id = session.invocation(&args.id)?.to_string();
    let show = if args.quiet { Show::BodyOnly } else { Show::Status };
    let end = match (args.timeout, args.wait || args.follow) {
        (Some(timeout), _) => Some(Instant::now() + timeout),
        (None, true) => None,
        (None, false) => Some(Instant::now()),
    };
    let mut away = Away::until(end);
    if args.follow && !follow(session, &id, &mut away)? {
        let answer = ask(session, &id, &mut away, Duration::ZERO)?;
        return Err(pending(session, &answer)?);
    }
    let answer = await_result(session, &id, away)?;
    invoke::show(session, show, &answer)
}

/// Asks until there is a result, or patience ends.
pub(crate) fn await_result(
    session: &mut Session,
    id: &str,
    mut away: Away,
) -> Result<Answer, Error> {
    loop {
        let answer = ask(session, id, &mut away, WAIT)?;
        if !is_pending(&answer) {
            return Ok(answer);
        }
        if away.is_over() {
            return Err(pending(session, &answer)?);
        }
    }
}

/// Asks for a result once, and waits for it for at most `wait`.
fn ask(session: &mut Session, id: &str, away: &mut Away, wait: Duration) -> Result<Answer, Error> {
    let place = session.place(["invocations", id, "result"])?;
    let (client, end) = (&session.client, away.end());
    away.ask(&mut session.terminal, || {
        let left = end.map_or(wait, |end| end.saturating_duration_since(Instant::now()).min(wait));
        let place = place.clone().with("wait", exact_duration(left));
        let send = Send { method: "GET", place, content_type: "", body: None };
        client.whole(send).and_then(|answer| client.of_function(answer))
    })
}

/// Whether an answer says that there is no result yet.
fn is_pending(answer: &Answer) -> bool {
    answer.header("content-type").starts_with("application/vnd.nexus.pending+json")
}

/// Says how far it is; the exit code says that there is no result.
fn pending(session: &mut Session, answer: &Answer) -> Result<Error, Error> {
    let view: PendingView = serde_json::from_slice(&answer.body).map_err(|error| {
        Error::Protocol { what: "the pending result".to_owned(), reason: error.to_string() }
    })?;
    if session.terminal.json() {
        session.terminal.value(&view)?;
    } else {
        session.terminal.say(format_args!(
            "{} {}: {}",
            Paint(Tone::Key, view.invocation),
            Paint(Tone::Warn, view.status.word()),
            view.reason
        ));
    }
    Ok(Error::Told(exit::FAILED))
}

/// Prints progress until the invocation ends. Says whether it has.
fn follow(session: &mut Session, id: &str, away: &mut Away) -> Result<bool, Error> {
    let place = session.place(["invocations", id, "progress"])?;
    let client = session.client.clone();
    let mut stream = client.stream(place.clone(), None)?;
    let (tell, heard) = std::sync::mpsc::channel();
    // The stream has no end of its own: it is left when the result is there, and ends with the
    // process. Whoever asks for the result says when the server is away.
    std::thread::spawn(move || {
        loop {
            while let Some(data) = stream.next() {
                if tell.send(data).is_err() {
                    return;
                }
            }
            std::thread::sleep(PROGRESS_PAUSE);
            if let Ok(again) = client.stream(place.clone(), stream.last()) {
                stream = again;
            }
        }
    });
    loop {
        let answer = ask(session, id, away, Duration::from_secs(1))?;
        while let Ok(data) = heard.try_recv() {
            let view: ProgressView = serde_json::from_str(&data).map_err(|error| {
                Error::Protocol { what: "progress".to_owned(), reason: error.to_string() }
            })?;
            let percent = view.percent.map(|percent| format!("{percent:>3} %  "));
            let at = session.terminal.time(view.at);
            session.terminal.say(format_args!(
                "{}  {}{}",
                Paint(Tone::Faint, at),
                percent.unwrap_or_default(),
                view.message
            ));
        }
        match is_pending(&answer) {
            true if away.is_over() => return Ok(false),
            true => {}
            false => return Ok(true),
        }
    }
}

pub(crate) fn cancel(session: &mut Session, args: &CancelArgs) -> Result<(), Error> {
    if args.id.parse::<EventId>().is_ok() {
        return cancel_event(session, args);
    }
    let id = session.invocation(&args.id)?.to_string();
    let place = session.place(["invocations", &id, "cancel"])?;
    let place = place.maybe("reason", args.reason.as_ref());
    let send = Send { method: "POST", place, content_type: "", body: None };
    session.client.json::<serde_json::Value>(send)?;
    session.terminal.say(format_args!("cancelled {id}"));
    Ok(())
}

fn cancel_event(session: &mut Session, args: &CancelArgs) -> Result<(), Error> {
    let place = session.place(["events", &args.id, "cancel"])?;
    let place = place.maybe("reason", args.reason.as_ref());
    let send = Send { method: "POST", place, content_type: "", body: None };
    let CountView { count } = session.client.json(send)?;
    match count {
        1 => session.terminal.say(format_args!("cancelled {}", args.id)),
        count => session.terminal.say(format_args!("cancelled {count} deliveries of {}", args.id)),
    }
    Ok(())
}

fn signal_name(text: &str) -> Result<String, String> {
    nexus_model::check_signal_name(text).map(|()| text.to_owned())
}

pub(crate) fn signal(session: &mut Session, args: &SignalArgs) -> Result<(), Error> {
    let id = session.invocation(&args.id)?.to_string();
    let body = input::data(&args.data)?;
    let detected = if body.is_empty() { "" } else { input::media_type(&body) };
    let content_type = args.content_type.as_deref().unwrap_or(detected);
    let place = session.place(["invocations", &id, "signals", &args.name])?;
    let send = Send { method: "POST", place, content_type, body: Some(body) };
    session.client.json::<serde_json::Value>(send)?;
    session.terminal.say(format_args!("signal {} sent to {id}", args.name));
    Ok(())
}
