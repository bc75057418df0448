//! How far the log of a data folder went, by what lies outside of the log: its mark and the engine's
//! checkpoint. A server whose log goes less far does not start, and somebody may say that it is to.
//!
//! The store knows nothing of the log's end. That it is there at all is enough: a log with records and
//! no store has lost it.

use std::path::{Path, PathBuf};

use nexus_cli::HostFailure;
use nexus_log::{Reached, RealDisk, accept_end, check_end};
use nexus_node::checkpoint_position;

use super::{ENGINE_DIR, Error, STORE_FILE, log_dir, log_mark};

/// What to do about a part of the log that is missing.
pub(super) fn hint(data: &str) -> String {
    format!(
        "put the data folder back from a backup, whole; or go on without what is missing: nexus log \
         cut --data {data}"
    )
}

/// What to do about a store that is missing.
pub(super) fn store_hint(path: &Path) -> String {
    format!(
        "put it back from a backup of the data folder; or start with an empty folder. To keep the \
         history and go on with nothing declared, make an empty file of that name: touch {}",
        path.display()
    )
}

/// Refuses a store that is about to be made although the log has `records`.
pub(super) fn check_store(data: &Path, records: u64) -> Result<(), Error> {
    let path = data.join(STORE_FILE);
    match records > 0 && !path.exists() {
        true => Err(Error::StoreMissing { path, records }),
        false => Ok(()),
    }
}

/// The engine's checkpoint in a data folder.
fn checkpoint(data: &Path) -> PathBuf {
    data.join(ENGINE_DIR).join(nexus_node::CHECKPOINT_FILE)
}

/// Whether a data folder had a log once.
pub(crate) fn had_log(data: &Path) -> bool {
    log_mark(data).exists() || checkpoint(data).exists()
}

/// What is missing at the end of the log of a stopped server, for people; `None` where nothing is.
///
/// # Errors
/// The log is damaged or cannot be read.
pub(crate) fn missing(data: &Path) -> Result<Option<String>, HostFailure> {
    let reached = match check_end(&log_dir(data), &RealDisk, &log_mark(data)) {
        Ok(reached) => reached,
        Err(error @ nexus_log::Error::Shorter { .. }) => return Ok(Some(error.to_string())),
        Err(other) => return Err(HostFailure::new(other)),
    };
    let known = checkpoint_position(&checkpoint(data)).map_err(HostFailure::new)?;
    Ok(known.filter(|known| *known > reached.sequence).map(|known| {
        format!("the log ends with {reached}, and the engine has seen record {known}")
    }))
}

/// Takes the log of a stopped server as it is. A checkpoint of what it has no more is removed: the
/// engine reads the log instead.
///
/// # Errors
/// The log is damaged or cannot be read, or a file cannot be changed.
pub(crate) fn accept(data: &Path) -> Result<Reached, HostFailure> {
    let reached =
        accept_end(&log_dir(data), &RealDisk, &log_mark(data)).map_err(HostFailure::new)?;
    let path = checkpoint(data);
    let known = checkpoint_position(&path).map_err(HostFailure::new)?;
    if known.is_some_and(|known| known > reached.sequence) {
        std::fs::remove_file(&path).map_err(|source| {
            HostFailure::new(Error::File { operation: "remove", path, source })
        })?;
    }
    Ok(reached)
}
