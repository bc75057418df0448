//! Why something is as it is: one answer in plain words, until when, and what to do.
//!
//! - `answers`: the words, from what was found.
//! - `settings`: what the declared settings have to do with it.

mod answers;
mod settings;

use std::collections::BTreeSet;

use nexus_engine::{DeadFilter, DeliveryFilter, DeliveryKey};
use nexus_model::record::{DeliveryDecision, InvocationRecord, Status};
use nexus_model::view::WhyView;
use nexus_model::{EventId, InvocationId, Name, OpContext, Scope, Timestamp};

use crate::decisions::{Decided, Decisions, ROWS_MAX};
use crate::schedules::{Fate, taken_back};
use crate::words::{attempts_made, brief, is_failure, sentence};
use crate::{Error, Node};
use answers::{attempt, earlier, followed, of_attempt, of_record, origin, unmatched, until_of};
use settings::GivenUp;

/// Deliveries of one event that are explained.
const DELIVERIES_MAX: usize = 100;

impl Node {
    /// Why an event is where it is: one answer for each function that it goes to. The id of a
    /// schedule stands for the event that it becomes.
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
        if let Some(view) = self.why_taken_back(project, id, id.to_string()).await? {
            return Ok(vec![view]);
        }
        let record = self.event_record_of(ctx, id).await?;
        let missing = || Error::not_found(format_args!("event {id} in project '{project}'"));
        if record.meta.project != project.as_str() {
            return Err(missing());
        }
        let event = record.event_id().ok_or_else(missing)?;
        let mut views = self.why_deliveries(project, event).await?;
        if views.is_empty() {
            views.push(unmatched(&event.to_string(), &record));
        }
        for view in &mut views {
            view.because.extend(origin(&record));
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

    /// Of an event or a call that was to come later, and was taken back.
    async fn why_taken_back(
        &self,
        project: &Name,
        id: EventId,
        about: String,
    ) -> Result<Option<WhyView>, Error> {
        let Some((schedule, Fate::TakenBack(record))) = self.fate_of(id).await? else {
            return Ok(None);
        };
        if schedule.meta.project != project.as_str() {
            return Ok(None);
        }
        let due = Timestamp::from_unix_ns(schedule.due_ns);
        Ok(Some(WhyView {
            about,
            state: "cancelled".to_owned(),
            answer: sentence(&taken_back(&record)),
            until: None,
            because: vec![format!("it was due at {due}")],
            hint: String::new(),
            function: schedule.target,
        }))
    }

    async fn why_deliveries(&self, project: &Name, id: EventId) -> Result<Vec<WhyView>, Error> {
        let about = id.to_string();
        let engine = self.engine()?;
        let mut found: Vec<(DeliveryKey, WhyView)> = Vec::new();
        let filter = DeliveryFilter {
            project: Some(project.to_string()),
            event: Some(id),
            ..DeliveryFilter::default()
        };
        for delivery in engine.deliveries(filter, None, DELIVERIES_MAX).await? {
            if let Some(why) = engine.why(delivery.key).await? {
                let view = self.of_delivery(&about, &why).await?;
                found.push((why.key, view));
            }
        }
        let filter = DeadFilter {
            project: Some(project.to_string()),
            event: Some(id),
            ..DeadFilter::default()
        };
        let dead = engine.dead_letters(filter, None, DELIVERIES_MAX).await?;
        // Read last: what ends while this looks is found in the log.
        let decisions = self.decisions(project.as_str(), id).await?;
        let attempts = self.attempts_at(project.as_str(), id).await?;
        for (key, view) in &mut found {
            view.because.extend(earlier(decisions.of((&key.function, &key.trigger))));
        }
        for dead in dead {
            let key = dead.key.clone();
            let last = attempts.iter().rfind(|at| is_of(at, &key));
            let (reason, code) = (dead.reason.as_str(), dead.code.as_str());
            let (attempts, at) = (dead.attempts, dead.at);
            let given_up = GivenUp { key: &key, reason, code, attempts, at };
            let mut view = answers::of_dead(&about, &dead, self.spent(given_up, last).await?);
            let mut decided = decisions.of((&key.function, &key.trigger));
            view.because.extend(decided.next_back().and_then(followed));
            view.because.extend(earlier(decided));
            found.push((key, view));
        }
        for key in keys_of(project, id, (&decisions, &attempts)) {
            if !found.iter().any(|(known, _)| *known == key) {
                let view = self.why_over(&key, (&decisions, &attempts)).await?;
                found.extend(view.map(|view| (key, view)));
            }
        }
        Ok(found.into_iter().map(|(_, view)| view).collect())
    }

    async fn of_delivery(&self, about: &str, why: &nexus_engine::Why) -> Result<WhyView, Error> {
        let hint = self.hint_of(why).await?;
        Ok(answers::of_delivery(about, why, (self.parts.clock.now(), hint)))
    }

    /// A delivery that has ended.
    async fn why_over(
        &self,
        key: &DeliveryKey,
        (decisions, attempts): (&Decisions, &[InvocationRecord]),
    ) -> Result<Option<WhyView>, Error> {
        let about = key.event.to_string();
        let attempts: Vec<&InvocationRecord> =
            attempts.iter().filter(|at| is_of(at, key)).collect();
        let last = attempts.last().copied();
        let mut decided = decisions.of((&key.function, &key.trigger));
        if let Some(at) = decided.next_back().filter(|at| last.is_none() || is_final(at, last)) {
            let mut view = self.why_decided((&about, key), at, &attempts).await?;
            view.because.extend(earlier(decided));
            return Ok(Some(view));
        }
        let Some(last) = last else { return Ok(None) };
        let mut view = of_attempt(key.event, last);
        let all = decisions.of((&key.function, &key.trigger));
        let reported = all.rev().find(|at| at.record.decision() == DeliveryDecision::Reported);
        if let Some(reported) = reported {
            view.because.push(reported.told());
            view.because.extend(followed(reported));
        }
        let others = decisions.of((&key.function, &key.trigger));
        let others = others.filter(|at| at.record.decision() != DeliveryDecision::Reported);
        view.because.extend(earlier(others));
        if decisions.cut {
            view.because.push(format!("only {ROWS_MAX} records after it were looked through"));
        }
        Ok(Some(view))
    }

    /// A delivery that ended by a decision.
    async fn why_decided(
        &self,
        (about, key): (&str, &DeliveryKey),
        decided: &Decided,
        attempts: &[&InvocationRecord],
    ) -> Result<WhyView, Error> {
        let (record, last) = (&decided.record, attempts.last().copied());
        let mut facts: Vec<String> = self.spent_by(key, decided, last).await?.into_iter().collect();
        if attempts.len() > 1 {
            facts.push(attempts_made(u32::try_from(attempts.len()).unwrap_or(u32::MAX)));
        }
        match last {
            Some(last) => facts.push(attempt(last, &record.reason)),
            None if record.attempts > 0 => facts.push(attempts_made(record.attempts)),
            // Logs of older builds lead from the first event of a batch only to the attempts.
            None if self.is_batched(key).await? => {}
            None => facts.push("it never began".to_owned()),
        }
        let mut view = answers::of_decided(about, decided, facts);
        view.because.extend(self.lacks_target(decided));
        Ok(view)
    }

    async fn spent_by(
        &self,
        key: &DeliveryKey,
        decided: &Decided,
        last: Option<&InvocationRecord>,
    ) -> Result<Option<String>, Error> {
        let record = &decided.record;
        let gives_up = [DeliveryDecision::Dead, DeliveryDecision::FellBack];
        if !gives_up.contains(&record.decision()) {
            return Ok(None);
        }
        let (reason, code) = (record.reason.as_str(), record.code.as_str());
        let (attempts, at) = (record.attempts, decided.at());
        self.spent(GivenUp { key, reason, code, attempts, at }, last).await
    }

    /// That the function that gets what follows does not exist, where that is so.
    fn lacks_target(&self, decided: &Decided) -> Option<String> {
        let target = decided.target()?;
        let (project, name) = (Name::new(&decided.record.project), Name::new(target));
        let exists = match (project, name) {
            (Ok(project), Ok(name)) => self.catalog.function(&project, &name).is_some(),
            _ => false,
        };
        (!exists).then(|| format!("the function '{target}' does not exist"))
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
            && record.was_tried()
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
        if let Some(key) = self.key_of(project, id).await? {
            if let Some(why) = self.engine()?.why(key.clone()).await? {
                return self.of_delivery(&about, &why).await;
            }
            // Something was decided before it had an attempt.
            let decisions = self.decisions(project.as_str(), key.event).await?;
            let decided = decisions.of((&key.function, &key.trigger)).next_back();
            if let Some(decided) = decided {
                return self.why_decided((&about, &key), decided, &[]).await;
            }
        }
        let event = EventId::from_bytes(*id.as_bytes());
        if let Some(view) = self.why_taken_back(project, event, about.clone()).await? {
            return Ok(view);
        }
        if let Some(view) = self.ongoing.why(project, id) {
            return Ok(view);
        }
        let record = self.invocation_record(ctx, Scope::Read, id).await?;
        match record.meta.project == project.as_str() {
            true => self.why_ended(&about, &record).await,
            false => Err(Error::not_found(format_args!("invocation {id} in project '{project}'"))),
        }
    }

    /// An attempt that ended, with what followed for its delivery.
    async fn why_ended(&self, about: &str, record: &InvocationRecord) -> Result<WhyView, Error> {
        let mut view = of_record(about, record);
        let Ok(event) = EventId::try_from(&record.meta.cause_event[..]) else { return Ok(view) };
        let key = DeliveryKey {
            event,
            project: record.meta.project.as_str().into(),
            function: record.function.as_str().into(),
            trigger: record.trigger_name.as_str().into(),
        };
        if let Some(why) = self.engine()?.why(key.clone()).await? {
            view.until = until_of(&why);
            let goes_on = brief(&why.to_string());
            view.because.insert(0, format!("the delivery goes on: {goes_on}"));
            return Ok(view);
        }
        let attempts = self.attempts_to(&key).await?;
        let last = attempts.last();
        let (is_last, is_call) =
            (last.is_none_or(|last| last.id == record.id), record.id[..] == event.as_bytes()[..]);
        if let Some(last) = last.filter(|_| !is_last) {
            let id = last.invocation_id().map(|id| id.to_string()).unwrap_or_default();
            let (attempt, word) = (last.attempt, last.status().word());
            view.because.insert(0, format!("attempt {attempt} came after it: {id} ({word})"));
        }
        let decisions = self.decisions(&key.project, event).await?;
        let decided = decisions.of((&key.function, &key.trigger)).next_back();
        let decided = decided.filter(|at| at.record.at_ns >= record.accepted_ns);
        // The first attempt of a call has the id of the call as a whole.
        let Some(decided) = decided.filter(|_| is_last || is_call) else { return Ok(view) };
        self.add_decided(&mut view, (&key, decided), (record, last)).await?;
        if is_call && decided.cancels(last) {
            view.state = decided.state().to_owned();
        }
        Ok(view)
    }

    /// Adds to an attempt what was decided about its delivery.
    async fn add_decided(
        &self,
        view: &mut WhyView,
        (key, decided): (&DeliveryKey, &Decided),
        (record, last): (&InvocationRecord, Option<&InvocationRecord>),
    ) -> Result<(), Error> {
        if decided.record.decision() == DeliveryDecision::Cancelled && !decided.cancels(last) {
            return Ok(());
        }
        // Mostly the reason is the failure of the attempt, which was just told.
        let failure = record.failure.as_ref().map(|at| at.message.as_str()).unwrap_or_default();
        let told = match is_failure(&decided.record.reason, failure) {
            true => decided.told_without_reason(),
            false => decided.told(),
        };
        // The attempt was told of; this is about its delivery.
        let told =
            told.strip_prefix("it ").map_or(told.clone(), |rest| format!("its delivery {rest}"));
        view.answer = format!("{} {}", view.answer, sentence(&told));
        let mut facts: Vec<String> = self.spent_by(key, decided, last).await?.into_iter().collect();
        facts.extend(followed(decided));
        facts.extend(self.lacks_target(decided));
        view.because.splice(0..0, facts);
        if let Some(event) = decided.follower() {
            view.hint = format!("see how it went on: nexus why {event}");
        }
        Ok(())
    }
}

/// Whether a decision is what a delivery came to, whatever the last attempt did.
fn is_final(decided: &Decided, last: Option<&InvocationRecord>) -> bool {
    match decided.record.decision() {
        DeliveryDecision::Reported => false,
        DeliveryDecision::Redriven => !decided.record.replaced_by.is_empty(),
        DeliveryDecision::Cancelled => decided.cancels(last),
        _ => true,
    }
}

/// Whether an attempt was made for this delivery.
fn is_of(record: &InvocationRecord, key: &DeliveryKey) -> bool {
    *record.function == *key.function && *record.trigger_name == *key.trigger
}

/// The deliveries of an event that the log tells of.
fn keys_of(
    project: &Name,
    event: EventId,
    (decisions, attempts): (&Decisions, &[InvocationRecord]),
) -> BTreeSet<DeliveryKey> {
    let decided = decisions.all.iter().map(|at| (&at.record.function, &at.record.trigger));
    let tried = attempts.iter().map(|at| (&at.function, &at.trigger_name));
    let key = |(function, trigger): (&String, &String)| DeliveryKey {
        event,
        project: project.as_str().into(),
        function: function.as_str().into(),
        trigger: trigger.as_str().into(),
    };
    decided.chain(tried).map(key).collect()
}
