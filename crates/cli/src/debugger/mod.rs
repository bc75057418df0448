//! Time travel from the command line: a terminal debugger and a Debug Adapter Protocol server over
//! the debug sessions of a server.

mod remote;
mod sources;

pub(crate) use remote::Remote;
pub(crate) use sources::Sources;
