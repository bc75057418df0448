//! The data folder's master key: read, or made where nothing needs an older one.
//!
//! | key file | secrets in the store | |
//! |---|---|---|
//! | missing | none | a key is made |
//! | missing | some | refused |
//! | there | none, or one that it opens | used |
//! | there | some, and it opens none | refused |
//!
//! A server that went on with another key would fail at the first call that needs a secret, long after
//! the mistake, and would encrypt new secrets under a key that no backup has.

use std::path::Path;

use nexus_model::resource::Kind;
use nexus_node::MasterKey;
use nexus_store::Store;

use super::Error;

/// The key's file in a data folder.
const FILE: &str = "key";
/// Secrets read at a time, once the first has not been opened.
const SCAN_ITEMS: usize = 100;

/// The master key of a data folder whose store this is.
pub(super) async fn master_key(data: &Path, store: &Store) -> Result<MasterKey, Error> {
    let path = data.join(FILE);
    let failed = |operation| {
        let path = path.clone();
        move |source| Error::File { operation, path, source }
    };
    let key = MasterKey::load(&path).map_err(failed("read the key"))?;
    let fit = fit(key.as_ref(), store).await.map_err(Error::Store)?;
    match (key, fit) {
        (Some(key), Fit::Opens | Fit::NothingToOpen) => Ok(key),
        (None, Fit::NothingToOpen) => MasterKey::create(&path).map_err(failed("make the key")),
        (Some(_), Fit::OpensNone) => Err(Error::KeyOther { path }),
        (None, Fit::Opens | Fit::OpensNone) => Err(Error::KeyMissing { path }),
    }
}

/// What a key, or none, can do with the secrets of a store.
enum Fit {
    NothingToOpen,
    Opens,
    OpensNone,
}

/// Reads one secret where all is well. One that is damaged does not stop a server whose key opens
/// another one.
async fn fit(key: Option<&MasterKey>, store: &Store) -> Result<Fit, nexus_store::Error> {
    let mut page = store.scan(Kind::Secret, None, 1).await?;
    if page.is_empty() {
        return Ok(Fit::NothingToOpen);
    }
    let Some(key) = key else { return Ok(Fit::OpensNone) };
    while let Some(last) = page.last() {
        if page.iter().any(|secret| key.opens(secret)) {
            return Ok(Fit::Opens);
        }
        page = store.scan(Kind::Secret, Some(&last.key()), SCAN_ITEMS).await?;
    }
    Ok(Fit::OpensNone)
}

/// What to do about a key that is missing or another one.
pub(super) fn hint(path: &Path) -> String {
    format!(
        "put the key back as {} from your backup. If it is lost, so are the secrets and what \
         `redact` has sealed in recordings: start with an empty data folder, or remove the secrets \
         with `sqlite3 {} \"{}\"`, start, and set them again",
        path.display(),
        path.with_file_name(super::STORE_FILE).display(),
        nexus_store::FORGET_SECRETS,
    )
}
