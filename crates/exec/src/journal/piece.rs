//! Pieces of a journal that is not finished: what a durable invocation keeps while it runs.
//!
//! ```text
//!  magic "NXP" · version u8 · length u32
//!  first operation · number of operations · how long the guest had run, in nanoseconds
//!  header (in the first piece, else empty) · masked places · entries
//!  checksum  first 16 bytes of BLAKE3 over all of the above
//! ```
//!
//! Pieces follow one another without gaps, so that a missing one is found; one that was kept twice
//! counts once. Entries and header are encoded as in a whole journal.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::read::take_header;
use super::{
    CHECKSUM_BYTES, Cursor, Ending, Error, Header, Journal, Mask, MaskPlace, VERSION, mask,
    put_bytes, put_number,
};

const MAGIC: &[u8; 3] = b"NXP";
const FRAME_BYTES: usize = MAGIC.len() + 1 + 4;

/// A piece before it is encoded.
pub(super) struct Piece<'a> {
    pub(super) operations: Range<u32>,
    pub(super) running: Duration,
    pub(super) header: &'a [u8],
    pub(super) entries: &'a [u8],
}

impl Piece<'_> {
    /// Values of secrets are replaced by filler of the same length.
    pub(super) fn encode(&self, secrets: &[(u32, &[u8])]) -> Bytes {
        let mut entries = self.entries.to_vec();
        let mut masks: Vec<(usize, u32)> = Vec::new();
        for &(env, secret) in secrets {
            mask(&mut entries, secret, |offset| masks.push((offset, env)));
        }
        let mut buffer = Vec::with_capacity(FRAME_BYTES + entries.len() + self.header.len() + 64);
        buffer.extend_from_slice(MAGIC);
        buffer.push(VERSION);
        buffer.extend_from_slice(&[0; 4]);
        put_number(&mut buffer, u64::from(self.operations.start));
        put_number(&mut buffer, u64::from(self.operations.end - self.operations.start));
        put_number(&mut buffer, u64::try_from(self.running.as_nanos()).unwrap_or(u64::MAX));
        put_bytes(&mut buffer, self.header);
        put_number(&mut buffer, masks.len() as u64);
        for (offset, env) in masks {
            put_number(&mut buffer, offset as u64);
            put_number(&mut buffer, u64::from(env));
        }
        put_bytes(&mut buffer, &entries);
        let length = (buffer.len() - FRAME_BYTES) as u32;
        buffer[FRAME_BYTES - 4..FRAME_BYTES].copy_from_slice(&length.to_le_bytes());
        let checksum = blake3::hash(&buffer);
        buffer.extend_from_slice(&checksum.as_bytes()[..CHECKSUM_BYTES]);
        Bytes::from(buffer)
    }
}

/// The journal of an invocation that has not ended, put together from its pieces.
#[derive(Clone, Debug)]
pub struct Partial {
    /// The journal up to the last piece; it ends as one that was cut.
    pub journal: Journal,
    /// How long the guest had run when the last piece was kept.
    pub running: Duration,
}

impl Partial {
    /// Reads pieces that were appended one after the other.
    ///
    /// # Errors
    /// A piece is damaged, of a newer version, or missing.
    pub fn decode(pieces: &Bytes) -> Result<Self, Error> {
        let mut rest = pieces.clone();
        let mut found: Option<(Header, Duration)> = None;
        let (mut operations, mut masks, mut entries) = (0u32, Vec::new(), BytesMut::new());
        while !rest.is_empty() {
            let read = take_frame(&mut rest)?;
            let read = Read::take(read).ok_or(Error::Malformed { part: "piece" })?;
            if read.first < operations && read.first.saturating_add(read.count) <= operations {
                continue;
            }
            if read.first != operations {
                return Err(Error::Gap { expected: operations, found: read.first });
            }
            match (&mut found, read.header) {
                (None, Some(header)) => found = Some((header, read.running)),
                // The first piece of an invocation that has done nothing yet, kept twice.
                (Some(_), Some(_)) if read.count == 0 => continue,
                (Some((_, running)), None) => *running = (*running).max(read.running),
                _ => return Err(Error::Malformed { part: "order of its pieces" }),
            }
            masks.extend(read.masks.into_iter().map(|(offset, env)| Mask {
                place: MaskPlace::Entries,
                offset: offset.saturating_add(entries.len() as u32),
                env,
            }));
            entries.extend_from_slice(&read.entries);
            operations += read.count;
        }
        let (header, running) = found.ok_or(Error::Malformed { part: "first piece" })?;
        let journal = Journal {
            header,
            ending: Ending::Cut,
            in_flight: None,
            operations,
            masks,
            waits: Vec::new(),
            entries: entries.freeze(),
        };
        Ok(Partial { journal, running })
    }
}

/// Takes the content of the next piece off `rest`.
fn take_frame(rest: &mut Bytes) -> Result<Bytes, Error> {
    if rest.len() < FRAME_BYTES + CHECKSUM_BYTES || !rest.starts_with(MAGIC) {
        return Err(Error::Magic);
    }
    let version = rest[MAGIC.len()];
    if version > VERSION {
        return Err(Error::Version { found: version });
    }
    let length: [u8; 4] = rest[FRAME_BYTES - 4..FRAME_BYTES].try_into().unwrap_or_default();
    let end = FRAME_BYTES + u32::from_le_bytes(length) as usize;
    if rest.len() < end + CHECKSUM_BYTES {
        return Err(Error::Malformed { part: "piece" });
    }
    let piece = rest.split_to(end + CHECKSUM_BYTES);
    if blake3::hash(&piece[..end]).as_bytes()[..CHECKSUM_BYTES] != piece[end..] {
        return Err(Error::Checksum);
    }
    Ok(piece.slice(FRAME_BYTES..end))
}

