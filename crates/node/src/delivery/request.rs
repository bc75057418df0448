//! A request to a durable function as the data of an event: whole, in the form that HTTP/1.1 has for
//! it (`message/http`, RFC 9112), with an absolute target.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use nexus_engine::INVOKE_TYPE;
use nexus_model::record::StoredEvent;

/// The source of events that are requests. Nobody else can send events of their type.
pub(crate) const REQUEST_SOURCE: &str = "/nexus/request";
/// The media type of a request.
pub(crate) const REQUEST_MEDIA_TYPE: &str = "message/http";

/// Whether an event is a request.
pub(crate) fn is_request(event: &StoredEvent) -> bool {
    event.ty == INVOKE_TYPE && event.source == REQUEST_SOURCE
}

/// The bytes of a request.
pub(crate) fn to_bytes(request: &Request<Bytes>) -> Bytes {
    let mut bytes = BytesMut::with_capacity(request.body().len() + 512);
    let line = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    bytes.extend_from_slice(line.as_bytes());
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(request.body());
    bytes.freeze()
}

/// The request that [`to_bytes`] wrote; `None` where the bytes are none.
pub(crate) fn from_bytes(bytes: &Bytes) -> Option<Request<Bytes>> {
    const END: &[u8] = b"\r\n\r\n";
    let head = bytes.windows(END.len()).position(|at| at == END)?;
    let mut lines = Lines(&bytes[..head + 2]);
    let mut words = std::str::from_utf8(lines.next()?).ok()?.split(' ');
    let method: Method = words.next()?.parse().ok()?;
    let uri: Uri = words.next()?.parse().ok()?;
    let mut request = Request::new(bytes.slice(head + END.len()..));
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line.get(colon + 2..)?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request)
}

/// Lines that end with CR LF: a value may hold anything else.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.windows(2).position(|at| at == b"\r\n")?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 2..];
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_as_they_were() {
        let bodies: [&[u8]; 3] = [b"", b"\r\n\r\nno head", b"\x00\xff"];
        for body in bodies {
            let request = Request::put("http://shop.localhost:8080/a%20b?c=d&e")
                .header("host", "shop.localhost:8080")
                .header("x-twice", "1")
                .header("x-twice", HeaderValue::from_bytes(b"caf\xe9: x").unwrap())
                .header("x-empty", "")
                .body(Bytes::copy_from_slice(body))
                .unwrap();
            let read = from_bytes(&to_bytes(&request)).unwrap();
            assert_eq!((read.method(), read.uri()), (request.method(), request.uri()));
            assert_eq!((read.headers(), read.body()), (request.headers(), request.body()));
        }
        for wrong in ["", "GET /", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "\r\n\r\n"] {
            assert!(from_bytes(&Bytes::from(wrong)).is_none(), "{wrong:?}");
        }
    }
}
