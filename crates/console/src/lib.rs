//! The web console, embedded: the files that Vite has built, compressed, and their look-up. It knows
//! nothing of HTTP beyond the names of encodings and media types.
//!
//! The sources lie in `console/`; `npm run build` there makes `console/dist`, which the build script
//! embeds when it is there. Otherwise [`is_built`] is false and each page is a stub that says how to
//! build the console.

use std::borrow::Cow;
use std::io::Read as _;

/// What may be embedded, in bytes: all compressed forms together.
pub const EMBEDDED_BYTES_MAX: usize = 3 << 20;

// `BUILT`, and `FILES` by path; just the stub where the console was not built.
include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The pages that a built console has.
const PAGES: [&str; 2] = ["index.html", "docs/index.html"];

/// A file of the console.
#[derive(Debug)]
pub struct File {
    path: &'static str,
    digest: &'static str,
    gzip: &'static [u8],
    brotli: &'static [u8],
}

/// The encodings that a client takes besides plain bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Accepts {
    /// `br`.
    pub brotli: bool,
    /// `gzip`.
    pub gzip: bool,
}

/// The bytes of a file in one encoding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// The name of the encoding (`br`, `gzip`); `None` for plain bytes.
    pub encoding: Option<&'static str>,
    /// The bytes.
    pub bytes: Cow<'static, [u8]>,
}

/// Whether the console is part of this build.
pub fn is_built() -> bool {
    BUILT
}

/// How many bytes are embedded.
pub fn embedded_bytes() -> usize {
    FILES.iter().map(File::embedded_bytes).sum()
}

/// The file at a path relative to the root, without a slash at its start: `assets/app-1a2b.js`.
/// Where the console was not built, its pages are the stub, and there is nothing else.
pub fn file(path: &str) -> Option<&'static File> {
    if !BUILT && PAGES.contains(&path) {
        return FILES.first();
    }
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().map(|index| &FILES[index])
}

impl File {
    /// Its media type.
    pub fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("json") => "application/json",
            Some("webmanifest") => "application/manifest+json",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("ico") => "image/x-icon",
            Some("woff2") => "font/woff2",
            Some("txt") => "text/plain; charset=utf-8",
            Some("wasm") => "application/wasm",
            _ => "application/octet-stream",
        }
    }

    /// Changes with the content, and only then.
    pub fn digest(&self) -> &'static str {
        self.digest
    }

    /// Whether the name changes with the content, so that it can be kept for ever.
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with("assets/")
    }

    /// The bytes in the smallest encoding that the client takes.
    pub fn body(&self, accepts: Accepts) -> Encoded {
        let (encoding, bytes) = match accepts {
            Accepts { brotli: true, .. } => (Some("br"), self.brotli.into()),
            Accepts { gzip: true, .. } => (Some("gzip"), self.gzip.into()),
            Accepts { .. } => (None, unpacked(self.gzip)),
        };
        Encoded { encoding, bytes }
    }

    fn embedded_bytes(&self) -> usize {
        self.gzip.len() + self.brotli.len()
    }
}

/// Clients that take no compression are rare, so plain bytes are not embedded a third time.
fn unpacked(gzip: &'static [u8]) -> Cow<'static, [u8]> {
    let mut bytes = Vec::new();
    // The build script wrote it: it always unpacks.
    let _ = flate2::read::GzDecoder::new(gzip).read_to_end(&mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_keeps_its_budget() {
        let bytes = embedded_bytes();
        assert!(bytes <= EMBEDDED_BYTES_MAX, "{bytes} bytes are embedded");
    }

    #[test]
    fn a_page_is_always_there_and_nothing_outside() {
        let index = file("index.html").unwrap();
        assert_eq!(index.content_type(), "text/html; charset=utf-8");
        assert!(!index.is_immutable() && !index.digest().is_empty());
        let page = String::from_utf8(index.body(Accepts::default()).bytes.into_owned()).unwrap();
        assert!(page.to_ascii_lowercase().starts_with("<!doctype html>"), "{page}");
        for path in ["", "/index.html", "../Cargo.toml", "assets", "assets/", "index.htm"] {
            assert!(file(path).is_none(), "{path}");
        }
    }

    #[test]
    fn encodings_have_names_and_their_own_bytes() {
        for file in FILES {
            let body = |gzip, brotli| file.body(Accepts { gzip, brotli });
            let [plain, gzip, brotli] = [body(false, false), body(true, false), body(true, true)];
            assert_eq!(plain.encoding, None, "{}", file.path);
            assert_eq!((gzip.encoding, &gzip.bytes[..2]), (Some("gzip"), &[0x1f, 0x8b][..]));
            assert_eq!(brotli.encoding, Some("br"));
            assert_ne!(brotli.bytes, gzip.bytes);
            assert!(!plain.bytes.is_empty(), "{}", file.path);
        }
    }

    #[test]
    fn files_are_in_order_for_the_look_up() {
        assert!(FILES.is_sorted_by(|one, other| one.path < other.path));
        for at in FILES {
            assert_eq!(file(at.path).unwrap().digest, at.digest);
        }
    }
}
