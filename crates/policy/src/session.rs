//! Sessions of people in browsers, and the one-time links that open them. A session stands for a
//! token: it may what the token may, and ends with it. Pure: the time and all random keys come in.

use std::collections::HashMap;

use nexus_model::{Timestamp, limits};

use crate::TokenHash;

/// The hash of a session's key or of a link's code. Both are 256 random bits, so that their hashes can
/// be looked up without comparing in constant time.
type Key = [u8; 32];

/// Open sessions and unused links at one moment. Bounded by [`limits::SESSIONS_MAX`],
/// [`limits::SESSIONS_OF_TOKEN_MAX`] and [`limits::SESSION_LINKS_MAX`].
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<Key, Session>,
    links: HashMap<Key, Link>,
}

#[derive(Debug)]
struct Session {
    token: TokenHash,
    used: Timestamp,
    ends: Timestamp,
}

#[derive(Debug)]
struct Link {
    token: TokenHash,
    ends: Timestamp,
}

/// Why there is no further session or link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// As many sessions as there may be.
    #[error("{limit} sessions are open, the limit", limit = limits::SESSIONS_MAX)]
    TooMany,
    /// As many unused links as there may be.
    #[error("{limit} sign-in links are waiting, the limit", limit = limits::SESSION_LINKS_MAX)]
    TooManyLinks,
}

impl Sessions {
    /// Opens a session for a token. Of one token, the session that was not used for the longest time
    /// makes room. Returns when it ends at the latest.
    ///
    /// # Errors
    /// [`SessionError::TooMany`].
    pub fn open(
        &mut self,
        key: TokenHash,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<Timestamp, SessionError> {
        self.forget(now);
        let own = || self.open.iter().filter(|(_, at)| at.token == token);
        if own().count() >= limits::SESSIONS_OF_TOKEN_MAX {
            let oldest = own().min_by_key(|(_, at)| at.used).map(|(key, _)| *key);
            oldest.and_then(|key| self.open.remove(&key));
        }
        if self.open.len() >= limits::SESSIONS_MAX {
            return Err(SessionError::TooMany);
        }
        let ends = now.after(limits::SESSION_AGE_MAX);
        self.open.insert(*key.as_bytes(), Session { token, used: now, ends });
        Ok(ends)
    }

    /// The token of an open session and when the session ends at the latest. Does not count as use.
    pub fn find(&self, key: &TokenHash, now: Timestamp) -> Option<(TokenHash, Timestamp)> {
        let session = self.open.get(key.as_bytes()).filter(|at| at.is_open(now))?;
        Some((session.token, session.ends))
    }

    /// As [`find`](Self::find); counts as use.
    pub fn touch(&mut self, key: &TokenHash, now: Timestamp) -> Option<(TokenHash, Timestamp)> {
        let session = self.open.get_mut(key.as_bytes()).filter(|at| at.is_open(now))?;
        session.used = now;
        Some((session.token, session.ends))
    }

    /// Ends a session. Returns whether it was open.
    pub fn close(&mut self, key: &TokenHash) -> bool {
        self.open.remove(key.as_bytes()).is_some()
    }

    /// Remembers a link. Returns when it ends.
    ///
    /// # Errors
    /// [`SessionError::TooManyLinks`].
    pub fn link(
        &mut self,
        code: TokenHash,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<Timestamp, SessionError> {
        self.forget(now);
        if self.links.len() >= limits::SESSION_LINKS_MAX {
            return Err(SessionError::TooManyLinks);
        }
        let ends = now.after(limits::SESSION_LINK_AGE_MAX);
        self.links.insert(*code.as_bytes(), Link { token, ends });
        Ok(ends)
    }

    /// The token of a link, once.
    pub fn redeem(&mut self, code: &TokenHash, now: Timestamp) -> Option<TokenHash> {
        let link = self.links.remove(code.as_bytes())?;
        (now < link.ends).then_some(link.token)
    }

    /// Ends everything that stands for a token that is gone.
    pub fn retain(&mut self, known: impl Fn(&TokenHash) -> bool) {
        self.open.retain(|_, at| known(&at.token));
        self.links.retain(|_, at| known(&at.token));
    }

    fn forget(&mut self, now: Timestamp) {
        self.open.retain(|_, at| at.is_open(now));
        self.links.retain(|_, at| now < at.ends);
    }
}

impl Session {
    fn is_open(&self, now: Timestamp) -> bool {
        now < self.ends && now < self.used.after(limits::SESSION_IDLE_MAX)
    }
}
