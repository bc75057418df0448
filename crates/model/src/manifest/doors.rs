//! Whether two functions of one manifest want the same requests. The server refuses that as well, but
//! only when the second one comes: by then the first one answers, whichever it was.

use super::Manifest;
use crate::document;
use crate::resource::{HttpRoute, WebhookTrigger};

/// A way on the ingress, as the manifest states it.
struct Door<'a> {
    /// The table that states it: `functions.hello`.
    owner: String,
    /// The key in it.
    key: &'static str,
    path: &'a str,
    /// The path without what makes no difference.
    pattern: String,
    host: Option<String>,
    /// In capitals; empty for all.
    methods: Vec<String>,
}

/// The first way that two of them state; a function that is stated twice itself is no clash.
///
/// Two paths that differ in names of segments only are one; `/hello` and `/hello/{$}` are not.
pub(super) fn clash(manifest: &Manifest, text: &str) -> Option<document::Error> {
    let mut seen: Vec<Door<'_>> = Vec::new();
    for door in doors(manifest) {
        if let Some(other) =
            seen.iter().find(|other| other.owner != door.owner && same(other, &door))
        {
            let key = format!("{}.{}", door.owner, door.key);
            return Some(document::Error {
                line: line_of(text, &door.owner, door.key),
                message: format!(
                    "{} is a path of {} already: give one of them another path or other methods",
                    door.path, other.owner
                ),
                key,
                suggestion: None,
            });
        }
        seen.push(door);
    }
    None
}

fn doors(manifest: &Manifest) -> Vec<Door<'_>> {
    let mut doors = Vec::new();
    for (name, function) in &manifest.functions {
        let owner = format!("functions.{name}");
        doors.extend(function.http.iter().map(|at| http(&owner, at)));
        doors.extend(function.webhook.iter().map(|at| webhook(&owner, at)));
    }
    for (name, trigger) in &manifest.triggers {
        let owner = format!("triggers.{name}");
        doors.extend(trigger.http.iter().map(|at| http(&owner, at)));
        doors.extend(trigger.webhook.iter().map(|at| webhook(&owner, at)));
    }
    doors
}

fn http<'a>(owner: &str, route: &'a HttpRoute) -> Door<'a> {
    Door {
        owner: owner.to_owned(),
        key: "http",
        path: &route.path,
        pattern: pattern(&route.path),
        host: route.host.as_ref().map(|host| host.to_ascii_lowercase()),
        methods: route.methods.iter().map(|method| method.to_ascii_uppercase()).collect(),
    }
}

fn webhook<'a>(owner: &str, hook: &'a WebhookTrigger) -> Door<'a> {
    let mut pattern = pattern(&hook.path);
    // A webhook is its path and nothing below.
    if !pattern.contains("/{") {
        pattern.push_str("/{$}");
    }
    Door {
        owner: owner.to_owned(),
        key: "webhook",
        path: &hook.path,
        pattern,
        host: hook.host.as_ref().map(|host| host.to_ascii_lowercase()),
        methods: vec!["POST".to_owned(), "OPTIONS".to_owned()],
    }
}

/// `/orders/{id}/` as `/orders/{}`.
fn pattern(path: &str) -> String {
    let mut pattern = String::new();
    for segment in path.trim_matches('/').split('/') {
        pattern.push('/');
        pattern.push_str(match segment {
            "{$}" => segment,
            _ if segment.starts_with("{*") => "{*}",
            _ if segment.starts_with('{') => "{}",
            text => text,
        });
    }
    pattern
}

fn same(one: &Door<'_>, other: &Door<'_>) -> bool {
    let methods = one.methods.is_empty()
        || other.methods.is_empty()
        || one.methods.iter().any(|method| other.methods.contains(method));
    one.pattern == other.pattern && one.host == other.host && methods
}

/// The line that begins with a key in a table, or with the header of its own table; 0 where it is
/// written in yet another way.
fn line_of(text: &str, table: &str, key: &str) -> usize {
    let own = format!("{table}.{key}");
    let mut current = "";
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.starts_with('[') {
            current = content.split(']').next().unwrap_or_default().trim_matches('[').trim();
            if current == own {
                return line;
            }
        } else if current == table
            && content.split('=').next().is_some_and(|left| left.trim() == key)
        {
            return line;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(functions: &str) -> String {
        let text = format!("project = \"shop\"\n{functions}");
        Manifest::parse(&text).map_or_else(|error| error.to_string(), |_| "fine".to_owned())
    }

    #[test]
    fn one_path_has_one_owner() {
        for (text, expected) in [
            (
                "[functions.a]\nhttp = \"/x\"\n[functions.b]\nsource = \".\"\nhttp = \"/x/\"",
                "line 6: functions.b.http: /x/ is a path of functions.a already: give one of them \
                 another path or other methods",
            ),
            (
                "[functions.a]\nhttp = \"/o/{id}\"\n[[functions.b.http]]\npath = \"/o/{name}\"",
                "line 4: functions.b.http: /o/{name} is a path of functions.a already",
            ),
            (
                "[functions.a]\nhttp = { path = \"/x\", methods = [\"get\", \"PUT\"] }\n\
                 [functions.b]\nhttp = [\"/y\", { path = \"/x\", methods = [\"GET\"] }]",
                "line 5: functions.b.http: /x is a path of functions.a already",
            ),
            (
                "[functions.a]\nhttp = { path = \"/x/{$}\" }\n[functions.b]\n\
                 webhook = { path = \"/x\", verify = \"none\" }",
                "line 5: functions.b.webhook: /x is a path of functions.a already",
            ),
            (
                "[functions.a]\nhttp = \"/x\"\n[triggers.t]\nfunction = \"a\"\n\
                 http = { path = \"/x\" }",
                "line 6: triggers.t.http: /x is a path of functions.a already",
            ),
        ] {
            let found = said(text);
            assert!(found.starts_with(expected), "{found}\nexpected: {expected}");
        }
    }

    #[test]
    fn what_differs_is_no_clash() {
        for text in [
            "[functions.a]\nhttp = [\"/x\", \"/x\"]",
            "[functions.a]\nhttp = \"/x\"\n[functions.b]\nhttp = \"/x/y\"",
            "[functions.a]\nhttp = \"/x\"\n[functions.b]\nhttp = \"/x/{$}\"",
            "[functions.a]\nhttp = \"/x/{id}\"\n[functions.b]\nhttp = \"/x/{*rest}\"",
            "[functions.a]\nhttp = { path = \"/x\", methods = [\"GET\"] }\n\
             [functions.b]\nhttp = { path = \"/x\", methods = [\"POST\"] }",
            "[functions.a]\nhttp = { path = \"/x\", host = \"a.example\" }\n\
             [functions.b]\nhttp = { path = \"/x\", host = \"b.example\" }",
        ] {
            assert_eq!(said(text), "fine", "{text}");
        }
    }
}
