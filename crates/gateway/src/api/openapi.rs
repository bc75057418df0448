//! The OpenAPI 3.1 document, made from the table of endpoints and the schemas of the model: a pure
//! function, so that it can be committed and compared without a server.

mod parameters;
mod responses;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::endpoint::{Access, Content, Endpoint, Failures};
use super::endpoints;

/// The OpenAPI 3.1 document of the API.
pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    generator.subschema_for::<nexus_model::Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints() {
        let operation = operation(&endpoint, &mut generator);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation;
    }
    let mut schemas = generator.take_definitions(true);
    add_examples(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Nexus",
            "version": "v1",
            "description": "Functions, events, invocations and their replay. Errors are problem \
                documents (RFC 9457) with a stable `code`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "examples": responses::examples(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A token: `nexus tokens create` makes one.",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "nexus_session_7070",
                    "description": "The cookie of a browser that has signed in; its name has the \
                        port of the API. Requests that change something also need the header \
                        `nexus-csrf: 1`.",
                },
            }
        }
    })
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": endpoint.id,
        "summary": endpoint.summary,
        "tags": [tag(endpoint.path)],
    });
    match endpoint.access {
        Access::Open => operation["security"] = json!([]),
        Access::Token("") => {
            operation["description"] = "Needs a token or session, with any scope.".into();
        }
        Access::Token(scope) => {
            operation["description"] = format!("Needs the scope `{scope}`.").into();
        }
        Access::Metrics => {
            operation["description"] =
                "Needs the scope `read`, unless the server is configured to leave it open.".into();
        }
    }
    let mut parameters = path_parameters(endpoint.path);
    if let Some(query) = endpoint.query {
        parameters.extend(query_parameters(query(generator).to_value()));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if !endpoint.request.is_empty() {
        operation["requestBody"] =
            json!({ "required": true, "content": contents(&endpoint.request, generator) });
    }
    let mut answer = json!({ "description": endpoint.summary });
    if !endpoint.answer.is_empty() {
        answer["content"] = contents(&endpoint.answer, generator);
    }
    operation["responses"] = answers(endpoint, answer).into();
    operation
}

/// The answers of an operation by status, the good one first.
fn answers(endpoint: &Endpoint, good: Value) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert(endpoint.status.to_string(), good.clone());
    for (status, also) in endpoint.also {
        let mut answer = good.clone();
        answer["description"] = (*also).into();
        all.insert(status.to_string(), answer);
    }
    for (status, problem) in responses::problems(&responses::codes(endpoint)) {
        // A status that is good can also come with a problem: the media type tells them apart.
        match all.get_mut(&status) {
            Some(there) => {
                there["content"]["application/problem+json"] =
                    problem["content"]["application/problem+json"].clone()
            }
            None => {
                all.insert(status, problem);
            }
        }
    }
    if let Failures::Any(_) = endpoint.failures {
        let default = json!({
            "description": "What the function answered, with its status and media type.",
        });
        all.insert("default".to_owned(), default);
    }
    all
}

/// Examples by the names of schemas: answers of a real server, shortened, and what is sent to it.
fn add_examples(schemas: &mut Map<String, Value>) {
    let known: Map<String, Value> =
        serde_json::from_str(include_str!("openapi/examples.json")).unwrap_or_default();
    for (name, example) in known {
        if let Some(schema) = schemas.get_mut(&name).and_then(Value::as_object_mut) {
            schema.insert("examples".to_owned(), json!([example]));
        }
    }
}

fn contents(contents: &[Content], generator: &mut SchemaGenerator) -> Value {
    let mut map = Map::new();
    for content in contents {
        let body = match content.schema {
            Some(schema) => json!({ "schema": schema(generator).to_value() }),
            None => json!({}),
        };
        map.insert(content.media_type.to_owned(), body);
    }
    map.into()
}

/// The group of a path: the word behind the project, or the first one.
fn tag(path: &str) -> &str {
    let rest = path.trim_start_matches("/api/v1/").trim_start_matches('/');
    let rest = rest.strip_prefix("projects/{project}/").unwrap_or(rest);
    rest.split('/').next().unwrap_or(rest)
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(parameters::in_path)
        .collect()
}

fn query_parameters(schema: Value) -> Vec<Value> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .map(|(name, property)| {
            let mut schema = without_null(property.clone());
            let description =
                schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({ "name": name, "in": "query", "schema": schema });
            if required.contains(&name.as_str()) {
                parameter["required"] = true.into();
            }
            if let Some(description) = description {
                parameter["description"] = description;
            }
            parameters::in_query(&mut parameter);
            parameter
        })
        .collect()
}

/// A query parameter is there or not; it is never null.
fn without_null(mut schema: Value) -> Value {
    if schema["default"].is_null() {
        schema.as_object_mut().map(|schema| schema.remove("default"));
    }
    if let Some([one, Value::String(null)]) = schema["type"].as_array().map(Vec::as_slice)
        && null == "null"
    {
        schema["type"] = one.clone();
    }
    let one = schema["anyOf"].as_array().and_then(|any| any.first()).cloned();
    match (one, schema.as_object_mut()) {
        (Some(Value::Object(one)), Some(schema)) => {
            schema.remove("anyOf");
            schema.extend(one);
        }
        // Asking for an absent member of a mutable value would have made it.
        (_, Some(schema)) => schema.retain(|_, value| !value.is_null()),
        _ => {}
    }
    schema
}
