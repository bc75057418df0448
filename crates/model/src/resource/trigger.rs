//! What calls functions: routes, events, times, webhooks.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DeliveryConfig, HttpRoute};
use crate::Name;
use crate::units::Millis;

/// What calls a function, as its own spec says it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Triggers {
    /// Paths on the ingress. `/hello` matches itself and everything below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRoute>,
    /// Events: an event that any of these selects is delivered once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventTrigger>,
    /// Times at which an event is made for the function.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cron: Vec<CronTrigger>,
    /// Paths on the ingress that take signed requests and make events of them for the function.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookTrigger>,
}

/// Which events. Everything that is stated must hold.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EventTrigger {
    /// The type; a trailing `*` matches any ending.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// The source; a trailing `*` matches any ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The subject; a trailing `*` matches any ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Filters in the dialects of the CloudEvents Subscriptions API (`exact`, `prefix`, `suffix`,
    /// `all`, `any`, `not`, `sql`), and `data` for the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Value>,
}

impl EventTrigger {
    /// Whether anything is stated: an empty selector is a mistake, not "all events".
    pub fn is_empty(&self) -> bool {
        *self == EventTrigger::default()
    }

    /// All events of a type; a trailing `*` matches any ending.
    pub fn of_type(ty: &str) -> Self {
        EventTrigger { ty: Some(ty.to_owned()), ..EventTrigger::default() }
    }
}

impl std::fmt::Display for EventTrigger {
    /// `com.shop.* from /web about 42, 2 filters`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.ty.as_deref().unwrap_or("any type"))?;
        if let Some(source) = &self.source {
            write!(f, " from {source}")?;
        }
        if let Some(subject) = &self.subject {
            write!(f, " about {subject}")?;
        }
        match self.filters.len() {
            0 => Ok(()),
            1 => f.write_str(", 1 filter"),
            more => write!(f, ", {more} filters"),
        }
    }
}

/// Times at which an event of the type `dev.nexus.cron` is made.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CronTrigger {
    /// Five fields (minute to weekday), as crontab(5) has them, or `@hourly`, `@daily`, `@weekly`,
    /// `@monthly`, `@yearly`; six fields begin with seconds.
    pub schedule: String,
    /// The IANA time zone. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What happens to times that passed while nothing was there to see them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub catch_up: CatchUp,
    /// Each firing is moved by up to this much, always the same for one time and trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Millis>,
    /// The data of the events.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// What happens to times that passed while the server was down or the trigger paused.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// They are skipped.
    Skip,
    /// One event for the latest of them.
    #[default]
    Last,
    /// One event for each, oldest first, up to `cron-catch-up-max` of `nexus limits`.
    All,
}

/// A path on the ingress that takes signed requests and makes events of the type
/// `dev.nexus.webhook` (or `type`) of them. 202 when the event is durable.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebhookTrigger {
    /// The path, exactly.
    pub path: String,
    /// The host; by default the project's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How requests are signed.
    #[serde(default)]
    pub verify: WebhookScheme,
    /// The secret with the signing key; needed unless `verify` is `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Name>,
    /// How old a signed timestamp may be. Default: 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Millis>,
    /// The type of the events. Default: `dev.nexus.webhook`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
}

/// How a webhook is signed.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookScheme {
    /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[default]
    Standard,
    /// GitHub: `x-hub-signature-256`; the delivery id becomes the event's id.
    Github,
    /// Stripe: `stripe-signature`.
    Stripe,
    /// Not at all: must be stated.
    None,
}

/// Spec of [`Kind::Trigger`](super::Kind::Trigger): calls a function without touching its spec.
/// Exactly one of `event`, `cron`, `webhook` and `http` is stated. The delivery settings replace
/// those of the function one by one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TriggerSpec {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The function that is called.
    pub function: Name,
    /// Events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventTrigger>,
    /// Times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<CronTrigger>,
    /// Signed requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTrigger>,
    /// A route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpRoute>,
    /// Events are matched and queued, but not delivered until it is resumed; cron does not fire.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// How events are delivered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delivery: DeliveryConfig,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
