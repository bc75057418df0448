//! A project's folder: its manifest, and what its functions are built from.

use std::path::{Path, PathBuf};

use nexus_cli::{Error, HostFailure};
use nexus_model::manifest::{FILE, Manifest, ManifestFunction};
use nexus_model::resource::{FunctionSpec, Kind, Resource};
use nexus_model::{Name, Sources, document};
use nexus_toolchain::{BuildOptions, CustomBuild, FunctionSource, Language};

use crate::bundle;

/// A folder with a manifest.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Project {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    /// Whether the manifest says anything about the project itself, beside its name.
    pub(crate) states_project: bool,
}

/// One function of a project, ready to be built.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) project: Name,
    pub(crate) name: Name,
    pub(crate) spec: FunctionSpec,
    /// What the manifest calls this version of it.
    pub(crate) label: Option<String>,
    pub(crate) code: Code,
    /// The folder of files that the function may read.
    pub(crate) files: Option<PathBuf>,
    /// The folder below which the text of its code lies, where that goes to the server.
    pub(crate) sources: Option<PathBuf>,
}

/// Where a function's component comes from.
#[derive(Clone, Debug)]
pub(crate) enum Code {
    /// Built from source.
    Source(FunctionSource),
    /// Built elsewhere.
    Component(PathBuf),
}

/// Texts that are the same as long as building and deploying would give the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Of everything.
    pub(crate) all: String,
    /// Of what people write: a build leaves it as it is, while cargo writes its lock file.
    pub(crate) own: String,
}

/// A component ready to be deployed.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) component: Vec<u8>,
    pub(crate) language: String,
    pub(crate) bundle: Option<Vec<u8>>,
    pub(crate) sources: Option<Sources>,
    pub(crate) notes: Vec<String>,
}

/// Why a function's component is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Build(#[from] nexus_toolchain::Error),
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("{} has no {FILE}", folder.display())]
    Missing { folder: PathBuf },
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}: {wrong}", path.display())]
    Wrong { path: PathBuf, wrong: document::Error },
    #[error("{}: functions.{function}: {wrong}", path.display())]
    Function { path: PathBuf, function: Name, wrong: String },
    #[error("{}: {wrong}", path.display())]
    Schemas { path: PathBuf, wrong: String },
    #[error("{} and {} are both the project {name}", first.display(), second.display())]
    Twice { name: Name, first: PathBuf, second: PathBuf },
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Self {
        let missing = matches!(error, ManifestError::Missing { .. });
        let failure = HostFailure::config(error);
        Error::Host(match missing {
            true => failure.hint("`nexus new my-project` makes a project"),
            false => failure,
        })
    }
}

fn states_project(manifest: &str) -> bool {
    let table = manifest.parse::<toml::Table>().unwrap_or_default();
    ["description", "default", "schema-mode"].iter().any(|key| table.contains_key(*key))
}

