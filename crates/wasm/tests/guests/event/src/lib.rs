//! An event function: everything that the world offers.

wit_bindgen::generate!({
    path: "../../../../../wit/function",
    world: "function-full",
});

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use nexus::function::types::{Error, Event, Output, Payload};
use nexus::function::{context, events, log};

struct Function;

export!(Function);

impl exports::nexus::function::handler::Guest for Function {
    fn handle(event: Event) -> Result<Output, Error> {
        let text = String::from_utf8(event.data.clone().unwrap_or_default()).unwrap_or_default();
        match event.ty.as_str() {
            "transient" => return Err(Error::Transient("later".into())),
            "permanent" => return Err(Error::Permanent("never".into())),
            "trap" => panic!("as asked"),
            "spin" => loop {
                std::hint::black_box(0);
            },
            "oom" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1u8; 1 << 20]);
                }
            }
            "recurse" => return Ok(answer(format!("{}", recurse(1)))),
            "emit" => return Ok(emit(&text)),
            "long-failure" => return Err(Error::Transient("x".repeat(1 << 20))),
            "long-type" => {
                let content_type = "x".repeat(1 << 20);
                let payload = Some(Payload { content_type, data: Vec::new() });
                return Ok(Output { payload, events: Vec::new() });
            }
            "many-events" => {
                let events = (0..20).map(|_| large()).collect();
                return Ok(Output { payload: None, events });
            }
            "small" => return Ok(answer(text)),
            _ => {}
        }
        let began = Instant::now();
        let words: HashMap<String, usize> =
            text.split_whitespace().map(|word| (word.to_owned(), word.len())).collect();
        let order: Vec<String> = words.into_keys().collect();
        for index in 0..10 {
            log::write(
                log::Level::Info,
                &format!("step {index}"),
                &[("elapsed".into(), began.elapsed().as_nanos().to_string())],
            );
        }
        println!("{:?}", SystemTime::now());
        Ok(answer(format!(
            "{order:?} {:?} {} {} {} {}",
            SystemTime::now(),
            context::invocation_id(),
            context::attempt(),
            context::traceparent(),
            context::deadline_ms(),
        )))
    }
}

fn large() -> Event {
    Event {
        id: String::new(),
        source: String::new(),
        ty: "large".into(),
        subject: None,
        time: None,
        datacontenttype: Some("application/octet-stream".into()),
        dataschema: None,
        extensions: Vec::new(),
        data: Some(vec![b'x'; 1_000_000]),
    }
}

fn emit(text: &str) -> Output {
    let event = |ty: &str| Event {
        id: String::new(),
        source: String::new(),
        ty: ty.into(),
        subject: None,
        time: None,
        datacontenttype: Some("text/plain".into()),
        dataschema: None,
        extensions: vec![("colour".into(), "red".into())],
        data: Some(text.as_bytes().to_vec()),
    };
    let ids = events::emit(&[event("first"), event("second")]);
    let refused = events::emit(&[event("")]);
    let mut output = answer(format!("{ids:?} {refused:?}"));
    output.events.push(event("returned"));
    output
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let kept = [depth; 64];
    if std::hint::black_box(depth) == 0 {
        return 0;
    }
    recurse(depth + 1) + std::hint::black_box(kept)[3]
}

fn answer(text: String) -> Output {
    Output {
        payload: Some(Payload { content_type: "text/plain".into(), data: text.into_bytes() }),
        events: Vec::new(),
    }
}
