//! How it is going: numbers, changes, servers.

use axum::Json as Answer;
use axum::extract::State;
use nexus_model::view::{ChangeView, NodeView, StatsView};
use nexus_model::{Code, Page, Timestamp};
use nexus_node::{PageOptions, StatsQuery};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Project, Query, cursor, name, page_limit};
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

/// Stretches of time where nothing else is asked for.
const BUCKETS_DEFAULT: usize = 60;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const STATS: &str = "/api/v1/projects/{project}/stats";
    const CHANGES: &str = "/api/v1/projects/{project}/changes";
    vec![
        Endpoint::get(
            STATS,
            ["stats_show", "Count what ran: rate, failures, durations, and what runs now"],
            stats,
        )
        .query::<StatsParameters>()
        .answers::<StatsView>(),
        Endpoint::get(CHANGES, ["change_list", "List what changed, newest first"], changes)
            .query::<ChangeQuery>()
            .answers::<Page<ChangeView>>()
            .fails(&[Code::CursorExpired]),
        Endpoint::get("/api/v1/nodes", ["node_list", "List the servers and how they are"], nodes)
            .answers::<Items<NodeView>>(),
    ]
}

/// Which numbers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct StatsParameters {
    /// Of this function only.
    function: Option<String>,
    /// The first moment. Default: an hour before `until`.
    since: Option<Timestamp>,
    /// The moment after the last. Default: now.
    until: Option<Timestamp>,
    /// Into how many stretches the time is cut. Default: 60.
    buckets: Option<usize>,
}

async fn stats(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<StatsParameters>,
) -> Result<Answer<StatsView>, Fault> {
    let function = query.function.as_deref().map(|text| name("function", text)).transpose()?;
    let query = StatsQuery {
        project: project.0,
        function,
        since: query.since,
        until: query.until,
        buckets: query.buckets.unwrap_or(BUCKETS_DEFAULT),
    };
    Ok(Answer(app.node.stats(&ctx, query).await?))
}

/// Which page.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ChangeQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Items on the page.
    limit: Option<usize>,
}

async fn changes(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<ChangeQuery>,
) -> Result<Answer<Page<ChangeView>>, Fault> {
    let page = PageOptions {
        cursor: cursor(query.cursor.as_deref())?,
        limit: page_limit(query.limit)?,
        data: false,
    };
    Ok(Answer(app.node.changes(&ctx, project.text(), page).await?))
}

async fn nodes(State(app): State<App>, Caller(ctx): Caller) -> Listing<NodeView> {
    listing(app.node.nodes(&ctx).await?)
}
