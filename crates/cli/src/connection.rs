//! Finding the server, its token and the project.

use std::path::{Path, PathBuf};

use nexus_model::Name;
use serde::{Deserialize, Serialize};

use crate::args::Globals;
use crate::client::Secret;
use crate::{Error, env};

/// The folder that `nexus dev` keeps everything in.
const DEV_FOLDER: &str = ".nexus";
/// Where a server says how to reach it.
const SERVER_FILE: &str = "server.json";
/// Where a server keeps the token of its own machine.
pub const TOKEN_FILE: &str = "token";

/// `<data>/server.json`: how to reach the server that owns the folder. Written when it is ready,
/// removed when it stops.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServerFile {
    /// The process.
    pub pid: u32,
    /// The API's address, with scheme.
    pub api: String,
    /// The ingress' address, with scheme.
    pub ingress: String,
    /// The file with a token, absolute.
    pub token_file: PathBuf,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// The project that answers on the bare host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Name>,
    /// The server's version.
    pub version: String,
}

impl ServerFile {
    /// The file's place in a data folder.
    pub fn path(data: &Path) -> PathBuf {
        data.join(SERVER_FILE)
    }

    /// Reads the file of a data folder; `None` when there is none or it cannot be understood.
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::path(data)).ok()?).ok()
    }
}

/// The server that a command talks to.
#[derive(Clone, Debug)]
pub struct Found {
    /// The API's address.
    pub api: String,
    /// The token, if there is one.
    pub token: Option<Secret>,
    /// A file with certificates that are trusted besides those of the system.
    pub ca_certificate: Option<PathBuf>,
    /// What the server's folder says, when it was found through one.
    pub file: Option<ServerFile>,
}

impl Found {
    /// By flags and environment, else the nearest `.nexus` folder here or above.
    ///
    /// # Errors
    /// Nothing names a server, or the one of the folder does not run; a token file cannot be read.
    pub fn new(globals: &Globals, from: &Path) -> Result<Self, Error> {
        // A variable that is set to nothing says nothing.
        let stated = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let token = stated(&globals.token).map(Secret::new);
        let ca_certificate = globals.ca_certificate.clone();
        if let Some(server) = &stated(&globals.server) {
            return Ok(Found { api: with_scheme(server), token, ca_certificate, file: None });
        }
        let folders = || from.ancestors().map(|folder| folder.join(DEV_FOLDER));
        let Some(file) = folders().find_map(|folder| ServerFile::read(&folder)) else {
            let stopped = folders().find(|folder| folder.is_dir());
            return Err(stopped.map_or(Error::NoServer, |folder| Error::Stopped { folder }));
        };
        let token = match token {
            Some(token) => Some(token),
            None => read_token(&file.token_file)?,
        };
        Ok(Found { api: file.api.clone(), token, ca_certificate, file: Some(file) })
    }
}

fn read_token(path: &Path) -> Result<Option<Secret>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Secret::new(text.trim().to_owned()))),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io {
            operation: "read",
            subject: format!("the token in {}", path.display()),
            source,
        }),
    }
}

fn with_scheme(server: &str) -> String {
    let server = server.trim_end_matches('/');
    match server.contains("://") {
        true => server.to_owned(),
        false => format!("http://{server}"),
    }
}

/// The part of a manifest that every command needs.
#[derive(Deserialize)]
struct ManifestHead {
    project: Option<ProjectHead>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ProjectHead {
    Name(String),
    Table { name: String },
}

/// The project of the nearest `nexus.toml` in `from` or above.
///
/// # Errors
/// The manifest names a project whose name is not valid.
pub fn find_project(from: &Path) -> Result<Option<Name>, Error> {
    for folder in from.ancestors() {
        let path = folder.join("nexus.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let head: Option<ManifestHead> = toml::from_str(&text).ok();
        let name = match head.and_then(|head| head.project) {
            Some(ProjectHead::Name(name) | ProjectHead::Table { name }) => name,
            None => return Ok(None),
        };
        return Name::new(&name).map(Some).map_err(|error| Error::Usage {
            message: format!("{}: project: {error}", path.display()),
            hint: None,
        });
    }
    Ok(None)
}

/// The project that a command works on: flag or environment, manifest, the server's default.
pub(crate) fn project(globals: &Globals, found: &Found, from: &Path) -> Result<Name, Error> {
    if let Some(name) = &globals.project {
        return Ok(name.clone());
    }
    if let Some(name) = find_project(from)? {
        return Ok(name);
    }
    found.file.as_ref().and_then(|file| file.project.clone()).ok_or_else(|| Error::Usage {
        message: "no project: there is no nexus.toml here or above".into(),
        hint: Some(format!("name one with --project or {}", env::PROJECT)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_and_manifest_count() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("shop/src/deep");
        std::fs::create_dir_all(&deep).unwrap();
        let data = root.path().join("shop/.nexus");
        std::fs::create_dir_all(&data).unwrap();
        let file = ServerFile {
            pid: 7,
            api: "http://127.0.0.1:7070".into(),
            ingress: "http://127.0.0.1:8080".into(),
            token_file: data.join(TOKEN_FILE),
            data: data.clone(),
            project: None,
            version: "0.1.0".into(),
        };
        std::fs::write(ServerFile::path(&data), serde_json::to_vec(&file).unwrap()).unwrap();
        std::fs::write(data.join(TOKEN_FILE), "nx_secret\n").unwrap();
        std::fs::write(root.path().join("shop/nexus.toml"), "project = \"shop\"").unwrap();

        let globals = Globals::default();
        let found = Found::new(&globals, &deep).unwrap();
        assert_eq!(found.api, "http://127.0.0.1:7070");
        assert!(!format!("{found:?}").contains("nx_secret"));
        assert_eq!(project(&globals, &found, &deep).unwrap().as_str(), "shop");
        assert!(matches!(Found::new(&globals, root.path()), Err(Error::NoServer)));
        let empty = Globals { server: Some(String::new()), token: Some(String::new()), ..globals };
        let found = Found::new(&empty, &deep).unwrap();
        assert!(found.api == "http://127.0.0.1:7070" && found.token.is_some());
        let globals = Globals::default();
        std::fs::remove_file(ServerFile::path(&data)).unwrap();
        let stopped = Found::new(&globals, &deep).unwrap_err();
        assert!(matches!(stopped, Error::Stopped { folder } if folder == data));
    }
}
