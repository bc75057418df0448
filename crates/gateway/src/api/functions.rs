//! Functions, their versions and their deployment.

use axum::Json as Answer;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use nexus_model::resource::FunctionSpec;
use nexus_model::view::{Deployed, FunctionView};
use nexus_model::{Code, Name, Sources, limits};
use nexus_node::Deploy;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::endpoint::Endpoint;
use super::extract::{Caller, Path, Query, essence, name, unsupported, whole};
use super::{App, Items, Listing, listing};
use crate::body::broken;
use crate::fault::Fault;

/// Source files as JSON: escapes make a text longer, at most twice for what people write.
const SOURCES_JSON_BYTES_MAX: usize = 2 * limits::SOURCES_BYTES_MAX;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/functions";
    const ONE: &str = "/api/v1/projects/{project}/functions/{function}";
    const DEPLOY: &str = "/api/v1/projects/{project}/functions/{function}/deploy";
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
    let (project, name) = names(path)?;
    let upload = Upload::read(request).await?;
    let deploy = Deploy {
        project,
        name,
        component: upload.component,
        config: upload.spec,
        language: query.language,
        bundle: upload.bundle,
        sources: upload.sources,
        label: query.label,
        candidate: query.candidate,
    };
    Ok(Answer(app.node.deploy(&ctx, deploy).await?))
}

#[derive(Default)]
struct Upload {
    component: Bytes,
    spec: Option<FunctionSpec>,
    bundle: Option<Bytes>,
    sources: Option<Sources>,
}

impl Upload {
    async fn read(request: Request) -> Result<Self, Fault> {
        match essence(request.headers()).as_str() {
            "multipart/form-data" => Upload::read_parts(request).await,
            "application/wasm" | "application/octet-stream" => {
                let component = whole(request.into_body(), limits::COMPONENT_BYTES_MAX).await?;
                Ok(Upload { component, ..Upload::default() })
            }
            other => Err(unsupported(other, "application/wasm, multipart/form-data")),
        }
    }

    async fn read_parts(request: Request) -> Result<Self, Fault> {
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|rejection| Fault::bad_request(rejection.body_text()))?;
        let mut upload = Upload::default();
        let mut component = None;
        while let Some(field) = parts
            .next_field()
            .await
            .map_err(|error| broken(&error, "the multipart body", limits::COMPONENT_BYTES_MAX))?
        {
            match field.name().unwrap_or_default() {
                "component" => {
                    component = Some(
                        part(field, "the part 'component'", limits::COMPONENT_BYTES_MAX).await?,
                    );
                }
                "bundle" => {
                    upload.bundle =
                        Some(part(field, "the part 'bundle'", limits::BUNDLE_BYTES_MAX).await?);
                }
                "spec" => {
                    upload.spec = Some(
                        json_part(field, "the part 'spec'", limits::RESOURCE_BYTES_MAX).await?,
                    );
                }
                "sources" => {
                    upload.sources =
                        Some(json_part(field, "the part 'sources'", SOURCES_JSON_BYTES_MAX).await?);
                }
                other => {
                    return Err(Fault::bad_request(format!(
                        "the part '{other}' is not known; accepted: component, spec, bundle, sources"
                    )));
                }
            }
        }
        upload.component =
            component.ok_or_else(|| Fault::bad_request("the part 'component' is missing"))?;
        Ok(upload)
    }
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
