//! `nexus test`: what is built from the project now, against recorded invocations.
//!
//! A node of its own runs the functions. It serves nobody, and no function of it ever gets outside.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use nexus_cli::{CASES_FOLDER, Error, HostFailure, Paint, Terminal, TestArgs, Tone, exit};
use nexus_model::resource::{EnvValue, FunctionSpec, Kind};
use nexus_model::view::{Comparison, Sameness};
use nexus_model::{Name, OpContext};
use nexus_node::{Deploy, Mode, Node};
use serde_json::json;

use crate::cases::{self, File};
use crate::config::{Config, LogFormat, Logging};
use crate::project::{Function, Project};
use crate::server::{Server, Start};
use crate::{deploy, dev, serve};

/// What stands in the place of secrets that a case does not know.
const NO_SECRET: &str = "[no secret in tests]";

pub(crate) fn run(args: &TestArgs, terminal: &mut Terminal) -> Result<(), Error> {
    let project = Project::load(&args.folder)?;
    let files = files(args, &project)?;
    let wanted: BTreeSet<&Name> = files.iter().map(|file| &file.case.function).collect();
    let mut functions = project.functions()?;
    functions.retain(|function| wanted.contains(&function.name));
    let own = project.folder.join(dev::FOLDER);
    let config = config(own.join("test"));
    serve::log_lines(&config)?;
    let mut built = Vec::new();
    for function in functions {
        let artifact = deploy::built(&function, &own.join("build"), terminal)?;
        built.push((function, artifact));
    }
    dev::ignore_in_git(&own);
    serve::run_to_end(async {
        let start = Start { config, mode: Mode::Dev, project: None };
        let server = Server::start(start).await?;
        let test = Test { node: server.node.clone(), project };
        let tested = async {
            test.declare(built).await?;
            test.all(files, args.update, terminal).await
        };
        let tested = tested.await;
        server.stop().await;
        tested
    })
}

/// The cases that are meant.
fn files(args: &TestArgs, project: &Project) -> Result<Vec<File>, Error> {
    let own = project.folder.join(CASES_FOLDER);
    let mut files = match args.paths.is_empty() {
        true if !own.is_dir() => Vec::new(),
        true => cases::load(&[own])?,
        false => cases::load(&args.paths)?,
    };
    files.retain(|file| args.function.as_ref().is_none_or(|name| *name == file.case.function));
    if files.is_empty() {
        let of = args.function.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        return Err(Error::Missing {
            message: format!("there are no recorded tests{of} in {CASES_FOLDER}"),
            hint: Some("`nexus replay last --save-test` makes one of the last call".to_owned()),
        });
    }
    Ok(files)
}

fn config(data: PathBuf) -> Config {
    let mut config = Config {
        data,
        logging: Logging { format: LogFormat::Text, filter: "error".to_owned() },
        ..Config::default()
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.ingress.listen, config.api.listen) = (any, any);
    config
}

struct Test {
    node: Arc<Node>,
    project: Project,
}

impl Test {
    fn project(&self) -> &Name {
        &self.project.manifest.project
    }

    /// Makes the functions known, each with its version of now.
    async fn declare(&self, built: Vec<(Function, crate::project::Artifact)>) -> Result<(), Error> {
        let ctx = OpContext::system("test");
        let resources = self.project.manifest.resources().into_iter();
        let own = resources.filter(|resource| resource.kind == Kind::Project);
        self.node.apply(&ctx, own.collect::<Vec<_>>()).await.map_err(HostFailure::new)?;
        for (function, artifact) in built {
            for value in function.spec.config.env.values() {
                let EnvValue::Secret { secret } = value else { continue };
                let set = self.node.set_secret(&ctx, self.project(), secret, NO_SECRET.as_bytes());
                set.await.map_err(HostFailure::new)?;
            }
            let deploy = Deploy {
                project: self.project().clone(),
                name: function.name.clone(),
                component: artifact.component.into(),
                // Routes and triggers have no part in it.
                config: Some(FunctionSpec {
                    config: function.spec.config.clone(),
                    ..FunctionSpec::default()
                }),
                language: artifact.language,
                bundle: artifact.bundle.map(Into::into),
                sources: artifact.sources,
                label: String::new(),
                candidate: false,
            };
            self.node.deploy(&ctx, deploy).await.map_err(HostFailure::new)?;
        }
        Ok(())
    }

