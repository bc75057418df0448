//! Which files changed, in batches: folders are watched one by one, so that what builds write
//! (`target`, `node_modules`, `.nexus`) is never even looked at.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, mpsc};

use crate::task;

/// How long nothing may change before a batch is complete: editors write in several steps.
const QUIET: Duration = Duration::from_millis(30);
/// How long a batch may grow.
const BATCH_MAX: Duration = Duration::from_secs(1);
/// Paths in one batch; beyond it everything counts as changed.
const PATHS_MAX: usize = 10_000;
/// Folders watched at most; the system has a limit as well.
const FOLDERS_MAX: usize = 20_000;

/// A batch of changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    paths: BTreeSet<PathBuf>,
    /// The system lost track: everything may have changed.
    all: bool,
}

impl Changed {
    /// Whether this very file changed.
    pub(crate) fn touch(&self, path: &Path) -> bool {
        self.all || self.paths.contains(path)
    }

    /// Whether a source file below one of the folders changed.
    pub(crate) fn concern(&self, roots: &[PathBuf]) -> bool {
        self.all
            || self.paths.iter().any(|path| {
                roots.iter().any(|root| path != root && nexus_toolchain::is_source(root, path))
            })
    }
}

/// A file, whatever it is called: its device, and its number there.
type FileId = (u64, u64);

fn id_of(file: &Metadata) -> FileId {
    (file.dev(), file.ino())
}

/// Where an output of this process goes, if that is a file: `nexus dev > dev.log` must not take its own
/// words for a change.
fn output_file(output: impl AsFd) -> Option<FileId> {
    let file = File::from(output.as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
    file.is_file().then(|| id_of(&file))
}

#[derive(Default)]
struct Pending {
    changed: Mutex<Changed>,
    more: Notify,
    /// What this process writes itself.
    own: Vec<FileId>,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_own(&self, path: &Path) -> bool {
        !self.own.is_empty()
            && std::fs::metadata(path).is_ok_and(|file| self.own.contains(&id_of(&file)))
    }

    fn add(&self, event: notify::Result<notify::Event>) {
        let event = event.map(|mut event| {
            event.paths.retain(|path| !self.is_own(path));
            event
        });
        let mut changed = self.lock();
        match event {
            Ok(event) if event.paths.is_empty() && !event.need_rescan() => return,
            // Reading is no change, and neither is a new mode or time without new content.
            Ok(event)
                if matches!(
                    event.kind,
                    EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_))
                ) =>
            {
                return;
            }
            Ok(event) => {
                changed.all |= event.need_rescan();
                changed.paths.extend(event.paths);
                changed.all |= changed.paths.len() > PATHS_MAX;
            }
            Err(_) => changed.all = true,
        }
        drop(changed);
        self.more.notify_one();
    }
}

/// Watches folders.
pub(crate) struct Watcher {
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    batches: mpsc::Receiver<Changed>,
}

impl Watcher {
    /// Watches nothing yet. Must run inside a Tokio runtime.
    pub(crate) fn new() -> notify::Result<Self> {
        let own = [output_file(std::io::stdout()), output_file(std::io::stderr())];
        Self::without(own.into_iter().flatten().collect())
    }

    /// Watches nothing yet, and never what `own` are.
    fn without(own: Vec<FileId>) -> notify::Result<Self> {
        let pending = Arc::new(Pending { own, ..Pending::default() });
        let heard = pending.clone();
        let watcher = notify::recommended_watcher(move |event| heard.add(event))?;
        let (sender, batches) = mpsc::channel(1);
        task::spawn(
            "watch",
            async move { while sender.send(batch(&pending).await).await.is_ok() {} },
        );
        Ok(Watcher { watcher, watched: HashSet::new(), batches })
    }

    /// The next batch. Cancel safe.
    pub(crate) async fn changed(&mut self) -> Option<Changed> {
        self.batches.recv().await
    }

