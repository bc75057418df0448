//! Everything that is counted, under its name.

use crate::functions::{Calls, Name};
use crate::http::{AuthFailure, HttpMetrics, Listener};
use crate::metrics::Inner;
use crate::sharded::Counter;
use crate::text::{Family, Format, Kind, Text};

/// The classes of statuses, by their first digit.
const CLASSES: [&str; 6] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"];

pub(crate) fn encode(inner: &Inner, format: Format) -> String {
    let mut text = Text::new(format);
    text.family("nexus_build", "The version of the server", Kind::Info)
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    functions(inner, &mut text);
    requests(inner, &mut text);
    connections(inner, &mut text);
    const APPENDS: &str = "One durable append to the log, with waiting and syncing";
    text.family("nexus_log_append_duration_seconds", APPENDS, Kind::Histogram)
        .histogram(&[], &inner.log_append_duration.snapshot());
    let counters = [
        ("nexus_events_accepted", "Events made durable", &inner.events_accepted),
        ("nexus_events_duplicate", "Events known already", &inner.events_duplicate),
        (
            "nexus_schemas_violated",
            "Events that break the schema of their type",
            &inner.schemas_violated,
        ),
        (
            "nexus_chains_stopped",
            "What functions sent, refused because their chain is too long",
            &inner.chains_stopped,
        ),
    ];
    for (name, help, counter) in counters {
        text.family(name, help, Kind::Counter).sample(&[], counter.get());
    }
    for reader in inner.readers().iter() {
        if let Some(value) = (reader.read)() {
            text.family(reader.name, reader.help, reader.kind).sample(&[], value);
        }
    }
    crate::process::encode(&mut text);
    text.end()
}

fn functions(inner: &Inner, text: &mut Text) {
    let functions = inner.functions.all();
    let help = "Invocations that ended, by how they ended";
    let family = text.family("faas_invocations", help, Kind::Counter);
    each(family, &functions, |family, [project, function], calls| {
        for (status, count) in calls.by_status() {
            family.sample(&[project, function, ("status", status.word())], count);
        }
    });
    let help = "Invocations whose code had to be loaded first";
    let family = text.family("faas_coldstarts", help, Kind::Counter);
    each(family, &functions, |family, labels, calls| {
        family.sample(&labels, calls.cold());
    });
    let help = "From the acceptance to the end of an invocation";
    let family = text.family("faas_invoke_duration_seconds", help, Kind::Histogram);
    each(family, &functions, |family, labels, calls| {
        family.histogram(&labels, &calls.durations());
    });
}

/// Writes the samples of every function of which an invocation has ended.
fn each(
    mut family: Family<'_>,
    functions: &[(Name, std::sync::Arc<Calls>)],
    samples: impl Fn(&mut Family<'_>, [(&str, &str); 2], &Calls),
) {
    for ((project, function), calls) in functions {
        // Nothing shares a series, as a rule.
        if calls.by_status().next().is_some() {
            samples(&mut family, [("project", project), ("function", function)], calls);
        }
    }
}

fn requests(inner: &Inner, text: &mut Text) {
    let help = "From the head of a request to the head of its answer";
    let mut family = text.family("http_server_request_duration_seconds", help, Kind::Histogram);
    for listener in Listener::ALL {
        for (class, histogram) in CLASSES.iter().zip(&inner.http(listener).by_class) {
            let snapshot = histogram.snapshot();
            if snapshot.count > 0 {
                family.histogram(&[("listener", listener.word()), ("status", class)], &snapshot);
            }
        }
    }
}

fn connections(inner: &Inner, text: &mut Text) {
    type Read = fn(&HttpMetrics) -> &Counter;
    let families: [(&str, &str, Read); 3] = [
        ("http_server_connections", "Connections accepted", |http| &http.connections),
        ("http_server_connections_refused", "Connections above the limit", |http| {
            &http.connections_refused
        }),
        ("http_server_connections_timed_out", "Connections closed for slowness", |http| {
            &http.connections_timed_out
        }),
    ];
    for (name, help, read) in families {
        let mut family = text.family(name, help, Kind::Counter);
        for listener in Listener::ALL {
            family.sample(&[("listener", listener.word())], read(inner.http(listener)).get());
        }
    }
    let help = "Requests refused because nobody knows who asks, by what was wrong";
    let mut family = text.family("nexus_auth_failures", help, Kind::Counter);
    for listener in Listener::ALL {
        for reason in AuthFailure::ALL {
            let labels = [("listener", listener.word()), ("reason", reason.word())];
            family.sample(&labels, inner.http(listener).denied[reason as usize].get());
        }
    }
}
