//! The data folder's own token: once deleted it stays so, and there is a way to a new one.

use rustix::process::Signal;

use crate::harness::{Server, nexus};

#[test]
fn a_deleted_token_stays_dead_and_removing_its_file_makes_another() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let data = folder.join("data");
    let read = || std::fs::read_to_string(data.join("token")).unwrap().trim().to_owned();
    let list = |server: &Server, token: &str| {
        nexus(folder, &["tokens", "--server", &server.api, "--token", token])
    };

    let mut server = Server::serve(&data, &[]);
    let first = read();
    list(&server, &first).ok();
    // An administrator of one project, unless every project is asked for.
    let remote = ["--server", &server.api, "--token", &first];
    let with = |line: &[&str]| nexus(folder, &[line, &remote].concat());
    with(&["projects", "create", "shop"]).ok();
    let one = with(&["tokens", "create", "one", "--scope", "admin", "--project", "shop"]).ok();
    let all = with(&["tokens", "create", "all", "--scope", "admin", "--all-projects"]).ok();
    assert_eq!(list(&server, one.out.trim()).code, 1);
    let listed = list(&server, all.out.trim()).ok().out;
    let project = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(project("one").contains("shop") && project("all").contains("all"), "{listed}");

    with(&["tokens", "delete", "local"]).ok();
    assert_eq!(list(&server, &first).code, 1);
    server.stop(Signal::TERM);

    let mut server = Server::serve(&data, &[]);
    server.said("was deleted or replaced, and does not come back");
    assert_eq!(read(), first);
    let refused = list(&server, &first);
    assert!(refused.code == 1 && refused.err.contains("NX2001"), "{}", refused.err);
    list(&server, all.out.trim()).ok();
    server.stop(Signal::TERM);

    // Whoever may write in the folder gets another one, and the one before is worth nothing.
    for before in [&first, &read()] {
        std::fs::remove_file(data.join("token")).unwrap();
        let mut server = Server::serve(&data, &[]);
        let fresh = read();
        assert_ne!(fresh, **before);
        list(&server, &fresh).ok();
        assert_eq!(list(&server, before).code, 1);
        server.stop(Signal::TERM);
    }
    let mut server = Server::serve(&data, &[]);
    list(&server, &read()).ok();
    server.stop(Signal::TERM);
}

#[test]
fn a_token_that_was_there_before_the_first_start_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let text = format!("nx_{}", "0".repeat(52));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("token"), &text).unwrap();
    let server = Server::serve(&data, &[]);
    nexus(home.path(), &["tokens", "--server", &server.api, "--token", &text]).ok();
}
