//! Dead letters: events that no function handled.

use axum::Json as Answer;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nexus_model::view::{BulkView, DeadLetterCount, DeadLetterDetail, DeadLetterView};
use nexus_model::{Code, EventId, Timestamp};
use nexus_node::{DeadLetterFilter, RedriveOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Json, Path, Project, Query, page_limit};
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/dead-letters";
    const COUNTS: &str = "/api/v1/projects/{project}/dead-letters/counts";
    const ONE: &str = "/api/v1/projects/{project}/dead-letters/{event}";
    const REDRIVE: &str = "/api/v1/projects/{project}/dead-letters/redrive";
    const DROP: &str = "/api/v1/projects/{project}/dead-letters/drop";
    vec![
        Endpoint::get(ALL, ["dead_letter_list", "List events that no function handled"], list)
            .query::<DeadQuery>()
            .answers::<Items<DeadLetterView>>(),
        Endpoint::get(COUNTS, ["dead_letter_count", "Count dead letters by reason"], counts)
            .query::<DeadQuery>()
            .answers::<Items<DeadLetterCount>>(),
        Endpoint::get(
            ONE,
            ["dead_letter_show", "Show the dead letters of an event with every attempt"],
            show,
        )
        .answers::<Items<DeadLetterDetail>>(),
        Endpoint::post(REDRIVE, ["dead_letter_redrive", "Try dead letters again"], redrive)
            .scope("write")
            .takes::<RedriveRequest>()
            .answers::<BulkView>()
            .fails(&[Code::BadEvent, Code::SchemaViolated, Code::Conflict, Code::QueueFull]),
        Endpoint::post(DROP, ["dead_letter_drop", "Take dead letters out for good"], discard)
            .scope("write")
            .takes::<DropRequest>()
            .answers::<BulkView>(),
    ]
}

/// Which dead letters. Everything that is stated must hold.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DeadQuery {
    /// Of this function.
    function: Option<String>,
    /// Of this trigger; empty for those of functions themselves.
    trigger: Option<String>,
    /// Of this event.
    event: Option<EventId>,
    /// With this code.
    code: Option<String>,
    /// Of this event type; a trailing `*` matches any ending.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// Given up at or after this moment.
    since: Option<Timestamp>,
    /// Given up before this moment.
    until: Option<Timestamp>,
    /// How many.
    limit: Option<usize>,
}

impl DeadQuery {
    fn filter(self, project: &Project) -> DeadLetterFilter {
        DeadLetterFilter {
            project: project.0.clone(),
            function: self.function,
            trigger: self.trigger,
            event: self.event,
            code: self.code,
            ty: self.ty,
            since: self.since,
            until: self.until,
        }
    }

    fn is_empty(&self) -> bool {
        self.function.is_none()
            && self.trigger.is_none()
            && self.event.is_none()
            && self.code.is_none()
            && self.ty.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }
}

/// Which dead letters, and how they are tried again.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RedriveRequest {
    /// Which.
    filter: DeadQuery,
    /// All of them: must be stated where the filter states nothing.
    all: bool,
    /// How many begin per second.
    rate: Option<std::num::NonZeroU32>,
    /// Only say how many there are.
    dry_run: bool,
    /// JSON data in the place of the event's; for one dead letter only.
    data: Option<Value>,
    /// The same for data that is no JSON, in base 64.
    data_base64: Option<String>,
    /// The media type of the data.
    content_type: Option<String>,
    /// Kept with the decision.
    reason: String,
}

/// Which dead letters, and why they go.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DropRequest {
    /// Which.
    filter: DeadQuery,
    /// All of them: must be stated where the filter states nothing.
    all: bool,
    /// Only say how many there are.
    dry_run: bool,
    /// Why: kept with the decision.
    reason: String,
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<DeadQuery>,
) -> Listing<DeadLetterView> {
    let limit = page_limit(query.limit)?;
    listing(app.node.dead_letters(&ctx, query.filter(&project), limit).await?)
}

async fn counts(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<DeadQuery>,
) -> Listing<DeadLetterCount> {
    page_limit(query.limit)?;
    listing(app.node.dead_letter_counts(&ctx, query.filter(&project)).await?)
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Path((_, event)): Path<(String, String)>,
) -> Listing<DeadLetterDetail> {
    let event: EventId =
        event.parse().map_err(|error| Fault::bad_request(format!("event: {error}")))?;
    listing(app.node.dead_letter(&ctx, project.0.as_ref(), event).await?)
}

/// Nobody redrives or drops everything by leaving something out.
fn guarded(filter: &DeadQuery, all: Option<&str>) -> Result<(), Fault> {
    match (filter.is_empty(), all) {
        (true, None) => Err(Fault::bad_request("the filter states nothing")
            .hint("state event, function, trigger, code, type, since or until, or all: true")),
        _ => Ok(()),
    }
}

async fn redrive(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Json(body): Json<RedriveRequest>,
) -> Result<Answer<BulkView>, Fault> {
    guarded(&body.filter, body.all.then_some("all"))?;
    let data = edited(&body)?;
    let filter = body.filter.filter(&project);
    if body.dry_run {
        return Ok(Answer(app.node.dead_letters_matched(&ctx, filter).await?));
    }
    let options = RedriveOptions { rate: body.rate, data, reason: body.reason };
    Ok(Answer(app.node.redrive(&ctx, filter, options).await?))
}

fn edited(body: &RedriveRequest) -> Result<Option<(Bytes, String)>, Fault> {
    let stated = |default: &str| body.content_type.clone().unwrap_or_else(|| default.to_owned());
    match (&body.data, &body.data_base64) {
        (None, None) => Ok(None),
        (Some(data), None) => Ok(Some((data.to_string().into(), stated("application/json")))),
        (None, Some(text)) => {
            let wrong = |error| Fault::bad_request(format!("data_base64: {error}"));
            let bytes = STANDARD.decode(text).map_err(wrong)?;
            Ok(Some((bytes.into(), stated("application/octet-stream"))))
        }
        (Some(_), Some(_)) => Err(Fault::bad_request("data and data_base64 exclude each other")),
    }
}

async fn discard(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Json(body): Json<DropRequest>,
) -> Result<Answer<BulkView>, Fault> {
    guarded(&body.filter, body.all.then_some("all"))?;
    let filter = body.filter.filter(&project);
    if body.dry_run {
        return Ok(Answer(app.node.dead_letters_matched(&ctx, filter).await?));
    }
    Ok(Answer(app.node.drop_dead_letters(&ctx, filter, &body.reason).await?))
}
