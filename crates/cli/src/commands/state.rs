//! `nexus state`: what functions remember, from outside.

use clap::{Args, Subcommand};
use nexus_model::limits;
use nexus_model::view::{
    StateClearedView, StateKeyView, StateNamespaceView, StateSetView, StateValue, StreamEventView,
    StreamView,
};
use serde_json::Value;

use super::history;
use crate::client::{Place, Send};
use crate::commands::input;
use crate::render::{Cell, Column, Table, counted};
use crate::units::show_size;
use crate::{Error, Paint, Session, Terminal, Tone};

/// The header with the version of a value that comes as it is.
const VERSION: &str = "nexus-state-version";

/// What functions remember: list, print, set and delete it
#[derive(Args, Debug)]
pub struct StateArgs {
    /// Something else than a list of where there is state
    #[command(subcommand)]
    pub command: Option<StateCommand>,
}

/// Other commands about state.
#[derive(Subcommand, Debug)]
pub enum StateCommand {
    /// List where there is state; or the keys of a function, or of what functions share
    List(ListArgs),
    /// Print the value of a key, as it is
    #[command(
        override_usage = "nexus state get <FUNCTION> <KEY>\n       nexus state get --shared <NAME> <KEY>"
    )]
    Get(GetArgs),
    /// Give a key a value
    ///
    /// Functions read values as JSON unless they ask for bytes: a text is '"in quotes"'.
    #[command(
        override_usage = "nexus state set <FUNCTION> <KEY> <VALUE>\n       nexus state set --shared <NAME> <KEY> <VALUE>"
    )]
    Set(SetArgs),
    /// Delete a key, a stream, or everything
    #[command(
        override_usage = "nexus state delete <FUNCTION> <KEY>\n       nexus state delete <FUNCTION> <STREAM> --stream\n       nexus state delete <FUNCTION> --all --yes\n       …the same with --shared <NAME> in the place of <FUNCTION>"
    )]
    Delete(DeleteArgs),
    /// Print the events of a stream, oldest first
    #[command(
        override_usage = "nexus state stream <FUNCTION> <STREAM>\n       nexus state stream --shared <NAME> <STREAM>"
    )]
    Stream(StreamArgs),
}

/// What is listed.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Keys of this function
    #[arg(conflicts_with = "shared")]
    pub function: Option<String>,
    /// Keys that functions share under this name
    #[arg(long, value_name = "NAME")]
    pub shared: Option<String>,
    /// Only those that begin with this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// With their values
    #[arg(long, conflicts_with = "streams")]
    pub values: bool,
    /// Streams in the place of keys
    #[arg(long)]
    pub streams: bool,
    /// At most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100, value_parser = history::limit)]
    pub limit: usize,
}

/// What is printed.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// The function (without --shared) and the key
    #[arg(value_names = ["FUNCTION", "KEY"], num_args = 0..=2)]
    pub words: Vec<String>,
    /// A key that functions share under this name
    #[arg(long, value_name = "NAME")]
    pub shared: Option<String>,
}

/// What is set.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// The function (without --shared), the key and the value: text, @file or - for standard input
    #[arg(
        value_names = ["FUNCTION", "KEY", "VALUE"],
        num_args = 0..=3,
        allow_negative_numbers = true
    )]
    pub words: Vec<String>,
    /// A key that functions share under this name
    #[arg(long, value_name = "NAME")]
    pub shared: Option<String>,
    /// Only if this is still the key's version; 0: only if there is no such key
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<u64>,
}

/// What is deleted.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// The function (without --shared) and the key or stream (without --all)
    #[arg(value_names = ["FUNCTION", "KEY"], num_args = 0..=2)]
    pub words: Vec<String>,
    /// What functions share under this name
    #[arg(long, value_name = "NAME")]
    pub shared: Option<String>,
    /// Only if this is still the key's version
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["all", "stream"])]
    pub if_version: Option<u64>,
    /// A stream in the place of a key
    #[arg(long)]
    pub stream: bool,
    /// All keys and streams: says what would go; does it with --yes
    #[arg(long, conflicts_with = "stream")]
    pub all: bool,
    /// Do it
    #[arg(long, requires = "all")]
    pub yes: bool,
}

