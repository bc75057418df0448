//! `nexus completion`.

use clap::Args;
use clap_complete::Shell;

use crate::{Error, Terminal};

/// Print the completion script of a shell
///
/// For bash: `source <(nexus completion bash)`, or store it in
/// ~/.local/share/bash-completion/completions/nexus.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell
    pub shell: Shell,
}

pub(crate) fn run(args: &CompletionArgs, terminal: &mut Terminal) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "nexus", &mut script);
    terminal.bytes(&script)
}
