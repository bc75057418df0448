//! Why something is as it is: one answer in plain words, until when, and what to do.

use nexus_engine::{DeadFilter, DeliveryFilter, DeliveryState, Reason};
use nexus_model::record::{EventRecord, InvocationRecord, Level, Status};
use nexus_model::units::exact_duration;
use nexus_model::view::{InvocationRow, WhyView};
use nexus_model::{EventId, InvocationId, Name, OpContext, Scope, Timestamp};

use crate::{Error, Node};

/// Deliveries of one event that are explained.
const DELIVERIES_MAX: usize = 100;

impl Node {
    /// Why an event is where it is: one answer for each function that it goes to.
    ///
    /// # Errors
    /// It does not exist, or not for this caller.
    pub async fn why_event(
        &self,
        ctx: &OpContext,
        project: &Name,
        id: EventId,
    ) -> Result<Vec<WhyView>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        if let Some(view) = self.why_scheduled(project, id).await? {
            return Ok(vec![view]);
        }
        let record = self.event_record_of(ctx, id).await?;
        if record.meta.project != project.as_str() {
            return Err(Error::not_found(format_args!("event {id} in project '{project}'")));
        }
        let about = id.to_string();
        let filter = DeliveryFilter {
            project: Some(project.to_string()),
            event: Some(id),
            ..DeliveryFilter::default()
        };
        let mut views = Vec::new();
        for delivery in self.engine()?.deliveries(filter, None, DELIVERIES_MAX).await? {
            if let Some(why) = self.engine()?.why(delivery.key).await? {
                views.push(of_delivery(&about, &why, self.parts.clock.now()));
            }
        }
        let filter = DeadFilter {
            project: Some(project.to_string()),
            event: Some(id),
            ..DeadFilter::default()
        };
        for dead in self.engine()?.dead_letters(filter, None, DELIVERIES_MAX).await? {
            views.push(of_dead(&about, &dead));
        }
        let rows = self.attempts_of(project.as_str(), id).await?;
        for row in last_of_each(&rows) {
            if !views.iter().any(|view| view.function == row.function) {
                views.push(of_row(&about, row));
            }
        }
        if views.is_empty() {
            views.push(unmatched(&about, &record));
        }
        Ok(views)
    }

    async fn why_scheduled(&self, project: &Name, id: EventId) -> Result<Option<WhyView>, Error> {
        let due = self.engine()?.scheduled(project.as_str(), id).await?;
        Ok(due.map(|due| WhyView {
            about: id.to_string(),
            state: "scheduled".to_owned(),
            answer: format!("It happens at {due}."),
            until: Some(due),
            because: Vec::new(),
            hint: format!("take it back: nexus schedules cancel {id}"),
            function: String::new(),
        }))
    }

    /// Why an invocation is where it is, or ended as it did.
    ///
    /// # Errors
    /// It does not exist, or not for this caller.
    pub async fn why_invocation(
        &self,
        ctx: &OpContext,
        project: &Name,
        id: InvocationId,
    ) -> Result<WhyView, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        let about = id.to_string();
        if let Some(record) = self.parts.log.invocation(id).await?
            && record.meta.project == project.as_str()
            && !matches!(record.status(), Status::Running | Status::Suspended | Status::Queued)
        {
            return self.why_ended(&about, &record).await;
        }
        if let Some(due) = self.begins_at(project, id).await? {
            return Ok(WhyView {
                about,
                state: "scheduled".to_owned(),
                answer: format!("It begins at {due}."),
                until: Some(due),
                because: vec!["a function has started it for later".to_owned()],
                hint: format!("take it back: nexus cancel {id}"),
                function: String::new(),
            });
        }
        if let Some(key) = self.key_of(project, id).await?
            && let Some(why) = self.engine()?.why(key).await?
        {
            return Ok(of_delivery(&about, &why, self.parts.clock.now()));
        }
        let record = self.invocation_record(ctx, Scope::Read, id).await?;
        match record.meta.project == project.as_str() {
            true => self.why_ended(&about, &record).await,
            false => Err(Error::not_found(format_args!("invocation {id} in project '{project}'"))),
        }
    }

    async fn why_ended(&self, about: &str, record: &InvocationRecord) -> Result<WhyView, Error> {
        let mut view = of_record(about, record);
        let Ok(event) = EventId::try_from(&record.meta.cause_event[..]) else { return Ok(view) };
        let filter = DeliveryFilter {
            project: Some(record.meta.project.clone()),
            function: Some(record.function.clone()),
            event: Some(event),
            ..DeliveryFilter::default()
        };
        for delivery in self.engine()?.deliveries(filter, None, 1).await? {
            if let Some(why) = self.engine()?.why(delivery.key).await? {
                view.until = until_of(&why);
                view.because.insert(0, format!("the delivery goes on: {why}"));
            }
        }
        Ok(view)
    }
}

