//! Tests of the public surface.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod cesql;
mod filter;
mod index;
mod schema;
mod transform;