/// A piece that was read.
struct Read {
    first: u32,
    count: u32,
    running: Duration,
    header: Option<Header>,
    masks: Vec<(u32, u32)>,
    entries: Bytes,
}

impl Read {
    fn take(content: Bytes) -> Option<Self> {
        let mut cursor = Cursor::new(content);
        let first = u32::try_from(cursor.number()?).ok()?;
        let count = u32::try_from(cursor.number()?).ok()?;
        let running = Duration::from_nanos(cursor.number()?);
        let header = cursor.blob()?;
        let header = match header.is_empty() {
            true => None,
            false => Some(take_header(&mut Cursor::new(header))?),
        };
        let mut masks = Vec::new();
        for _ in 0..cursor.length()? {
            let offset = u32::try_from(cursor.number()?).ok()?;
            masks.push((offset, u32::try_from(cursor.number()?).ok()?));
        }
        let entries = cursor.blob()?;
        cursor.is_at_end().then_some(Read { first, count, running, header, masks, entries })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{EnvEntry, Function, Outcome, Player, Recorder};
    use super::*;

    const SECRET: &[u8] = b"s3cret";

    fn header() -> Header {
        let env = vec![EnvEntry::Secret { name: "T".into(), secret: "t".into(), version: 2 }];
        Header { started_ns: 50, durable: true, env, ..Header::default() }
    }

    fn outcomes() -> Vec<(Function, u64, &'static str, Outcome)> {
        let payload = Outcome::Payload {
            content_type: "text/plain".into(),
            data: Bytes::from_static(b"a s3cret result"),
        };
        let item = super::super::Item { key: "k".into(), version: 9, value: "v".into() };
        vec![
            (Function::WallNow, 0, "", Outcome::Clock(70)),
            (Function::MonotonicNow, 0, "", Outcome::Clock(11)),
            (Function::Invoke, 5, "f", payload.clone()),
            (Function::InvokeAll, 6, "f, g", Outcome::Many(vec![payload, Outcome::Done])),
            (Function::StateScan, 7, "prefix", Outcome::Items(vec![item])),
            (Function::Sleep, 9, "", Outcome::Clock(900)),
        ]
    }

    fn pieces(secrets: &[(u32, &[u8])]) -> (Recorder, Vec<Bytes>) {
        let mut recorder = Recorder::new(&header(), Instant::now(), 1 << 20);
        let mut pieces = vec![recorder.take_piece(Duration::ZERO, secrets).unwrap()];
        for (at, (function, arguments, text, outcome)) in outcomes().iter().enumerate() {
            assert_eq!(recorder.take_piece(Duration::ZERO, secrets), None);
            recorder.push(*function, *arguments, text, outcome);
            pieces.push(recorder.take_piece(Duration::from_secs(at as u64), secrets).unwrap());
        }
        (recorder, pieces)
    }

    #[test]
    fn pieces_make_up_the_journal_that_goes_on() {
        let secrets = [(0, SECRET)];
        let (recorder, pieces) = pieces(&secrets);
        let whole = recorder.finish(Ending::Returned, None, &secrets, &[]);
        for count in 1..=pieces.len() {
            let bytes = Bytes::from(pieces[..count].concat());
            assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET));
            let mut partial = Partial::decode(&bytes).unwrap();
            assert_eq!(partial.journal.operations as usize, count - 1);
            assert_eq!(partial.running.as_secs() as usize, count.saturating_sub(2));
            partial.journal.unmask(|_| Some(SECRET));
            let mut player = Player::new(partial.journal);
            for (function, arguments, text, outcome) in &outcomes()[..count - 1] {
                assert_eq!(player.next(*function, *arguments, text).unwrap(), *outcome);
            }
            assert!(player.is_at_end());
            let mut recorder = player.go_on(&header(), Instant::now(), 1 << 20);
            assert_eq!(recorder.take_piece(Duration::ZERO, &secrets), None);
            for (function, arguments, text, outcome) in &outcomes()[count - 1..] {
                recorder.push(*function, *arguments, text, outcome);
            }
            assert_eq!(recorder.finish(Ending::Returned, None, &secrets, &[]), whole);
        }
    }

    #[test]
    fn missing_doubled_and_damaged_pieces() {
        let (_, pieces) = pieces(&[]);
        let twice = [&pieces[..3], &pieces[2..]].concat().concat();
        assert_eq!(Partial::decode(&twice.into()).unwrap().journal.operations, 6);
        let first_twice = [&pieces[..1], &pieces[..]].concat().concat();
        assert_eq!(Partial::decode(&first_twice.into()).unwrap().journal.operations, 6);
        let gap = [&pieces[..2], &pieces[3..]].concat().concat();
        assert_eq!(Partial::decode(&gap.into()).unwrap_err(), Error::Gap { expected: 1, found: 2 });
        let headless = Bytes::from(pieces[1..].concat());
        assert!(Partial::decode(&headless).is_err());
        let whole = pieces.concat();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            assert!(Partial::decode(&changed.into()).is_err(), "byte {at}");
        }
    }
}
