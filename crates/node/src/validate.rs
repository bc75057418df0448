//! Rules of resources: each error names the field and says what to do.

mod delivery;
mod trigger;

use std::time::Duration;

use nexus_model::resource::{
    API_VERSION, EnvValue, FunctionSpec, HttpRoute, Kind, ProjectSpec, RecordPolicy, Resource,
    SchemaSpec, TokenSpec, TriggerSpec, VersionSpec,
};
use nexus_model::{Code, document, limits, units};
use serde::de::DeserializeOwned;

use crate::egress::Egress;
use crate::routes::Pattern;
use crate::secrets::OWN_PREFIX;
use crate::{Error, Mode};

/// Routes, event types or variables of one function.
const LIST_ITEMS_MAX: usize = 100;
/// A path or an event type, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Checks a resource as a user wrote it, whatever its kind. Returns it with its spec in normal form.
///
/// What Nexus writes is ignored, so that what was read can be changed and applied: the status here,
/// the rest of the metadata in the store. A revision is no such thing: it guards the change.
pub(crate) fn resource(mut resource: Resource, mode: Mode) -> Result<Resource, Error> {
    envelope(&resource)?;
    resource.status = serde_json::Value::Null;
    if resource.spec.is_null() {
        resource.spec = serde_json::json!({});
    }
    let kind = resource.kind;
    match kind {
        Kind::Project => {
            let spec: ProjectSpec = parse(&resource)?;
            resource.spec = to_value(&spec)?;
        }
        Kind::Function => {
            let spec: FunctionSpec = parse(&resource)?;
            function(&spec, mode)?;
            resource.spec = to_value(&spec)?;
        }
        Kind::Trigger => {
            let spec: TriggerSpec = parse(&resource)?;
            trigger::trigger(&spec, mode)?;
            resource.spec = to_value(&spec)?;
        }
        Kind::Schema => {
            let spec: SchemaSpec = parse(&resource)?;
            schema(&spec)?;
            resource.spec = to_value(&spec)?;
        }
        Kind::Token => {
            let spec: TokenSpec = parse(&resource)?;
            if spec.scopes.is_empty() {
                return Err(Error::bad_resource("spec.scopes", "a token needs at least one scope"));
            }
            if let Err(error) = nexus_policy::Entry::from_spec(&resource.metadata.name, &spec) {
                return Err(Error::bad_resource("spec.hash", error)
                    .with_hint("make tokens with nexus tokens create: it shows the token once"));
            }
            resource.spec = to_value(&spec)?;
        }
        Kind::Version => {
            let _: VersionSpec = parse(&resource)?;
            return Err(Error::bad_resource(
                "kind",
                "versions are made by deploys and never change",
            ));
        }
        Kind::Replay | Kind::Suite => {
            return Err(Error::bad_resource(
                "kind",
                "is made of recordings, which files do not hold",
            )
            .with_hint("nexus replay and nexus suites save make them"));
        }
        Kind::Secret => {
            let reserved = resource.metadata.name.as_str().starts_with(OWN_PREFIX);
            let rule = if reserved {
                "names that begin with nexus- are reserved"
            } else {
                "secrets are not applied"
            };
            return Err(Error::bad_resource("kind", rule)
                .with_hint("set a secret with nexus secrets set: values never stand in files"));
        }
    }
    Ok(resource)
}

