//! Functions whose newest start failed, and what may help them: what is wrong need not be in their
//! own sources. It may be a secret that is not set, or a tool that is not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nexus_model::resource::{EnvValue, Kind};
use nexus_model::{Name, OpContext};
use nexus_node::Node;
use nexus_toolchain::Error;

use super::build::Failed;
use crate::project::{BuildError, Function};

/// How often it is asked whether a secret was set, while a function waits for one.
pub(crate) const ASK: Duration = Duration::from_secs(1);

/// What may make the next start succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Help {
    /// Other sources, which start it by themselves.
    Sources,
    /// Secrets of the function's project.
    Secrets(BTreeSet<Name>),
    /// Something else, of which nothing is heard.
    Surroundings,
}

/// What was saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Saved {
    /// A manifest, perhaps only to say "try again".
    Manifest,
    /// Anything else.
    Other,
}

/// The functions that failed, by `project/function`.
#[derive(Default)]
pub(crate) struct Retries(BTreeMap<String, Help>);

impl Retries {
    /// Remembers that a start failed.
    pub(crate) fn failed(&mut self, key: &str, error: &Failed) {
        self.0.insert(key.to_owned(), help(error));
    }

    /// Forgets a function: it runs, or it is gone.
    pub(crate) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Whether a save that is none of the function's sources is worth another try.
    pub(crate) fn worth(&self, key: &str, saved: Saved) -> bool {
        match self.0.get(key) {
            None => false,
            // What the compiler refused, it refuses again.
            Some(Help::Sources) => saved == Saved::Manifest,
            Some(Help::Secrets(_) | Help::Surroundings) => true,
        }
    }

    /// Whether a function waits for a secret.
    pub(crate) fn wait_for_secrets(&self) -> bool {
        self.0.values().any(|help| matches!(help, Help::Secrets(_)))
    }

    /// Those of the functions for which a secret was set that was missing. Each is named once: the
    /// next failure says what is missing then.
    pub(crate) async fn helped<'a>(
        &mut self,
        node: &Node,
        functions: impl Iterator<Item = &'a Function>,
    ) -> Vec<&'a Function> {
        let mut helped = Vec::new();
        for function in functions {
            let Some(help) = self.0.get_mut(&function.key()) else { continue };
            let Help::Secrets(missing) = help else { continue };
            if missing_secrets(node, function).await != *missing {
                *help = Help::Surroundings;
                helped.push(function);
            }
        }
        helped
    }
}

fn help(error: &Failed) -> Help {
    match error {
        Failed::Build(BuildError::Build(
            Error::Failed { .. }
            | Error::LoadTime { .. }
            | Error::NoComponent { .. }
            | Error::NoEntry { .. }
            | Error::UnknownSource { .. },
        )) => Help::Sources,
        Failed::Secrets { missing, .. } => Help::Secrets(missing.clone()),
        Failed::Build(_) | Failed::Deploy(_) | Failed::Stopped => Help::Surroundings,
    }
}

/// The secrets that a function is to be given and that are not set.
pub(crate) async fn missing_secrets(node: &Node, function: &Function) -> BTreeSet<Name> {
    let secret = |value: &EnvValue| match value {
        EnvValue::Secret { secret } => Some(secret.clone()),
        EnvValue::Plain(_) => None,
    };
    let webhooks = function.spec.on.webhooks.iter();
    let mut missing: BTreeSet<Name> = (function.spec.config.env.values().filter_map(secret))
        .chain(webhooks.filter_map(|webhook| webhook.secret.clone()))
        .collect();
    if !missing.is_empty() {
        let ctx = OpContext::system("dev");
        let set = node.list_resources(&ctx, Kind::Secret, Some(&function.project)).await;
        for secret in set.unwrap_or_default() {
            missing.remove(&secret.metadata.name);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_save_may_help_is_tried_again() {
        let mut retries = Retries::default();
        let refused = Error::Failed { function: "a".into(), output: String::new() };
        retries.failed("shop/a", &Failed::Build(refused.into()));
        let error = || nexus_node::Error::new(nexus_model::Code::BadResource, "no");
        retries.failed("shop/b", &Failed::Deploy(error()));
        assert!(!retries.worth("shop/a", Saved::Other) && retries.worth("shop/a", Saved::Manifest));
        for saved in [Saved::Other, Saved::Manifest] {
            assert!(retries.worth("shop/b", saved) && !retries.worth("shop/c", saved));
        }
        assert!(!retries.wait_for_secrets());
        let missing = [Name::new("k").unwrap()].into();
        retries.failed("shop/b", &Failed::Secrets { error: error(), missing });
        assert!(retries.wait_for_secrets() && retries.worth("shop/b", Saved::Other));
        retries.forget("shop/b");
        assert!(!retries.wait_for_secrets() && !retries.worth("shop/b", Saved::Manifest));
    }
}
