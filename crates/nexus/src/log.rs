//! `nexus log … --data`: the log of a stopped server.

use std::path::Path;
use std::sync::Arc;

use nexus_cli::{
    Error, HostFailure, LogCommand, Paint, Terminal, Tone, counted, exit, log_report, verify_report,
};
use nexus_log::{Cut, CutOptions, Damage, RealDisk, cut_dir, plan_cut, stats_dir, verify_dir};
use nexus_model::{Clock as _, SystemClock};
use nexus_node::sound_blob;
use nexus_store::{BLOBS_DIR, check_blob};

use crate::server::end;

pub(crate) fn run(command: &LogCommand, terminal: &mut Terminal) -> Result<(), Error> {
    let Some(data) = command.data() else { return Ok(()) };
    let dir = crate::server::log_dir(data);
    if !dir.is_dir() && end::had_log(data) {
        // It is as good as empty: what is missing is said then.
        std::fs::create_dir_all(&dir).map_err(HostFailure::new)?;
    }
    if !dir.is_dir() {
        return Err(Error::Missing {
            message: format!("{} has no log", data.display()),
            hint: Some("name the data folder, such as .nexus".to_owned()),
        });
    }
    let disk = Arc::new(RealDisk);
    match command {
        LogCommand::Verify { .. } => {
            let blobs = data.join(BLOBS_DIR);
            let blob = |digest| sound_blob(digest, check_blob(&blobs, digest));
            let mut report = verify_dir(&dir, disk, &blob).map_err(failure)?;
            if report.damage.is_empty()
                && let Some(what) = end::missing(data)?
            {
                report.damage.push(Damage { segment: 0, file: "log".to_owned(), offset: 0, what });
            }
            verify_report(terminal, &value(&report))
        }
        LogCommand::Stats { .. } => {
            let report = stats_dir(&dir, disk).map_err(failure)?;
            log_report(terminal, &value(&report))
        }
        LogCommand::Cut { yes, from, .. } => {
            let mark = crate::server::log_mark(data);
            let options = CutOptions { from: *from, mark: Some(&mark), now: SystemClock.now() };
            cut(data, (options, *yes), terminal)
        }
    }
}

fn failure(error: nexus_log::Error) -> HostFailure {
    let locked = matches!(error, nexus_log::Error::Locked { .. });
    let failure = HostFailure::new(error);
    match locked {
        true => failure.hint("the server runs: ask it without --data, or stop it first"),
        false => failure,
    }
}

fn value(report: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(report).unwrap_or_default()
}

/// Cuts the log, or says what that would mean.
fn cut(
    data: &Path,
    (options, yes): (CutOptions<'_>, bool),
    terminal: &mut Terminal,
) -> Result<(), Error> {
    let dir = &crate::server::log_dir(data);
    let cut = match yes {
        true => cut_dir(dir, &RealDisk, options),
        false => plan_cut(dir, &RealDisk, options),
    };
    let Some(cut) = cut.map_err(failure)? else {
        if let (None, Some(what)) = (options.from, end::missing(data)?) {
            return go_on_without(data, (&what, yes), terminal);
        }
        terminal.say(match options.from {
            None => "The log can be opened: there is nothing to cut.".to_owned(),
            Some(from) => format!("The log has no record {from}: there is nothing to cut."),
        });
        return Ok(());
    };
    match terminal.json() {
        true => terminal.value(&cut)?,
        false => show_cut(&cut, yes, terminal)?,
    }
    if yes {
        end::accept(data)?;
        return Ok(());
    }
    let hint = "look for a backup first; --yes cuts the log";
    terminal.say(format_args!("{} {hint}", Paint(Tone::Good, "hint:")));
    Err(Error::Told(exit::FAILED))
}

/// Goes on without the end of the log, or says what that would mean.
fn go_on_without(
    data: &Path,
    (what, yes): (&str, bool),
    terminal: &mut Terminal,
) -> Result<(), Error> {
    if !yes {
        terminal.say(what);
        let hint = "look for a backup first; --yes lets the server go on without what is missing";
        terminal.say(format_args!("{} {hint}", Paint(Tone::Good, "hint:")));
        return Err(Error::Told(exit::FAILED));
    }
    let reached = end::accept(data)?;
    terminal.say(format_args!("The log goes on behind what is there: {reached}."));
    Ok(())
}

fn show_cut(cut: &Cut, done: bool, terminal: &mut Terminal) -> Result<(), Error> {
    let (stay, go) = if done { ("kept", "gone") } else { ("stays", "goes") };
    let newest = |at: Option<nexus_model::Timestamp>| match at {
        Some(at) => format!(", the newest of {}", terminal.time(at)),
        None => String::new(),
    };
    let kept = match cut.last_kept {
        0 => "nothing".to_owned(),
        last => format!("everything up to record {last}{}", newest(cut.last_kept_at)),
    };
    let lost = match cut.records_lost {
        0 => "an unknown number of records".to_owned(),
        count => format!("about {count} records{}", newest(cut.last_lost_at)),
    };
    let files = counted(cut.files.len(), "file");
    let aside = match done {
        true => format!("{files} as they were in {}", cut.aside.display()),
        false => format!("{files} as they are into a folder inside the log's"),
    };
    let cut_at = if done { "was cut at" } else { "is to be cut at" };
    terminal.line(format_args!("{} {cut_at} byte {}, {}", cut.file, cut.offset, cut.why))?;
    terminal.line(format_args!("{}  {kept}", Paint(Tone::Faint, format!("{stay:<6}"))))?;
    terminal.line(format_args!("{}  {lost}", Paint(Tone::Faint, format!("{go:<6}"))))?;
    terminal.line(format_args!("{}  {aside}", Paint(Tone::Faint, "aside ")))
}
