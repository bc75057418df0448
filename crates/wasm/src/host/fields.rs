//! Heads of HTTP messages between three forms: HTTP's, the journal's, and a hash of them.

use bytes::Bytes;
use nexus_exec::journal::hash_arguments;
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;

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
