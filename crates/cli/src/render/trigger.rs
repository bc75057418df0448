//! What calls functions.

use nexus_model::view::{FunctionView, TriggerView};

use crate::{Paint, Terminal, Tone};

/// A trigger's kind, and what it waits for.
pub(crate) fn describe(view: &TriggerView) -> (&'static str, String) {
    let spec = &view.spec;
    if let Some(event) = &spec.event {
        return ("event", event.to_string());
    }
    if let Some(cron) = &spec.cron {
        let zone = cron.zone.as_deref().unwrap_or("UTC");
        return ("cron", format!("{} {zone}", cron.schedule));
    }
    if let Some(hook) = &spec.webhook {
        let host = hook.host.as_deref().unwrap_or_default();
        return ("webhook", format!("POST {host}{}", hook.path));
    }
    if let Some(route) = &spec.http {
        let methods = match route.methods.is_empty() {
            true => String::new(),
            false => format!("{} ", route.methods.join(",")),
        };
        let host = route.host.as_deref().unwrap_or_default();
        return ("http", format!("{methods}{host}{}", route.path));
    }
    ("", String::new())
}

/// A line for each thing that calls a function: its addresses, events, times and webhooks.
pub fn calls(terminal: &Terminal, view: &FunctionView, triggers: &[TriggerView]) -> Vec<String> {
    let mut lines: Vec<String> =
        view.urls.iter().map(|url| Paint(Tone::Key, url).to_string()).collect();
    // A function's own routes are among its addresses, with the one that it has by default.
    let others = triggers.iter().filter(|at| at.name.is_some() || at.spec.http.is_none());
    lines.extend(others.map(|at| call(terminal, at)));
    lines
}

fn call(terminal: &Terminal, trigger: &TriggerView) -> String {
    let (kind, what) = describe(trigger);
    let url = trigger.url.as_deref().map(|url| Paint(Tone::Key, url));
    let mut line = match (kind, url) {
        ("http", Some(url)) => url.to_string(),
        (kind, Some(url)) => format!("{kind} {url}"),
        ("event", None) => format!("on {}", Paint(Tone::Key, what)),
        (kind, None) => format!("{kind} {}", Paint(Tone::Key, what)),
    };
    if let Some(next) = trigger.next {
        line.push_str(&format!(", next {}", terminal.time(next)));
    }
    if let Some(name) = &trigger.name {
        line.push_str(&format!("  (trigger {name})"));
    }
    if trigger.spec.paused {
        line.push_str(&format!("  {}", Paint(Tone::Warn, "paused")));
    }
    line
}
