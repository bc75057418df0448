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
mod state;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use nexus_cli::{DevArgs, Error, HostFailure, ServerFile, Terminal};
use nexus_model::manifest::FILE;
use nexus_model::record::Status;
use nexus_model::view::InvocationRow;
use nexus_model::{InvocationFilter, OpContext};
use nexus_node::{Followed, Mode};
use tokio::sync::mpsc;

use crate::config::{Config, Duration, LogFormat, Logging};
use crate::project::{Function, Project};
use crate::serve;
use crate::server::{self, Server, Start};
use crate::signals::Signals;
use build::{Builder, Finished, Outcome};
use declared::Declared;
use from::{RealCalls, Told};
use report::Report;
use state::State;
use watch::Watcher;

/// The data folder inside the first project.
pub(crate) const FOLDER: &str = ".nexus";
/// Results of builds that may wait for the loop.
const FINISHED_MAX: usize = 64;

pub(crate) fn run(args: &DevArgs, terminal: &mut Terminal) -> Result<(), Error> {
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
    serve::tokio_runtime()?.block_on(dev(args, config, projects, terminal))
}

async fn dev(
    args: &DevArgs,
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

    let mut it = Loop::new(args, &server, projects)?;
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

/// The state of the loop.
struct Loop {
    builder: Builder,
    projects: Vec<Project>,
    functions: BTreeMap<String, Function>,
    state: State,
    declared: Declared,
    watcher: Option<Watcher>,
    finished: mpsc::Receiver<Finished>,
    real_calls: Option<RealCalls>,
    /// The live version of each function.
    live: BTreeMap<String, u64>,
}

impl Loop {
    fn new(args: &DevArgs, server: &Server, projects: Vec<Project>) -> Result<Self, Error> {
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
            declared: Declared::default(),
            watcher,
            finished,
            real_calls: RealCalls::new(&args.from, &server.node),
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
        followed.map_err(|error| HostFailure::new(error).into())
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
                Err(error) => Report::Problem(&error).tell(terminal)?,
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
            }
        }
        self.functions = wanted;
        self.declared.refresh(&self.builder.node, &self.projects, terminal).await?;
        for function in self.functions.values() {
            self.builder.start(function, &self.state);
        }
        Ok(())
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
        let mut reloaded = false;
        let schemas = self.projects.iter().any(|at| at.has_schema(|path| paths.touch(path)));
        for project in &mut self.projects {
            if !paths.touch(&project.folder.join(FILE)) {
                continue;
            }
            match Project::load(&project.folder) {
                Ok(read) if read == *project => {}
                Ok(read) => {
                    *project = read;
                    reloaded = true;
                }
                Err(error) => Report::Problem(&error).tell(terminal)?,
            }
        }
        if reloaded {
            self.declare(terminal).await?;
            self.refresh(terminal).await?;
            self.watch();
            return Ok(());
        }
        if schemas {
            self.declared.refresh(&self.builder.node, &self.projects, terminal).await?;
        }
        for function in self.functions.values() {
            if paths.concern(&function.roots()) {
                self.builder.start(function, &self.state);
            }
        }
        Ok(())
    }

    fn finish(&mut self, finished: Finished, terminal: &mut Terminal) -> Result<(), Error> {
        if !self.builder.is_current(&finished) {
            return Ok(());
        }
        let key = finished.key.as_str();
        match finished.outcome {
            Outcome::Building => Report::Building(key).tell(terminal),
            Outcome::Unchanged(view) => {
                let version = view.as_ref().and_then(|view| view.version.as_ref());
                self.is_live(key, version.map(|version| version.number));
                Report::Unchanged(key, &view).tell(terminal)
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
                let serving = self.state.knows(key);
                Report::Failed { key, error: &error, serving }.tell(terminal)
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
