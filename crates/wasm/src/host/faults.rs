//! HTTP errors between four forms: what the host says, what Wasmtime's HTTP says, what the guest
//! sees, and what the journal keeps. The guest only ever sees what the journal can give back.

use nexus_exec::HttpError;
use nexus_exec::journal::Fault;
use wasmtime_wasi::p2::StreamError;
use wasmtime_wasi_http::Error as WireError;
use wasmtime_wasi_http::p2::bindings::http::types::{DnsErrorPayload, ErrorCode};

use super::streams::text_fault;

macro_rules! codes {
    ($($number:literal => $variant:ident,)*) => {
        fn plain_number(code: &ErrorCode) -> Option<u8> {
            match code { $(ErrorCode::$variant => Some($number),)* _ => None }
        }

        fn plain_code(number: u8) -> Option<ErrorCode> {
            match number { $($number => Some(ErrorCode::$variant),)* _ => None }
        }
    };
}

// Numbers are part of the journal's format and never reused.
codes! {
    1 => DnsTimeout,
    2 => DestinationNotFound,
    3 => DestinationUnavailable,
    4 => DestinationIpProhibited,
    5 => DestinationIpUnroutable,
    6 => ConnectionRefused,
    7 => ConnectionTerminated,
    8 => ConnectionTimeout,
    9 => ConnectionReadTimeout,
    10 => ConnectionWriteTimeout,
    11 => ConnectionLimitReached,
    12 => TlsProtocolError,
    13 => TlsCertificateError,
    14 => HttpRequestDenied,
    15 => HttpRequestLengthRequired,
    16 => HttpRequestMethodInvalid,
    17 => HttpRequestUriInvalid,
    18 => HttpRequestUriTooLong,
    19 => HttpResponseIncomplete,
    20 => HttpResponseTimeout,
    21 => HttpUpgradeFailed,
    22 => HttpProtocolError,
    23 => LoopDetected,
    24 => ConfigurationError,
}

const DNS: u8 = 64;
const REQUEST_BODY_SIZE: u8 = 65;
const RESPONSE_BODY_SIZE: u8 = 66;
const INTERNAL: u8 = 67;

/// What the journal keeps of an error.
pub(super) fn to_fault(code: &ErrorCode) -> Fault {
    if let Some(number) = plain_number(code) {
        return Fault { code: number, ..Fault::default() };
    }
    match code {
        ErrorCode::DnsError(payload) => Fault {
            code: DNS,
            text: payload.rcode.clone().unwrap_or_default(),
            number: payload.info_code.map(u64::from),
        },
        ErrorCode::HttpRequestBodySize(size) => {
            Fault { code: REQUEST_BODY_SIZE, number: *size, ..Fault::default() }
        }
        ErrorCode::HttpResponseBodySize(size) => {
            Fault { code: RESPONSE_BODY_SIZE, number: *size, ..Fault::default() }
        }
        ErrorCode::InternalError(text) => {
            Fault { code: INTERNAL, text: text.clone().unwrap_or_default(), number: None }
        }
        other => Fault { code: INTERNAL, text: format!("{other:?}"), number: None },
    }
}

/// The error that the guest sees.
pub(super) fn from_fault(fault: &Fault) -> ErrorCode {
    if let Some(code) = plain_code(fault.code) {
        return code;
    }
    match fault.code {
        DNS => ErrorCode::DnsError(DnsErrorPayload {
            rcode: (!fault.text.is_empty()).then(|| fault.text.clone()),
            info_code: fault.number.and_then(|number| u16::try_from(number).ok()),
        }),
        REQUEST_BODY_SIZE => ErrorCode::HttpRequestBodySize(fault.number),
        RESPONSE_BODY_SIZE => ErrorCode::HttpResponseBodySize(fault.number),
        _ => ErrorCode::InternalError(Some(fault.text.clone())),
    }
}

/// What the journal keeps of a broken stream.
pub(super) fn stream_fault(error: &wasmtime::Error) -> Fault {
    if let Some(code) = error.downcast_ref::<ErrorCode>() {
        return to_fault(code);
    }
    match error.downcast_ref::<WireError>() {
        Some(WireError::ConnectionTerminated) => to_fault(&ErrorCode::ConnectionTerminated),
        Some(WireError::ConnectionReadTimeout) => to_fault(&ErrorCode::ConnectionReadTimeout),
        Some(other) => Fault { code: INTERNAL, text: other.to_string(), number: None },
        None => Fault { code: INTERNAL, ..text_fault(error.to_string()) },
    }
}

/// The error of a broken stream as the guest sees it.
pub(super) fn stream_error(fault: &Fault) -> StreamError {
    StreamError::LastOperationFailed(wasmtime::Error::new(from_fault(fault)))
}

/// What a host would have to say for the guest to see this.
pub(crate) fn host_error(fault: &Fault) -> HttpError {
    let text = from_fault(fault).to_string();
    match from_fault(fault) {
        ErrorCode::DestinationIpProhibited => HttpError::Denied(text),
        ErrorCode::HttpRequestUriInvalid => HttpError::Invalid(text),
        ErrorCode::DnsError(_) => HttpError::Dns(fault.text.clone()),
        ErrorCode::ConnectionRefused => HttpError::Refused(text),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError => HttpError::Tls(text),
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::HttpResponseTimeout => HttpError::TimedOut(text),
        ErrorCode::ConfigurationError => HttpError::Limit(text),
        _ => HttpError::Broken(text),
    }
}

/// What the host said, for Wasmtime's HTTP.
pub(super) fn from_host(error: HttpError) -> WireError {
    match error {
        HttpError::Denied(_) => WireError::DestinationIpProhibited,
        HttpError::Invalid(_) => WireError::HttpRequestUriInvalid,
        HttpError::Dns(text) => WireError::DnsError { rcode: Some(text), info_code: None },
        HttpError::Refused(_) => WireError::ConnectionRefused,
        HttpError::Tls(_) => WireError::TlsProtocolError,
        HttpError::TimedOut(_) => WireError::ConnectionTimeout,
        HttpError::Broken(_) => WireError::ConnectionTerminated,
        HttpError::Limit(_) => WireError::ConfigurationError,
    }
}
