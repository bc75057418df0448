//! Attempts for the engine: the run and its record, durable; and before that the record of its
//! begin, where anything can be seen of it before its end.
//!
//! - `begin`: when the begin has to be on disk.
//! - `input`: what the function gets: an event, a transformed one, a batch.
//! - `attempt`: the records around an attempt.
//! - [`Strikes`]: running attempts that somebody may cancel.
//! - `request`: an HTTP request as an event.
//! - `resume`: durable invocations that go on from their journals.

mod attempt;
mod begin;
mod input;
pub(crate) mod request;
mod resume;
mod strikes;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use nexus_engine::{Delivery, DeliveryKey, Early, Made, Resume, Worker};
use nexus_exec::{Body, CallContext, CallInput, Cancel, Recording, Suspension, header_map};
use nexus_model::record::{
    Body as StoredBody, Failure, InvocationRecord, Record, Status, SuspendedRecord,
};
use nexus_model::{Code, Digest, EventId, InvocationId, Name, Partition, Timestamp};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::admission::Slot;
use crate::catalog::Function;
use crate::chain::Place;
use crate::invoke::{http_output, output_of};
use crate::loaded::{LoadTimes, Loaded};
use crate::record::{Facts, InputHead, bytes_of, nanos};
use crate::serve::{Begun, Finished, Running, Written};
use crate::{Error, InvokeOutput, Node};
use attempt::{Attempt, Moment};
pub(crate) use begin::Begin;
use begin::Note;
use strikes::Strikes;

/// How often a delivery that meets its function's own limit looks again.
const THROTTLED: Duration = Duration::from_millis(20);
/// How long the end of an attempt waits for a log that refused it.
const AGAIN: Duration = Duration::from_millis(200);

/// How the failure of an invocation begins that succeeded, and whose events were refused then.
const NOT_ACCEPTED: &str = "its events were not accepted: ";

/// What became of a run.
enum Ran {
    /// Its end or its sleep is on disk.
    Recorded,
    /// The node cannot run it now, and why; nothing was done.
    NotNow(String),
}

/// Runs deliveries on a node. Holds it weakly: the node owns the engine that owns this.
pub(crate) struct Deliverer {
    node: Weak<Node>,
    strikes: Strikes,
    /// Cancelled when the node has its engine: what runs may ask for it.
    open: CancellationToken,
}

impl Deliverer {
    /// Runs nothing before `open` is cancelled.
    pub(crate) fn new(node: &Arc<Node>, open: CancellationToken) -> Self {
        Deliverer { node: Arc::downgrade(node), strikes: Strikes::default(), open }
    }

    async fn node(&self) -> Result<Arc<Node>, nexus_log::Error> {
        self.open.cancelled().await;
        self.node.upgrade().ok_or(nexus_log::Error::Closed)
    }
}

#[async_trait]
impl Worker for Deliverer {
    async fn deliver(&self, delivery: Delivery) -> Result<Made, nexus_log::Error> {
        self.node().await?.deliver(delivery, &self.strikes).await
    }

    async fn call(&self, delivery: Delivery, early: Arc<Early>) -> Result<Made, nexus_log::Error> {
        self.node().await?.call(delivery, early, &self.strikes).await
    }

    async fn resume(&self, resume: Resume) -> Result<(), nexus_log::Error> {
        self.node().await?.resume(resume, &self.strikes).await
    }

    fn cancel(&self, invocation: InvocationId) {
        self.strikes.strike(invocation);
    }

    async fn fetch(&self, body: &StoredBody) -> Option<Bytes> {
        let node = self.node.upgrade()?;
        let digest = Digest::try_from(&body.blob[..]).ok()?;
        node.parts.blobs.get(digest).await.ok()?
    }
}

impl Node {
    async fn deliver(
        self: Arc<Self>,
        delivery: Delivery,
        strikes: &Strikes,
    ) -> Result<Made, nexus_log::Error> {
        let attempt = match self.attempt(delivery).await? {
            Ok(attempt) => attempt,
            Err((attempt, gone)) => return self.reject(attempt, Status::Refused, &gone).await,
        };
        let begun = match self.begin_delivery(&attempt).await {
            Ok(begun) => begun,
            // Nothing that a retry could find.
            Err(error) if error.code() == Code::NotFound => {
                return self.reject(attempt, Status::Refused, &error).await;
            }
            // It is the node's fault, and passes.
            Err(error) if matches!(error.code(), Code::Overloaded | Code::ShuttingDown) => {
                return Ok(Made::NotNow(error.detail().to_owned()));
            }
            Err(error) => return self.reject(attempt, Status::Rejected, &error).await,
        };
        let input = match self.input_of(&attempt, begun.accepted).await {
            Ok(input) => input,
            // What cannot be made of the event now cannot be made of it later.
            Err(error) => return self.reject(attempt, Status::Refused, &error).await,
        };
        self.make(&attempt, (begun, input), strikes).await
    }

