//! `nexus deploy --component`, and the upload that deploying a project uses as well.

use nexus_model::resource::{EventTrigger, FunctionSpec, HttpRoute, Resource, Triggers};
use nexus_model::view::Deployed;
use nexus_model::{Digest, Name, Sources, limits};
use serde_json::Value;

use crate::args::DeployArgs;
use crate::client::{Place, Send};
use crate::commands::input;
use crate::units::show_size;
use crate::{Error, Paint, Session, Tone, render};

/// Functions of a project on their way to a server, which takes all of them or none.
#[derive(Debug)]
pub struct Deployment {
    /// The project.
    pub project: Name,
    /// The functions.
    pub functions: Vec<Upload>,
    /// All that the project's manifest declares beside them. What an earlier one declared and this
    /// one does not is deleted. `None` leaves everything as it is.
    pub declared: Option<Vec<Resource>>,
    /// Only make the versions; calls go on running those that are live.
    pub candidate: bool,
}

/// A function on its way to a server.
#[derive(Debug)]
pub struct Upload {
    /// Its name.
    pub name: Name,
    /// The component, or a core module.
    pub component: Vec<u8>,
    /// Triggers, limits, environment; `None` keeps what the function has.
    pub spec: Option<FunctionSpec>,
    /// What it was written in, or empty.
    pub language: String,
    /// Read-only files as a tar archive.
    pub bundle: Option<Vec<u8>>,
    /// The text of its code, for debuggers and crash dumps.
    pub sources: Option<Sources>,
    /// What the version is called, or empty.
    pub label: String,
}

pub(crate) fn run(session: &mut Session, args: &DeployArgs) -> Result<(), Error> {
    let (Some(path), Some(name)) = (&args.component, &args.name) else {
        return Err(Error::usage("--component and --name are needed"));
    };
    let component = input::file(&path.display().to_string())?;
    if let Some(found) = not_wasm(&component) {
        return Err(Error::Usage {
            message: format!("{} is not a WebAssembly component or module", path.display()),
            hint: Some(format!("it seems to be {found}")),
        });
    }
    let triggers = Triggers {
        http: args.path.iter().map(|path| route(path)).collect(),
        events: args.on.iter().map(|ty| EventTrigger::of_type(ty)).collect(),
        ..Triggers::default()
    };
    let stated = !triggers.http.is_empty() || !triggers.events.is_empty();
    let spec = stated.then(|| FunctionSpec { on: triggers, ..FunctionSpec::default() });
    let function = Upload {
        name: name.clone(),
        component,
        spec,
        language: args.language.clone().unwrap_or_default(),
        bundle: None,
        sources: None,
        label: args.label.clone().unwrap_or_default(),
    };
    let (project, candidate) = (session.project()?, args.candidate);
    deploy(session, Deployment { project, functions: vec![function], declared: None, candidate })
}

/// What bytes seem to be that do not begin as WebAssembly does.
fn not_wasm(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 6] = [
        (b"(component", "a component as text: `wasm-tools parse` makes a binary of it"),
        (b"(module", "a module as text: `wasm-tools parse` makes a binary of it"),
        (b"\x7fELF", "a program of this machine: build it for wasm32-wasip2"),
        (b"\x1f\x8b", "compressed by gzip"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"version https://git-lfs", "a pointer of Git LFS: `git lfs pull` brings the file"),
    ];
    if bytes.starts_with(b"\0asm") {
        return None;
    }
    let begin = bytes.trim_ascii_start();
    let known = KNOWN.iter().find(|(magic, _)| begin.starts_with(magic));
    Some(match (known, std::str::from_utf8(bytes)) {
        (Some((_, what)), _) => what,
        (None, Ok("")) => "empty",
        (None, Ok(_)) => "a text: `nexus deploy FOLDER` builds a project from its sources",
        (None, Err(_)) => "something else",
    })
}

fn route(path: &str) -> HttpRoute {
    HttpRoute { path: path.to_owned(), methods: Vec::new(), host: None, auth: None }
}

