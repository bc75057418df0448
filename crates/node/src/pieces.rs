//! The journal of a durable invocation as long as it lies in the log in pieces: while it goes on, and
//! for good where it did not end by itself.

use bytes::{Bytes, BytesMut};
use nexus_exec::journal::Partial;
use nexus_log::Position;
use nexus_model::record::{Body, InvocationRecord, JournalRecord, Record};
use nexus_model::{Code, InvocationId, Name};

use crate::bodies::Lost;
use crate::{Error, Node, redact};

impl Node {
    /// The pieces at these places, one after the other. Those that are encrypted are opened for a run of
    /// `opens`, and for nobody else: what is shown of a recording is what redaction left of it, and pieces
    /// are not redacted.
    pub(crate) async fn pieces(
        &self,
        sequences: &[u64],
        opens: Option<(&Name, InvocationId)>,
    ) -> Result<Bytes, Error> {
        let mut pieces = BytesMut::new();
        for sequence in sequences {
            let record = self.piece(*sequence).await?;
            pieces.extend_from_slice(&match (record.sealed, opens) {
                (false, _) => record.bytes.inline,
                (true, Some(run)) => self.opened_piece(run, &record).await?,
                (true, None) => {
                    let detail = "the function redacts its recordings: until it has ended by itself \
                        its journal is only kept encrypted";
                    return Err(Error::new(Code::NotReplayable, detail));
                }
            });
        }
        Ok(pieces.freeze())
    }

    async fn piece(&self, sequence: u64) -> Result<JournalRecord, Error> {
        let before = Position { sequence: sequence.saturating_sub(1), ..Position::START };
        let entry = self.parts.log.read_from(before, 1).await?.into_iter().next();
        let entry = entry.filter(|entry| entry.position.sequence == sequence);
        let Some(Record::Journal(mut record)) = entry.map(|entry| entry.record) else {
            let detail = format!("record {sequence} of the log is no piece of its journal");
            return Err(Error::new(Code::BadJournal, detail));
        };
        self.fetch_body(&mut record.bytes, Lost::Fails).await?;
        Ok(record)
    }

    async fn opened_piece(
        &self,
        (project, id): (&Name, InvocationId),
        record: &JournalRecord,
    ) -> Result<Bytes, Error> {
        let key = self.replay_key(project, false).await?;
        let piece = redact::open_piece(&key, (id, record.number), &record.bytes.inline)
            .map_err(|error| Error::new(Code::BadJournal, error.to_string()).with_source(error))?;
        Ok(piece.into())
    }

    /// Puts the journal up to now, or to its end, into a record that names its pieces. Otherwise it
    /// says why there is none.
    pub(crate) async fn gather_journal(&self, record: &mut InvocationRecord) -> Option<String> {
        if record.journal.is_some() || record.pieces.is_empty() {
            return None;
        }
        match self.journal_of(record).await {
            Ok(journal) => {
                record.journal = Some(Body::inline(journal));
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    async fn journal_of(&self, record: &InvocationRecord) -> Result<Bytes, Error> {
        let pieces = self.pieces(&record.pieces, None).await?;
        let partial = Partial::decode(&pieces).map_err(|error| {
            Error::new(Code::BadJournal, format!("its journal cannot be read: {error}"))
                .with_source(error)
        })?;
        Ok(partial.journal.encode())
    }
}