/// Which events are printed.
#[derive(Args, Debug)]
pub struct StreamArgs {
    /// The function (without --shared) and the stream
    #[arg(value_names = ["FUNCTION", "STREAM"], num_args = 0..=2)]
    pub words: Vec<String>,
    /// A stream that functions share under this name
    #[arg(long, value_name = "NAME")]
    pub shared: Option<String>,
    /// Behind the event with this version
    #[arg(long, value_name = "VERSION", default_value_t = 0, hide_default_value = true)]
    pub after: u64,
    /// At most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100, value_parser = history::limit)]
    pub limit: usize,
}

pub(crate) fn run(session: &mut Session, args: &StateArgs) -> Result<(), Error> {
    match &args.command {
        None => spaces(session, limits::PAGE_ITEMS_MAX),
        Some(StateCommand::List(args)) => list(session, args),
        Some(StateCommand::Get(args)) => get(session, args),
        Some(StateCommand::Set(args)) => set(session, args),
        Some(StateCommand::Delete(args)) => delete(session, args),
        Some(StateCommand::Stream(args)) => stream(session, args),
    }
}

/// Whose state is meant.
#[derive(Clone, Copy)]
enum Space<'a> {
    Function(&'a str),
    Shared(&'a str),
}

impl Space<'_> {
    fn query(self, place: Place) -> Place {
        match self {
            Space::Function(name) => place.with("function", name),
            Space::Shared(name) => place.with("shared", name),
        }
    }

    /// As it is typed.
    fn typed(self) -> String {
        match self {
            Space::Function(name) => name.to_owned(),
            Space::Shared(name) => format!("--shared {}", quoted(name)),
        }
    }

    fn is(self, view: &StateNamespaceView) -> bool {
        match self {
            Space::Function(name) => view.function.as_ref().is_some_and(|at| at.as_str() == name),
            Space::Shared(name) => view.shared.as_deref() == Some(name),
        }
    }
}

/// Takes the words of a command apart: the function, unless a shared namespace is named, and `N` more
/// of these names.
fn apart<'a, const N: usize>(
    shared: Option<&'a str>,
    words: &'a [String],
    names: [&str; N],
) -> Result<(Space<'a>, [&'a str; N]), Error> {
    let (space, rest) = match (shared, words) {
        (Some(name), rest) => (Some(Space::Shared(name)), rest),
        (None, [function, rest @ ..]) => (Some(Space::Function(function.as_str())), rest),
        (None, []) => (None, words),
    };
    let found: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (space, <[&str; N]>::try_from(found)) {
        (Some(space), Ok(found)) => Ok((space, found)),
        _ => {
            let function = if shared.is_some() { None } else { Some("FUNCTION") };
            let wanted: Vec<&str> = function.into_iter().chain(names).collect();
            let (message, hint) = match (wanted.get(words.len()..), words.get(wanted.len())) {
                (_, Some(word)) => (
                    format!("'{word}' is one word too many"),
                    "quote words with spaces; with --shared there is no function",
                ),
                (missing, None) => (
                    format!("missing: {}", missing.unwrap_or_default().join(" and ")),
                    "the function comes first; --shared NAME stands in its place",
                ),
            };
            Err(Error::Usage { message, hint: Some(hint.to_owned()) })
        }
    }
}

/// A key as one line that cannot be mistaken, and is no command for a terminal.
fn quoted(key: &str) -> String {
    let plain = |letter: char| !letter.is_control() && !letter.is_whitespace() && letter != '"';
    match !key.is_empty() && key.chars().all(plain) {
        true => key.to_owned(),
        false => format!("{key:?}"),
    }
}

fn list(session: &mut Session, args: &ListArgs) -> Result<(), Error> {
    let space = match (&args.function, &args.shared) {
        (Some(function), _) => Space::Function(function),
        (None, Some(shared)) => Space::Shared(shared),
        (None, None) if args.streams || args.values || !args.prefix.is_empty() => {
            let message = "--prefix, --values and --streams look into one namespace".to_owned();
            let hint = Some("name a function, or --shared NAME".to_owned());
            return Err(Error::Usage { message, hint });
        }
        (None, None) => return spaces(session, args.limit),
    };
    match args.streams {
        true => streams(session, (space, args)),
        false => keys(session, (space, args)),
    }
}

