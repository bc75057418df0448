//! `nexus apply`: creates and changes resources from files.

use std::path::{Path, PathBuf};

use clap::Args;
use nexus_model::manifest::{MANAGED, Manifest};
use nexus_model::resource::{Kind, Resource};
use serde_json::Value;

use crate::client::{Place, Send};
use crate::commands::input;
use crate::{Error, Session};

/// Create and change resources from files
///
/// Files are YAML, JSON or a nexus.toml; folders stand for the YAML and JSON files in them. What is
/// in one file is applied whole or not at all.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// A file, a folder, or - for standard input (repeatable)
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<String>,
}

pub(crate) fn run(session: &mut Session, args: &ApplyArgs) -> Result<(), Error> {
    for file in &args.files {
        for path in expand(file)? {
            apply(session, &path)?;
        }
    }
    Ok(())
}

/// A folder's files in the order of their names; anything else is itself.
fn expand(file: &str) -> Result<Vec<String>, Error> {
    let folder = Path::new(file);
    if !folder.is_dir() {
        return Ok(vec![file.to_owned()]);
    }
    let failed = |source| Error::Io { operation: "read", subject: file.to_owned(), source };
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("yaml" | "yml" | "json")) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Error::usage(format!("{file} has no YAML or JSON files")));
    }
    Ok(found.into_iter().map(|path| path.display().to_string()).collect())
}

fn apply(session: &mut Session, file: &str) -> Result<(), Error> {
    let mut body = input::file(file)?;
    let mut content_type = media_type(file, &body);
    if content_type == "text/toml" {
        // Schemas lie in files beside the manifest, which the server cannot see.
        body = manifest(file, &body)?;
        content_type = "application/json";
    }
    let applied = send(session, content_type, body)?;
    if applied == 0 && !session.terminal.json() {
        session.terminal.say(format_args!("{file}: there is nothing in it to apply"));
    }
    Ok(())
}

/// The resources of a manifest, its schemas included.
fn manifest(file: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let wrong = |reason: String| Error::usage(format!("{file}: {reason}"));
    let text = std::str::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
    let manifest = Manifest::parse(text).map_err(|error| wrong(error.to_string()))?;
    let folder = Path::new(file).parent().unwrap_or(Path::new("."));
    let read =
        |path: &Path| std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    let mut resources = manifest.resources();
    resources.extend(manifest.schema_resources(read).map_err(wrong)?);
    json(&resources)
}

fn json(resources: &[Resource]) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(resources).map_err(|error| Error::Protocol {
        what: "the resources".to_owned(),
        reason: error.to_string(),
    })
}

/// Applies the triggers and schemas of a manifest, and deletes those that came from one before and
/// are in it no more.
///
/// # Errors
/// The server refuses one: then none is applied, and nothing is deleted.
pub fn declare(session: &mut Session, resources: &[Resource]) -> Result<(), Error> {
    if !resources.is_empty() {
        send(session, "application/json", json(resources)?)?;
    }
    for kind in [Kind::Trigger, Kind::Schema] {
        let place = Place::api(["resources", kind.plural()]).with("project", session.project()?);
        let known: Vec<Resource> = session.client.list(place)?;
        for resource in known {
            let managed = resource.metadata.annotations.contains_key(MANAGED);
            let wanted = resources
                .iter()
                .any(|at| at.kind == kind && at.metadata.name == resource.metadata.name);
            if managed && !wanted {
                let name = resource.metadata.name.as_str();
                session.client.delete(session.place([kind.plural(), name])?)?;
                session.terminal.say(format_args!("{} deleted", resource.key()));
            }
        }
    }
    Ok(())
}

/// Says how many resources were applied.
fn send(session: &mut Session, content_type: &str, body: Vec<u8>) -> Result<usize, Error> {
    // What names no project belongs to that of the command, where there is one.
    let place = Place::api(["apply"]).maybe("project", session.project().ok());
    let send = Send { method: "POST", place, content_type, body: Some(body) };
    let answer: Items = session.client.json(send)?;
    for item in &answer.items {
        print(session, item)?;
    }
    Ok(answer.items.len())
}

/// What became of the resources.
#[derive(serde::Deserialize)]
struct Items {
    items: Vec<Value>,
}

fn print(session: &mut Session, item: &Value) -> Result<(), Error> {
    if session.terminal.json() {
        return session.terminal.value(item);
    }
    let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let project = text("/resource/metadata/project");
    let slash = if project.is_empty() { "" } else { "/" };
    let (kind, name) = (text("/resource/kind"), text("/resource/metadata/name"));
    session.terminal.line(format_args!("{kind} {project}{slash}{name}  {}", text("/effect")))
}

fn media_type(file: &str, body: &[u8]) -> &'static str {
    match Path::new(file).extension().and_then(|ending| ending.to_str()) {
        Some("toml") => "text/toml",
        Some("json") => "application/json",
        Some("yaml" | "yml") => "application/yaml",
        // Standard input has no name: JSON is recognised, the rest is YAML.
        _ if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() => "application/json",
        _ => "application/yaml",
    }
}
