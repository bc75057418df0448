//! `nexus new`: a project that builds, runs and is tested as it stands.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Error, Language, templates};

/// What the first function of a new project does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Template {
    /// Answers `GET /hello?name=…`.
    #[default]
    Http,
    /// Handles `com.shop.order.created`.
    Event,
}

impl Template {
    /// The name as typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Template::Http => "http",
            Template::Event => "event",
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no template.
#[derive(Debug, thiserror::Error)]
#[error("unknown template `{0}`: known are http, event")]
pub struct UnknownTemplate(String);

impl FromStr for Template {
    type Err = UnknownTemplate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "http" => Ok(Template::Http),
            "event" => Ok(Template::Event),
            other => Err(UnknownTemplate(other.to_owned())),
        }
    }
}

/// A project to lay out.
#[derive(Clone, Debug)]
pub struct Scaffold {
    /// The project's name.
    pub name: nexus_model::Name,
    /// What its function is written in.
    pub language: Language,
    /// What its function does.
    pub template: Template,
    /// The folder; created when missing, refused when it holds anything.
    pub dir: PathBuf,
}

/// Writes the project's files and gives their paths, relative to the folder, sorted. The function
/// is called `hello` (HTTP) or `orders` (event).
pub fn scaffold(scaffold: &Scaffold) -> Result<Vec<PathBuf>, Error> {
    refuse_used(&scaffold.dir)?;
    let mut written = Vec::new();
    for (path, content) in templates::files(scaffold.language, scaffold.template) {
        let target = scaffold.dir.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        }
        let content = content.replace(templates::NAME, scaffold.name.as_str());
        std::fs::write(&target, content).map_err(Error::file("write", target))?;
        written.push(PathBuf::from(path));
    }
    written.sort();
    Ok(written)
}

fn refuse_used(dir: &Path) -> Result<(), Error> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::NotEmpty { dir: dir.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file("list", dir)(error)),
    }
}