impl Project {
    /// Reads the manifest of a folder.
    pub(crate) fn load(folder: &Path) -> Result<Self, ManifestError> {
        let missing = |_| ManifestError::Missing { folder: folder.to_owned() };
        let folder = std::fs::canonicalize(folder).map_err(missing)?;
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ManifestError::Missing { folder: folder.clone() },
            _ => ManifestError::Read { path: path.clone(), source },
        })?;
        let manifest = Manifest::parse(&text)
            .map_err(|wrong| ManifestError::Wrong { path: path.clone(), wrong })?;
        let states_project = states_project(&text);
        let project = Project { folder, manifest, states_project };
        project.functions()?;
        Ok(project)
    }

    /// Reads several folders; each project's name once.
    pub(crate) fn load_all(folders: &[PathBuf]) -> Result<Vec<Self>, ManifestError> {
        let mut projects: Vec<Project> = Vec::new();
        for folder in folders {
            let project = Project::load(folder)?;
            let name = &project.manifest.project;
            if let Some(other) = projects.iter().find(|other| other.manifest.project == *name) {
                return Err(ManifestError::Twice {
                    name: name.clone(),
                    first: other.folder.clone(),
                    second: project.folder,
                });
            }
            projects.push(project);
        }
        Ok(projects)
    }

    /// The project's functions.
    pub(crate) fn functions(&self) -> Result<Vec<Function>, ManifestError> {
        let function = |(name, function): (&Name, &ManifestFunction)| {
            let code = self.code(name, function).map_err(|wrong| ManifestError::Function {
                path: self.folder.join(FILE),
                function: name.clone(),
                wrong,
            })?;
            Ok(Function {
                project: self.manifest.project.clone(),
                name: name.clone(),
                spec: function.spec(),
                label: function.version.clone(),
                code,
                files: function.files.as_ref().map(|files| self.folder.join(files)),
                sources: function.sources.unwrap_or(true).then(|| self.folder.clone()),
            })
        };
        self.manifest.functions.iter().map(function).collect()
    }

    /// The project's schemas and triggers, in the order in which they can be applied.
    pub(crate) fn declared(&self) -> Result<Vec<Resource>, ManifestError> {
        let read = |path: &Path| {
            std::fs::read_to_string(self.folder.join(path)).map_err(|error| error.to_string())
        };
        let schemas = self.manifest.schema_resources(read);
        let mut resources = schemas
            .map_err(|wrong| ManifestError::Schemas { path: self.folder.join(FILE), wrong })?;
        let triggers = self.manifest.resources().into_iter();
        resources.extend(triggers.filter(|resource| resource.kind == Kind::Trigger));
        Ok(resources)
    }

    /// The folders with the project's schemas.
    pub(crate) fn schema_folders(&self) -> Vec<PathBuf> {
        let files = self.manifest.schemas.values().flat_map(|schema| schema.versions.values());
        files.filter_map(|file| self.folder.join(file).parent().map(Path::to_owned)).collect()
    }

    /// Whether a file is one of the project's schemas.
    pub(crate) fn has_schema(&self, touched: impl Fn(&Path) -> bool) -> bool {
        let mut files = self.manifest.schemas.values().flat_map(|schema| schema.versions.values());
        files.any(|file| touched(&self.folder.join(file)))
    }

    fn code(&self, name: &Name, function: &ManifestFunction) -> Result<Code, String> {
        if let Some(component) = &function.component {
            return Ok(Code::Component(self.folder.join(component)));
        }
        let dir = match &function.source {
            Some(source) => self.folder.join(source),
            None => Some(self.folder.join(name.as_str()))
                .filter(|folder| folder.is_dir())
                .unwrap_or_else(|| self.folder.clone()),
        };
        if !dir.is_dir() {
            return Err(format!("there is no folder {}", dir.display()));
        }
        let language = function.language.as_ref().map(|text| text.parse::<Language>()).transpose();
        let custom = function.build.as_ref().map(|build| CustomBuild {
            command: build.command.clone(),
            component: build.component.clone(),
        });
        Ok(Code::Source(FunctionSource {
            name: name.to_string(),
            dir,
            language: language.map_err(|error| error.to_string())?,
            custom,
        }))
    }
}

impl Function {
    /// `shop/hello`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.project, self.name)
    }

    /// Builds the component and packs the files. Blocks.
    pub(crate) fn build(&self, options: &BuildOptions) -> Result<Artifact, BuildError> {
        let bundle = self.files.as_deref().map(bundle::pack).transpose()?;
        match &self.code {
            Code::Component(path) => {
                let component = std::fs::read(path)
                    .map_err(|source| BuildError::Read { path: path.clone(), source })?;
                let language = String::new();
                Ok(Artifact { component, language, bundle, sources: None, notes: Vec::new() })
            }
            Code::Source(source) => {
                let built = nexus_toolchain::build(source, options)?;
                let (component, language, mut notes) =
                    (built.component, built.language, built.notes);
                let sources = match &self.sources {
                    None => None,
                    Some(folder) => {
                        let found = nexus_toolchain::code_files(source, folder)?;
                        notes.extend(found.note);
                        Some(found.sources).filter(|found| !found.files.is_empty())
                    }
                };
                Ok(Artifact { component, language, bundle, sources, notes })
            }
        }
    }

    /// The folders whose files decide what is built.
    pub(crate) fn roots(&self) -> Vec<PathBuf> {
        let mut roots = match &self.code {
            Code::Source(source) => nexus_toolchain::watch_roots(source),
            Code::Component(path) => path.parent().map(Path::to_owned).into_iter().collect(),
        };
        roots.extend(self.files.clone());
        roots
    }

    /// What building and deploying would read. `None` when that cannot be known. Blocks.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let (all, own) = match &self.code {
            Code::Source(source) if source.custom.is_some() => return None,
            Code::Source(source) => (
                nexus_toolchain::source_hash(source).ok()?,
                nexus_toolchain::source_hash_without_lock(source).ok()?,
            ),
            Code::Component(path) => {
                let digest = nexus_model::Digest::of(&std::fs::read(path).ok()?).to_string();
                (digest.clone(), digest)
            }
        };
        let files = match &self.files {
            Some(folder) => nexus_model::Digest::of(&bundle::pack(folder).ok()?).to_string(),
            None => String::new(),
        };
        let spec = serde_json::to_string(&self.spec).ok()?;
        let version = env!("CARGO_PKG_VERSION");
        let stamp = |sources: &str| {
            let all = [version, &self.key(), sources, &files, &spec].join("\n");
            nexus_model::Digest::of(all.as_bytes()).hex()
        };
        Some(Stamp { all: stamp(&all), own: stamp(&own) })
    }
}
