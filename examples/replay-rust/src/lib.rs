//! Does, one path each, what makes programs hard to repeat.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use nexus_sdk::Error;
use nexus_sdk::http::{Request, Response, Send};

nexus_sdk::http!(handle);

fn handle(mut request: Request) -> Result<Response, Error> {
    let last = request.path().rsplit('/').next().unwrap_or_default().to_owned();
    match last.as_str() {
        "random" => Ok(Response::text(format!("{:?}\n", random_numbers()))),
        "clock" => clock(),
        "order" => Ok(Response::text(order())),
        "fetch" => fetch_all(&request),
        "stream" => stream(request),
        "log" => log(),
        "throw" => Err(Error::permanent("failed on purpose")),
        "late" => Ok(Response::stream(|sender| {
            sender.send("the beginning\n")?;
            panic!("panicked after the head")
        })),
        "loop" => loop {
            std::hint::black_box(&mut request);
        },
        "oom" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![kept.len() as u8; 1 << 20]);
            }
        }
        other => Ok(Response::text(format!("no such path: {other}\n")).status(404)),
    }
}

/// The standard library seeds each `RandomState` from the host.
fn random_numbers() -> Vec<u64> {
    use std::hash::{BuildHasher, RandomState};
    (0..4).map(|number: u64| RandomState::new().hash_one(number)).collect()
}

fn clock() -> Result<Response, Error> {
    let before = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Response::text(format!("{} {:?}\n", now.as_nanos(), before.elapsed())))
}

fn order() -> String {
    let keys = random_numbers();
    let map: HashMap<u64, usize> = keys.iter().copied().zip(0..).collect();
    let set: HashSet<usize> = (0..50).collect();
    format!("{map:?}\n{set:?}\n")
}

/// All requests are under way at once; the answers are taken in the order of the URLs.
fn fetch_all(request: &Request) -> Result<Response, Error> {
    let urls = request.query_pairs().filter(|(name, _)| name == "url").map(|(_, url)| url);
    let pending = urls.map(|url| Send::get(url).start()).collect::<Result<Vec<_>, _>>()?;
    let mut text = String::new();
    for pending in pending {
        let mut answer = pending.wait()?;
        let body = answer.body()?;
        text.push_str(&format!("{} {}\n", answer.status, String::from_utf8_lossy(&body)));
    }
    Ok(Response::text(text))
}

fn stream(mut request: Request) -> Result<Response, Error> {
    Ok(Response::stream(move |sender| {
        while let Some(piece) = request.read()? {
            sender.send(piece.to_ascii_uppercase())?;
        }
        Ok(())
    }))
}

fn log() -> Result<Response, Error> {
    println!("to standard output");
    eprintln!("to standard error");
    nexus_sdk::warn!("a warning", answer = 42, text = "a \"quoted\" text");
    Ok(Response::text("logged\n"))
}
