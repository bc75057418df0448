//! `nexus dead-letters`: deliveries that were given up.

use clap::{Args, Subcommand};
use nexus_model::view::{BulkView, DeadLetterCount, DeadLetterDetail, DeadLetterView};
use serde_json::{Map, Value, json};

use super::history;
use crate::client::{Place, Send};
use crate::commands::{edit, input};
use crate::render::{Cell, Column, Table, block, payload, status_tone};
use crate::units::show_duration;
use crate::{Error, Paint, Session, Tone};

/// Deliveries that were given up: list, show, redrive and drop them
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeadLettersArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<DeadLettersCommand>,
    /// Which
    #[command(flatten)]
    pub filter: DeadFilterArgs,
    /// Count them by function and reason instead
    #[arg(long)]
    pub count: bool,
    /// At most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = history::limit)]
    pub limit: usize,
    /// In all projects
    #[arg(short = 'A', long)]
    pub all_projects: bool,
}

/// Which dead letters.
#[derive(Args, Clone, Debug, Default)]
pub struct DeadFilterArgs {
    /// Of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Of this trigger
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// With this code, such as NX5001
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Of this event type; a trailing * matches any ending
    #[arg(long = "type", value_name = "TYPE")]
    pub ty: Option<String>,
    /// Given up from here on: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Given up before: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Other commands about dead letters.
#[derive(Subcommand, Debug)]
pub enum DeadLettersCommand {
    /// Show the event and every attempt
    Show {
        /// The event's id
        event: String,
    },
    /// Try dead letters again: one, many by filter, or all
    Redrive(RedriveArgs),
    /// Take dead letters out for good
    Drop(DropArgs),
}

/// Which dead letters, and how they are tried again.
#[derive(Args, Debug)]
pub struct RedriveArgs {
    /// The event's id; without it all that the filter means
    #[arg(required_unless_present_any = ["all", "function", "trigger", "code", "ty", "since", "until"])]
    pub event: Option<String>,
    /// Which
    #[command(flatten)]
    pub filter: DeadFilterArgs,
    /// All of the project
    #[arg(long)]
    pub all: bool,
    /// How many begin per second: 100/s
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<u32>,
    /// Only say how many there are
    #[arg(long)]
    pub dry_run: bool,
    /// Other data for the event: text, @file or @- for standard input
    #[arg(short, long, value_name = "DATA", requires = "event", conflicts_with = "edit")]
    pub data: Option<String>,
    /// The media type of the data [default: found by looking at it]
    #[arg(long, value_name = "TYPE", requires = "data")]
    pub content_type: Option<String>,
    /// Edit the event's data in $EDITOR first
    #[arg(short, long, requires = "event")]
    pub edit: bool,
    /// Why: kept with the decision
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// Which dead letters, and why they go.
#[derive(Args, Debug)]
pub struct DropArgs {
    /// The event's id; without it all that the filter means
    #[arg(required_unless_present_any = ["all", "function", "trigger", "code", "ty", "since", "until"])]
    pub event: Option<String>,
    /// Which
    #[command(flatten)]
    pub filter: DeadFilterArgs,
    /// All of the project
    #[arg(long)]
    pub all: bool,
    /// Only say how many there are
    #[arg(long)]
    pub dry_run: bool,
    /// Why: kept with the decision
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "dry_run",
        default_value = "",
        hide_default_value = true
    )]
    pub reason: String,
}

/// `100/s` or `100`.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(rate @ 1..) => Ok(rate),
        _ => Err(format!("'{text}' is not a rate such as 100/s")),
    }
}

pub(crate) fn run(session: &mut Session, args: &DeadLettersArgs) -> Result<(), Error> {
    match &args.command {
        None if args.count => count(session, args),
        None => list(session, args),
        Some(DeadLettersCommand::Show { event }) => show(session, event),
        Some(DeadLettersCommand::Redrive(args)) => redrive(session, args),
        Some(DeadLettersCommand::Drop(args)) => discard(session, args),
    }
}

