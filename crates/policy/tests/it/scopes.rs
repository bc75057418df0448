//! The words for scopes.

use nexus_model::Scope;
use nexus_policy::{ScopeError, parse_scope, parse_scopes, scope_word};
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

#[test]
fn the_words_are_those_of_json() {
    for scope in ALL {
        let word = scope_word(scope);
        assert_eq!(serde_json::to_value(scope).unwrap(), word);
        assert_eq!(parse_scope(word), Ok(scope));
        assert_eq!(parse_scope(&word.to_uppercase()), Ok(scope));
    }
}

#[test]
fn lists_are_sorted_and_each_scope_comes_once() {
    let cases = [
        ("emit", vec![Scope::Emit]),
        ("invoke,read", vec![Scope::Read, Scope::Invoke]),
        ("read read, READ", vec![Scope::Read]),
        (" replay , read-payload,", vec![Scope::ReadPayload, Scope::Replay]),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_scopes(text), Ok(expected), "{text}");
    }
}

#[test]
fn a_wrong_word_is_named_with_the_right_ones() {
    let error = parse_scopes("read,deploy").unwrap_err();
    assert_eq!(error, ScopeError::Unknown { word: "deploy".into() });
    assert_eq!(
        error.to_string(),
        "'deploy' is not a scope: use admin, read, read-payload, write, emit, invoke, replay"
    );
    for nothing in ["", " ", ",,"] {
        assert_eq!(parse_scopes(nothing), Err(ScopeError::Empty));
    }
}

proptest! {
    #[test]
    fn every_set_of_scopes_prints_and_parses(
        mut scopes in prop::collection::vec(prop::sample::select(&ALL[..]), 1..9),
    ) {
        let words: Vec<_> = scopes.iter().map(|scope| scope_word(*scope)).collect();
        let parsed = parse_scopes(&words.join(",")).unwrap();
        scopes.sort();
        scopes.dedup();
        prop_assert_eq!(parsed, scopes);
    }
}
