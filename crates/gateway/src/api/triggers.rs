//! Triggers: what calls functions.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use nexus_model::resource::{Kind, ResourceKey};
use nexus_model::view::TriggerView;
use nexus_model::{Code, Name};

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, name};
use super::projects::Guard;
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/triggers";
    const ONE: &str = "/api/v1/projects/{project}/triggers/{trigger}";
    const PAUSE: &str = "/api/v1/projects/{project}/triggers/{trigger}/pause";
    const RESUME: &str = "/api/v1/projects/{project}/triggers/{trigger}/resume";
    vec![
        Endpoint::get(ALL, ["trigger_list", "List what calls the functions of a project"], list)
            .answers::<Items<TriggerView>>(),
        Endpoint::get(ONE, ["trigger_show", "Show a trigger"], show).answers::<TriggerView>(),
        Endpoint::delete(ONE, ["trigger_delete", "Delete a trigger"], delete)
            .scope("write")
            .query::<Guard>()
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::post(PAUSE, ["trigger_pause", "Let the events of a trigger wait"], pause)
            .scope("write")
            .answers::<TriggerView>()
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::post(RESUME, ["trigger_resume", "Let a paused trigger go on"], resume)
            .scope("write")
            .answers::<TriggerView>()
            .fails(&[Code::BadResource, Code::Conflict]),
    ]
}

type TriggerPath = Path<(String, String)>;

fn names((project, trigger): (String, String)) -> Result<(Name, Name), Fault> {
    Ok((name("project", &project)?, name("trigger", &trigger)?))
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
) -> Listing<TriggerView> {
    listing(app.node.triggers(&ctx, &name("project", &project)?).await?)
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): TriggerPath,
) -> Result<Answer<TriggerView>, Fault> {
    let (project, trigger) = names(path)?;
    Ok(Answer(app.node.trigger(&ctx, &project, &trigger).await?))
}

async fn pause(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): TriggerPath,
) -> Result<Answer<TriggerView>, Fault> {
    let (project, trigger) = names(path)?;
    Ok(Answer(app.node.pause_trigger(&ctx, &project, &trigger).await?))
}

async fn resume(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): TriggerPath,
) -> Result<Answer<TriggerView>, Fault> {
    let (project, trigger) = names(path)?;
    Ok(Answer(app.node.resume_trigger(&ctx, &project, &trigger).await?))
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): TriggerPath,
    Query(guard): Query<Guard>,
) -> Result<StatusCode, Fault> {
    let (project, trigger) = names(path)?;
    let key = ResourceKey { kind: Kind::Trigger, project: Some(project), name: trigger };
    app.node.delete_resource(&ctx, &key, guard.revision).await?;
    Ok(StatusCode::NO_CONTENT)
}