/// How many there are, or more.
fn number(count: u64, more: bool) -> String {
    format!("{count}{}", if more { "+" } else { "" })
}

fn spaces(session: &mut Session, limit: usize) -> Result<(), Error> {
    let place = session.place(["state"])?;
    let Session { client, terminal, .. } = session;
    let mut views: Vec<StateNamespaceView> = Vec::new();
    let more = client.pages(place, limit, &mut |view| {
        views.push(view);
        Ok(())
    })?;
    if terminal.json() {
        return views.iter().try_for_each(|view| terminal.value(view));
    }
    let mut table = Table::new([
        Column::left("STATE OF"),
        Column::right("KEYS"),
        Column::right("STREAMS"),
        Column::right("EVENTS"),
        Column::right("SIZE"),
        Column::left("").optional(),
    ]);
    for view in &views {
        let typed = match (&view.function, &view.shared) {
            (Some(function), _) => Space::Function(function.as_str()).typed(),
            (None, shared) => Space::Shared(shared.as_deref().unwrap_or_default()).typed(),
        };
        let size = show_size(view.key_bytes + view.event_bytes);
        table.row([
            Cell::toned(Tone::Strong, typed),
            Cell::new(number(view.keys, view.more)),
            Cell::new(number(view.streams, view.more)),
            Cell::new(number(view.events, view.more)),
            Cell::new(if view.more { format!("{size}+") } else { size }),
            Cell::toned(Tone::Warn, if view.deleted { "no such function" } else { "" }),
        ]);
    }
    if table.is_empty() {
        terminal.say("no state; functions make some");
    }
    table.print(terminal)?;
    say_more(terminal, more);
    Ok(())
}

fn say_more(terminal: &mut Terminal, more: bool) {
    if more {
        terminal.say(Paint(Tone::Faint, "there are more: --limit N"));
    }
}

