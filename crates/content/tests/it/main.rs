//! Tests of the public surface.

mod cesql;
mod filter;
mod index;
mod schema;
mod transform;
