//! Signing in with a browser: sessions that stand for tokens, and the one-time links that open them.
//!
//! They live in memory: a restart signs everybody out. What a session may do is asked of its token
//! each time, so deleting the token ends it at once.

use std::sync::Arc;

use nexus_model::{Code, OpContext, PrincipalKind, Timestamp};
use nexus_policy::{Authenticated, SessionError, Token};

use crate::keys::random;
use crate::node::lock;
use crate::{Error, Identity, Node};

/// What somebody shows to sign in.
#[derive(Clone, Copy)]
pub enum SignIn<'a> {
    /// A token.
    Token(&'a str),
    /// The code of a one-time link.
    Code(&'a str),
}

/// A session that was opened. Its `Debug` form does not show the key.
#[derive(Clone)]
pub struct OpenedSession {
    /// What the browser shows with each request from now on. It is stored nowhere.
    pub key: String,
    /// Who it is.
    pub identity: Identity,
}

/// A link that opens one session, once. Its `Debug` form does not show the code.
#[derive(Clone)]
pub struct SessionLink {
    /// What the link carries. It is stored nowhere.
    pub code: String,
    /// When it stops working.
    pub expires: Timestamp,
}

impl Node {
    /// Opens a session for a browser.
    ///
    /// # Errors
    /// Nobody knows the token or code, or it has expired or was used; too many sessions are open.
    pub fn open_session(&self, proof: SignIn<'_>) -> Result<OpenedSession, Error> {
        let now = self.parts.clock.now();
        let token = match proof {
            SignIn::Token(text) => {
                self.authenticate(text)?;
                parsed(text)?.hash()
            }
            SignIn::Code(code) => {
                let used = || {
                    Error::new(
                        Code::Unauthenticated,
                        "the link is not known, or it was used, or it is too old",
                    )
                    .with_hint(
                        "links work once and for a few minutes; `nexus console` makes a new one",
                    )
                };
                let code = code.parse::<Token>().map_err(|_| used())?.hash();
                lock(&self.sessions).redeem(&code, now).ok_or_else(used)?
            }
        };
        let known = self.authenticator.load();
        let found = known.of_hash(&token, now).ok_or_else(unknown)?;
        let key = secret()?;
        let ends = lock(&self.sessions).open(key.hash(), token, now).map_err(refused)?;
        tracing::info!(principal = %found.principal, "signed in");
        Ok(OpenedSession { key: key.expose(), identity: identity(found, Some(ends)) })
    }

    /// Who a session stands for.
    ///
    /// # Errors
    /// Nobody knows the key, the session has ended, or its token is gone.
    pub fn session(&self, key: &str) -> Result<Identity, Error> {
        let now = self.parts.clock.now();
        let key = parsed(key)?.hash();
        let (token, ends) = lock(&self.sessions).touch(&key, now).ok_or_else(unknown)?;
        let known = self.authenticator.load();
        let found = known.of_hash(&token, now).ok_or_else(unknown)?;
        Ok(identity(found, Some(ends)))
    }

    /// Whether a session is open. Does not count as use.
    pub fn session_lasts(&self, key: &str) -> bool {
        let now = self.parts.clock.now();
        let Ok(key) = parsed(key) else { return false };
        let found = lock(&self.sessions).find(&key.hash(), now);
        found.is_some_and(|(token, _)| self.authenticator.load().of_hash(&token, now).is_some())
    }

    /// Ends a session; one that is not open is ended already.
    pub fn close_session(&self, key: &str) {
        if let Ok(key) = key.parse::<Token>() {
            lock(&self.sessions).close(&key.hash());
        }
    }

    /// A link that signs in whoever opens it first as the caller.
    ///
    /// # Errors
    /// The caller does not act through a token; too many links are waiting.
    pub fn session_link(&self, ctx: &OpContext) -> Result<SessionLink, Error> {
        let now = self.parts.clock.now();
        let known = self.authenticator.load();
        let token = Some(&ctx.principal)
            .filter(|at| at.kind == PrincipalKind::Token)
            .and_then(|at| known.hash_of_name(&at.name, now))
            .ok_or_else(|| {
                Error::new(Code::Forbidden, "a sign-in link stands for a token, and there is none")
            })?;
        let code = secret()?;
        let expires = lock(&self.sessions).link(code.hash(), token, now).map_err(refused)?;
        Ok(SessionLink { code: code.expose(), expires })
    }
}

/// What a token stands for, as long as the token and `ends` allow.
pub(crate) fn identity(found: &Authenticated, ends: Option<Timestamp>) -> Identity {
    let expires = [found.expires_at, ends].into_iter().flatten().min();
    Identity {
        principal: found.principal.clone(),
        scopes: Arc::clone(&found.scopes),
        project: found.project.clone(),
        expires,
    }
}

fn secret() -> Result<Token, Error> {
    let bytes = random().map_err(|error| Error::internal("make a session", error))?;
    Ok(Token::from_random(bytes))
}

fn parsed(text: &str) -> Result<Token, Error> {
    text.parse().map_err(|_| unknown())
}

fn unknown() -> Error {
    Error::new(Code::Unauthenticated, "the session is not known or has ended")
        .with_hint("sign in again; `nexus console` prints a link")
}

fn refused(error: SessionError) -> Error {
    Error::new(Code::TooManySessions, error.to_string())
}

impl std::fmt::Debug for OpenedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedSession").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SessionLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionLink").field("expires", &self.expires).finish_non_exhaustive()
    }
}
