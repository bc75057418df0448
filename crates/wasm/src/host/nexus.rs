//! `nexus:function`: context, events, log.

use std::time::Instant;

use nexus_exec::journal::{Fault, Function, Outcome, hash_arguments};
use nexus_exec::{EmitError, Progress};
use nexus_model::record::{LogLine, Stream};
use nexus_model::{Timestamp, limits};
use nexus_wit::{context, events, log, types};

use super::operation::{Live, Operation};
use crate::event;
use crate::ledger::lock;
use crate::state::State;

impl types::Host for State {}

impl context::Host for State {
    fn invocation_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.id.to_string())
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        Ok(self.context.attempt)
    }

    fn function(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.function.to_string())
    }

    fn project(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.project.to_string())
    }

    fn traceparent(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.traceparent.to_string())
    }

    fn deadline_ms(&mut self) -> wasmtime::Result<u64> {
        if self.durable.is_none() {
            return Ok(self.context.deadline.unix_ms().unsigned_abs());
        }
        // It moves while the function sleeps, so it is a reading of a clock.
        const FUNCTION: Function = Function::Deadline;
        let mut ledger = lock(&self.ledger);
        let ns = match ledger.replayed(FUNCTION, 0, "")? {
            Some(Outcome::Clock(ns)) => ns,
            Some(other) => return Err(ledger.unexpected(FUNCTION, &other)),
            None => {
                let left = self.stop_at.deadline.saturating_duration_since(Instant::now());
                let ns = self.clock.now().after(left).unix_ns();
                ledger.record(FUNCTION, 0, "", &Outcome::Clock(ns));
                ns
            }
        };
        Ok(Timestamp::from_unix_ns(ns).unix_ms().unsigned_abs())
    }

    fn idempotency_key(&mut self) -> wasmtime::Result<String> {
        Ok(State::idempotency_key(self))
    }

    fn progress(&mut self, percent: Option<u8>, mut message: String) -> wasmtime::Result<()> {
        message.truncate(message.floor_char_boundary(limits::PROGRESS_BYTES_MAX));
        let percent = percent.map(|percent| percent.min(100));
        let arguments = u64::from(percent.map_or(0, |percent| percent + 1)).to_le_bytes();
        let arguments = hash_arguments(&[&arguments, message.as_bytes()]);
        let operation = Operation { function: Function::Progress, arguments, text: message };
        if self.played(&operation)?.is_none() {
            if let Some(host) = &self.host {
                let message = operation.text.clone();
                host.progress(&self.context, Progress { percent, message });
            }
            self.record(&operation, &Outcome::Done);
        }
        Ok(())
    }
}

const INVALID: u8 = 1;
const UNAVAILABLE: u8 = 2;

impl events::Host for State {
    async fn emit(
        &mut self,
        emitted: Vec<types::Event>,
    ) -> wasmtime::Result<Result<Vec<String>, events::EmitError>> {
        const FUNCTION: Function = Function::Emit;
        let arguments = hash_events(&emitted);
        let first = {
            let mut ledger = lock(&self.ledger);
            let first = ledger.emitted;
            ledger.emitted += emitted.len();
            first
        };
        let operation = Operation { function: FUNCTION, arguments, text: String::new() };
        let outcome = self
            .effect(&operation, |live| async move {
                match emit_live(&live, (emitted, first)).await {
                    Ok(ids) => Outcome::Texts(ids),
                    Err(fault) => Outcome::Failed(fault),
                }
            })
            .await?;
        Ok(match outcome {
            Outcome::Texts(ids) => Ok(ids),
            Outcome::Failed(fault) => Err(emit_error(fault)),
            other => return Err(self.unexpected(FUNCTION, &other)),
        })
    }
}

async fn emit_live(
    live: &Live,
    (emitted, first): (Vec<types::Event>, usize),
) -> Result<Vec<String>, Fault> {
    let invalid = |text| Fault { code: INVALID, text, number: None };
    let count = first + emitted.len();
    if count > limits::EMITTED_EVENTS_MAX {
        let limit = limits::EMITTED_EVENTS_MAX;
        return Err(invalid(format!("{count} events; an invocation may emit {limit}")));
    }
    let mut batch = Vec::with_capacity(emitted.len());
    for (index, event) in emitted.into_iter().enumerate() {
        let event = event::from_guest(event, &live.context, ("emit", first + index));
        batch.push(event.map_err(invalid)?);
    }
    match live.host.emit(&live.context, batch).await {
        Ok(ids) => Ok(ids.iter().map(ToString::to_string).collect()),
        Err(EmitError::Invalid(text)) => Err(invalid(text)),
        Err(EmitError::Unavailable(text)) => Err(Fault { code: UNAVAILABLE, text, number: None }),
    }
}

fn emit_error(fault: Fault) -> events::EmitError {
    match fault.code {
        UNAVAILABLE => events::EmitError::Unavailable(fault.text),
        _ => events::EmitError::Invalid(fault.text),
    }
}

fn hash_events(events: &[types::Event]) -> u64 {
    let mut parts: Vec<&[u8]> = Vec::new();
    for event in events {
        parts.extend([event.id.as_bytes(), event.source.as_bytes(), event.ty.as_bytes()]);
        let texts = [&event.subject, &event.time, &event.datacontenttype, &event.dataschema];
        for text in texts {
            parts.push(text.as_ref().map_or(&[], |text| text.as_bytes()));
        }
        for (name, value) in &event.extensions {
            parts.extend([name.as_bytes(), value.as_bytes()]);
        }
        parts.push(event.data.as_deref().unwrap_or(&[]));
    }
    hash_arguments(&parts)
}

impl log::Host for State {
    fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => "trace",
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        let mut ledger = lock(&self.ledger);
        let after_operation = ledger.operations();
        let mut text = message;
        if text.len() > limits::LOG_LINE_BYTES_MAX {
            let cut = text.floor_char_boundary(limits::LOG_LINE_BYTES_MAX);
            text.truncate(cut);
            text.push('…');
        }
        ledger.logs.push(LogLine {
            stream: Stream::Log as i32,
            text,
            level: level.to_owned(),
            fields: event::fields_json(&fields),
            after_operation,
            ..LogLine::default()
        });
        Ok(())
    }
}
