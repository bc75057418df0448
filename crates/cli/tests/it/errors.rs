//! Wrong ways, each with what to do.

use expect_test::expect;

use crate::stub::{Route, command, nexus};

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
fn errors_are_json_where_output_is() {
    let route = Route {
        request: "GET /api/v1/projects/shop/functions/nope",
        status: 404,
        headers: "content-type: application/problem+json\r\n",
        body: serde_json::to_string(&nexus_model::Problem::new(
            nexus_model::Code::NotFound,
            "there is no function 'nope'",
        ))
        .unwrap(),
    };
    let done = nexus(&["functions", "show", "nope", "--json"], vec![route]);
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
