//! Servers that go away while somebody waits.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use nexus_model::Code;
use serde_json::{Value, json};

use crate::stub::{Route, command, problem};

const INV: &str = "inv_01kagsk1s0e3s0000000000001";

/// What a server does with one request.
enum Does {
    Answer(Route),
    /// Sends this as a stream that ends.
    Stream(String),
    /// Closes the connection.
    Nothing,
}

/// Runs a command against a server that does one thing after the other. Says how it ended, and the
/// head of each request.
fn run(line: &[&str], does: Vec<Does>) -> (u8, String, String, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    std::thread::spawn(move || {
        for step in does {
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0);
            }
            seen.lock().unwrap().push(head.to_lowercase());
            let text = match step {
                Does::Answer(route) => route.text(),
                Does::Stream(text) => {
                    format!(
                        "200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{text}"
                    )
                }
                Does::Nothing => continue,
            };
            write!(reader.get_mut(), "HTTP/1.1 {text}").unwrap();
        }
    });
    let (code, out, err) = command(line, &["--server", &server, "--project", "shop"]);
    let heads = heads.lock().unwrap().clone();
    (code, out, err, heads)
}

fn answer(status: u16, headers: &'static str, body: impl ToString) -> Does {
    Does::Answer(Route { request: "", status, headers, body: body.to_string() })
}

fn pending() -> Does {
    let body = json!({ "invocation": INV, "status": "running", "attempt": 1, "reason": "running" });
    answer(202, "content-type: application/vnd.nexus.pending+json\r\n", body)
}

fn done() -> Does {
    answer(200, "content-type: text/plain\r\nnexus-invocation-id: inv_1\r\n", "done")
}

fn stopping() -> Does {
    Does::Answer(problem("", Code::ShuttingDown, "the server is shutting down"))
}

#[test]
fn a_result_is_waited_for_through_a_restart() {
    let proxy = answer(502, "content-type: text/html\r\n", "<h1>Bad Gateway</h1>");
    let does = vec![pending(), Does::Nothing, stopping(), proxy, done()];
    let (code, out, err, heads) = run(&["result", INV, "--wait"], does);
    assert_eq!((code, out.as_str(), heads.len()), (0, "done", 5), "{err}");
    assert_eq!(err.matches("the server is away; waiting for it").count(), 1, "{err}");
    assert_eq!(err.matches("the server is back").count(), 1, "{err}");
}

#[test]
fn a_server_that_was_never_there_is_not_waited_for() {
    let (code, _, err, heads) = run(&["result", INV, "--wait"], vec![Does::Nothing]);
    assert_eq!((code, heads.len()), (1, 1));
    assert!(err.contains("failed") && !err.contains("away"), "{err}");
}

#[test]
fn patience_ends_when_it_was_said() {
    let mut does = vec![pending()];
    does.extend((0..20).map(|_| stopping()));
    let (code, _, err, _) = run(&["result", INV, "--timeout", "1500ms"], does);
    assert_eq!(code, 1);
    assert!(err.contains("the server is shutting down"), "{err}");
}

#[test]
fn a_function_that_answers_503_has_answered() {
    let headers = "content-type: text/plain\r\nnexus-invocation-id: inv_1\r\n";
    let (code, out, _, heads) =
        run(&["result", INV, "--wait"], vec![pending(), answer(503, headers, "later")]);
    assert_eq!((code, out.as_str(), heads.len()), (1, "later", 2));
}

#[test]
fn a_call_that_was_accepted_is_not_sent_again() {
    let accepted = answer(
        202,
        "content-type: application/json\r\nnexus-invocation-id: inv_01kagsk1s0e3s0000000000001\r\n",
        json!({ "invocation": INV }),
    );
    let does = vec![accepted, Does::Nothing, done()];
    let (code, out, err, heads) = run(&["invoke", "hello", "--wait"], does);
    assert_eq!((code, out.as_str()), (0, "done"), "{err}");
    let posts = heads.iter().filter(|head| head.starts_with("post")).count();
    assert_eq!((posts, heads.len()), (1, 3));
}

#[test]
fn what_is_followed_goes_on_where_it_broke() {
    let line = |text: &str| {
        json!({ "at": "2026-11-20T19:00:01Z", "stream": "stdout", "text": text,
                "function": "hello", "invocation": INV })
    };
    let sent = |id: &str, text: &str| format!("event: log\nid: {id}\ndata: {}\n\n", line(text));
    // The first stream breaks before anything came, the second between two lines of one record.
    let begin = "id: c1-0-4\n\n".to_owned();
    let second = format!("{}{}", sent("c1-0-5", "a"), sent("c1-0-5", "b"));
    let third = format!("{}{}", sent("c1-0-5", "b"), sent("c1-0-6", "c"));
    let list = answer(200, "content-type: application/json\r\n", json!({ "items": [line("old")] }));
    let gone = Does::Answer(problem("", Code::Unauthenticated, "the token is gone"));
    let does = vec![
        Does::Stream(begin),
        list,
        stopping(),
        Does::Stream(second),
        Does::Nothing,
        Does::Stream(third),
        gone,
    ];
    let (code, out, err, heads) = run(&["logs", "--follow", "--json"], does);
    let text = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].clone();
    assert_eq!(out.lines().map(text).collect::<Vec<_>>(), ["old", "a", "b", "c"], "{err}");
    let last = |head: &String| {
        let line = head.lines().find_map(|line| line.strip_prefix("last-event-id: "));
        line.unwrap_or_default().to_owned()
    };
    let asked: Vec<_> = heads.iter().map(last).collect();
    assert_eq!(asked, ["", "", "c1-0-4", "c1-0-4", "c1-0-5", "c1-0-5", "c1-0-6"]);
    assert_eq!(code, 1);
    assert_eq!(err.matches("the server is away").count(), 2, "{err}");
    assert!(err.contains("the token is gone"), "{err}");
}
