//! Calls that nobody waits for: accepted now, run by the engine, their results fetched by id; and
//! signals to invocations that have not ended.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use nexus_engine::{DeliveryFilter, DeliveryKey, DeliveryState, Ended, INVOKE_TYPE};
use nexus_exec::header_map;
use nexus_model::record::{Body, InvocationRecord, Output, SignalRecord, Status, StoredEvent};
use nexus_model::view::PendingView;
use nexus_model::{
    Code, Event, EventId, InvocationId, Name, OpContext, Partition, Scope, Timestamp,
    check_signal_name, limits,
};

use crate::bodies::Lost;
use crate::catalog::Function;
use crate::emit::{Cause, Targeted};
use crate::invoke::content_type;
use crate::record::bytes_of;
use crate::serve::{Outcome, guest_error};
use crate::waited::{Waited, key_of_call};
use crate::words::brief;
use crate::{Error, InvokeInput, InvokeOutput, Node};

/// The source of the events that direct calls make.
pub(crate) const INVOKE_SOURCE: &str = "/nexus/invoke";
/// Unfinished deliveries that are looked through for one invocation.
const PENDING_MAX: usize = 1_000_000;
/// How often a call that begins later is looked at: it may be taken back meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The shortest pause between two looks.
const NAP_MIN: Duration = Duration::from_millis(1);

/// What there is to say about an asynchronous invocation.
#[derive(Debug)]
pub enum ResultOf {
    /// It succeeded.
    Ready(Box<InvokeOutput>),
    /// It has not ended.
    Pending(Box<PendingView>),
}

/// What became of an asynchronous call within the time that its caller waits.
#[derive(Debug)]
pub enum Later {
    /// It succeeded.
    Ended(Box<InvokeOutput>),
    /// It has not ended; its id finds the result.
    GoesOn(Box<PendingView>),
}

impl Node {
    /// Accepts a call: durable when it returns, run later with the retries and limits of the
    /// function. The id finds its result.
    ///
    /// # Errors
    /// The function does not exist; the caller may not call it; the input is too large; a queue is
    /// full.
    pub async fn invoke_async(
        &self,
        ctx: &OpContext,
        called: (&Name, &Name),
        input: InvokeInput,
    ) -> Result<InvocationId, Error> {
        let (targeted, _) = self.targeted(ctx, called, input)?;
        let invocation = InvocationId::from_bytes(*targeted.id.as_bytes());
        self.accept_targeted((ctx, called.0), targeted).await?;
        Ok(invocation)
    }

    /// The same, and waits for its end at most for `patience` (itself at most
    /// [`limits::RESULT_WAIT_MAX`]). It goes on when nobody waits any more.
    ///
    /// # Errors
    /// Like [`invoke_async`](Self::invoke_async); it did not succeed.
    pub async fn invoke_waited(
        &self,
        ctx: &OpContext,
        called: (&Name, &Name),
        (input, patience): (InvokeInput, Duration),
    ) -> Result<Later, Error> {
        let (project, function) = called;
        let (targeted, found) = self.targeted(ctx, called, input)?;
        let waiter = self.waiters.wait(targeted.id);
        let invocation = InvocationId::from_bytes(*targeted.id.as_bytes());
        let accepted = self.call_targeted((ctx, &found), targeted).await?;
        let key = key_of_call(project, function, accepted.id);
        let mut waited = Waited { waiter, key };
        let ended = self.end_of_waited(&mut waited);
        let reason = match tokio::time::timeout(patience.min(limits::RESULT_WAIT_MAX), ended).await
        {
            Ok(Ok(output)) => return Ok(Later::Ended(Box::new(output))),
            // It is on disk: the next start of the server goes on with it.
            Ok(Err(error)) if error.code() == Code::ShuttingDown => {
                "the server is shutting down; it goes on when that is back"
            }
            Ok(Err(error)) => {
                return Err(match error.invocation_id() {
                    Some(_) => error,
                    None => error.with_invocation(invocation),
                });
            }
            Err(_) => match self.pending_view(&waited.key, invocation).await? {
                Some(view) => return Ok(Later::GoesOn(Box::new(view))),
                None => "it ends just now",
            },
        };
        let (status, reason) = (Status::Running, reason.to_owned());
        Ok(Later::GoesOn(Box::new(PendingView { invocation, status, attempt: 1, reason })))
    }