/// The newest attempt of each function.
fn last_of_each(rows: &[InvocationRow]) -> Vec<&InvocationRow> {
    let mut last: Vec<&InvocationRow> = Vec::new();
    for row in rows.iter().rev() {
        if !last.iter().any(|at| at.function == row.function) {
            last.push(row);
        }
    }
    last
}

fn until_of(why: &nexus_engine::Why) -> Option<Timestamp> {
    let by_reason = match &why.reason {
        Some(
            Reason::Rate { until, .. } | Reason::Batch { until } | Reason::NotNow { until, .. },
        ) => Some(*until),
        Some(Reason::Breaker { until }) => Some(*until).filter(|at| *at != Timestamp::EPOCH),
        Some(Reason::Due { at }) => Some(*at),
        _ => None,
    };
    by_reason.or(match &why.state {
        DeliveryState::Waiting { due, .. } => Some(*due),
        DeliveryState::Suspended { until, .. } => *until,
        _ => None,
    })
}

/// A delivery that is not finished.
fn of_delivery(about: &str, why: &nexus_engine::Why, now: Timestamp) -> WhyView {
    let function = why.key.function.to_string();
    let (state, because) = match &why.state {
        DeliveryState::Ready { attempt } => ("queued", vec![format!("attempt {attempt} is next")]),
        DeliveryState::Waiting { attempt, reason, .. } => {
            let mut because = vec![format!("attempt {attempt} is next")];
            if !reason.is_empty() {
                because.push(format!("the last one failed: {reason}"));
            }
            ("waiting", because)
        }
        DeliveryState::Running { attempt, invocation, .. } => {
            ("running", vec![format!("attempt {attempt} is {invocation}")])
        }
        DeliveryState::Suspended { attempt, invocation, .. } => {
            ("suspended", vec![format!("attempt {attempt} is {invocation}")])
        }
        DeliveryState::Settling { attempts, .. } => {
            ("ending", vec![format!("{attempts} attempts were made")])
        }
    };
    let until = until_of(why);
    let mut answer = sentence(&why.to_string());
    if let Some(until) = until.filter(|until| *until > now) {
        let left = until.since(now);
        let left = std::time::Duration::from_secs(left.as_secs() + 1);
        answer = format!("{answer} That is at most {} from now.", exact_duration(left));
    }
    WhyView {
        about: about.to_owned(),
        state: state.to_owned(),
        answer,
        until,
        because,
        hint: hint_of(why).unwrap_or_default(),
        function,
    }
}

fn hint_of(why: &nexus_engine::Why) -> Option<String> {
    let (function, trigger) = (&why.key.function, &why.key.trigger);
    Some(match (&why.reason, &why.state) {
        (Some(Reason::Concurrency { .. }), _) => {
            format!("raise `concurrency` of {function}, or make it quicker")
        }
        (Some(Reason::Rate { .. }), _) => format!("raise `rate` of {function}"),
        (Some(Reason::Order { behind }), _) => {
            format!(
                "look at what is ahead: nexus why {behind}; `order = \"relaxed\"` lets others pass"
            )
        }
        (Some(Reason::Breaker { .. }), _) => {
            format!("find out what fails: nexus invocations --function {function} --status failed")
        }
        (Some(Reason::NotNow { .. }), _) => "see how the server is doing: nexus status".to_owned(),
        (Some(Reason::Paused), _) => format!("let it go on: nexus triggers resume {trigger}"),
        (Some(Reason::Node { .. }), _) => {
            "the server is busy: raise its `events.concurrency`".to_owned()
        }
        (_, DeliveryState::Suspended { signal: Some(signal), invocation, .. }) => {
            format!("wake it: nexus signal {invocation} {signal}")
        }
        (_, DeliveryState::Running { invocation, .. }) => {
            format!("stop it: nexus cancel {invocation}")
        }
        _ => return None,
    })
}

