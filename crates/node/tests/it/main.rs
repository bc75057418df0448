//! The application layer over a real log and store and a fake runtime.

mod declare;
mod deliver;
mod serve;
mod world;
