//! What both listeners read from the head of a request: ids, tokens, trace context.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use nexus_model::{Code, OpContext, trace};
use nexus_node::{Identity, Node};
use nexus_observe::AuthFailure;

use crate::fault::Fault;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The longest `x-request-id` that is taken over.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Gives requests their ids: `req_` and 13 letters that do not repeat within a process and hardly
/// between two.
#[derive(Debug)]
pub(crate) struct RequestIds {
    salt: u64,
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        RequestIds { salt: RandomState::new().build_hasher().finish(), next: AtomicU64::new(0) }
    }
}

impl RequestIds {
    /// The caller's own id where it is harmless, otherwise a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Arc<str> {
        let sane = |id: &&str| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|at| at.is_ascii_alphanumeric() || b"-_.:/+=".contains(&at))
        };
        match headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(sane) {
            Some(id) => id.into(),
            None => self.fresh(),
        }
    }

    fn fresh(&self) -> Arc<str> {
        // An odd multiplier is a bijection: ids of one process are distinct without looking alike.
        let number = self.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let value = number.wrapping_add(self.salt);
        let mut text = *b"req_0000000000000";
        for (index, letter) in text[4..].iter_mut().enumerate() {
            *letter = ALPHABET[(value >> (60 - 5 * index)) as usize & 31];
        }
        std::str::from_utf8(&text).unwrap_or("req_").into()
    }
}

/// The caller's W3C trace context: `traceparent` and `tracestate`, as far as they are valid.
pub(crate) fn trace_context(headers: &HeaderMap) -> (Option<Arc<str>>, Option<Arc<str>>) {
    let mut parents = headers.get_all("traceparent").iter();
    // Which of several is meant is not known: a new trace begins.
    let parent = parents.next().filter(|_| parents.next().is_none());
    let parent = parent.and_then(|at| trace::traceparent(at.to_str().ok()?));
    if parent.is_none() {
        return (None, None);
    }
    let states = headers.get_all("tracestate").iter().map(|at| at.to_str().unwrap_or("?"));
    (parent.map(|at| at.to_string().into()), trace::tracestate(states).map(Into::into))
}

/// The context of a caller who shows a token.
pub(crate) fn authenticate(
    node: &Node,
    headers: &HeaderMap,
    request_id: &Arc<str>,
) -> Result<OpContext, Fault> {
    Ok(context(known(node, bearer(headers)?)?, headers, request_id))
}

/// Who a token stands for.
pub(crate) fn known(node: &Node, token: &str) -> Result<Identity, Fault> {
    node.authenticate(token).map_err(|error| Fault::from(error).shown(AuthFailure::Token))
}

/// The token that a request shows.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Fault> {
    let missing = |detail: &str| {
        Fault::new(Code::Unauthenticated, detail)
            .hint("send 'Authorization: Bearer nx_…'; `nexus dev` writes its token to .nexus/token")
    };
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| missing("there is no Authorization header"))?;
    if values.next().is_some() {
        let several = missing("there are several Authorization headers");
        return Err(several.shown(AuthFailure::Malformed));
    }
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            missing("the Authorization header is not of the form 'Bearer nx_…'")
                .shown(AuthFailure::Malformed)
        })
}

/// The context of a caller who is known.
pub(crate) fn context(identity: Identity, headers: &HeaderMap, request_id: &Arc<str>) -> OpContext {
    let (traceparent, tracestate) = trace_context(headers);
    OpContext {
        principal: identity.principal,
        scopes: identity.scopes,
        project: identity.project,
        request_id: Arc::clone(request_id),
        traceparent,
        tracestate,
        deadline: None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )])
    }

    #[test]
    fn harmless_request_ids_are_taken_over() {
        let ids = RequestIds::default();
        assert_eq!(&*ids.of(&with("x-request-id", "a-1.b:2")), "a-1.b:2");
        for wrong in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert!(ids.of(&with("x-request-id", wrong)).starts_with("req_"), "{wrong}");
        }
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }

    #[test]
    fn only_valid_trace_contexts_are_taken_over() {
        let (parent, state) =
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1,b=2");
        let taken = |headers: &HeaderMap| {
            let (parent, state) = trace_context(headers);
            (parent.is_some(), state.as_deref().unwrap_or_default().to_owned())
        };
        let mut headers = with("traceparent", parent);
        assert_eq!(taken(&headers), (true, String::new()));
        headers.append("tracestate", HeaderValue::from_static("a=1"));
        headers.append("tracestate", HeaderValue::from_static("b=2"));
        assert_eq!(taken(&headers), (true, state.to_owned()));
        headers.append("tracestate", HeaderValue::from_bytes(b"\xe4=3").unwrap());
        assert_eq!(taken(&headers), (true, String::new()));
        // Without a parent it says nothing, and which of two is meant is not known.
        assert_eq!(taken(&with("tracestate", state)), (false, String::new()));
        headers.append("traceparent", HeaderValue::from_static(parent));
        assert_eq!(taken(&headers), (false, String::new()));
    }
}
