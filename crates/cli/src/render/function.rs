//! Functions and versions.

use nexus_model::resource::{HttpRoute, RouteAuth, Triggers, World};
use nexus_model::view::{FunctionView, VersionView};

use super::{Cell, Column, Table, block};
use crate::units::{exact_size, show_ago, show_duration, show_size};
use crate::{Error, Paint, Terminal, Tone};

pub(crate) fn world(world: World) -> &'static str {
    match world {
        World::Http => "http",
        World::Event => "event",
        World::Command => "command",
    }
}

pub(crate) fn function_table(terminal: &Terminal, functions: &[FunctionView]) -> Table {
    let mut table = Table::new([
        Column::left("NAME"),
        Column::left("KIND"),
        Column::left("CALLED BY"),
        Column::right("VERSION"),
        Column::left("LANGUAGE").optional(),
        Column::right("SIZE").optional(),
        Column::left("UPDATED").optional(),
    ]);
    for function in functions {
        let version = function.version.as_ref();
        table.row([
            Cell::toned(Tone::Strong, function.name.as_str()),
            match version {
                Some(version) => Cell::new(world(version.world)),
                None => Cell::toned(Tone::Warn, "not deployed"),
            },
            Cell::new(called_by(function)),
            Cell::new(version.map(|version| version.number.to_string()).unwrap_or_default()),
            Cell::new(version.map(|version| version.language.clone()).unwrap_or_default()),
            Cell::new(
                version.map(|version| show_size(version.component_bytes)).unwrap_or_default(),
            ),
            Cell::toned(Tone::Faint, show_ago(function.updated, terminal.now)),
        ]);
    }
    table
}

fn called_by(function: &FunctionView) -> String {
    let events = function.on.events.iter().map(ToString::to_string);
    let all: Vec<String> = function.urls.iter().cloned().chain(events).collect();
    if all.is_empty() { "invoke only".to_owned() } else { all.join(", ") }
}

/// One function, whole.
pub(crate) fn show_function(terminal: &mut Terminal, view: &FunctionView) -> Result<(), Error> {
    terminal.line(Paint(Tone::Strong, format_args!("{}/{}", view.project, view.name)))?;
    if !view.description.is_empty() {
        terminal.line(format_args!("  {}", view.description))?;
    }
    terminal.line("")?;
    let mut facts: Vec<(&str, String)> = Vec::new();
    facts.extend(view.urls.iter().map(|url| ("url", Paint(Tone::Key, url).to_string())));
    facts.extend(triggers(&view.on));
    let config = &view.config;
    let ms = |ms: u64| show_duration(ms.saturating_mul(1_000_000));
    let optional = [
        ("timeout", config.timeout_ms.map(ms)),
        ("memory", config.memory_bytes.map(exact_size)),
        ("concurrency", config.concurrency.map(|count| count.to_string())),
        ("attempts", config.attempts.map(|count| count.to_string())),
    ];
    facts.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    facts.push(("record", record(&config.record)));
    for (name, value) in &config.env {
        let value = match value {
            nexus_model::resource::EnvValue::Plain(text) => text.clone(),
            nexus_model::resource::EnvValue::Secret { secret } => format!("secret {secret}"),
        };
        facts.push(("env", format!("{name}={value}")));
    }
    facts.extend(config.allow_hosts.iter().map(|host| ("may reach", host.clone())));
    let updated = terminal.time(view.updated);
    facts.push(("updated", format!("{updated} ({})", show_ago(view.updated, terminal.now))));
    facts.push(("revision", view.revision.to_string()));
    for (name, value) in facts {
        terminal.line(format_args!("  {} {value}", Paint(Tone::Faint, format!("{name:<11}"))))?;
    }
    match &view.version {
        Some(version) => show_version(terminal, version),
        None => {
            terminal.say(format_args!(
                "{} not deployed yet: `nexus deploy`",
                Paint(Tone::Good, "hint:")
            ));
            Ok(())
        }
    }
}

fn record(policy: &nexus_model::resource::RecordPolicy) -> String {
    match serde_json::to_value(policy) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(fields)) => {
            fields.iter().map(|(name, value)| format!("{name} {value}")).collect()
        }
        _ => String::new(),
    }
}

/// Who may call a route.
pub(crate) fn auth(route: &HttpRoute) -> &'static str {
    match route.auth {
        Some(RouteAuth::None) => "none",
        Some(RouteAuth::Token) => "token",
        // `nexus dev` takes none, `nexus serve` a token.
        None => "not stated",
    }
}

fn triggers(on: &Triggers) -> Vec<(&'static str, String)> {
    let routes = on.http.iter().map(|route| {
        let methods = match route.methods.is_empty() {
            true => String::new(),
            false => format!("{} ", route.methods.join(", ")),
        };
        let host = route.host.as_deref().unwrap_or("");
        ("route", format!("{methods}{host}{}, auth {}", route.path, auth(route)))
    });
    let events = on.events.iter().map(|event| ("on event", event.to_string()));
    routes.chain(events).collect()
}

fn show_version(terminal: &mut Terminal, version: &VersionView) -> Result<(), Error> {
    block(terminal, "Version", &format!("{}  {}", version.number, version.id))?;
    let created = terminal.time(version.created);
    let mut facts = vec![
        ("kind", world(version.world).to_owned()),
        ("component", format!("{} ({})", version.component, show_size(version.component_bytes))),
        ("deployed", format!("{created} ({})", show_ago(version.created, terminal.now))),
    ];
    if !version.language.is_empty() {
        facts.insert(1, ("language", version.language.clone()));
    }
    facts.extend(version.imports.iter().map(|import| ("imports", import.clone())));
    for (name, value) in facts {
        terminal.line(format_args!("  {} {value}", Paint(Tone::Faint, format!("{name:<11}"))))?;
    }
    Ok(())
}

pub(crate) fn version_table(terminal: &Terminal, versions: &[VersionView]) -> Table {
    let mut table = Table::new([
        Column::right("VERSION"),
        Column::left("LABEL").optional(),
        Column::left("IS").optional(),
        Column::left("ID"),
        Column::left("KIND"),
        Column::left("LANGUAGE").optional(),
        Column::left("COMPONENT"),
        Column::right("SIZE"),
        Column::left("DEPLOYED"),
    ]);
    for version in versions {
        table.row([
            Cell::toned(Tone::Strong, version.number.to_string()),
            Cell::new(version.label.as_str()),
            Cell::toned(Tone::Good, names_of(version)),
            Cell::toned(Tone::Key, version.id.to_string()),
            Cell::new(world(version.world)),
            Cell::new(version.language.as_str()),
            Cell::new(version.component.short()),
            Cell::new(show_size(version.component_bytes)),
            Cell::toned(Tone::Faint, terminal.time(version.created)),
        ]);
    }
    table
}

/// `live`, and its own names.
fn names_of(version: &VersionView) -> String {
    let live = version.live.then_some("live");
    let own = version.aliases.iter().map(|alias| alias.as_str());
    live.into_iter().chain(own).collect::<Vec<_>>().join(", ")
}
