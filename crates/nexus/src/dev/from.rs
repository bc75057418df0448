//! Real calls of another server: brought once, and every new version is held against them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use nexus_cli::{CaseSource, Error, Fetched, FromArgs, Globals, Terminal};
use nexus_model::case::Case;
use nexus_model::view::{Comparison, Sameness};
use nexus_model::{Clock as _, Name, OpContext, SystemClock};
use nexus_node::Node;
use tokio::sync::mpsc;

use super::FOLDER;
use crate::project::Function;
use crate::task;

/// Where they are kept, so that `nexus test` can be asked for the details.
const CASES: &str = "from";
/// Versions that may wait to be told about.
const TOLD_MAX: usize = 16;

/// What there is to tell.
pub(crate) enum Told {
    /// The calls of a function are here.
    Brought { key: String, fetched: Result<Brought, Error> },
    /// A version was held against them.
    Held { key: String, held: Held },
}

/// How many calls are here.
pub(crate) struct Brought {
    pub(crate) cases: usize,
    pub(crate) skipped: u32,
    pub(crate) reason: String,
    /// Where they are.
    pub(crate) folder: PathBuf,
    all: Arc<Vec<Case>>,
}

/// What came of a version.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) version: u64,
    pub(crate) same: usize,
    /// Those that differ, or of which nobody can say, each with why.
    pub(crate) other: Vec<(nexus_model::InvocationId, String)>,
    pub(crate) folder: PathBuf,
}

/// The calls of all functions, and what holds versions against them.
pub(crate) struct RealCalls {
    source: CaseSource,
    cases: HashMap<String, (Arc<Vec<Case>>, PathBuf)>,
    /// The newest version of each that was asked about: older answers do not count.
    asked: HashMap<String, u64>,
    node: Arc<Node>,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
}

impl RealCalls {
    /// Nothing where no server is named. How it is reached and shown is said as for every command.
    pub(crate) fn new(globals: &Globals, args: &FromArgs, node: &Arc<Node>) -> Option<Self> {
        let server = args.from.clone()?;
        let globals = Globals {
            server: Some(server),
            token: args.from_token.clone(),
            project: args.from_project.clone(),
            ..globals.clone()
        };
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let source = CaseSource { globals, last: args.last };
        let node = Arc::clone(node);
        let (cases, asked) = (HashMap::new(), HashMap::new());
        Some(RealCalls { source, cases, asked, node, tell, told })
    }

    /// Brings the calls of a function of the project in `root`, beside everything else.
    pub(crate) fn fetch(&self, root: &Path, function: &Function) {
        let mut source = self.source.clone();
        source.globals.project.get_or_insert_with(|| function.project.clone());
        let folder = root.join(FOLDER).join(CASES).join(function.name.as_str());
        let (name, key, tell) = (function.name.clone(), function.key(), self.tell.clone());
        task::spawn("bring calls", async move {
            let fetched = tokio::task::spawn_blocking(move || bring(&source, &name, folder)).await;
            let Ok(fetched) = fetched else { return };
            // Nobody listens any more: the loop has ended.
            let _ = tell.send(Told::Brought { key, fetched }).await;
        });
    }

    /// What there is to tell next.
    pub(crate) async fn told(&mut self) -> Option<Told> {
        loop {
            match self.told.recv().await? {
                Told::Brought { key, fetched: Ok(brought) } => {
                    let kept = (Arc::clone(&brought.all), brought.folder.clone());
                    self.cases.insert(key.clone(), kept);
                    return Some(Told::Brought { key, fetched: Ok(brought) });
                }
                Told::Held { key, held } if self.asked.get(&key) != Some(&held.version) => {
                    tracing::debug!(key, "a newer version came meanwhile");
                }
                told => return Some(told),
            }
        }
    }

    /// Holds the live version of a function against its calls, beside everything else.
    pub(crate) fn hold(&mut self, function: &Function, version: u64) {
        let key = function.key();
        self.asked.insert(key.clone(), version);
        let Some((cases, folder)) = self.cases.get(&key).cloned() else { return };
        let (node, tell) = (Arc::clone(&self.node), self.tell.clone());
        let names = (function.project.clone(), function.name.clone());
        task::spawn("hold a version", async move {
            let mut held = hold(&node, (&names.0, &names.1), (version, &cases)).await;
            held.folder = folder;
            let _ = tell.send(Told::Held { key, held }).await;
        });
    }
}

fn bring(source: &CaseSource, function: &Name, folder: PathBuf) -> Result<Brought, Error> {
    let terminal = Terminal::of_process(&source.globals, SystemClock.now());
    let Fetched { cases, skipped, reason } = source.fetch(terminal, function)?;
    keep(&folder, &cases).map_err(|source| Error::Io {
        operation: "write",
        subject: folder.display().to_string(),
        source,
    })?;
    Ok(Brought { cases: cases.len(), skipped, reason, folder, all: Arc::new(cases) })
}

/// Puts the cases in the place of those of another day.
fn keep(folder: &Path, cases: &[Case]) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(folder)?;
    for case in cases {
        let path = folder.join(format!("{}.json", case.recorded.invocation));
        std::fs::write(path, case.to_text())?;
    }
    Ok(())
}

async fn hold(node: &Node, names: (&Name, &Name), (version, cases): (u64, &[Case])) -> Held {
    let parallel = std::thread::available_parallelism().map_or(1, usize::from);
    let against = version.to_string();
    let each = futures::stream::iter(0..cases.len()).map(|at| {
        let against = &against;
        async move {
            let case = &cases[at];
            let ctx = OpContext::system("dev");
            (case.recorded.invocation, node.try_case(&ctx, names, against, case).await)
        }
    });
    let mut each = std::pin::pin!(each.buffered(parallel));
    let mut held = Held { version, ..Held::default() };
    while let Some((id, result)) = each.next().await {
        match result {
            Ok(Comparison { verdict: Sameness::Identical | Sameness::Equivalent, .. }) => {
                held.same += 1;
            }
            Ok(comparison) => held.other.push((id, nexus_cli::first_change(&comparison))),
            Err(error) => held.other.push((id, error.to_string())),
        }
    }
    held
}
