//! `nexus emit`: sends one event made from flags, or events from a file.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;

use clap::Args;
use nexus_model::view::{Accepted, AcceptedEvent};
use nexus_model::{
    AttributeValue, Clock as _, Event, EventId, IdMint, Partition, SystemClock, Timestamp, limits,
};
use serde_json::value::RawValue;

use crate::client::Send;
use crate::commands::input;
use crate::{Error, Paint, Session, Tone, units};

/// Send CloudEvents
///
/// With a type, the event is made from the flags. With --file, events are read from JSON: one event,
/// an array, or one event after another.
#[derive(Args, Debug)]
pub struct EmitArgs {
    /// The event's type, such as com.shop.order.created
    #[arg(value_name = "TYPE", required_unless_present = "file", conflicts_with = "file")]
    pub ty: Option<String>,
    /// The event's data: text, @file or @- for standard input
    #[arg(short, long, value_name = "DATA")]
    pub data: Option<String>,
    /// The media type of the data [default: found by looking at it]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// Where it comes from
    #[arg(long, value_name = "URI", default_value = "/nexus/cli")]
    pub source: String,
    /// What it is about
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// Its id: the same source and id again is a duplicate [default: a new one]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// An extension attribute (repeatable)
    #[arg(long = "ext", value_name = "NAME=VALUE", value_parser = input::attribute)]
    pub ext: Vec<(String, AttributeValue)>,
    /// Not now but at this time: RFC 3339, a date, or a local time
    #[arg(long, value_name = "TIME", conflicts_with = "after")]
    pub at: Option<String>,
    /// Not now but after this long: 5m, 2h, 7d
    #[arg(long = "in", value_name = "DURATION", value_parser = units::parse_duration)]
    pub after: Option<std::time::Duration>,
    /// Events in JSON: a file, or - for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["data", "subject", "id", "ext"])]
    pub file: Option<String>,
}

pub(crate) fn run(session: &mut Session, args: &EmitArgs) -> Result<(), Error> {
    let due = match (&args.at, args.after) {
        (Some(text), _) => Some(due(text, session)?),
        (None, Some(after)) => Some(SystemClock.now().after(after)),
        (None, None) => None,
    };
    let place = session.place(["events"])?.maybe("at", due);
    let events = match (&args.file, &args.ty) {
        (Some(file), _) => parse(file, &input::file(file)?)?,
        (None, Some(ty)) => {
            let event = from_flags(ty, args)?;
            if let (Some(data), None) = (&event.data, &args.content_type) {
                input::say_broken(&mut session.terminal, data);
            }
            vec![event]
        }
        (None, None) => return Err(Error::usage("an event's type or --file is needed")),
    };
    for batch in batches(&events) {
        let body = serde_json::to_vec(&batch).map_err(|error| Error::Protocol {
            what: "the batch".to_owned(),
            reason: error.to_string(),
        })?;
        let send = Send {
            method: "POST",
            place: place.clone(),
            content_type: "application/cloudevents-batch+json",
            body: Some(body),
        };
        let accepted: Accepted = session.client.json(send)?;
        for event in &accepted.events {
            print(session, event)?;
        }
    }
    Ok(())
}

/// A moment to come: `2026-12-01T10:00Z`, `2026-12-01`, `10:00`.
fn due(text: &str, session: &Session) -> Result<Timestamp, Error> {
    // RFC 3339 wants seconds; people leave them out.
    let complete = match text.strip_suffix('Z') {
        Some(minutes) if minutes.matches(':').count() == 1 => format!("{minutes}:00Z"),
        _ => text.to_owned(),
    };
    if units::parse_duration(text).is_ok() {
        return Err(Error::Usage {
            message: format!("'{text}' is a duration, not a time"),
            hint: Some(format!("--in {text}")),
        });
    }
    units::parse_moment(&complete, session.terminal.now, &session.terminal.zone)
        .map_err(Error::usage)
}

