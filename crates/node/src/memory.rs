//! How much memory the process holds, and what follows from that: near its bound no further call
//! begins, and close to the end of what the system gives, functions that ask for more are stopped.
//! Otherwise the system would end the process, and with it every call that runs.
//!
//! Memory is measured, not counted: what a function declares it need not touch, and the pages of
//! code and of initial memories belong to files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nexus_exec::Runtime;
use nexus_model::Code;

use crate::Error;

/// What guests on all processors may take together in a second, in bytes: how often it is looked
/// depends on it.
const FILL_RATE: u64 = 4 << 30;
/// How long it is until the next look, at least and at most.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(250);
/// Where the system says what a process holds.
const STATUS: &str = "/proc/self/status";

/// The memory of this process.
#[derive(Debug)]
pub(crate) struct Memory {
    /// No call begins above it, in bytes.
    max: u64,
    /// Functions that ask for more are stopped above it, in bytes.
    end: u64,
    used: AtomicU64,
    tight: AtomicBool,
}

impl Memory {
    /// With the bound of the configuration, else three quarters of what the system gives.
    pub(crate) fn new(max: Option<u64>) -> Self {
        Self::within(max, available(Path::new("/")))
    }

    fn within(max: Option<u64>, available: Option<u64>) -> Self {
        let max = max.or_else(|| available.map(|all| all / 4 * 3)).unwrap_or(u64::MAX);
        let all = available.unwrap_or(u64::MAX).max(max);
        let end = max + (all - max) / 2;
        Memory { max, end, used: AtomicU64::new(0), tight: AtomicBool::new(false) }
    }

    /// Looks from now on, until the runtime is gone. Where the system does not tell, nothing is
    /// bounded.
    pub(crate) fn watch(self: &Arc<Self>, runtime: &Arc<dyn Runtime>) {
        let (memory, runtime) = (Arc::downgrade(self), Arc::downgrade(runtime));
        let watch = move || {
            while let (Some(memory), Some(runtime)) = (memory.upgrade(), runtime.upgrade()) {
                let Some(used) = fs::read_to_string(STATUS).ok().and_then(|it| anonymous(&it))
                else {
                    return;
                };
                runtime.stop_growth(memory.note(used));
                let next = memory.next_look(used);
                drop((memory, runtime));
                std::thread::sleep(next);
            }
        };
        let thread = std::thread::Builder::new().name("nexus-memory".into());
        if let Err(error) = thread.spawn(watch) {
            tracing::warn!(%error, "the memory of functions is not bounded together");
        }
    }

    /// Takes down what is held now; whether no function may have more.
    fn note(&self, used: u64) -> bool {
        self.used.store(used, Ordering::Relaxed);
        let tight = used > self.max;
        if tight != self.tight.swap(tight, Ordering::Relaxed) {
            match tight {
                true => tracing::warn!(used, max = self.max, "no call begins: memory is short"),
                false => tracing::info!(used, max = self.max, "calls begin again"),
            }
        }
        used > self.end
    }

    fn next_look(&self, used: u64) -> Duration {
        let mark = if used > self.max { self.end } else { self.max };
        let left = mark.saturating_sub(used).min(FILL_RATE);
        let until_then = Duration::from_nanos(left * 1_000_000_000 / FILL_RATE);
        until_then.clamp(LOOK_MIN, LOOK_MAX)
    }

    /// Whether another call may begin.
    ///
    /// # Errors
    /// Memory is short.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.tight.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::new(Code::Overloaded, self.trouble()).with_hint(
                "try again when calls have ended; functions.memory-max bounds all of them together, \
                 `memory` of a function each of its calls",
            )),
        }
    }

    /// Why no call begins, if so.
    pub(crate) fn shortage(&self) -> Option<String> {
        self.tight.load(Ordering::Relaxed).then(|| self.trouble())
    }

    fn trouble(&self) -> String {
        format!(
            "the server holds {} MiB of memory, and no call begins above {} MiB",
            self.used() >> 20,
            self.max >> 20
        )
    }

    /// What the process holds, in bytes.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The bound, in bytes.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }
}

