//! The large bodies that records refer to: whoever verifies a log has their files looked at as well.

use std::collections::BTreeMap;

use nexus_model::record::{Record, RecordKind};
use nexus_model::{Digest, EventId, InvocationId};

use crate::query::decode;
use crate::report::{BodyDamage, VerifyReport};
use crate::row::Row;
use crate::segment::{Limits, Segment};
use crate::{BlobCheck, Error};

/// How much is looked at in one go.
const STRETCH: Limits = Limits { rows: 1024, bytes: 4 << 20 };
const ONE: Limits = Limits { rows: 1, bytes: u64::MAX };

/// Has every body that the records of these segments refer to checked once, and notes what is wrong.
pub(crate) fn check(
    segments: &[Segment],
    blob: BlobCheck<'_>,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    let mut references = BTreeMap::new();
    for segment in segments {
        collect(segment, &mut references)?;
    }
    for (digest, Reference { sequence, record, part }) in references {
        match blob(digest) {
            Ok(bytes) => {
                report.bodies += 1;
                report.body_bytes += bytes;
            }
            Err(what) => {
                report.body_damage.push(BodyDamage { digest, record, part, sequence, what });
            }
        }
    }
    Ok(())
}

/// The first record that refers to a body, in words.
struct Reference {
    sequence: u64,
    record: String,
    part: String,
}

fn collect(segment: &Segment, references: &mut BTreeMap<Digest, Reference>) -> Result<(), Error> {
    let mut at = 0;
    let mut one_by_one = 0;
    while at < segment.len() {
        let limits = if one_by_one > at { ONE } else { STRETCH };
        match segment.rows_from(at, limits, may_have_bodies) {
            Ok(rows) => {
                for (index, placed, payload) in rows.found {
                    let sequence = segment.first_sequence() + index as u64;
                    // What cannot be decoded has been named where its bytes were checked.
                    if let Ok(record) = decode(&placed.row, payload, sequence) {
                        note(&record, sequence, references);
                    }
                }
                at += rows.looked_at.max(1);
            }
            Err(Error::Corrupt { .. }) if one_by_one > at => at += 1,
            // Its neighbours may be sound.
            Err(Error::Corrupt { .. }) => one_by_one = at + STRETCH.rows,
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

fn may_have_bodies(row: &Row) -> bool {
    matches!(
        row.kind(),
        Some(RecordKind::Event | RecordKind::Invocation | RecordKind::Journal | RecordKind::Signal)
    )
}

fn note(record: &Record, sequence: u64, references: &mut BTreeMap<Digest, Reference>) {
    for (part, body) in record.bodies() {
        let Ok(digest) = Digest::try_from(&body.blob[..]) else { continue };
        references.entry(digest).or_insert_with(|| Reference {
            sequence,
            record: subject(record),
            part: part.to_owned(),
        });
    }
}

/// What a record is about, by the id that people know.
fn subject(record: &Record) -> String {
    let invocation = |id: &[u8]| InvocationId::try_from(id).map(|id| id.to_string());
    let named = match record {
        Record::Event(event) => EventId::try_from(&event.id[..]).map(|id| id.to_string()),
        Record::Journal(piece) => invocation(&piece.invocation),
        Record::Signal(signal) => invocation(&signal.invocation),
        other => invocation(other.id()),
    };
    named.unwrap_or_default()
}
