//! A profile for people, and as collapsed stacks.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use nexus_exec::ProfileFrame;

use super::Profiled;

const FUNCTIONS_SHOWN: usize = 25;
const CALLS_SHOWN: usize = 40;
const BAR: usize = 40;

pub(super) fn folded(profiled: &Profiled) -> String {
    let mut lines = String::new();
    for (stack, count) in &profiled.profile.stacks {
        let name = |frame: &u32| {
            profiled.profile.frames[*frame as usize].function.replace([';', ' ', '\n'], "_")
        };
        let path: Vec<String> = stack.iter().map(name).collect();
        let _ = writeln!(lines, "{} {count}", path.join(";"));
    }
    lines
}

pub(super) fn text(profiled: &Profiled) -> String {
    let mut text = String::new();
    let profile = &profiled.profile;
    let samples = profiled.samples();
    let one_run = profile.busy / profile.replays.max(1);
    let _ = writeln!(
        text,
        "{}\n{samples} samples over {} replays; the guest computes {} in one run",
        profiled.name(),
        profile.replays,
        duration(one_run.as_nanos() as f64),
    );
    functions(&mut text, profiled, samples);
    memory(&mut text, profiled);
    waterfall(&mut text, profiled);
    text
}

fn place(frame: &ProfileFrame) -> String {
    let file = frame.file.as_deref().and_then(|file| file.rsplit('/').next());
    file.map(|file| format!("  ({file})")).unwrap_or_default()
}

fn functions(text: &mut String, profiled: &Profiled, samples: u64) {
    let frames = &profiled.profile.frames;
    let mut own: HashMap<&str, u64> = HashMap::new();
    let mut whole: HashMap<&str, u64> = HashMap::new();
    let mut places: HashMap<&str, String> = HashMap::new();
    for (stack, count) in &profiled.profile.stacks {
        let mut seen = HashSet::new();
        for frame in stack {
            let frame = &frames[*frame as usize];
            places.entry(&frame.function).or_insert_with(|| place(frame));
            if seen.insert(frame.function.as_str()) {
                *whole.entry(&frame.function).or_default() += count;
            }
        }
        if let Some(last) = stack.last() {
            *own.entry(&frames[*last as usize].function).or_default() += count;
        }
    }
    let mut ranked: Vec<(&str, u64)> = whole.into_iter().collect();
    let own_of = |name: &str| own.get(name).copied().unwrap_or(0);
    ranked.sort_by_key(|(name, whole)| (std::cmp::Reverse((own_of(name), *whole)), *name));
    let _ = writeln!(text, "\n  self   with callees  function");
    let percent = |count: u64| 100.0 * count as f64 / samples.max(1) as f64;
    for (name, whole) in ranked.iter().take(FUNCTIONS_SHOWN) {
        let (own, whole) = (percent(own_of(name)), percent(*whole));
        let _ = writeln!(text, "{own:5.1} %  {whole:10.1} %  {name}{}", places[name]);
    }
    if let Some(more) = ranked.len().checked_sub(FUNCTIONS_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(text, "  … and {more} more functions");
    }
}

fn memory(text: &mut String, profiled: &Profiled) {
    let points = &profiled.profile.memory;
    let Some(most) = points.iter().map(|point| point.bytes).max() else { return };
    let _ = writeln!(text, "\nlinear memory: {} at most", size(most));
    for point in points {
        let filled = (point.bytes as usize * BAR / most.max(1) as usize).max(1);
        let _ = writeln!(
            text,
            "{:>10}  after operation {:<5} {:<BAR$}  {}",
            duration(point.at.as_nanos() as f64),
            point.operation,
            "█".repeat(filled.min(BAR)),
            size(point.bytes),
        );
    }
}

fn waterfall(text: &mut String, profiled: &Profiled) {
    let calls: Vec<_> = profiled.calls().collect();
    if calls.is_empty() {
        return;
    }
    let total = calls.iter().map(|(_, entry)| entry.at_ns).max().unwrap_or(1).max(1);
    let _ = writeln!(text, "\nwaits in the recorded run ({} of them)", calls.len());
    for (operation, entry) in calls.iter().take(CALLS_SHOWN) {
        let began = entry.at_ns.saturating_sub(entry.duration_ns);
        let scale = |ns: u64| (u128::from(ns) * BAR as u128 / u128::from(total)) as usize;
        let (from, to) = (scale(began).min(BAR - 1), scale(entry.at_ns).min(BAR));
        let filled = to.saturating_sub(from).max(1);
        let bar = format!("{}{}", " ".repeat(from), "█".repeat(filled));
        let what = match entry.described() {
            what if what.is_empty() => entry.function.name().to_owned(),
            what => format!("{} {what}", entry.function.name()),
        };
        let took = duration(entry.duration_ns as f64);
        let _ = writeln!(text, "{operation:>5} {bar:<BAR$} {took:>9}  {what}");
    }
    if calls.len() > CALLS_SHOWN {
        let _ = writeln!(text, "  … and {} more", calls.len() - CALLS_SHOWN);
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes < 1 << 20 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        bytes => format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0)),
    }
}

pub(super) fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}
