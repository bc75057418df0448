//! Whether versions of a schema go together, as schema registries define it.

use serde::{Deserialize, Serialize};

use super::Schema;
use super::containment::Containment;

/// What a new version of a schema must keep.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// Nothing.
    None,
    /// Those who know the new version can read what was written with the earlier ones.
    #[default]
    Backward,
    /// Those who know an earlier version can read what is written with the new one.
    Forward,
    /// Both.
    Full,
}

/// Who could not read what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Data of the earlier version may break the new one.
    Backward,
    /// Data of the new version may break the earlier one.
    Forward,
}

/// One reason why a new version does not go together with an earlier one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Incompatibility {
    /// Which of the earlier schemas, by its place in the list, from 0.
    pub version: usize,
    /// Which way data cannot be read.
    pub direction: Direction,
    /// The place in the reading schema as a JSON pointer.
    pub path: String,
    /// What changed, and why data breaks.
    pub reason: String,
}

/// Every reason why `new` does not go together with the earlier versions; empty when it does.
///
/// A change of which it cannot be decided that all data stays readable counts as a reason.
pub fn incompatibilities(
    mode: Compatibility,
    new: &Schema,
    earlier: &[&Schema],
) -> Vec<Incompatibility> {
    let mut found = Vec::new();
    for (version, old) in earlier.iter().enumerate() {
        let mut check = |direction, reader: &Schema, writer: &Schema| {
            let reasons = Containment::between(reader.document(), writer.document());
            found.extend(reasons.into_iter().map(|(path, reason)| Incompatibility {
                version,
                direction,
                path,
                reason,
            }));
        };
        if matches!(mode, Compatibility::Backward | Compatibility::Full) {
            check(Direction::Backward, new, old);
        }
        if matches!(mode, Compatibility::Forward | Compatibility::Full) {
            check(Direction::Forward, old, new);
        }
    }
    found
}
