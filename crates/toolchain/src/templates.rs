//! The files that a new project begins with. They lie in `templates/`, `sdk/rust` and `sdk/python`,
//! and are part of the program, so that `nexus new` needs nothing else.

use crate::{Language, Template};

/// Replaced by the project's name.
pub(crate) const NAME: &str = "{{name}}";

type File = (&'static str, &'static str);

/// Gives (path in the project, text) from paths below a folder of the repository.
macro_rules! files {
    ($root:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../templates/", $root, "/", $path)))),*]
    };
}

const IGNORE: File = (".gitignore", include_str!("../../../templates/common/gitignore"));
const HTTP: File = ("nexus.toml", include_str!("../../../templates/common/http.toml"));
const EVENT: &[File] = &[
    ("nexus.toml", include_str!("../../../templates/common/event.toml")),
    ("order.json", include_str!("../../../templates/common/order.json")),
];

const RUST_HTTP: &[File] = files!("rust/http":
    "README.md", "hello/Cargo.toml", "hello/.cargo/config.toml", "hello/src/lib.rs");
const RUST_EVENT: &[File] = files!("rust/event":
    "README.md", "orders/Cargo.toml", "orders/.cargo/config.toml", "orders/src/lib.rs");
const JAVASCRIPT_HTTP: &[File] = files!("javascript/http":
    "README.md", "hello/package.json", "hello/index.js", "hello/index.test.js");
const JAVASCRIPT_EVENT: &[File] = files!("javascript/event":
    "README.md", "orders/package.json", "orders/index.js", "orders/index.test.js");
const TYPESCRIPT_HTTP: &[File] = files!("typescript/http":
    "README.md", "hello/package.json", "hello/index.ts", "hello/index.test.ts");
const TYPESCRIPT_EVENT: &[File] = files!("typescript/event":
    "README.md", "orders/package.json", "orders/index.ts", "orders/index.test.ts");
const PYTHON_HTTP: &[File] =
    files!("python/http": "README.md", "hello/app.py", "hello/test_app.py");
const PYTHON_EVENT: &[File] =
    files!("python/event": "README.md", "orders/app.py", "orders/test_app.py");

const TSCONFIG: &str = include_str!("../../../templates/typescript/tsconfig.json");
const TYPES: &str = include_str!("../../../templates/typescript/nexus.d.ts");

/// The SDK for Rust as a crate of the project: it builds offline of any registry entry of ours, and
/// can be read and stepped into.
const RUST_SDK: &[File] = &[
    ("nexus-sdk/Cargo.toml", include_str!("../../../sdk/rust/Cargo.toml")),
    ("nexus-sdk/README.md", include_str!("../../../sdk/rust/README.md")),
    ("nexus-sdk/src/lib.rs", include_str!("../../../sdk/rust/src/lib.rs")),
    ("nexus-sdk/src/bindings.rs", include_str!("../../../sdk/rust/src/bindings.rs")),
    ("nexus-sdk/src/aggregate.rs", include_str!("../../../sdk/rust/src/aggregate.rs")),
    ("nexus-sdk/src/calls.rs", include_str!("../../../sdk/rust/src/calls.rs")),
    ("nexus-sdk/src/context.rs", include_str!("../../../sdk/rust/src/context.rs")),
    ("nexus-sdk/src/durable.rs", include_str!("../../../sdk/rust/src/durable.rs")),
    ("nexus-sdk/src/error.rs", include_str!("../../../sdk/rust/src/error.rs")),
    ("nexus-sdk/src/event.rs", include_str!("../../../sdk/rust/src/event.rs")),
    ("nexus-sdk/src/http.rs", include_str!("../../../sdk/rust/src/http.rs")),
    ("nexus-sdk/src/http/client.rs", include_str!("../../../sdk/rust/src/http/client.rs")),
    ("nexus-sdk/src/http/server.rs", include_str!("../../../sdk/rust/src/http/server.rs")),
    ("nexus-sdk/src/log.rs", include_str!("../../../sdk/rust/src/log.rs")),
    ("nexus-sdk/src/state.rs", include_str!("../../../sdk/rust/src/state.rs")),
];

/// All files of a project.
pub(crate) fn files(language: Language, template: Template) -> Vec<File> {
    let mut files = vec![IGNORE];
    match template {
        Template::Http => files.push(HTTP),
        Template::Event => files.extend_from_slice(EVENT),
    }
    files.extend_from_slice(match (language, template) {
        (Language::Rust, Template::Http) => RUST_HTTP,
        (Language::Rust, Template::Event) => RUST_EVENT,
        (Language::JavaScript, Template::Http) => JAVASCRIPT_HTTP,
        (Language::JavaScript, Template::Event) => JAVASCRIPT_EVENT,
        (Language::TypeScript, Template::Http) => TYPESCRIPT_HTTP,
        (Language::TypeScript, Template::Event) => TYPESCRIPT_EVENT,
        (Language::Python, Template::Http) => PYTHON_HTTP,
        (Language::Python, Template::Event) => PYTHON_EVENT,
    });
    match (language, template) {
        (Language::Rust, _) => files.extend_from_slice(RUST_SDK),
        (Language::Python, _) => files.extend_from_slice(crate::python::SDK),
        (Language::TypeScript, Template::Http) => files.push(("hello/tsconfig.json", TSCONFIG)),
        (Language::TypeScript, Template::Event) => {
            files.push(("orders/tsconfig.json", TSCONFIG));
            files.push(("orders/nexus.d.ts", TYPES));
        }
        (Language::JavaScript, _) => {}
    }
    files
}
