//! The terminal debugger's loop: draw, read a key, do what it means.

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::app::{App, Do};
use super::{Remote, Sources, view};
use crate::Error;

/// Runs until the user quits.
pub(crate) fn run(remote: &Remote<'_>, sources: &mut Sources) -> Result<(), Error> {
    let mut app = App::new(remote.opened.clone());
    let mut terminal = ratatui::try_init().map_err(failed("set up"))?;
    let done = turns(&mut terminal, (remote, sources), &mut app);
    ratatui::restore();
    done
}

fn failed(operation: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { operation, subject: "the terminal".to_owned(), source }
}

fn turns(
    terminal: &mut DefaultTerminal,
    (remote, sources): (&Remote<'_>, &mut Sources),
    app: &mut App,
) -> Result<(), Error> {
    loop {
        terminal.draw(|frame| view::draw(frame, app, sources)).map_err(failed("draw on"))?;
        let what = match event::read().map_err(failed("read from"))? {
            Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key),
            _ => continue,
        };
        let command = match what {
            Do::Nothing => continue,
            Do::Quit => return Ok(()),
            Do::Run(command) => command,
            Do::Editor { operation, text } => {
                ratatui::restore();
                let edited = crate::commands::edit::edit(text.as_bytes(), ".json");
                *terminal = ratatui::try_init().map_err(failed("set up"))?;
                let next = match edited {
                    Ok(text) => app.edited(operation, &String::from_utf8_lossy(&text)),
                    Err(error) => {
                        app.message = error.to_string();
                        Do::Nothing
                    }
                };
                let Do::Run(command) = next else { continue };
                command
            }
        };
        app.message = "…".to_owned();
        terminal.draw(|frame| view::draw(frame, app, sources)).map_err(failed("draw on"))?;
        match remote.run(&command) {
            Ok(state) => app.arrived(state),
            Err(error @ Error::Problem(_)) => app.message = error.to_string(),
            Err(error) => return Err(error),
        }
    }
}
