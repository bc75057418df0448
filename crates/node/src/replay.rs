//! Replay: a recorded invocation runs again, with its journal as the outside world.

use std::sync::Arc;

use nexus_exec::Prepared;
use nexus_exec::journal::{EnvEntry, Journal};
use nexus_model::record::{EventRecord, InvocationRecord, Status};
use nexus_model::resource::VersionSpec;
use nexus_model::view::ReplayView;
use nexus_model::{Code, Event, InvocationId, Name, OpContext, Scope};

use crate::bodies::Lost;
use crate::delivery::returned_in_vain;
use crate::record::{NOT_SAMPLED, OFF, ONLY_ERRORS};
use crate::redact;
use crate::views::output_value;
use crate::{Error, Node, ReplayOptions};

/// A recording with what its replay needs.
pub(crate) struct Recorded {
    pub(crate) record: InvocationRecord,
    /// The event that it handled, where the record only refers to it.
    pub(crate) event: Option<Event>,
    pub(crate) project: Name,
}

impl Node {
    /// Runs an invocation again, with the version, configuration and secrets of then, and compares.
    /// Touches nothing: a replay has no world but the journal.
    ///
    /// # Errors
    /// It does not exist; the caller may not replay; it cannot be replayed at all, and why. A replay
    /// that differs is no error: it is a verdict.
    pub async fn replay(
        &self,
        ctx: &OpContext,
        id: InvocationId,
        options: ReplayOptions,
    ) -> Result<ReplayView, Error> {
        let Recorded { record, event, project } = self.recorded(ctx, id).await?;
        if options.verify && record.memory_hash.is_empty() {
            return Err(refused(id, "its recording has no hash of the final memory").with_hint(
                "memory is hashed by servers that run with verify-memory; replay without --verify",
            ));
        }
        let prepared =
            self.prepare_recorded(&project, &record).await.map_err(|at| at.with_invocation(id))?.1;
        let replayed = prepared.replay(&record, event).await;
        let replayed = replayed.map_err(|error| Error::from(error).with_invocation(id))?;
        let mut view = replayed.view;
        view.output = match ctx.allows(Scope::ReadPayload, Some(&project)) {
            true => output_value(&replayed.ended.into()),
            false => serde_json::Value::Null,
        };
        Ok(view)
    }

    /// An invocation that the caller may replay, with everything that a replay needs.
    pub(crate) async fn recorded(
        &self,
        ctx: &OpContext,
        id: InvocationId,
    ) -> Result<Recorded, Error> {
        let mut record = self.invocation_record(ctx, Scope::Replay, id).await?;
        if !record.not_replayable.is_empty() && !record.not_replayable.starts_with("not exact") {
            return Err(refused(id, &record.not_replayable));
        }
        self.fetch_bodies(&mut record, Lost::Fails).await?;
        let event = self.input_event(&record, Lost::Fails).await?;
        self.unsealed(record, event).await
    }

    /// A recording with what was redacted from it put back, where it was only sealed.
    pub(crate) async fn unsealed(
        &self,
        mut record: InvocationRecord,
        event: Option<EventRecord>,
    ) -> Result<Recorded, Error> {
        let project = Name::new(&record.meta.project)
            .map_err(|error| Error::internal("read a record", error))?;
        if redact::is_sealed(&record) {
            let id = record.invocation_id().unwrap_or_else(|| InvocationId::from_bytes([0; 16]));
            let key =
                self.replay_key(&project, false).await.map_err(|at| at.with_invocation(id))?;
            redact::unseal(&mut record, &key)
                .map_err(|error| refused(id, &error.to_string()).with_source(error))?;
        }
        if returned_in_vain(&record) {
            // What became of its events was decided after its end: by itself it succeeded.
            record.set_status(Status::Succeeded);
            record.failure = None;
        }
        let event = event.map(|event| event.event.to_event());
        Ok(Recorded { record, event, project })
    }

    /// The version that made a record, with the secrets of then.
    pub(crate) async fn prepare_recorded(
        &self,
        project: &Name,
        record: &InvocationRecord,
    ) -> Result<(VersionSpec, Arc<dyn Prepared>), Error> {
        let version = record
            .version_id()
            .ok_or_else(|| Error::new(Code::NotReplayable, "the recording names no version"))?;
        let secrets = recorded_secrets(record)?;
        self.prepare_version(project, version, &secrets).await
    }
}

/// Which versions of secrets the invocation saw: its journal says.
fn recorded_secrets(record: &InvocationRecord) -> Result<Vec<(Name, u32)>, Error> {
    let Some(journal) = record.journal.as_ref().filter(|at| !at.inline.is_empty()) else {
        return Ok(Vec::new());
    };
    let journal = Journal::decode(&journal.inline).map_err(|error| {
        Error::new(Code::BadJournal, format!("the journal cannot be read: {error}"))
            .with_source(error)
    })?;
    let secret = |entry: &EnvEntry| match entry {
        EnvEntry::Secret { secret, version, .. } => {
            Name::new(secret).ok().map(|name| (name, *version))
        }
        EnvEntry::Plain { .. } => None,
    };
    Ok(journal.header.env.iter().filter_map(secret).collect())
}

/// Whether a replay of it needs secrets, or nobody knows.
pub(crate) fn has_secrets(record: &InvocationRecord) -> bool {
    recorded_secrets(record).is_ok_and(|secrets| !secrets.is_empty())
}

/// Says why an invocation cannot be replayed, and what would have helped.
pub(crate) fn refused(id: InvocationId, reason: &str) -> Error {
    let error = Error::new(Code::NotReplayable, reason.to_owned()).with_invocation(id);
    match hint_for_lost(reason) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What would have kept a recording whole. Its code alone does not say: most of what is lost is lost
/// with `record = "always"` as well.
fn hint_for_lost(reason: &str) -> Option<&'static str> {
    let reason = reason.strip_prefix("not exact: ").unwrap_or(reason);
    let begins = |words: &[&str]| words.iter().any(|word| reason.starts_with(word));
    if begins(&[OFF, NOT_SAMPLED, ONLY_ERRORS]) {
        Some("set `record = \"always\"` for the function and call it again")
    } else if begins(&["redacted at"]) {
        Some("redact with `mode = \"seal\"`, which a replay can read, and call it again")
    } else if reason.contains("body > ") || reason.starts_with("journal > ") {
        Some("`nexus limits` lists how much of a call is kept")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_about_recording_stands_only_where_it_helps() {
        let id = InvocationId::from_bytes([0; 16]);
        let hint = |reason| refused(id, reason).hint().unwrap_or_default().to_owned();
        assert!(hint("recording is off").contains("record = \"always\""));
        assert!(hint("not exact: redacted at input field n").contains("seal"));
        assert!(hint("body > 8388608 bytes").contains("nexus limits"));
        assert!(hint("output body > 8 MiB").contains("nexus limits"));
        assert_eq!(hint("version ver_1 was deleted with its function"), "");
    }
}
