//! Tokens. The plaintext is shown once, when a token is made.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Code, Name, Scope};
use nexus_node::NewToken;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Json, Path, Query, name};
use super::projects::Guard;
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/tokens";
    const ONE: &str = "/api/v1/tokens/{token}";
    vec![
        Endpoint::get(ALL, ["token_list", "List the tokens, without their text"], list)
            .scope("admin")
            .answers::<Items<Resource>>(),
        Endpoint::post(ALL, ["token_create", "Make a token; its text is shown once"], create)
            .scope("admin")
            .takes::<TokenRequest>()
            .status(201)
            .answers::<TokenCreated>()
            .fails(&[Code::BadResource, Code::Conflict, Code::NotFound]),
        Endpoint::delete(ONE, ["token_delete", "Delete a token: it stops working at once"], delete)
            .scope("admin")
            .query::<Guard>()
            .fails(&[Code::Conflict]),
    ]
}

/// A token to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// Its name.
    name: Name,
    /// What it may do.
    scopes: Vec<Scope>,
    /// The only project it reaches; absent for all.
    #[serde(default)]
    project: Option<Name>,
    /// How long it works, in seconds; absent for ever.
    #[serde(default)]
    ttl_seconds: Option<u64>,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
struct TokenCreated {
    /// The token itself; it is stored nowhere.
    token: String,
    /// The resource.
    resource: Resource,
}

async fn list(State(app): State<App>, Caller(ctx): Caller) -> Listing<Resource> {
    listing(app.node.list_resources(&ctx, Kind::Token, None).await?)
}

async fn create(
    State(app): State<App>,
    Caller(ctx): Caller,
    Json(body): Json<TokenRequest>,
) -> Result<(StatusCode, Answer<TokenCreated>), Fault> {
    let token = NewToken {
        name: body.name,
        scopes: body.scopes,
        project: body.project,
        ttl: body.ttl_seconds.map(std::time::Duration::from_secs),
    };
    let made = app.node.create_token(&ctx, token).await?;
    let made = TokenCreated { token: made.token, resource: made.resource };
    Ok((StatusCode::CREATED, Answer(made)))
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(token): Path<String>,
    Query(guard): Query<Guard>,
) -> Result<StatusCode, Fault> {
    let key = ResourceKey { kind: Kind::Token, project: None, name: name("token", &token)? };
    app.node.delete_resource(&ctx, &key, guard.revision).await?;
    Ok(StatusCode::NO_CONTENT)
}