/// Rules of what surrounds the spec.
fn envelope(resource: &Resource) -> Result<(), Error> {
    if resource.api_version != API_VERSION {
        return Err(Error::bad_resource(
            "apiVersion",
            format!("'{}' is not known; use '{API_VERSION}'", resource.api_version),
        ));
    }
    let kind = resource.kind;
    match (kind.in_project(), &resource.metadata.project) {
        (true, None) => {
            return Err(Error::bad_resource(
                "metadata.project",
                format!("a {} needs a project", kind.as_str()),
            ));
        }
        (false, Some(_)) => {
            return Err(Error::bad_resource(
                "metadata.project",
                format!("a {} belongs to no project: leave it out", kind.as_str()),
            ));
        }
        _ => {}
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(resource: &Resource) -> Result<T, Error> {
    serde_json::from_value(resource.spec.clone()).map_err(|error| {
        let text = error.to_string();
        let wrong = Error::bad_resource(format!("{}: spec", resource.key()), &text);
        match suggestion(&text) {
            Some(known) => wrong.with_hint(format!("did you mean '{known}'?")),
            None => wrong,
        }
    })
}

/// The known name that an unknown one in serde's message is nearest to.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.contains("unknown field") || message.contains("unknown variant");
    let found = quoted.next().filter(|_| unknown)?;
    let known: Vec<&str> = quoted.collect();
    document::nearest(found, &known).map(str::to_owned)
}

fn to_value<T: serde::Serialize>(spec: &T) -> Result<serde_json::Value, Error> {
    serde_json::to_value(spec).map_err(|error| Error::internal("write a resource", error))
}

/// What a durable function cannot have besides.
fn durable(spec: &FunctionSpec) -> Result<(), Error> {
    if !matches!(spec.config.record, RecordPolicy::Always | RecordPolicy::Durable) {
        return Err(Error::bad_resource(
            "spec.record",
            "a durable function is recorded always: it goes on from what is recorded",
        )
        .with_hint("leave record out; redact says what of it is nobody's business"));
    }
    if spec.cache.is_some() {
        return Err(Error::bad_resource(
            "spec.cache",
            "results of a durable function are not kept: each call is an invocation of its own",
        )
        .with_hint("put a function with a cache before it"));
    }
    Ok(())
}

/// Rules of a function.
pub(crate) fn function(spec: &FunctionSpec, mode: Mode) -> Result<(), Error> {
    if spec.config.durable {
        durable(spec)?;
    }
    let counts = [
        ("spec.on.http", spec.on.http.len()),
        ("spec.on.events", spec.on.events.len()),
        ("spec.on.cron", spec.on.cron.len()),
        ("spec.on.webhooks", spec.on.webhooks.len()),
        ("spec.env", spec.config.env.len()),
        ("spec.allow-hosts", spec.config.allow_hosts.len()),
        ("spec.redact.headers", spec.config.redact.headers.len()),
        ("spec.redact.fields", spec.config.redact.fields.len()),
    ];
    for (field, count) in counts {
        if count > LIST_ITEMS_MAX {
            return Err(Error::bad_resource(
                field,
                format!("{count} items, the limit is {LIST_ITEMS_MAX}"),
            ));
        }
    }
    for (index, at) in spec.on.http.iter().enumerate() {
        route(&format!("spec.on.http[{index}]"), at, mode)?;
    }
    for (index, at) in spec.on.events.iter().enumerate() {
        trigger::event(&format!("spec.on.events[{index}]"), at)?;
    }
    for (index, at) in spec.on.cron.iter().enumerate() {
        trigger::cron(&format!("spec.on.cron[{index}]"), at)?;
    }
    for (index, at) in spec.on.webhooks.iter().enumerate() {
        trigger::webhook(&format!("spec.on.webhooks[{index}]"), at)?;
    }
    delivery::delivery("spec.delivery", &spec.delivery)?;
    if let Some(cache) = &spec.cache {
        delivery::cache(cache)?;
    }
    numbers(spec)?;
    config(spec)
}

/// Rules of a schema.
fn schema(spec: &SchemaSpec) -> Result<(), Error> {
    if spec.ty.contains('*') {
        return Err(Error::bad_resource("spec.type", "one type, without *"));
    }
    event_type("spec.type", &spec.ty)?;
    if spec.versions.is_empty() {
        return Err(Error::bad_resource("spec.versions", "a schema has at least one version"));
    }
    if spec.versions.len() > LIST_ITEMS_MAX {
        return Err(Error::bad_resource(
            "spec.versions",
            format!("{} versions, the limit is {LIST_ITEMS_MAX}", spec.versions.len()),
        ));
    }
    if spec.versions.contains_key(&0) {
        return Err(Error::bad_resource("spec.versions", "versions are counted from 1"));
    }
    crate::schemas::check_spec(spec)
}

/// Rules of what a version freezes.
fn config(spec: &FunctionSpec) -> Result<(), Error> {
    for (name, value) in &spec.config.env {
        let wrong = |byte: u8| byte == b'=' || byte == 0;
        if name.is_empty() || name.len() > TEXT_BYTES_MAX || name.bytes().any(wrong) {
            return Err(Error::bad_resource(
                "spec.env",
                format!("'{name}' is not the name of a variable"),
            ));
        }
        if let EnvValue::Plain(value) = value
            && value.contains('\0')
        {
            return Err(Error::bad_resource(
                format!("spec.env.{name}"),
                "a value has no zero bytes",
            ));
        }
    }
    for (index, entry) in spec.config.allow_hosts.iter().enumerate() {
        if !Egress::is_entry(entry) {
            return Err(Error::bad_resource(
                format!("spec.allow-hosts[{index}]"),
                format!("'{entry}' is neither host, host:port, address nor network"),
            )
            .with_hint("write db.internal:5432, 10.1.2.3 or 10.1.0.0/16"));
        }
    }
    for (index, name) in spec.config.redact.headers.iter().enumerate() {
        if name.parse::<http::HeaderName>().is_err() {
            return Err(Error::bad_resource(
                format!("spec.redact.headers[{index}]"),
                format!("'{name}' is not the name of a header"),
            ));
        }
    }
    Ok(())
}

fn numbers(spec: &FunctionSpec) -> Result<(), Error> {
    type Shown = fn(u64) -> String;
    let timeout_max = u64::try_from(limits::TIMEOUT_MAX.as_millis()).unwrap_or(u64::MAX);
    let memory = limits::MEMORY_BYTES_MIN as u64..=limits::MEMORY_BYTES_MAX as u64;
    // Who wrote the resource wrote numbers; who wrote a manifest, `20m` and `2GiB`.
    let ms: Shown = |ms| format!("{ms} ({})", units::exact_duration(Duration::from_millis(ms)));
    let bytes: Shown = |bytes| format!("{bytes} ({})", units::exact_size(bytes));
    let count: Shown = |count| count.to_string();
    let config = &spec.config;
    let checks = [
        ("spec.timeout-ms", config.timeout_ms, 1..=timeout_max, ms),
        ("spec.memory-bytes", config.memory_bytes, memory, bytes),
        ("spec.concurrency", config.concurrency.map(u64::from), 1..=u64::from(u32::MAX), count),
        (
            "spec.attempts",
            config.attempts.map(u64::from),
            1..=u64::from(limits::ATTEMPTS_MAX),
            count,
        ),
    ];
    for (field, value, range, shown) in checks {
        if let Some(value) = value
            && !range.contains(&value)
        {
            let (low, high) = (shown(*range.start()), shown(*range.end()));
            return Err(Error::bad_resource(
                field,
                format!("{} is not between {low} and {high}", shown(value)),
            ));
        }
    }
    match spec.config.record {
        RecordPolicy::Sample(share) if !(0.0..=1.0).contains(&share) => Err(Error::bad_resource(
            "spec.record.sample",
            format!("{share} is not between 0 and 1"),
        )),
        _ => Ok(()),
    }
}

fn route(field: &str, route: &HttpRoute, mode: Mode) -> Result<(), Error> {
    path(&format!("{field}.path"), &route.path)?;
    host(&format!("{field}.host"), route.host.as_deref())?;
    for method in &route.methods {
        if !method.bytes().all(|byte| byte.is_ascii_alphabetic()) || method.is_empty() {
            return Err(Error::bad_resource(
                format!("{field}.methods"),
                format!("'{method}' is not a method"),
            ));
        }
    }
    if mode == Mode::Serve && route.auth.is_none() {
        return Err(Error::new(
            Code::BadResource,
            format!("{field}.auth: a route states here who may call it"),
        )
        .with_hint("write auth = \"none\" for everybody, or auth = \"token\" for tokens with the scope invoke"));
    }
    Ok(())
}

/// A path as routes write it: see [`crate::routes`].
fn path(field: &str, path: &str) -> Result<(), Error> {
    let wrong = |rule: &str| {
        Error::bad_resource(field, format!("'{path}' is not a path{rule}")).with_hint(
            "a path begins with / and matches itself and everything below: /hello; \
             /orders/{id} takes one segment, /files/{*rest} what is below, /hello/{$} nothing below",
        )
    };
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte));
    let star = path.contains('*') && !path.contains("{*");
    let clean = !path.contains("//") && !path.split('/').any(|part| part == "." || part == "..");
    if !path.starts_with('/') || path.len() > TEXT_BYTES_MAX || !plain || star || !clean {
        return Err(wrong(""));
    }
    Pattern::parse(path).map_err(|reason| wrong(&format!(": {reason}")))?;
    if path == "/.nexus" || path.starts_with("/.nexus/") {
        return Err(Error::bad_resource(field, "paths below /.nexus are Nexus' own"));
    }
    Ok(())
}