fn print(session: &mut Session, event: &AcceptedEvent) -> Result<(), Error> {
    if session.terminal.json() {
        return session.terminal.value(event);
    }
    session.terminal.line(event.id)?;
    if event.duplicate {
        session.terminal.say(format_args!(
            "{} {} was there already (same source and id)",
            Paint(Tone::Warn, "duplicate:"),
            event.id
        ));
    }
    if let Some(warning) = &event.warning {
        session.terminal.say(format_args!("{} {warning}", Paint(Tone::Warn, "warning:")));
    }
    Ok(())
}

fn from_flags(ty: &str, args: &EmitArgs) -> Result<Event, Error> {
    let id = args.id.clone().unwrap_or_else(new_id);
    let mut event = Event::new(id, args.source.as_str(), ty);
    event.time = Some(SystemClock.now());
    event.subject = args.subject.clone();
    event.extensions = args.ext.clone();
    if let Some(data) = &args.data {
        let data = input::data(data)?;
        let media_type = args.content_type.clone();
        event.datacontenttype =
            Some(media_type.unwrap_or_else(|| input::media_type(&data).to_owned()));
        event.data = Some(data.into());
    }
    event.validate().map_err(|error| Error::usage(error.to_string()))?;
    Ok(event)
}

/// An id that no other event has: time, and what the process' hash keys make of it.
fn new_id() -> String {
    let salt = std::hash::RandomState::new().build_hasher().finish();
    let mint = IdMint::new(Arc::new(SystemClock), salt);
    // Not to be taken for the id that the log gives.
    let id = mint.mint::<EventId>(Partition::of("", "")).to_string();
    id.trim_start_matches("evt_").to_owned()
}

/// Reads one event, an array of events, or one value after another.
fn parse(file: &str, text: &[u8]) -> Result<Vec<Event>, Error> {
    let wrong = |index: usize, reason: String| {
        Error::usage(format!("{file}: event {}: {reason}", index + 1))
    };
    let mut events: Vec<Event> = Vec::new();
    for value in serde_json::Deserializer::from_slice(text).into_iter::<Box<RawValue>>() {
        let value = value.map_err(|error| wrong(events.len(), error.to_string()))?;
        let raw = value.get().as_bytes();
        if raw.starts_with(b"[") {
            let before = events.len();
            let batch = Event::from_json_batch(raw)
                .map_err(|(index, error)| wrong(before + index, error.to_string()))?;
            events.extend(batch);
        } else {
            let event =
                Event::from_json(raw).map_err(|error| wrong(events.len(), error.to_string()))?;
            events.push(event);
        }
    }
    match events.is_empty() {
        true => Err(Error::usage(format!("{file}: no events"))),
        false => Ok(events),
    }
}

/// Cuts a list into requests below the limits of a batch.
fn batches(events: &[Event]) -> Vec<&[Event]> {
    let (mut cut, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, event) in events.iter().enumerate() {
        let size = event.data.as_ref().map_or(0, |data| data.len() * 4 / 3) + 1_024;
        let full =
            index - start == limits::BATCH_EVENTS_MAX || bytes + size > limits::BATCH_BYTES_MAX;
        if full && index > start {
            cut.push(&events[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    if start < events.len() {
        cut.push(&events[start..]);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

    #[test]
    fn one_event_an_array_or_many_lines() {
        for (text, count) in [
            (EVENT.to_owned(), 1),
            (format!("[{EVENT},{EVENT}]"), 2),
            (format!("{EVENT}\n{EVENT}\n\n{EVENT}\n"), 3),
        ] {
            assert_eq!(parse("f", text.as_bytes()).unwrap().len(), count);
        }
        let wrong = parse("f", format!("{EVENT}\n{{}}").as_bytes()).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "f: event 2: the required attribute 'specversion' is missing"
        );
        assert!(parse("f", b" ").is_err());
    }

    #[test]
    fn batches_stay_below_their_limits() {
        let event = Event::from_json(EVENT.as_bytes()).unwrap();
        let events = vec![event; limits::BATCH_EVENTS_MAX * 2 + 1];
        let sizes: Vec<_> = batches(&events).iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [limits::BATCH_EVENTS_MAX, limits::BATCH_EVENTS_MAX, 1]);
    }
}
