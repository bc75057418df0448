//! `nexus functions`.

use clap::{Args, Subcommand};
use nexus_model::limits;
use nexus_model::view::{FunctionView, StateNamespaceView};

use crate::render;
use crate::{Error, Session};

/// List, show and delete functions
#[derive(Args, Debug)]
pub struct FunctionsArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<FunctionsCommand>,
}

/// Other commands about functions.
#[derive(Subcommand, Debug)]
pub enum FunctionsCommand {
    /// Show one function
    Show {
        /// Its name
        name: String,
    },
    /// List the versions of a function
    Versions {
        /// Its name
        name: String,
    },
    /// Delete a function
    ///
    /// Its history stays, and its recordings can be replayed as long as retention keeps them. What it
    /// remembers stays, too: `nexus state delete` removes that, before or afterwards.
    Delete {
        /// Its name
        name: String,
    },
}

pub(crate) fn run(session: &mut Session, args: &FunctionsArgs) -> Result<(), Error> {
    match &args.command {
        None => list(session),
        Some(FunctionsCommand::Show { name }) => show(session, name),
        Some(FunctionsCommand::Versions { name }) => super::versions::list(session, name),
        Some(FunctionsCommand::Delete { name }) => delete(session, name),
    }
}

/// Deletes a function, and says what stays.
pub(crate) fn delete(session: &mut Session, name: &str) -> Result<(), Error> {
    session.client.delete(session.place(["functions", name])?)?;
    session
        .terminal
        .say(format_args!("deleted function {name}; its recordings can still be replayed"));
    if has_state(session, name) {
        session.terminal.say(format_args!(
            "what it remembers stays; to remove that: nexus state delete {name} --all --yes"
        ));
    }
    Ok(())
}

/// Whether a function has left state, as far as the caller may know.
fn has_state(session: &mut Session, name: &str) -> bool {
    let Ok(place) = session.place(["state"]) else { return false };
    let mut found = false;
    let listed = session.client.pages(place, limits::PAGE_ITEMS_MAX, &mut |view| {
        let StateNamespaceView { function, .. } = view;
        found |= function.is_some_and(|function| function.as_str() == name);
        Ok(())
    });
    listed.is_ok() && found
}

fn list(session: &mut Session) -> Result<(), Error> {
    let functions: Vec<FunctionView> = session.client.list(session.place(["functions"])?)?;
    if session.terminal.json() {
        return functions.iter().try_for_each(|function| session.terminal.value(function));
    }
    if functions.is_empty() {
        session.terminal.say("no functions; `nexus deploy` brings some");
    }
    render::function_table(&session.terminal, &functions).print(&mut session.terminal)
}

fn show(session: &mut Session, name: &str) -> Result<(), Error> {
    let function: FunctionView = session.client.get(session.place(["functions", name])?)?;
    if session.terminal.json() {
        return session.terminal.value(&function);
    }
    render::show_function(&mut session.terminal, &function)
}
