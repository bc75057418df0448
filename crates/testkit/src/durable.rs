//! Durable behaviours of the fake runtime: steps with a journal of the real format, which is kept
//! and repeated like a guest's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nexus_exec::journal::{
    EnvEntry, Fault, Function, Header, Outcome, Partial, Player, Recorder, Stop,
};
use nexus_exec::{
    CallContext, CallError, FunctionCall, Host, Payload, Piece, StartOptions, Suspension, Unit,
    Wake,
};
use nexus_model::record::Status;
use nexus_model::{Clock as _, Code, Event, SystemClock, Timestamp};

/// A journal of any length.
const JOURNAL_BYTES_MAX: usize = 1 << 30;

/// How the steps stopped before their end.
pub(crate) enum Stopped {
    Asleep(Suspension),
    Failed(Status, Code, String),
}

/// One run of the steps of an invocation.
pub(crate) struct Run {
    context: Arc<CallContext>,
    host: Arc<dyn Host>,
    player: Option<Player>,
    recorder: Recorder,
    wake: Option<Wake>,
    signals: Vec<[u8; 16]>,
    header: Header,
}

impl Run {
    /// Begins, or goes on from what was kept.
    pub(crate) fn new(
        (context, unit): (Arc<CallContext>, &Unit),
        host: Arc<dyn Host>,
        (resume, wake): (Option<Bytes>, Option<Wake>),
    ) -> Result<Self, Stopped> {
        let env = unit.env.iter().map(|var| match &var.secret {
            Some((secret, version)) => EnvEntry::Secret {
                name: var.name.clone(),
                secret: secret.to_string(),
                version: *version,
            },
            None => EnvEntry::Plain { name: var.name.clone(), value: var.value.clone() },
        });
        let mut header = Header {
            invocation: *context.id.as_bytes(),
            durable: true,
            env: env.collect(),
            ..Header::default()
        };
        let mut player = None;
        if let Some(pieces) = resume {
            let partial = Partial::decode(&pieces).map_err(|error| {
                Stopped::Failed(Status::Refused, Code::BadJournal, error.to_string())
            })?;
            if partial.journal.header.env != header.env {
                let reason = "another environment".to_owned();
                return Err(Stopped::Failed(Status::Refused, Code::NotReplayable, reason));
            }
            header = partial.journal.header.clone();
            player = Some(Player::new(partial.journal));
        }
        let recorder = Recorder::new(&header, Instant::now(), JOURNAL_BYTES_MAX);
        let mut run = Run { context, host, player, recorder, wake, signals: Vec::new(), header };
        run.go_live_at_the_end();
        Ok(run)
    }

    fn go_live_at_the_end(&mut self) {
        if let Some(player) = self.player.take_if(|player| player.is_at_end()) {
            self.recorder = player.go_on(&self.header, Instant::now(), JOURNAL_BYTES_MAX);
        }
    }

    /// Does the steps, separated by `;`, one after the other, and gives what each came to.
    pub(crate) async fn steps(&mut self, steps: &str) -> Result<Vec<String>, Stopped> {
        let mut results = Vec::new();
        for step in steps.split(';') {
            let mut words = step.split_whitespace();
            let verb = words.next().unwrap_or_default();
            let words: Vec<&str> = words.collect();
            results.push(self.step(verb, &words).await?);
        }
        Ok(results)
    }

    async fn step(&mut self, verb: &str, words: &[&str]) -> Result<String, Stopped> {
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        let ms = |index: usize| word(index).parse::<u64>().ok();
        match verb {
            "say" => Ok(words.join(" ")),
            "sleep" => self.wait(None, ms(0)).await,
            "signal" => self.wait(Some(word(0)), ms(1)).await,
            "call" => self.effect(Function::Invoke, Effect::Call(word(0))).await,
            "start" => {
                let delay = Duration::from_millis(ms(1).unwrap_or_default());
                self.effect(Function::Start, Effect::Start(word(0), delay)).await
            }
            "emit" => self.effect(Function::Emit, Effect::Emit(word(0))).await,
            other => {
                let reason = format!("no such step: {other}");
                Err(Stopped::Failed(Status::Refused, Code::GuestRefused, reason))
            }
        }
    }

    fn played(&mut self, function: Function, text: &str) -> Result<Option<Outcome>, Stopped> {
        let Some(player) = &mut self.player else { return Ok(None) };
        let outcome = player.next(function, 0, text).map_err(|stop| match stop {
            Stop::Diverged(divergence) => {
                Stopped::Failed(Status::Refused, Code::Diverged, divergence.to_string())
            }
            Stop::Struck { .. } => {
                Stopped::Failed(Status::Refused, Code::BadJournal, "it was struck".to_owned())
            }
        })?;
        self.go_live_at_the_end();
        Ok(Some(outcome))
    }

