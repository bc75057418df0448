//! A profile as the processed format of the Firefox profiler, version 49, which it upgrades by
//! itself: one thread for the guest's stacks, markers for outbound calls, a counter for memory.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Profiled;

#[derive(Default)]
struct Strings {
    table: Vec<String>,
    known: HashMap<String, usize>,
}

impl Strings {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        self.table.push(text.to_owned());
        self.known.insert(text.to_owned(), self.table.len() - 1);
        self.table.len() - 1
    }
}

pub(super) fn json(profiled: &Profiled) -> Value {
    let replays = f64::from(profiled.profile.replays.max(1));
    let each_ms = profiled.sample_ns() / replays / 1e6;
    json!({
        "meta": {
            "interval": each_ms.max(1e-6),
            "startTime": profiled.record.accepted_ns as f64 / 1e6,
            "processType": 0,
            "product": profiled.name(),
            "stackwalk": 1,
            "version": 27,
            "preprocessedProfileVersion": 49,
            "symbolicated": true,
            "doesNotUseFrameImplementation": true,
            "sourceCodeIsNotOnSearchfox": true,
            "categories": [
                { "name": "Other", "color": "grey", "subcategories": ["Other"] },
                { "name": "Guest", "color": "blue", "subcategories": ["Other"] },
                { "name": "Outside", "color": "orange", "subcategories": ["Other"] },
            ],
            "markerSchema": [{
                "name": "operation",
                "tooltipLabel": "{marker.data.what}",
                "tableLabel": "{marker.data.what}",
                "chartLabel": "{marker.data.what}",
                "display": ["marker-chart", "marker-table", "timeline-overview"],
                "data": [
                    { "key": "what", "label": "What", "format": "string", "searchable": true },
                    { "key": "result", "label": "Result", "format": "string" },
                ],
            }],
            "extra": [{
                "label": "Replay",
                "entries": [{
                    "label": "Replays",
                    "format": "integer",
                    "value": profiled.profile.replays,
                }],
            }],
        },
        "libs": [],
        "pages": [],
        "counters": counters(profiled),
        "threads": [thread(profiled, each_ms)],
    })
}

fn thread(profiled: &Profiled, each_ms: f64) -> Value {
    let mut strings = Strings::default();
    let profile = &profiled.profile;
    let functions: Vec<(usize, Option<usize>, Option<u32>)> = profile
        .frames
        .iter()
        .map(|frame| {
            let file = frame.file.as_deref().map(|file| strings.number(file));
            (strings.number(&frame.function), file, frame.line)
        })
        .collect();
    let mut stacks: HashMap<(Option<usize>, u32), usize> = HashMap::new();
    let (mut prefixes, mut frames) = (Vec::new(), Vec::new());
    let (mut leaves, mut weights, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut now = 0.0;
    for (stack, samples) in &profile.stacks {
        let mut prefix = None;
        for frame in stack {
            let next = *stacks.entry((prefix, *frame)).or_insert_with(|| {
                prefixes.push(prefix);
                frames.push(*frame);
                frames.len() - 1
            });
            prefix = Some(next);
        }
        leaves.push(prefix);
        weights.push(*samples as f64 * each_ms);
        times.push(now);
        now += *samples as f64 * each_ms;
    }
    let (frame_table, function_table) = tables(&functions);
    let deltas: Vec<f64> = weights.clone();
    json!({
        "name": profiled.record.function,
        "isMainThread": true,
        "processType": "default",
        "processName": "guest",
        "processStartupTime": 0,
        "processShutdownTime": null,
        "registerTime": 0,
        "unregisterTime": null,
        "pausedRanges": [],
        "pid": "1",
        "tid": 1,
        "showMarkersInTimeline": true,
        "frameTable": frame_table,
        "funcTable": function_table,
        "stackTable": {
            "length": frames.len(),
            "prefix": prefixes,
            "frame": frames,
            "category": vec![1; frames.len()],
            "subcategory": vec![0; frames.len()],
        },
        "samples": {
            "length": leaves.len(),
            "stack": leaves,
            "time": times,
            "weight": weights,
            "weightType": "tracing-ms",
            "threadCPUDelta": deltas.iter().map(|ms| ms * 1e3).collect::<Vec<_>>(),
        },
        "markers": markers(profiled, &mut strings),
        "nativeSymbols":
            { "length": 0, "address": [], "functionSize": [], "libIndex": [], "name": [] },
        "resourceTable": { "length": 0, "lib": [], "name": [], "host": [], "type": [] },
        "stringArray": strings.table,
    })
}

/// The tables of frames and functions; each frame has a function of its own.
fn tables(functions: &[(usize, Option<usize>, Option<u32>)]) -> (Value, Value) {
    let count = functions.len();
    let nulls = vec![Value::Null; count];
    let frames = json!({
        "length": count,
        "address": vec![-1; count],
        "inlineDepth": vec![0; count],
        "category": vec![1; count],
        "subcategory": vec![0; count],
        "func": (0..count).collect::<Vec<_>>(),
        "nativeSymbol": nulls,
        "innerWindowID": nulls,
        "implementation": nulls,
        "line": functions.iter().map(|(_, _, line)| line).collect::<Vec<_>>(),
        "column": nulls,
    });
    let functions = json!({
        "length": count,
        "name": functions.iter().map(|(name, ..)| name).collect::<Vec<_>>(),
        "isJS": vec![false; count],
        "relevantForJS": vec![false; count],
        "resource": vec![-1; count],
        "fileName": functions.iter().map(|(_, file, _)| file).collect::<Vec<_>>(),
        "lineNumber": nulls,
        "columnNumber": nulls,
    });
    (frames, functions)
}

fn markers(profiled: &Profiled, strings: &mut Strings) -> Value {
    let (mut names, mut starts, mut ends, mut data) = (vec![], vec![], vec![], vec![]);
    for (operation, entry) in profiled.calls() {
        names.push(strings.number(entry.function.name()));
        starts.push(entry.at_ns.saturating_sub(entry.duration_ns) as f64 / 1e6);
        ends.push(entry.at_ns as f64 / 1e6);
        let what = format!("operation {operation}: {}", entry.described());
        data.push(json!({
            "type": "operation",
            "what": what,
            "result": entry.outcome.summary(),
        }));
    }
    let length = names.len();
    json!({
        "length": length,
        "name": names,
        "startTime": starts,
        "endTime": ends,
        "phase": vec![1; length],
        "category": vec![2; length],
        "data": data,
    })
}

fn counters(profiled: &Profiled) -> Value {
    let mut before = 0_i64;
    let (mut times, mut counts) = (vec![], vec![]);
    for point in &profiled.profile.memory {
        times.push(point.at.as_nanos() as f64 / 1e6);
        counts.push(point.bytes as i64 - before);
        before = point.bytes as i64;
    }
    json!([{
        "name": "Memory",
        "category": "Memory",
        "description": "Linear memory of one replay",
        "pid": "1",
        "mainThreadIndex": 0,
        "samples": { "length": times.len(), "time": times, "count": counts },
    }])
}
