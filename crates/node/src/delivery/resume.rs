//! Durable invocations that go on: what is on disk of the journal is repeated in a fresh instance of
//! the version that began it, with the same input, then it is real again.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use nexus_engine::{Delivery, Resume, Wake};
use nexus_exec::Cancel;
use nexus_exec::journal::{EnvEntry, Partial};
use nexus_model::record::{Record, StartedRecord};
use nexus_model::{Code, Name, Timestamp, VersionId};

use super::attempt::{self, Attempt};
use super::strikes::Strikes;
use super::{AGAIN, Beginning, Ran, names_of};
use crate::catalog::Function;
use crate::loaded::{LoadTimes, Loaded};
use crate::serve::{Begun, Running};
use crate::{Error, Node, durable};

/// Everything that going on takes.
struct Ready {
    attempt: Attempt,
    running: Running,
}

impl Node {
    pub(super) async fn resume(
        self: Arc<Self>,
        resume: Resume,
        strikes: &Strikes,
    ) -> Result<(), nexus_log::Error> {
        let cancel = Cancel::default();
        let _struck = strikes.watch(resume.invocation, &cancel);
        let mut noted = false;
        while !self.tasks.is_stopping() {
            match self.make_ready(&resume, &cancel).await {
                Ok(ready) => {
                    if !std::mem::replace(&mut noted, true) {
                        let started =
                            StartedRecord { resumes: resume.resumes, ..resume.started.clone() };
                        self.append_end(Record::Started(started)).await?;
                    }
                    match self.run_attempt(&ready.attempt, (ready.running, true)).await? {
                        Ran::Recorded => return Ok(()),
                        Ran::NotNow(reason) => tracing::warn!(
                            id = %resume.invocation,
                            reason,
                            "a durable invocation cannot go on now"
                        ),
                    }
                }
                Err(error) if passes(error.code()) => tracing::warn!(
                    id = %resume.invocation,
                    error = &error as &dyn std::error::Error,
                    "a durable invocation cannot go on now"
                ),
                Err(error) => {
                    let record = attempt::broken_off(&resume, self.parts.clock.now(), &error);
                    return self.append_end(Record::Invocation(Box::new(record))).await;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(nexus_log::Error::Closed)
    }

    async fn make_ready(
        self: &Arc<Self>,
        resume: &Resume,
        cancel: &Cancel,
    ) -> Result<Ready, Error> {
        let (project, _) = names_of(&resume.key)?;
        let pieces = self.pieces(&resume.pieces, Some((&project, resume.invocation))).await?;
        let began = Timestamp::from_unix_ns(resume.started.started_ns);
        let delivery = delivery_of(resume);
        let mut attempt = self.attempt(delivery).await?.map_err(|(_, gone)| gone)?;
        attempt.resumes = resume.resumes;
        let input = self.input_of(&attempt, began).await?;
        let wake = self.wake_of(resume).await?;
        let begun = self.begin_again(resume, &attempt, &pieces).await?;
        let mut running = begun.into_call(self, input, None, cancel);
        attempt.fill(&mut running);
        // Its time counts from its first begin; the deadline is a new one, sleeping does not count.
        running.facts.accepted = began;
        running.kept = u32::try_from(resume.pieces.len()).unwrap_or(u32::MAX);
        // Without a piece it has done nothing: it begins.
        running.call.resume = (!pieces.is_empty()).then_some(pieces);
        running.call.wake = wake;
        Ok(Ready { attempt, running })
    }

    /// Without it the function looks for itself whether what it waits for has come: so it does no
    /// harm that nothing is given after a crash.
    async fn wake_of(&self, resume: &Resume) -> Result<Option<nexus_exec::Wake>, Error> {
        Ok(match resume.wake {
            Wake::Crash => None,
            Wake::Timer => Some(nexus_exec::Wake::Timer),
            Wake::TimedOut => Some(nexus_exec::Wake::TimedOut),
            Wake::Signal { sequence } => {
                let signal = durable::signal_at(self, sequence).await.map_err(|error| {
                    Error::new(Code::BadJournal, "its signal cannot be read").with_source(error)
                })?;
                Some(nexus_exec::Wake::Signal(signal))
            }
        })
    }

    async fn begin_again(
        self: &Arc<Self>,
        resume: &Resume,
        attempt: &Attempt,
        pieces: &Bytes,
    ) -> Result<Begun, Error> {
        let (project, name) = names_of(&resume.key)?;
        let function = self.catalog.function(&project, &name).ok_or_else(|| {
            Error::new(Code::NotReplayable, format!("function '{name}' was deleted"))
        })?;
        let (started, accepted) = (Instant::now(), self.parts.clock.now());
        let loaded = self.load_then(&function, resume, pieces).await?;
        let traceparent = resume.started.meta.traceparent.as_str().into();
        let beginning = Beginning { started, accepted, loaded, traceparent };
        self.begin_with(attempt, &function, beginning).await
    }

    /// The version that began it, with the secrets of then.
    async fn load_then(
        &self,
        function: &Function,
        resume: &Resume,
        pieces: &Bytes,
    ) -> Result<(Arc<Loaded>, LoadTimes), Error> {
        let version = VersionId::try_from(&resume.started.version[..])
            .map_err(|_| Error::new(Code::NotReplayable, "its version is not known"))?;
        let env = match pieces.is_empty() {
            true => Vec::new(),
            false => {
                let partial = Partial::decode(pieces).map_err(|error| {
                    Error::new(Code::BadJournal, format!("its journal cannot be read: {error}"))
                        .with_source(error)
                })?;
                partial.journal.header.env
            }
        };
        let secret = |entry: &EnvEntry| match entry {
            EnvEntry::Secret { secret, version, .. } => {
                Name::new(secret).ok().map(|name| (name, *version))
            }
            EnvEntry::Plain { .. } => None,
        };
        let secrets: Vec<(Name, u32)> = env.iter().filter_map(secret).collect();
        if secrets.is_empty() && function.current.is_some_and(|at| at.version == version) {
            return self.load(function).await;
        }
        let begun = Instant::now();
        let loaded = self.load_version(&function.project, version, &secrets).await?;
        let load = begun.elapsed();
        Ok((Arc::new(loaded), LoadTimes { load, ..LoadTimes::default() }))
    }
}

/// What the delivery was when it began.
fn delivery_of(resume: &Resume) -> Delivery {
    let batch = resume.started.batch.iter();
    Delivery {
        key: resume.key.clone(),
        attempt: resume.started.attempt,
        batch: batch.filter_map(|event| (&event[..]).try_into().ok()).collect(),
        batched: resume.batched,
        events: Vec::new(),
        invocation: Some(resume.invocation),
        durable: true,
        suspect: true,
        transform: resume.transform.clone(),
        waited_for: Vec::new(),
    }
}

/// Whether what holds up an invocation passes by itself.
pub(super) fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::Storage
            | Code::Overloaded
            | Code::Throttled
            | Code::RecordingPressure
            | Code::ShuttingDown
    )
}
