//! Deploys: new code becomes an immutable, numbered version; compiled before anything points at it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use nexus_exec::Compiled;
use nexus_model::resource::{EnvValue, FunctionConfig, FunctionSpec, Resource, VersionSpec, World};
use nexus_model::view::Deployed;
use nexus_model::{Code, Digest, Name, OpContext, Partition, VersionId, limits};
use nexus_store::Op;

use crate::deployment::{Plan, Step};
use crate::loaded::version_key;
use crate::node::lock;
use crate::versions::{FunctionStatus, Live, carry_aliases, function_key, function_spec};
use crate::{Deploy, Error, Node, validate};

/// How long a function may be idle before what was loaded for it is let go.
const IDLE: Duration = Duration::from_secs(600);
/// How often that is looked at.
const UNLOAD_EVERY: Duration = Duration::from_secs(60);

/// A function on its way: its code was looked at, stored and compiled; nothing runs it yet.
pub(crate) struct Staged {
    /// What was asked for, without the bytes.
    pub(crate) deploy: Deploy,
    pub(crate) artifact: Artifact,
}

/// An artifact that was looked at, stored and compiled.
pub(crate) struct Artifact {
    world: World,
    imports: Vec<String>,
    component: Digest,
    executed: Option<Digest>,
    bytes: u64,
    bundle: Option<Digest>,
    sources: Option<Digest>,
    pub(crate) compiled: Compiled,
    pub(crate) notes: Vec<String>,
}

impl Node {
    /// Deploys code: looks at it, stores it, compiles it, and then lets new calls run it. The same
    /// code with the same configuration changes nothing.
    ///
    /// # Errors
    /// The caller may not write there; the bytes are no component of an accepted world; a rule of
    /// the configuration; a route that another function has.
    pub async fn deploy(
        self: &Arc<Self>,
        ctx: &OpContext,
        deploy: Deploy,
    ) -> Result<Deployed, Error> {
        let project = deploy.project.clone();
        let staged = self.stage(ctx, deploy).await?;
        let mut view = self.let_live(ctx, &project, &[staged], None).await?;
        let deployed = view.functions.pop();
        deployed.ok_or_else(|| Error::new(Code::Internal, "the function was not deployed"))
    }

    /// Everything about a deploy that needs no lock and changes nothing that runs.
    pub(crate) async fn stage(&self, ctx: &OpContext, mut deploy: Deploy) -> Result<Staged, Error> {
        self.may_deploy(ctx, &deploy.project)?;
        if let Some(spec) = &deploy.config {
            validate::function(spec, self.config.mode)?;
        }
        let artifact = self.artifact(&deploy).await?;
        (deploy.component, deploy.bundle, deploy.sources) = (Bytes::new(), None, None);
        Ok(Staged { deploy, artifact })
    }

    /// Plans one function of a deployment. The caller holds the lock of changes.
    pub(crate) async fn plan_function(
        &self,
        plan: &mut Plan,
        Staged { deploy, artifact }: &Staged,
    ) -> Result<Step, Error> {
        let key = function_key(&deploy.project, &deploy.name);
        let known = self.parts.store.get(&key).await?;
        let mut spec = self.wanted(deploy, known.as_ref())?;
        self.check_secrets(&deploy.project, &spec.config).await?;
        self.check_webhooks(&deploy.project, &spec.on.webhooks, None).await?;
        let status = known.as_ref().map(FunctionStatus::of).unwrap_or_default();
        if deploy.candidate && status.current.is_none() {
            let detail =
                format!("function '{}' has no version that a candidate could replace", key.name);
            return Err(
                Error::new(Code::BadRequest, detail).with_hint("deploy it without candidate first")
            );
        }
        let (version, is_new) = self.version(deploy, artifact, (&spec.config, &status)).await?;
        let (begin, delivery) = (plan.ops.len(), spec.delivery.clone());
        if is_new {
            let made = Resource::new(&version_key(&deploy.project, version.id)?, json(&version)?);
            plan.ops.push(Op::create(made));
        }
        if deploy.candidate {
            let status = FunctionStatus { latest: status.latest_with(&version), ..status };
            plan.ops.push(Op::set_status(key, json(&status)?));
        } else {
            carry_aliases(&mut spec, known.as_ref());
            let live = Live { key, known, spec, version: &version, status };
            self.plan_live(&mut plan.snapshot, live, &mut plan.ops)?;
        }
        Ok(Step { version, delivery, ops: begin..plan.ops.len() })
    }

