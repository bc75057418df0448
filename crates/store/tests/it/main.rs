//! The store from outside: conformance, properties, faults, upgrades.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod blobs;
mod conformance;
mod crash;
mod faults;
mod leases;
mod properties;
mod scale;
mod state;
mod state_outside;
mod upgrade;
mod world;
