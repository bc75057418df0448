//! Who asks: by a token, or by the cookie of a session.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use nexus_model::{Code, OpContext, Timestamp};
use nexus_node::Identity;
use nexus_observe::AuthFailure;

use super::App;
use crate::cookie;
use crate::fault::Fault;
use crate::request::{bearer, context, known};

/// What is known of a request before anything looks at it.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) request_id: Arc<str>,
    /// The connection is TLS.
    pub(super) secure: bool,
}

/// Who asks: only callers with a valid token or session get so far. Every handler takes one, unless
/// its endpoint is for everybody.
pub(super) struct Caller(pub(super) OpContext);

impl FromRequestParts<App> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fault> {
        let (identity, _) = identify(app, parts)?;
        Ok(Caller(caller(identity, parts)))
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

/// The context of somebody who was let in.
fn caller(identity: Identity, parts: &Parts) -> OpContext {
    let arrival = parts.extensions.get::<Arrival>();
    let request_id = arrival.map_or_else(|| "".into(), |at| Arc::clone(&at.request_id));
    context(identity, &parts.headers, &request_id)
}

/// How somebody who was let in showed who they are.
enum Shown<'a> {
    Token(&'a str),
    Session(&'a str),
}

/// By its token, or else by the cookie of a session, which only pages of this server may use.
fn identify<'a>(
    app: &'a App,
    Parts { method, headers, .. }: &'a Parts,
) -> Result<(Identity, Shown<'a>), Fault> {
    let mut keys = app.cookie.keys(headers).peekable();
    if headers.contains_key(AUTHORIZATION) || keys.peek().is_none() {
        let token = bearer(headers)?;
        return Ok((known(&app.node, token)?, Shown::Token(token)));
    }
    cookie::own_page(method, headers)?;
    let mut refused = None;
    for key in keys {
        match app.node.session(key) {
            Ok(identity) => return Ok((identity, Shown::Session(key))),
            Err(error) => refused = Some(error),
        }
    }
    let none = || Fault::new(Code::Unauthenticated, "there is no session");
    Err(refused.map_or_else(none, Fault::from).shown(AuthFailure::Session))
}
