//! `nexus:function/durable`: waiting without being there.

use std::time::Duration;

use nexus_exec::journal::{Fault, Function, Outcome, hash_arguments};
use nexus_exec::{Payload, Signal, Suspension, Wake};
use nexus_model::{Timestamp, limits};
use nexus_wit::durable::{self, DurableError};
use nexus_wit::types;

use super::operation::Operation;
use crate::durable::Suspend;
use crate::ledger::lock;
use crate::state::State;

/// What a wait for a signal came to.
type Waited = Result<Option<types::Payload>, DurableError>;

const UNAVAILABLE: u8 = 1;

impl durable::Host for State {
    async fn sleep(&mut self, duration_ms: u64) -> wasmtime::Result<Result<(), DurableError>> {
        if let Err(refused) = self.may_wait(Some(duration_ms)) {
            return Ok(Err(refused));
        }
        let begin = operation(Function::Sleep, duration_ms, "");
        let until = self.begin_wait(&begin, Some(duration_ms))?;
        let end = operation(Function::Woken, 0, "");
        match self.played(&end)? {
            Some(Outcome::Done) => return Ok(Ok(())),
            Some(other) => return Err(self.unexpected(end.function, &other)),
            None => {}
        }
        if self.take_wake() != Some(Wake::Timer) {
            self.wait_until(until, None).await?;
        }
        self.record(&end, &Outcome::Done);
        self.keep_journal().await?;
        Ok(Ok(()))
    }

    async fn wait_signal(
        &mut self,
        name: String,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Waited> {
        if let Err(refused) = self.may_wait(timeout_ms) {
            return Ok(Err(refused));
        }
        if name.is_empty() || name.len() > limits::SIGNAL_NAME_BYTES_MAX {
            let limit = limits::SIGNAL_NAME_BYTES_MAX;
            let reason = format!("the name of a signal has 1 to {limit} bytes");
            return Ok(Err(DurableError::Invalid(reason)));
        }
        let timeout = timeout_ms.map_or(u64::MAX, |ms| ms).to_le_bytes();
        let arguments = hash_arguments(&[name.as_bytes(), &timeout]);
        let begin = operation(Function::WaitSignal, arguments, &name);
        let until = self.begin_wait(&begin, timeout_ms)?;
        let end = operation(Function::Signal, 0, "");
        let outcome = match self.played(&end)? {
            Some(outcome) => outcome,
            None => self.signal(&end, &name, until).await?,
        };
        Ok(match outcome {
            Outcome::Payload { content_type, data } => {
                Ok(Some(types::Payload { content_type, data: data.to_vec() }))
            }
            Outcome::Closed => Ok(None),
            Outcome::Failed(fault) => Err(DurableError::Unavailable(fault.text)),
            other => return Err(self.unexpected(end.function, &other)),
        })
    }
}

fn operation(function: Function, arguments: u64, text: &str) -> Operation {
    Operation { function, arguments, text: text.to_owned() }
}

impl State {
    /// Follows from the function and its arguments alone, and needs no place in the journal.
    fn may_wait(&self, duration_ms: Option<u64>) -> Result<(), DurableError> {
        if self.durable.is_none() {
            return Err(DurableError::NotDurable);
        }
        let limit = limits::SCHEDULE_AHEAD_MAX;
        match duration_ms {
            Some(ms) if Duration::from_millis(ms) > limit => {
                let limit = limit.as_millis();
                Err(DurableError::Invalid(format!("{ms} ms; the limit is {limit} ms")))
            }
            _ => Ok(()),
        }
    }

    /// When a wait ends, fixed when it began.
    fn begin_wait(
        &mut self,
        begin: &Operation,
        duration_ms: Option<u64>,
    ) -> wasmtime::Result<Option<Timestamp>> {
        match self.played(begin)? {
            Some(Outcome::Clock(ns)) => return Ok(Some(Timestamp::from_unix_ns(ns))),
            Some(Outcome::Done) => return Ok(None),
            Some(other) => return Err(self.unexpected(begin.function, &other)),
            None => {}
        }
        let until = duration_ms.map(|ms| self.clock.now().after(Duration::from_millis(ms)));
        let outcome = until.map_or(Outcome::Done, |until| Outcome::Clock(until.unix_ns()));
        self.record(begin, &outcome);
        Ok(until)
    }

    fn take_wake(&mut self) -> Option<Wake> {
        self.durable.as_mut()?.wake.take()
    }

    /// Records which signal came, or that none came in time.
    async fn signal(
        &mut self,
        end: &Operation,
        name: &str,
        until: Option<Timestamp>,
    ) -> wasmtime::Result<Outcome> {
        let found = match self.take_wake() {
            Some(Wake::Signal(signal)) => Ok(Some(signal)),
            Some(Wake::TimedOut) => Ok(None),
            Some(Wake::Timer) | None => self.look_for(name, until).await?,
        };
        let outcome = match found {
            Ok(Some(signal)) => {
                // Noted before the operation is, under one lock: a signal is taken in the piece that
                // holds the operation.
                let Payload { content_type, data } = signal.payload;
                let outcome = Outcome::Payload { content_type, data };
                {
                    let mut ledger = lock(&self.ledger);
                    ledger.signals.push(signal.id);
                    ledger.record(end.function, end.arguments, &end.text, &outcome);
                }
                self.keep_journal().await?;
                return Ok(outcome);
            }
            Ok(None) => Outcome::Closed,
            Err(text) => Outcome::Failed(Fault { code: UNAVAILABLE, text, number: None }),
        };
        self.record(end, &outcome);
        self.keep_journal().await?;
        Ok(outcome)
    }

    async fn look_for(
        &mut self,
        name: &str,
        until: Option<Timestamp>,
    ) -> wasmtime::Result<Result<Option<Signal>, String>> {
        let Some(host) = self.host.clone() else { wasmtime::bail!("a signal without a host") };
        loop {
            lock(&self.ledger).in_flight = Some(Function::Signal);
            match host.signal(&self.context, name).await {
                Ok(None) => {}
                Ok(found) => return Ok(Ok(found)),
                Err(error) => return Ok(Err(error.to_string())),
            }
            if until.is_some_and(|until| until <= self.clock.now()) {
                return Ok(Ok(None));
            }
            self.wait_until(until, Some(name)).await?;
        }
    }

    /// Waits for a short while; for a longer one the instance goes away.
    async fn wait_until(
        &mut self,
        until: Option<Timestamp>,
        signal: Option<&str>,
    ) -> wasmtime::Result<()> {
        if let Some(until) = until {
            let left = until.since(self.clock.now());
            if left <= limits::DURABLE_WAIT_INLINE_MAX {
                lock(&self.ledger).in_flight = Some(Function::Sleep);
                tokio::time::sleep(left).await;
                return Ok(());
            }
        }
        self.keep_journal().await?;
        let signal = signal.map(str::to_owned);
        let ran = lock(&self.ledger).origin.elapsed();
        Err(wasmtime::Error::new(Suspend(Suspension { until, signal, ran })))
    }
}
