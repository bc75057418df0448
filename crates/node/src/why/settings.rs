//! What the declared settings of a delivery have to do with where it stands.

use nexus_engine::{DeliveryKey, DeliveryState, Reason, Retry};
use nexus_model::record::{InvocationRecord, Status};
use nexus_model::resource::{FunctionSpec, Kind, ResourceKey, TriggerSpec};
use nexus_model::units::exact_duration;
use nexus_model::{Code, Name, Timestamp};

use crate::versions::function_key;
use crate::{Error, Node};

/// What is declared now.
struct Declared {
    function: FunctionSpec,
    trigger: Option<TriggerSpec>,
    /// Since when.
    since: Timestamp,
}

impl Declared {
    fn retry(&self) -> Retry {
        let own = self.trigger.as_ref().and_then(|at| at.delivery.retry.clone());
        let policy = own.or_else(|| self.function.delivery.retry.clone()).unwrap_or_default();
        Retry::new(&policy, self.function.config.attempts)
    }
}

/// A delivery that got no further attempt.
pub(super) struct GivenUp<'a> {
    pub(super) key: &'a DeliveryKey,
    /// As it was recorded.
    pub(super) reason: &'a str,
    pub(super) code: &'a str,
    pub(super) attempts: u32,
    pub(super) at: Timestamp,
}

impl Node {
    async fn declared(&self, key: &DeliveryKey) -> Result<Option<Declared>, Error> {
        let (Ok(project), Ok(function)) = (Name::new(&key.project), Name::new(&key.function))
        else {
            return Ok(None);
        };
        let found = self.parts.store.get(&function_key(&project, &function)).await?;
        let Some(found) = found else { return Ok(None) };
        let mut since = found.metadata.updated_at.unwrap_or_default();
        let Ok(function) = serde_json::from_value(found.spec) else { return Ok(None) };
        let mut declared = Declared { function, trigger: None, since };
        if let Ok(name) = Name::new(&key.trigger) {
            let key = ResourceKey { kind: Kind::Trigger, project: Some(project), name };
            let Some(found) = self.parts.store.get(&key).await? else { return Ok(None) };
            since = since.max(found.metadata.updated_at.unwrap_or_default());
            declared.trigger = serde_json::from_value(found.spec).ok();
        }
        Ok(Some(Declared { since, ..declared }))
    }

    /// Why a delivery got no further attempt, as far as the settings tell that hold now and did
    /// then.
    pub(super) async fn spent(
        &self,
        given_up: GivenUp<'_>,
        last: Option<&InvocationRecord>,
    ) -> Result<Option<String>, Error> {
        let GivenUp { key, reason, code, attempts, at } = given_up;
        // Otherwise the reason is no failure of an attempt, and says itself what it was.
        let failed = reason.starts_with(&format!("{code}: ")) || code == Code::GuestFailed.as_str();
        let Some(last) = last.filter(|_| failed) else { return Ok(None) };
        let declared = self.declared(key).await?;
        let Some(declared) = declared.filter(|now| now.since <= at) else { return Ok(None) };
        let status = match last.status() {
            // The function reported it as a failed one of its batch.
            Status::Succeeded => Status::Failed,
            status => status,
        };
        let retry = declared.retry();
        Ok(if attempts >= retry.attempts {
            Some(match retry.attempts {
                1 => "it has one attempt (`retry.attempts`)".to_owned(),
                count => format!("its {count} attempts are used up (`retry.attempts`)"),
            })
        } else if !retry.retries(status) {
            let word = status.word();
            Some(format!("an attempt that ended as {word} is not tried again (`retry.on`)"))
        } else {
            retry.max_age.map(|age| {
                let age = exact_duration(age);
                format!("the next attempt would have come after its `retry.max-age` of {age}")
            })
        })
    }

    /// Whether several events may go into one attempt.
    pub(super) async fn is_batched(&self, key: &DeliveryKey) -> Result<bool, Error> {
        let declared = self.declared(key).await?;
        Ok(declared.is_some_and(|at| {
            let own = at.trigger.as_ref().and_then(|at| at.delivery.batch);
            own.or(at.function.delivery.batch).is_some()
        }))
    }

    /// What can be done about a delivery that is not finished.
    pub(super) async fn hint_of(&self, why: &nexus_engine::Why) -> Result<String, Error> {
        let (function, trigger) = (&why.key.function, &why.key.trigger);
        Ok(match (&why.reason, &why.state) {
            (Some(Reason::Concurrency { .. }), _) => {
                let whose = self.whose_limit(&why.key, |at| at.delivery.concurrency.is_some());
                format!("raise `concurrency` of {}, or make it quicker", whose.await?)
            }
            (Some(Reason::Rate { .. }), _) => {
                let whose = self.whose_limit(&why.key, |at| at.delivery.rate.is_some());
                format!("raise `rate` of {}", whose.await?)
            }
            (Some(Reason::Order { behind }), _) => {
                format!(
                    "look at what is ahead: nexus why {behind}; `order = \"relaxed\"` lets others pass"
                )
            }
            (Some(Reason::Breaker { .. }), _) => {
                format!(
                    "find out what fails: nexus invocations --function {function} --status failed"
                )
            }
            (Some(Reason::NotNow { .. }), _) => {
                "see how the server is doing: nexus status".to_owned()
            }
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
            _ => String::new(),
        })
    }

    /// The function, or its trigger where that states a limit of its own.
    async fn whose_limit(
        &self,
        key: &DeliveryKey,
        states: impl Fn(&TriggerSpec) -> bool,
    ) -> Result<String, Error> {
        let trigger = match key.trigger.is_empty() {
            true => None,
            false => self.declared(key).await?.and_then(|at| at.trigger),
        };
        Ok(match trigger.is_some_and(|at| states(&at)) {
            true => format!("the trigger {}", key.trigger),
            false => key.function.to_string(),
        })
    }
}
