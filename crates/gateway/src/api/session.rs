//! Signing in with a browser. The cookie is opaque; what it may do is asked of the node each time.

use axum::Extension;
use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};
use nexus_model::{Code, Name, Scope, Timestamp};
use nexus_node::{Identity, SignIn};
use nexus_observe::AuthFailure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::caller::{Arrival, Caller, Credential, Reader};
use super::endpoint::{Access, Endpoint};
use super::extract::Json;
use crate::cookie;
use crate::fault::Fault;

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
    let (proof, shown) = match (&body.token, &body.code) {
        (Some(token), None) => (SignIn::Token(token.trim()), AuthFailure::Token),
        (None, Some(code)) => (SignIn::Code(code.trim()), AuthFailure::Link),
        _ => return Err(Fault::bad_request("give either 'token' or 'code'")),
    };
    let opened = app.node.open_session(proof);
    let opened = opened.map_err(|error| Fault::from(error).shown(shown))?;
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
