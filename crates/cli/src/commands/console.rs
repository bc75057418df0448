//! `nexus console`: opens the web console, signed in.

use std::process::{Command, Stdio};

use clap::Args;
use nexus_model::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Place, Send};
use crate::{Error, Paint, Session, Tone};

/// Open the web console, signed in
#[derive(Args, Debug)]
pub struct ConsoleArgs {
    /// Only print the link; it works once and for five minutes
    #[arg(long)]
    pub no_open: bool,
}

#[derive(Deserialize)]
struct Link {
    path: String,
    expires: Timestamp,
}

pub(crate) fn run(session: &mut Session, args: &ConsoleArgs) -> Result<(), Error> {
    let link: Link = session.client.json(Send {
        method: "POST",
        place: Place::api(["session", "links"]),
        content_type: "",
        body: None,
    })?;
    let url = format!("{}{}", session.client.address(), link.path);
    if session.terminal.json() {
        session.terminal.value(&json!({ "url": url, "expires": link.expires }))?;
    } else {
        session.terminal.line(&url)?;
        let until = session.terminal.time(link.expires);
        session.terminal.say(Paint(Tone::Faint, format!("it signs in once, until {until}")));
    }
    if !args.no_open && !open(&url) {
        session.terminal.say("no browser could be started here: open the link yourself");
    }
    Ok(())
}

/// Asks the desktop to show a page. Returns whether something took the request.
fn open(url: &str) -> bool {
    let programs: &[&str] = match std::env::consts::OS {
        "macos" => &["open"],
        _ => &["xdg-open", "wslview"],
    };
    programs.iter().any(|program| {
        let mut command = Command::new(program);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}
