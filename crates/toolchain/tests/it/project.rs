//! A project in a temporary folder.

use std::path::PathBuf;

use nexus_toolchain::{
    BuildOptions, Built, Error, FunctionSource, Language, Scaffold, Template, build, scaffold,
};

pub(crate) struct Project {
    pub dir: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Project {
    pub(crate) fn empty() -> Self {
        Project { dir: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn scaffold(language: Language, template: Template) -> Self {
        let project = Project::empty();
        let name = nexus_model::Name::new("shop").unwrap();
        let dir = project.dir.path().to_owned();
        scaffold(&Scaffold { name, language, template, dir }).unwrap();
        project
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn source(&self, function: &str) -> FunctionSource {
        FunctionSource {
            name: "hello".into(),
            dir: self.dir.path().join(function),
            language: None,
            custom: None,
        }
    }

    pub(crate) fn options(&self) -> BuildOptions {
        BuildOptions::new(shared_cache().unwrap_or_else(|| self.cache.path().to_owned()))
    }

    pub(crate) fn build(&self, function: &str) -> Result<Built, Error> {
        build(&self.source(function), &self.options())
    }
}

/// One cache for all tests: the JavaScript runtime is compiled once.
fn shared_cache() -> Option<PathBuf> {
    Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache"))
}

/// What a failed build said.
pub(crate) fn output(result: Result<Built, Error>) -> String {
    match result {
        Err(Error::Failed { output, .. }) => output,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the build succeeded"),
    }
}
