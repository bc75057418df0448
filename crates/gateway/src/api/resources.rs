//! Resources of every kind, and apply: all of them or none.

use axum::Json as Answer;
use axum::extract::{Request, State};
use bytes::Bytes;
use nexus_model::manifest::Manifest;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Code, Name, limits};
use nexus_node::{Application, AppliedView};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, essence, name, unsupported, whole};
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

/// One apply, in bytes.
pub(super) const APPLY_BYTES_MAX: usize = 16 << 20;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const APPLY: &str = "/api/v1/apply";
    const ALL: &str = "/api/v1/resources/{kind}";
    const ONE: &str = "/api/v1/resources/{kind}/{name}";
    vec![
        Endpoint::post(APPLY, ["resource_apply", "Apply resources: all or none"], apply)
            .scope("write")
            .query::<Applying>()
            .takes::<Vec<Resource>>()
            .takes_as::<Vec<Resource>>("application/yaml")
            .takes_bytes("text/toml")
            .answers::<Items<AppliedView>>()
            .fails(&[
                Code::BadResource,
                Code::BadManifest,
                Code::NotFound,
                Code::Conflict,
                Code::SchemaIncompatible,
            ]),
        Endpoint::get(ALL, ["resource_list", "List the resources of a kind"], list)
            .query::<InProject>()
            .answers::<Items<Resource>>()
            .fails(&[Code::BadResource]),
        Endpoint::get(ONE, ["resource_show", "Show a resource"], show)
            .query::<InProject>()
            .answers::<Resource>()
            .fails(&[Code::BadResource]),
    ]
}

/// Where resources live.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct InProject {
    /// The project.
    project: Option<String>,
}

impl InProject {
    fn name(&self) -> Result<Option<Name>, Fault> {
        self.project.as_deref().map(|project| name("project", project)).transpose()
    }
}

/// How resources are applied.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Applying {
    /// The project of resources that name none.
    project: Option<String>,
    /// Check everything and say what would change, and change nothing.
    dry_run: bool,
    /// The set that the functions, triggers and schemas belong to from now on (annotation
    /// `nexus.dev/set`).
    set: Option<String>,
    /// With `set`: functions, triggers and schemas that belong to it and are not among these are
    /// deleted in the same change.
    prune: bool,
}

async fn apply(
    State(app): State<App>,
    Caller(ctx): Caller,
    Query(Applying { project, dry_run, set, prune }): Query<Applying>,
    request: Request,
) -> Listing<AppliedView> {
    let set = set.map(|set| name("set", &set)).transpose()?;
    if prune && set.is_none() {
        let detail =
            "'prune' needs 'set': it deletes what belongs to a set and is not in the request";
        return Err(Fault::bad_request(detail.to_owned()));
    }
    let project = InProject { project }.name()?;
    let media_type = essence(request.headers());
    let body = whole(request.into_body(), APPLY_BYTES_MAX).await?;
    let resources = parse(&media_type, &body, project.as_ref())?;
    let application = Application { resources, set, prune };
    listing(match dry_run {
        true => app.node.preview(&ctx, application).await?,
        false => app.node.apply(&ctx, application).await?,
    })
}

const ACCEPTED: &str = "application/json, application/yaml, text/toml (nexus.toml)";

fn parse(media_type: &str, body: &Bytes, project: Option<&Name>) -> Result<Vec<Resource>, Fault> {
    let documents = match media_type {
        "text/toml" | "application/toml" => return manifest(body),
        "application/json" => vec![json(body)?],
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(body)?,
        other => return Err(unsupported(other, ACCEPTED)),
    };
    let mut resources = Vec::new();
    for value in documents.into_iter().flat_map(flatten) {
        let index = resources.len();
        resources.push(resource(value, project).map_err(|reason| {
            Fault::new(Code::BadResource, format!("resource {index}: {reason}"))
        })?);
    }
    if resources.len() > limits::APPLY_RESOURCES_MAX {
        let (size, limit) = (resources.len(), limits::APPLY_RESOURCES_MAX);
        let detail = format!("there are {size} resources; the limit is {limit} resources");
        return Err(Fault::new(Code::TooLarge, detail));
    }
    Ok(resources)
}