fn keys(session: &mut Session, (space, args): (Space<'_>, &ListArgs)) -> Result<(), Error> {
    let place = space.query(session.place(["state", "keys"])?).with("prefix", &args.prefix);
    let place = if args.values { place.with("values", true) } else { place };
    let other = space.query(session.place(["state", "streams"])?).with("prefix", &args.prefix);
    let Session { client, terminal, .. } = session;
    let mut views: Vec<StateKeyView> = Vec::new();
    let more = client.pages(place, args.limit, &mut |view| {
        views.push(view);
        Ok(())
    })?;
    if terminal.json() {
        return views.iter().try_for_each(|view| terminal.value(view));
    }
    let mut columns = vec![Column::left("KEY"), Column::right("VERSION"), Column::right("SIZE")];
    if args.values {
        columns.push(Column::left("VALUE").cut());
    }
    let mut table = Table::new(columns);
    for view in &views {
        let mut row = vec![
            Cell::toned(Tone::Strong, quoted(&view.key)),
            Cell::new(view.version.to_string()),
            Cell::new(show_size(view.bytes)),
        ];
        if args.values {
            row.push(Cell::new(shown(&view.value)));
        }
        table.row(row);
    }
    let mut streams = 0;
    client.pages(other, 1, &mut |_: StreamView| {
        streams += 1;
        Ok(())
    })?;
    if table.is_empty() {
        terminal.say(if args.prefix.is_empty() { "no keys" } else { "no keys begin like that" });
    }
    table.print(terminal)?;
    say_more(terminal, more);
    if streams > 0 {
        let typed = space.typed();
        let note = format_args!("there are streams, too: nexus state list {typed} --streams");
        terminal.say(Paint(Tone::Faint, note));
    }
    Ok(())
}

fn streams(session: &mut Session, (space, args): (Space<'_>, &ListArgs)) -> Result<(), Error> {
    let place = space.query(session.place(["state", "streams"])?).with("prefix", &args.prefix);
    let Session { client, terminal, .. } = session;
    let mut views: Vec<StreamView> = Vec::new();
    let more = client.pages(place, args.limit, &mut |view| {
        views.push(view);
        Ok(())
    })?;
    if terminal.json() {
        return views.iter().try_for_each(|view| terminal.value(view));
    }
    let mut table =
        Table::new([Column::left("STREAM"), Column::right("VERSION"), Column::right("EVENTS")]);
    for view in &views {
        table.row([
            Cell::toned(Tone::Strong, quoted(&view.name)),
            Cell::new(view.version.to_string()),
            Cell::new(view.events.to_string()),
        ]);
    }
    if table.is_empty() {
        terminal.say("no streams");
    }
    table.print(terminal)?;
    say_more(terminal, more);
    Ok(())
}

/// A value on one line.
fn shown(value: &StateValue) -> String {
    match (&value.json, &value.text, &value.base64) {
        (Some(json), _, _) => json.to_string(),
        (_, Some(text), _) => text.clone(),
        (_, _, Some(base64)) => format!("base64:{base64}"),
        _ => String::new(),
    }
}

fn get(session: &mut Session, args: &GetArgs) -> Result<(), Error> {
    let (space, [key]) = apart(args.shared.as_deref(), &args.words, ["KEY"])?;
    let place = space.query(session.place(["state", "key"])?).with("key", key);
    let Session { client, terminal, .. } = session;
    if terminal.json() {
        let view: Value = client.get(place)?;
        return terminal.value(&view);
    }
    let place = place.with("raw", true);
    let send = Send { method: "GET", place, content_type: "", body: None };
    let answer = client.whole(send)?;
    let answer = client.success(answer)?;
    let people = std::io::IsTerminal::is_terminal(&std::io::stdout());
    if people && std::str::from_utf8(&answer.body).is_err() {
        return Err(Error::Usage {
            message: format!("the value is no text: {}", show_size(answer.body.len() as u64)),
            hint: Some("send it to a file with > FILE; --json prints it in base 64".to_owned()),
        });
    }
    terminal.bytes(&answer.body)?;
    let gap = if answer.body.is_empty() || answer.body.ends_with(b"\n") { "" } else { "\n" };
    let version = format!("version {}", answer.header(VERSION));
    terminal.say(format_args!("{gap}{}", Paint(Tone::Faint, version)));
    Ok(())
}

fn set(session: &mut Session, args: &SetArgs) -> Result<(), Error> {
    let (space, [key, value]) = apart(args.shared.as_deref(), &args.words, ["KEY", "VALUE"])?;
    let value = if value == "-" { input::file("-")? } else { input::data(value)? };
    if value.len() > limits::STATE_VALUE_BYTES_MAX {
        let (size, limit) = (value.len(), limits::STATE_VALUE_BYTES_MAX);
        return Err(Error::Usage {
            message: format!("the value has {size} bytes; the limit is {limit} bytes"),
            hint: Some("keep large things in a store of your own, and their address here".into()),
        });
    }
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&value).is_ok();
    let place = space.query(session.place(["state", "key"])?).with("key", key);
    let place = place.maybe("version", args.if_version);
    let content_type = "application/octet-stream";
    let send = Send { method: "PUT", place, content_type, body: Some(value) };
    let answer: StateSetView = session.client.json(send)?;
    if !is_json {
        let note = Paint(Tone::Warn, "note:");
        session.terminal.say(format_args!(
            "{note} the value is not JSON, which functions expect unless they read bytes; a text is \
             '\"in quotes\"'"
        ));
    }
    match session.terminal.json() {
        true => session.terminal.value(&answer),
        false => session.terminal.line(format_args!("version {}", answer.version)),
    }
}

fn delete(session: &mut Session, args: &DeleteArgs) -> Result<(), Error> {
    let shared = args.shared.as_deref();
    if args.all {
        let (space, []) = apart(shared, &args.words, [])?;
        return match args.yes {
            true => clear(session, session.place(["state"])?, (space, "all")),
            false => would_clear(session, space),
        };
    }
    if args.stream {
        let (space, [stream]) = apart(shared, &args.words, ["STREAM"])?;
        let place = session.place(["state", "stream"])?.with("stream", stream);
        return clear(session, place, (space, ""));
    }
    let (space, [key]) = apart(shared, &args.words, ["KEY"])?;
    let place = space.query(session.place(["state", "key"])?).with("key", key);
    session.client.delete(place.maybe("version", args.if_version))?;
    session.terminal.say(format_args!("deleted {}", quoted(key)));
    Ok(())
}

/// What `--all` would delete, without `--yes`.
fn would_clear(session: &mut Session, space: Space<'_>) -> Result<(), Error> {
    let place = session.place(["state"])?;
    let Session { client, terminal, .. } = session;
    let mut found: Option<StateNamespaceView> = None;
    client.pages(place, usize::MAX, &mut |view| {
        if space.is(&view) {
            found = Some(view);
        }
        Ok(())
    })?;
    let Some(view) = found else {
        return Err(Error::Missing {
            message: format!("there is no state of {}", space.typed()),
            hint: Some("nexus state list shows where there is some".into()),
        });
    };
    let more = if view.more { "more than " } else { "" };
    terminal.line(format_args!(
        "would delete {more}{} and {} of {}",
        counted(usize::try_from(view.keys).unwrap_or(usize::MAX), "key"),
        counted(usize::try_from(view.events).unwrap_or(usize::MAX), "event"),
        counted(usize::try_from(view.streams).unwrap_or(usize::MAX), "stream"),
    ))?;
    terminal.say("nothing was deleted: --yes does it, for good");
    Err(Error::Told(crate::exit::FAILED))
}

/// Deletes a stream or everything, request by request, until nothing is left.
fn clear(
    session: &mut Session,
    place: Place,
    (space, all): (Space<'_>, &str),
) -> Result<(), Error> {
    let place = space.query(place);
    let place = if all.is_empty() { place } else { place.with(all, true) };
    let mut sum = StateClearedView { keys: 0, events: 0, bytes: 0, more: true };
    while sum.more {
        let place = place.clone();
        let send = Send { method: "DELETE", place, content_type: "", body: None };
        let step: StateClearedView = session.client.json(send)?;
        sum.keys += step.keys;
        sum.events += step.events;
        sum.bytes += step.bytes;
        sum.more = step.more;
    }
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(&sum);
    }
    let keys = counted(usize::try_from(sum.keys).unwrap_or(usize::MAX), "key");
    let events = counted(usize::try_from(sum.events).unwrap_or(usize::MAX), "event");
    match all.is_empty() {
        true => terminal.say(format_args!("deleted {events}")),
        false => terminal.say(format_args!("deleted {keys} and {events}")),
    }
    Ok(())
}

fn stream(session: &mut Session, args: &StreamArgs) -> Result<(), Error> {
    let (space, [stream]) = apart(args.shared.as_deref(), &args.words, ["STREAM"])?;
    let place = space.query(session.place(["state", "stream"])?).with("stream", stream);
    let place = if args.after > 0 { place.with("after_version", args.after) } else { place };
    let Session { client, terminal, .. } = session;
    let mut views: Vec<StreamEventView> = Vec::new();
    let more = client.pages(place, args.limit, &mut |view| {
        views.push(view);
        Ok(())
    })?;
    if terminal.json() {
        return views.iter().try_for_each(|view| terminal.value(view));
    }
    let mut table =
        Table::new([Column::right("VERSION"), Column::right("SIZE"), Column::left("DATA").cut()]);
    for view in &views {
        table.row([
            Cell::new(view.version.to_string()),
            Cell::toned(Tone::Faint, show_size(view.bytes)),
            Cell::new(shown(&view.value)),
        ]);
    }
    if table.is_empty() {
        terminal.say(format_args!("no events after {}", args.after));
    }
    table.print(terminal)?;
    if let Some(last) = views.last().filter(|_| more) {
        let next = last.version;
        let note = format_args!("there are more: --after {next}, or --limit N");
        terminal.say(Paint(Tone::Faint, note));
    }
    Ok(())
}
