use nexus_sdk::Error;
use nexus_sdk::http::{Request, Response};

nexus_sdk::http!(handle);

fn handle(mut request: Request) -> Result<Response, Error> {
    let name = match request.query("name") {
        Some(name) => name,
        None => name_in(&request.body()?).unwrap_or_else(|| "you".to_owned()),
    };
    nexus_sdk::info!("greeting", name = name);
    Ok(Response::text(format!("Hello, {name}!\n")))
}

/// The name in a body like `{"name":"Ada"}`. With the SDK's feature `json`, `request.json()` gives
/// any serde type.
fn name_in(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("\"name\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name() {
        let response = handle(Request::test("GET", "/hello?name=Ada", "")).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.bytes(), b"Hello, Ada!\n");
    }

    #[test]
    fn takes_the_name_from_a_body() {
        let response = handle(Request::test("POST", "/", r#"{"name": "Grace"}"#)).unwrap();
        assert_eq!(response.bytes(), b"Hello, Grace!\n");
    }
}
