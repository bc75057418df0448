//! Tokens: made, replaced, and gone with the project that they are bound to.

use nexus_model::resource::{Kind, Resource, ResourceKey, TokenSpec};
use nexus_model::{Code, Name, OpContext, Principal, Scope, limits};
use nexus_policy::{Authenticator, Entry};
use nexus_store::{Change, Expect, Op};

use crate::keys::random;
use crate::node::lock;
use crate::resources::shown;
use crate::{CreatedToken, Error, NewToken, Node, validate};

/// Tokens read from the store at a time.
const PAGE: usize = 1_000;

impl Node {
    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// The caller may not hand out what it does not have; the name is taken.
    pub async fn create_token(
        &self,
        ctx: &OpContext,
        token: NewToken,
    ) -> Result<CreatedToken, Error> {
        let bytes = random().map_err(|error| Error::internal("make a token", error))?;
        let secret = nexus_policy::Token::from_random(bytes);
        let resource = self.put_token(ctx, &token, &secret, Expect::Absent).await.map_err(
            |error| match error.code() {
                Code::Conflict => {
                    Error::new(Code::Conflict, format!("a token '{}' exists already", token.name))
                }
                _ => error,
            },
        )?;
        Ok(CreatedToken { resource, token: secret.expose() })
    }

    /// Makes a token with a known text, for the token file of a data folder; one of its name is
    /// replaced and works no more.
    ///
    /// # Errors
    /// The text is no token, or the store fails.
    pub async fn put_known_token(
        &self,
        ctx: &OpContext,
        token: NewToken,
        plaintext: &str,
    ) -> Result<Resource, Error> {
        let secret: nexus_policy::Token = plaintext
            .parse()
            .map_err(|error: nexus_policy::TokenError| Error::bad_resource("token", error))?;
        self.put_token(ctx, &token, &secret, Expect::Any).await
    }

    /// Whether nothing was ever declared here.
    pub fn is_new(&self) -> bool {
        self.parts.store.revision() == 0
    }

    async fn put_token(
        &self,
        ctx: &OpContext,
        token: &NewToken,
        secret: &nexus_policy::Token,
        expect: Expect,
    ) -> Result<Resource, Error> {
        // Nobody hands out more than they have.
        nexus_policy::authorize(ctx, Scope::Write, token.project.as_ref())?;
        for &scope in &token.scopes {
            nexus_policy::authorize(ctx, scope, token.project.as_ref())?;
        }
        // Held from here, so that the project is not deleted in between.
        let _alone = self.changes.lock().await;
        if let Some(project) = &token.project {
            self.require_project(project)?;
        }
        let spec = TokenSpec {
            hash: secret.hash().to_string(),
            scopes: token.scopes.clone(),
            project: token.project.clone(),
            expires_at: token.ttl.map(|ttl| self.parts.clock.now().after(ttl)),
        };
        let spec =
            serde_json::to_value(&spec).map_err(|error| Error::internal("write a token", error))?;
        let key = ResourceKey { kind: Kind::Token, project: None, name: token.name.clone() };
        let resource = validate::resource(Resource::new(&key, spec), self.config.mode)?;
        let change = Change::new(ctx.principal.clone(), vec![Op::Put { resource, expect }]);
        let applied = self.parts.store.apply(change).await?;
        self.publish(&applied).await?;
        let made = applied.first().cloned();
        made.map(shown).ok_or_else(|| Error::new(Code::Internal, "the token was not stored"))
    }

    /// Reads all tokens again: they are few, and a snapshot is simple.
    pub(crate) async fn reload_tokens(&self) -> Result<(), Error> {
        let mut entries = Vec::new();
        for (name, spec) in self.stored_tokens().await? {
            let entry = Entry::from_spec(&name, &spec);
            entries.push(entry.map_err(|error| Error::internal("read a token", error))?);
        }
        let known = std::sync::Arc::new(Authenticator::new(entries));
        let now = self.parts.clock.now();
        lock(&self.sessions).retain(|token| known.of_hash(token, now).is_some());
        self.authenticator.store(known);
        Ok(())
    }

    /// Deletes tokens whose project is gone: servers before left them behind, and a crash may. They
    /// would work again in the next project of that name.
    pub(crate) async fn drop_orphaned_tokens(&self) -> Result<(), Error> {
        let known = self.catalog.snapshot();
        let ops = self.deletions_of_tokens(|bound| !known.projects.contains_key(bound)).await?;
        for ops in ops.chunks(limits::APPLY_RESOURCES_MAX) {
            self.parts.store.apply(Change::new(Principal::system(), ops.to_vec())).await?;
            tracing::warn!(tokens = ops.len(), "deleted tokens of projects that are gone");
        }
        Ok(())
    }

    /// What deletes the tokens that are bound to a project of which this holds.
    pub(crate) async fn deletions_of_tokens(
        &self,
        is_one: impl Fn(&Name) -> bool,
    ) -> Result<Vec<Op>, Error> {
        let tokens = self.stored_tokens().await?;
        let bound =
            tokens.into_iter().filter(|(_, spec)| spec.project.as_ref().is_some_and(&is_one));
        Ok(bound
            .map(|(name, _)| Op::delete(ResourceKey { kind: Kind::Token, project: None, name }))
            .collect())
    }

    async fn stored_tokens(&self) -> Result<Vec<(Name, TokenSpec)>, Error> {
        let mut tokens = Vec::new();
        let mut after = None;
        loop {
            let page = self.parts.store.list(Kind::Token, None, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(tokens) };
            after = Some(last.metadata.name.clone());
            for token in page {
                let spec = serde_json::from_value(token.spec)
                    .map_err(|error| Error::internal("read a token", error))?;
                tokens.push((token.metadata.name, spec));
            }
        }
    }
}
