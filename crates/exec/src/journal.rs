//! The journal: everything that came in from outside, in order. Pure encoding and decoding.

/// Why a journal cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The checksum does not match.
    #[error("its checksum does not match: it was damaged or changed")]
    Checksum,
}
