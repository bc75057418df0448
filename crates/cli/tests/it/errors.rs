//! Wrong ways, each with what to do.

use std::io::{Read as _, Write as _};

use expect_test::expect;
use nexus_model::Code;

use crate::stub::{Route, command, command_in, json, nexus, problem};

#[test]
fn nothing_listens() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("http://127.0.0.1:{port}");
    let (code, out, err) = command(&["functions", "-p", "shop"], &["--server", &server]);
    assert_eq!((code, out.as_str()), (1, ""));
    expect![[r#"
        error: no server at http://server
          because: io: Connection refused (os error 111)
        hint: start one with `nexus dev`
    "#]]
    .assert_eq(&err.replace(&server, "http://server"));
}

#[test]
fn no_server_anywhere() {
    let (code, _, err) = command(&["events"], &[]);
    assert_eq!(code, 1);
    expect![[r#"
        error: no server found: neither --server nor NEXUS_SERVER, and no .nexus folder here or above
        hint: start one with `nexus dev` in a project's folder, or name one with --server
    "#]]
    .assert_eq(&err);
}

#[test]
fn the_server_of_the_folder_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join(".nexus");
    std::fs::create_dir(&data).unwrap();
    let (code, _, err) = command_in(folder.path(), &["functions"], &[]);
    assert_eq!(code, 1);
    expect![[r#"
        error: no server runs for FOLDER
        hint: start it again with `nexus dev` or `nexus serve`, or name another with --server
    "#]]
    .assert_eq(&err.replace(&data.display().to_string(), "FOLDER"));
}

/// A server that looks at the head of one request, refuses it, and reads no body.
fn refusing(answers: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(answers.as_bytes()).unwrap();
    });
    server
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big");
    std::fs::File::create(&file).unwrap().set_len(70 << 20).unwrap();
    let data = format!("@{}", file.display());
    let line = ["invoke", "hello", "-p", "shop", "-d", &data];
    let refusal = problem("", Code::TooLarge, "it has too many bytes");
    let answer = format!("HTTP/1.1 {}", refusal.text());
    let (code, _, err) = command(&line, &["--server", &refusing(answer.leak())]);
    assert_eq!(code, 1);
    expect![[r#"
        error: it has too many bytes
          code: NX1003 (the request is larger than its limit)
        hint: `nexus limits` lists the limits
    "#]]
    .assert_eq(&err);
    // What stands before the server may take the body at first and close the connection then.
    let server = refusing("HTTP/1.1 100 Continue\r\n\r\n");
    let (code, _, err) = command(&line, &["--server", &server]);
    assert_eq!(code, 1);
    let first = err.lines().next().unwrap();
    assert_eq!(
        first,
        format!("error: {server} closed the connection while 70 MiB were sent to it")
    );
    assert!(err.ends_with(
        "hint: it may be more than the server takes: `nexus limits` lists the limits\n"
    ));
}

fn no_function() -> Route {
    let request = "GET /api/v1/projects/shop/functions/nope";
    problem(request, Code::NotFound, "there is no function 'nope'")
}

#[test]
fn a_list_about_a_function_that_is_not_there_says_so() {
    let missing = no_function;
    let empty = |request| json(request, serde_json::json!({ "items": [] }));
    for (line, request, what) in [
        (&["logs", "nope"][..], "GET /api/v1/projects/shop/logs", "log lines"),
        (
            &["invocations", "--function", "nope"],
            "GET /api/v1/projects/shop/invocations",
            "invocations",
        ),
    ] {
        let done = nexus(line, vec![empty(request), missing()]);
        assert_eq!((done.code, done.out.as_str()), (0, ""));
        assert_eq!(done.err, format!("no {what}: there is no function 'nope'\n"));
        // One that is there is only empty.
        let there = json("GET /api/v1/projects/shop/functions/nope", "{}");
        assert_eq!(nexus(line, vec![empty(request), there]).err, format!("no {what}\n"));
    }
}

#[test]
fn what_is_empty_is_said() {
    let none = || serde_json::json!({ "items": [] });
    let done = nexus(&["projects"], vec![json("GET /api/v1/projects", none())]);
    assert_eq!(done.err, "no projects; `nexus projects create NAME` makes one\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.yaml").display().to_string();
    std::fs::write(&file, "").unwrap();
    let done = nexus(&["apply", "-f", &file], Vec::new());
    assert_eq!((done.code, done.err), (0, format!("{file}: there is nothing in it to apply\n")));
}

#[test]
fn what_is_no_component_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("main.js").display().to_string();
    for (content, what) in [
        (
            &b"export default {}"[..],
            "a text: `nexus deploy FOLDER` builds a project from its sources",
        ),
        (b"", "empty"),
        (b"\x7fELF\xff", "a program of this machine: build it for wasm32-wasip2"),
        (b"\xff\xfe", "something else"),
    ] {
        std::fs::write(&file, content).unwrap();
        let done = nexus(&["deploy", "--component", &file, "--name", "x"], Vec::new());
        assert_eq!(done.code, 2);
        let said = format!(
            "error: {file} is not a WebAssembly component or module\nhint: it seems to be {what}\n"
        );
        assert_eq!(done.err, said);
    }
}

#[test]
fn errors_are_json_where_output_is() {
    let done = nexus(&["functions", "show", "nope", "--json"], vec![no_function()]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    let value: serde_json::Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!(value["code"], "NX3001");
}

#[test]
fn wrong_ids_and_flags_exit_with_2() {
    for line in [
        &["invocations", "show", "inv_1"][..],
        &["events", "show", "nope"],
        &["invocations", "--status", "bad"],
        &["events", "--since", "whenever"],
        &["emit"],
        &["emit", "t", "--ext", "Upper=1"],
        &["deploy", "--component", "x.wasm"],
        &["nonsense"],
        &["get", "cats"],
        &["invocations", "--limit", "0"],
        &["dead-letters", "--limit", "0"],
    ] {
        let done = nexus(line, Vec::new());
        assert_eq!(done.code, 2, "{line:?}: {}", done.err);
        assert!(!done.err.is_empty(), "{line:?}");
    }
}

#[test]
fn something_else_than_nexus_answers() {
    let done = nexus(&["functions"], Vec::new());
    assert_eq!(done.code, 1);
    assert_eq!(
        done.err,
        "error: the answer with status 404 is not what a Nexus server answers: the stub has no \
         such route\n"
    );
}

#[test]
fn limits_and_versions_need_no_server() {
    let (code, out, _) = command(&["limits", "--json"], &[]);
    assert_eq!(code, 0);
    assert_eq!(out.lines().count(), nexus_model::limits::ALL.len());
    let (code, out, _) = command(&["version"], &[]);
    assert_eq!((code, out), (0, format!("nexus {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = command(&["completion", "bash"], &[]);
    assert_eq!(code, 0);
    assert!(out.contains("_nexus"));
}
