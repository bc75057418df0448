//! What JavaScript functions find, and what they are told when they are wrong.

use nexus_model::record::Status;

use crate::project::{Project, output};
use crate::runner::Guest;

/// A guest whose `fetch(request)` has this body.
fn guest(body: &str) -> Guest {
    let project = Project::empty();
    project.file("index.js", &format!("export default {{ async fetch(request) {{ {body} }} }};"));
    Guest::new(&project.build("").unwrap().component)
}

#[track_caller]
fn check(body: &str, expected: &str) {
    let (status, text, ended) = guest(body).get("/");
    assert_eq!((status, text.as_str()), (200, expected), "{:?}", ended.failure);
}

#[test]
fn instances_draw_other_random_numbers() {
    let guest = guest(
        "return Response.json([Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(4))]]);",
    );
    let (first, second) = (guest.get("/").1, guest.get("/").1);
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (first, second) = (parse(&first), parse(&second));
    for index in 0..3 {
        assert_ne!(first[index], second[index]);
    }
}

#[test]
fn clocks_are_those_of_the_call() {
    let project = Project::empty();
    project.file(
        "index.js",
        "const built = Date.now();
        export default { fetch() { return Response.json([built, Date.now(), performance.now() < 60000]); } };",
    );
    let guest = Guest::new(&project.build("").unwrap().component);
    let times: serde_json::Value = serde_json::from_str(&guest.get("/").1).unwrap();
    assert_eq!(times[0], 1_767_225_600_000_u64);
    assert_ne!(times[0], times[1]);
    assert_eq!(times[2], true);
}

#[test]
fn timers_fire_in_the_order_of_their_time() {
    check(
        "const seen = [];
        const after = (ms) => new Promise((done) => setTimeout(() => { seen.push(ms); done(); }, ms));
        await Promise.all([after(9), after(1), after(5)]);
        return Response.json(seen);",
        "[1,5,9]",
    );
}

#[test]
fn requests_run_at_the_same_time() {
    check(
        "const seen = [];
        await Promise.all([60, 5, 30].map(async (delay) => {
            seen.push(await (await fetch(`http://other/delay/${delay}`)).text());
        }));
        return Response.json(seen);",
        r#"["GET /delay/5 ","GET /delay/30 ","GET /delay/60 "]"#,
    );
}

#[test]
fn requests_carry_bodies_and_failures_are_errors() {
    check(
        "const answer = await fetch('http://other/x', { method: 'POST', body: JSON.stringify({ a: 1 }) });
        const failure = await fetch('http://other/refused').catch((error) => error.code);
        return Response.json([await answer.text(), failure]);",
        r#"["POST /x {\"a\":1}","connection-refused"]"#,
    );
}

#[test]
fn bodies_stream() {
    check(
        "const encoder = new TextEncoder();
        return new Response(new ReadableStream({
            async start(controller) {
                for (const part of ['a', 'ü', '€']) { await null; controller.enqueue(encoder.encode(part)); }
                controller.close();
            },
        }));",
        "aü€",
    );
}

#[test]
fn web_interfaces() {
    check(
        "const url = new URL('../b?x=1&y=ä#f', 'https://user@Example.com:443/a/c/d');
        url.searchParams.append('z', '2 3');
        const copy = structuredClone({ map: new Map([[1, new Date(0)]]), set: new Set([2]) });
        return Response.json([
            url.href, url.origin, atob(btoa('hello')), copy.map.get(1).toISOString(), copy.set.has(2),
            new TextDecoder().decode(new TextEncoder().encode('€😀')), new Headers({ 'X-A': '1' }).get('x-a'),
        ]);",
        r#"["https://user@example.com/a/b?x=1&y=%C3%A4&z=2+3#f","https://example.com","hello","1970-01-01T00:00:00.000Z",true,"€😀","1"]"#,
    );
}

#[test]
fn exceptions_carry_their_stack() {
    let project = Project::empty();
    project.file("deep.js", "export function deep() {\n  throw new TypeError('on purpose');\n}\n");
    project.file(
        "index.js",
        "import { deep } from './deep';\nexport default { async fetch() { await null; deep(); } };\n",
    );
    let (_, _, ended) = Guest::new(&project.build("").unwrap().component).get("/");
    assert_eq!(ended.status, Status::Failed);
    let logged = ended.logs.iter().find(|line| line.level == "error").unwrap();
    assert!(logged.text.contains("TypeError: on purpose"), "{}", logged.text);
    assert!(logged.text.contains("deep.js:2"), "{}", logged.text);
}

