//! Who may do what.

use nexus_model::{Name, OpContext, Principal, Scope};
use nexus_policy::{Denied, Reason, authorize};
use proptest::prelude::*;

const ALL: [Scope; 7] = [
    Scope::Admin,
    Scope::Read,
    Scope::ReadPayload,
    Scope::Write,
    Scope::Emit,
    Scope::Invoke,
    Scope::Replay,
];

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn context(scopes: &[Scope], project: Option<&str>) -> OpContext {
    OpContext {
        principal: Principal::token("ci"),
        scopes: scopes.into(),
        project: project.map(name),
        ..OpContext::system("req-1")
    }
}

/// Scopes and project of the token, what it asks for, and what it lacks.
type Row = (&'static [Scope], Option<&'static str>, Scope, Option<&'static str>, Option<Reason>);

#[test]
fn the_table() {
    use Scope::{Admin, Emit, Read, ReadPayload, Write};
    let rows: &[Row] = &[
        (&[Admin], None, Write, Some("shop"), None),
        (&[Admin], None, Write, None, None),
        (&[Admin], Some("shop"), Write, Some("shop"), None),
        (&[Admin], Some("shop"), Write, Some("other"), Some(Reason::Project)),
        (&[Admin], Some("shop"), Read, None, Some(Reason::Project)),
        (&[Read], None, Read, Some("shop"), None),
        (&[Read], None, Read, None, None),
        (&[Read], None, ReadPayload, Some("shop"), Some(Reason::Scope)),
        (&[ReadPayload], None, Read, Some("shop"), Some(Reason::Scope)),
        (&[Write, Emit], None, Read, Some("shop"), Some(Reason::Scope)),
        (&[Read], None, Admin, None, Some(Reason::Scope)),
        (&[Emit], Some("shop"), Emit, Some("shop"), None),
        (&[Emit], Some("shop"), Read, Some("shop"), Some(Reason::Scope)),
        (&[Emit], Some("shop"), Read, Some("other"), Some(Reason::Project)),
        (&[], None, Emit, Some("shop"), Some(Reason::Scope)),
    ];
    for &(scopes, bound, scope, project, lacking) in rows {
        let project = project.map(name);
        let decision = authorize(&context(scopes, bound), scope, project.as_ref());
        let expected = match lacking {
            None => Ok(()),
            Some(reason) => Err(Denied { scope, project: project.clone(), reason }),
        };
        assert_eq!(decision, expected, "{scopes:?} in {bound:?} for {scope:?} in {project:?}");
    }
}

#[test]
fn refusals_say_what_is_missing() {
    let text = |ctx: &OpContext, scope, project: Option<&str>| {
        authorize(ctx, scope, project.map(name).as_ref()).unwrap_err().to_string()
    };
    let reader = context(&[Scope::Read], Some("shop"));
    assert_eq!(
        text(&reader, Scope::ReadPayload, Some("shop")),
        "the token lacks the scope 'read-payload' for project 'shop'"
    );
    assert_eq!(
        text(&reader, Scope::Read, Some("other")),
        "the token does not reach project 'other'"
    );
    assert_eq!(text(&reader, Scope::Read, None), "the token does not reach the whole server");
    let nobody = OpContext { principal: Principal::anonymous(), ..context(&[], None) };
    assert_eq!(
        text(&nobody, Scope::Invoke, Some("shop")),
        "project 'shop' is only for tokens with the scope 'invoke'"
    );
}

#[test]
fn the_system_may_do_everything() {
    for scope in ALL {
        for project in [None, Some(name("shop"))] {
            assert_eq!(authorize(&OpContext::system("req-1"), scope, project.as_ref()), Ok(()));
        }
    }
}

proptest! {
    /// More scopes or no binding never takes anything away, and only a scope that is held or
    /// `Admin`, in the token's own project, ever grants anything.
    #[test]
    fn authority_comes_from_scope_and_project_only(
        scopes in prop::collection::vec(prop::sample::select(&ALL[..]), 0..4),
        extra in prop::sample::select(&ALL[..]),
        asked in prop::sample::select(&ALL[..]),
        bound in prop::option::of("[ab]"),
        project in prop::option::of("[ab]"),
    ) {
        let target = project.as_deref().map(name);
        let allowed = |scopes: &[Scope], bound: Option<&str>| {
            authorize(&context(scopes, bound), asked, target.as_ref()).is_ok()
        };
        let holds = scopes.contains(&asked) || scopes.contains(&Scope::Admin);
        let reaches = bound.is_none() || bound == project;
        let now = allowed(&scopes, bound.as_deref());
        prop_assert_eq!(now, holds && reaches);
        if now {
            let more = [&scopes[..], &[extra]].concat();
            prop_assert!(allowed(&more, bound.as_deref()));
            prop_assert!(allowed(&scopes, None));
        }
    }
}
