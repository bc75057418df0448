//! The store from outside: conformance, properties, faults, upgrades.

mod blobs;
mod conformance;
mod crash;
mod faults;
mod leases;
mod properties;
mod scale;
mod upgrade;
mod world;
