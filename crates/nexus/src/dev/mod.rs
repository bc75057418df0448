//! `nexus dev`: serves projects from their sources, again after every save.
//!
//! ```text
//!   Watcher ── changed paths ──►  Loop  ── start ──► build (blocking) ──► node.deploy
//!   signals ── stop ───────────►   │  ◄── outcome ──────────┘
//!   node ── invocations ───────►   └──► Report (text or JSON)
//! ```

mod build;
mod declared;
mod from;
mod report;
mod retry;
mod state;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use nexus_cli::{DevArgs, Error, Globals, HostFailure, ServerFile, Terminal};
use nexus_model::manifest::FILE;
use nexus_model::record::Status;
use nexus_model::view::InvocationRow;
use nexus_model::{InvocationFilter, OpContext};
use nexus_node::{Followed, Mode};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::config::{Config, Duration, LogFormat, Logging};
use crate::project::{Function, Project};
use crate::serve;
use crate::server::{self, Server, Start};
use crate::signals::Signals;
use build::{Builder, Finished, Outcome};
use declared::Declared;
use from::{RealCalls, Told};
use report::Report;
use retry::{Retries, Saved};
use state::State;
use watch::Watcher;

/// The data folder inside the first project.
pub(crate) const FOLDER: &str = ".nexus";
/// Results of builds that may wait for the loop.
const FINISHED_MAX: usize = 64;

pub(crate) fn run(globals: &Globals, args: &DevArgs, terminal: &mut Terminal) -> Result<(), Error> {
    let projects = Project::load_all(&args.folders)?;
    let Some(first) = projects.first() else {
        return Err(Error::usage("at least one folder is needed"));
    };
    let defaults = Config {
        data: first.folder.join(FOLDER),
        drain: Duration(std::time::Duration::from_secs(5)),
        logging: Logging { format: LogFormat::Text, filter: "warn".to_owned() },
        ..Config::default()
    };
    let (config, warnings) = serve::configure(defaults, None, &args.data)?;
    serve::log_lines(&config)?;
    for warning in warnings {
        terminal.say(warning);
    }
    serve::run_to_end(dev((globals, args), config, projects, terminal))
}

async fn dev(
    (globals, args): (&Globals, &DevArgs),
    config: Config,
    projects: Vec<Project>,
    terminal: &mut Terminal,
) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(HostFailure::new)?;
    let project = projects.first().map(|project| project.manifest.project.clone());
    let server = Server::start(Start { config, mode: Mode::Dev, project }).await?;
    let neighbours = share(&server.file, &projects)?;
    let console = server.console_link();
    Report::Ready { file: &server.file, console: console.as_deref(), projects: &projects }
        .tell(terminal)?;

    let mut it = Loop::new((globals, args), &server, projects)?;
    let ended = it.run(args, &mut signals, terminal).await;
    Report::Stopping.tell(terminal)?;
    it.cancel_all();
    for path in neighbours {
        // A leftover only leads commands to a server that does not answer.
        let _ = std::fs::remove_file(path);
    }
    tokio::select! {
        () = server.stop() => {}
        () = signals.stop() => {}
    }
    ended
}

/// Lets commands in the other projects' folders find the server, and keeps `.nexus` out of git.
fn share(file: &ServerFile, projects: &[Project]) -> Result<Vec<PathBuf>, Error> {
    ignore_in_git(&file.data);
    let mut written = Vec::new();
    for project in projects {
        let folder = project.folder.join(FOLDER);
        if folder == file.data {
            continue;
        }
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io {
            operation: "create",
            subject: folder.display().to_string(),
            source,
        })?;
        ignore_in_git(&folder);
        let own = ServerFile { project: Some(project.manifest.project.clone()), ..file.clone() };
        server::announce(&folder, &own)?;
        written.push(ServerFile::path(&folder));
    }
    Ok(written)
}

