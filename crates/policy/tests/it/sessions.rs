//! Sessions and sign-in links: how long they last, and how many there are.

use std::time::Duration;

use nexus_model::{Timestamp, limits};
use nexus_policy::{SessionError, Sessions, Token, TokenHash};

fn hash(number: u32) -> TokenHash {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Token::from_random(bytes).hash()
}

fn at(since: Duration) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000).after(since)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_session_ends_when_it_is_idle_and_at_the_latest_after_its_age() {
    let mut sessions = Sessions::default();
    let start = Duration::ZERO;
    let ends = sessions.open(hash(1), hash(0), at(start)).unwrap();
    assert_eq!(ends, at(limits::SESSION_AGE_MAX));
    let idle = limits::SESSION_IDLE_MAX;
    assert_eq!(sessions.touch(&hash(1), at(idle - SECOND)), Some((hash(0), ends)));
    // Looking does not count as use.
    assert!(sessions.find(&hash(1), at(2 * idle - 2 * SECOND)).is_some());
    assert!(sessions.find(&hash(1), at(2 * idle - SECOND)).is_none());

    let mut sessions = Sessions::default();
    sessions.open(hash(1), hash(0), at(start)).unwrap();
    let mut now = start;
    while now + idle / 2 < limits::SESSION_AGE_MAX {
        now += idle / 2;
        assert!(sessions.touch(&hash(1), at(now)).is_some(), "{now:?}");
    }
    assert!(sessions.touch(&hash(1), at(limits::SESSION_AGE_MAX)).is_none());
}

#[test]
fn a_link_is_used_once_and_in_time() {
    let mut sessions = Sessions::default();
    let start = at(Duration::ZERO);
    for code in 1..=2 {
        sessions.link(hash(code), hash(0), start).unwrap();
    }
    assert_eq!(sessions.redeem(&hash(1), start), Some(hash(0)));
    assert_eq!(sessions.redeem(&hash(1), start), None);
    assert_eq!(sessions.redeem(&hash(2), at(limits::SESSION_LINK_AGE_MAX)), None);
    assert_eq!(sessions.redeem(&hash(3), start), None);
}

#[test]
fn both_are_bounded_and_what_has_ended_makes_room() {
    let mut sessions = Sessions::default();
    let start = at(Duration::ZERO);
    for key in 0..limits::SESSIONS_MAX as u32 {
        let token = key / limits::SESSIONS_OF_TOKEN_MAX as u32;
        sessions.open(hash(1000 + key), hash(token), start).unwrap();
    }
    let refused = sessions.open(hash(1), hash(999), start);
    assert_eq!(refused, Err(SessionError::TooMany));
    // One more of the same token: its oldest goes.
    sessions.open(hash(2), hash(0), at(SECOND)).unwrap();
    let of_first = |key| sessions.find(&hash(key), at(SECOND)).is_some();
    let left = (1000..1000 + limits::SESSIONS_OF_TOKEN_MAX as u32).filter(|key| of_first(*key));
    assert_eq!(left.count(), limits::SESSIONS_OF_TOKEN_MAX - 1);
    sessions.open(hash(1), hash(999), at(limits::SESSION_IDLE_MAX + SECOND * 2)).unwrap();

    for code in 0..limits::SESSION_LINKS_MAX as u32 {
        sessions.link(hash(code), hash(0), start).unwrap();
    }
    assert_eq!(sessions.link(hash(9999), hash(0), start), Err(SessionError::TooManyLinks));
    sessions.link(hash(9999), hash(0), at(limits::SESSION_LINK_AGE_MAX)).unwrap();
}

#[test]
fn what_stands_for_a_token_ends_with_it() {
    let mut sessions = Sessions::default();
    let now = at(Duration::ZERO);
    for token in 0..2 {
        sessions.open(hash(10 + token), hash(token), now).unwrap();
        sessions.link(hash(20 + token), hash(token), now).unwrap();
    }
    sessions.retain(|token| *token == hash(1));
    assert!(sessions.find(&hash(10), now).is_none() && sessions.redeem(&hash(20), now).is_none());
    assert!(sessions.find(&hash(11), now).is_some() && sessions.redeem(&hash(21), now).is_some());
    assert!(sessions.close(&hash(11)) && !sessions.close(&hash(11)));
}