#[test]
fn a_promise_that_nothing_settles_fails() {
    let (_, _, ended) = guest("await new Promise(() => {});").get("/");
    assert_eq!(ended.status, Status::Failed);
    assert!(ended.logs[0].text.contains("nothing can settle"), "{:?}", ended.logs);
}

#[test]
fn syntax_errors_name_file_and_line() {
    let project = Project::empty();
    project.file("index.js", "import './other.js';\nexport default {};\n");
    project.file("other.js", "let fine = 1;\nlet = ;\n");
    let output = output(project.build(""));
    assert!(output.contains("other.js"), "{output}");
}

#[test]
fn a_module_without_handler_is_told_what_is_expected() {
    let project = Project::empty();
    project.file("index.js", "export const answer = 42;\n");
    let output = output(project.build(""));
    assert!(output.contains("the module exports no handler"), "{output}");
    assert!(output.contains("answer"), "{output}");
}

#[test]
fn missing_modules_are_named() {
    let project = Project::empty();
    project.file("index.js", "import fs from 'node:fs';\nexport default { fetch() {} };\n");
    let output = output(project.build(""));
    assert!(output.contains("modules of Node.js do not exist"), "{output}");
}

#[test]
fn packages_json_and_folders_resolve() {
    let project = Project::empty();
    project
        .file("node_modules/greet/package.json", r#"{"exports":{".":{"import":"./lib/main.js"},"./x/*":"./lib/*.js"}}"#)
        .file("node_modules/greet/lib/main.js", "export default (name) => `Hello, ${name}`;")
        .file("node_modules/greet/lib/other.js", "export const other = 'other';")
        .file("lib/index.js", "export const local = 'local';")
        .file("data.json", r#"{"answer": 42}"#)
        .file(
            "index.js",
            "import greet from 'greet';
            import { other } from 'greet/x/other';
            import { local } from './lib';
            import data from './data.json';
            export default { fetch() { return Response.json([greet('Ada'), other, local, data.answer]); } };",
        );
    let (_, text, _) = Guest::new(&project.build("").unwrap().component).get("/");
    assert_eq!(text, r#"["Hello, Ada","other","local",42]"#);
}

#[test]
fn typescript_that_is_more_than_types_is_refused_with_its_line() {
    let project = Project::empty();
    project.file("index.ts", "const a: number = 1;\nenum Colour { Red }\nexport default {};\n");
    let output = output(project.build(""));
    assert!(output.contains("index.ts:2: `enum` is not supported"), "{output}");
}

#[test]
fn types_are_blanked_in_place() {
    let project = Project::empty();
    project.file(
        "index.ts",
        "type Name = string\nconst f = <T,>(a: T, b?: number): T => a!\n\
        class A<T> implements Iterable<T> { private x?: T; constructor(readonly_: T) { this.x = readonly_ as T } \
        *[Symbol.iterator](): Iterator<T> { yield this.x! } }\n\
        export default { fetch(): Response { return Response.json([f<string>('a'), ...new A<number>(1)]) } } satisfies object\n",
    );
    let (_, text, _) = Guest::new(&project.build("").unwrap().component).get("/");
    assert_eq!(text, r#"["a",1]"#);
}

#[test]
fn the_same_sources_give_the_same_component() {
    let build = || {
        let project = Project::empty();
        project.file(
            "index.js",
            "export default { fetch() { return new Response(String(Math.random())); } };",
        );
        let mut options = project.options();
        let own_cache = tempfile::tempdir().unwrap();
        options.cache_dir = own_cache.path().to_owned();
        nexus_toolchain::build(&project.source(""), &options).unwrap().component
    };
    assert!(build() == build());
}

#[test]
fn the_runtime_is_the_one_that_its_notice_names() {
    use std::process::Command;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runtimes/quickjs.wasm");
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    let notice = include_str!("../../runtimes/README.md");
    let sum = String::from_utf8(output.stdout).unwrap();
    assert!(notice.contains(sum.split_whitespace().next().unwrap()));
}
