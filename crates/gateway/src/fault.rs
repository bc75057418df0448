//! What went wrong, as an answer: RFC 9457 problem documents. The only place where errors become
//! statuses; the table is [`Code::http_status`].

use std::borrow::Cow;
use std::error::Error as _;
use std::time::Duration;

use axum::response::{IntoResponse, Response as AxumResponse};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use nexus_model::{Code, InvocationId, Problem};
use nexus_observe::AuthFailure;

use crate::server::Body;

/// The header that names the invocation.
pub(crate) const INVOCATION_HEADER: &str = "nexus-invocation-id";

/// An error on its way to the caller.
#[derive(Clone, Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    invocation: Option<InvocationId>,
    allow: Option<Cow<'static, str>>,
    denied: Option<AuthFailure>,
    /// What the layers below said, for the server's log only.
    cause: String,
}

impl Fault {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Fault(Box::new(Inner {
            code,
            detail: detail.into(),
            hint: None,
            retry_after: None,
            invocation: None,
            allow: None,
            denied: None,
            cause: String::new(),
        }))
    }

    /// A request that breaks a rule.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Fault::new(Code::BadRequest, detail)
    }

    /// Something above its limit: `size` where it is known.
    pub(crate) fn too_large(what: &str, size: Option<u64>, limit: usize) -> Self {
        let detail = match size {
            Some(size) => format!("{what} has {size} bytes; the limit is {limit} bytes"),
            None => format!("{what} has more than {limit} bytes, the limit"),
        };
        Fault::new(Code::TooLarge, detail)
    }

    /// A method that the path does not have.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let mut fault = Fault::new(Code::MethodNotAllowed, format!("allowed here: {allow}"));
        fault.0.allow = Some(allow.into());
        fault
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// What was shown, in case this is about who asks.
    pub(crate) fn shown(mut self, failure: AuthFailure) -> Self {
        self.0.denied = Some(failure);
        self
    }

    /// How somebody failed to show who they are, if that is what went wrong.
    pub(crate) fn auth_failure(&self) -> Option<AuthFailure> {
        match self.0.code {
            Code::Unauthenticated => Some(self.0.denied.unwrap_or(AuthFailure::Missing)),
            Code::BadSignature => Some(AuthFailure::Signature),
            _ => None,
        }
    }

    /// The problem document with the id that finds it in the server's log.
    pub(crate) fn problem(&self, request_id: &str) -> Problem {
        let mut problem = Problem::new(self.0.code, self.0.detail.clone());
        problem.hint.clone_from(&self.0.hint);
        problem.request_id = Some(request_id.to_owned());
        problem.invocation_id = self.0.invocation;
        problem
    }

    /// The answer. Logs what the caller cannot help.
    pub(crate) fn into_response(self, request_id: &str) -> Response<Body> {
        if matches!(self.0.code, Code::Internal | Code::Storage) || !self.0.cause.is_empty() {
            let (code, detail, cause) = (self.0.code, &self.0.detail, &self.0.cause);
            if self.0.code.http_status() >= 500 {
                tracing::error!(request_id, %code, detail, cause, "a request failed");
            } else {
                tracing::debug!(request_id, %code, detail, cause, "a request was refused");
            }
        }
        let body = serde_json::to_vec(&self.problem(request_id)).unwrap_or_default();
        let body = Full::from(body).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.0.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.0.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.0.allow {
            headers.extend(HeaderValue::from_str(&allow).ok().map(|allow| (ALLOW, allow)));
        }
        if self.0.code == Code::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(value) = self.0.invocation.and_then(|id| id.to_string().parse().ok()) {
            headers.insert(INVOCATION_HEADER, value);
        }
        response
    }
}

impl From<nexus_node::Error> for Fault {
    fn from(error: nexus_node::Error) -> Self {
        let mut cause = String::new();
        let mut source = error.source();
        while let Some(below) = source {
            if !cause.is_empty() {
                cause.push_str(": ");
            }
            cause.push_str(&below.to_string());
            source = below.source();
        }
        Fault(Box::new(Inner {
            code: error.code(),
            detail: error.detail().to_owned(),
            hint: error.hint().map(str::to_owned),
            retry_after: error.retry_after(),
            invocation: error.invocation_id(),
            allow: error.allow().map(|allow| allow.to_owned().into()),
            denied: None,
            cause,
        }))
    }
}

/// Inside the API a fault travels as an extension of an empty answer; the outermost layer, which
/// knows the request's id, makes the document of it.
impl IntoResponse for Fault {
    fn into_response(self) -> AxumResponse {
        let mut response = AxumResponse::default();
        response.extensions_mut().insert(self);
        response
    }
}
