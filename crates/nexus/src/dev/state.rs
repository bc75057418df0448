//! What was deployed from which sources: `dev.json` in the data folder. Lost or damaged, it costs
//! one build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nexus_model::{Name, VersionId};
use serde::{Deserialize, Serialize};

const FILE: &str = "dev.json";

/// One deployed function.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    /// Of the sources; `None` when they cannot tell whether a build is needed.
    pub(crate) stamp: Option<String>,
    pub(crate) version: Option<VersionId>,
}

/// Deployed functions by `project/function`.
#[derive(Debug, Default)]
pub(crate) struct State {
    path: PathBuf,
    deployments: BTreeMap<String, Deployment>,
}

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
pub(crate) struct WriteError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl State {
    pub(crate) fn load(data: &Path) -> Self {
        let path = data.join(FILE);
        let text = std::fs::read(&path).unwrap_or_default();
        State { path, deployments: serde_json::from_slice(&text).unwrap_or_default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Deployment> {
        self.deployments.get(key)
    }

    pub(crate) fn knows(&self, key: &str) -> bool {
        self.deployments.contains_key(key)
    }

    /// The functions of a project that were deployed from sources.
    pub(crate) fn of_project(&self, project: &Name) -> Vec<Name> {
        let name = |key: &String| {
            let (of, function) = key.split_once('/')?;
            (of == project.as_str()).then(|| Name::new(function).ok()).flatten()
        };
        self.deployments.keys().filter_map(name).collect()
    }

    pub(crate) fn remember(
        &mut self,
        key: &str,
        stamp: Option<String>,
        version: Option<VersionId>,
    ) -> Result<(), WriteError> {
        self.deployments.insert(key.to_owned(), Deployment { stamp, version });
        self.write()
    }

    pub(crate) fn forget(&mut self, key: &str) {
        self.deployments.remove(key);
        // An entry too many is found again and forgotten again.
        let _ = self.write();
    }

    fn write(&self) -> Result<(), WriteError> {
        let text = serde_json::to_vec_pretty(&self.deployments).unwrap_or_default();
        let beside = self.path.with_extension("json.new");
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, &self.path))
            .map_err(|source| WriteError { path: self.path.clone(), source })
    }
}
