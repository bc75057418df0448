//! `nexus logs`: what functions wrote.

use clap::Args;
use nexus_model::view::LogView;

use super::history::{self, Item, Places, RangeArgs};
use crate::client::Place;
use crate::render;
use crate::{Error, Session, Terminal};

/// What functions wrote
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Only of this function
    pub function: Option<String>,
    /// When and how many
    #[command(flatten)]
    pub range: RangeArgs,
    /// With the ids of trace and invocation after each line
    #[arg(long)]
    pub ids: bool,
}

impl Item for LogView {
    /// A page has its oldest line first, and the next page older ones.
    fn in_order(pages: Vec<Vec<LogView>>) -> Vec<LogView> {
        let mut lines: Vec<LogView> = pages.into_iter().rev().flatten().collect();
        // What ran longer wrote some of its lines before those of an earlier page.
        lines.sort_by_key(|line| line.at);
        lines
    }

    fn key(&self) -> String {
        let invocation = self.invocation.map(|id| id.to_string()).unwrap_or_default();
        format!("{invocation} {} {} {}", self.at.unix_ns(), self.stream.word(), self.text)
    }
}

pub(crate) fn run(session: &mut Session, args: &LogsArgs) -> Result<(), Error> {
    if args.range.follow {
        return follow(session, args);
    }
    let place = place(session, args, &["logs"])?;
    let place = args.range.filter(place, &session.terminal)?;
    let mut pages: Vec<Vec<LogView>> = Vec::new();
    let more = session.client.whole_pages(place, args.range.limit, &mut |page| {
        pages.push(page);
        Ok(())
    })?;
    let lines = LogView::in_order(pages);
    if lines.is_empty() && !session.terminal.json() {
        let about = (args.range.all_projects, args.function.as_deref());
        history::say_empty(session, "log lines", about)?;
    }
    for line in &lines {
        print(&mut session.terminal, args, line)?;
    }
    if more {
        history::say_more(&mut session.terminal, args.range.limit);
    }
    Ok(())
}

fn place(session: &Session, args: &LogsArgs, segments: &[&'static str]) -> Result<Place, Error> {
    Ok(session
        .history(args.range.all_projects, segments.iter().copied())?
        .maybe("function", args.function.as_ref()))
}

fn follow(session: &mut Session, args: &LogsArgs) -> Result<(), Error> {
    let list = place(session, args, &["logs"])?;
    let places = Places {
        list: args.range.filter(list, &session.terminal)?,
        stream: place(session, args, &["logs", "stream"])?,
        past: args.range.past(),
    };
    history::follow(session, &places, &mut |terminal, line: &LogView| print(terminal, args, line))
}

fn print(terminal: &mut Terminal, args: &LogsArgs, line: &LogView) -> Result<(), Error> {
    if terminal.json() {
        return terminal.value(line);
    }
    let mut text = render::log_line(terminal, line);
    if args.ids {
        let invocation = line.invocation.map(|id| id.to_string()).unwrap_or_default();
        text.push_str(&format!("  {invocation} {}", line.trace_id));
    }
    terminal.line(text)
}
