//! Recordings on their way to the disk. They are encoded on the thread of their caller and kept as
//! plain bytes, so that neither the records nor their many small parts cross threads.

use std::cell::RefCell;

use nexus_model::record::Record;

use crate::batch::Builder;
use crate::row::{ROW_BYTES, Row, names};

/// One recording in the buffer: its names and then its payload lie in the bytes.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    row: Row,
    crc: u32,
    /// The lengths of project, name and version.
    names: [u32; 3],
    payload: u32,
}

impl Waiting {
    fn names_bytes(&self) -> usize {
        self.names.iter().map(|&length| length as usize).sum()
    }

    fn bytes(&self) -> usize {
        self.names_bytes() + self.payload as usize
    }

    /// What it counts in the buffer.
    fn size(&self) -> u64 {
        u64::from(self.payload) + ROW_BYTES as u64
    }
}

/// Recordings that wait for the writer, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Recordings {
    waiting: Vec<Waiting>,
    bytes: Vec<u8>,
}

/// A recording that is encoded and not in the buffer yet. Borrows the scratch space of its thread.
pub(crate) struct Encoded<'a> {
    waiting: Waiting,
    bytes: &'a [u8],
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a thread keeps of its scratch space after a large record, in bytes.
const SCRATCH_KEPT: usize = 1 << 20;

/// Encodes a record in the scratch space of this thread and hands it to `then`.
pub(crate) fn encoded<T>(record: &Record, then: impl FnOnce(Encoded<'_>) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.shrink_to(SCRATCH_KEPT);
        let parts = names(record);
        for name in [parts.project.as_bytes(), parts.name.as_bytes(), parts.version] {
            scratch.extend_from_slice(name);
        }
        let start = scratch.len();
        record.encode(scratch);
        let payload = &scratch[start..];
        let mut row = Row::of(record);
        row.set_payload_len(payload.len() as u32);
        let waiting = Waiting {
            row,
            crc: crc32c::crc32c(payload),
            names: [
                parts.project.len() as u32,
                parts.name.len() as u32,
                parts.version.len() as u32,
            ],
            payload: payload.len() as u32,
        };
        then(Encoded { waiting, bytes: scratch })
    })
}

impl Encoded<'_> {
    /// What it counts in the buffer.
    pub(crate) fn size(&self) -> u64 {
        self.waiting.size()
    }
}

impl Recordings {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn push(&mut self, encoded: &Encoded<'_>) {
        self.waiting.push(encoded.waiting);
        self.bytes.extend_from_slice(encoded.bytes);
    }

    /// Puts recordings in front of these.
    pub(crate) fn put_back(&mut self, mut older: Recordings) {
        older.waiting.append(&mut self.waiting);
        older.bytes.append(&mut self.bytes);
        *self = older;
    }

    /// Moves the oldest ones into a batch: at least one, then as many as stay within `bytes_max`.
    /// Gives what they counted in the buffer; the rest stays.
    pub(crate) fn drain_into(&mut self, builder: &mut Builder<'_>, limits: (usize, u64)) -> u64 {
        let (records_max, bytes_max) = limits;
        let (mut taken, mut at, mut size) = (0, 0, 0);
        for waiting in &self.waiting {
            if taken > 0 && (builder.len() >= records_max || size + waiting.size() > bytes_max) {
                break;
            }
            let [project, name, _] = waiting.names.map(|length| length as usize);
            let (names, payload) =
                self.bytes[at..at + waiting.bytes()].split_at(waiting.names_bytes());
            let (project, rest) = names.split_at(project);
            let (name, version) = rest.split_at(name);
            builder.push_encoded(waiting.row, [project, name, version], (payload, waiting.crc));
            at += waiting.bytes();
            size += waiting.size();
            taken += 1;
        }
        self.waiting.drain(..taken);
        self.bytes.drain(..at);
        size
    }
}