    /// The first attempt at a call that is not in the log yet. Whatever is in its way now is for the
    /// ordinary way to find.
    async fn call(
        self: Arc<Self>,
        delivery: Delivery,
        early: Arc<Early>,
        strikes: &Strikes,
    ) -> Result<Made, nexus_log::Error> {
        let not_now = |error: &Error| Ok(Made::NotNow(error.detail().to_owned()));
        let mut attempt = match self.attempt(delivery).await? {
            Ok(attempt) => attempt,
            Err((_, gone)) => return not_now(&gone),
        };
        attempt.early = Some(early);
        let key = &attempt.delivery.key;
        let begun =
            match names_of(key).map(|(project, name)| self.catalog.function(&project, &name)) {
                Ok(Some(function)) => self.begin_as(&attempt, &function).await,
                Ok(None) => return Ok(Made::NotNow("its function is gone".into())),
                Err(error) => Err(error),
            };
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => return not_now(&error),
        };
        let input = match self.input_of(&attempt, begun.accepted).await {
            Ok(input) => input,
            Err(error) => return not_now(&error),
        };
        self.make(&attempt, (begun, input), strikes).await
    }

    /// Makes an attempt that has begun.
    async fn make(
        self: &Arc<Self>,
        attempt: &Attempt,
        (begun, input): (Begun, (CallInput, InputHead)),
        strikes: &Strikes,
    ) -> Result<Made, nexus_log::Error> {
        let cancel = Cancel::default();
        // From its begin on it can be cancelled.
        let _struck = strikes.watch(attempt.id, &cancel);
        let mut running = begun.into_call(self, input, None, &cancel);
        attempt.fill(&mut running);
        let suspect = attempt.delivery.suspect;
        if suspect {
            let started = attempt.started(&Moment::of(&running.facts));
            self.parts.log.append(vec![Record::Started(started)]).await?;
        }
        self.run_attempt(attempt, (running, suspect)).await.map(|_| Made::Recorded)
    }

    /// Runs an attempt to its end, or to where it lies down to sleep, and puts that on disk. `noted`
    /// says whether its begin is there already.
    async fn run_attempt(
        self: &Arc<Self>,
        attempt: &Attempt,
        (mut running, noted): (Running, bool),
    ) -> Result<Ran, nexus_log::Error> {
        let event = attempt.delivery.key.event;
        let (durable, resumed) = (running.call.durable, running.call.resume.is_some());
        let waits = self.waiters.waits(event);
        if waits && running.call.recording == Recording::RowOnly {
            // The caller wants the result, whatever the recording keeps of it.
            running.call.recording = Recording::Full;
        }
        let answer = (waits && matches!(running.facts.input, InputHead::Http { .. })).then(|| {
            let (respond, answer) = oneshot::channel();
            running.call.respond = Some(respond);
            answer
        });
        let (note, begin) = Note::new(noted);
        running.begin = begin;
        let mut finished = self.drive(attempt, running, &note).await?;
        if let Some(suspension) = finished.ended.suspension.take() {
            self.note_begin(attempt, &finished.facts, &note).await?;
            let record = self.suspended(&finished, &suspension);
            return self
                .append_of(attempt, Record::Suspended(record))
                .await
                .map(|()| Ran::Recorded);
        }
        if durable && was_not_kept(&finished) {
            // The engine lets it go on from what is on disk.
            tracing::warn!(id = %attempt.id, "a durable invocation stopped: its journal was not kept");
            tokio::time::sleep(AGAIN).await;
            return Err(nexus_log::Error::Closed);
        }
        if resumed && finished.ended.status == Status::Rejected {
            let failure = finished.ended.failure.clone().unwrap_or_default();
            if Code::parse(&failure.code).is_some_and(resume::passes) {
                return Ok(Ran::NotNow(failure.message));
            }
            // To begin it anew would do again what it has done.
            finished.ended.status = Status::Refused;
        }
        if !finished.ended.events.is_empty() {
            self.note_begin(attempt, &finished.facts, &note).await?;
        }
        self.send_returned(&mut finished).await;
        if waits {
            self.tell_waiter(event, &finished, answer).await;
        }
        let failed = attempt.failed_items(&finished);
        let Written { node, record, .. } = finished.into_record().await;
        let handled = record.status() == Status::Succeeded && failed.is_empty();
        let record = attempt.end(record, failed);
        node.append_of(attempt, Record::Invocation(Box::new(record))).await?;
        if waits && handled {
            node.waiters.kept(event);
        }
        Ok(Ran::Recorded)
    }

    /// Drives an attempt to its end. When it first waits, its begin goes to the disk beside it.
    async fn drive(
        &self,
        attempt: &Attempt,
        running: Running,
        note: &Note,
    ) -> Result<Finished, nexus_log::Error> {
        let durable = running.call.durable;
        let begin = (!note.is_made()).then(|| Moment::of(&running.facts));
        let mut run = std::pin::pin!(running.run());
        let taken_down = async {
            match durable {
                true => self.taken_down.wait(attempt.id).await,
                false => std::future::pending().await,
            }
        };
        let mut taken_down = std::pin::pin!(taken_down);
        if let Some(begin) = begin {
            let noting = async {
                let started = Record::Started(attempt.started(&begin));
                self.append_begin(attempt, started).await
            };
            tokio::select! {
                biased;
                finished = &mut run => return Ok(finished),
                () = &mut taken_down => return Err(nexus_log::Error::Closed),
                noted = noting => drop(noted?),
            }
            note.make();
        }
        tokio::select! {
            biased;
            finished = run => Ok(finished),
            () = taken_down => Err(nexus_log::Error::Closed),
        }
    }

    /// Puts the begin of an attempt on disk, unless it is there.
    async fn note_begin(
        &self,
        attempt: &Attempt,
        facts: &Facts,
        note: &Note,
    ) -> Result<(), nexus_log::Error> {
        if !note.is_made() {
            let started = attempt.started(&Moment::of(facts));
            self.append_of(attempt, Record::Started(started)).await?;
            note.make();
        }
        Ok(())
    }

    /// Gives the answer to who waits for it in this process.
    async fn tell_waiter(
        &self,
        event: EventId,
        finished: &Finished,
        answer: Option<oneshot::Receiver<Response<Body>>>,
    ) {
        if finished.ended.status != Status::Succeeded {
            return;
        }
        let id = finished.facts.id;
        let output = match answer.map(|mut answer| answer.try_recv()) {
            Some(Ok(response)) => http_output(id, response).await,
            // Without a request there is no answer, only a result.
            _ => output_of(&finished.ended, id).map(|output| InvokeOutput {
                http_status: Some(finished.ended.http_status).filter(|status| *status > 0),
                headers: header_map(&finished.ended.headers),
                ..output
            }),
        };
        // What cannot be given is not in the record either: there the caller finds the reason.
        if let Ok(output) = output {
            self.waiters.give(event, output);
        }
    }

    fn suspended(&self, finished: &Finished, suspension: &Suspension) -> SuspendedRecord {
        let project = &finished.facts.function.project;
        let id: EventId = self.parts.mint.mint(Partition::of(project.as_str(), ""));
        SuspendedRecord {
            id: bytes_of(id.as_bytes()),
            project: project.to_string(),
            invocation: bytes_of(finished.facts.id.as_bytes()),
            until_ns: suspension.until.map_or(0, |until| until.unix_ns()),
            signal: suspension.signal.clone().unwrap_or_default(),
            at_ns: finished.at.unix_ns(),
            ran_ns: nanos(suspension.ran),
        }
    }

    /// Appends the end of an attempt, that it sleeps, or that it goes on. The engine waits for nothing else to go on,
    /// so this insists while the log recovers; when the node stops first, the attempt is found
    /// unfinished.
    async fn append_end(&self, record: Record) -> Result<(), nexus_log::Error> {
        loop {
            match self.parts.log.append_one(&record).await {
                Ok(_) => return Ok(()),
                Err(error) if error.retryable() && !self.tasks.is_stopping() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the end of an attempt waits for the log"
                    );
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The same for a record of an attempt, which may have begun before its event was in the log.
    async fn append_of(&self, attempt: &Attempt, record: Record) -> Result<(), nexus_log::Error> {
        let Some(early) = &attempt.early else { return self.append_end(record).await };
        match early.append_first(record).await {
            Ok(appended) => appended,
            Err(record) => {
                early.sent().await?;
                self.append_end(record).await
            }
        }
    }

    /// The record of its begin, while it runs.
    async fn append_begin(
        &self,
        attempt: &Attempt,
        started: Record,
    ) -> Result<(), nexus_log::Error> {
        let Some(early) = &attempt.early else {
            return self.parts.log.append(vec![started]).await.map(drop);
        };
        match early.append_first(started).await {
            Ok(appended) => appended,
            Err(started) => self.parts.log.append(vec![started]).await.map(drop),
        }
    }

    async fn begin_delivery(self: &Arc<Self>, attempt: &Attempt) -> Result<Begun, Error> {
        let (project, name) = names_of(&attempt.delivery.key)?;
        loop {
            let function: Arc<Function> =
                self.catalog.function(&project, &name).ok_or_else(|| {
                    Error::not_found(format_args!("function '{name}' in project '{project}'"))
                })?;
            match self.begin_as(attempt, &function).await {
                // Waiting is what asynchronous work is for.
                Err(error) if error.code() == Code::Throttled && !self.tasks.is_stopping() => {
                    tokio::time::sleep(THROTTLED).await;
                }
                other => return other,
            }
        }
    }

    async fn begin_as(
        self: &Arc<Self>,
        attempt: &Attempt,
        function: &Arc<Function>,
    ) -> Result<Begun, Error> {
        let (started, accepted) = (Instant::now(), self.parts.clock.now());
        let loaded = self.load(function).await?;
        let parent = attempt.context().traceparent;
        let traceparent = crate::trace::child(parent.as_deref(), attempt.id);
        let beginning = Beginning { started, accepted, loaded, traceparent };
        self.begin_with(attempt, function, beginning).await
    }

    /// Begins an attempt with a version of its function, once there is a slot for it.
    async fn begin_with(
        &self,
        attempt: &Attempt,
        function: &Arc<Function>,
        beginning: Beginning,
    ) -> Result<Begun, Error> {
        let Beginning { started, accepted, loaded: (loaded, load), traceparent } = beginning;
        let waited = Instant::now();
        let slot = self.slot_for(attempt, function).await?;
        let id = attempt.id;
        Ok(Begun {
            id,
            function: Arc::clone(function),
            load,
            slot,
            origin: attempt.origin(),
            started,
            accepted,
            timeout: loaded.timeout,
            queue_ns: nanos(waited.elapsed()),
            recording: crate::record::recording_of(loaded.record, id, self.config.verify_memory),
            principal: attempt.context().principal,
            traceparent,
            tracestate: attempt.context().tracestate,
            loaded,
        })
    }

    async fn slot_for(&self, attempt: &Attempt, function: &Function) -> Result<Slot, Error> {
        match attempt.is_nested() {
            true => self.admission.enter_nested(function),
            false => self.admission.enter(function, attempt.patience()).await,
        }
    }

    /// Sends the events that the function returned. When that fails, so did the attempt, and it is
    /// tried again. Their ids come from the event that was handled, so that an attempt that is
    /// repeated because only its end got lost sends duplicates, which change nothing.
    pub(crate) async fn send_returned(&self, finished: &mut Finished) {
        if finished.ended.status != Status::Succeeded || finished.ended.events.is_empty() {
            return;
        }
        let events = finished.ended.events.iter().map(|event| event.to_event()).collect();
        let context = finished.context();
        let origin = match finished.facts.cause_event {
            Some(event) => format!("{event}.{}", context.function),
            None => context.id.to_string(),
        };
        let name = |index| format!("{origin}.{index}");
        let place = Place::of(&finished.facts);
        if let Err(error) = self.emit_from((&context, &place), events, name).await {
            let retry = error.code().retryable();
            finished.ended.status = if retry { Status::Failed } else { Status::Refused };
            finished.ended.failure = Some(Failure {
                code: error.code().as_str().to_owned(),
                message: format!("{NOT_ACCEPTED}{}", error.detail()),
                ..Failure::default()
            });
        }
    }
}

/// Whether a function succeeded, and only the events that it returned were refused.
pub(crate) fn returned_in_vain(record: &InvocationRecord) -> bool {
    let own = [Code::GuestFailed.as_str(), Code::GuestRefused.as_str()];
    let failure = record.failure.as_ref().filter(|at| !own.contains(&at.code.as_str()));
    failure.is_some_and(|at| at.message.starts_with(NOT_ACCEPTED))
}

/// Whether the run was stopped because a piece of its journal could not be put on disk.
fn was_not_kept(finished: &Finished) -> bool {
    let failure = finished.ended.failure.as_ref();
    finished.ended.status == Status::Failed
        && failure.is_some_and(|at| at.code == Code::RecordingPressure.as_str())
}

impl Finished {
    /// The context that the call had.
    pub(crate) fn context(&self) -> CallContext {
        CallContext {
            id: self.facts.id,
            project: self.facts.function.project.clone(),
            function: self.facts.function.name.clone(),
            version: self.facts.loaded.version,
            attempt: self.facts.attempt,
            traceparent: Arc::clone(&self.facts.traceparent),
            tracestate: self.facts.tracestate.clone(),
            accepted: self.facts.accepted,
            deadline: self.facts.deadline,
            depth: self.facts.depth,
        }
    }
}

/// What differs between an attempt that begins and one that goes on.
struct Beginning {
    started: Instant,
    accepted: Timestamp,
    loaded: (Arc<Loaded>, LoadTimes),
    traceparent: Arc<str>,
}

/// The project and the function of a delivery.
fn names_of(key: &DeliveryKey) -> Result<(Name, Name), Error> {
    let name = |text: &str| Name::new(text).map_err(|error| Error::internal("read a name", error));
    Ok((name(&key.project)?, name(&key.function)?))
}
