//! A terminal session: one folder, one environment, one pair of ports.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::pattern;
use super::script::{Action, Block, Command};
use crate::http;
use crate::shell::Workspace;

/// How long an output that takes a moment is waited for. Building a guest counts too.
const PATIENCE: Duration = Duration::from_secs(300);
/// Prefixes of ids that commands may leave open.
const ID_PREFIXES: &[&str] = &["inv_", "evt_", "ver_"];

pub(crate) struct Session {
    folder: tempdir::Folder,
    /// Where the next command runs.
    current: PathBuf,
    environment: Vec<(&'static str, std::ffi::OsString)>,
    /// Addresses as documented and as used here, so that tests can run beside a real server.
    addresses: Vec<(&'static str, String)>,
    /// The last id seen, by prefix.
    ids: BTreeMap<&'static str, String>,
    background: Vec<Child>,
}

impl Session {
    /// A new, empty folder in which `nexus` is the build of `profile`.
    pub(crate) fn start(workspace: &Workspace, profile: &str) -> anyhow::Result<Self> {
        let nexus = workspace.nexus(profile);
        if !nexus.is_file() {
            bail!("{} is missing: build it with 'cargo build --package nexus'", nexus.display());
        }
        let folder = tempdir::Folder::new()?;
        let ingress = http::free_port()?;
        let admin = http::free_port()?;
        let own = nexus.parent().map(PathBuf::from).unwrap_or_default();
        let path = std::env::join_paths(
            std::iter::once(own).chain(std::env::split_paths(&workspace.path())),
        )?;
        let environment = vec![
            ("PATH", path),
            ("NEXUS_INGRESS__LISTEN", format!("127.0.0.1:{ingress}").into()),
            ("NEXUS_API__LISTEN", format!("127.0.0.1:{admin}").into()),
            ("NO_COLOR", "1".into()),
            ("CARGO_TARGET_DIR", workspace.target.join("guests").into()),
        ];
        let addresses = vec![(":8080", format!(":{ingress}")), (":7070", format!(":{admin}"))];
        let current = folder.path.clone();
        Ok(Session {
            folder,
            current,
            environment,
            addresses,
            ids: BTreeMap::new(),
            background: Vec::new(),
        })
    }

    /// Executes one block.
    pub(crate) fn run(&mut self, block: &Block) -> anyhow::Result<()> {
        match &block.action {
            Action::File { name, text } => {
                let path = self.current.join(name);
                let written = path.parent().map_or(Ok(()), fs::create_dir_all);
                written
                    .and_then(|()| fs::write(&path, text))
                    .with_context(|| format!("failed to write {}", path.display()))
            }
            Action::Background(command) => self.start_background(command),
            Action::Run(commands) => commands.iter().try_for_each(|command| self.once(command)),
            Action::Retry(commands) => {
                commands.iter().try_for_each(|command| self.until_it_matches(command))
            }
        }
    }

    /// Interrupts what still runs, as Ctrl-C would, and waits for it.
    pub(crate) fn end(&mut self) {
        for mut child in self.background.drain(..) {
            let group = format!("-{}", child.id());
            Process::new("kill").args(["-INT", "--", &group]).status().ok();
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
            Process::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().ok();
            child.wait().ok();
        }
    }

    fn once(&mut self, command: &Command) -> anyhow::Result<()> {
        println!("  $ {}", command.line);
        let shown = self.execute(command)?;
        self.compare(command, &shown)
    }

    fn until_it_matches(&mut self, command: &Command) -> anyhow::Result<()> {
        println!("  $ {}", command.line);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let result = self.execute(command).and_then(|shown| self.compare(command, &shown));
            if result.is_ok() || Instant::now() > deadline {
                return result;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs a command; gives what the terminal shows, with the documented addresses.
    fn execute(&mut self, command: &Command) -> anyhow::Result<Shown> {
        let line = self.fill(&command.line)?;
        let place = self.folder.path.join(".current");
        let exported = self.folder.path.join(".exported");
        let script = format!(
            "exec 2>&1\n[ -f '{exported}' ] && . '{exported}'\n{line}\nstatus=$?\n\
             pwd >'{place}'\nexport -p >'{exported}'\nexit $status",
            exported = exported.display(),
            place = place.display()
        );
        let output = self
            .shell(&script)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to run '{line}'"))?;
        if let Ok(current) = fs::read_to_string(&place) {
            self.current = PathBuf::from(current.trim_end());
        }
        let text = self.documented(&String::from_utf8_lossy(&output.stdout));
        self.remember_ids(&text);
        Ok(Shown { text, exit: output.status.code().unwrap_or(-1) })
    }

    fn compare(&self, command: &Command, shown: &Shown) -> anyhow::Result<()> {
        if shown.exit != command.exit {
            let Shown { text, exit } = shown;
            bail!("'{}' ended with {exit}, not {}; it showed:\n{text}", command.line, command.exit);
        }
        let lines: Vec<&str> = shown.text.lines().collect();
        if !command.output.is_empty() && !pattern::matches(&command.output, &lines) {
            let expected = command.output.join("\n");
            let text = &shown.text;
            bail!("'{}' should show:\n{expected}\nbut it showed:\n{text}", command.line);
        }
        Ok(())
    }

    /// Starts a command and waits until it has shown all that is written, in order.
    fn start_background(&mut self, command: &Command) -> anyhow::Result<()> {
        use std::os::unix::process::CommandExt as _;
        println!("  $ {} &", command.line);
        let line = self.fill(&command.line)?;
        let mut child = self
            .shell(&format!("exec 2>&1\nexec {line}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start '{line}'"))?;
        let stdout = child.stdout.take().context("the child has no standard output")?;
        self.background.push(child);
        let seen = Arc::new(Mutex::new(Vec::<String>::new()));
        let writer = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(mut seen) = writer.lock() {
                    seen.push(line);
                }
            }
        });
        self.wait_for(command, &seen)
    }

    fn wait_for(&mut self, command: &Command, seen: &Mutex<Vec<String>>) -> anyhow::Result<()> {
        let mut expected = command.output.clone();
        expected.push("…".to_owned());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = seen.lock().map(|seen| seen.join("\n")).unwrap_or_default();
            let text = self.documented(&text);
            self.remember_ids(&text);
            if pattern::matches(&expected, &text.lines().collect::<Vec<_>>()) {
                return Ok(());
            }
            let ended = self.background.last_mut().map(Child::try_wait);
            if Instant::now() > deadline || matches!(ended, Some(Ok(Some(_)))) {
                let expected = command.output.join("\n");
                bail!("'{}' should show:\n{expected}\nbut it showed:\n{text}", command.line);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn shell(&self, script: &str) -> Process {
        let mut shell = Process::new("bash");
        shell.arg("-c").arg(script).current_dir(&self.current);
        shell.envs(self.environment.iter().map(|(name, value)| (name, value)));
        shell
    }

    /// A command with the addresses and ids of this session.
    fn fill(&self, line: &str) -> anyhow::Result<String> {
        let mut filled = line.to_owned();
        for (documented, used) in &self.addresses {
            filled = filled.replace(documented, used);
        }
        for prefix in ID_PREFIXES {
            let open = format!("{prefix}…");
            if filled.contains(&open) {
                let id = self.ids.get(prefix);
                let id = id.with_context(|| format!("no command has shown an id '{open}' yet"))?;
                filled = filled.replace(&open, id);
            }
        }
        Ok(filled)
    }

    /// A text with the addresses that the documentation uses.
    fn documented(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (documented, used) in &self.addresses {
            text = text.replace(used, documented);
        }
        text
    }

    /// Keeps the first id of each sort that the text shows: lists begin with the newest.
    fn remember_ids(&mut self, text: &str) {
        for prefix in ID_PREFIXES {
            let Some(at) = text.find(prefix) else { continue };
            let rest = text[at + prefix.len()..].chars();
            let tail: String = rest.take_while(char::is_ascii_alphanumeric).collect();
            if tail.len() >= 16 {
                self.ids.insert(prefix, format!("{prefix}{tail}"));
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

struct Shown {
    text: String,
    exit: i32,
}

mod tempdir {
    //! A folder that goes when its owner goes.

    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::Context as _;

    pub(crate) struct Folder {
        pub(crate) path: PathBuf,
    }

    impl Folder {
        pub(crate) fn new() -> anyhow::Result<Self> {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("nexus-docs-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path)
                .with_context(|| format!("failed to create {}", path.display()))?;
            Ok(Folder { path })
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}
