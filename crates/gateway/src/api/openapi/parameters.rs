//! What is known of a parameter by its name: the same name means the same everywhere.

use nexus_model::limits;
use serde_json::{Value, json};

/// The forms of ids and names in paths and queries.
const NAME: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
const EVENT: &str = "^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$";
const INVOCATION: &str = "^inv_[0-7][0-9a-hjkmnp-tv-z]{25}$";

/// Examples of ids, the same in every example.
pub(super) const EVENT_EXAMPLE: &str = "evt_01krs8xj0000000000000000a0";
pub(super) const INVOCATION_EXAMPLE: &str = "inv_01krs8xj0000000000000000a0";

/// A parameter of a path: description, schema, example.
pub(super) fn in_path(name: &str) -> Value {
    let (description, schema, example) = match name {
        "project" => (
            "The project; `-` stands for all of them where a history is asked for.",
            json!({ "type": "string", "pattern": "^(-|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$" }),
            "shop",
        ),
        "function" => ("The function.", text(NAME), "hello"),
        "trigger" => ("The trigger.", text(NAME), "nightly"),
        "schema" => ("The schema.", text(NAME), "order-created"),
        "secret" => ("The secret.", text(NAME), "mail-key"),
        "token" => ("The token's name, not its text.", text(NAME), "ci"),
        "name" => ("The resource's name.", text(NAME), "hello"),
        "kind" => (
            "The kind of resource, in the singular or plural.",
            json!({ "type": "string", "minLength": 1 }),
            "functions",
        ),
        "event" => ("The event.", text(EVENT), EVENT_EXAMPLE),
        "schedule" => ("The id of the event that was scheduled.", text(EVENT), EVENT_EXAMPLE),
        "invocation" => ("The invocation.", text(INVOCATION), INVOCATION_EXAMPLE),
        "signal" => (
            "The name that the function waits for.",
            json!({
                "type": "string", "minLength": 1, "maxLength": limits::SIGNAL_NAME_BYTES_MAX,
            }),
            "approved",
        ),
        "alias" => ("The name of the version.", text(NAME), "stable"),
        "from" | "to" => (
            "A version: its number, label, id or alias, `live` or `latest`.",
            json!({ "type": "string", "minLength": 1 }),
            "latest",
        ),
        "replay" => ("The batch of replays.", text(NAME), "nightly"),
        "suite" => ("The suite of recordings.", text(NAME), "orders"),
        "session" => ("The debug session.", json!({ "type": "string", "minLength": 1 }), "dbg_1"),
        _ => (
            "An event or invocation.",
            text("^(evt|inv)_[0-7][0-9a-hjkmnp-tv-z]{25}$"),
            INVOCATION_EXAMPLE,
        ),
    };
    json!({
        "name": name, "in": "path", "required": true,
        "description": description, "schema": schema, "example": example,
    })
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// Adds bounds and an example to a parameter of a query.
pub(super) fn in_query(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let bounds = match &*name {
        "limit" => json!({ "minimum": 1, "maximum": limits::PAGE_ITEMS_MAX }),
        "buckets" => json!({ "minimum": 1, "maximum": limits::STATS_BUCKETS_MAX }),
        "depth" => json!({ "minimum": 1, "maximum": limits::GRAPH_DEPTH_MAX }),
        "nodes" => json!({ "minimum": 1, "maximum": limits::GRAPH_NODES_MAX }),
        // Pages of log lines begin within an invocation: behind the dot is how far. Those of state
        // begin behind a name.
        "cursor" => json!({
            "pattern": r"^(c1-[0-9a-f]{1,4}-[0-9a-f]{1,16}(\.[0-9]{1,9})?|k1-[A-Za-z0-9_-]*)?$",
        }),
        "after" => json!({ "pattern": "^(c1-[0-9a-f]{1,4}-[0-9a-f]{1,16})?$" }),
        "trace" => json!({ "pattern": "^[0-9a-f]{32}$" }),
        "text" => json!({ "maxLength": limits::SEARCH_TEXT_BYTES_MAX }),
        "key" | "stream" => json!({ "minLength": 1, "maxLength": limits::STATE_KEY_BYTES_MAX }),
        _ => json!({}),
    };
    if let (Some(schema), Some(bounds)) = (parameter["schema"].as_object_mut(), bounds.as_object())
    {
        schema.extend(bounds.clone());
    }
    let example = match &*name {
        "function" => json!("hello"),
        "status" => json!("failed,trapped"),
        "trigger" => json!("http"),
        "min_duration" => json!("250ms"),
        "max_duration" => json!("1.5s"),
        "type" => json!("com.shop.order.*"),
        "where" => json!(".data.total > 100"),
        "text" => json!("ada"),
        "trace" => json!("4bf92f3577b34da6a3ce929d0e0e4736"),
        "cursor" | "after" => json!("c1-0-2a"),
        "shared" => json!("warehouse"),
        "key" => json!("stock/apple"),
        "stream" => json!("orders/42"),
        "limit" => json!(20),
        "buckets" => json!(60),
        "depth" => json!(10),
        "nodes" => json!(200),
        _ => return,
    };
    parameter["example"] = example;
}
