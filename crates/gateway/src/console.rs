//! The pages of the web console on the address of the API: where each path leads, and under which
//! headers.
//!
//! ```text
//! /assets/…            files whose names change with their content: kept for ever
//! /docs                the interactive document of the API
//! /any/other/file.svg  a file of the console, asked for again each time (ETag)
//! /any/other/path      a view of the console, for whoever accepts HTML: the page that draws it
//! ```

use axum::response::Response as AxumResponse;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

/// The page that draws every view of the console.
const INDEX: &str = "index.html";
/// The page of the API's document.
const DOCS: &str = "docs/index.html";

/// What pages may do. Scripts come from this server only, none stands in a page, and nothing may
/// put a page into a frame. Styles come from this server, too; only single elements may carry their
/// own in an attribute: menus and charts are placed so.
macro_rules! policy {
    ($styles:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; ",
            $styles,
            "; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; \
             manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
    };
}

const POLICY: &str = policy!("style-src 'self'; style-src-attr 'unsafe-inline'");
/// The same for the API's document, whose viewer puts its styles into the page. Styles run nothing.
const DOCS_POLICY: &str = policy!("style-src 'self' 'unsafe-inline'");

/// What is asked of the console's files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest<'a> {
    /// The path without its first slash.
    pub path: &'a str,
    /// Whether the client takes the encoding `br`.
    pub brotli: bool,
    /// Whether the client takes the encoding `gzip`.
    pub gzip: bool,
}

/// A file of the console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Its media type.
    pub content_type: &'static str,
    /// Changes with the content, and only then.
    pub digest: &'static str,
    /// Whether the name changes with the content.
    pub immutable: bool,
    /// The encoding of the bytes; `None` for plain ones.
    pub encoding: Option<&'static str>,
    /// The bytes.
    pub bytes: Bytes,
}

/// Looks up a file of the console. A function, so that this crate does not contain the console.
pub type Pages = fn(&PageRequest<'_>) -> Option<Page>;

/// Marks answers that are pages, and says what they may do. Nothing that a function answers can
/// carry it.
#[derive(Clone, Copy)]
pub(crate) struct IsPage(pub(crate) &'static str);

/// The page at the path of a request; `None` where there is none.
pub(crate) fn page<B>(pages: Pages, request: &Request<B>) -> Option<AxumResponse> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let headers = request.headers();
    let path = request.uri().path().strip_prefix('/')?;
    if path == "api" || path.starts_with("api/") {
        return None;
    }
    let found = |path| {
        let (brotli, gzip) = (takes(headers, "br"), takes(headers, "gzip"));
        pages(&PageRequest { path, brotli, gzip })
    };
    let page = match path {
        "" => found(INDEX),
        "docs" | "docs/" => found(DOCS),
        path => match found(path) {
            Some(page) => Some(page),
            None if path.starts_with("assets/") || !accepts_html(headers) => None,
            None => found(INDEX),
        },
    };
    let policy = match path {
        "docs" | "docs/" | DOCS => DOCS_POLICY,
        _ => POLICY,
    };
    page.map(|page| answer(page, policy, headers))
}

fn answer(page: Page, policy: &'static str, asked: &HeaderMap) -> AxumResponse {
    let tag = format!("W/\"{}\"", page.digest);
    let mut response = match known(asked, &tag) {
        true => AxumResponse::default(),
        false => AxumResponse::new(axum::body::Body::from(page.bytes)),
    };
    if known(asked, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    let kept = if page.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // Pages of other origins that opened this one must not keep a hold of its window.
    const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(OPENER, HeaderValue::from_static("same-origin"));
    if let Some(encoding) = page.encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response.extensions_mut().insert(IsPage(policy));
    response
}

/// Whether the client has the bytes with this tag.
fn known(headers: &HeaderMap, tag: &str) -> bool {
    let listed = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let strong = tag.trim_start_matches("W/");
    listed
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|at| at == "*" || at.trim_start_matches("W/") == strong)
}

/// Whether the client lists an encoding and does not refuse it.
fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let refused = weight.is_some_and(|weight| weight.parse() == Ok(0.0));
        name.eq_ignore_ascii_case(encoding) && !refused
    })
}

