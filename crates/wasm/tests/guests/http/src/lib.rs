//! An HTTP function whose path says what it does.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::poll;
use wasip2::io::streams::StreamError;

struct Function;

wasip2::http::proxy::export!(Function);

impl wasip2::exports::http::incoming_handler::Guest for Function {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        match path {
            "/echo" => return echo(&request, out),
            "/stream" => return stream(out),
            "/sized" => return sized(out),
            "/secret" => return secret(out),
            "/late-trap" => return late_trap(out),
            "/unfinished" => return unfinished(out),
            "/silent" => return,
            "/trap" => outer_of_the_trap(),
            "/sleep" => std::thread::sleep(Duration::from_secs(3_600)),
            "/spin" => loop {
                std::hint::black_box(0);
            },
            _ => {}
        }
        let text = match path {
            "/chance" => chance(),
            "/fanout" => fan_out(query),
            "/post" => post(query, &body(&request)),
            "/headers" => headers(),
            "/handles" => handles(),
            "/buffers" => buffers(query),
            "/post-half" => post_half(query),
            "/clock" => clock(),
            _ => {
                let count = body(&request).len();
                format!("hello {query} {count}")
            }
        };
        answer(out, &[], text.as_bytes());
    }
}

fn outer_of_the_trap() {
    let nothing: Option<u8> = std::hint::black_box(None);
    nothing.expect("as asked");
}

fn answer(out: ResponseOutparam, headers: &[(&str, &str)], bytes: &[u8]) {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).expect("header");
    }
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("body");
    ResponseOutparam::set(out, Ok(response));
    write(&body, bytes);
    OutgoingBody::finish(body, None).expect("finish");
}

/// Announces a length, and flushes after whoever asked has had time to read so far and go.
fn sized(out: ResponseOutparam) {
    let fields = Fields::new();
    fields.append("content-length", b"5").expect("header");
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("body");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("stream");
    stream.write(b"12345").expect("write");
    std::thread::sleep(Duration::from_millis(100));
    stream.blocking_flush().expect("flush");
    drop(stream);
    OutgoingBody::finish(body, None).expect("finish");
}

fn write(body: &OutgoingBody, bytes: &[u8]) {
    let stream = body.write().expect("stream");
    for piece in bytes.chunks(4096) {
        stream.blocking_write_and_flush(piece).expect("write");
    }
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("body");
    let stream = body.stream().expect("stream");
    read(&stream)
}

fn read(stream: &wasip2::io::streams::InputStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(piece) => all.extend(piece),
            Err(StreamError::Closed) => return all,
            Err(StreamError::LastOperationFailed(error)) => {
                all.extend(format!("<{}>", error.to_debug_string()).bytes());
                return all;
            }
        }
    }
}

/// Pieces of the request go out as pieces of the response.
fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let body = request.consume().expect("body");
    let input = body.stream().expect("stream");
    let response = OutgoingResponse::new(Fields::new());
    let outgoing = response.body().expect("body");
    ResponseOutparam::set(out, Ok(response));
    {
        let output = outgoing.write().expect("stream");
        loop {
            input.subscribe().block();
            match input.read(1 << 14) {
                Ok(piece) => {
                    let mut rest = &piece[..];
                    while !rest.is_empty() {
                        output.subscribe().block();
                        let room = (output.check_write().expect("room") as usize).min(rest.len());
                        output.write(&rest[..room]).expect("write");
                        rest = &rest[room..];
                    }
                    output.flush().expect("flush");
                }
                Err(_) => break,
            }
        }
    }
    drop(input);
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let _ = trailers.get();
    let fields = Fields::new();
    fields.append("x-end", b"yes").expect("trailer");
    OutgoingBody::finish(outgoing, Some(fields)).expect("finish");
}

/// Writes for ever.
fn stream(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let outgoing = response.body().expect("body");
    ResponseOutparam::set(out, Ok(response));
    let stream = outgoing.write().expect("stream");
    let piece = [b'.'; 4096];
    while stream.blocking_write_and_flush(&piece).is_ok() {}
    std::thread::sleep(Duration::from_secs(3_600));
}

fn late_trap(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let outgoing = response.body().expect("body");
    ResponseOutparam::set(out, Ok(response));
    write(&outgoing, b"half of it");
    panic!("in the middle");
}

/// Leaves the body of its answer without saying that it is whole.
fn unfinished(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let outgoing = response.body().expect("body");
    ResponseOutparam::set(out, Ok(response));
    write(&outgoing, b"half of it");
    drop(outgoing);
    // Goes on for a while: who reads the answer may have noticed by now.
    std::thread::sleep(Duration::from_millis(20));
}

/// Sends a request and leaves its body in the same way.
fn post_half(authority: &str) -> String {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("scheme");
    request.set_authority(Some(authority)).expect("authority");
    request.set_path_with_query(Some("/reflect")).expect("path");
    request.set_method(&Method::Post).expect("method");
    let body = request.body().expect("body");
    let future = outgoing_handler::handle(request, None).expect("handle");
    write(&body, b"half of it");
    drop(body);
    future.subscribe().block();
    let answer = future.get().expect("ready").expect("once");
    format!("{:?}", answer.map(|response| response.status()))
}

