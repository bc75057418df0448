//! Whether a caller may do something.

use std::fmt;

use nexus_model::{Name, OpContext, Scope};

use crate::scope_word;

/// A refusal. Whether the caller may even learn that the thing exists is `node`'s decision.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Denied {
    /// The scope that the operation needs.
    pub scope: Scope,
    /// The project it touches; `None` for something that belongs to no project.
    pub project: Option<Name>,
    /// What is missing.
    pub reason: Reason,
}

/// What a caller lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The scope.
    Scope,
    /// The project: the token is bound to another one.
    Project,
    /// Anything: the caller sent no token.
    Anonymous,
}

impl Denied {
    fn text(&self) -> String {
        let scope = scope_word(self.scope);
        let place = Place(self.project.as_ref());
        match self.reason {
            Reason::Scope => format!("the token lacks the scope '{scope}' for {place}"),
            Reason::Project => format!("the token does not reach {place}"),
            Reason::Anonymous => {
                format!("{place} is only for tokens with the scope '{scope}'")
            }
        }
    }
}

struct Place<'a>(Option<&'a Name>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(project) => write!(f, "project '{project}'"),
            None => f.write_str("the whole server"),
        }
    }
}

/// Whether the caller has `scope` in `project` (`None`: something that belongs to no project, which
/// a token bound to a project never reaches).
///
/// # Errors
/// [`Denied`] with what is missing. A wrong project is named before a missing scope, because no
/// scope would help there.
pub fn authorize(ctx: &OpContext, scope: Scope, project: Option<&Name>) -> Result<(), Denied> {
    if ctx.allows(scope, project) {
        return Ok(());
    }
    let bound_elsewhere = ctx.project.as_ref().is_some_and(|own| Some(own) != project);
    let reason = if ctx.principal.kind == nexus_model::PrincipalKind::Anonymous {
        Reason::Anonymous
    } else if bound_elsewhere {
        Reason::Project
    } else {
        Reason::Scope
    };
    Err(Denied { scope, project: project.cloned(), reason })
}