fn manifest(body: &[u8]) -> Result<Vec<Resource>, Fault> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Fault::new(Code::BadManifest, "the manifest is not UTF-8"))?;
    Manifest::parse(text)
        .map(|manifest| manifest.resources())
        .map_err(|error| Fault::new(Code::BadManifest, error.to_string()))
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|error| Fault::bad_request(format!("the body is not JSON: {error}")))
}

fn yaml(body: &[u8]) -> Result<Vec<Value>, Fault> {
    let wrong = |error| Fault::bad_request(format!("the body is not YAML: {error}"));
    serde_yaml_ng::Deserializer::from_slice(body)
        .map(|document| Value::deserialize(document).map_err(wrong))
        // An empty document, as a trailing `---` makes, is nothing.
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

/// A resource, an array of them, or a list object with `items`.
fn flatten(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Object(mut fields) if !fields.contains_key("kind") => match fields.remove("items") {
            Some(Value::Array(items)) => items,
            Some(items) => vec![items],
            None => vec![Value::Object(fields)],
        },
        other => vec![other],
    }
}

fn resource(value: Value, project: Option<&Name>) -> Result<Resource, String> {
    let mut resource: Resource =
        serde_json::from_value(value).map_err(|error| error.to_string())?;
    if resource.kind.in_project() && resource.metadata.project.is_none() {
        resource.metadata.project = project.cloned();
    }
    Ok(resource)
}

fn kind(text: &str) -> Result<Kind, Fault> {
    Kind::parse(text).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
        Fault::new(Code::NotFound, format!("'{text}' is no kind of resource"))
            .hint(format!("the kinds are {}", known.join(", ")))
    })
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(text): Path<String>,
    Query(query): Query<InProject>,
) -> Listing<Resource> {
    listing(app.node.list_resources(&ctx, kind(&text)?, query.name()?.as_ref()).await?)
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((text, wanted)): Path<(String, String)>,
    Query(query): Query<InProject>,
) -> Result<Answer<Resource>, Fault> {
    let kind = kind(&text)?;
    let project = query.name()?.filter(|_| kind.in_project());
    if kind.in_project() && project.is_none() {
        return Err(Fault::bad_request(format!(
            "{} live in a project: add ?project=",
            kind.plural()
        )));
    }
    let key = ResourceKey { kind, project, name: name("name", &wanted)? };
    Ok(Answer(app.node.get_resource(&ctx, &key).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(media_type: &str, body: &str) -> Result<Vec<String>, String> {
        let project = Name::new("shop").unwrap();
        parse(media_type, &Bytes::copy_from_slice(body.as_bytes()), Some(&project))
            .map(|resources| resources.iter().map(|it| it.key().to_string()).collect())
            .map_err(|fault| fault.problem("").detail)
    }

    #[test]
    fn one_resource_many_documents_or_a_list() {
        let json =
            r#"{"apiVersion":"nexus/v1","kind":"Project","metadata":{"name":"a"},"spec":{}}"#;
        assert_eq!(names("application/json", json).unwrap(), ["Project a"]);
        assert_eq!(names("application/json", &format!("[{json},{json}]")).unwrap().len(), 2);
        assert_eq!(names("application/json", &format!("{{\"items\":[{json}]}}")).unwrap().len(), 1);
        let yaml = "apiVersion: nexus/v1\nkind: Project\nmetadata: { name: a }\nspec: {}\n---\n\
                    apiVersion: nexus/v1\nkind: Function\nmetadata: { name: f }\nspec: {}\n---\n";
        assert_eq!(names("application/yaml", yaml).unwrap(), ["Project a", "Function shop/f"]);
        let manifest = "project = \"m\"\n[functions.hello]\nhttp = \"/hello\"\n";
        assert_eq!(names("text/toml", manifest).unwrap(), ["Project m", "Function m/hello"]);
    }

    #[test]
    fn wrong_resources_are_named() {
        let error = names("application/json", "[{\"kind\":\"Pod\"}]").unwrap_err();
        assert!(error.starts_with("resource 0: "), "{error}");
        assert!(names("text/csv", "").is_err());
        assert!(names("text/toml", "projet = \"shop\"").unwrap_err().contains("project"));
    }
}
