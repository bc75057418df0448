//! `nexus invoke`: calls a function and prints its answer raw.

use clap::Args;

use crate::client::{Answer, Send, problem};
use crate::commands::input;
use crate::render::text_or_base64;
use crate::{Error, Paint, Session, Tone, exit};

/// Call a function and print what it answers
///
/// The body goes to standard output as it is; id and status go to standard error.
#[derive(Args, Debug)]
pub struct InvokeArgs {
    /// The function
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
}

pub(crate) fn run(session: &mut Session, args: &InvokeArgs) -> Result<(), Error> {
    let body = input::data(&args.data)?;
    let detected = if body.is_empty() { "application/json" } else { input::media_type(&body) };
    let content_type = args.content_type.as_deref().unwrap_or(detected);
    let mut place = session
        .place(["functions", &args.function, "invoke"])?
        .maybe("method", args.method.as_ref())
        .maybe("path", args.path.as_ref());
    for argument in &args.arguments {
        place = place.with("argument", argument);
    }
    let send = Send { method: "POST", place, content_type, body: Some(body) };
    let answer = session.client.whole_with(send, &args.headers)?;
    if let Some(problem) = problem(&answer) {
        return Err(Error::Problem(Box::new(problem)));
    }
    if session.terminal.json() {
        print_json(session, &answer)?;
    } else {
        print(session, args, &answer)?;
    }
    // A function may answer with an error of its own: its body is data, the exit code says it.
    if answer.status >= 400 { Err(Error::Told(exit::FAILED)) } else { Ok(()) }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("'{text}' is not name: value"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn print(session: &mut Session, args: &InvokeArgs, answer: &Answer) -> Result<(), Error> {
    if args.include {
        session.terminal.line(format_args!("HTTP {}", answer.status))?;
        for (name, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            session.terminal.line(format_args!("{name}: {value}"))?;
        }
        session.terminal.line("")?;
    }
    session.terminal.bytes(&answer.body)?;
    let told = !args.quiet;
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

fn print_json(session: &mut Session, answer: &Answer) -> Result<(), Error> {
    let media_type = answer.header("content-type");
    let is_json = media_type.contains("json");
    let body = match serde_json::from_slice::<serde_json::Value>(&answer.body) {
        Ok(value) if is_json => value,
        _ => text_or_base64(&answer.body),
    };
    session.terminal.value(&serde_json::json!({
        "invocation": answer.header("nexus-invocation-id"),
        "status": answer.status,
        "content-type": media_type,
        "body": body,
    }))
}
