//! The cookie of a session in a browser, and the proof that a request with it comes from a page of
//! this server.
//!
//! Cookies do not know ports: a browser sends that of `127.0.0.1:7070` to `127.0.0.1:8080`, too. So
//! the name has the port, to keep servers of one machine apart, and the ingress removes these cookies
//! from what functions get and set ([`hide`], [`hide_set`]).

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN, SET_COOKIE};
use http::{Method, header::HOST};
use nexus_model::{Code, limits};

use crate::fault::Fault;

/// How the names of all session cookies begin, of every server.
const NAME: &str = "nexus_session";
/// A browser takes such a name only from TLS, for the whole origin.
const SECURE: &str = "__Host-";
/// Cookies of the same name that are looked at; others can be planted by neighbours of the host.
const CANDIDATES_MAX: usize = 4;
/// The header that requests with a cookie carry, unless they only read. Pages of other origins
/// cannot send it.
const CSRF: HeaderName = HeaderName::from_static("nexus-csrf");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The session cookie of one server.
#[derive(Clone, Debug)]
pub(crate) struct SessionCookie {
    name: String,
}

impl SessionCookie {
    /// For the server whose API listens on `port`.
    pub(crate) fn new(port: u16) -> Self {
        SessionCookie { name: format!("{NAME}_{port}") }
    }

    /// The keys of sessions that a request shows.
    pub(crate) fn keys<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let own = move |pair: &'a str| {
            let (name, value) = pair.trim().split_once('=')?;
            let name = name.strip_prefix(SECURE).unwrap_or(name);
            (name == self.name).then_some(value)
        };
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(';')).filter_map(own).take(CANDIDATES_MAX)
    }

    /// `set-cookie` for a session that was opened. `secure`: the browser came over TLS.
    pub(crate) fn set(&self, key: &str, secure: bool) -> Option<HeaderValue> {
        self.line(key, limits::SESSION_AGE_MAX.as_secs(), secure)
    }

    /// Two values of `set-cookie` that remove it, whichever of its names it has.
    pub(crate) fn removed(&self) -> impl Iterator<Item = HeaderValue> {
        [false, true].into_iter().filter_map(|secure| self.line("", 0, secure))
    }

    fn line(&self, value: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
        let (prefix, attribute) = if secure { (SECURE, "; Secure") } else { ("", "") };
        let name = &self.name;
        let line = format!(
            "{prefix}{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{attribute}"
        );
        HeaderValue::from_str(&line).ok()
    }
}

/// Whether the browser says that it came over TLS, here or at a proxy in front: `origin` cannot be
/// set by a page.
pub(crate) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// Refuses a request with a cookie that a page of another origin may have sent. Browsers say where
/// a request comes from in `sec-fetch-site`, over clear text from elsewhere only in `origin`;
/// besides, what changes something needs a header that pages of other origins cannot send.
pub(crate) fn own_page(method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    from_here(method, headers)?;
    if !reads && headers.get(&CSRF).is_none_or(HeaderValue::is_empty) {
        return Err(Fault::new(
            Code::CrossSite,
            "a request with the cookie of a session needs the header 'nexus-csrf: 1'",
        )
        .hint("programs show a token instead: 'Authorization: Bearer nx_…'"));
    }
    Ok(())
}

/// Refuses what a page of another origin sent, as far as the browser tells. Programs tell nothing.
pub(crate) fn from_here(method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
    let refused = |detail: String| Err(Fault::new(Code::CrossSite, detail));
    match headers.get(&FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin") => return Ok(()),
        // Typed into the address bar.
        Some(b"none") if matches!(*method, Method::GET | Method::HEAD) => return Ok(()),
        Some(site) => {
            let site = String::from_utf8_lossy(site);
            return refused(format!("the browser says that the request is '{site}'"));
        }
        None => {}
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let authority = origin.to_str().ok().and_then(|text| Some(text.split_once("://")?.1));
    match (authority, headers.get(HOST)) {
        (Some(authority), Some(host)) if authority.as_bytes() == host.as_bytes() => Ok(()),
        _ => {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            refused(format!("the request comes from '{origin}', which is not this server"))
        }
    }
}

fn is_session(pair: &str) -> bool {
    let name = pair.trim_start();
    name.strip_prefix(SECURE).unwrap_or(name).starts_with(NAME)
}

/// Removes session cookies from a request that goes to a function.
pub(crate) fn hide(headers: &mut HeaderMap) {
    let hidden = |line: &HeaderValue| {
        let bytes = line.as_bytes();
        bytes.windows(NAME.len()).any(|window| window == NAME.as_bytes())
    };
    if !headers.get_all(COOKIE).iter().any(hidden) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let text = String::from_utf8_lossy(line.as_bytes());
        let others: Vec<&str> =
            text.split(';').map(str::trim).filter(|pair| !is_session(pair)).collect();
        if let Ok(rest) = HeaderValue::from_str(&others.join("; "))
            && !rest.is_empty()
        {
            headers.append(COOKIE, rest);
        }
    }
}

