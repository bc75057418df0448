//! Who acts, and what they may do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Name, Timestamp};

/// What sort of actor a principal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// A token of a person or a machine.
    Token,
    /// Nobody in particular: a caller of a public route.
    Anonymous,
    /// A function, through its host calls.
    Function,
    /// Nexus itself.
    System,
}

/// Who acts. The printed form (`token:ci`, `anonymous`, `function:shop/hello`, `system`) is what
/// events, invocations and audit entries carry.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Principal {
    /// The sort of actor.
    pub kind: PrincipalKind,
    /// The token's name, or `project/function`; empty for the others.
    pub name: Arc<str>,
}

impl Principal {
    /// Nexus itself.
    pub fn system() -> Self {
        Principal { kind: PrincipalKind::System, name: "".into() }
    }

    /// A caller of a public route.
    pub fn anonymous() -> Self {
        Principal { kind: PrincipalKind::Anonymous, name: "".into() }
    }

    /// A function, through its host calls.
    pub fn function(project: &Name, function: &Name) -> Self {
        Principal { kind: PrincipalKind::Function, name: format!("{project}/{function}").into() }
    }

    /// A token.
    pub fn token(name: &str) -> Self {
        Principal { kind: PrincipalKind::Token, name: name.into() }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            PrincipalKind::Anonymous => f.write_str("anonymous"),
            PrincipalKind::System => f.write_str("system"),
            PrincipalKind::Token => write!(f, "token:{}", self.name),
            PrincipalKind::Function => write!(f, "function:{}", self.name),
        }
    }
}

/// What a token may do. Scopes do not include one another, except that `Admin` includes all.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything, in every project.
    Admin,
    /// Read resources and metadata of events and invocations.
    Read,
    /// Read the payloads of events, invocations, journals and logs.
    ReadPayload,
    /// Apply, patch and delete resources; deploy.
    Write,
    /// Append events.
    Emit,
    /// Call functions.
    Invoke,
    /// Replay invocations.
    Replay,
}

/// Goes as the first parameter through every use case: who asks, what they may do, until when.
#[derive(Clone, Debug)]
pub struct OpContext {
    /// Who asks.
    pub principal: Principal,
    /// What they may do.
    pub scopes: Arc<[Scope]>,
    /// The only project they may touch; `None` for all.
    pub project: Option<Name>,
    /// Correlates the log lines and the error of this operation: the `request_id` of errors.
    pub request_id: Arc<str>,
    /// The caller's W3C `traceparent`, if it sent one.
    pub traceparent: Option<Arc<str>>,
    /// The caller's W3C `tracestate`, where its trace goes on.
    pub tracestate: Option<Arc<str>>,
    /// When the caller stops waiting.
    pub deadline: Option<Timestamp>,
}

impl OpContext {
    /// The context of Nexus' own work: every scope, every project.
    pub fn system(request_id: impl Into<Arc<str>>) -> Self {
        OpContext {
            principal: Principal::system(),
            scopes: [Scope::Admin].into(),
            project: None,
            request_id: request_id.into(),
            traceparent: None,
            tracestate: None,
            deadline: None,
        }
    }

    /// Whether the caller has `scope` in `project` (`None`: something that belongs to no project).
    pub fn allows(&self, scope: Scope, project: Option<&Name>) -> bool {
        let scoped = self.scopes.iter().any(|&at| at == scope || at == Scope::Admin);
        let reachable = match (&self.project, project) {
            (None, _) => true,
            (Some(own), Some(wanted)) => own == wanted,
            (Some(_), None) => false,
        };
        scoped && reachable
    }
}
