//! A data folder of which a part is gone: no server starts as if nothing had happened.

use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Server, nexus};

const DEV: [&str; 5] = ["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
const CUT: [&str; 4] = ["log", "cut", "--data", ".nexus"];

/// A folder whose server has stopped after a few events.
fn stopped(folder: &Path) -> String {
    std::fs::write(folder.join("nexus.toml"), "project = \"shop\"\n").unwrap();
    let mut server = Server::dev(folder, &[]);
    let project = "apiVersion: nexus/v1\nkind: Project\nmetadata: { name: shop }\nspec: {}\n";
    std::fs::write(folder.join("shop.yaml"), project).unwrap();
    nexus(folder, &["apply", "-f", "shop.yaml"]).ok();
    let id = nexus(folder, &["emit", "t"]).ok().out.trim().to_owned();
    server.stop(Signal::TERM);
    id
}

fn refused(folder: &Path, expected: &[&str]) {
    let done = nexus(folder, &DEV);
    assert_eq!(done.code, 1, "{}", done.err);
    for text in expected {
        assert!(done.err.contains(text), "{text} in {}", done.err);
    }
}

#[test]
fn a_lost_log_is_noticed_and_can_be_given_up() {
    // By the mark, and by the engine's checkpoint where a build before made no mark.
    for marked in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        let id = stopped(folder);
        nexus(folder, &["log", "verify", "--data", ".nexus"]).ok();
        std::fs::remove_dir_all(folder.join(".nexus/log")).unwrap();
        if !marked {
            std::fs::remove_file(folder.join(".nexus/log.mark")).unwrap();
            refused(folder, &["the log ends with record 0", "NX9001", "nexus log cut --data"]);
            // The server made an empty log and a mark of it.
        } else {
            refused(folder, &["reaches nothing, and it reached record", "nexus log cut --data"]);
        }
        let done = nexus(folder, &["log", "verify", "--data", ".nexus"]);
        assert!(done.code == 1 && done.out.starts_with("damaged\n"), "{}{}", done.out, done.err);
        let done = nexus(folder, &CUT);
        assert_eq!(done.code, 1, "it only says what would be done");
        assert!(done.err.contains("--yes lets the server go on"), "{}", done.err);
        refused(folder, &["nexus log cut --data"]);

        nexus(folder, &[&CUT[..], &["--yes"]].concat()).ok();
        let server = Server::dev(folder, &[]);
        assert_eq!(nexus(folder, &["events", "show", &id]).code, 1, "it is lost");
        nexus(folder, &["emit", "t"]).ok();
        drop(server);
        nexus(folder, &["log", "verify", "--data", ".nexus"]).ok();
    }
}

#[test]
fn a_lost_store_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let id = stopped(folder);
    let store = folder.join(".nexus/store.sqlite");
    let kept = std::fs::read(&store).unwrap();
    std::fs::remove_file(&store).unwrap();
    refused(folder, &["store.sqlite is missing, and the log beside it has", "touch ", "NX9001"]);
    refused(folder, &["store.sqlite is missing"]);
    // Back from a backup.
    std::fs::write(&store, &kept).unwrap();
    let mut server = Server::dev(folder, &[]);
    nexus(folder, &["events", "show", &id]).ok();
    server.stop(Signal::TERM);

    std::fs::write(&store, "").unwrap();
    drop(Server::dev(folder, &[]));
}
