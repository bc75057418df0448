//! Rules of delivery settings: each limit by its field.

use std::time::Duration;

use nexus_content::{KeyExpression, Transformation};
use nexus_model::limits;
use nexus_model::resource::{
    Batch, Breaker, Cache, Deduplicate, DeliveryConfig, Destination, Queue, Rate, RetryPolicy,
};
use nexus_model::units::{Millis, exact_duration};

use super::event_type;
use crate::Error;

/// Deliveries that one queue may hold.
const QUEUE_MAX: u32 = 1_000_000;
/// The longest time of a rate.
const RATE_PER_MAX: Duration = Duration::from_secs(24 * 3600);
/// The longest time that a breaker leaves a function alone.
const BREAKER_OPEN_MAX: Duration = Duration::from_secs(24 * 3600);
/// The longest time that a result is kept.
const CACHE_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Checks the settings in `field`, such as `spec.delivery`.
pub(super) fn delivery(field: &str, config: &DeliveryConfig) -> Result<(), Error> {
    let at = |name: &str| format!("{field}.{name}");
    if let Some(policy) = &config.retry {
        retry(&at("retry"), policy)?;
    }
    if let Some(text) = &config.key {
        key(&at("key"), text)?;
    }
    number(&at("concurrency"), config.concurrency, u32::MAX)?;
    number(&at("concurrency-per-key"), config.concurrency_per_key, u32::MAX)?;
    if config.concurrency_per_key.is_some_and(|count| count > 1)
        && config.order.unwrap_or_default() == nexus_model::resource::Order::Strict
    {
        return Err(Error::bad_resource(
            at("concurrency-per-key"),
            "more than 1 has no order: set order = \"relaxed\" as well",
        ));
    }
    if let Some(Rate { limit, per, burst }) = config.rate {
        number(&at("rate.limit"), Some(limit), u32::MAX)?;
        number(&at("rate.burst"), burst, u32::MAX)?;
        duration(&at("rate.per"), per, (1, RATE_PER_MAX))?;
    }
    if let Some(Batch { size, wait }) = config.batch {
        number(&at("batch.size"), Some(size), limits::DELIVERY_BATCH_MAX)?;
        duration(&at("batch.wait"), wait, (0, limits::DELIVERY_BATCH_WAIT_MAX))?;
    }
    if let Some(Deduplicate { key: text, age }) = &config.deduplicate {
        key(&at("deduplicate.key"), text)?;
        duration(&at("deduplicate.age"), *age, (1, limits::DEDUP_AGE))?;
    }
    if let Some(text) = &config.transform {
        Transformation::parse(text).map_err(|error| {
            Error::bad_resource(at("transform"), error)
                .with_hint("a jq expression over the event: {id: .data.order, total: .data.sum}")
        })?;
    }
    if let Some(Breaker { failures, open }) = config.breaker {
        number(&at("breaker.failures"), Some(failures), u32::MAX)?;
        duration(&at("breaker.open"), open, (1, BREAKER_OPEN_MAX))?;
    }
    for (name, target) in [("on-success", &config.on_success), ("on-failure", &config.on_failure)] {
        if let Some(target) = target {
            destination(&at(name), target)?;
        }
    }
    if let Some(Queue { max, .. }) = config.queue {
        number(&at("queue.max"), Some(max), QUEUE_MAX)?;
    }
    Ok(())
}

/// Checks a function's cache of results.
pub(super) fn cache(cache: &Cache) -> Result<(), Error> {
    crate::cache_key::RequestKey::parse(&cache.key).map_err(|error| {
        Error::bad_resource("spec.cache.key", error)
            .with_hint("write path, query.page, header.accept, data.id or {path}?{query.page}")
    })?;
    duration("spec.cache.age", cache.age, (1, CACHE_AGE_MAX))
}

fn retry(field: &str, policy: &RetryPolicy) -> Result<(), Error> {
    number(&format!("{field}.attempts"), policy.attempts, limits::ATTEMPTS_MAX)?;
    for (name, value, limit) in [
        ("first", policy.first, limits::RETRY_DELAY_MAX.max(limits::RETRY_AGE_MAX)),
        ("max", policy.max, limits::RETRY_AGE_MAX),
        ("max-age", policy.max_age, limits::RETRY_AGE_MAX),
    ] {
        if let Some(value) = value {
            duration(&format!("{field}.{name}"), value, (1, limit))?;
        }
    }
    share(&format!("{field}.factor"), policy.factor, (1.0, limits::RETRY_FACTOR_MAX))?;
    share(&format!("{field}.jitter"), policy.jitter, (0.0, 1.0))
}

fn destination(field: &str, target: &Destination) -> Result<(), Error> {
    match (&target.function, &target.event) {
        (Some(_), None) => Ok(()),
        (None, Some(ty)) if ty.contains('*') => {
            Err(Error::bad_resource(format!("{field}.event"), "one type, without *"))
        }
        (None, Some(ty)) if ty.starts_with("dev.nexus.") => Err(Error::bad_resource(
            format!("{field}.event"),
            "types that begin with dev.nexus. are Nexus' own",
        )),
        (None, Some(ty)) => event_type(&format!("{field}.event"), ty),
        _ => Err(Error::bad_resource(field, "states exactly one of function and event")),
    }
}

/// Checks a key expression.
pub(super) fn key(field: &str, text: &str) -> Result<(), Error> {
    KeyExpression::parse(text).map(drop).map_err(|error| {
        Error::bad_resource(field, error)
            .with_hint("write subject, data.customer.id or a template: {type}/{data.customer.id}")
    })
}

fn number(field: &str, value: Option<u32>, high: u32) -> Result<(), Error> {
    match value {
        Some(value) if !(1..=high).contains(&value) => {
            Err(Error::bad_resource(field, format!("{value} is not between 1 and {high}")))
        }
        _ => Ok(()),
    }
}

fn share(field: &str, value: Option<f64>, (low, high): (f64, f64)) -> Result<(), Error> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            Err(Error::bad_resource(field, format!("{value} is not between {low} and {high}")))
        }
        _ => Ok(()),
    }
}

/// `low` in milliseconds.
pub(super) fn duration(
    field: &str,
    value: Millis,
    (low, high): (u64, Duration),
) -> Result<(), Error> {
    if value.0 >= low && value.duration() <= high {
        return Ok(());
    }
    let (low, high) = (exact_duration(Duration::from_millis(low)), exact_duration(high));
    Err(Error::bad_resource(field, format!("{value} is not between {low} and {high}")))
}
