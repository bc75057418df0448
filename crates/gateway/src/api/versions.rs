//! Versions of functions: what they are called, which is live, what differs.

use axum::Json as Answer;
use axum::extract::State;
use nexus_model::view::{FunctionView, VersionDiff, VersionView};
use nexus_model::{Code, Name, Sources};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, name};
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/functions/{function}/versions";
    const SOURCES: &str =
        "/api/v1/projects/{project}/functions/{function}/versions/{version}/sources";
    const DIFF: &str = "/api/v1/projects/{project}/functions/{function}/versions/{from}/diff/{to}";
    const LIVE: &str = "/api/v1/projects/{project}/functions/{function}/live";
    const ALIAS: &str = "/api/v1/projects/{project}/functions/{function}/aliases/{alias}";
    vec![
        Endpoint::get(ALL, ["version_list", "List the versions of a function"], versions)
            .answers::<Items<VersionView>>(),
        Endpoint::get(DIFF, ["version_diff", "Show what changed between two versions"], diff)
            .answers::<VersionDiff>(),
        Endpoint::get(SOURCES, ["version_sources", "Read the code of a version"], sources)
            .scope("replay")
            .answers::<Sources>(),
        Endpoint::post(LIVE, ["version_live", "Let new calls run another version"], live)
            .scope("write")
            .query::<LiveQuery>()
            .answers::<FunctionView>()
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::put(ALIAS, ["alias_set", "Give a version a name, or move the name"], set_alias)
            .scope("write")
            .query::<AliasQuery>()
            .answers::<FunctionView>()
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::new(
            (http::Method::DELETE, ALIAS),
            ["alias_delete", "Take a name of a version away"],
            delete_alias,
        )
        .scope("write")
        .answers::<FunctionView>()
        .fails(&[Code::BadResource, Code::Conflict]),
    ]
}

fn names(project: &str, function: &str) -> Result<(Name, Name), Fault> {
    Ok((name("project", project)?, name("function", function)?))
}

async fn versions(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function)): Path<(String, String)>,
) -> Listing<VersionView> {
    let (project, function) = names(&project, &function)?;
    listing(app.node.versions(&ctx, &project, &function).await?)
}

async fn sources(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function, version)): Path<(String, String, String)>,
) -> Result<Answer<Sources>, Fault> {
    let (project, function) = names(&project, &function)?;
    Ok(Answer(app.node.version_sources(&ctx, (&project, &function), &version).await?))
}

async fn diff(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function, from, to)): Path<(String, String, String, String)>,
) -> Result<Answer<VersionDiff>, Fault> {
    let (project, function) = names(&project, &function)?;
    Ok(Answer(app.node.version_diff(&ctx, (&project, &function), (&from, &to)).await?))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LiveQuery {
    /// A number, label, id or alias, or `latest`. Absent: the version that was live before.
    version: Option<String>,
}

async fn live(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function)): Path<(String, String)>,
    Query(query): Query<LiveQuery>,
) -> Result<Answer<FunctionView>, Fault> {
    let (project, function) = names(&project, &function)?;
    let selector = query.version.as_deref();
    Ok(Answer(app.node.make_live(&ctx, (&project, &function), selector).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AliasQuery {
    /// A number, label, id or alias, `live` or `latest`.
    version: String,
}

async fn set_alias(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function, alias)): Path<(String, String, String)>,
    Query(query): Query<AliasQuery>,
) -> Result<Answer<FunctionView>, Fault> {
    let (project, function) = names(&project, &function)?;
    let alias = (&name("alias", &alias)?, query.version.as_str());
    Ok(Answer(app.node.set_alias(&ctx, (&project, &function), alias).await?))
}

async fn delete_alias(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function, alias)): Path<(String, String, String)>,
) -> Result<Answer<FunctionView>, Fault> {
    let (project, function) = names(&project, &function)?;
    let alias = name("alias", &alias)?;
    Ok(Answer(app.node.delete_alias(&ctx, (&project, &function), &alias).await?))
}
