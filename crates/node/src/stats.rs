//! How it is going: counts and percentiles from the catalogues of the log, and what waits and runs at
//! this moment.

use std::collections::BTreeMap;
use std::time::Duration;

use nexus_engine::{DeadFilter, DeliveryFilter};
use nexus_log::{ActivityQuery, Tally};
use nexus_model::record::Status;
use nexus_model::view::{
    DeliveryCounts, FunctionStats, LoadView, NowView, StatsBucket, StatsView, TotalsView,
};
use nexus_model::{Code, EventFilter, InvocationFilter, Name, OpContext, Scope, Timestamp, limits};

use crate::history::reach;
use crate::{Error, Node};

/// The stretch of time where nothing else is asked for.
const SPAN_DEFAULT: Duration = Duration::from_secs(3600);

/// Which numbers.
#[derive(Clone, Debug, Default)]
pub struct StatsQuery {
    /// The project; `None` for all that the caller reaches.
    pub project: Option<Name>,
    /// The function; `None` for all.
    pub function: Option<Name>,
    /// The first moment; an hour before `until` by default.
    pub since: Option<Timestamp>,
    /// The moment after the last; now by default.
    pub until: Option<Timestamp>,
    /// Into how many stretches the time is cut: 1 to [`limits::STATS_BUCKETS_MAX`].
    pub buckets: usize,
}

impl Node {
    /// What ran in a stretch of time, how it ended and how long it took. Recordings of the last 50 ms
    /// may be missing.
    ///
    /// # Errors
    /// The caller may not read there; the stretch is empty; the log cannot be read.
    pub async fn stats(&self, ctx: &OpContext, query: StatsQuery) -> Result<StatsView, Error> {
        let mut project = query.project.as_ref().map(Name::to_string);
        reach(ctx, &mut project)?;
        if !(1..=limits::STATS_BUCKETS_MAX).contains(&query.buckets) {
            let (asked, limit) = (query.buckets, limits::STATS_BUCKETS_MAX);
            let detail = format!("buckets is {asked}; it must lie between 1 and {limit}");
            return Err(Error::new(Code::BadRequest, detail));
        }
        let until = query.until.unwrap_or_else(|| self.parts.clock.now());
        let since = query.since.unwrap_or_else(|| until.before(SPAN_DEFAULT));
        if since >= until {
            let detail = format!("since ({since}) must lie before until ({until})");
            return Err(Error::new(Code::BadRequest, detail));
        }
        let function = query.function.as_ref().map(Name::to_string);
        let now = self.now(ctx, project.clone(), function.clone()).await?;
        let asked = ActivityQuery { project, function, since, until, buckets: query.buckets };
        let found = self.parts.log.activity(&asked).await?;
        let bucket = |(index, bucket): (usize, &nexus_log::ActivityBucket)| StatsBucket {
            at: since.after(Duration::from_nanos(found.bucket_ns.saturating_mul(index as u64))),
            events: bucket.events,
            totals: totals(&bucket.calls),
        };
        let buckets: Vec<StatsBucket> = found.buckets.iter().enumerate().map(bucket).collect();
        let events = query.function.is_none().then(|| buckets.iter().map(|at| at.events).sum());
        let mut functions = found.functions;
        functions.sort_by(|(project, name, one), (other_project, other_name, other)| {
            let names = || (project, name).cmp(&(other_project, other_name));
            other.count().cmp(&one.count()).then_with(names)
        });
        let omitted = functions.len().saturating_sub(limits::STATS_FUNCTIONS_MAX);
        functions.truncate(limits::STATS_FUNCTIONS_MAX);
        let view = |(project, function, tally): (String, String, Tally)| FunctionStats {
            project,
            function,
            totals: totals(&tally),
        };
        Ok(StatsView {
            since,
            until,
            bucket_ns: found.bucket_ns,
            totals: totals(&found.total),
            events,
            buckets,
            functions: functions.into_iter().map(view).collect(),
            functions_omitted: omitted as u64,
            now,
        })
    }

    async fn now(
        &self,
        ctx: &OpContext,
        project: Option<String>,
        function: Option<String>,
    ) -> Result<NowView, Error> {
        let engine = self.engine()?;
        let pending = DeliveryFilter {
            project: project.clone(),
            function: function.clone(),
            ..DeliveryFilter::default()
        };
        let counts = engine.delivery_counts(pending).await?;
        let dead = DeadFilter { project, function, ..DeadFilter::default() };
        let dead = engine.dead_counts(dead).await?;
        Ok(NowView {
            deliveries: DeliveryCounts {
                queued: counts.ready,
                retrying: counts.waiting,
                running: counts.running,
                suspended: counts.suspended,
            },
            dead_letters: dead.iter().map(|at| at.count).sum(),
            server: ctx.allows(Scope::Read, None).then(|| self.load_view()),
        })
    }

    pub(crate) fn load_view(&self) -> LoadView {
        LoadView {
            instances_running: self.parts.runtime.stats().running,
            calls_waiting: self.admission.waiting() as u64,
        }
    }

    /// How many ended invocations match.
    ///
    /// # Errors
    /// The caller may not read there; the log cannot be read.
    pub async fn count_invocations(
        &self,
        ctx: &OpContext,
        mut filter: InvocationFilter,
    ) -> Result<u64, Error> {
        reach(ctx, &mut filter.project)?;
        self.parts.log.count_invocations(&filter).await.map_err(Error::from)
    }

    /// How many events match.
    ///
    /// # Errors
    /// The caller may not read there; the log cannot be read.
    pub async fn count_events(
        &self,
        ctx: &OpContext,
        mut filter: EventFilter,
    ) -> Result<u64, Error> {
        reach(ctx, &mut filter.project)?;
        self.parts.log.count_events(&filter).await.map_err(Error::from)
    }
}

fn totals(tally: &Tally) -> TotalsView {
    let count = tally.count();
    let all = Status::WORDS.iter().filter_map(|word| Status::from_word(word));
    let by_status: BTreeMap<String, u64> = all
        .map(|status| (status.word().to_owned(), tally.of(status)))
        .filter(|(_, count)| *count > 0)
        .collect();
    TotalsView {
        invocations: count,
        failed: count - tally.of(Status::Succeeded),
        cold: tally.cold,
        by_status,
        p50_ns: tally.duration_ns(0.5),
        p95_ns: tally.duration_ns(0.95),
        p99_ns: tally.duration_ns(0.99),
        max_ns: (count > 0).then_some(tally.duration_ns_max),
    }
}