    /// Inspects, stores and compiles, without a lock: this takes seconds for large components.
    async fn artifact(&self, deploy: &Deploy) -> Result<Artifact, Error> {
        check_size("component", deploy.component.len(), limits::COMPONENT_BYTES_MAX)?;
        let bundle_bytes = deploy.bundle.as_ref().map_or(0, Bytes::len);
        check_size("bundle", bundle_bytes, limits::BUNDLE_BYTES_MAX)?;
        let inspected = self.parts.runtime.inspect(deploy.component.clone()).await?;
        let component = self.parts.blobs.put(deploy.component.clone()).await?;
        let executed = match &inspected.adapted {
            None => None,
            Some(adapted) => Some(self.parts.blobs.put(adapted.clone()).await?),
        };
        let bundle = match &deploy.bundle {
            None => None,
            Some(bundle) => Some(self.parts.blobs.put(bundle.clone()).await?),
        };
        let sources = match &deploy.sources {
            None => None,
            Some(sources) => Some(self.keep_sources(sources).await?),
        };
        let code = inspected.adapted.clone().unwrap_or_else(|| deploy.component.clone());
        let stored = self.parts.runtime.compile(executed.unwrap_or(component), code).await?;
        // What was compiled to look at the component is part of this deploy.
        let compiled = inspected.compiled.unwrap_or(stored);
        Ok(Artifact {
            component,
            executed,
            bytes: deploy.component.len() as u64,
            bundle,
            sources,
            compiled,
            world: inspected.world,
            imports: inspected.imports,
            notes: inspected.notes,
        })
    }

    /// The function's spec after the deploy.
    fn wanted(&self, deploy: &Deploy, known: Option<&Resource>) -> Result<FunctionSpec, Error> {
        match (&deploy.config, known) {
            (Some(spec), _) => Ok(spec.clone()),
            (None, None) => Ok(FunctionSpec::default()),
            (None, Some(known)) => function_spec(known),
        }
    }

    async fn check_secrets(&self, project: &Name, config: &FunctionConfig) -> Result<(), Error> {
        for (name, value) in &config.env {
            if let EnvValue::Secret { secret } = value {
                self.secret_value(project, secret, None).await.map_err(|error| {
                    let hint = error.hint().unwrap_or_default().to_owned();
                    Error::new(error.code(), format!("spec.env.{name}: {}", error.detail()))
                        .with_hint(hint)
                })?;
            }
        }
        Ok(())
    }