    async fn all(
        &self,
        files: Vec<File>,
        update: bool,
        terminal: &mut Terminal,
    ) -> Result<(), Error> {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from);
        let held = futures::stream::iter(files).map(|file| async move {
            let held = self.hold(&file).await;
            (file, held)
        });
        let mut held = std::pin::pin!(held.buffered(parallel));
        let mut tally = Tally::default();
        while let Some((file, held)) = held.next().await {
            let same = held.as_ref().is_ok_and(is_same);
            let held = match (same, update) {
                (false, true) => self.retake(&file).await.map(|()| Told::Updated),
                _ => held.map(|held| Told::Held(Box::new(held))),
            };
            tally.add(&held);
            tell(terminal, &file, held)?;
        }
        tally.tell(update, terminal)
    }

    async fn hold(&self, file: &File) -> Result<Comparison, Error> {
        let ctx = OpContext::system("test");
        self.require(&file.case.function)?;
        let names = (self.project(), &file.case.function);
        let held = self.node.try_case(&ctx, names, "live", &file.case).await;
        Ok(held.map_err(HostFailure::new)?)
    }

    async fn retake(&self, file: &File) -> Result<(), Error> {
        let ctx = OpContext::system("test");
        self.require(&file.case.function)?;
        let names = (self.project(), &file.case.function);
        let case = self.node.retake_case(&ctx, names, "live", &file.case).await;
        let case = case.map_err(|error| {
            let hint = error.hint().map(str::to_owned);
            HostFailure { hint, ..HostFailure::new(error) }
        })?;
        std::fs::write(&file.path, case.to_text()).map_err(|source| Error::Io {
            operation: "write",
            subject: file.path.display().to_string(),
            source,
        })
    }

    fn require(&self, function: &Name) -> Result<(), Error> {
        match self.project.manifest.functions.contains_key(function) {
            true => Ok(()),
            false => Err(Error::Missing {
                message: format!("nexus.toml has no function '{function}'"),
                hint: Some("delete the test, or name its function anew in it".to_owned()),
            }),
        }
    }
}

/// What came of one case.
enum Told {
    Held(Box<Comparison>),
    Updated,
}

fn is_same(held: &Comparison) -> bool {
    matches!(held.verdict, Sameness::Identical | Sameness::Equivalent)
}

fn tell(terminal: &mut Terminal, file: &File, told: Result<Told, Error>) -> Result<(), Error> {
    let name = file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if terminal.json() {
        let path = file.path.display().to_string();
        let value = match &told {
            Ok(Told::Held(held)) => json!({ "test": name, "path": path, "comparison": held }),
            Ok(Told::Updated) => json!({ "test": name, "path": path, "updated": true }),
            Err(error) => json!({ "test": name, "path": path, "error": error.to_string() }),
        };
        return terminal.value(&value);
    }
    match told {
        Ok(Told::Updated) => terminal.line(format_args!("{}  updated", Paint(Tone::Strong, name))),
        Ok(Told::Held(held)) if is_same(&held) => {
            let verdict = Paint(Tone::Good, held.verdict.word());
            terminal.line(format_args!("{}  {verdict}", Paint(Tone::Strong, name)))
        }
        Ok(Told::Held(held)) => {
            terminal.line(Paint(Tone::Strong, name))?;
            nexus_cli::print_comparison(terminal, &held)
        }
        Err(error) => {
            terminal.line(format_args!(
                "{}  {}",
                Paint(Tone::Strong, name),
                Paint(Tone::Bad, "failed")
            ))?;
            nexus_cli::report(&error, terminal);
            Ok(())
        }
    }
}

/// How many came to what.
#[derive(Default)]
struct Tally {
    same: usize,
    updated: usize,
    other: usize,
}

impl Tally {
    fn add(&mut self, told: &Result<Told, Error>) {
        match told {
            Ok(Told::Held(held)) if is_same(held) => self.same += 1,
            Ok(Told::Updated) => self.updated += 1,
            _ => self.other += 1,
        }
    }

    fn tell(&self, update: bool, terminal: &mut Terminal) -> Result<(), Error> {
        let mut parts = vec![format!("{} passed", self.same)];
        if self.updated > 0 {
            parts.push(format!("{} updated", self.updated));
        }
        if self.other > 0 {
            parts.push(format!("{} failed", self.other));
        }
        terminal.say(parts.join(", "));
        if self.other == 0 {
            return Ok(());
        }
        if !update {
            terminal.say("nexus test --update makes what they do now what is expected");
        }
        Err(Error::Told(exit::FAILED))
    }
}
