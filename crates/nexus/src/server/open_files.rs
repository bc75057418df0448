//! How many files the process may have open. Each connection is one, each sealed segment of the log,
//! and each request that a function sends.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a server has open besides connections, as a rule: segments of the log, databases, code.
const OTHERS: u64 = 256;

/// Raises the limit of open files as far as the system allows it. Says what is wrong when that is too
/// little for these connections. Programs that the server starts inherit the limit.
pub(crate) fn raise(connections_max: u64) -> Option<String> {
    let before = getrlimit(Resource::Nofile);
    let allowed = match before.current != before.maximum {
        true => match setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }) {
            Ok(()) => before.maximum,
            Err(error) => {
                tracing::debug!(%error, "failed to raise the limit of open files");
                before.current
            }
        },
        false => before.current,
    };
    tracing::debug!(before = before.current, now = allowed, "limit of open files");
    too_few(allowed, connections_max)
}

/// What is wrong with so many open files, and what to do; `None` stands for any number.
fn too_few(allowed: Option<u64>, connections_max: u64) -> Option<String> {
    let needed = connections_max.saturating_add(OTHERS);
    let allowed = allowed.filter(|allowed| *allowed < needed)?;
    Some(format!(
        "this process may have {allowed} files open, and needs up to {needed} for {connections_max} \
         connections and its own: further connections would have to wait. Raise its hard limit \
         (LimitNOFILE= of systemd, --ulimit nofile= of Docker, ulimit -Hn), or lower \
         ingress.connections.open-max and api.connections.open-max"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_what_the_system_allows() {
        let before = getrlimit(Resource::Nofile);
        let low = before.maximum.map_or(512, |maximum| maximum.min(512));
        setrlimit(Resource::Nofile, Rlimit { current: Some(low), ..before }).unwrap();
        assert_eq!(raise(0), None);
        let after = getrlimit(Resource::Nofile);
        assert_eq!((after.current, after.maximum), (before.maximum, before.maximum));
    }

    #[test]
    fn too_few_files_are_told() {
        assert_eq!(too_few(None, 1 << 40), None);
        assert_eq!(too_few(Some(1_256), 1_000), None);
        assert_eq!(too_few(Some(u64::MAX), u64::MAX), None);
        let warning = too_few(Some(1_255), 1_000).unwrap();
        assert!(warning.contains("may have 1255 files open"), "{warning}");
        assert!(warning.contains("up to 1256 for 1000 connections"), "{warning}");
    }
}
