//! A `wasi:http` function that answers at once: what remains is the cost of the platform.

use wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Hello;

impl wasi::exports::http::incoming_handler::Guest for Hello {
    fn handle(_request: IncomingRequest, out: ResponseOutparam) {
        let headers = Fields::new();
        let media_type = b"application/json".to_vec();
        headers.set("content-type", &[media_type]).expect("a valid header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("the first use of the body");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the first use of the stream");
        stream.blocking_write_and_flush(br#"{"hello":"world"}"#).expect("a writable body");
        drop(stream);
        OutgoingBody::finish(body, None).expect("a finished body");
    }
}

wasi::http::proxy::export!(Hello);
