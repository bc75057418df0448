//! Fakes for the seams, for tests: a disk that fails under a seed, a runtime without machine code.

mod disk;
mod durable;
mod runtime;

pub use disk::{Faults, Seeded, SimDisk};
pub use runtime::FakeRuntime;