pub(crate) fn ignore_in_git(folder: &Path) {
    let path = folder.join(".gitignore");
    if !path.exists() {
        // Only a convenience: the server works without it.
        let _ = std::fs::write(path, "*\n");
    }
}

/// What came of reading the manifests again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Read {
    /// There was none to read, or none that can be used.
    Nothing,
    /// They say what they said.
    Same,
    /// At least one says something else.
    Changed,
}

/// The state of the loop.
struct Loop {
    builder: Builder,
    projects: Vec<Project>,
    functions: BTreeMap<String, Function>,
    state: State,
    retries: Retries,
    declared: Declared,
    /// What is wrong with the manifests that cannot be used now, by their folders.
    broken: BTreeMap<PathBuf, String>,
    watcher: Option<Watcher>,
    finished: mpsc::Receiver<Finished>,
    real_calls: Option<RealCalls>,
    /// The live version of each function.
    live: BTreeMap<String, u64>,
}

impl Loop {
    fn new(
        (globals, args): (&Globals, &DevArgs),
        server: &Server,
        projects: Vec<Project>,
    ) -> Result<Self, Error> {
        let (sender, finished) = mpsc::channel(FINISHED_MAX);
        let watcher = match args.no_watch {
            true => None,
            false => Some(Watcher::new().map_err(HostFailure::new)?),
        };
        Ok(Loop {
            builder: Builder::new(server.node.clone(), server.file.data.join("build"), sender),
            projects,
            functions: BTreeMap::new(),
            state: State::load(&server.file.data),
            retries: Retries::default(),
            declared: Declared::default(),
            broken: BTreeMap::new(),
            watcher,
            finished,
            real_calls: RealCalls::new(globals, &args.from, &server.node),
            live: BTreeMap::new(),
        })
    }

    async fn run(
        &mut self,
        args: &DevArgs,
        signals: &mut Signals,
        terminal: &mut Terminal,
    ) -> Result<(), Error> {
        let mut invocations = self.follow().await?;
        let mut ask = tokio::time::interval(retry::ASK);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.declare(terminal).await?;
        self.refresh(terminal).await?;
        self.watch();
        self.bring();
        loop {
            tokio::select! {
                () = signals.stop() => return Ok(()),
                Some(finished) = self.finished.recv() => {
                    self.finish(finished, terminal)?;
                    // A trigger whose function has just come can be applied now.
                    self.declared.refresh(&self.builder.node, &self.projects, terminal).await?;
                }
                Some(told) = told(self.real_calls.as_mut()) => self.tell(&told, terminal)?,
                Some(paths) = changed(self.watcher.as_mut()) => {
                    self.change(&paths, terminal).await?;
                }
                _ = ask.tick(), if self.retries.wait_for_secrets() => self.ask_secrets().await,
                next = invocations.next() => match next {
                    Some(row) => {
                        if !args.quiet && row.item.status != Status::Running {
                            Report::Invocation(&row.item).tell(terminal)?;
                        }
                    }
                    // It ended because the loop was too slow for it: go on with what is new.
                    None => invocations = self.follow().await?,
                },
            }
        }
    }

