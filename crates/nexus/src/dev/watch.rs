//! Which files changed, in batches: folders are watched one by one, so that what builds write
//! (`target`, `node_modules`, `.nexus`) is never even looked at.

use std::collections::{BTreeSet, HashSet};
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

#[derive(Default)]
struct Pending {
    changed: Mutex<Changed>,
    more: Notify,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: notify::Result<notify::Event>) {
        let mut changed = self.lock();
        match event {
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
        let pending = Arc::new(Pending::default());
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
