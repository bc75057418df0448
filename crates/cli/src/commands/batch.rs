//! `nexus invoke --batch`: one call for each line of a file, some at the same time, results in order.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::invoke::{self, InvokeArgs};
use crate::client::{Client, Place, Send, problem};
use crate::commands::input;
use crate::{Error, Paint, Session, Terminal, Tone, exit};

/// What came of one line.
struct Line {
    index: usize,
    ok: bool,
    value: Value,
}

pub(crate) fn run(session: &mut Session, args: &InvokeArgs, file: &str) -> Result<(), Error> {
    let text = input::file(file)?;
    let lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(Error::usage(format!("{file} has no lines")));
    }
    let place = invoke::place(session, args)?;
    let workers = usize::from(args.concurrency).min(lines.len());
    let Session { client, terminal, .. } = session;
    let call = Call { client, place: &place, args };
    let next = Mutex::new(0..lines.len());
    let failed = std::thread::scope(|scope| {
        // Bounded: results wait for earlier ones, not for ever.
        let (tell, heard) = mpsc::sync_channel::<Line>(workers * 2);
        for _ in 0..workers {
            let (tell, next, lines, call) = (tell.clone(), &next, &lines, &call);
            scope.spawn(move || {
                loop {
                    let index = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(index) = index else { return };
                    if tell.send(call.line(index, lines[index])).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        print(terminal, heard)
    })?;
    summary(terminal, lines.len(), failed);
    if failed == 0 { Ok(()) } else { Err(Error::Told(exit::FAILED)) }
}

struct Call<'a> {
    client: &'a Client,
    place: &'a Place,
    args: &'a InvokeArgs,
}

impl Call<'_> {
    fn line(&self, index: usize, line: &[u8]) -> Line {
        let content_type = self.args.content_type.as_deref().unwrap_or("application/json");
        let send = Send {
            method: "POST",
            place: self.place.clone(),
            content_type,
            body: Some(line.to_vec()),
        };
        let mut outcome = match self.client.whole_with(send, &self.args.headers) {
            Err(error) => Line { index, ok: false, value: json!({ "error": error.chain() }) },
            Ok(answer) => match problem(&answer) {
                Some(problem) => {
                    let value = json!({
                        "invocation": problem.invocation_id,
                        "status": problem.status,
                        "code": problem.code,
                        "error": problem.detail,
                    });
                    Line { index, ok: false, value }
                }
                None => {
                    let ok = answer.status < 400;
                    Line { index, ok, value: invoke::as_json(&answer) }
                }
            },
        };
        if let Some(fields) = outcome.value.as_object_mut() {
            fields.insert("line".to_owned(), (index + 1).into());
        }
        outcome
    }
}

/// Prints results in the order of the lines; returns how many failed.
fn print(terminal: &mut Terminal, heard: mpsc::Receiver<Line>) -> Result<usize, Error> {
    let mut early: BTreeMap<usize, Line> = BTreeMap::new();
    let (mut next, mut failed) = (0, 0);
    for line in heard {
        failed += usize::from(!line.ok);
        early.insert(line.index, line);
        while let Some(line) = early.remove(&next) {
            terminal.value(&line.value)?;
            next += 1;
        }
    }
    Ok(failed)
}

fn summary(terminal: &mut Terminal, lines: usize, failed: usize) {
    let tone = if failed == 0 { Tone::Good } else { Tone::Bad };
    let text = format!("{} of {lines} calls succeeded", lines - failed);
    match terminal.json() {
        true => terminal.say(json!({ "calls": lines, "failed": failed })),
        false => terminal.say(Paint(tone, text)),
    }
}
