//! The data folder's own token: an administrator for whoever may read the folder.
//!
//! | token file | the store | |
//! |---|---|---|
//! | missing | whatever it holds | a token is made; the one before, if any, works no more |
//! | there | knows it | used |
//! | there | is new | made known: it was put there, or the first start was cut off |
//! | there | does not know it | it was deleted, and stays so: a warning says how to get another |

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nexus_cli::TOKEN_FILE;
use nexus_model::{Name, OpContext, Scope};
use nexus_node::{NewToken, Node};
use nexus_policy::Token;

use super::{Error, random};

/// The name of the token in the data folder.
const NAME: &str = "local";

/// The data folder's token.
pub(super) struct Local {
    /// Where it lies.
    pub(super) file: PathBuf,
    /// Its text; of one that was deleted, too.
    pub(super) text: String,
}

/// Reads the token of a data folder, or makes it.
pub(super) async fn local(node: &Node, data: &Path) -> Result<Local, Error> {
    let file = data.join(TOKEN_FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            random(&mut bytes, data)?;
            let text = Token::from_random(bytes).expose();
            // Known before it is in the file: a file that is there says that it was known.
            make_known(node, &text).await?;
            write(&file, &text)?;
            text
        }
        Err(source) => return Err(Error::File { operation: "read", path: file, source }),
    };
    if node.is_new() {
        make_known(node, &text).await?;
    }
    match node.authenticate(&text) {
        Ok(_) => tracing::info!(file = %file.display(), "the admin token of this data folder"),
        Err(_) => tracing::warn!(
            file = %file.display(),
            "the token in this file was deleted or replaced, and does not come back: for a new one \
             remove the file and start again"
        ),
    }
    Ok(Local { file, text })
}

async fn make_known(node: &Node, text: &str) -> Result<(), Error> {
    let name = Name::new(NAME).map_err(|error| Error::File {
        operation: "name the token in",
        path: PathBuf::from(TOKEN_FILE),
        source: std::io::Error::other(error.to_string()),
    })?;
    let token = NewToken { name, scopes: vec![Scope::Admin], project: None, ttl: None };
    let made = node.put_known_token(&OpContext::system("start"), token, text).await;
    made.map(drop).map_err(Error::Node)
}

/// Whole or not at all, and readable by its owner only.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::File { operation: "write", path: file.to_owned(), source };
    let beside = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let mut opened = opened.map_err(failed)?;
    opened.write_all(format!("{text}\n").as_bytes()).map_err(failed)?;
    std::fs::rename(&beside, file).map_err(failed)
}
