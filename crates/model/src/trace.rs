//! W3C Trace Context: what of a caller's trace is taken over.
//! <https://www.w3.org/TR/trace-context/>

use std::fmt;

use crate::limits;

/// List members of a `tracestate`, at most (section 3.3.1.1).
const MEMBERS_MAX: usize = 32;
/// A member that is longer goes first where there is no room for all (section 3.3.1.5), in bytes.
const LONG_MEMBER: usize = 128;

/// A valid `traceparent` (section 3.2), as far as version 00 knows it. It prints as one of that version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traceparent<'a> {
    /// The trace: 32 lowercase hexadecimal digits.
    pub trace_id: &'a str,
    /// The span of the caller: 16 of them.
    pub parent_id: &'a str,
    /// The flags: two of them.
    pub flags: &'a str,
}

impl fmt::Display for Traceparent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Reads a `traceparent` of any version. `None` where it is not valid.
pub fn traceparent(text: &str) -> Option<Traceparent<'_>> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let hex = |range: std::ops::Range<usize>| {
        bytes[range].iter().all(|at| at.is_ascii_digit() || (b'a'..=b'f').contains(at))
    };
    let nonzero = |range: std::ops::Range<usize>| bytes[range].iter().any(|&at| at != b'0');
    // Later versions may have more behind what is known of them.
    let of_version = |bytes: &[u8]| match &bytes[..2] {
        b"ff" => false,
        b"00" => bytes.len() == 55,
        _ => bytes.len() == 55 || bytes[55] == b'-',
    };
    let good = bytes.len() >= 55
        && of_version(bytes)
        && hex(0..2)
        && bytes[2] == b'-'
        && bytes[35] == b'-'
        && bytes[52] == b'-'
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && nonzero(3..35)
        && nonzero(36..52);
    good.then(|| Traceparent {
        trace_id: &text[3..35],
        parent_id: &text[36..52],
        flags: &text[53..55],
    })
}

/// A `tracestate` from the values of its headers, in their order: the members of all, without spaces
/// around them, and without those for which [`limits::TRACESTATE_BYTES_MAX`] has no room. `None`
/// where there are none, or one of them is not valid: nothing is known of the others then.
pub fn tracestate<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut members = Vec::new();
    for value in values {
        for member in value.split(',').map(|at| at.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            if members.len() == MEMBERS_MAX || !is_member(member) {
                return None;
            }
            members.push(member);
        }
    }
    let size = |members: &[&str]| members.iter().map(|at| at.len() + 1).sum::<usize>();
    let too_long = |members: &[&str]| size(members) > limits::TRACESTATE_BYTES_MAX + 1;
    // The newest stand in front.
    while too_long(&members) {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    (!members.is_empty()).then(|| members.join(","))
}

/// `key=value` (sections 3.3.1.3.1 and 3.3.1.3.2).
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let character = |at: u8| {
        at.is_ascii_lowercase() || at.is_ascii_digit() || matches!(at, b'_' | b'-' | b'*' | b'/')
    };
    let characters =
        |part: &str, length| (1..=length).contains(&part.len()) && part.bytes().all(character);
    let begins = |part: &str, digit: bool| {
        part.bytes()
            .next()
            .is_some_and(|at| at.is_ascii_lowercase() || digit && at.is_ascii_digit())
    };
    let key = match key.split_once('@') {
        None => characters(key, 256) && begins(key, true),
        Some((tenant, system)) => {
            characters(tenant, 241)
                && begins(tenant, true)
                && characters(system, 14)
                && begins(system, false)
        }
    };
    let printable = |at: u8| (0x20..=0x7e).contains(&at) && at != b',' && at != b'=';
    key && (1..=256).contains(&value.len()) && value.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_parents_are_taken_over() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let taken = |text: &str| traceparent(text).map(|at| at.to_string());
        assert_eq!(taken(good).as_deref(), Some(good));
        let later = good.replacen("00", "01", 1) + "-more";
        assert_eq!(taken(&later).as_deref(), Some(good));
        for wrong in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "",
            "ä",
        ] {
            assert_eq!(taken(wrong), None, "{wrong}");
        }
    }

    /// The cases are those of the W3C's test suite for implementations.
    #[test]
    fn valid_states_are_taken_over() {
        let (longest, tenant) =
            (format!("{}=1", "z".repeat(256)), format!("{}@{}=1", "t".repeat(241), "v".repeat(14)));
        let many: Vec<String> = (0..32).map(|at| format!("bar{at:02}={at:02}")).collect();
        let many = many.join(",");
        for (values, expected) in [
            (vec!["foo=1"], "foo=1"),
            (vec!["foo=1,bar=2"], "foo=1,bar=2"),
            (vec!["foo=1", "bar=2"], "foo=1,bar=2"),
            (vec!["foo=1,", "", " ,bar=2"], "foo=1,bar=2"),
            (vec!["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
            (vec!["foo=1\t ", "\tbar=2"], "foo=1,bar=2"),
            (vec!["foo=1,foo=1"], "foo=1,foo=1"),
            (
                vec!["a0_-*/=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~ x"],
                "a0_-*/=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~ x",
            ),
            (vec!["1a@b-c=1"], "1a@b-c=1"),
            (vec![&longest], &longest),
            (vec![&tenant], &tenant),
            (vec![&many], &many),
        ] {
            assert_eq!(tracestate(values.clone()).as_deref(), Some(expected), "{values:?}");
        }
    }

    #[test]
    fn one_wrong_member_spoils_all() {
        let long = format!("{}=1", "z".repeat(257));
        let (tenant, system) =
            (format!("{}@v=1", "t".repeat(242)), format!("t@{}=1", "v".repeat(15)));
        let value = format!("foo={}", "1".repeat(257));
        let many = vec!["a=1"; 33].join(",");
        for wrong in [
            "",
            " , ",
            "foo",
            "foo =1",
            "FOO=1",
            "foo.bar=1",
            "foo@=1",
            "@foo=1",
            "foo@@bar=1",
            "foo@bar@baz=1",
            "foo@1=1",
            "foo=bar=baz",
            "foo=",
            "foo=ä",
            "=1",
            &long,
            &tenant,
            &system,
            &value,
            &many,
        ] {
            assert_eq!(tracestate([wrong]), None, "{wrong}");
            if wrong.contains('=') {
                assert_eq!(tracestate(["good=1", wrong]), None, "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_too_long_loses_its_long_and_its_last_members() {
        let (long, short) = (format!("long={}", "x".repeat(150)), "b=12345678".to_owned());
        let mut members = vec!["a=1".to_owned(), long.clone()];
        members.extend(vec![short; 30]);
        let all = members.join(",");
        assert!(all.len() <= limits::TRACESTATE_BYTES_MAX);
        assert_eq!(tracestate([&*all]), Some(all));
        members[0] = format!("a={}", "y".repeat(40));
        let kept = tracestate([&*members.join(",")]).unwrap();
        assert!(
            !kept.contains("long") && kept.starts_with("a=yy") && kept.matches("b=").count() == 30
        );
        let wide: Vec<String> = (0..32).map(|at| format!("k{at}={}", "x".repeat(40))).collect();
        let kept = tracestate([&*wide.join(",")]).unwrap();
        assert!(
            kept.len() <= limits::TRACESTATE_BYTES_MAX
                && kept.starts_with("k0=")
                && !kept.contains("k31")
        );
    }
}
