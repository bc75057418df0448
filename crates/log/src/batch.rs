//! Records made ready for a group commit, on the caller's thread: encoded, checksummed, hashed.

use std::collections::HashMap;

use bytes::Bytes;
use nexus_model::record::Record;

use crate::Error;
use crate::row::{NAMES_MAX, NO_NAME, Row, names, table_form};

/// Records in one group commit at most: so many can never fill a fresh string table.
pub(crate) const GROUP_RECORDS_MAX: usize = NAMES_MAX / 3;
/// Payloads that share one hash: consecutive, of one project, up to this many bytes. BLAKE3 of 1 KiB
/// alone costs six times as much per byte as of 64 KiB.
const RUN_BYTES: usize = 64 << 10;

/// So many names are looked through one by one.
const SCANNED_NAMES_MAX: usize = 16;

/// Consecutive payloads of one project and their keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// How many payloads.
    pub(crate) count: u32,
    /// The first half of their keyed BLAKE3 hash.
    pub(crate) hash: [u8; 16],
}

/// Records ready to be written. Rows refer to names of this batch; the writer translates.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) crcs: Vec<u32>,
    pub(crate) runs: Vec<Run>,
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) payloads: Bytes,
}

impl Batch {
    /// How many records it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What it takes in a group, in bytes, without the group's own header.
    pub(crate) fn group_bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.len() + 2).sum();
        self.rows.len() * (crate::row::ROW_BYTES + 4)
            + self.runs.len() * crate::group::RUN_BYTES_ENCODED
            + names
            + self.payloads.len()
    }
}

/// The key of the payload hashes.
#[derive(Clone)]
pub(crate) struct PayloadKey(pub(crate) [u8; 32]);

impl PayloadKey {
    /// A number that tells keys apart and says nothing about them.
    pub(crate) fn number(&self) -> u64 {
        let hash = blake3::derive_key("nexus log payload key number v1", &self.0);
        u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
    }

    pub(crate) fn hash(&self, payloads: &[u8]) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::keyed_hash(&self.0, payloads).as_bytes()[..16]);
        half
    }
}

/// Encodes records one after the other into a [`Batch`].
pub(crate) struct Builder<'a> {
    key: &'a PayloadKey,
    batch: Batch,
    payloads: Vec<u8>,
    known: HashMap<Vec<u8>, u16>,
    // The names of the record before: nearly always the same again.
    last: [(Vec<u8>, u16); 3],
    run_start: usize,
    run_count: u32,
    run_project: u16,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(key: &'a PayloadKey, records: usize, payload_bytes: usize) -> Self {
        let batch = Batch {
            rows: Vec::with_capacity(records),
            crcs: Vec::with_capacity(records),
            ..Batch::default()
        };
        let last = std::array::from_fn(|_| (Vec::new(), NO_NAME));
        Builder {
            key,
            batch,
            payloads: Vec::with_capacity(payload_bytes),
            known: HashMap::new(),
            last,
            run_start: 0,
            run_count: 0,
            run_project: NO_NAME,
        }
    }

    pub(crate) fn push(&mut self, record: &Record) {
        let mut row = Row::of(record);
        let names = names(record);
        self.begin(&mut row, [names.project.as_bytes(), names.name.as_bytes(), names.version]);
        let start = self.payloads.len();
        record.encode(&mut self.payloads);
        let payload = &self.payloads[start..];
        row.set_payload_len(payload.len() as u32);
        self.batch.crcs.push(crc32c::crc32c(payload));
        self.batch.rows.push(row);
    }

    /// A record that is encoded already; its row has the payload's length.
    pub(crate) fn push_encoded(
        &mut self,
        mut row: Row,
        names: [&[u8]; 3],
        (payload, crc): (&[u8], u32),
    ) {
        self.begin(&mut row, names);
        self.payloads.extend_from_slice(payload);
        self.batch.crcs.push(crc);
        self.batch.rows.push(row);
    }

    /// Gives a row its names (project, name, version), and its payload a run.
    fn begin(&mut self, row: &mut Row, [project, name, version]: [&[u8]; 3]) {
        let project = self.name(0, project);
        let name = self.name(1, name);
        let version = self.name(2, version);
        row.set_names(project, name, version);
        let run_bytes = self.payloads.len() - self.run_start;
        if self.run_count > 0 && (project != self.run_project || run_bytes >= RUN_BYTES) {
            self.close_run();
        }
        self.run_project = project;
        self.run_count += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.rows.len()
    }

    pub(crate) fn finish(mut self) -> Batch {
        if self.run_count > 0 {
            self.close_run();
        }
        Batch { payloads: Bytes::from(self.payloads), ..self.batch }
    }

    fn close_run(&mut self) {
        let hash = self.key.hash(&self.payloads[self.run_start..]);
        self.batch.runs.push(Run { count: self.run_count, hash });
        self.run_start = self.payloads.len();
        self.run_count = 0;
    }

    fn name(&mut self, slot: usize, name: &[u8]) -> u16 {
        if name.is_empty() {
            return NO_NAME;
        }
        if self.last[slot].1 != NO_NAME && self.last[slot].0 == name {
            return self.last[slot].1;
        }
        let form = table_form(name);
        let names = &mut self.batch.names;
        let found = match names.len() {
            ..=SCANNED_NAMES_MAX => names.iter().position(|at| **at == *form).map(|at| at as u16),
            _ => self.known.get(form.as_ref()).copied(),
        };
        let index = found.unwrap_or_else(|| {
            let index = names.len() as u16;
            names.push(form.into_owned());
            // Most batches have a handful of names: those need no table.
            if names.len() > SCANNED_NAMES_MAX {
                let unknown = names.iter().zip(0u16..).skip(self.known.len());
                self.known.extend(unknown.map(|(name, at)| (name.clone(), at)));
            }
            index
        });
        self.last[slot].0.clear();
        self.last[slot].0.extend_from_slice(name);
        self.last[slot].1 = index;
        index
    }
}

/// Makes a batch of records ready.
///
/// # Errors
/// Too many records, or one without a 16-byte id.
pub(crate) fn prepare(records: &[Record], key: &PayloadKey) -> Result<Batch, Error> {
    if records.len() > GROUP_RECORDS_MAX {
        return Err(Error::TooMany { count: records.len(), limit: GROUP_RECORDS_MAX });
    }
    let mut bytes = 0;
    for record in records {
        let length = record.id().len();
        if length != 16 {
            return Err(Error::Id { kind: kind_word(record.kind()), length });
        }
        bytes += record.encoded_len();
    }
    let mut builder = Builder::new(key, records.len(), bytes);
    for record in records {
        builder.push(record);
    }
    Ok(builder.finish())
}

/// The word for a kind in statistics and errors.
pub(crate) fn kind_word(kind: nexus_model::record::RecordKind) -> &'static str {
    use nexus_model::record::RecordKind;
    match kind {
        RecordKind::Event => "event",
        RecordKind::Invocation => "invocation",
        RecordKind::Started => "started",
        RecordKind::Config => "config",
        RecordKind::Delivery => "delivery",
        RecordKind::Note => "note",
        RecordKind::Schedule => "schedule",
        RecordKind::Journal => "journal",
        RecordKind::Suspended => "suspended",
        RecordKind::Signal => "signal",
        RecordKind::Progress => "progress",
    }
}
