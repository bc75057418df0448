//! The answers of an operation: the good one, and for each status the codes that come with it.

use std::collections::BTreeMap;

use nexus_model::{Code, Problem};
use serde_json::{Map, Value, json};

use super::super::endpoint::{Access, Endpoint, Failures};

/// What any operation may answer: a request that breaks a rule or comes too slowly, a disk that
/// fails, a server that stops, a defect.
const ANY: &[Code] = &[
    Code::BadRequest,
    Code::RequestTimeout,
    Code::HeadTooLarge,
    Code::UpgradeRefused,
    Code::Storage,
    Code::ShuttingDown,
    Code::Internal,
];
/// What an operation that wants a token may answer besides.
const WITH_TOKEN: &[Code] = &[Code::Unauthenticated, Code::Forbidden, Code::CrossSite];
/// What an operation that takes a body may answer besides.
const WITH_BODY: &[Code] = &[Code::TooLarge, Code::UnsupportedMediaType];

/// Everything that an operation may answer when it does not succeed.
pub(super) fn codes(endpoint: &Endpoint) -> Vec<Code> {
    let mut codes = ANY.to_vec();
    if endpoint.access != Access::Open {
        codes.extend(WITH_TOKEN);
    }
    if endpoint.path.contains('{') {
        codes.push(Code::NotFound);
    }
    if !endpoint.request.is_empty() {
        codes.extend(WITH_BODY);
    }
    let (Failures::These(own) | Failures::Any(own)) = endpoint.failures;
    codes.extend(own);
    codes.sort_by_key(|code| code.as_str());
    codes.dedup();
    codes
}

/// The responses of these codes by status, with an example of each.
pub(super) fn problems(codes: &[Code]) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.http_status()).or_default().push(*code);
    }
    let response = |(status, codes): (u16, Vec<Code>)| {
        let lines: Vec<String> =
            codes.iter().map(|code| format!("`{code}`: {}.", code.title())).collect();
        let example = |code: &Code| {
            let reference = format!("#/components/examples/{code}");
            (code.as_str().to_owned(), json!({ "$ref": reference }))
        };
        let examples: Map<String, Value> = codes.iter().map(example).collect();
        let response = json!({
            "description": lines.join(" "),
            "content": { "application/problem+json": {
                "schema": { "$ref": "#/components/schemas/Problem" },
                "examples": examples,
            } },
        });
        (status.to_string(), response)
    };
    by_status.into_iter().map(response).collect()
}

/// An example for each code.
pub(super) fn examples() -> Map<String, Value> {
    let example = |code: &Code| {
        let mut problem = Problem::new(*code, code.title());
        problem.request_id = Some("req_0c6w2m8v5n1kx".to_owned());
        (code.as_str().to_owned(), json!({ "summary": code.title(), "value": problem }))
    };
    Code::ALL.iter().map(example).collect()
}