    /// A call as the event that only its function gets.
    fn targeted(
        &self,
        ctx: &OpContext,
        (project, function): (&Name, &Name),
        input: InvokeInput,
    ) -> Result<(Targeted, Arc<Function>), Error> {
        nexus_policy::authorize(ctx, Scope::Invoke, Some(project))?;
        let found = self.catalog.function(project, function);
        let found = found.ok_or_else(|| self.no_function(project, function))?;
        if self.is_draining() {
            return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
        }
        if input.method.is_some() || input.path.is_some() || !input.arguments.is_empty() {
            return Err(Error::new(
                Code::BadRequest,
                "method, path and arguments belong to calls that are waited for",
            )
            .with_hint("an asynchronous call is an event: send what the function needs as data"));
        }
        let id: EventId = self.parts.mint.mint(Partition::of(project.as_str(), ""));
        let invocation = InvocationId::from_bytes(*id.as_bytes());
        let mut event = Event::new(invocation.to_string(), INVOKE_SOURCE, INVOKE_TYPE);
        event.time = Some(self.parts.clock.now());
        if !input.data.is_empty() {
            event.datacontenttype = Some(content_type(&input));
            event.data = Some(input.data);
        }
        event.validate().map_err(|error| Error::new(Code::BadRequest, error.to_string()))?;
        let targeted = Targeted {
            id,
            event: StoredEvent::from(&event),
            target: function.to_string(),
            trigger: String::new(),
            cause: Cause::default(),
        };
        Ok((targeted, found))
    }

    /// What became of an invocation, waiting for its end at most for `patience` (itself at most
    /// [`limits::RESULT_WAIT_MAX`]). A retried call has the result of its last attempt.
    ///
    /// # Errors
    /// It does not exist, or not for this caller; it did not succeed; its result was not kept.
    pub async fn invocation_result(
        &self,
        ctx: &OpContext,
        (project, id): (&Name, InvocationId),
        patience: Duration,
    ) -> Result<ResultOf, Error> {
        nexus_policy::authorize(ctx, Scope::ReadPayload, Some(project))?;
        let patience = patience.min(limits::RESULT_WAIT_MAX);
        let mut key = self.key_of(project, id).await?;
        // Only what is not in the log can be scheduled still.
        if key.is_none() {
            if let Some(due) = self.wait_begin((project, id), patience).await? {
                let reason = format!("it begins at {due}");
                let pending =
                    PendingView { invocation: id, status: Status::Queued, attempt: 1, reason };
                return Ok(ResultOf::Pending(Box::new(pending)));
            }
            // It may have begun between the two questions.
            key = self.key_of(project, id).await?;
        }
        let Some(key) = key else {
            self.wait_answered(id, patience).await;
            return self.result_of(ctx, project, id).await;
        };
        let wait = self.engine()?.wait_ended(key.clone());
        if let Ok(ended) = tokio::time::timeout(patience, wait).await
            && let Some(Ended { decision: None, invocation: Some(last), .. }) = ended?
        {
            return self.result_of(ctx, project, last).await;
        }
        if let Some(pending) = self.pending_view(&key, id).await? {
            return Ok(ResultOf::Pending(Box::new(pending)));
        }
        self.result_of_ended(ctx, (project, id), &key).await
    }

    /// Waits for the end of a call whose caller waits for it.
    async fn wait_answered(&self, id: InvocationId, mut patience: Duration) {
        while self.ongoing.has(id) && !patience.is_zero() {
            let nap = patience.min(LOOK_AGAIN);
            tokio::time::sleep(nap).await;
            patience = patience.saturating_sub(nap);
        }
    }

    /// Waits until an invocation begins that was started for later, or is taken back; when it
    /// begins, where that is after the caller's patience.
    async fn wait_begin(
        &self,
        (project, id): (&Name, InvocationId),
        mut patience: Duration,
    ) -> Result<Option<Timestamp>, Error> {
        loop {
            let Some(due) = self.begins_at(project, id).await? else { return Ok(None) };
            if patience.is_zero() {
                return Ok(Some(due));
            }
            let left = due.since(self.parts.clock.now());
            let nap = patience.min(left).min(LOOK_AGAIN).max(NAP_MIN);
            tokio::time::sleep(nap).await;
            patience = patience.saturating_sub(nap);
        }
    }