    async fn follow(&self) -> Result<BoxStream<'static, Followed<InvocationRow>>, Error> {
        let ctx = OpContext::system("dev");
        let followed =
            self.builder.node.follow_invocations(&ctx, InvocationFilter::default(), None).await;
        Ok(followed.map_err(HostFailure::new)?.items)
    }

    /// Makes sure that the projects exist; the first one answers on the bare host.
    async fn declare(&self, terminal: &mut Terminal) -> Result<(), Error> {
        let mut resources = Vec::new();
        for (index, project) in self.projects.iter().enumerate() {
            let mut manifest = project.manifest.clone();
            manifest.default |= index == 0;
            resources.extend(manifest.resources().into_iter().take(1));
        }
        let ctx = OpContext::system("dev");
        match self.builder.node.apply(&ctx, resources).await {
            Ok(_) => Ok(()),
            Err(error) => Report::Problem(&error).tell(terminal),
        }
    }

    /// Brings the functions in line with the manifests: new and changed ones are built, those that
    /// are gone are deleted.
    async fn refresh(&mut self, terminal: &mut Terminal) -> Result<(), Error> {
        let mut wanted = BTreeMap::new();
        for project in &self.projects {
            match project.functions() {
                Ok(functions) => {
                    wanted.extend(functions.into_iter().map(|it| (it.key(), it)));
                }
                Err(error) => {
                    Report::Problem(&error).tell(terminal)?;
                    // A folder of another project that is missing for now takes nothing away.
                    let known = self.functions.values();
                    let known = known.filter(|at| at.project == project.manifest.project);
                    wanted.extend(known.map(|at| (at.key(), at.clone())));
                }
            }
        }
        // Triggers first: a function that triggers refer to cannot be deleted.
        self.declared.remove_gone(&self.builder.node, &self.projects, terminal).await?;
        for project in &self.projects {
            let name = &project.manifest.project;
            for function in self.state.of_project(name) {
                let key = format!("{name}/{function}");
                if wanted.contains_key(&key) {
                    continue;
                }
                let ctx = OpContext::system("dev");
                self.builder.forget(&key);
                if self.builder.node.delete_function(&ctx, name, &function).await.is_ok() {
                    Report::Removed(&key).tell(terminal)?;
                }
                self.state.forget(&key);
                self.retries.forget(&key);
            }
        }
        self.functions = wanted;
        self.declared.refresh(&self.builder.node, &self.projects, terminal).await?;
        self.start_where(|_, _| true);
        Ok(())
    }

    /// Starts some of the functions.
    fn start_where(&self, wanted: impl Fn(&Function, &Retries) -> bool) {
        for function in self.functions.values().filter(|at| wanted(at, &self.retries)) {
            self.builder.start(function, &self.state);
        }
    }

    /// Starts the functions for which a secret was set that was missing.
    async fn ask_secrets(&mut self) {
        let node = &self.builder.node;
        for function in self.retries.helped(node, self.functions.values()).await {
            self.builder.start(function, &self.state);
        }
    }

    fn watch(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let folders = self.projects.iter().flat_map(|project| {
            std::iter::once(project.folder.clone()).chain(project.schema_folders())
        });
        let roots = self.functions.values().flat_map(Function::roots);
        watcher.sync(&folders.collect::<Vec<_>>(), &roots.collect::<Vec<_>>());
    }

    async fn change(
        &mut self,
        paths: &watch::Changed,
        terminal: &mut Terminal,
    ) -> Result<(), Error> {
        // New folders are watched before anything is hashed, so that nothing falls in between.
        if let Some(watcher) = &mut self.watcher {
            watcher.gone(paths);
        }
        self.watch();
        let schemas = self.projects.iter().any(|at| at.has_schema(|path| paths.touch(path)));
        let read = self.read_manifests(paths, terminal)?;
        if read == Read::Changed {
            self.declare(terminal).await?;
            self.refresh(terminal).await?;
            self.watch();
            return Ok(());
        }
        if schemas {
            self.declared.refresh(&self.builder.node, &self.projects, terminal).await?;
        }
        let concerned: BTreeSet<String> = self
            .functions
            .values()
            .filter(|function| paths.concern(&function.roots()))
            .map(Function::key)
            .collect();
        let saved = match read {
            Read::Same => Some(Saved::Manifest),
            _ => (schemas || !concerned.is_empty()).then_some(Saved::Other),
        };
        self.start_where(|function, retries| {
            let key = function.key();
            concerned.contains(&key) || saved.is_some_and(|saved| retries.worth(&key, saved))
        });
        Ok(())
    }

    /// Reads the manifests that were saved, and those that could not be used: what was missing may
    /// be there now.
    fn read_manifests(
        &mut self,
        paths: &watch::Changed,
        terminal: &mut Terminal,
    ) -> Result<Read, Error> {
        let mut outcome = Read::Nothing;
        for project in &mut self.projects {
            let saved = paths.touch(&project.folder.join(FILE));
            if !saved && !self.broken.contains_key(&project.folder) {
                continue;
            }
            match Project::load(&project.folder) {
                Ok(read) => {
                    let same = read == *project;
                    outcome = outcome.max(if same { Read::Same } else { Read::Changed });
                    *project = read;
                    if self.broken.remove(&project.folder).is_some() {
                        Report::ManifestMended(project).tell(terminal)?;
                    }
                }
                Err(error) => {
                    let wrong = error.to_string();
                    let known = self.broken.insert(project.folder.clone(), wrong.clone());
                    if saved || known.as_ref() != Some(&wrong) {
                        Report::ManifestBroken(&error).tell(terminal)?;
                    }
                }
            }
        }
        Ok(outcome)
    }

    fn finish(&mut self, finished: Finished, terminal: &mut Terminal) -> Result<(), Error> {
        if !self.builder.is_current(&finished) {
            return Ok(());
        }
        let key = finished.key.as_str();
        match &finished.outcome {
            Outcome::Building => {}
            Outcome::Unchanged(_) | Outcome::Deployed { .. } => self.retries.forget(key),
            Outcome::Failed(error) => self.retries.failed(key, error),
        }
        match finished.outcome {
            Outcome::Building => Report::Building(key).tell(terminal),
            Outcome::Unchanged(standing) => {
                let version = standing.as_ref().and_then(|at| at.0.version.as_ref());
                self.is_live(key, version.map(|version| version.number));
                Report::Unchanged(key, &standing).tell(terminal)
            }
            Outcome::Deployed { deployed, stamp, took, notes } => {
                let version = deployed.function.version.as_ref();
                self.is_live(key, version.map(|version| version.number));
                let version = version.map(|version| version.id);
                if let Err(error) = self.state.remember(key, stamp, version) {
                    Report::Problem(&error).tell(terminal)?;
                }
                Report::Live { key, deployed: &deployed, took, notes: &notes }.tell(terminal)
            }
            Outcome::Failed(error) => {
                let (serving, watching) = (self.state.knows(key), self.watcher.is_some());
                Report::Failed { key, error: &error, serving, watching }.tell(terminal)
            }
        }
    }

    /// Asks for the calls of every function, where a server is named.
    fn bring(&self) {
        let Some(real_calls) = &self.real_calls else { return };
        for project in &self.projects {
            let own = |function: &&Function| function.project == project.manifest.project;
            for function in self.functions.values().filter(own) {
                real_calls.fetch(&project.folder, function);
            }
        }
    }

    fn is_live(&mut self, key: &str, version: Option<u64>) {
        let Some(version) = version else { return };
        self.live.insert(key.to_owned(), version);
        self.hold(key);
    }

    fn hold(&mut self, key: &str) {
        let (Some(real_calls), Some(function)) = (&mut self.real_calls, self.functions.get(key))
        else {
            return;
        };
        if let Some(version) = self.live.get(key) {
            real_calls.hold(function, *version);
        }
    }

    fn tell(&mut self, told: &Told, terminal: &mut Terminal) -> Result<(), Error> {
        match told {
            Told::Brought { key, fetched } => {
                Report::Brought { key, fetched }.tell(terminal)?;
                self.hold(key);
                Ok(())
            }
            Told::Held { key, held } => Report::Held { key, held }.tell(terminal),
        }
    }

    fn cancel_all(&self) {
        for key in self.functions.keys() {
            self.builder.forget(key);
        }
    }
}

/// What there is to tell of real calls; never, when no server is named.
async fn told(real_calls: Option<&mut RealCalls>) -> Option<Told> {
    match real_calls {
        Some(real_calls) => real_calls.told().await,
        None => std::future::pending().await,
    }
}

/// The next change; never, when nothing is watched.
async fn changed(watcher: Option<&mut Watcher>) -> Option<watch::Changed> {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}