impl DeadFilterArgs {
    fn pairs(&self, session: &Session) -> Result<Vec<(&'static str, String)>, Error> {
        let moment = |text: &Option<String>| {
            let at = history::moment(text.as_deref(), &session.terminal)?;
            Ok::<_, Error>(at.map(|at| at.to_string()))
        };
        let pairs = [
            ("function", self.function.clone()),
            ("trigger", self.trigger.clone()),
            ("code", self.code.clone()),
            ("type", self.ty.clone()),
            ("since", moment(&self.since)?),
            ("until", moment(&self.until)?),
        ];
        Ok(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn query(&self, session: &Session, mut place: Place) -> Result<Place, Error> {
        for (name, value) in self.pairs(session)? {
            place = place.with(name, value);
        }
        Ok(place)
    }

    fn object(&self, session: &Session, event: Option<&String>) -> Result<Value, Error> {
        let mut object = Map::new();
        for (name, value) in self.pairs(session)? {
            object.insert(name.to_owned(), value.into());
        }
        if let Some(event) = event {
            object.insert("event".to_owned(), event.as_str().into());
        }
        Ok(object.into())
    }
}

fn list(session: &mut Session, args: &DeadLettersArgs) -> Result<(), Error> {
    let place = session.history(args.all_projects, ["dead-letters"])?;
    let place = args.filter.query(session, place)?;
    let Session { client, terminal, .. } = session;
    let mut letters: Vec<DeadLetterView> = Vec::new();
    let more = client.pages(place, args.limit, &mut |letter| {
        letters.push(letter);
        Ok(())
    })?;
    if terminal.json() {
        return letters.iter().try_for_each(|letter| terminal.value(letter));
    }
    let mut table = Table::new([
        Column::left("TIME"),
        Column::left("EVENT"),
        Column::left("TYPE").optional(),
        Column::left("FUNCTION"),
        Column::left("CODE"),
        Column::right("ATTEMPTS").optional(),
        Column::left("REASON").cut(),
    ]);
    for letter in &letters {
        let function = match letter.trigger.as_str() {
            "" => letter.function.clone(),
            trigger => format!("{} ({trigger})", letter.function),
        };
        table.row([
            Cell::toned(Tone::Faint, terminal.time(letter.at)),
            Cell::toned(Tone::Key, letter.event.to_string()),
            Cell::new(letter.ty.as_str()),
            Cell::toned(Tone::Strong, function),
            Cell::new(letter.code.as_str()),
            Cell::new(letter.attempts.to_string()),
            Cell::new(reason(letter)),
        ]);
    }
    if table.is_empty() {
        let about = (args.all_projects, args.filter.function.as_deref());
        return history::say_empty(session, "dead letters", about);
    }
    table.print(terminal)?;
    if more || letters.len() == args.limit {
        history::say_more(terminal, args.limit);
    }
    Ok(())
}

/// Why a delivery was given up, without the code, which stands beside it.
fn reason(letter: &DeadLetterView) -> &str {
    let reason = letter.reason.strip_prefix(&letter.code).and_then(|rest| rest.strip_prefix(": "));
    reason.unwrap_or(&letter.reason).trim_end()
}

fn count(session: &mut Session, args: &DeadLettersArgs) -> Result<(), Error> {
    let place = session.history(args.all_projects, ["dead-letters", "counts"])?;
    let place = args.filter.query(session, place)?;
    let counts: Vec<DeadLetterCount> = session.client.list(place)?;
    let terminal = &mut session.terminal;
    if terminal.json() {
        return counts.iter().try_for_each(|count| terminal.value(count));
    }
    let mut table = Table::new([
        Column::left("PROJECT").optional(),
        Column::left("FUNCTION"),
        Column::left("TRIGGER").optional(),
        Column::left("CODE"),
        Column::right("COUNT"),
    ]);
    for at in &counts {
        table.row([
            Cell::new(if args.all_projects { at.project.as_str() } else { "" }),
            Cell::toned(Tone::Strong, at.function.as_str()),
            Cell::new(at.trigger.as_str()),
            Cell::new(at.code.as_str()),
            Cell::new(at.count.to_string()),
        ]);
    }
    if table.is_empty() {
        terminal.say("no dead letters");
    }
    table.print(terminal)
}

fn show(session: &mut Session, event: &str) -> Result<(), Error> {
    let details: Vec<DeadLetterDetail> =
        session.client.list(session.place(["dead-letters", event])?)?;
    let terminal = &mut session.terminal;
    if terminal.json() {
        return details.iter().try_for_each(|detail| terminal.value(detail));
    }
    for detail in &details {
        let letter = &detail.letter;
        terminal.line(format_args!(
            "{}  {}",
            Paint(Tone::Key, letter.event),
            Paint(Tone::Strong, format_args!("{}/{}", letter.project, letter.function)),
        ))?;
        for (name, value) in [
            ("type", letter.ty.clone()),
            ("trigger", letter.trigger.clone()),
            ("given up", terminal.time(letter.at)),
            ("code", letter.code.clone()),
            ("reason", reason(letter).replace('\n', "\n            ")),
        ] {
            if !value.is_empty() {
                let name = Paint(Tone::Faint, format!("{name:<9}"));
                terminal.line(format_args!("  {name} {value}"))?;
            }
        }
        terminal.line("")?;
        let mut table = Table::new([
            Column::right("ATTEMPT"),
            Column::left("TIME"),
            Column::left("INVOCATION"),
            Column::left("STATUS"),
            Column::right("TOOK"),
            Column::left("REASON").cut(),
        ]);
        for attempt in &detail.history {
            table.row([
                Cell::new(attempt.attempt.to_string()),
                Cell::toned(Tone::Faint, terminal.time(attempt.at)),
                Cell::toned(Tone::Key, attempt.invocation.to_string()),
                Cell::toned(status_tone(attempt.status), attempt.status.word()),
                Cell::new(show_duration(attempt.duration_ns)),
                Cell::new(attempt.reason.as_str()),
            ]);
        }
        table.print(terminal)?;
        if let Some(content) = &detail.content {
            block(terminal, "Event", "")?;
            payload(terminal, &serde_json::to_value(&content.event).unwrap_or_default())?;
        }
    }
    Ok(())
}

fn redrive(session: &mut Session, args: &RedriveArgs) -> Result<(), Error> {
    let mut body = json!({
        "filter": args.filter.object(session, args.event.as_ref())?,
        "all": args.all,
        "dry_run": args.dry_run,
        "reason": args.reason,
    });
    if let Some(rate) = args.rate {
        body["rate"] = rate.into();
    }
    let data = match (&args.data, args.edit, &args.event) {
        (Some(data), _, _) => Some(input::data(data)?),
        (None, true, Some(event)) => Some(edited(session, event)?),
        _ => None,
    };
    if let Some(data) = data {
        let detected = input::media_type(&data);
        body["content_type"] = args.content_type.as_deref().unwrap_or(detected).into();
        match serde_json::from_slice::<Value>(&data) {
            Ok(json) => body["data"] = json,
            Err(_) => body["data_base64"] = input::base64(&data).into(),
        }
    }
    bulk(session, ("redrive", args.dry_run), &body)
}

/// The event's data as somebody leaves it in an editor.
fn edited(session: &mut Session, event: &str) -> Result<Vec<u8>, Error> {
    let details: Vec<DeadLetterDetail> =
        session.client.list(session.place(["dead-letters", event])?)?;
    let content = details.into_iter().find_map(|detail| detail.content);
    let data = content.and_then(|content| content.event.data).ok_or_else(|| Error::Missing {
        message: format!("the data of event {event} cannot be read"),
        hint: Some("the token needs the scope read-payload; or give --data".into()),
    })?;
    let text = match serde_json::from_slice::<Value>(&data) {
        Ok(json) => serde_json::to_vec_pretty(&json).unwrap_or_else(|_| data.to_vec()),
        Err(_) => data.to_vec(),
    };
    edit::edit(&text, ".json")
}

fn discard(session: &mut Session, args: &DropArgs) -> Result<(), Error> {
    let body = json!({
        "filter": args.filter.object(session, args.event.as_ref())?,
        "all": args.all,
        "dry_run": args.dry_run,
        "reason": args.reason,
    });
    bulk(session, ("drop", args.dry_run), &body)
}

fn bulk(session: &mut Session, (what, dry): (&str, bool), body: &Value) -> Result<(), Error> {
    let place = session.place(["dead-letters", what])?;
    let bytes = serde_json::to_vec(body).map_err(|error| Error::Protocol {
        what: "the request".to_owned(),
        reason: error.to_string(),
    })?;
    let send = Send { method: "POST", place, content_type: "application/json", body: Some(bytes) };
    let done: BulkView = session.client.json(send)?;
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(&done);
    }
    let past = if what == "drop" { "dropped" } else { "redriven" };
    match dry {
        true => terminal.line(format_args!("{} would be {past}", letters(done.matched)))?,
        false => terminal.line(format_args!("{} {past}", letters(done.done)))?,
    }
    if let Some(event) = done.replaced_by {
        terminal.say(Paint(Tone::Faint, format_args!("with its new data it is {event}")));
    }
    if let Some(until) = done.until {
        let until = terminal.time(until);
        terminal.say(Paint(Tone::Faint, format_args!("the last one begins at {until}")));
    }
    Ok(())
}

fn letters(count: u64) -> String {
    match count {
        1 => "1 dead letter".to_owned(),
        count => format!("{count} dead letters"),
    }
}
