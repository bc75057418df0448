//! Secrets and replay keys: values that lie encrypted in the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nexus_model::resource::{Kind, Resource, ResourceKey, SecretSpec};
use nexus_model::{Code, Name, OpContext, Principal, Scope};
use nexus_store::{Change, Expect, Op};

use crate::keys::{Key, random};
use crate::{Error, Node};

/// Secrets whose names begin like this are Nexus' own; nobody else may set or read them.
pub(crate) const OWN_PREFIX: &str = "nexus-";
/// The secret that holds a project's replay key.
const REPLAY_KEY: &str = "nexus-replay-key";
/// The value of a secret, in bytes.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// Versions of a secret that are kept: replays of older invocations fail with that reason.
const SECRET_VERSIONS_MAX: usize = 100;
/// How often a change is tried again when somebody else changed the secret in between.
const TRIES: usize = 10;

impl Node {
    /// Sets a secret: a new version, which new calls see. Returns its number. The same value again
    /// makes no new version.
    ///
    /// # Errors
    /// The caller may not write in the project; the value is too large; the store fails.
    pub async fn set_secret(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
        value: &[u8],
    ) -> Result<u32, Error> {
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        self.require_project(project).map_err(|error| {
            error.with_hint(format!(
                "make it first: nexus projects create {project}; a deploy makes it, too"
            ))
        })?;
        if value.len() > SECRET_BYTES_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!("the secret has {} bytes, the limit is {SECRET_BYTES_MAX}", value.len()),
            ));
        }
        if std::str::from_utf8(value).is_err() {
            return Err(Error::bad_resource(
                "value",
                "a secret is UTF-8 text; encode binary values as base 64",
            ));
        }
        if name.as_str().starts_with(OWN_PREFIX) {
            return Err(Error::bad_resource(
                "metadata.name",
                format!("names that begin with {OWN_PREFIX} are reserved"),
            ));
        }
        let version = self.put_secret(&ctx.principal, (project, name), value).await?;
        self.forget_loaded(project);
        Ok(version)
    }

    async fn put_secret(
        &self,
        principal: &Principal,
        (project, name): (&Name, &Name),
        value: &[u8],
    ) -> Result<u32, Error> {
        let key = secret_key(project, name);
        for _ in 0..TRIES {
            let known = self.parts.store.get(&key).await?;
            let (mut spec, expect) = match &known {
                None => (SecretSpec { current: 0, versions: Default::default() }, Expect::Absent),
                Some(resource) => {
                    let revision = resource.metadata.revision.unwrap_or_default();
                    (secret_spec(resource)?, Expect::Revision(revision))
                }
            };
            if let Some(sealed) = spec.versions.get(&spec.current)
                && self.open_secret((project, name, spec.current), sealed)? == value
            {
                return Ok(spec.current);
            }
            let version =
                spec.versions.keys().next_back().copied().unwrap_or(0).max(spec.current) + 1;
            let context = context(project, name, version);
            let sealed = self.secret_key.seal(&context, value);
            let sealed = sealed.map_err(|error| Error::internal("encrypt a secret", error))?;
            spec.versions.insert(version, STANDARD.encode(sealed));
            while spec.versions.len() > SECRET_VERSIONS_MAX {
                spec.versions.pop_first();
            }
            spec.current = version;
            let spec = serde_json::to_value(&spec)
                .map_err(|error| Error::internal("write a secret", error))?;
            let put = Op::Put { resource: Resource::new(&key, spec), expect };
            match self.parts.store.apply(Change::new(principal.clone(), vec![put])).await {
                Ok(_) => {
                    // Its audit event waits in the store.
                    self.audit_due.notify_one();
                    return Ok(version);
                }
                Err(nexus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(Code::Conflict, format!("secret '{name}' is being changed by others")))
    }

    /// A version of a secret in the clear; by default the current one.
    pub(crate) async fn secret_value(
        &self,
        project: &Name,
        name: &Name,
        version: Option<u32>,
    ) -> Result<(u32, String), Error> {
        let resource =
            self.parts.store.get(&secret_key(project, name)).await?.ok_or_else(|| {
                Error::new(
                    Code::BadResource,
                    format!("secret '{name}' does not exist in project '{project}'"),
                )
                .with_hint(format!("set it: nexus secrets set {name}"))
            })?;
        let spec = secret_spec(&resource)?;
        let version = version.unwrap_or(spec.current);
        let sealed = spec.versions.get(&version).ok_or_else(|| {
            Error::new(
                Code::NotReplayable,
                format!("version {version} of secret '{name}' was destroyed"),
            )
        })?;
        let value = self.open_secret((project, name, version), sealed)?;
        let value =
            String::from_utf8(value).map_err(|error| Error::internal("read a secret", error))?;
        Ok((version, value))
    }

    fn open_secret(
        &self,
        (project, name, version): (&Name, &Name, u32),
        sealed: &str,
    ) -> Result<Vec<u8>, Error> {
        let sealed =
            STANDARD.decode(sealed).map_err(|error| Error::internal("read a secret", error))?;
        self.secret_key.open(&context(project, name, version), &sealed).map_err(|error| {
            Error::new(Code::Storage, format!("secret '{name}' cannot be decrypted"))
                .with_hint("the key file is not the one that it was encrypted under")
                .with_source(error)
        })
    }

    /// The key under which a project's recordings are sealed; `make` it where there is none.
    pub(crate) async fn replay_key(&self, project: &Name, make: bool) -> Result<Key, Error> {
        let name = Name::new(REPLAY_KEY).map_err(|error| Error::internal("name a key", error))?;
        let key = secret_key(project, &name);
        if self.parts.store.get(&key).await?.is_none() {
            if !make {
                return Err(Error::new(
                    Code::NotReplayable,
                    format!("the replay key of project '{project}' was destroyed"),
                ));
            }
            let fresh: [u8; 32] = random().map_err(|error| Error::internal("make a key", error))?;
            let fresh = STANDARD.encode(fresh);
            self.put_secret(&Principal::system(), (project, &name), fresh.as_bytes()).await?;
        }
        // Version 1 for ever: whoever lost a race to make it has made version 2, which nobody uses.
        let (_, text) = self.secret_value(project, &name, Some(1)).await?;
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(Key::from_bytes)
            .ok_or_else(|| Error::new(Code::Storage, "a replay key is damaged"))
    }
}

fn secret_spec(resource: &Resource) -> Result<SecretSpec, Error> {
    serde_json::from_value(resource.spec.clone())
        .map_err(|error| Error::internal("read a secret", error))
}

fn secret_key(project: &Name, name: &Name) -> ResourceKey {
    ResourceKey { kind: Kind::Secret, project: Some(project.clone()), name: name.clone() }
}

/// The place where a value belongs: it opens nowhere else.
pub(crate) fn context(project: &Name, name: &Name, version: u32) -> String {
    format!("{project}/{name}/{version}")
}