/// Removes session cookies that a function would set.
pub(crate) fn hide_set(headers: &mut HeaderMap) {
    let planted = |line: &HeaderValue| is_session(&String::from_utf8_lossy(line.as_bytes()));
    if !headers.get_all(SET_COOKIE).iter().any(planted) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for line in lines.into_iter().filter(|line| !planted(line)) {
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_pages_of_this_server_pass() {
        const HERE: (&str, &str) = ("host", "127.0.0.1:7070");
        const TOKEN: (&str, &str) = ("nexus-csrf", "1");
        for (method, sent, passes) in [
            ("GET", &[HERE][..], true),
            ("GET", &[HERE, ("sec-fetch-site", "same-origin")], true),
            ("GET", &[HERE, ("sec-fetch-site", "none")], true),
            ("GET", &[HERE, ("sec-fetch-site", "same-site")], false),
            ("GET", &[HERE, ("sec-fetch-site", "cross-site")], false),
            ("GET", &[HERE, ("origin", "http://127.0.0.1:8080")], false),
            ("POST", &[HERE, TOKEN], true),
            ("POST", &[HERE, TOKEN, ("sec-fetch-site", "same-origin")], true),
            ("POST", &[HERE, TOKEN, ("sec-fetch-site", "none")], false),
            ("POST", &[HERE, TOKEN, ("sec-fetch-site", "same-site")], false),
            ("POST", &[HERE, TOKEN, ("origin", "http://127.0.0.1:7070")], true),
            ("POST", &[HERE, TOKEN, ("origin", "http://127.0.0.1:70701")], false),
            ("POST", &[HERE, TOKEN, ("origin", "http://evil.example")], false),
            ("POST", &[HERE, TOKEN, ("origin", "null")], false),
            ("POST", &[HERE], false),
            ("POST", &[HERE, ("nexus-csrf", "")], false),
            ("DELETE", &[HERE, ("sec-fetch-site", "same-origin")], false),
        ] {
            let method: Method = method.parse().unwrap();
            let found = own_page(&method, &headers(sent));
            assert_eq!(found.is_ok(), passes, "{method} {sent:?}: {found:?}");
        }
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let cookie = SessionCookie::new(7070);
        let set = |secure| cookie.set("nx_k", secure).unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            set(false),
            "nexus_session_7070=nx_k; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            set(true),
            "__Host-nexus_session_7070=nx_k; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict; \
             Secure"
        );
        assert!(cookie.removed().all(|line| line.to_str().unwrap().contains("Max-Age=0;")));
        let shown = headers(&[(
            "cookie",
            "a=1; nexus_session_7071=x; nexus_session_7070=one; __Host-nexus_session_7070=two",
        )]);
        assert_eq!(cookie.keys(&shown).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn functions_neither_see_nor_set_it() {
        for (sent, seen) in [
            ("a=1; nexus_session_7070=k; b=2", Some("a=1; b=2")),
            ("__Host-nexus_session_7=k", None),
            ("a=nexus_session; b=2", Some("a=nexus_session; b=2")),
            ("a=1;  b=2", Some("a=1;  b=2")),
        ] {
            let mut headers = headers(&[("cookie", sent)]);
            hide(&mut headers);
            let left = headers.get(COOKIE).map(|line| line.to_str().unwrap());
            assert_eq!(left, seen, "{sent}");
        }
        let mut answer = HeaderMap::new();
        for line in ["a=1; Path=/", "nexus_session_7070=x; Path=/api", "__Host-nexus_session_1=x"] {
            answer.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        hide_set(&mut answer);
        let left: Vec<_> = answer.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["a=1; Path=/"]);
    }
}
