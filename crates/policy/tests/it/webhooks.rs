//! Signatures of webhooks: the vectors that the schemes publish, and every way to be wrong.

use std::time::Duration;

use nexus_model::Timestamp;
use nexus_model::resource::WebhookScheme;
use nexus_policy::{SignatureError, Signed, WebhookKeys};

const TOLERANCE: Duration = Duration::from_secs(300);

struct Case<'a> {
    scheme: WebhookScheme,
    secret: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    now_s: i64,
}

fn verify(case: &Case<'_>) -> Result<(), SignatureError> {
    let header =
        |name: &str| case.headers.iter().find(|(at, _)| *at == name).map(|(_, value)| *value);
    WebhookKeys::new(case.scheme, case.secret)?.verify(&Signed {
        header: &header,
        body: case.body.as_bytes(),
        now: Timestamp::from_unix_ns(case.now_s * 1_000_000_000),
        tolerance: TOLERANCE,
    })
}

/// The example of the specification of Standard Webhooks.
const STANDARD: Case<'static> = Case {
    scheme: WebhookScheme::Standard,
    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    headers: &[
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ],
    body: r#"{"test": 2432232314}"#,
    now_s: 1_614_265_330,
};

/// The example of GitHub's documentation.
const GITHUB: Case<'static> = Case {
    scheme: WebhookScheme::Github,
    secret: "It's a Secret to Everybody",
    headers: &[(
        "x-hub-signature-256",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    )],
    body: "Hello, World!",
    now_s: 0,
};

#[test]
fn published_vectors_are_valid() {
    assert_eq!(verify(&STANDARD), Ok(()));
    let mut headers = STANDARD.headers.to_vec();
    // Made by the official library.
    headers[0].1 = "msg_1";
    headers[2].1 = "v1,8WmO9OATkSvjxs+eEJolmK2V9ge32ryGE0kSd4GZiDY=";
    assert_eq!(verify(&Case { headers: &headers, body: r#"{"a":1}"#, ..STANDARD }), Ok(()));
    assert_eq!(verify(&GITHUB), Ok(()));
    assert_eq!(verify(&Case { secret: "It's a Secret to Everybody\n", ..GITHUB }), Ok(()));
}

#[test]
fn several_signatures_and_several_keys_are_a_rotation() {
    let list = "v1a,xyz v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let mut headers = STANDARD.headers.to_vec();
    headers[2].1 = list;
    assert_eq!(verify(&Case { headers: &headers, ..STANDARD }), Ok(()));
    let secret = "whsec_c2VjcmV0 whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(verify(&Case { secret, ..STANDARD }), Ok(()));
    let other = Case { secret: "whsec_c2VjcmV0", ..STANDARD };
    assert_eq!(verify(&other), Err(SignatureError::NoMatch));
}

#[test]
fn stripe_signs_the_timestamp_with_the_body() {
    let headers = [(
        "stripe-signature",
        "t=12345,v0=00,v1=3f8a,v1=ef1a2b9e0ba2cd7d4fb4c0d0b2ffd5e4d2bcbb7b0ef2b3a5f2ac7b3ee4cf7f1a",
    )];
    let case = Case {
        scheme: WebhookScheme::Stripe,
        secret: "whsec_test_secret",
        headers: &headers,
        body: "{}",
        now_s: 12_400,
    };
    assert_eq!(verify(&case), Err(SignatureError::NoMatch));
    // Made by the official library.
    let value = "t=12345,v1=00,v1=c9a60c1eb8eee7a6d5d12198b186729a423ee2768f853894ec8806ca74610d05";
    let headers = [("stripe-signature", value)];
    assert_eq!(verify(&Case { headers: &headers, ..case }), Ok(()));
    let late = Case { headers: &headers, now_s: 12_345 + 301, ..case };
    assert!(matches!(verify(&late), Err(SignatureError::TooOld { .. })));
}

#[test]
fn wrong_requests_say_what_is_wrong() {
    let error = |case: Case<'_>| verify(&case).unwrap_err().to_string();
    let without = |name: &str| -> Vec<(&str, &str)> {
        STANDARD.headers.iter().copied().filter(|(at, _)| *at != name).collect()
    };
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let headers = without(name);
        let text = error(Case { headers: &headers, ..STANDARD });
        assert_eq!(text, format!("the header {name} is missing"));
    }
    let old = Case { now_s: STANDARD.now_s + 301, ..STANDARD };
    assert_eq!(error(old), "it was signed 301 s ago, more than 300 s");
    let early = Case { now_s: STANDARD.now_s - 301, ..STANDARD };
    assert_eq!(error(early), "it was signed 301 s in the future, more than 300 s");
    assert_eq!(error(Case { body: "{}", ..STANDARD }), "no signature fits the body");
    assert_eq!(error(Case { body: "Hello", ..GITHUB }), "no signature fits the body");
    let cut = [("x-hub-signature-256", "sha256=757107e")];
    assert_eq!(
        error(Case { headers: &cut, ..GITHUB }),
        "the header x-hub-signature-256 is not of the form sha256=<hexadecimal>"
    );
    let empty = [("x-hub-signature-256", "sha256=")];
    assert_eq!(error(Case { headers: &empty, ..GITHUB }), "no signature fits the body");
    let secret = "whsec_?";
    let text = error(Case { secret, ..STANDARD });
    assert_eq!(text, "the secret is no signing key: it is not whsec_ and base 64");
    assert!(verify(&Case { secret: "", ..GITHUB }).is_err());
    let mut later = STANDARD.headers.to_vec();
    later[1].1 = "1614265331";
    assert_eq!(error(Case { headers: &later, ..STANDARD }), "no signature fits the body");
}
