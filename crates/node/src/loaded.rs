//! A version made ready: what is read from the store on the first call and kept while it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nexus_exec::{EnvVar, Prepared, Unit, UnitLimits};
use nexus_model::resource::{
    EnvValue, FunctionConfig, Kind, RecordPolicy, ResourceKey, VersionSpec, World,
};
use nexus_model::{Code, Digest, Name, VersionId, limits};

use crate::catalog::{Current, Function};
use crate::egress::Egress;
use crate::node::lock;
use crate::redact::Redactor;
use crate::versions::version_spec;
use crate::{Error, Node};

/// A version with everything that running it takes.
pub(crate) struct Loaded {
    pub(crate) version: VersionId,
    pub(crate) component: Digest,
    pub(crate) executed: Option<Digest>,
    pub(crate) world: World,
    pub(crate) timeout: Duration,
    pub(crate) record: RecordPolicy,
    pub(crate) redactor: Option<Redactor>,
    pub(crate) egress: Egress,
    pub(crate) prepared: Arc<dyn Prepared>,
    /// Seconds since the node's start at the last use; for unloading what is idle.
    pub(crate) used_s: AtomicU64,
}

/// How long making it ready took; zero when it was ready.
#[derive(Clone, Copy, Default)]
pub(crate) struct LoadTimes {
    pub(crate) fetch: Duration,
    pub(crate) load: Duration,
    pub(crate) cold: bool,
}

/// The key of a Version resource: names are DNS labels, so `ver_…` becomes `ver-…`.
pub(crate) fn version_key(project: &Name, id: VersionId) -> Result<ResourceKey, Error> {
    let name = Name::new(&id.to_string().to_ascii_lowercase().replace('_', "-"))
        .map_err(|error| Error::internal("name a version", error))?;
    Ok(ResourceKey { kind: Kind::Version, project: Some(project.clone()), name })
}

impl Node {
    /// What running the function's current version takes; read and prepared on first use.
    pub(crate) async fn load(
        &self,
        function: &Function,
    ) -> Result<(Arc<Loaded>, LoadTimes), Error> {
        if let Some(loaded) = function.loaded.load_full() {
            let now_s = self.started.elapsed().as_secs();
            // Most calls find the second stored already: no write to a shared line.
            if loaded.used_s.load(Ordering::Relaxed) != now_s {
                loaded.used_s.store(now_s, Ordering::Relaxed);
            }
            return Ok((loaded, LoadTimes::default()));
        }
        let current = function.current.ok_or_else(|| {
            Error::new(Code::NotFound, format!("function '{}' has no code yet", function.name))
                .with_hint("deploy a component")
        })?;
        self.load_first(function, current).await
    }

    async fn load_first(
        &self,
        function: &Function,
        current: Current,
    ) -> Result<(Arc<Loaded>, LoadTimes), Error> {
        // One load at a time per version: a burst of first calls reads and maps once.
        let index = current.version.as_bytes()[15] as usize % self.loading.len();
        let _alone = self.loading[index].lock().await;
        if let Some(loaded) = function.loaded.load_full() {
            return Ok((loaded, LoadTimes { cold: true, ..LoadTimes::default() }));
        }
        if !self.parts.runtime.is_compiled(current.code()) {
            return Err(self.not_compiled(function, current.code()));
        }
        let begun = Instant::now();
        // Its code is known by the route: it is mapped here while another thread reads the rest.
        let read = async {
            let spec = self.version_spec(&function.project, current.version).await?;
            let unit = self.unit(&function.project, &spec, None).await?;
            Ok::<_, Error>((spec, unit))
        };
        let mut load = Duration::ZERO;
        let map = async {
            let begun = Instant::now();
            let mapped = self.parts.runtime.map(current.code(), current.world).await;
            load = begun.elapsed();
            mapped
        };
        // Where it cannot be mapped, that is said when it is prepared.
        let (read, _mapped) = tokio::join!(biased; read, map);
        let (spec, unit) = read?;
        let prepared = self.parts.runtime.prepare(Arc::new(unit)).await?;
        let fetch = begun.elapsed() - load;
        let loaded = Arc::new(self.loaded(&function.project, &spec, prepared).await?);
        function.loaded.store(Some(Arc::clone(&loaded)));
        Ok((loaded, LoadTimes { fetch, load, cold: true }))
    }

    /// The error for code that is not there (any more); it is being made, unless that failed.
    fn not_compiled(&self, function: &Function, code: Digest) -> Error {
        if lock(&self.failed).contains_key(&code) {
            let detail = format!("the code of function '{}' cannot be compiled", function.name);
            return Error::new(Code::Storage, detail)
                .with_hint("/readyz says why; deploy the function again");
        }
        self.compile_due.notify_one();
        let detail = format!("the code of function '{}' is still being compiled", function.name);
        Error::new(Code::Overloaded, detail)
            .with_hint("try again in a moment; /readyz says what is being compiled")
    }

