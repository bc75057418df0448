//! `nexus invoke`: calls a function and prints its answer raw.

use clap::Args;

use crate::away::Away;
use crate::client::{Answer, Place, Send};
use crate::commands::input;
use crate::render::text_or_base64;
use crate::{Error, Paint, Session, Tone, exit};

/// Call a function and print what it answers
///
/// The body goes to standard output as it is; id and status go to standard error. With --batch, each
/// line of standard output is the result of one call in JSON.
#[derive(Args, Debug)]
pub struct InvokeArgs {
    /// The function, or one of its versions: hello@7, hello@1.4.0, hello@stable
    pub function: String,
    /// What it gets: text, @file or @- for standard input
    #[arg(short, long, value_name = "DATA", default_value = "", hide_default_value = true)]
    pub data: String,
    /// The media type of the data [default: found by looking at it]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// For HTTP functions: the method [default: POST]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,
    /// For HTTP functions: path and query [default: /]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// For HTTP functions: a request header (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// For commands: an argument (repeatable)
    #[arg(long = "arg", value_name = "TEXT", allow_hyphen_values = true)]
    pub arguments: Vec<String>,
    /// Print status and headers of the answer as well
    #[arg(short, long)]
    pub include: bool,
    /// Print nothing but the body
    #[arg(short, long)]
    pub quiet: bool,
    /// Do not wait: print the invocation's id; `nexus result` fetches what came of it
    #[arg(long = "async", conflicts_with_all = ["method", "path", "arguments", "include", "batch"])]
    pub later: bool,
    /// Let the engine run it, with the retries of the function, and wait for the result
    #[arg(long, conflicts_with_all = ["method", "path", "arguments", "include", "batch", "later"])]
    pub wait: bool,
    /// Call once for each line of a file of JSON values (- for standard input); prints one result a
    /// line, in the same order
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "include"])]
    pub batch: Option<String>,
    /// Calls of a batch at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 8, requires = "batch", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

pub(crate) fn run(session: &mut Session, args: &InvokeArgs) -> Result<(), Error> {
    if let Some(file) = &args.batch {
        return super::batch::run(session, args, file);
    }
    let body = input::data(&args.data)?;
    let detected = if body.is_empty() { "application/json" } else { input::media_type(&body) };
    let content_type = args.content_type.as_deref().unwrap_or(detected);
    if args.content_type.is_none() {
        input::say_broken(&mut session.terminal, &body);
    }
    let place = place(session, args)?;
    let send = Send { method: "POST", place, content_type, body: Some(body) };
    let answer = session.client.whole_with(send, &args.headers)?;
    let answer = session.client.of_function(answer)?;
    let id = answer.header("nexus-invocation-id").to_owned();
    if args.later {
        return match session.terminal.json() {
            true => session.terminal.value(&serde_json::json!({ "invocation": id })),
            false => session.terminal.line(id),
        };
    }
    let detail = match (args.include, args.quiet) {
        (true, _) => Show::Everything,
        (false, true) => Show::BodyOnly,
        (false, false) => Show::Status,
    };
    if args.wait {
        // The id is here before anything is waited for: a call that was accepted is never sent again.
        let away = Away::until(None).met();
        let answer = super::deferred::await_result(session, &id, away)?;
        return show(session, detail, &answer);
    }
    show(session, detail, &answer)
}

/// Where a function is called.
pub(crate) fn place(session: &Session, args: &InvokeArgs) -> Result<Place, Error> {
    let (function, version) = match args.function.split_once('@') {
        Some((function, version)) => (function, Some(version)),
        None => (args.function.as_str(), None),
    };
    let mut place = session
        .place(["functions", function, "invoke"])?
        .maybe("version", version)
        .maybe("method", args.method.as_ref())
        .maybe("path", args.path.as_ref())
        .maybe("async", (args.later || args.wait).then_some(true));
    for argument in &args.arguments {
        place = place.with("argument", argument);
    }
    Ok(place)
}

/// How much is printed of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Show {
    /// Status, headers and body.
    Everything,
    /// The body, with the status on standard error.
    Status,
    /// The body.
    BodyOnly,
}

/// Prints an answer; the exit code says whether it is an error of the function's own.
pub(crate) fn show(session: &mut Session, detail: Show, answer: &Answer) -> Result<(), Error> {
    if session.terminal.json() {
        session.terminal.value(&as_json(answer))?;
    } else {
        print(session, detail, answer)?;
    }
    // A function may answer with an error of its own: its body is data, the exit code says it.
    if answer.status >= 400 { Err(Error::Told(exit::FAILED)) } else { Ok(()) }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("'{text}' is not name: value"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn print(session: &mut Session, detail: Show, answer: &Answer) -> Result<(), Error> {
    if detail == Show::Everything {
        session.terminal.line(format_args!("HTTP {}", answer.status))?;
        for (name, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            session.terminal.line(format_args!("{name}: {value}"))?;
        }
        session.terminal.line("")?;
    }
    session.terminal.bytes(&answer.body)?;
    let told = detail != Show::BodyOnly;
    if told && !answer.body.is_empty() && !answer.body.ends_with(b"\n") {
        // Talk begins on its own line; the data stays as it is.
        session.terminal.say("");
    }
    if told {
        let tone = if answer.status < 400 { Tone::Good } else { Tone::Bad };
        let id = answer.header("nexus-invocation-id");
        session.terminal.say(format_args!(
            "{} {}",
            Paint(tone, format_args!("HTTP {}", answer.status)),
            Paint(Tone::Faint, id)
        ));
    }
    Ok(())
}

/// An answer as one JSON value.
pub(crate) fn as_json(answer: &Answer) -> serde_json::Value {
    let media_type = answer.header("content-type");
    let is_json = media_type.contains("json");
    let body = match serde_json::from_slice::<serde_json::Value>(&answer.body) {
        Ok(value) if is_json => value,
        _ => text_or_base64(&answer.body),
    };
    serde_json::json!({
        "invocation": answer.header("nexus-invocation-id"),
        "status": answer.status,
        "content-type": media_type,
        "body": body,
    })
}
