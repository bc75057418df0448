//! `nexus status`: the server and how it is doing.

use clap::Args;
use nexus_model::view::FunctionView;
use serde_json::{Value, json};

use crate::client::{Place, Send};
use crate::{Error, Paint, Session, Tone, exit, render};

/// Show the server and how it is doing
#[derive(Args, Debug)]
pub struct StatusArgs {}

pub(crate) fn run(session: &mut Session) -> Result<(), Error> {
    let ready = session.client.whole(Send {
        method: "GET",
        place: Place::root(["readyz"]),
        content_type: "",
        body: None,
    })?;
    let is_ready = ready.status == 200;
    let readiness = String::from_utf8_lossy(&ready.body).trim().to_owned();
    let version: Value = session.client.get(Place::api(["version"]))?;
    let log: Option<Value> = session.client.get(Place::api(["log", "stats"])).ok();
    let project = session.project().ok();
    let functions: Option<Vec<FunctionView>> = match &project {
        Some(_) => session.client.list(session.place(["functions"])?).ok(),
        None => None,
    };
    let file = session.found.file.clone();
    let terminal = &mut session.terminal;
    if terminal.json() {
        terminal.value(&json!({
            "api": session.client.address(),
            "ready": is_ready,
            "readiness": serde_json::from_str(&readiness).unwrap_or(Value::String(readiness)),
            "version": version,
            "server": file,
            "project": project,
            "functions": functions.map(|list| list.len()),
            "log": log,
        }))?;
    } else {
        let word = match is_ready {
            true => Paint(Tone::Good, "ready".to_owned()),
            false => Paint(Tone::Bad, format!("not ready: {}", reasons(&readiness))),
        };
        let mut facts =
            vec![("server", word.to_string()), ("api", session.client.address().to_owned())];
        if let Some(file) = &file {
            facts.push(("ingress", file.ingress.clone()));
            facts.push(("process", file.pid.to_string()));
            facts.push(("data", file.data.display().to_string()));
        }
        let number = version.get("version").and_then(Value::as_str).unwrap_or_default();
        facts.push(("version", number.to_owned()));
        if let (Some(project), Some(functions)) = (&project, &functions) {
            facts.push((
                "project",
                format!("{project}, {}", render::counted(functions.len(), "function")),
            ));
        }
        for (name, value) in facts {
            terminal.line(format_args!("{} {value}", Paint(Tone::Faint, format!("{name:<8}"))))?;
        }
        if let Some(log) = &log {
            render::block(terminal, "Log", "")?;
            render::log_report(terminal, log)?;
        }
    }
    if is_ready { Ok(()) } else { Err(Error::Told(exit::FAILED)) }
}

/// What a server that is not ready says about it; all that it says where it says it otherwise.
fn reasons(readiness: &str) -> String {
    let value: Value = serde_json::from_str(readiness).unwrap_or_default();
    let reasons = value.get("reasons").and_then(Value::as_array);
    let reasons: Vec<&str> = reasons.into_iter().flatten().filter_map(Value::as_str).collect();
    if reasons.is_empty() { readiness.to_owned() } else { reasons.join("; ") }
}
