//! Where builders keep what they may use again.

use std::env;
use std::path::{Path, PathBuf};

use nexus_toolchain::BuildOptions;

/// How to build in a project whose own cache is `cache`. What is the same for all projects goes to
/// the user's cache folder (XDG Base Directory Specification: `$XDG_CACHE_HOME`, else `~/.cache`),
/// or stays in the project where there is none or nothing can be written.
pub(crate) fn build_options(cache: &Path) -> BuildOptions {
    let mut options = BuildOptions::new(cache);
    let shared = users_cache(|name| env::var_os(name).map(PathBuf::from));
    if let Some(dir) = shared.map(|dir| dir.join("nexus").join("build"))
        && std::fs::create_dir_all(&dir).is_ok()
        && rustix::fs::access(&dir, rustix::fs::Access::WRITE_OK).is_ok()
    {
        options.shared_dir = dir;
    }
    options
}

fn users_cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_cache_is_where_the_specification_says() {
        let cases = [
            (&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")][..], Some("/c")),
            (&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")], Some("/h/.cache")),
            (&[("HOME", "/h")], Some("/h/.cache")),
            (&[("HOME", "")], None),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let found = users_cache(|name| {
                Some(PathBuf::from(variables.iter().find(|(it, _)| *it == name)?.1))
            });
            assert_eq!(found.as_deref(), expected.map(Path::new), "{variables:?}");
        }
    }
}
