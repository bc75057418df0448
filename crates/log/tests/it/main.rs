//! The log's tests: one binary.

mod conformance;
mod crash;
mod damage;
mod kit;
mod lists;
