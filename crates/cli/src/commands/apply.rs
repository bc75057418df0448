//! `nexus apply`: creates and changes resources from files.

use std::path::{Path, PathBuf};

use clap::Args;
use nexus_model::Name;
use nexus_model::manifest::{FILE, Manifest};
use nexus_model::resource::Resource;
use serde::Deserialize as _;
use serde_json::Value;

use crate::client::{Place, Send};
use crate::commands::input;
use crate::{Error, Session, exit};

/// Create and change resources from files
///
/// Files are YAML, JSON or a nexus.toml; folders stand for the YAML and JSON files in them. All of
/// them are applied, or none.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// A file, a folder, or - for standard input (repeatable)
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// Check everything and say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show what is different from what is there
    #[arg(long)]
    pub diff: bool,
    /// The set that the functions, triggers and schemas belong to from now on
    #[arg(long, value_name = "NAME")]
    pub set: Option<Name>,
    /// Delete what belongs to the set and is in the files no more
    #[arg(long, requires = "set")]
    pub prune: bool,
    /// End with 1 where something is different, or was
    #[arg(long)]
    pub exit_code: bool,
}

pub(crate) fn run(session: &mut Session, args: &ApplyArgs) -> Result<(), Error> {
    let mut resources: Vec<Value> = Vec::new();
    for file in &args.files {
        for path in expand(file)? {
            let found = read(&path)?;
            if found.is_empty() && !session.terminal.json() {
                session.terminal.say(format_args!("{path}: there is nothing in it to apply"));
            }
            resources.extend(found);
        }
    }
    if resources.is_empty() && !args.prune {
        return Ok(());
    }
    // What names no project belongs to that of the command, where there is one.
    let place = Place::api(["apply"])
        .maybe("project", session.project().ok())
        .maybe("set", args.set.as_ref())
        .maybe("prune", args.prune.then_some("true"));
    let body = json(&resources)?;
    let apply = |session: &mut Session, dry_run: bool| {
        let place = place.clone().maybe("dry_run", dry_run.then_some("true"));
        let content_type = "application/json";
        let send = Send { method: "POST", place, content_type, body: Some(body.clone()) };
        session.client.json::<Items>(send).map(|answer| answer.items)
    };
    let mut differences = Vec::new();
    if args.diff {
        for item in &apply(session, true)? {
            differences.push(difference(session, item)?);
        }
    }
    let (json, shown) = (session.terminal.json(), args.diff && !session.terminal.json());
    for text in differences.iter().filter(|text| shown && !text.is_empty()) {
        session.terminal.line(text.trim_end())?;
    }
    let mut same = true;
    for (at, mut item) in apply(session, args.dry_run)?.into_iter().enumerate() {
        same &= item["effect"].as_str() == Some("unchanged");
        if let (true, Some(text)) = (json, differences.get(at)) {
            item["diff"] = Value::String(text.clone());
        }
        if !(shown && args.dry_run) {
            print(session, &item)?;
        }
    }
    if args.dry_run && !json {
        let what = if same { "nothing is different" } else { "nothing was changed" };
        session.terminal.say(format_args!("{what}: this was a dry run"));
    }
    if args.exit_code && !same { Err(Error::Told(exit::FAILED)) } else { Ok(()) }
}

/// How a resource would differ from the one that is there, as a unified diff of YAML; nothing where it
/// does not.
fn difference(session: &mut Session, item: &Value) -> Result<String, Error> {
    let resource: Resource = serde_json::from_value(item["resource"].clone()).map_err(protocol)?;
    let (kind, name) = (resource.kind, resource.metadata.name.clone());
    let project = resource.metadata.project.clone();
    let (before, after) = match item["effect"].as_str() {
        Some("unchanged") => return Ok(String::new()),
        Some("created") => (None, Some(resource)),
        Some("deleted") => (Some(resource), None),
        _ => {
            let place = Place::api(["resources", kind.plural(), name.as_str()]);
            let place = place.maybe("project", project.as_ref());
            (Some(session.client.get::<Resource>(place)?), Some(resource))
        }
    };
    let texts = [before.as_ref().map(declared), after.as_ref().map(declared)];
    let [before, after] = texts.map(|text| text.transpose());
    let (before, after) = (before?.unwrap_or_default(), after?.unwrap_or_default());
    let slash = project.map(|project| format!("{project}/")).unwrap_or_default();
    let about = format!("{} {slash}{name}", kind.as_str());
    let diff = similar::TextDiff::from_lines(&before, &after);
    Ok(diff.unified_diff().header(&format!("{about} (now)"), &about).to_string())
}