/// Uploads a deployment and says what became of it.
///
/// # Errors
/// A component is above its limit, or the server refuses something: then nothing has changed.
pub fn deploy(session: &mut Session, deployment: Deployment) -> Result<(), Error> {
    for function in &deployment.functions {
        let (name, size) = (&function.name, function.component.len());
        if size > limits::COMPONENT_BYTES_MAX {
            return Err(Error::usage(format!(
                "the component of {name} has {} and may have {}",
                show_size(size as u64),
                show_size(limits::COMPONENT_BYTES_MAX as u64)
            )));
        }
    }
    let several = deployment.functions.len() > 1;
    let place = Place::api(["projects", deployment.project.as_str(), "deploy"])
        .maybe("candidate", deployment.candidate.then_some("true"));
    let (content_type, body) = multipart(deployment)?;
    let send = Send { method: "POST", place, content_type: &content_type, body: Some(body) };
    let answer: Answer = session.client.json(send).map_err(|error| nothing(error, several))?;
    answer.functions.iter().try_for_each(|deployed| print(session, deployed))?;
    answer.resources.iter().try_for_each(|applied| super::apply::print(session, applied))
}

/// What became of a deployment.
#[derive(serde::Deserialize)]
struct Answer {
    functions: Vec<Deployed>,
    resources: Vec<Value>,
}

/// Says of a refusal that it is about all of them.
fn nothing(error: Error, several: bool) -> Error {
    match error {
        Error::Problem(mut problem) if several => {
            problem.detail.push_str("; nothing was deployed: every function is as it was");
            Error::Problem(problem)
        }
        error => error,
    }
}

fn print(session: &mut Session, deployed: &Deployed) -> Result<(), Error> {
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(deployed);
    }
    let function = &deployed.function;
    let number = match deployed.version.label.as_str() {
        "" => deployed.version.number.to_string(),
        label => format!("{} ({label})", deployed.version.number),
    };
    let what = match (deployed.unchanged, deployed.compile_ms) {
        (true, _) => format!("unchanged: version {number}"),
        (false, 0) => format!("version {number}"),
        (false, took) => format!("version {number}, compiled in {took} ms"),
    };
    terminal.line(format_args!(
        "{}  {what}",
        Paint(Tone::Strong, format_args!("{}/{}", function.project, function.name))
    ))?;
    if !deployed.version.live {
        let (name, number) = (&function.name, deployed.version.number);
        terminal.say(format_args!("a candidate; let it run: nexus rollback {name} --to {number}"));
    }
    for line in render::calls(terminal, function, &deployed.triggers) {
        terminal.line(format_args!("  {line}"))?;
    }
    for note in &deployed.notes {
        terminal.say(format_args!("{} {note}", Paint(Tone::Warn, "note:")));
    }
    Ok(())
}

/// The parts of each function and of what is declared, as `multipart/form-data` (RFC 7578).
fn multipart(deployment: Deployment) -> Result<(String, Vec<u8>), Error> {
    // A digest of the content cannot occur inside the content by accident.
    let each = deployment.functions.iter().map(|at| Digest::of(&at.component).to_string());
    let boundary = format!("nexus-{}", Digest::of(each.collect::<String>().as_bytes()).short());
    let mut body = Vec::new();
    let mut part = |name: &str, media_type: &str, bytes: &[u8]| {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; \
             filename=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    };
    for function in deployment.functions {
        let about = serde_json::json!({
            "name": function.name, "language": function.language, "label": function.label,
        });
        part("function", "application/json", &json("the function's name", &about)?);
        if let Some(spec) = &function.spec {
            part("spec", "application/json", &json("the function's spec", spec)?);
        }
        part("component", "application/wasm", &function.component);
        if let Some(bundle) = &function.bundle {
            part("bundle", "application/x-tar", bundle);
        }
        if let Some(sources) = &function.sources {
            part("sources", "application/json", &json("the source files", sources)?);
        }
    }
    if let Some(declared) = &deployment.declared {
        part("resources", "application/json", &json("the resources", declared)?);
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={boundary}"), body))
}

fn json<T: serde::Serialize>(what: &str, value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value)
        .map_err(|error| Error::Protocol { what: what.to_owned(), reason: error.to_string() })
}
