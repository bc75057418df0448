//! Functions, their versions and their deployment.

use axum::Json as Answer;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use nexus_model::resource::{FunctionSpec, Resource};
use nexus_model::view::{Deployed, FunctionView};
use nexus_model::{Code, Name, Sources, limits};
use nexus_node::{Deploy, DeploymentView};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, essence, name, unsupported, whole};
use super::resources::APPLY_BYTES_MAX;
use super::{App, Items, Listing, listing};
use crate::body::broken;
use crate::fault::Fault;

/// Source files as JSON: escapes make a text longer, at most twice for what people write.
const SOURCES_JSON_BYTES_MAX: usize = 2 * limits::SOURCES_BYTES_MAX;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/functions";
    const ONE: &str = "/api/v1/projects/{project}/functions/{function}";
    const DEPLOY: &str = "/api/v1/projects/{project}/functions/{function}/deploy";
    const DEPLOY_ALL: &str = "/api/v1/projects/{project}/deploy";
    vec![
        Endpoint::get(ALL, ["function_list", "List the functions of a project"], list)
            .answers::<Items<FunctionView>>(),
        Endpoint::get(ONE, ["function_show", "Show a function"], show).answers::<FunctionView>(),
        Endpoint::delete(ONE, ["function_delete", "Delete a function"], delete)
            .scope("write")
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::post(DEPLOY, ["function_deploy", "Deploy a component"], deploy)
            .scope("write")
            .query::<DeployQuery>()
            .takes_bytes("application/wasm")
            .takes_as::<DeployParts>("multipart/form-data")
            .answers::<Deployed>()
            .fails(&[
                Code::BadResource,
                Code::BadComponent,
                Code::WasiP3,
                Code::CompileFailed,
                Code::Conflict,
            ]),
        Endpoint::post(DEPLOY_ALL, ["project_deploy", "Deploy functions: all or none"], deploy_all)
            .scope("write")
            .query::<DeployAllQuery>()
            .takes_as::<DeploymentParts>("multipart/form-data")
            .answers::<DeploymentView>()
            .fails(&[
                Code::BadResource,
                Code::BadComponent,
                Code::WasiP3,
                Code::CompileFailed,
                Code::Conflict,
                Code::SchemaIncompatible,
            ]),
    ]
}

type FunctionPath = Path<(String, String)>;

fn names((project, function): (String, String)) -> Result<(Name, Name), Fault> {
    Ok((name("project", &project)?, name("function", &function)?))
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
) -> Listing<FunctionView> {
    listing(app.node.functions(&ctx, &name("project", &project)?).await?)
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): FunctionPath,
) -> Result<Answer<FunctionView>, Fault> {
    let (project, function) = names(path)?;
    Ok(Answer(app.node.function(&ctx, &project, &function).await?))
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): FunctionPath,
) -> Result<StatusCode, Fault> {
    let (project, function) = names(path)?;
    app.node.delete_function(&ctx, &project, &function).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeployQuery {
    /// What it was written in: `rust`, `javascript`, `python`.
    #[serde(default)]
    language: String,
    /// What the new version is called: a semantic version.
    #[serde(default)]
    label: String,
    /// Only make the version; calls go on running the one that is live.
    #[serde(default)]
    candidate: bool,
}

/// The parts of a deployment in `multipart/form-data`.
#[derive(Default, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct DeployParts {
    /// The component (`application/wasm`).
    component: Vec<u8>,
    /// The function's spec; absent to keep what it has.
    spec: Option<FunctionSpec>,
    /// Read-only files (`application/x-tar`).
    bundle: Option<Vec<u8>>,
    /// The text of its code, for debuggers and crash dumps.
    sources: Option<Sources>,
}

async fn deploy(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): FunctionPath,
    Query(query): Query<DeployQuery>,
    request: Request,
) -> Result<Answer<Deployed>, Fault> {
    let upload = Upload::read(request).await?;
    let deploy = upload.deploy(names(path)?, (query.language, query.label), query.candidate)?;
    Ok(Answer(app.node.deploy(&ctx, deploy).await?))
}

/// What a deployment gets, besides its parts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeployAllQuery {
    /// Only make the versions; calls go on running those that are live.
    #[serde(default)]
    candidate: bool,
}

/// The parts of a deployment of several functions in `multipart/form-data`. Each part `function`
/// begins one; what follows belongs to it, up to the next.
#[derive(Default, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct DeploymentParts {
    /// Which function (`application/json`).
    function: FunctionPart,
    /// Its component (`application/wasm`).
    component: Vec<u8>,
    /// Its spec; absent to keep what it has.
    spec: Option<FunctionSpec>,
    /// Its read-only files (`application/x-tar`).
    bundle: Option<Vec<u8>>,
    /// The text of its code, for debuggers and crash dumps.
    sources: Option<Sources>,
    /// Once: all that the project's manifest declares beside functions, which are the project, its
    /// schemas and its triggers. Those that a manifest declared before and that are not in it are
    /// deleted. Absent to leave all of them as they are.
    resources: Option<Vec<Resource>>,
}

/// A function of a deployment.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FunctionPart {
    /// The function.
    name: String,
    /// What it was written in: `rust`, `javascript`, `python`.
    #[serde(default)]
    language: String,
    /// What the new version is called: a semantic version.
    #[serde(default)]
    label: String,
}

