//! How events reach one lane: the delivery settings of a trigger over those of its function, with
//! every default filled in.

use std::sync::Arc;
use std::time::Duration;

use nexus_model::limits;
use nexus_model::resource::{
    DeliveryConfig, Destination, FunctionSpec, Order, Priority, Queue, QueueFull, Rate, TriggerSpec,
};

use crate::retry::Retry;
use nexus_content::KeyExpression;

/// The effective settings of a lane.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) retry: Retry,
    pub(crate) key: Option<KeyExpression>,
    pub(crate) order: Order,
    /// 0 for no limit.
    pub(crate) per_key: u32,
    pub(crate) gate: Gate,
    pub(crate) priority: Priority,
    pub(crate) batch: Option<BatchOf>,
    pub(crate) deduplicate: Option<(KeyExpression, Duration)>,
    pub(crate) transform: Option<Arc<str>>,
    pub(crate) breaker: Option<BreakerOf>,
    pub(crate) fallback: Option<Arc<str>>,
    pub(crate) on_success: Option<Destination>,
    pub(crate) on_failure: Option<Destination>,
    pub(crate) queue: Option<(u32, QueueFull)>,
    pub(crate) durable: bool,
    pub(crate) paused: bool,
}

/// Which limits the attempts of a lane share, and how wide they are.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Gate {
    /// Attempts at the same time; 0 for no limit.
    pub(crate) concurrency: u32,
    /// Whether the limit is the trigger's own; otherwise all lanes of the function share it.
    pub(crate) own_concurrency: bool,
    pub(crate) rate: Option<RateOf>,
    pub(crate) own_rate: bool,
}

/// A token bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RateOf {
    /// How long one token takes.
    pub(crate) interval_ns: u64,
    pub(crate) burst: u32,
    /// As it was written, for people.
    pub(crate) limit: u32,
    pub(crate) per: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchOf {
    pub(crate) size: usize,
    pub(crate) wait: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BreakerOf {
    pub(crate) failures: u32,
    pub(crate) open: Duration,
}

impl Settings {
    /// Those of the function's own lane, or of a trigger of it.
    pub(crate) fn of(function: &FunctionSpec, trigger: Option<&TriggerSpec>) -> Self {
        let own = trigger.map(|at| at.delivery.clone());
        let stated = own.as_ref();
        let gate = Gate {
            own_concurrency: stated.is_some_and(|at| at.concurrency.is_some()),
            own_rate: stated.is_some_and(|at| at.rate.is_some()),
            ..Gate::default()
        };
        let config = match own {
            Some(own) => own.over(&function.delivery),
            None => function.delivery.clone(),
        };
        let concurrency = config.concurrency.or(function.config.concurrency).unwrap_or(0);
        let gate = Gate { concurrency, rate: config.rate.and_then(RateOf::new), ..gate };
        Settings {
            retry: Retry::new(&config.retry.clone().unwrap_or_default(), function.config.attempts),
            gate,
            durable: function.config.durable,
            paused: trigger.is_some_and(|at| at.paused),
            ..Settings::delivery(&config)
        }
    }

    fn delivery(config: &DeliveryConfig) -> Self {
        Settings {
            key: config.key.as_deref().and_then(|key| KeyExpression::parse(key).ok()),
            order: config.order.unwrap_or_default(),
            per_key: config.concurrency_per_key.unwrap_or(0),
            priority: config.priority.unwrap_or_default(),
            batch: config.batch.map(|batch| BatchOf {
                size: batch.size.clamp(1, limits::DELIVERY_BATCH_MAX) as usize,
                wait: batch.wait.duration().min(limits::DELIVERY_BATCH_WAIT_MAX),
            }),
            deduplicate: config.deduplicate.as_ref().and_then(|at| {
                let age = at.age.duration().min(limits::DEDUP_AGE);
                Some((KeyExpression::parse(&at.key).ok()?, age))
            }),
            transform: config.transform.as_deref().map(Arc::from),
            breaker: config
                .breaker
                .map(|at| BreakerOf { failures: at.failures.max(1), open: at.open.duration() }),
            fallback: config.fallback.as_ref().map(|name| Arc::from(name.as_str())),
            on_success: config.on_success.clone(),
            on_failure: config.on_failure.clone(),
            queue: config.queue.map(|Queue { max, full }| (max, full)),
            ..Settings::default()
        }
    }
}

impl RateOf {
    fn new(rate: Rate) -> Option<Self> {
        if rate.limit == 0 {
            return None;
        }
        let per = rate.per.duration().max(Duration::from_millis(1));
        let ns = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        Some(RateOf {
            interval_ns: (ns / u64::from(rate.limit)).max(1),
            burst: rate.burst.unwrap_or(rate.limit).max(1),
            limit: rate.limit,
            per,
        })
    }
}