fn of_dead(about: &str, dead: &nexus_engine::DeadLetter) -> WhyView {
    let mut because = vec![format!("{} attempts were made", dead.attempts)];
    if !dead.code.is_empty() {
        because.push(format!("the code is {}", dead.code));
    }
    WhyView {
        about: about.to_owned(),
        state: "dead".to_owned(),
        answer: sentence(&format!("it was given up at {}: {}", dead.at, dead.reason)),
        until: None,
        because,
        hint: format!("nexus dead-letters show {about}, then nexus dead-letters redrive {about}"),
        function: dead.key.function.to_string(),
    }
}

fn of_row(about: &str, row: &InvocationRow) -> WhyView {
    let took = took(row.duration_ns);
    WhyView {
        about: about.to_owned(),
        state: row.status.word().to_owned(),
        answer: format!(
            "Function {} handled it in attempt {} ({}, {took}).",
            row.function,
            row.attempt,
            row.status.word()
        ),
        until: None,
        because: vec![format!("the attempt is {}", row.id)],
        hint: String::new(),
        function: row.function.clone(),
    }
}

fn unmatched(about: &str, record: &EventRecord) -> WhyView {
    WhyView {
        about: about.to_owned(),
        state: "unmatched".to_owned(),
        answer: format!("No function asked for events like it ({}).", record.event.ty),
        until: None,
        because: vec!["triggers that were added later do not see events of before".to_owned()],
        hint: "nexus triggers lists what is asked for".to_owned(),
        function: record.target.clone(),
    }
}

/// How long something took, for people: `4.63s`, `6.49ms`.
fn took(ns: u64) -> String {
    format!("{:.2?}", std::time::Duration::from_nanos(ns))
}

/// An invocation that ended.
fn of_record(about: &str, record: &InvocationRecord) -> WhyView {
    let status = record.status();
    let whole = took(record.timings.total_ns);
    let answer = match (&record.failure, status) {
        (_, Status::Succeeded) => format!("It succeeded after {whole}."),
        (Some(failure), _) if !failure.message.is_empty() => {
            format!("It ended as {} after {whole}: {}.", status.word(), failure.message)
        }
        _ => format!("It ended as {} after {whole}.", status.word()),
    };
    let mut because = Vec::new();
    if let Some(code) = record.failure.as_ref().map(|at| &at.code).filter(|at| !at.is_empty()) {
        because.push(format!("the code is {code}"));
    }
    if !record.cold.is_empty() {
        because.push(format!("it began cold: {}", record.cold));
    }
    if !record.waited_for.is_empty() {
        because.push(format!("it waited for {}", record.waited_for.join(", ")));
    }
    if record.timings.queue_ns > 1_000_000 {
        because.push(format!("it waited {} for a slot", took(record.timings.queue_ns)));
    }
    if record.attempt > 1 {
        because.push(format!("it was attempt {}", record.attempt));
    }
    if record.resumes > 0 {
        because.push(format!("it went on from its journal {} times", record.resumes));
    }
    if let Ok(from) = InvocationId::try_from(&record.cached_from[..]) {
        because.push(format!("the result was kept from {from}"));
    }
    because.push(match (record.not_replayable.as_str(), record.level()) {
        ("", Level::Exact) => "it can be replayed exactly".to_owned(),
        ("", level) => format!("its level of replay is {}", level.word()),
        (reason, _) => format!("it cannot be replayed: {reason}"),
    });
    let hint = match status {
        Status::Succeeded => String::new(),
        _ if record.not_replayable.is_empty() => {
            format!("run it again with the same input: nexus replay {about}")
        }
        _ => format!("see its input and logs: nexus invocations show {about}"),
    };
    WhyView {
        about: about.to_owned(),
        state: status.word().to_owned(),
        answer,
        until: None,
        because,
        hint,
        function: record.function.clone(),
    }
}

/// Upper case at the beginning, one full stop at the end.
fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}