    /// What running a version of any age takes, with secrets as they were.
    pub(crate) async fn load_version(
        &self,
        project: &Name,
        version: VersionId,
        secrets: &[(Name, u32)],
    ) -> Result<Loaded, Error> {
        let (spec, prepared) = self.prepare_version(project, version, secrets).await?;
        self.loaded(project, &spec, prepared).await
    }

    /// A version of any age, ready to run; compiled where the present engine has not done so.
    pub(crate) async fn prepare_version(
        &self,
        project: &Name,
        version: VersionId,
        secrets: &[(Name, u32)],
    ) -> Result<(VersionSpec, Arc<dyn Prepared>), Error> {
        let spec =
            self.version_spec(project, version).await.map_err(|error| match error.code() {
                Code::NotFound => Error::new(
                    Code::NotReplayable,
                    format!("version {version} was deleted with its function"),
                ),
                _ => error,
            })?;
        let unit = self.unit(project, &spec, Some(secrets)).await?;
        self.compiled(spec.executed.unwrap_or(spec.component)).await?;
        Ok((spec, self.parts.runtime.prepare(Arc::new(unit)).await?))
    }

    /// Compiles code that the present engine has not compiled yet.
    pub(crate) async fn compiled(&self, code: Digest) -> Result<(), Error> {
        if !self.parts.runtime.is_compiled(code) {
            self.parts.runtime.compile(code, self.blob(code).await?).await?;
        }
        Ok(())
    }

    async fn loaded(
        &self,
        project: &Name,
        spec: &VersionSpec,
        prepared: Arc<dyn Prepared>,
    ) -> Result<Loaded, Error> {
        let config = &spec.config;
        let redactor = match config.redact.is_empty() {
            true => None,
            false => Some(Redactor::new(&config.redact, self.replay_key(project, true).await?)),
        };
        Ok(Loaded {
            version: spec.id,
            component: spec.component,
            executed: spec.executed,
            world: spec.world,
            timeout: timeout_of(config),
            record: config.record,
            redactor,
            egress: Egress::new(&config.allow_hosts, self.config.mode),
            prepared,
            used_s: AtomicU64::new(self.started.elapsed().as_secs()),
        })
    }

    /// The spec of a version.
    pub(crate) async fn version_spec(
        &self,
        project: &Name,
        id: VersionId,
    ) -> Result<VersionSpec, Error> {
        let key = version_key(project, id)?;
        let resource = self
            .parts
            .store
            .get(&key)
            .await?
            .ok_or_else(|| Error::not_found(format_args!("version {id}")))?;
        version_spec(resource)
    }

    /// A version as the runtime needs it. `secrets` fixes the versions of secrets for a replay.
    pub(crate) async fn unit(
        &self,
        project: &Name,
        spec: &VersionSpec,
        secrets: Option<&[(Name, u32)]>,
    ) -> Result<Unit, Error> {
        let mut env = Vec::with_capacity(spec.config.env.len());
        for (name, value) in &spec.config.env {
            env.push(match value {
                EnvValue::Plain(value) => {
                    EnvVar { name: name.clone(), value: value.clone(), secret: None }
                }
                EnvValue::Secret { secret } => {
                    let fixed = secrets.and_then(|all| all.iter().find(|(at, _)| at == secret));
                    let version = fixed.map(|(_, version)| *version);
                    let (version, value) = self.secret_value(project, secret, version).await?;
                    EnvVar { name: name.clone(), value, secret: Some((secret.clone(), version)) }
                }
            });
        }
        let bundle = match spec.bundle {
            None => None,
            Some(digest) => Some(self.blob(digest).await?),
        };
        Ok(Unit {
            project: project.clone(),
            function: spec.function.clone(),
            version: spec.id,
            component: spec.executed.unwrap_or(spec.component),
            world: spec.world,
            env,
            limits: unit_limits(&spec.config),
            bundle,
        })
    }
}

fn unit_limits(config: &FunctionConfig) -> UnitLimits {
    let memory = config.memory_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    UnitLimits {
        memory_bytes: memory.unwrap_or(limits::MEMORY_BYTES_DEFAULT).min(limits::MEMORY_BYTES_MAX),
        table_elements: limits::TABLE_ELEMENTS_MAX,
    }
}

fn timeout_of(config: &FunctionConfig) -> Duration {
    config
        .timeout_ms
        .map_or(limits::TIMEOUT_DEFAULT, Duration::from_millis)
        .min(limits::TIMEOUT_MAX)
}
