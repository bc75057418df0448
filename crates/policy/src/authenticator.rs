//! From a bearer token to who it stands for.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_model::resource::TokenSpec;
use nexus_model::{Name, Principal, Scope, Timestamp};

use crate::{Token, TokenError, TokenHash};

/// What a token stands for. Cheap to clone.
#[derive(Clone, PartialEq, Debug)]
pub struct Authenticated {
    /// Who it is.
    pub principal: Principal,
    /// What they may do.
    pub scopes: Arc<[Scope]>,
    /// The only project they reach; `None` for all.
    pub project: Option<Name>,
    /// From when on it does not work any more.
    pub expires_at: Option<Timestamp>,
}

/// A known token.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its hash.
    pub hash: TokenHash,
    /// What it stands for.
    pub authenticated: Authenticated,
}

impl Entry {
    /// The entry of a `Token` resource.
    ///
    /// # Errors
    /// Its hash is not 64 hexadecimal digits.
    pub fn from_spec(name: &Name, spec: &TokenSpec) -> Result<Self, TokenError> {
        Ok(Entry {
            hash: spec.hash.parse()?,
            authenticated: Authenticated {
                principal: Principal::token(name.as_str()),
                scopes: spec.scopes.as_slice().into(),
                project: spec.project.clone(),
                expires_at: spec.expires_at,
            },
        })
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.authenticated.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// All known tokens at one moment: an immutable snapshot, replaced as a whole.
///
/// The lookup costs one hash of 32 bytes and one probe, whatever the number of tokens. What could
/// be timed is the lookup of a *hash*; since nobody can choose the hash of a token, that tells an
/// attacker nothing. The hashes themselves are compared in constant time.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    /// By the first eight bytes of the hash. More than one entry only by accident.
    by_prefix: HashMap<[u8; 8], Vec<Entry>>,
}

impl Authenticator {
    /// A snapshot of these tokens.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut by_prefix: HashMap<[u8; 8], Vec<Entry>> = HashMap::new();
        for entry in entries {
            by_prefix.entry(prefix(&entry.hash)).or_default().push(entry);
        }
        Authenticator { by_prefix }
    }

    /// How many tokens it knows, expired ones included.
    pub fn len(&self) -> usize {
        self.by_prefix.values().map(Vec::len).sum()
    }

    /// Whether it knows no token at all.
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// Who sent this token. `None` for a text that is no token, for an unknown token and for an
    /// expired one alike: the sender is not told which.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Option<&Authenticated> {
        self.of_hash(&token.parse::<Token>().ok()?.hash(), now)
    }

    /// Who the token of this hash stands for, unless it is unknown or has expired.
    pub fn of_hash(&self, hash: &TokenHash, now: Timestamp) -> Option<&Authenticated> {
        let entries = self.by_prefix.get(&prefix(hash))?;
        let found = entries.iter().find(|entry| entry.hash == *hash)?;
        found.is_valid(now).then_some(&found.authenticated)
    }

    /// The hash of the token with this name, unless it is unknown or has expired. Looks at every
    /// token: nothing for the path of a request.
    pub fn hash_of_name(&self, name: &str, now: Timestamp) -> Option<TokenHash> {
        let mut entries = self.by_prefix.values().flatten();
        let found = entries.find(|at| *at.authenticated.principal.name == *name)?;
        found.is_valid(now).then_some(found.hash)
    }
}

fn prefix(hash: &TokenHash) -> [u8; 8] {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&hash.as_bytes()[..8]);
    prefix
}
