//! Time travel from the command line: a terminal debugger and a Debug Adapter Protocol server over
//! the debug sessions of a server.

mod app;
mod dap;
mod prompt;
mod remote;
mod sources;
#[cfg(test)]
mod tests;
mod tui;
mod view;

pub(crate) use dap::{Adapter, serve};
pub(crate) use remote::Remote;
pub(crate) use sources::Sources;
pub(crate) use tui::run;

/// The user's own source files: the server names them first, in order.
fn own_sources(opened: &nexus_model::view::DebugOpened) -> &[String] {
    let sources = &opened.sources;
    let end = sources.windows(2).position(|pair| pair[0] > pair[1]);
    &sources[..end.map_or(sources.len(), |at| at + 1)]
}
