//! The data folder: who may read it, the key that its secrets need, and what is done about damage.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

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

/// The file of the log that has this text, and where in it.
fn place_of(log: &Path, text: &str) -> (PathBuf, usize) {
    let files = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let mut found = files.filter(|path| path.is_file()).filter_map(|path| {
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes())?;
        Some((path, at))
    });
    found.next().unwrap_or_else(|| panic!("no file of the log has {text}"))
}

#[test]
fn a_damaged_log_is_cut_when_somebody_says_so() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("nexus.toml"), "project = \"shop\"\n").unwrap();
    let dev = ["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let cut = ["log", "cut", "--data", ".nexus"];
    let mut server = Server::dev(folder, &[]);
    let project = "apiVersion: nexus/v1\nkind: Project\nmetadata: { name: shop }\nspec: {}\n";
    std::fs::write(folder.join("shop.yaml"), project).unwrap();
    nexus(folder, &["apply", "-f", "shop.yaml"]).ok();
    let ids = [0, 1, 2, 3, 4, 5].map(|number| {
        let data = format!("\"marker-{number}\"");
        nexus(folder, &["emit", "t", "--data", &data]).ok().out.trim().to_owned()
    });
    server.stop(Signal::TERM);
    let done = nexus(folder, &cut).ok();
    assert!(done.err.contains("nothing to cut"), "{}", done.err);
    let checkpoint = folder.join(".nexus/engine/engine.checkpoint");
    assert!(checkpoint.exists());

    let (file, at) = place_of(&folder.join(".nexus/log"), "marker-3");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let done = nexus(folder, &dev);
    assert_eq!(done.code, 1);
    for expected in ["is damaged at byte", "nexus log verify --data ", "nexus log cut --data "] {
        assert!(done.err.contains(expected), "{}", done.err);
    }
    let done = nexus(folder, &["log", "verify", "--data", ".nexus"]);
    assert_eq!(done.code, 1);
    assert!(done.out.starts_with("damaged\n"), "{}", done.out);
    assert!(done.err.contains("hint: put damaged and missing files back"), "{}", done.err);

    let done = nexus(folder, &cut);
    assert_eq!(done.code, 1, "it only says what would be done");
    for expected in ["is to be cut at byte", ", damaged: ", "stays ", "goes ", "the newest of 20"] {
        assert!(done.out.contains(expected), "{}", done.out);
    }
    assert!(done.err.contains("--yes cuts the log"), "{}", done.err);
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    let done = nexus(folder, &[&cut[..], &["--yes", "--json"]].concat()).ok();
    let [report] = &done.values()[..] else { panic!("{}", done.out) };
    let aside = Path::new(report["aside"].as_str().unwrap()).join(file.file_name().unwrap());
    assert_eq!(std::fs::read(folder.join(aside)).unwrap(), bytes, "it is there as it was");

    let server = Server::dev(folder, &[]);
    assert!(!checkpoint.exists(), "it has seen records that are gone");
    for (number, id) in ids.iter().enumerate() {
        let shown = nexus(folder, &["events", "show", id]);
        assert_eq!(shown.code == 0, number < 3, "{number}: {}{}", shown.out, shown.err);
    }
    nexus(folder, &["emit", "t"]).ok();
    let running = nexus(folder, &cut);
    assert!(running.code == 1 && running.err.contains("stop it first"), "{}", running.err);
    drop(server);
    nexus(folder, &["log", "verify", "--data", ".nexus"]).ok();
}