fn host(field: &str, host: Option<&str>) -> Result<(), Error> {
    match host {
        Some(host)
            if host.contains(':')
                || host.parse::<http::uri::Authority>().is_err()
                || host.len() > 253 =>
        {
            Err(Error::bad_resource(field, format!("'{host}' is not a host name without a port")))
        }
        _ => Ok(()),
    }
}

fn event_type(field: &str, ty: &str) -> Result<(), Error> {
    let start = ty.strip_suffix('*').unwrap_or(ty);
    if ty.is_empty()
        || ty.len() > TEXT_BYTES_MAX
        || start.contains('*')
        || start.contains(char::is_whitespace)
    {
        return Err(Error::bad_resource(field, format!("'{ty}' is not an event type"))
            .with_hint("write a type, or its beginning with a final *: com.shop.order.*"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nexus_model::Name;
    use nexus_model::resource::ResourceKey;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: serde_json::Value, mode: Mode, expected: &str) {
        let key = ResourceKey {
            kind: Kind::Function,
            project: Some(Name::new("shop").unwrap()),
            name: Name::new("f").unwrap(),
        };
        let result = match resource(Resource::new(&key, spec), mode) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(result.contains(expected), "{result}\nlacks: {expected}");
    }

    #[test]
    fn rules_of_functions_name_the_field() {
        let dev = |spec, expected| check(spec, Mode::Dev, expected);
        dev(json!({}), "ok");
        dev(json!({ "on": { "http": [{ "path": "/a", "methods": ["get"] }] } }), "ok");
        dev(json!({ "on": { "http": [{ "path": "a" }] } }), "spec.on.http[0].path");
        dev(json!({ "on": { "http": [{ "path": "/a/../b" }] } }), "spec.on.http[0].path");
        dev(json!({ "on": { "http": [{ "path": "/.nexus/x" }] } }), "Nexus' own");
        dev(
            json!({ "on": { "http": [{ "path": "/a", "host": "a:80" }] } }),
            "spec.on.http[0].host",
        );
        dev(json!({ "on": { "events": [{ "type": "com.*.x" }] } }), "spec.on.events[0].type");
        dev(
            json!({ "timeout-ms": 1_200_000 }),
            "spec.timeout-ms: 1200000 (20m) is not between 1 (1ms) and 900000 (15m)",
        );
        dev(
            json!({ "memory-bytes": 2u64 << 30 }),
            "spec.memory-bytes: 2147483648 (2GiB) is not between 65536 (64KiB) and 1073741824 (1GiB)",
        );
        dev(json!({ "attempts": 0 }), "spec.attempts: 0 is not between 1 and");
        dev(json!({ "record": { "sample": 2.0 } }), "spec.record.sample");
        dev(json!({ "allow-hosts": ["http://x"] }), "spec.allow-hosts[0]");
        dev(json!({ "env": { "A=B": "x" } }), "spec.env");
        dev(json!({ "redact": { "headers": ["a b"] } }), "spec.redact.headers[0]");
    }

    #[test]
    fn what_was_read_can_be_applied() {
        let key = ResourceKey {
            kind: Kind::Function,
            project: Some(Name::new("shop").unwrap()),
            name: Name::new("f").unwrap(),
        };
        let mut read = Resource::new(&key, json!({}));
        read.metadata.revision = Some(7);
        read.metadata.generation = Some(2);
        read.status = json!({ "version": 3 });
        let applied = resource(read, Mode::Dev).unwrap();
        assert!(applied.status.is_null());
        assert_eq!(applied.metadata.revision, Some(7), "it guards the change");
    }

    #[test]
    fn serve_wants_to_know_who_may_call() {
        let spec = json!({ "on": { "http": [{ "path": "/a" }] } });
        check(spec.clone(), Mode::Dev, "ok");
        check(spec, Mode::Serve, "spec.on.http[0].auth");
        check(json!({ "on": { "http": [{ "path": "/a", "auth": "none" }] } }), Mode::Serve, "ok");
    }
}
