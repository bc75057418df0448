//! `cargo xtask demo`: from nothing to a running platform with a sample project, and a tour of it.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::shell::{self, Workspace};
use crate::{console, http, setup};

/// How long building and starting the sample may take.
const START_MAX: Duration = Duration::from_secs(600);
/// How long the server may take to stop.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Options of `cargo xtask demo`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Stop the platform after the tour, and use free ports instead of 8080 and 7070.
    #[arg(long)]
    exit: bool,
    /// Which build to use: `release` or `debug`.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Use the build that is there.
    #[arg(long)]
    no_build: bool,
}

/// Runs `cargo xtask demo`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let missing = setup::for_demo(workspace)?;
    anyhow::ensure!(missing.is_empty(), "missing: {}", missing.join(", "));
    if !options.no_build {
        console::build(workspace)?;
        build(workspace, &options.profile)?;
    }
    let tour = Tour::prepare(workspace, options)?;
    let mut server = tour.start()?;
    let shown = tour.walk();
    if shown.is_err() || options.exit {
        stop(&mut server);
        shown?;
        println!("\nthe tour took {:.1} s in all", started.elapsed().as_secs_f64());
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nThe platform keeps running; its folder is {}", tour.folder.display());
    println!("Ctrl-C stops it.");
    server.wait().context("failed to wait for the server")?;
    Ok(ExitCode::SUCCESS)
}

fn build(workspace: &Workspace, profile: &str) -> anyhow::Result<()> {
    let mut build = workspace.cargo(&["build", "--locked", "--package", "nexus"]);
    if profile == "release" {
        println!("building Nexus; the first time this takes some minutes");
        build.arg("--release");
    }
    shell::run(&mut build)
}

/// The tour with the debug build that the tests have made.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let options = Options { exit: true, profile: "debug".to_owned(), no_build: true };
    run(workspace, &options).map(drop)
}

struct Tour {
    nexus: PathBuf,
    folder: PathBuf,
    ingress: SocketAddr,
    admin: SocketAddr,
    path: std::ffi::OsString,
    /// Where guests in Rust are built.
    guests: PathBuf,
    /// Whether the server may be interrupted by the terminal.
    foreground: bool,
}

impl Tour {
    /// Empties the folder of the sample and chooses addresses.
    fn prepare(workspace: &Workspace, options: &Options) -> anyhow::Result<Self> {
        let folder = workspace.target.join("demo");
        shell::empty(&folder)?;
        let (ingress, admin) =
            if options.exit { (http::free_port()?, http::free_port()?) } else { (8080, 7070) };
        let nexus = workspace.nexus(&options.profile);
        let own = nexus.parent().map(Path::to_owned).unwrap_or_default();
        let path = std::env::join_paths(
            std::iter::once(own).chain(std::env::split_paths(&workspace.path())),
        )?;
        Ok(Tour {
            nexus,
            folder,
            ingress: SocketAddr::from(([127, 0, 0, 1], ingress)),
            admin: SocketAddr::from(([127, 0, 0, 1], admin)),
            path,
            guests: workspace.target.join("guests"),
            foreground: !options.exit,
        })
    }

    /// Lays out two projects and serves both.
    fn start(&self) -> anyhow::Result<Child> {
        self.show("nexus new shop --lang rust")?;
        self.show("nexus new billing --lang javascript --template event")?;
        let line = format!(
            "nexus dev shop billing --listen {} --admin-listen {}",
            self.ingress, self.admin
        );
        println!("\n$ {line}");
        let started = Instant::now();
        let mut command = Command::new(&self.nexus);
        command
            .args(line.split(' ').skip(1))
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("CARGO_TARGET_DIR", &self.guests)
            .stdin(Stdio::null());
        if !self.foreground {
            command.process_group(0);
        }
        let mut server = command.spawn().context("failed to start nexus dev")?;
        let ready = self.wait_until_ready(&mut server);
        if ready.is_err() {
            stop(&mut server);
        }
        ready?;
        println!("  ({:.1} s until both functions answer)", started.elapsed().as_secs_f64());
        Ok(server)
    }

    fn wait_until_ready(&self, server: &mut Child) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        loop {
            if let Some(status) = server.try_wait()? {
                bail!("nexus dev ended ({status})");
            }
            let deployed = http::get(self.ingress, "/hello").is_ok_and(|at| at.status == 200);
            let functions = ["-p", "billing", "functions", "--json"];
            if deployed && self.quietly(&functions).is_ok_and(|text| text.contains("orders")) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "the functions were not deployed in time");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The tour itself.
    fn walk(&self) -> anyhow::Result<()> {
        self.show(&format!("curl -s 'http://{}/hello?name=Ada'", self.ingress))?;
        self.show(r#"nexus invoke hello -d '{"name":"Ada"}'"#)?;
        let order = r#"{"order":42,"items":[{"sku":"tea","price":7}]}"#;
        self.show(&format!("nexus -p billing emit com.shop.order.created -d '{order}'"))?;
        self.wait_for_delivery()?;
        self.show("nexus -p billing events")?;
        self.show("nexus -p billing invocations")?;
        self.show("nexus -p billing logs")?;
        self.show("nexus functions")?;
        self.show("nexus invocations")?;
        self.show("nexus invocations show last")?;
        self.show("nexus replay last")?;
        self.show("nexus -p billing replay last")?;
        self.show("nexus log stats")
    }

    fn wait_for_delivery(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let arguments = ["-p", "billing", "invocations", "--json"];
        while !self.quietly(&arguments)?.contains("succeeded") {
            anyhow::ensure!(Instant::now() < deadline, "the event was not handled");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Prints a command, its output and how long it took.
    fn show(&self, line: &str) -> anyhow::Result<()> {
        println!("\n$ {line}");
        let started = Instant::now();
        let status =
            self.shell(line).status().with_context(|| format!("failed to run '{line}'"))?;
        println!("  ({:.0} ms)", started.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(status.success(), "'{line}' failed ({status})");
        Ok(())
    }

    fn quietly(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.nexus);
        shell::output(command.args(arguments).current_dir(self.place()))
    }

    fn shell(&self, line: &str) -> Command {
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(format!("{line}; status=$?; echo; exit $status"));
        shell.current_dir(self.place()).env("PATH", &self.path).stdin(Stdio::null());
        shell
    }

    /// Inside the first project, where the CLI finds the server, once it is there.
    fn place(&self) -> PathBuf {
        let project = self.folder.join("shop");
        if project.join(".nexus").is_dir() { project } else { self.folder.clone() }
    }
}

/// Interrupts the server, as Ctrl-C would, and waits for it.
pub(crate) fn stop(server: &mut Child) {
    shell::succeeds(Command::new("kill").args(["-INT", &server.id().to_string()]));
    let deadline = Instant::now() + STOP_MAX;
    while Instant::now() < deadline && matches!(server.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.kill().ok();
    server.wait().ok();
}
