//! `nexus docs`: reference pages generated from the code.

use nexus_cli::{DocsArgs, Error, Terminal};

use crate::config;

pub(crate) fn run(args: &DocsArgs, terminal: &mut Terminal) -> Result<(), Error> {
    let page = match args.page.as_str() {
        "configuration" => config::reference(),
        "cli" => cli(),
        other => return Err(Error::usage(format!("no page '{other}': configuration or cli"))),
    };
    terminal.bytes(page.as_bytes())
}

/// Every command with its help text.
fn cli() -> String {
    let mut page = String::from(
        "# Commands\n\n<!-- Generated from the code by `nexus docs cli`. -->\n\n\
         Standard output is data, standard error is talk. Every command takes `--json`.\n\n",
    );
    let mut root = nexus_cli::command();
    root.build();
    for command in root.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        section(command, "nexus", 2, &mut page);
    }
    page
}

fn section(command: &mut clap::Command, parent: &str, depth: usize, page: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    let help = command.render_long_help().to_string();
    // Options of every command would be repeated each time.
    let own = help.split("\nGlobal options:").next().unwrap_or_default().trim_end();
    page.push_str(&format!("{} `{name}`\n\n```text\n{own}\n```\n\n", "#".repeat(depth)));
    for inner in command.get_subcommands_mut() {
        section(inner, &name, depth + 1, page);
    }
}