    async fn keep(&mut self) -> Result<(), Stopped> {
        let Some(bytes) = self.recorder.take_piece(Duration::ZERO, &[]) else { return Ok(()) };
        let piece = Piece { bytes, signals: std::mem::take(&mut self.signals) };
        self.host.persist(&self.context, piece).await.map_err(|error| {
            Stopped::Failed(Status::Failed, Code::RecordingPressure, error.to_string())
        })
    }

    async fn effect(&mut self, function: Function, effect: Effect<'_>) -> Result<String, Stopped> {
        let text = effect.text();
        let outcome = match self.played(function, &text)? {
            Some(outcome) => outcome,
            None => {
                self.keep().await?;
                let number = self.recorder.operations();
                let outcome = effect.make((&self.context, number), &self.host).await;
                self.recorder.push(function, 0, &text, &outcome);
                self.keep().await?;
                outcome
            }
        };
        Ok(text_of(outcome))
    }

    async fn wait(&mut self, signal: Option<&str>, ms: Option<u64>) -> Result<String, Stopped> {
        let (begin, end) = match signal {
            None => (Function::Sleep, Function::Woken),
            Some(_) => (Function::WaitSignal, Function::Signal),
        };
        let name = signal.unwrap_or_default();
        let until = match self.played(begin, name)? {
            Some(Outcome::Clock(ns)) => Some(Timestamp::from_unix_ns(ns)),
            Some(_) => None,
            None => {
                let until = ms.map(|ms| SystemClock.now().after(Duration::from_millis(ms)));
                let outcome = until.map_or(Outcome::Done, |until| Outcome::Clock(until.unix_ns()));
                self.recorder.push(begin, 0, name, &outcome);
                until
            }
        };
        if let Some(outcome) = self.played(end, "")? {
            return Ok(text_of(outcome));
        }
        let outcome = self.awaited(signal, until).await?;
        self.recorder.push(end, 0, "", &outcome);
        self.keep().await?;
        Ok(text_of(outcome))
    }

    async fn awaited(
        &mut self,
        signal: Option<&str>,
        until: Option<Timestamp>,
    ) -> Result<Outcome, Stopped> {
        let came = match (self.wake.take(), signal) {
            (Some(Wake::Timer), None) => return Ok(Outcome::Done),
            (Some(Wake::TimedOut), Some(_)) => return Ok(Outcome::Closed),
            (Some(Wake::Signal(signal)), Some(_)) => Some(signal),
            (_, None) => None,
            (_, Some(name)) => self.host.signal(&self.context, name).await.map_err(|error| {
                Stopped::Failed(Status::Failed, Code::Internal, error.to_string())
            })?,
        };
        if let Some(signal) = came {
            self.signals.push(signal.id);
            let Payload { content_type, data } = signal.payload;
            return Ok(Outcome::Payload { content_type, data });
        }
        if until.is_some_and(|until| until <= SystemClock.now()) {
            return Ok(if signal.is_some() { Outcome::Closed } else { Outcome::Done });
        }
        self.keep().await?;
        let signal = signal.map(str::to_owned);
        Err(Stopped::Asleep(Suspension { until, signal, ran: Duration::ZERO }))
    }
}

enum Effect<'a> {
    Call(&'a str),
    Start(&'a str, Duration),
    Emit(&'a str),
}

impl Effect<'_> {
    fn text(&self) -> String {
        match self {
            Effect::Call(name) | Effect::Start(name, _) | Effect::Emit(name) => (*name).to_owned(),
        }
    }

    async fn make(self, (context, number): (&CallContext, u32), host: &Arc<dyn Host>) -> Outcome {
        let call = |function: &str| FunctionCall {
            function: function.to_owned(),
            payload: Payload { content_type: String::new(), data: Bytes::from_static(b"1") },
            key: format!("{}-{number}", context.id),
        };
        let failed = |error: CallError| failure(&format!("{error:?}"));
        match self {
            Effect::Call(name) => match host.call(context, call(name)).await {
                Ok(Payload { content_type, data }) => Outcome::Payload { content_type, data },
                Err(error) => failed(error),
            },
            Effect::Start(name, delay) => {
                let options = StartOptions { delay, ordering_key: String::new() };
                match host.start(context, call(name), options).await {
                    Ok(id) => Outcome::Texts(vec![id.to_string()]),
                    Err(error) => failed(error),
                }
            }
            Effect::Emit(ty) => {
                let event = Event::new(format!("{}-{number}", context.id), "", ty);
                match host.emit(context, vec![event]).await {
                    Ok(ids) => Outcome::Texts(ids.iter().map(ToString::to_string).collect()),
                    Err(error) => failure(&error.to_string()),
                }
            }
        }
    }
}

fn failure(text: &str) -> Outcome {
    Outcome::Failed(Fault { code: 1, text: text.to_owned(), number: None })
}

fn text_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Payload { data, .. } => String::from_utf8_lossy(&data).into_owned(),
        Outcome::Texts(texts) => texts.join(","),
        Outcome::Failed(fault) => fault.text,
        Outcome::Closed => "nothing".to_owned(),
        other => other.summary(),
    }
}
