//! `wasi:io/poll`: the order in which things become ready is an input like any other.

use std::time::Instant;

use nexus_exec::journal::{Function, Outcome};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll;

use crate::ledger::{Shared, lock};
use crate::state::State;

impl poll::Host for State {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let arguments = pollables.len() as u64;
        {
            let mut ledger = lock(&self.ledger);
            match ledger.replayed(Function::Poll, arguments, "")? {
                Some(Outcome::Indices(ready)) => return Ok(ready),
                Some(other) => return Err(ledger.unexpected(Function::Poll, &other)),
                None => ledger.in_flight = Some(Function::Poll),
            }
        }
        let began = Instant::now();
        let ready = waited(&self.ledger, poll::Host::poll(&mut self.table, pollables)).await?;
        let outcome = Outcome::Indices(ready);
        lock(&self.ledger).record_wait((Function::Poll, arguments, ""), began, &outcome);
        let Outcome::Indices(ready) = outcome else { return Ok(Vec::new()) };
        Ok(ready)
    }
}

impl poll::HostPollable for State {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        {
            let mut ledger = lock(&self.ledger);
            match ledger.replayed(Function::PollableReady, 0, "")? {
                Some(Outcome::Number(ready)) => return Ok(ready != 0),
                Some(other) => return Err(ledger.unexpected(Function::PollableReady, &other)),
                None => {}
            }
        }
        let ready = poll::HostPollable::ready(&mut self.table, pollable).await?;
        let outcome = Outcome::Number(u64::from(ready));
        lock(&self.ledger).record(Function::PollableReady, 0, "", &outcome);
        Ok(ready)
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        {
            let mut ledger = lock(&self.ledger);
            if ledger.replayed(Function::PollableBlock, 0, "")?.is_some() {
                return Ok(());
            }
            ledger.in_flight = Some(Function::PollableBlock);
        }
        let began = Instant::now();
        waited(&self.ledger, poll::HostPollable::block(&mut self.table, pollable)).await?;
        lock(&self.ledger).record_wait((Function::PollableBlock, 0, ""), began, &Outcome::Done);
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(&mut self.table, pollable)
    }
}

/// Tells a rehearsal that the guest waits, unless what it waits for is there already.
async fn waited<F: Future>(ledger: &Shared, wait: F) -> F::Output {
    let mut wait = std::pin::pin!(wait);
    let mut first = true;
    std::future::poll_fn(|context| {
        let polled = wait.as_mut().poll(context);
        if polled.is_pending() && std::mem::take(&mut first) {
            lock(ledger).idle();
        }
        polled
    })
    .await
}
