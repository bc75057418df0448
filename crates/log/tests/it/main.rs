//! The log's tests: one binary.

mod conformance;
mod kit;
