//! The data folder: who may read it, and the key that its secrets need.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Server, nexus};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nobody_else_can_read_it() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let mut server = Server::serve(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    server.stop(Signal::TERM);
    let token = data.join("token").display().to_string();
    let told = server.said("\"message\":\"stopped\"");
    assert!(told.contains("the admin token") && told.contains(&token), "{told}");
    let text = std::fs::read_to_string(token).unwrap();
    assert!(!told.contains(text.trim()), "the token itself is not logged: {told}");
    assert!(!told.contains("others could read"), "{told}");

    // As servers before made it.
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::serve(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    server.said("others could read the data folder (mode 755)");
}

#[test]
fn secrets_without_their_key_are_noticed_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("nexus.toml"), "project = \"shop\"\n").unwrap();
    std::fs::write(folder.join("value"), "hush").unwrap();
    let key = folder.join(".nexus/key");
    let dev = ["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

    // Without secrets nothing needs it.
    Server::dev(folder, &[]).stop(Signal::TERM);
    assert_eq!(mode(&folder.join(".nexus")), 0o700);
    let first = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let mut server = Server::dev(folder, &[]);
    let own = std::fs::read(&key).unwrap();
    assert_ne!(own, first);
    nexus(folder, &["secrets", "set", "api-key", "--from-file", "value"]).ok();
    server.stop(Signal::TERM);

    std::fs::remove_file(&key).unwrap();
    let done = nexus(folder, &dev);
    assert_eq!(done.code, 1);
    for expected in
        [".nexus/key is missing, and the secrets", "hint: put the key back as", "sqlite3"]
    {
        assert!(done.err.contains(expected), "{}", done.err);
    }
    assert!(!key.exists(), "a new one would hide that the old one is gone");

    std::fs::write(&key, first).unwrap();
    let done = nexus(folder, &dev);
    assert_eq!(done.code, 1);
    for expected in [".nexus/key is not the one that the secrets", "hint: put the key back as"] {
        assert!(done.err.contains(expected), "{}", done.err);
    }

    std::fs::write(&key, own).unwrap();
    let _again = Server::dev(folder, &[]);
    let shown = nexus(folder, &["secrets"]).ok();
    assert!(shown.out.contains("api-key"), "{}", shown.out);
}
