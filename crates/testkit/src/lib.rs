//! Fakes for the seams, for tests: a disk that fails under a seed.

mod disk;

pub use disk::{Faults, Seeded, SimDisk};
