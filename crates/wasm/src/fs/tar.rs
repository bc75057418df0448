//! Reading a tar archive (POSIX ustar, with GNU and pax long names): the format of bundles.

use bytes::Bytes;

const BLOCK: usize = 512;

/// What an archive holds under a path.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    File(Bytes),
    Folder,
    Link(String),
}

/// Whether the bytes are a tar archive of files, folders and symbolic links, as a function's
/// bundle must be.
///
/// # Errors
/// What is wrong with it.
pub fn check(archive: &Bytes) -> Result<(), &'static str> {
    read(archive, |_, _| {})
}

/// Gives every entry in the order of the archive.
pub(super) fn read(
    archive: &Bytes,
    mut entry: impl FnMut(&str, Entry),
) -> Result<(), &'static str> {
    let mut at = 0;
    let mut long_name: Option<String> = None;
    while let Some(header) = archive.get(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if !checksum_is_right(header) {
            return Err("a header's checksum is wrong");
        }
        let size = octal(&header[124..136]).ok_or("a size is no octal number")?;
        let start = at + BLOCK;
        let end = start.checked_add(size).filter(|end| *end <= archive.len());
        let content = archive.slice(start..end.ok_or("it ends in the middle of a file")?);
        at = start + size.next_multiple_of(BLOCK);
        let name = long_name.take().unwrap_or_else(|| full_name(header));
        match header[156] {
            b'0' | 0 | b'7' => entry(&name, Entry::File(content)),
            b'5' => entry(&name, Entry::Folder),
            b'2' => entry(&name, Entry::Link(text(&header[157..257]))),
            b'L' => long_name = Some(text(&content)),
            b'x' => long_name = pax_path(&content),
            b'g' | b'K' => long_name = None,
            _ => return Err("it holds something that is no file, folder or symbolic link"),
        }
    }
    if at == 0 { Err("it is empty") } else { Ok(()) }
}

fn full_name(header: &[u8]) -> String {
    let name = text(&header[..100]);
    let prefix =
        if &header[257..262] == b"ustar" { text(&header[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn octal(bytes: &[u8]) -> Option<usize> {
    let text = text(bytes);
    let digits = text.trim();
    if digits.is_empty() { Some(0) } else { usize::from_str_radix(digits, 8).ok() }
}

fn checksum_is_right(header: &[u8]) -> bool {
    let sum: usize = header
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { usize::from(*byte) })
        .sum();
    octal(&header[148..156]) == Some(sum)
}

fn pax_path(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path=").map(str::to_owned))
}
