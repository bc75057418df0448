//! Text in somebody's editor.

use std::io::Write as _;
use std::process::Command;

use crate::{Error, env};

#[expect(clippy::disallowed_methods, reason = "which editor somebody uses is said there only")]
fn editor() -> Option<String> {
    let names = [env::VISUAL, env::EDITOR].into_iter();
    names.filter_map(|name| std::env::var(name).ok()).find(|editor| !editor.is_empty())
}

/// Opens a text in `$VISUAL` or `$EDITOR` and gives back what was saved.
///
/// # Errors
/// There is no editor, it failed, or the file cannot be used.
pub(crate) fn edit(text: &[u8], ending: &str) -> Result<Vec<u8>, Error> {
    let editor = editor().ok_or_else(|| Error::Usage {
        message: "there is no editor".into(),
        hint: Some("set EDITOR, or give the data with --data @file".into()),
    })?;
    let io =
        |operation, source| Error::Io { operation, subject: "a temporary file".into(), source };
    let mut file = tempfile::Builder::new()
        .prefix("nexus-")
        .suffix(ending)
        .tempfile()
        .map_err(|source| io("create", source))?;
    file.write_all(text).and_then(|()| file.flush()).map_err(|source| io("write", source))?;
    // An editor may be a command with options: `code --wait`.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).arg(file.path()).status();
    let failed = |message: String| Error::Usage { message, hint: Some("nothing was sent".into()) };
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(failed(format!("the editor '{editor}' ended with {status}"))),
        Err(error) => return Err(failed(format!("the editor '{editor}' does not start: {error}"))),
    }
    // Editors often write a new file in the place of the old one: read by name.
    std::fs::read(file.path()).map_err(|source| io("read", source))
}
