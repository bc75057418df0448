//! The one boundary between a guest and the world: every function that a component may import.
//!
//! What depends on the outside or on timing passes through the [`ledger`](crate::ledger): recorded
//! when live, answered from the recording in a replay. What follows from the guest's own actions
//! (header fields, request builders, files in memory) is left to Wasmtime's implementations.

mod bodies;
mod calls;
mod cli;
mod clocks;
mod durable;
mod exchange;
mod faults;
mod fields;
mod http;
mod nexus;
mod operation;
mod poll;
mod state;
mod streams;

pub(crate) use bodies::Written;
pub(crate) use exchange::Exchanges;
pub(crate) use faults::host_error;
pub(crate) use fields::{HeadersTooLarge, fields};
pub(crate) use http::Hooks;
pub(crate) use streams::{OutputTooLarge, Source};

use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::{
    cli as wasi_cli, clocks as wasi_clocks, filesystem, io, random, sockets,
};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi_http::p2::bindings as wasi_http;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView as _};

use crate::state::State;

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Adds everything that a component may import.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Own = HasSelf<State>;
    io::error::add_to_linker::<State, HasTable>(linker, |state| &mut state.table)?;
    io::streams::add_to_linker::<State, HasTable>(linker, |state| &mut state.table)?;
    io::poll::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_clocks::wall_clock::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_clocks::monotonic_clock::add_to_linker::<State, Own>(linker, |state| state)?;
    random::random::add_to_linker::<State, Own>(linker, |state| state)?;
    random::insecure::add_to_linker::<State, Own>(linker, |state| state)?;
    random::insecure_seed::add_to_linker::<State, Own>(linker, |state| state)?;
    add_cli(linker)?;
    filesystem::types::add_to_linker::<State, Own>(linker, |state| state)?;
    filesystem::preopens::add_to_linker::<State, Own>(linker, |state| state)?;
    add_sockets(linker)?;
    let options = wasi_http::LinkOptions::default();
    wasi_http::http::types::add_to_linker::<State, WasiHttp>(
        linker,
        &(&options).into(),
        |state| state.http(),
    )?;
    http::shadow(linker)?;
    nexus_wit::context::add_to_linker::<State, Own>(linker, |state| state)?;
    nexus_wit::events::add_to_linker::<State, Own>(linker, |state| state)?;
    nexus_wit::log::add_to_linker::<State, Own>(linker, |state| state)?;
    nexus_wit::durable::add_to_linker::<State, Own>(linker, |state| state)?;
    nexus_wit::calls::add_to_linker::<State, Own>(linker, |state| state)?;
    nexus_wit::state::add_to_linker::<State, Own>(linker, |state| state)?;
    nexus_wit::types::add_to_linker::<State, Own>(linker, |state| state)?;
    Ok(())
}

fn add_cli(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Own = HasSelf<State>;
    wasi_cli::environment::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::exit::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::stdin::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::stdout::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::stderr::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::terminal_input::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::terminal_output::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::terminal_stdin::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::terminal_stdout::add_to_linker::<State, Own>(linker, |state| state)?;
    wasi_cli::terminal_stderr::add_to_linker::<State, Own>(linker, |state| state)?;
    Ok(())
}

/// Sockets link, and every use is denied: the default context allows nothing, without asking the
/// system, so the denial is the same in every replay.
fn add_sockets(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let options = wasmtime_wasi::p2::bindings::LinkOptions::default();
    sockets::tcp::add_to_linker::<State, WasiSockets>(linker, |state| state.sockets())?;
    sockets::tcp_create_socket::add_to_linker::<State, WasiSockets>(linker, |s| s.sockets())?;
    sockets::udp::add_to_linker::<State, WasiSockets>(linker, |state| state.sockets())?;
    sockets::udp_create_socket::add_to_linker::<State, WasiSockets>(linker, |s| s.sockets())?;
    sockets::instance_network::add_to_linker::<State, WasiSockets>(linker, |s| s.sockets())?;
    let network = (&options).into();
    sockets::network::add_to_linker::<State, WasiSockets>(linker, &network, |s| s.sockets())?;
    sockets::ip_name_lookup::add_to_linker::<State, WasiSockets>(linker, |s| s.sockets())?;
    Ok(())
}
