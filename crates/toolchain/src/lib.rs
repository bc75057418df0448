//! From source code to a component: what `nexus new`, `nexus dev` and `nexus deploy` need to know
//! about programming languages, and nothing of servers.
//!
//! ```text
//!   scaffold ──► project ──► check (tools there?) ──► build ──► component bytes
//!                   ▲                                   │
//!                   └── sources: what is watched, what is hashed, what is cached
//! ```
//!
//! Everything here blocks: call it from a thread that may wait. A build is cancelled through its
//! [`Cancel`]. JavaScript, TypeScript and Python are built in process (see `javascript` and `python`;
//! the Python interpreter itself comes from a child process, once); Rust and own commands run child
//! processes.

mod build;
mod check;
mod error;
mod javascript;
mod language;
mod loading;
mod process;
mod python;
mod rust;
mod scaffold;
mod sources;
mod templates;

pub use build::{BuildOptions, Built, CustomBuild, FunctionSource, build};
pub use check::{MissingTool, check, check_in};
pub use error::Error;
pub use language::{Language, UnknownLanguage, detect};
pub use process::{Cancel, Line, Sink, Stream};
pub use scaffold::{Scaffold, Template, UnknownTemplate, scaffold};
pub use sources::{
    CodeFiles, code_files, is_source, source_hash, source_hash_without_lock, watch_roots,
};