/// Whether a person with a browser asks, and not a program that mistook a path.
fn accepts_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|item| item.split(';').next().is_some_and(|essence| essence.trim() == "text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(request: &PageRequest<'_>) -> Option<Page> {
        let (content_type, immutable) = match request.path {
            "index.html" | "docs/index.html" => ("text/html", false),
            "favicon.svg" => ("image/svg+xml", false),
            "assets/app-1.js" => ("text/javascript", true),
            _ => return None,
        };
        let encoding = match (request.brotli, request.gzip) {
            (true, _) => Some("br"),
            (_, true) => Some("gzip"),
            _ => None,
        };
        let bytes = Bytes::copy_from_slice(request.path.as_bytes());
        Some(Page { content_type, digest: "d1", immutable, encoding, bytes })
    }

    fn asked(method: Method, path: &str, headers: &[(&str, &str)]) -> Option<AxumResponse> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        page(pages, &request.body(()).unwrap())
    }

    #[test]
    fn paths_lead_to_files_views_and_nothing() {
        const HTML: (&str, &str) = ("accept", "text/html,application/xml;q=0.9,*/*;q=0.8");
        const ANY: (&str, &str) = ("accept", "*/*");
        for (path, accept, expected) in [
            ("/", ANY, Some("text/html")),
            ("/index.html", ANY, Some("text/html")),
            ("/docs", ANY, Some("text/html")),
            ("/docs/", HTML, Some("text/html")),
            ("/favicon.svg", ANY, Some("image/svg+xml")),
            ("/assets/app-1.js", ANY, Some("text/javascript")),
            ("/projects/shop/invocations?status=failed", HTML, Some("text/html")),
            ("/projects/shop/invocations", ANY, None),
            ("/assets/app-2.js", HTML, None),
            ("/api/v1/nothing", HTML, None),
            ("/api", HTML, None),
            ("/apiary", HTML, Some("text/html")),
        ] {
            let found = asked(Method::GET, path, &[accept]);
            let kind = found.as_ref().map(|it| it.headers()[CONTENT_TYPE].to_str().unwrap());
            assert_eq!(kind, expected, "{path}");
        }
        assert!(asked(Method::POST, "/", &[HTML]).is_none());
        assert!(asked(Method::HEAD, "/", &[]).is_some());
    }

    #[test]
    fn only_hashed_names_are_kept_and_the_rest_is_asked_for_again() {
        let kept = |path| {
            let answer = asked(Method::GET, path, &[]).unwrap();
            answer.headers()[CACHE_CONTROL].to_str().unwrap().to_owned()
        };
        assert_eq!(kept("/assets/app-1.js"), "public, max-age=31536000, immutable");
        assert_eq!(kept("/"), "no-cache");
        for (tag, status) in
            [("W/\"d1\"", 304), ("\"x\", \"d1\"", 304), ("*", 304), ("\"d2\"", 200), ("", 200)]
        {
            let answer = asked(Method::GET, "/", &[("if-none-match", tag)]).unwrap();
            assert_eq!(answer.status(), status, "{tag}");
            assert_eq!(answer.headers()[ETAG], "W/\"d1\"");
        }
    }

    #[test]
    fn the_client_says_which_encodings_it_takes() {
        for (accepted, expected) in [
            ("gzip, deflate, br", Some("br")),
            ("gzip;q=1.0, br;q=0", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("identity", None),
            ("", None),
        ] {
            let answer = asked(Method::GET, "/", &[("accept-encoding", accepted)]).unwrap();
            let encoding = answer.headers().get(CONTENT_ENCODING);
            assert_eq!(encoding.map(|it| it.to_str().unwrap()), expected, "{accepted}");
            assert_eq!(answer.headers()[VARY], "accept-encoding");
        }
    }
}
