//! The table of endpoints: each row makes both the route and its part of the OpenAPI document, so
//! that the two cannot drift apart.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use nexus_model::Code;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::App;

/// Who may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// A token; the use case says which scope it needs, the document repeats it.
    Token(&'static str),
    /// As `Token("read")`, unless the configuration opens the metrics.
    Metrics,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a body holds.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) media_type: &'static str,
    /// Absent for bytes.
    pub(super) schema: Option<SchemaOf>,
}

/// What an operation may answer when it does not succeed, besides what any may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failures {
    /// These codes, and nothing else.
    These(&'static [Code]),
    /// These codes; and a function may answer any status at all.
    Any(&'static [Code]),
}

/// One row.
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    pub(super) query: Option<SchemaOf>,
    pub(super) request: Vec<Content>,
    pub(super) status: u16,
    pub(super) answer: Vec<Content>,
    /// Further statuses of success, with what they mean.
    pub(super) also: &'static [(u16, &'static str)],
    pub(super) failures: Failures,
    pub(super) handler: MethodRouter<App>,
}

impl Endpoint {
    /// A row whose handler answers `method` on `path`; `[id, summary]` name it in the document.
    pub(super) fn new<H, T>(
        (method, path): (Method, &'static str),
        [id, summary]: [&'static str; 2],
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = match method {
            Method::POST => MethodFilter::POST,
            Method::PUT => MethodFilter::PUT,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        Endpoint {
            method,
            path,
            id,
            summary,
            access: Access::Token("read"),
            query: None,
            request: Vec::new(),
            status: 200,
            answer: Vec::new(),
            also: &[],
            failures: Failures::These(&[]),
            handler: on(filter, handler),
        }
    }

    pub(super) fn get<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        names: [&'static str; 2],
        handler: H,
    ) -> Self {
        Endpoint::new((Method::GET, path), names, handler)
    }

    pub(super) fn post<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        names: [&'static str; 2],
        handler: H,
    ) -> Self {
        Endpoint::new((Method::POST, path), names, handler)
    }

    pub(super) fn put<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        names: [&'static str; 2],
        handler: H,
    ) -> Self {
        Endpoint::new((Method::PUT, path), names, handler)
    }

    pub(super) fn delete<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        names: [&'static str; 2],
        handler: H,
    ) -> Self {
        Endpoint::new((Method::DELETE, path), names, handler).empty()
    }

    pub(super) fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    pub(super) fn scope(self, scope: &'static str) -> Self {
        self.access(Access::Token(scope))
    }

    /// The query parameters are the members of `T`.
    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// Takes JSON of this shape.
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.request
            .push(Content { media_type: "application/json", schema: Some(T::json_schema_of) });
        self
    }

    /// Takes JSON of this shape under another media type.
    pub(super) fn takes_as<T: JsonSchema>(mut self, media_type: &'static str) -> Self {
        self.request.push(Content { media_type, schema: Some(T::json_schema_of) });
        self
    }

    /// Takes bytes.
    pub(super) fn takes_bytes(mut self, media_type: &'static str) -> Self {
        self.request.push(Content { media_type, schema: None });
        self
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Answers JSON of this shape.
    pub(super) fn answers<T: JsonSchema>(self) -> Self {
        self.answers_as::<T>("application/json")
    }

    /// Answers items of this shape under another media type (a stream of them).
    pub(super) fn answers_as<T: JsonSchema>(mut self, media_type: &'static str) -> Self {
        self.answer.push(Content { media_type, schema: Some(T::json_schema_of) });
        self
    }

    /// Answers bytes.
    pub(super) fn answers_bytes(mut self, media_type: &'static str) -> Self {
        self.answer.push(Content { media_type, schema: None });
        self
    }

    /// Answers these statuses, too, when it succeeds.
    pub(super) fn also(mut self, also: &'static [(u16, &'static str)]) -> Self {
        self.also = also;
        self
    }

    /// May answer with these codes, besides those that any endpoint may answer with.
    pub(super) fn fails(mut self, codes: &'static [Code]) -> Self {
        self.failures = Failures::These(codes);
        self
    }

    /// May answer with these codes, or with any status that a function chooses.
    pub(super) fn answers_as_functions_do(mut self, codes: &'static [Code]) -> Self {
        self.failures = Failures::Any(codes);
        self
    }

    /// Answers nothing.
    pub(super) fn empty(mut self) -> Self {
        self.status = 204;
        self.answer.clear();
        self
    }
}

/// A reference to the named schema of a type, or the schema itself where it has no name.
trait SchemaRef: JsonSchema + Sized {
    fn json_schema_of(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl<T: JsonSchema> SchemaRef for T {}