/// What somebody declares of a resource, without what the server adds.
fn declared(resource: &Resource) -> Result<String, Error> {
    let value = serde_json::json!({
        "labels": resource.metadata.labels,
        "annotations": resource.metadata.annotations,
        "spec": resource.spec,
    });
    serde_yaml_ng::to_string(&value).map_err(protocol)
}

fn protocol(error: impl std::fmt::Display) -> Error {
    Error::Protocol { what: "the resource".to_owned(), reason: error.to_string() }
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
        return Err(Error::Usage {
            message: format!("{file} has no YAML or JSON files"),
            hint: folder.join(FILE).is_file().then(|| {
                format!("its manifest is applied by its name: -f {}", folder.join(FILE).display())
            }),
        });
    }
    Ok(found.into_iter().map(|path| path.display().to_string()).collect())
}

/// The resources of a file. Each is looked at here, so that what is wrong is said with its file.
fn read(file: &str) -> Result<Vec<Value>, Error> {
    let text = input::file(file)?;
    let wrong = |reason: String| Error::usage(format!("{file}: {reason}"));
    let documents = match media_type(file, &text) {
        // Schemas lie in files beside the manifest, which the server cannot see.
        "text/toml" => return manifest(file, &text),
        "application/json" => vec![
            serde_json::from_slice(&text).map_err(|error| wrong(format!("not JSON: {error}")))?,
        ],
        _ => serde_yaml_ng::Deserializer::from_slice(&text)
            .map(Value::deserialize)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(format!("not YAML: {error}")))?,
    };
    let found: Vec<Value> = documents.into_iter().flat_map(flatten).collect();
    for (at, value) in (1..).zip(&found) {
        if let Err(error) = serde_json::from_value::<Resource>(value.clone()) {
            return Err(wrong(format!("resource {at}: {error}")));
        }
    }
    Ok(found)
}

/// A resource, an array of them, or a list object with `items`.
fn flatten(document: Value) -> Vec<Value> {
    match document {
        // An empty document, as a trailing `---` makes, is nothing.
        Value::Null => Vec::new(),
        Value::Array(all) => all,
        Value::Object(mut fields) if !fields.contains_key("kind") => match fields.remove("items") {
            Some(Value::Array(all)) => all,
            Some(one) => vec![one],
            None => vec![Value::Object(fields)],
        },
        other => vec![other],
    }
}

/// The resources of a manifest, its schemas included.
fn manifest(file: &str, text: &[u8]) -> Result<Vec<Value>, Error> {
    let wrong = |reason: String| Error::usage(format!("{file}: {reason}"));
    let text = std::str::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
    let manifest = Manifest::parse(text).map_err(|error| wrong(error.to_string()))?;
    let folder = Path::new(file).parent().unwrap_or(Path::new("."));
    let read =
        |path: &Path| std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    let mut resources = manifest.resources();
    resources.extend(manifest.schema_resources(read).map_err(wrong)?);
    let value = |resource| serde_json::to_value(resource).map_err(|at| wrong(at.to_string()));
    resources.iter().map(value).collect()
}

fn json(resources: &[Value]) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(resources).map_err(|error| Error::Protocol {
        what: "the resources".to_owned(),
        reason: error.to_string(),
    })
}

/// What became of the resources.
#[derive(serde::Deserialize)]
struct Items {
    items: Vec<Value>,
}

pub(crate) fn print(session: &mut Session, item: &Value) -> Result<(), Error> {
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
