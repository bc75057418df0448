//! Tokens and who they stand for.

use std::time::Duration;

use nexus_model::resource::TokenSpec;
use nexus_model::{Name, Principal, Scope, Timestamp};
use nexus_policy::{Authenticator, Entry, Token, TokenError, TokenHash};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

fn token(seed: u8) -> Token {
    Token::from_random([seed; 32])
}

fn entry(name: &str, token: &Token, expires_at: Option<Timestamp>) -> Entry {
    let spec = TokenSpec {
        hash: token.hash().to_string(),
        scopes: vec![Scope::Emit, Scope::Read],
        project: Some(Name::new("shop").unwrap()),
        expires_at,
    };
    Entry::from_spec(&Name::new(name).unwrap(), &spec).unwrap()
}

#[test]
fn a_token_has_one_printed_form() {
    let text = Token::from_random([0xff; 32]).expose();
    assert_eq!(text, format!("nx_{}g", "z".repeat(51)));
    assert_eq!(Token::from_random([0; 32]).expose(), format!("nx_{}", "0".repeat(52)));
    assert_eq!(text.parse::<Token>().unwrap().expose(), text);
}

#[test]
fn wrong_texts_are_no_tokens() {
    let good = token(7).expose();
    let stray_bit = format!("nx_{}h", "z".repeat(51));
    let cases = [
        ("", TokenError::Prefix),
        ("nx", TokenError::Prefix),
        ("NX_", TokenError::Prefix),
        ("nx_", TokenError::Digits),
        (&good[..54], TokenError::Digits),
        (&format!("{good}0"), TokenError::Digits),
        (&format!(" {good}"), TokenError::Prefix),
        (
            &good.to_uppercase().replace("NX_", "nx_").replace(char::is_numeric, "U"),
            TokenError::Digits,
        ),
        (&stray_bit, TokenError::Digits),
        (&format!("nx_{}ü", "0".repeat(50)), TokenError::Digits),
    ];
    for (text, expected) in cases {
        let error = text.parse::<Token>().unwrap_err();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn nothing_prints_a_token_by_accident() {
    let token = token(7);
    let secret = token.expose();
    let entry = entry("ci", &token, None);
    let authenticator = Authenticator::new([entry.clone()]);
    let printed = format!("{token:?} {entry:?} {authenticator:?}");
    assert!(!printed.contains(&secret[3..10]), "{printed}");
    assert!(!printed.contains(&token.hash().to_string()), "{printed}");
}

#[test]
fn hashes_print_and_parse() {
    let hash = token(7).hash();
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
    assert_ne!(hash, token(8).hash());
    for wrong in ["", "00", &"g".repeat(64), &"ü".repeat(32), &"0".repeat(65)] {
        assert_eq!(wrong.parse::<TokenHash>(), Err(TokenError::Hash), "{wrong}");
    }
}

#[test]
fn a_known_token_stands_for_its_principal() {
    let (ci, app, old) = (token(1), token(2), token(3));
    let later = NOW.after(Duration::from_secs(1));
    let authenticator = Authenticator::new([
        entry("ci", &ci, None),
        entry("app", &app, Some(later)),
        entry("old", &old, Some(NOW)),
    ]);
    assert_eq!(authenticator.len(), 3);
    let found = authenticator.authenticate(&ci.expose(), NOW).unwrap();
    assert_eq!(found.principal, Principal::token("ci"));
    assert_eq!(found.scopes[..], [Scope::Emit, Scope::Read]);
    assert_eq!(found.project, Some(Name::new("shop").unwrap()));
    let name = |token: &Token, now| {
        authenticator
            .authenticate(&token.expose(), now)
            .map(|found| found.principal.name.to_string())
    };
    assert_eq!(name(&app, NOW), Some("app".to_owned()));
    assert_eq!(name(&app, later), None, "it expires at that very moment");
    assert_eq!(name(&old, NOW), None);
    assert_eq!(name(&token(4), NOW), None);
    assert_eq!(authenticator.authenticate("", NOW), None);
    assert_eq!(authenticator.authenticate(&ci.hash().to_string(), NOW), None, "a hash is no token");
    assert!(Authenticator::default().is_empty());
    assert_eq!(Authenticator::default().authenticate(&ci.expose(), NOW), None);
}

#[test]
fn a_damaged_resource_is_named() {
    let spec = TokenSpec { hash: "?".into(), scopes: vec![], project: None, expires_at: None };
    let error = Entry::from_spec(&Name::new("ci").unwrap(), &spec).unwrap_err();
    assert_eq!(error, TokenError::Hash);
}

proptest! {
    #[test]
    fn tokens_print_and_parse(bytes: [u8; 32]) {
        let token = Token::from_random(bytes);
        let text = token.expose();
        prop_assert_eq!(text.len(), 55);
        let parsed: Token = text.parse().unwrap();
        prop_assert_eq!(parsed.expose(), text);
        prop_assert_eq!(parsed.hash(), token.hash());
    }

    #[test]
    fn a_token_with_another_letter_is_another_token(bytes: [u8; 32], at in 3usize..55, letter in "[ -~]") {
        let token = Token::from_random(bytes);
        let mut text = token.expose();
        prop_assume!(text[at..=at] != letter);
        text.replace_range(at..=at, &letter);
        if let Ok(other) = text.parse::<Token>() {
            prop_assert_ne!(other.hash(), token.hash());
        }
        let authenticator = Authenticator::new([entry("ci", &token, None)]);
        prop_assert_eq!(authenticator.authenticate(&text, NOW), None);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,70}") {
        let _ = text.parse::<Token>();
        let _ = format!("nx_{text}").parse::<Token>();
        let _ = text.parse::<TokenHash>();
    }

    #[test]
    fn each_of_many_tokens_finds_its_own(seeds in prop::collection::btree_set(any::<[u8; 32]>(), 0..40)) {
        let tokens: Vec<Token> = seeds.into_iter().map(Token::from_random).collect();
        let entries = tokens.iter().enumerate().map(|(at, token)| entry(&format!("t{at}"), token, None));
        let authenticator = Authenticator::new(entries);
        for (at, token) in tokens.iter().enumerate() {
            let found = authenticator.authenticate(&token.expose(), NOW).unwrap();
            prop_assert_eq!(&found.principal, &Principal::token(&format!("t{at}")));
        }
    }
}
