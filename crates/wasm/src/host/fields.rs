//! Heads of HTTP messages between three forms: HTTP's, the journal's, and a hash of them.

use bytes::Bytes;
use nexus_exec::journal::hash_arguments;
use nexus_model::limits;
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, Resource};
use wasmtime_wasi_http::p2::HeaderResult;
use wasmtime_wasi_http::p2::bindings::http::types::{
    HeaderError, Host, HostFields, Method, Scheme,
};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{FieldMap, WasiHttpView as _};

use crate::state::State;

/// The guest set more header fields than an invocation may.
#[derive(Debug, thiserror::Error)]
#[error("the function set more than {} bytes of header fields", limits::HEADERS_BYTES_MAX)]
pub(crate) struct HeadersTooLarge;

/// What a field takes besides its name and value, in bytes.
const FIELD_BYTES: usize = 64;

/// Counts what a guest sets: each map of fields is bounded, but not how many there are. A copy counts
/// when it is made, because it is whole once it is changed.
pub(super) fn shadow(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[static]fields.from-list",
        |mut store: StoreContextMut<'_, State>, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let state = store.data_mut();
            let size = |(name, value): &(String, Vec<u8>)| name.len() + value.len() + FIELD_BYTES;
            state.take_headers(entries.iter().map(size).sum())?;
            let made = HostFields::from_list(&mut state.http(), entries);
            Ok((known(state, made)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.set",
        |mut store: StoreContextMut<'_, State>,
         (id, name, values): (Resource<FieldMap>, String, Vec<Vec<u8>>)| {
            let state = store.data_mut();
            let values_size: usize = values.iter().map(|value| value.len() + FIELD_BYTES).sum();
            state.take_headers(name.len() + values_size)?;
            let set = HostFields::set(&mut state.http(), id, name, values);
            Ok((known(state, set)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.append",
        |mut store: StoreContextMut<'_, State>,
         (id, name, value): (Resource<FieldMap>, String, Vec<u8>)| {
            let state = store.data_mut();
            state.take_headers(name.len() + value.len() + FIELD_BYTES)?;
            let appended = HostFields::append(&mut state.http(), id, name, value);
            Ok((known(state, appended)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.clone",
        |mut store: StoreContextMut<'_, State>, (id,): (Resource<FieldMap>,)| {
            let state = store.data_mut();
            let size: usize = state
                .table
                .get(&id)?
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES)
                .sum();
            state.take_headers(size)?;
            Ok((HostFields::clone(&mut state.http(), id)?,))
        },
    )
}

fn known<T>(
    state: &mut State,
    result: HeaderResult<T>,
) -> wasmtime::Result<Result<T, HeaderError>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(Host::convert_header_error(&mut state.http(), error)?)),
    }
}

impl State {
    fn take_headers(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.headers_bytes = self.headers_bytes.saturating_add(bytes);
        match self.headers_bytes > limits::HEADERS_BYTES_MAX {
            true => Err(wasmtime::Error::new(HeadersTooLarge)),
            false => Ok(()),
        }
    }
}

/// A hash of what comes first and of the fields in their order.
pub(super) fn hash_fields(first: &[&[u8]], fields: &http::HeaderMap) -> u64 {
    let mut parts = first.to_vec();
    for (name, value) in fields {
        parts.push(name.as_str().as_bytes());
        parts.push(value.as_bytes());
    }
    hash_arguments(&parts)
}

/// Header fields as the journal and the record keep them.
pub(crate) fn fields(map: &http::HeaderMap) -> Vec<(String, Bytes)> {
    map.iter()
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect()
}

/// A request for people, and the hash by which it is compared.
pub(super) fn describe_request(request: &HostOutgoingRequest) -> (String, u64) {
    let method: &str = match &request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => other,
    };
    let scheme = match &request.scheme {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) | None => "https",
        Some(Scheme::Other(other)) => other,
    };
    let authority = request.authority.as_deref().unwrap_or("");
    let path = request.path_with_query.as_deref().unwrap_or("/");
    let text = format!("{method} {scheme}://{authority}{path}");
    let arguments = hash_fields(&[text.as_bytes()], &request.headers);
    (text, arguments)
}