async fn deploy_all(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<DeployAllQuery>,
    request: Request,
) -> Result<Answer<DeploymentView>, Fault> {
    let project = name("project", &project)?;
    let mut deployment = app.node.begin_deployment(&ctx, &project)?;
    let media_type = essence(request.headers());
    if media_type != "multipart/form-data" {
        return Err(unsupported(&media_type, "multipart/form-data"));
    }
    let mut parts = multipart(request).await?;
    let (mut begun, mut resources) = (None::<(FunctionPart, Upload)>, None::<Vec<Resource>>);
    // A function is looked at and compiled before the next one is read: one is in memory at a time.
    let whole = |(function, upload): (FunctionPart, Upload)| {
        let label = function.label;
        let about = (project.clone(), name("function", &function.name)?);
        upload.deploy(about, (function.language, label), query.candidate)
    };
    while let Some(field) = next(&mut parts).await? {
        match field.name().unwrap_or_default() {
            "function" => {
                let next = json_part(field, "the part 'function'", limits::RESOURCE_BYTES_MAX);
                let next = (next.await?, Upload::default());
                if let Some(before) = begun.replace(next) {
                    deployment.add(whole(before)?).await?;
                }
            }
            "resources" => {
                let all = json_part(field, "the part 'resources'", APPLY_BYTES_MAX);
                resources = Some(all.await?);
            }
            other => match &mut begun {
                Some((_, upload)) => upload.take(field).await?,
                None => {
                    let detail = format!("the part '{other}' comes before any part 'function'");
                    return Err(Fault::bad_request(detail));
                }
            },
        }
    }
    match begun {
        Some(last) => deployment.add(whole(last)?).await?,
        None if resources.is_none() => {
            return Err(Fault::bad_request("the part 'function' is missing"));
        }
        None => {}
    }
    for resource in resources.iter_mut().flatten().filter(|at| at.kind.in_project()) {
        resource.metadata.project.get_or_insert_with(|| project.clone());
    }
    Ok(Answer(deployment.finish(resources).await?))
}

/// What was sent of one function.
#[derive(Default)]
struct Upload {
    component: Option<Bytes>,
    spec: Option<FunctionSpec>,
    bundle: Option<Bytes>,
    sources: Option<Sources>,
}

impl Upload {
    async fn read(request: Request) -> Result<Self, Fault> {
        match essence(request.headers()).as_str() {
            "multipart/form-data" => {
                let (mut parts, mut upload) = (multipart(request).await?, Upload::default());
                while let Some(field) = next(&mut parts).await? {
                    upload.take(field).await?;
                }
                Ok(upload)
            }
            "application/wasm" | "application/octet-stream" => {
                let component = whole(request.into_body(), limits::COMPONENT_BYTES_MAX).await?;
                Ok(Upload { component: Some(component), ..Upload::default() })
            }
            other => Err(unsupported(other, "application/wasm, multipart/form-data")),
        }
    }

    /// Reads one part.
    async fn take(&mut self, field: Field<'_>) -> Result<(), Fault> {
        match field.name().unwrap_or_default() {
            "component" => {
                let limit = limits::COMPONENT_BYTES_MAX;
                self.component = Some(part(field, "the part 'component'", limit).await?);
            }
            "bundle" => {
                let limit = limits::BUNDLE_BYTES_MAX;
                self.bundle = Some(part(field, "the part 'bundle'", limit).await?);
            }
            "spec" => {
                let limit = limits::RESOURCE_BYTES_MAX;
                self.spec = Some(json_part(field, "the part 'spec'", limit).await?);
            }
            "sources" => {
                let limit = SOURCES_JSON_BYTES_MAX;
                self.sources = Some(json_part(field, "the part 'sources'", limit).await?);
            }
            other => {
                return Err(Fault::bad_request(format!(
                    "the part '{other}' is not known; accepted: component, spec, bundle, sources"
                )));
            }
        }
        Ok(())
    }

    fn deploy(
        self,
        (project, name): (Name, Name),
        (language, label): (String, String),
        candidate: bool,
    ) -> Result<Deploy, Fault> {
        let component =
            self.component.ok_or_else(|| Fault::bad_request("the part 'component' is missing"))?;
        Ok(Deploy {
            project,
            name,
            component,
            config: self.spec,
            language,
            bundle: self.bundle,
            sources: self.sources,
            label,
            candidate,
        })
    }
}

async fn multipart(request: Request) -> Result<Multipart, Fault> {
    Multipart::from_request(request, &())
        .await
        .map_err(|rejection| Fault::bad_request(rejection.body_text()))
}

/// The next part.
async fn next(parts: &mut Multipart) -> Result<Option<Field<'_>>, Fault> {
    let field = parts.next_field().await;
    field.map_err(|error| broken(&error, "the multipart body", limits::COMPONENT_BYTES_MAX))
}

async fn json_part<T: DeserializeOwned>(
    field: Field<'_>,
    what: &str,
    limit: usize,
) -> Result<T, Fault> {
    let text = part(field, what, limit).await?;
    serde_json::from_slice(&text)
        .map_err(|error| Fault::bad_request(format!("{what} is not valid: {error}")))
}

async fn part(mut field: Field<'_>, what: &str, limit: usize) -> Result<Bytes, Fault> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error, what, limit))? {
        if bytes.len() + piece.len() > limit {
            return Err(Fault::too_large(what, None, limit));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
