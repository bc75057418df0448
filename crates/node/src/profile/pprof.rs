//! A profile as the protocol buffer that `pprof` reads: samples with their count and their time in
//! one run.

use std::collections::HashMap;
use std::io::Write as _;

use prost::Message;

use super::Profiled;

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    ty: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

#[derive(Default)]
struct Strings {
    table: Vec<String>,
    known: HashMap<String, i64>,
}

impl Strings {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = self.table.len() as i64;
        self.table.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }
}

fn profile(profiled: &Profiled) -> Profile {
    let mut strings = Strings::default();
    strings.number("");
    let mut ty = |ty, unit| ValueType { ty: strings.number(ty), unit: strings.number(unit) };
    let sample_type = vec![ty("samples", "count"), ty("cpu", "nanoseconds")];
    let replays = f64::from(profiled.profile.replays.max(1));
    let each = profiled.sample_ns() / replays;
    let mut location = Vec::new();
    let mut function = Vec::new();
    for (number, frame) in profiled.profile.frames.iter().enumerate() {
        let id = number as u64 + 1;
        let name = strings.number(&frame.function);
        let filename = strings.number(frame.file.as_deref().unwrap_or(&frame.module));
        function.push(Function { id, name, system_name: name, filename });
        let line = Line { function_id: id, line: frame.line.unwrap_or(0).into() };
        location.push(Location { id, line: vec![line] });
    }
    let sample = profiled.profile.stacks.iter().map(|(stack, count)| Sample {
        location_id: stack.iter().rev().map(|frame| u64::from(*frame) + 1).collect(),
        value: vec![*count as i64, (*count as f64 * each) as i64],
    });
    let sample = sample.collect();
    let said = format!(
        "{}, {} replays; times are those of one run",
        profiled.name(),
        profiled.profile.replays
    );
    let comment = vec![strings.number(&said)];
    Profile {
        period_type: Some(sample_type[1]),
        sample_type,
        sample,
        location,
        function,
        string_table: strings.table,
        time_nanos: profiled.record.accepted_ns,
        duration_nanos: (profiled.profile.busy.as_nanos() as f64 / replays) as i64,
        period: each as i64,
        comment,
    }
}

/// Gzip without compression: the content is small, and every reader takes it.
pub(super) fn encode(profiled: &Profiled) -> Vec<u8> {
    gzip(&profile(profiled).encode_to_vec())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    const STORED_MAX: usize = u16::MAX as usize;
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut parts = bytes.chunks(STORED_MAX).peekable();
    if parts.peek().is_none() {
        out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    while let Some(part) = parts.next() {
        let length = part.len() as u16;
        out.push(u8::from(parts.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        let _ = out.write_all(part);
    }
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