    /// The version that is live or the newest, if it is the same, or the next one; and whether it is
    /// new.
    async fn version(
        &self,
        deploy: &Deploy,
        artifact: &Artifact,
        (config, status): (&FunctionConfig, &FunctionStatus),
    ) -> Result<(VersionSpec, bool), Error> {
        let id: VersionId = self.parts.mint.mint(Partition::of(deploy.project.as_str(), ""));
        let fresh = VersionSpec {
            id,
            function: deploy.name.clone(),
            number: status.latest().map_or(1, |latest| latest.number + 1),
            label: deploy.label.clone(),
            component: artifact.component,
            executed: artifact.executed,
            component_bytes: artifact.bytes,
            world: artifact.world,
            imports: artifact.imports.clone(),
            language: deploy.language.clone(),
            bundle: artifact.bundle,
            sources: artifact.sources,
            config: config.clone(),
        };
        let live = status.current.map(|at| at.version);
        let newest = status.latest().map(|at| at.version).filter(|at| Some(*at) != live);
        for known in live.into_iter().chain(newest) {
            let known = self.version_spec(&deploy.project, known).await?;
            // What the builder and the manifest leave unsaid stays as it is.
            let or = |fresh: &String, known: &String| match fresh.is_empty() {
                true => known.clone(),
                false => fresh.clone(),
            };
            let same = VersionSpec {
                id: known.id,
                number: known.number,
                language: or(&fresh.language, &known.language),
                label: or(&fresh.label, &known.label),
                // Text that does not change the component changes nothing.
                sources: known.sources,
                ..fresh.clone()
            };
            if same == known {
                return Ok((known, false));
            }
        }
        self.check_label(&deploy.project, &fresh).await?;
        Ok((fresh, true))
    }

    /// Compiles what current versions need and this engine has not compiled, one after the other: at
    /// the start, and when somebody finds code missing.
    pub(crate) async fn compile_loop(self: Arc<Self>) {
        loop {
            self.compile_missing().await;
            tokio::select! {
                () = self.tasks.stopping() => return,
                () = self.compile_due.notified() => {}
            }
        }
    }

    async fn compile_missing(&self) {
        let snapshot = self.catalog.snapshot();
        let functions = snapshot.projects.values().flat_map(|at| at.functions.iter());
        let codes: HashSet<Digest> =
            functions.filter_map(|function| function.current.map(|at| at.code())).collect();
        let runtime = &self.parts.runtime;
        let is_missing =
            |code: &Digest| !runtime.is_compiled(*code) && !lock(&self.failed).contains_key(code);
        let missing: HashSet<Digest> = codes.into_iter().filter(is_missing).collect();
        lock(&self.compiling).extend(missing.iter().copied());
        self.looked_through.store(true, Ordering::Release);
        for code in missing {
            if self.tasks.is_stopping() {
                return;
            }
            let compiled = match self.parts.blobs.get(code).await {
                Ok(Some(bytes)) => {
                    runtime.compile(code, bytes).await.map(drop).map_err(|at| at.to_string())
                }
                Ok(None) => Err(format!("component {code} is missing")),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = compiled {
                tracing::error!(component = %code, reason, "a component cannot be compiled");
                lock(&self.failed).insert(code, reason);
            }
            lock(&self.compiling).remove(&code);
        }
    }

    /// Lets go of what was loaded for functions that nobody calls.
    pub(crate) async fn unload_loop(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.tasks.stopping() => return,
                () = tokio::time::sleep(UNLOAD_EVERY) => {}
            }
            let now_s = self.started.elapsed().as_secs();
            let snapshot = self.catalog.snapshot();
            for function in snapshot.projects.values().flat_map(|at| at.functions.iter()) {
                let loaded = function.loaded.load();
                let used_s = loaded.as_ref().map(|at| at.used_s.load(Ordering::Relaxed));
                if used_s.is_some_and(|used_s| now_s.saturating_sub(used_s) >= IDLE.as_secs()) {
                    function.loaded.store(None);
                }
            }
        }
    }

    /// Makes the next call of every function of a project read its version again: a secret changed.
    pub(crate) fn forget_loaded(&self, project: &Name) {
        self.forget_webhook_keys(project);
        if let Some(project) = self.catalog.project(project) {
            project.functions.iter().for_each(|function| function.loaded.store(None));
        }
    }
}

fn check_size(what: &str, size: usize, limit: usize) -> Result<(), Error> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::new(Code::TooLarge, format!("the {what} has {size} bytes, the limit is {limit}")))
}

pub(crate) fn json<T: serde::Serialize>(spec: &T) -> Result<serde_json::Value, Error> {
    serde_json::to_value(spec).map_err(|error| Error::internal("write a resource", error))
}
