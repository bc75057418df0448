//! Rules of triggers: those of functions and those that are resources of their own.

use std::time::Duration;

use nexus_content::Selector;
use nexus_engine::{CronError, CronSchedule};
use nexus_model::resource::{
    CronTrigger, EventTrigger, TriggerSpec, WebhookScheme, WebhookTrigger,
};
use nexus_model::{Code, limits};

use super::{TEXT_BYTES_MAX, delivery, event_type, host, path, route};
use crate::secrets::OWN_PREFIX;
use crate::{Error, Mode};

/// The largest jitter of a cron trigger.
const JITTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// How old a signed timestamp may be at most.
const TOLERANCE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Checks a trigger resource.
pub(super) fn trigger(spec: &TriggerSpec, mode: Mode) -> Result<(), Error> {
    let stated =
        [spec.event.is_some(), spec.cron.is_some(), spec.webhook.is_some(), spec.http.is_some()];
    if stated.iter().filter(|stated| **stated).count() != 1 {
        return Err(Error::bad_resource(
            "spec",
            "states exactly one of event, cron, webhook and http",
        ));
    }
    if let Some(trigger) = &spec.event {
        event("spec.event", trigger)?;
    }
    if let Some(trigger) = &spec.cron {
        cron("spec.cron", trigger)?;
    }
    if let Some(trigger) = &spec.webhook {
        webhook("spec.webhook", trigger)?;
    }
    if let Some(trigger) = &spec.http {
        route("spec.http", trigger, mode)?;
        if spec.paused {
            return Err(Error::bad_resource("spec.paused", "a route cannot be paused: delete it"));
        }
        if spec.delivery != nexus_model::resource::DeliveryConfig::default() {
            return Err(Error::bad_resource(
                "spec.delivery",
                "a route calls its function at once: nothing is delivered",
            ));
        }
    }
    delivery::delivery("spec.delivery", &spec.delivery)
}

/// Checks an event trigger.
pub(super) fn event(field: &str, trigger: &EventTrigger) -> Result<(), Error> {
    if trigger.is_empty() {
        return Err(Error::bad_resource(field, "states nothing")
            .with_hint("write type = \"*\" for all events"));
    }
    for (name, text) in
        [("type", &trigger.ty), ("source", &trigger.source), ("subject", &trigger.subject)]
    {
        if let Some(text) = text {
            event_type(&format!("{field}.{name}"), text)?;
        }
    }
    let wrong = |error: &dyn std::fmt::Display| {
        Error::bad_resource(field, error).with_hint("filters are explained in docs/filters.md")
    };
    let value = serde_json::to_value(trigger).map_err(|error| wrong(&error))?;
    let selector: Selector = serde_json::from_value(value).map_err(|error| wrong(&error))?;
    selector.compile().map(drop).map_err(|error| {
        Error::new(Code::BadResource, format!("{field}.{error}"))
            .with_hint("filters are explained in docs/filters.md")
    })
}

/// Checks a cron trigger.
pub(super) fn cron(field: &str, trigger: &CronTrigger) -> Result<(), Error> {
    CronSchedule::parse(&trigger.schedule, trigger.zone.as_deref()).map_err(|error| {
        let part = if matches!(error, CronError::Zone { .. }) { "zone" } else { "schedule" };
        Error::bad_resource(format!("{field}.{part}"), error)
            .with_hint("minute hour day month weekday, such as 0 6 * * MON-FRI, or @daily")
    })?;
    if let Some(jitter) = trigger.jitter {
        delivery::duration(&format!("{field}.jitter"), jitter, (0, JITTER_MAX))?;
    }
    let size = trigger.data.to_string().len();
    if size > limits::EVENT_BYTES_MAX / 2 {
        return Err(Error::new(
            Code::TooLarge,
            format!("{field}.data has {size} bytes, the limit is {}", limits::EVENT_BYTES_MAX / 2),
        ));
    }
    Ok(())
}

/// Checks a webhook.
pub(super) fn webhook(field: &str, trigger: &WebhookTrigger) -> Result<(), Error> {
    path(&format!("{field}.path"), &trigger.path)?;
    if trigger.path.contains('{') {
        return Err(Error::bad_resource(
            format!("{field}.path"),
            "is taken exactly: braces have no meaning here",
        ));
    }
    host(&format!("{field}.host"), trigger.host.as_deref())?;
    match (trigger.verify, &trigger.secret) {
        (WebhookScheme::None, Some(_)) => {
            return Err(Error::bad_resource(
                format!("{field}.secret"),
                "is not used where verify is none: say how requests are signed",
            ));
        }
        (WebhookScheme::None, None) => {}
        (_, None) => {
            return Err(Error::bad_resource(
                format!("{field}.secret"),
                "names the secret with the signing key",
            )
            .with_hint(
                "nexus secrets set github-key, then secret = \"github-key\"; verify = \"none\" \
                 takes requests of everybody",
            ));
        }
        (_, Some(secret)) if secret.as_str().starts_with(OWN_PREFIX) => {
            return Err(Error::bad_resource(
                format!("{field}.secret"),
                "secrets that begin with nexus- are Nexus' own",
            ));
        }
        (_, Some(_)) => {}
    }
    if let Some(tolerance) = trigger.tolerance {
        delivery::duration(&format!("{field}.tolerance"), tolerance, (1_000, TOLERANCE_MAX))?;
    }
    if let Some(ty) = &trigger.ty {
        if ty.starts_with("dev.nexus.") || ty.contains('*') || ty.len() > TEXT_BYTES_MAX {
            return Err(Error::bad_resource(
                format!("{field}.type"),
                "one type, without *; those that begin with dev.nexus. are Nexus' own",
            ));
        }
        event_type(&format!("{field}.type"), ty)?;
    }
    Ok(())
}