    /// The result of a call that has ended: that of its last attempt, unless something else was
    /// decided after that, or instead of an attempt.
    async fn result_of_ended(
        &self,
        ctx: &OpContext,
        (project, id): (&Name, InvocationId),
        key: &DeliveryKey,
    ) -> Result<ResultOf, Error> {
        let last = self.attempts_to(key).await?.pop();
        let decisions = self.decisions(project.as_str(), key.event).await?;
        let decided = decisions.of((&key.function, &key.trigger)).next_back();
        let last_id = last.as_ref().and_then(|last| last.invocation_id());
        match (last_id, decided) {
            (_, Some(decided)) if decided.cancels(last.as_ref()) => {
                Err(decided.error(last_id.unwrap_or(id)))
            }
            (None, Some(decided)) => Err(decided.error(id)),
            (Some(last), Some(decided)) if decided.follower().is_some() => {
                let found = self.result_of(ctx, project, last).await;
                let what = decided.told_without_reason();
                found.map_err(|error| error.with_hint(format!("{what}; see nexus why {id}")))
            }
            (last, _) => self.result_of(ctx, project, last.unwrap_or(id)).await,
        }
    }

    /// When an invocation begins that was started for later; `None` when it has, or was not.
    pub(crate) async fn begins_at(
        &self,
        project: &Name,
        id: InvocationId,
    ) -> Result<Option<Timestamp>, Error> {
        let event = EventId::from_bytes(*id.as_bytes());
        Ok(self.engine()?.scheduled(project.as_str(), event).await?)
    }

    async fn result_of(
        &self,
        ctx: &OpContext,
        project: &Name,
        id: InvocationId,
    ) -> Result<ResultOf, Error> {
        let mut record = self.record_or_unbegun(ctx, Scope::ReadPayload, id).await?;
        if record.meta.project != project.as_str() {
            return Err(Error::not_found(format_args!("invocation {id} in project '{project}'")));
        }
        if matches!(record.status(), Status::Queued | Status::Running | Status::Suspended) {
            let (status, attempt) = (record.status(), record.attempt);
            let reason = record.not_replayable;
            let pending = PendingView { invocation: id, status, attempt, reason };
            return Ok(ResultOf::Pending(Box::new(pending)));
        }
        if record.status() != Status::Succeeded {
            let outcome = Outcome { status: record.status(), failure: record.failure.clone() };
            return Err(guest_error(&outcome, id));
        }
        self.fetch_bodies(&mut record, Lost::Fails).await?;
        Ok(ResultOf::Ready(Box::new(output_of(id, record)?)))
    }

    /// Which delivery an unfinished or asynchronous invocation belongs to.
    pub(crate) async fn key_of(
        &self,
        project: &Name,
        id: InvocationId,
    ) -> Result<Option<DeliveryKey>, Error> {
        // The first attempt of an asynchronous call has the id of its event.
        let event = EventId::from_bytes(*id.as_bytes());
        if let Some(record) = self.parts.log.event(event).await?
            && !record.target.is_empty()
        {
            if record.meta.project != project.as_str() {
                return Err(Error::not_found(format_args!("invocation {id}")));
            }
            return Ok(Some(DeliveryKey {
                event,
                project: project.as_str().into(),
                function: record.target.as_str().into(),
                trigger: record.trigger.as_str().into(),
            }));
        }
        let filter =
            DeliveryFilter { project: Some(project.to_string()), ..DeliveryFilter::default() };
        let found = self.engine()?.deliveries(filter, None, PENDING_MAX).await?;
        let runs = |state: &DeliveryState| match state {
            DeliveryState::Running { invocation, .. }
            | DeliveryState::Suspended { invocation, .. } => *invocation == id,
            _ => false,
        };
        Ok(found.into_iter().find(|at| runs(&at.state)).map(|at| at.key))
    }

    pub(crate) async fn pending_view(
        &self,
        key: &DeliveryKey,
        id: InvocationId,
    ) -> Result<Option<PendingView>, Error> {
        let Some(why) = self.engine()?.why(key.clone()).await? else { return Ok(None) };
        let (status, attempt, invocation) = match &why.state {
            DeliveryState::Ready { attempt } | DeliveryState::Waiting { attempt, .. } => {
                (Status::Queued, *attempt, id)
            }
            DeliveryState::Running { attempt, invocation, .. } => {
                (Status::Running, *attempt, *invocation)
            }
            DeliveryState::Suspended { attempt, invocation, .. } => {
                (Status::Suspended, *attempt, *invocation)
            }
            DeliveryState::Settling { attempts, .. } => (Status::Running, *attempts, id),
        };
        let reason = brief(&why.to_string());
        Ok(Some(PendingView { invocation, status, attempt, reason }))
    }

