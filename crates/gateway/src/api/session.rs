//! Signing in with a browser. The cookie is opaque; what it may do is asked of the node each time.

use std::sync::Arc;

use axum::Extension;
use axum::Json as Answer;
use axum::extract::{FromRequestParts, State};
use axum::response::IntoResponse;
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use nexus_model::{Code, Name, OpContext, Scope, Timestamp};
use nexus_node::{Identity, SignIn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::endpoint::{Access, Endpoint};
use super::extract::{Arrival, Caller, Json, caller};
use crate::cookie;
use crate::fault::Fault;
use crate::request::bearer;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const SESSION: &str = "/api/v1/session";
    const LINKS: &str = "/api/v1/session/links";
    vec![
        Endpoint::get(SESSION, ["session_show", "Show who asks, and what they may do"], show)
            .scope("")
            .answers::<SessionView>(),
        Endpoint::post(
            SESSION,
            ["session_open", "Sign in with a token or the code of a link: sets a cookie"],
            open,
        )
        .access(Access::Open)
        .takes::<SessionRequest>()
        .status(201)
        .answers::<SessionView>()
        .fails(&[Code::Unauthenticated, Code::CrossSite, Code::TooManySessions]),
        Endpoint::delete(
            SESSION,
            ["session_close", "Sign out: the cookie is worth nothing"],
            close,
        )
        .scope("")
        .fails(&[Code::NotFound]),
        Endpoint::post(
            LINKS,
            ["session_link", "Make a link that signs in as the caller, once"],
            link,
        )
        .scope("")
        .status(201)
        .answers::<LinkView>()
        .fails(&[Code::TooManySessions]),
    ]
}

/// How a caller showed who it is.
#[derive(Clone)]
pub(super) enum Credential {
    /// The text of a token.
    Token(Arc<str>),
    /// The key of a session.
    Session(Arc<str>),
}

/// A caller that was let in.
#[derive(Clone)]
pub(super) struct SignedIn {
    pub(super) credential: Credential,
    pub(super) expires: Option<Timestamp>,
}

impl SignedIn {
    /// Whether the caller would be let in now. Does not count as use of a session.
    pub(super) fn lasts(&self, app: &App) -> bool {
        match &self.credential {
            Credential::Token(token) => app.node.authenticate(token).is_ok(),
            Credential::Session(key) => app.node.session_lasts(key),
        }
    }
}

/// Who asks, and how they were let in: a stream ends when they would not be any more.
pub(super) struct Reader(pub(super) OpContext, pub(super) SignedIn);

impl FromRequestParts<App> for Reader {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fault> {
        let (identity, shown) = identify(app, parts)?;
        let credential = match shown {
            Shown::Token(token) => Credential::Token(token.into()),
            Shown::Session(key) => Credential::Session(key.into()),
        };
        let expires = identity.expires;
        Ok(Reader(caller(identity, parts), SignedIn { credential, expires }))
    }
}

/// How somebody who was let in showed who they are.
pub(super) enum Shown<'a> {
    Token(&'a str),
    Session(&'a str),
}

/// By its token, or else by the cookie of a session, which only pages of this server may use.
pub(super) fn identify<'a>(
    app: &'a App,
    Parts { method, headers, .. }: &'a Parts,
) -> Result<(Identity, Shown<'a>), Fault> {
    let mut keys = app.cookie.keys(headers).peekable();
    if headers.contains_key(AUTHORIZATION) || keys.peek().is_none() {
        let token = bearer(headers)?;
        return Ok((app.node.authenticate(token)?, Shown::Token(token)));
    }
    cookie::own_page(method, headers)?;
    let mut refused = None;
    for key in keys {
        match app.node.session(key) {
            Ok(identity) => return Ok((identity, Shown::Session(key))),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused
        .map_or_else(|| Fault::new(Code::Unauthenticated, "there is no session"), Fault::from))
}

/// What is shown to sign in: one of both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionRequest {
    /// A token.
    #[serde(default)]
    token: Option<String>,
    /// The code of a sign-in link.
    #[serde(default)]
    code: Option<String>,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
struct SessionView {
    /// Who it is: `token:ci`.
    principal: String,
    /// How it was shown.
    kind: SessionKind,
    /// What they may do.
    scopes: Vec<Scope>,
    /// The only project they reach; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<Name>,
    /// When it ends at the latest; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// How a caller shows who it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum SessionKind {
    /// With the cookie of a session.
    Session,
    /// With a token.
    Token,
}

/// A sign-in link.
#[derive(Serialize, JsonSchema)]
struct LinkView {
    /// What the link carries.
    code: String,
    /// Where it leads on this server.
    path: String,
    /// When it stops working.
    expires: Timestamp,
}

async fn show(Reader(ctx, signed_in): Reader) -> Answer<SessionView> {
    let kind = match signed_in.credential {
        Credential::Token(_) => SessionKind::Token,
        Credential::Session(_) => SessionKind::Session,
    };
    Answer(SessionView {
        principal: ctx.principal.to_string(),
        kind,
        scopes: ctx.scopes.to_vec(),
        project: ctx.project,
        expires: signed_in.expires,
    })
}

async fn open(
    State(app): State<App>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    Json(body): Json<SessionRequest>,
) -> Result<impl IntoResponse, Fault> {
    // Nobody may sign somebody else in as themselves.
    cookie::from_here(&Method::POST, &headers)?;
    let proof = match (&body.token, &body.code) {
        (Some(token), None) => SignIn::Token(token.trim()),
        (None, Some(code)) => SignIn::Code(code.trim()),
        _ => return Err(Fault::bad_request("give either 'token' or 'code'")),
    };
    let opened = app.node.open_session(proof)?;
    let secure = arrival.secure || cookie::is_secure(&headers);
    let set = app.cookie.set(&opened.key, secure);
    let set = set.ok_or_else(|| Fault::new(Code::Internal, "the cookie cannot be sent"))?;
    let answer = HeaderMap::from_iter([(SET_COOKIE, set)]);
    Ok((StatusCode::CREATED, answer, Answer(view(opened.identity))))
}

fn view(identity: Identity) -> SessionView {
    SessionView {
        principal: identity.principal.to_string(),
        kind: SessionKind::Session,
        scopes: identity.scopes.to_vec(),
        project: identity.project,
        expires: identity.expires,
    }
}

async fn close(
    State(app): State<App>,
    Reader(_, signed_in): Reader,
) -> Result<(StatusCode, HeaderMap), Fault> {
    let Credential::Session(key) = &signed_in.credential else {
        return Err(Fault::new(Code::NotFound, "a token opens no session that could be closed")
            .hint("to stop a token from working, delete it: nexus tokens delete"));
    };
    app.node.close_session(key);
    let mut headers = HeaderMap::new();
    for removed in app.cookie.removed() {
        headers.append(SET_COOKIE, removed);
    }
    Ok((StatusCode::NO_CONTENT, headers))
}

async fn link(
    State(app): State<App>,
    Caller(ctx): Caller,
) -> Result<(StatusCode, Answer<LinkView>), Fault> {
    let link = app.node.session_link(&ctx)?;
    let path = format!("/signin?code={}", link.code);
    let view = LinkView { code: link.code, path, expires: link.expires };
    Ok((StatusCode::CREATED, Answer(view)))
}