/// What a process holds that is in no file, by `/proc/PID/status`, in bytes.
fn anonymous(status: &str) -> Option<u64> {
    kibibytes(status, "RssAnon:")
}

/// A line of `/proc/meminfo` or `/proc/PID/status`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = rest.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    number.checked_mul(1 << 10)
}

/// What the machine and the control groups of this process give it at most, in bytes. `root` is where
/// the file systems of the kernel are found.
fn available(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok();
    let machine = machine.and_then(|text| kibibytes(&text, "MemTotal:"));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| group_files(root, line));
    let limits =
        limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    limits.chain(machine).min()
}

/// The files with the limits of a control group and of those around it: a line is `0::/path` for the
/// unified hierarchy, `7:memory:/path` for an older one.
fn group_files(root: &Path, line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (mount, name) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|it| it == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let (mount, own) = (root.join(mount), Path::new(path.trim_start_matches('/')));
    own.ancestors().map(|group| mount.join(group).join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn calls_wait_first_and_growth_ends_later() {
        let memory = Memory::within(None, Some(8 * GIB));
        assert_eq!((memory.max, memory.end), (6 * GIB, 7 * GIB));
        for (used, begins, grows) in [
            (GIB, true, true),
            (6 * GIB, true, true),
            (6 * GIB + 1, false, true),
            (7 * GIB + 1, false, false),
            (5 * GIB, true, true),
        ] {
            assert_eq!(!memory.note(used), grows, "{used}");
            assert_eq!(memory.check().is_ok(), begins, "{used}");
            assert_eq!(memory.shortage().is_none(), begins);
        }
        memory.note(6 * GIB + (1 << 20));
        let error = memory.check().unwrap_err();
        assert_eq!(error.code(), Code::Overloaded);
        assert_eq!(
            error.detail(),
            "the server holds 6145 MiB of memory, and no call begins above 6144 MiB"
        );
        let unknown = Memory::within(None, None);
        assert!(!unknown.note(u64::MAX - 1) && unknown.check().is_ok());
        let own = Memory::within(Some(16 * GIB), Some(8 * GIB));
        assert_eq!((own.max, own.end), (16 * GIB, 16 * GIB), "as it was said");
    }

    #[test]
    fn the_nearer_the_bound_the_sooner_it_is_looked_again() {
        let memory = Memory::within(Some(GIB), Some(2 * GIB));
        let looks = [0, GIB / 2, GIB - (80 << 20), GIB, GIB + 1, 3 * GIB / 2];
        let millis = looks.map(|used| memory.next_look(used).as_millis());
        assert_eq!(millis, [250, 125, 19, 10, 124, 10]);
    }

    #[test]
    fn limits_of_control_groups_and_of_what_is_around_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(available(dir.path()), None);
        file("proc/meminfo", "MemTotal:       24689140 kB\nMemFree:  1 kB\n");
        assert_eq!(available(dir.path()), Some(24_689_140 << 10));
        file("proc/self/cgroup", "0::/system.slice/nexus.service\n");
        file("sys/fs/cgroup/system.slice/nexus.service/memory.max", "max\n");
        assert_eq!(available(dir.path()), Some(24_689_140 << 10));
        file("sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
        assert_eq!(available(dir.path()), Some(2 * GIB));
        file("sys/fs/cgroup/system.slice/nexus.service/memory.max", "1073741824\n");
        assert_eq!(available(dir.path()), Some(GIB));
        file("proc/self/cgroup", "11:cpu,cpuacct:/x\n7:memory:/docker/a\n");
        file("sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "536870912\n");
        assert_eq!(available(dir.path()), Some(GIB / 2));
    }

    #[test]
    fn this_process_holds_something() {
        let status = fs::read_to_string(STATUS).unwrap();
        assert!(anonymous(&status).unwrap() > 1 << 16);
        assert_eq!(anonymous("VmRSS:\t 10 kB\nRssAnon:\t    4 kB\n"), Some(4 << 10));
        assert_eq!(anonymous("RssAnon: much\n"), None);
    }
}