    /// The newest attempt to deliver an event.
    pub(crate) async fn last_attempt(
        &self,
        project: &Name,
        event: EventId,
    ) -> Result<Option<InvocationId>, Error> {
        let attempts = self.attempts_of(project.as_str(), event).await?;
        Ok(attempts.last().map(|row| row.id))
    }

    /// Gives a word from outside to a durable invocation: durable when it returns.
    ///
    /// # Errors
    /// The data is too large; the invocation is not durable, or has ended; too many signals wait.
    pub async fn signal(
        &self,
        ctx: &OpContext,
        (project, id): (&Name, InvocationId),
        (name, input): (&str, InvokeInput),
    ) -> Result<(), Error> {
        nexus_policy::authorize(ctx, Scope::Invoke, Some(project))?;
        check_signal_name(name).map_err(|rule| {
            Error::new(Code::BadRequest, rule)
                .with_hint(format!("see what it waits for: nexus why {id}"))
        })?;
        if input.data.len() > limits::SIGNAL_BYTES_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "the signal has {} bytes, the limit is {}",
                    input.data.len(),
                    limits::SIGNAL_BYTES_MAX
                ),
            ));
        }
        self.check_receiver(project, id).await?;
        let record_id: EventId = self.parts.mint.mint(Partition::of(project.as_str(), ""));
        let content_type = if input.data.is_empty() { String::new() } else { content_type(&input) };
        let record = SignalRecord {
            id: bytes_of(record_id.as_bytes()),
            project: project.to_string(),
            invocation: bytes_of(id.as_bytes()),
            name: name.to_owned(),
            content_type,
            data: Body::inline(input.data),
            principal: ctx.principal.to_string(),
            at_ns: self.parts.clock.now().unix_ns(),
        };
        self.engine()?.signal(record).await.map_err(Error::from)
    }

    /// Whether signals to an invocation make sense; that it has not ended is the engine's to say.
    async fn check_receiver(&self, project: &Name, id: InvocationId) -> Result<(), Error> {
        if let Some(due) = self.begins_at(project, id).await? {
            return Err(Error::new(
                Code::NotDurable,
                format!("invocation {id} takes signals when it begins, at {due}"),
            ));
        }
        let Some(key) = self.key_of(project, id).await? else {
            // One that does not exist, or not for this caller, is not said to have ended.
            return match self.parts.log.invocation(id).await? {
                Some(record) if record.meta.project == project.as_str() => Err(Error::new(
                    Code::NotDurable,
                    format!("invocation {id} has ended, or is not durable"),
                )
                .with_hint(format!("see how: nexus why {id}"))),
                _ => Err(self.missing(format_args!("invocation {id}"), id.time())),
            };
        };
        // What has begun says itself whether it is durable: the function may have changed since.
        let Some(why) = self.engine()?.why(key.clone()).await? else { return Ok(()) };
        let waits =
            matches!(why.state, DeliveryState::Ready { .. } | DeliveryState::Waiting { .. });
        match waits && !why.durable {
            false => Ok(()),
            true => Err(Error::new(
                Code::NotDurable,
                format!("function '{}' is not durable", key.function),
            )
            .with_hint("set durable = true and deploy it again")),
        }
    }
}

/// The result that a record holds.
pub(crate) fn output_of(id: InvocationId, record: InvocationRecord) -> Result<InvokeOutput, Error> {
    let gone = |why: &str| {
        Error::new(Code::Gone, format!("the result of invocation {id} is not there: {why}"))
            .with_invocation(id)
    };
    let Output { http_status, headers, content_type, body, events, .. } =
        record.output.ok_or_else(|| gone(&record.not_replayable))?;
    let body = body.unwrap_or_default();
    if body.dropped || (body.inline.is_empty() && body.size > 0) {
        return Err(gone("it was too large to be kept, or was redacted"));
    }
    let headers: Vec<_> = headers.into_iter().map(|header| (header.name, header.value)).collect();
    let map = header_map(&headers);
    let stated = map.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(InvokeOutput {
        invocation: id,
        status: Status::Succeeded,
        http_status: u16::try_from(http_status).ok().filter(|status| *status > 0),
        content_type: stated.unwrap_or(content_type),
        headers: map,
        body: body.inline,
        events: events.iter().map(StoredEvent::to_event).collect(),
    })
}
