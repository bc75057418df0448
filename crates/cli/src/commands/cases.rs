//! Recorded invocations as case files: `nexus replay --save-test`, and what `nexus dev --from` brings.

use std::path::{Path, PathBuf};

use nexus_model::case::Case;
use nexus_model::view::InvocationRow;
use nexus_model::{Code, InvocationId, Name};

use crate::{Error, Session, Terminal, render};

/// Where a project keeps its cases.
pub const FOLDER: &str = "tests/recorded";

/// Saves an invocation as a case of the project.
pub(crate) fn save(
    session: &mut Session,
    id: InvocationId,
    (name, unredacted): (Option<&str>, bool),
) -> Result<(), Error> {
    let case = get(session, id, unredacted)?;
    let path = place(session.folder(), name, &case)?;
    write(&path, &case)?;
    let terminal = &mut session.terminal;
    if terminal.json() {
        let path = path.display().to_string();
        return terminal.value(&serde_json::json!({ "path": path, "redacted": case.redacted }));
    }
    terminal.line(path.display())?;
    let effects = render::counted(case.world.effects.len(), "effect");
    let size = render::counted(case.redacted.len(), "place");
    let redacted = match case.redacted.is_empty() {
        true => String::new(),
        false => format!(", {size} redacted: {}", case.redacted.join(", ")),
    };
    terminal.say(format_args!("a test of {} with {effects}{redacted}", case.function));
    terminal.say("nexus test runs it");
    Ok(())
}

fn get(session: &Session, id: InvocationId, unredacted: bool) -> Result<Case, Error> {
    let place = session
        .place(["invocations", &id.to_string(), "case"])?
        .maybe("unredacted", unredacted.then_some("true"));
    session.client.get(place)
}

/// Where a case goes: a name is one in the project's folder of cases, anything with a slash or an
/// ending a path.
fn place(from: &Path, name: Option<&str>, case: &Case) -> Result<PathBuf, Error> {
    let id = case.recorded.invocation.to_string();
    let default = format!("{}-{}", case.function, &id[id.len() - 8..]);
    let name = name.unwrap_or(&default);
    if name.contains('/') || name.ends_with(".json") {
        return Ok(from.join(name));
    }
    let root = from.ancestors().find(|folder| folder.join("nexus.toml").is_file());
    let root = root.ok_or_else(|| Error::Usage {
        message: "no project to save it in: there is no nexus.toml here or above".to_owned(),
        hint: Some("name a file: --save-test ./case.json".to_owned()),
    })?;
    Ok(root.join(FOLDER).join(format!("{name}.json")))
}

/// Writes a case file; one of another invocation is not replaced.
fn write(path: &Path, case: &Case) -> Result<(), Error> {
    let failed = |operation| {
        move |source| Error::Io { operation, subject: path.display().to_string(), source }
    };
    if let Ok(before) = std::fs::read(path) {
        let same = Case::read(&before)
            .is_ok_and(|before| before.recorded.invocation == case.recorded.invocation);
        if !same {
            return Err(Error::Usage {
                message: format!("{} exists and is not of this invocation", path.display()),
                hint: Some("give another name: --save-test NAME".to_owned()),
            });
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
    }
    std::fs::write(path, case.to_text()).map_err(failed("write"))
}

/// A server from which cases are brought.
#[derive(Clone, Debug)]
pub struct CaseSource {
    /// Where it is, with which token, and the project there.
    pub globals: crate::Globals,
    /// How many invocations of each function, the newest first.
    pub last: u32,
}

/// Cases that were brought.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The cases, the newest first.
    pub cases: Vec<Case>,
    /// Invocations that are no cases: they ended by a timeout, cannot be replayed, or do something
    /// else without what is redacted. With the first reason.
    pub skipped: u32,
    /// Why the first of them is none.
    pub reason: String,
}

impl CaseSource {
    /// Brings the newest invocations of a function.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub fn fetch(&self, terminal: Terminal, function: &Name) -> Result<Fetched, Error> {
        let folder = std::env::current_dir().unwrap_or_default();
        let opened = Session::open(&self.globals, terminal, folder);
        let session = opened.map_err(|failed| failed.0)?;
        let mut ids = Vec::new();
        let place = session.place(["invocations"])?.with("function", function);
        let row = &mut |row: InvocationRow| {
            ids.push(row.id);
            Ok(())
        };
        session.client.pages(place, self.last as usize, row)?;
        let mut fetched = Fetched::default();
        for id in ids {
            match get(&session, id, false) {
                Ok(case) => fetched.cases.push(case),
                Err(Error::Problem(problem)) if is_no_case(problem.code) => {
                    if fetched.skipped == 0 {
                        fetched.reason = problem.detail.clone();
                    }
                    fetched.skipped += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(fetched)
    }
}

/// Whether an answer says that an invocation cannot become a case, and not that the server cannot
/// answer.
fn is_no_case(code: Code) -> bool {
    matches!(code, Code::NotReplayable | Code::Diverged | Code::BadJournal | Code::Gone)
}