/// Maps of header fields, each within its limit.
fn headers() -> String {
    let mut kept = Vec::new();
    loop {
        let fields = Fields::new();
        fields.append("x-long", &[b'x'; 100_000]).expect("field");
        kept.push(fields);
    }
}

fn handles() -> String {
    let mut kept = Vec::new();
    loop {
        kept.push(Fields::new());
    }
}

/// Bodies that wait because their requests are never sent.
fn buffers(authority: &str) -> String {
    let mut kept = Vec::new();
    let piece = [b'x'; 4096];
    loop {
        let request = OutgoingRequest::new(Fields::new());
        request.set_authority(Some(authority)).expect("authority");
        let body = request.body().expect("body");
        let stream = body.write().expect("stream");
        while stream.check_write().expect("room") > 0 {
            let whole: Vec<u8> = piece.repeat(16);
            if let Err(error) = stream.write(&whole) {
                let StreamError::LastOperationFailed(error) = error else {
                    return "closed".to_owned();
                };
                return format!("{} {}", kept.len(), error.to_debug_string());
            }
        }
        kept.push((stream, body, request));
    }
}

fn chance() -> String {
    let words: HashMap<u32, u32> = (0..20).map(|number| (number, number * 2)).collect();
    let order: Vec<u32> = words.into_keys().collect();
    let random = wasip2::random::random::get_random_bytes(16);
    let number = wasip2::random::random::get_random_u64();
    let insecure = wasip2::random::insecure::get_insecure_random_u64();
    println!("order {order:?}");
    eprintln!("number {number}");
    format!("{order:?} {random:?} {number} {insecure} {}", clock())
}

fn clock() -> String {
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    let mut sum = 0;
    for _ in 0..100 {
        sum += SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("now").as_nanos()
            & 0xff;
    }
    format!("{:?} {sum} {:?}", began.elapsed(), SystemTime::now())
}

fn secret(out: ResponseOutparam) {
    let secret = std::env::var("TOKEN").expect("TOKEN");
    println!("it is {secret}");
    let plain = std::env::var("PLAIN").expect("PLAIN");
    let upstream = std::env::var("UPSTREAM").unwrap_or_default();
    let seen = if upstream.is_empty() {
        String::new()
    } else {
        let response = wait(&send(&upstream, "/reflect", Some(secret.as_bytes())));
        let body = response.consume().expect("body");
        String::from_utf8(read(&body.stream().expect("stream"))).expect("text")
    };
    answer(out, &[("x-secret", &secret)], format!("{plain} {secret} {seen}").as_bytes());
}

fn send(
    authority: &str,
    path: &str,
    bytes: Option<&[u8]>,
) -> wasip2::http::types::FutureIncomingResponse {
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("scheme");
    request.set_authority(Some(authority)).expect("authority");
    request.set_path_with_query(Some(path)).expect("path");
    if let Some(bytes) = bytes {
        request.set_method(&Method::Post).expect("method");
        let body = request.body().expect("body");
        let future = outgoing_handler::handle(request, None).expect("handle");
        write(&body, bytes);
        OutgoingBody::finish(body, None).expect("finish");
        return future;
    }
    outgoing_handler::handle(request, None).expect("handle")
}

fn wait(future: &wasip2::http::types::FutureIncomingResponse) -> IncomingResponse {
    future.subscribe().block();
    future.get().expect("ready").expect("once").expect("response")
}

/// Several requests at once; the answers are told in the order in which they came.
fn fan_out(authority: &str) -> String {
    let mut futures: Vec<_> =
        (0..8).map(|number| (number, send(authority, &format!("/delay/{number}"), None))).collect();
    let mut text = String::new();
    while !futures.is_empty() {
        let pollables: Vec<_> = futures.iter().map(|(_, future)| future.subscribe()).collect();
        let ready = poll::poll(&pollables.iter().collect::<Vec<_>>());
        drop(pollables);
        for index in ready.into_iter().rev() {
            let (number, future) = futures.remove(index as usize);
            match future.get().expect("ready").expect("once") {
                Ok(response) => {
                    let body = response.consume().expect("body");
                    let bytes = read(&body.stream().expect("stream"));
                    let bytes = String::from_utf8_lossy(&bytes).into_owned();
                    text.push_str(&format!("{number}: {} {bytes}\n", response.status()));
                }
                Err(error) => text.push_str(&format!("{number}: {error:?}\n")),
            }
        }
    }
    text
}

fn post(authority: &str, bytes: &[u8]) -> String {
    let response = wait(&send(authority, "/reflect", Some(bytes)));
    let body = response.consume().expect("body");
    String::from_utf8_lossy(&read(&body.stream().expect("stream"))).into_owned()
}
