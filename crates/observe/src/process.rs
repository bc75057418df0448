//! What the system says of this process, under the names that Prometheus' client libraries use. What
//! it does not say is left out: without `/proc` nearly everything.

use std::fs;
use std::sync::OnceLock;

use rustix::process::{Resource, getrlimit};

use crate::text::{Kind, Text};

/// Adds the numbers of the process.
pub(crate) fn encode(text: &mut Text) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ticks = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Ticks::read(&stat));
    let second = rustix::param::clock_ticks_per_second() as f64;
    if let Some(ticks) = ticks {
        text.family("process_cpu_seconds", "Processor time used by the server", Kind::Counter)
            .sample(&[], ticks.cpu as f64 / second);
    }
    static BOOTED: OnceLock<Option<u64>> = OnceLock::new();
    let booted = BOOTED.get_or_init(|| boot_time(&fs::read_to_string("/proc/stat").ok()?));
    if let (Some(ticks), Some(booted)) = (ticks, *booted) {
        let help = "When the server started, in seconds since 1970";
        text.family("process_start_time_seconds", help, Kind::Gauge)
            .sample(&[], booted as f64 + ticks.started as f64 / second);
    }
    let gauges = [
        ("process_open_fds", "Files that the server has open, with connections", open_files()),
        ("process_max_fds", "Files that it may have open", getrlimit(Resource::Nofile).current),
        (
            "process_resident_memory_bytes",
            "Resident memory of the server",
            kernel_bytes(&status, "VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            "Address space of the server; most of it is kept free for functions",
            kernel_bytes(&status, "VmSize:"),
        ),
        ("process_threads", "Threads of the server", kernel_number(&status, "Threads:")),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            text.family(name, help, Kind::Gauge).sample(&[], value);
        }
    }
}

/// Memory that this process has, in bytes, where the system tells it.
pub fn resident_bytes() -> Option<u64> {
    kernel_bytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Memory of the machine, in bytes, where the system tells it.
pub fn memory_total_bytes() -> Option<u64> {
    kernel_bytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// A line of a file of the kernel that gives a size in kB.
fn kernel_bytes(text: &str, name: &str) -> Option<u64> {
    let kib: u64 = value(text, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// A line of a file of the kernel that gives a number.
fn kernel_number(text: &str, name: &str) -> Option<u64> {
    value(text, name)?.parse().ok()
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Times of a process, in ticks of the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ticks {
    /// The processor's, in the program and in the system.
    cpu: u64,
    /// From the start of the machine to that of the process.
    started: u64,
}

impl Ticks {
    /// From `/proc/PID/stat`.
    fn read(stat: &str) -> Option<Self> {
        // The second field is the name in parentheses, and may have both spaces and parentheses.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // By the numbers of the manual, of which `rest` has those from 3 on.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Ticks { cpu: field(14)?.checked_add(field(15)?)?, started: field(22)? })
    }
}

/// When the machine started, by `/proc/stat`, in seconds since 1970.
fn boot_time(stat: &str) -> Option<u64> {
    kernel_number(stat, "btime ").filter(|seconds| *seconds > 0)
}

/// How many files this process has open.
fn open_files() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    // From Linux 6.2 on the folder's size is their number; before, it is 0.
    let size = fs::metadata(FOLDER).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    // The folder itself is one of those that are listed.
    Some((fs::read_dir(FOLDER).ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let rest = "S 1 7 7 0 -1 4194560 100 0 3 0 250 31 0 0 20 0 9 0 4711 1000000 250 18446744";
        for name in ["nexus", "a) (b", "x ) S 1 2"] {
            let ticks = Ticks::read(&format!("7 ({name}) {rest}\n"));
            assert_eq!(ticks, Some(Ticks { cpu: 281, started: 4711 }), "{name}");
        }
        for broken in ["", "7 (nexus", "7 (nexus) S 1 2 3", "7 (nexus) S a b c d e f g h i j k l m"]
        {
            assert_eq!(Ticks::read(broken), None, "{broken}");
        }
    }

    #[test]
    fn lines_of_the_kernel() {
        let status = "Name:\tnexus\nVmSize:\t  2048 kB\nVmRSS:\t   10 kB\nThreads:\t4\n";
        assert_eq!(kernel_bytes(status, "VmSize:"), Some(2 << 20));
        assert_eq!(kernel_bytes(status, "VmSwap:"), None);
        assert_eq!(kernel_bytes(status, "Threads:"), None, "not a size");
        assert_eq!(kernel_number(status, "Threads:"), Some(4));
        assert_eq!(kernel_number(status, "Name:"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000));
        assert_eq!(boot_time("btime 0\n"), None);
    }

    #[test]
    fn open_files_are_counted() {
        let Some(before) = open_files() else { return };
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests open and close some at the same time.
        assert!(open_files().unwrap() >= before + 20);
        drop(files);
    }
}