    /// Watches the folders themselves, and the roots with everything in them that may be a source.
    pub(crate) fn sync(&mut self, folders: &[PathBuf], roots: &[PathBuf]) {
        for folder in folders {
            self.add(folder.clone());
        }
        for root in roots {
            let base = root.clone();
            let walk = ignore::WalkBuilder::new(root)
                .hidden(false)
                .parents(false)
                .require_git(false)
                .filter_entry(move |entry| {
                    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
                    is_folder
                        && (entry.path() == base || nexus_toolchain::is_source(&base, entry.path()))
                })
                .build();
            for entry in walk.flatten() {
                self.add(entry.into_path());
            }
        }
    }

    /// Forgets folders that were changed themselves: one that was removed and made again has to be
    /// watched anew.
    pub(crate) fn gone(&mut self, changed: &Changed) {
        for path in &changed.paths {
            if self.watched.remove(path) {
                // Mostly it is not watched any more, because it is not there any more.
                let _ = self.watcher.unwatch(path);
            }
        }
    }

    fn add(&mut self, folder: PathBuf) {
        if self.watched.contains(&folder) || self.watched.len() >= FOLDERS_MAX {
            return;
        }
        match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.watched.insert(folder)),
            Err(error) => tracing::warn!(%error, folder = %folder.display(), "not watched"),
        }
    }
}

/// Collects changes until nothing more comes for a moment.
async fn batch(pending: &Pending) -> Changed {
    pending.more.notified().await;
    let end = tokio::time::Instant::now() + BATCH_MAX;
    while tokio::time::timeout(QUIET, pending.more.notified()).await.is_ok() {
        if tokio::time::Instant::now() >= end {
            break;
        }
    }
    std::mem::take(&mut *pending.lock())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sources_are_heard_and_outputs_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        for inner in ["src", "target/debug", ".nexus", "node_modules/x"] {
            std::fs::create_dir_all(root.join(inner)).unwrap();
        }
        let mut watcher = Watcher::new().unwrap();
        watcher.sync(&[], std::slice::from_ref(&root));
        let mut watched: Vec<_> = watcher.watched.iter().cloned().collect();
        watched.sort();
        assert_eq!(watched, [root.clone(), root.join("src")]);

        std::fs::write(root.join("target/debug/out"), "x").unwrap();
        std::fs::write(root.join("src/lib.rs"), "x").unwrap();
        let changed = watcher.changed().await.unwrap();
        assert!(changed.touch(&root.join("src/lib.rs")));
        assert!(changed.concern(std::slice::from_ref(&root)));
        assert!(!changed.touch(&root.join("target/debug/out")));
    }

    #[tokio::test]
    async fn what_it_writes_itself_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        let (own, other) = (root.join("dev.log"), root.join("lib.rs"));
        let log = File::create(&own).unwrap();
        let mut watcher = Watcher::without(output_file(&log).into_iter().collect()).unwrap();
        watcher.sync(&[], std::slice::from_ref(&root));
        std::fs::write(&own, "a word").unwrap();
        std::fs::write(&other, "x").unwrap();
        let changed = watcher.changed().await.unwrap();
        assert!(changed.touch(&other) && !changed.touch(&own), "{changed:?}");
        // A terminal or a pipe is no file.
        assert_eq!(output_file(std::io::pipe().unwrap().0), None);
    }

    #[test]
    fn only_sources_concern_a_function() {
        let changed = |path: &str| Changed { paths: [PathBuf::from(path)].into(), all: false };
        let roots = [PathBuf::from("/shop/hello")];
        assert!(changed("/shop/hello/src/lib.rs").concern(&roots));
        for path in ["/shop/nexus.toml", "/shop/hello/target/x", "/shop/hello/.nexus/log/1"] {
            assert!(!changed(path).concern(&roots), "{path}");
        }
        assert!(Changed { all: true, ..Changed::default() }.concern(&roots));
    }
}
