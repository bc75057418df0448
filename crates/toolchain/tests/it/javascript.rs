//! What JavaScript functions find, and what they are told when they are wrong.

use nexus_exec::full_body;
use nexus_model::record::Status;

use crate::project::{Project, output};
use crate::runner::{Guest, request};
use crate::upstream::Upstream;

/// (name, body of a handler, what it answers). One guest for all: compiling it is what takes time.
const CASES: &[(&str, &str, &str)] = &[
    (
        "timers_fire_in_the_order_of_their_time",
        "const seen = [];
        const after = (ms) => new Promise((done) => setTimeout(() => { seen.push(ms); done(); }, ms));
        await Promise.all([after(9), after(1), after(5)]);
        return Response.json(seen);",
        "[1,5,9]",
    ),
    (
        "requests_run_at_the_same_time",
        "const seen = [];
        await Promise.all([60, 5, 30].map(async (delay) => {
            seen.push(await (await fetch(`http://other/delay/${delay}`)).text());
        }));
        return Response.json(seen);",
        r#"["GET /delay/5 ","GET /delay/30 ","GET /delay/60 "]"#,
    ),
    (
        "requests_carry_bodies_and_failures_are_errors",
        "const answer = await fetch('http://other/x', { method: 'POST', body: JSON.stringify({ a: 1 }) });
        const failure = await fetch('http://other/refused').catch((error) => error.code);
        return Response.json([await answer.text(), failure]);",
        r#"["POST /x {\"a\":1}","connection-refused"]"#,
    ),
    (
        "requests_are_given_up",
        "const signal = AbortSignal.timeout(5);
        const failure = await fetch('http://other/delay/500', { signal }).catch((error) => error.name);
        const answer = await fetch('http://other/delay/1');
        return Response.json([failure, await answer.text()]);",
        r#"["TimeoutError","GET /delay/1 "]"#,
    ),
    (
        "answers_are_given_up_while_they_come",
        "const stop = new AbortController();
        const answer = await fetch('http://other/x', { signal: stop.signal });
        stop.abort();
        return Response.json([answer.status, await answer.text().catch((error) => error.name)]);",
        r#"[200,"AbortError"]"#,
    ),
    (
        "signals_are_joined",
        "const [one, two] = [new AbortController(), new AbortController()];
        const any = AbortSignal.any([one.signal, two.signal]);
        const before = any.aborted;
        two.abort('the second');
        one.abort('the first');
        return Response.json([before, any.aborted, any.reason,
            AbortSignal.any([AbortSignal.abort('before')]).reason, AbortSignal.any([]).aborted]);",
        r#"[false,true,"the second","before",false]"#,
    ),
    (
        "bodies_stream",
        "const encoder = new TextEncoder();
        return new Response(new ReadableStream({
            async start(controller) {
                for (const part of ['a', 'ü', '€']) { await null; controller.enqueue(encoder.encode(part)); }
                controller.close();
            },
        }));",
        "aü€",
    ),
    (
        "web_interfaces",
        "const url = new URL('../b?x=1&y=ä#f', 'https://user@Example.com:443/a/c/d');
        url.searchParams.append('z', '2 3');
        const copy = structuredClone({ map: new Map([[1, new Date(0)]]), set: new Set([2]) });
        return Response.json([
            url.href, url.origin, atob(btoa('hello')), copy.map.get(1).toISOString(), copy.set.has(2),
            new TextDecoder().decode(new TextEncoder().encode('€😀')), new Headers({ 'X-A': '1' }).get('x-a'),
        ]);",
        r#"["https://user@example.com/a/b?x=1&y=%C3%A4&z=2+3#f","https://example.com","hello","1970-01-01T00:00:00.000Z",true,"€😀","1"]"#,
    ),
];

#[test]
fn handlers_find_what_the_web_has() {
    let project = Project::empty();
    let handlers =
        CASES.iter().map(|(name, body, _)| format!("{name}: async () => {{ {body} }},\n"));
    let module = format!(
        "const handlers = {{ {} }};\n\
        export default {{ fetch(request) {{ return handlers[new URL(request.url).pathname.slice(1)](); }} }};",
        handlers.collect::<String>()
    );
    project.file("index.js", &module);
    let guest = Guest::new(&project.build("").unwrap().component);
    for (name, _, expected) in CASES {
        let (status, text, ended) = guest.get(&format!("/{name}"));
        assert_eq!((status, text.as_str()), (200, *expected), "{name}: {:?}", ended.failure);
    }
}

#[test]
fn lines_of_loggers_are_structured() {
    let project = Project::empty();
    project.file(
        "index.js",
        "export default { fetch() {
            console.log(JSON.stringify({ level: 'warn', msg: 'careful', order: 7 }));
            console.log('plain', { level: 'warn' });
            return new Response('ok');
        } };",
    );
    let (_, _, ended) = Guest::new(&project.build("").unwrap().component).get("/");
    let lines: Vec<_> = ended
        .logs
        .iter()
        .map(|line| (line.level.as_str(), line.text.as_str(), line.fields.as_str()))
        .collect();
    assert_eq!(lines[0], ("warn", "careful", r#"{"order":7}"#));
    assert_eq!((lines[1].0, lines.len()), ("info", 2), "{lines:?}");
}

#[test]
fn every_instance_has_its_own_random_numbers_and_clock() {
    let project = Project::empty();
    project.file(
        "index.js",
        "const built = [Date.now(), Math.random()];
        export default { fetch() { return Response.json({
            built, now: Date.now(), started: performance.now() < 60000,
            drawn: [Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(4))]],
        }); } };",
    );
    let guest = Guest::new(&project.build("").unwrap().component);
    let call = || serde_json::from_str::<serde_json::Value>(&guest.get("/").1).unwrap();
    let (first, second) = (call(), call());
    assert_eq!(first["built"], second["built"]);
    assert_eq!(first["built"][0], 1_767_225_600_000_u64);
    assert_ne!(first["built"][0], first["now"]);
    assert_eq!(first["started"], true);
    for index in 0..3 {
        assert_ne!(first["drawn"][index], second["drawn"][index]);
    }
}

#[test]
fn failures_say_what_and_where() {
    let project = Project::empty();
    project.file("deep.js", "export function deep() {\n  throw new TypeError('on purpose');\n}\n");
    project.file(
        "index.js",
        "import { deep } from './deep';
        export default { async fetch(request) {
            if (request.url.endsWith('/never')) await new Promise(() => {});
            await null;
            deep();
        } };",
    );
    let guest = Guest::new(&project.build("").unwrap().component);
    let error = |path: &str| {
        let ended = guest.get(path).2;
        assert_ne!(ended.status, Status::Succeeded);
        let line = ended.logs.into_iter().find(|line| line.level == "error");
        line.map(|line| line.text).unwrap_or_default()
    };
    let thrown = error("/");
    assert!(thrown.contains("TypeError: on purpose"), "{thrown}");
    assert!(thrown.contains("(deep.js:2"), "{thrown}");
    let never = error("/never");
    assert!(never.contains("nothing can settle"), "{never}");
}

/// (name, body of a handler, status, what the caller gets of it).
const FAILING: &[(&str, &str, u16, &str)] = &[
    (
        "behind_two_pieces",
        "return new Response(new ReadableStream({
            async start(it) { it.enqueue('one;'); it.enqueue('two;'); throw new Error('on purpose'); },
        }));",
        200,
        "one;two;",
    ),
    (
        "while_it_is_pulled",
        "let count = 0;
        return new Response(new ReadableStream({
            pull(it) { if (count++ < 2) it.enqueue('piece;'); else throw new Error('on purpose'); },
        }));",
        200,
        "piece;piece;",
    ),
    (
        "in_a_generator",
        "return new Response((async function* () { yield 'one;'; throw new Error('on purpose'); })());",
        200,
        "one;",
    ),
    (
        "in_a_transformer",
        "const source = ReadableStream.from(['one;', 'two;']);
        return new Response(source.pipeThrough(new TransformStream({
            transform(chunk, it) { if (chunk === 'two;') throw new Error('on purpose'); it.enqueue(chunk); },
        })));",
        200,
        "one;",
    ),
    (
        "before_anything_was_sent",
        "return new Response(new ReadableStream({ pull() { throw new Error('on purpose'); } }));",
        0,
        "",
    ),
    (
        "in_the_body_of_a_request",
        "const body = (async function* () { yield 'one;'; throw new Error('on purpose'); })();
        return new Response((await fetch('http://UPSTREAM/delay/10000', { method: 'POST', body })).body);",
        0,
        "",
    ),
];

#[test]
fn bodies_that_fail_are_broken_off() {
    let project = Project::empty();
    // It answers later than the body fails.
    let upstream = Upstream::start();
    let address = upstream.address.to_string();
    let handlers = FAILING.iter().map(|(name, body, ..)| {
        format!("{name}: async () => {{ {} }},\n", body.replace("UPSTREAM", &address))
    });
    let module = format!(
        "const handlers = {{ {} }};\n\
        export default {{ fetch(request) {{ return handlers[new URL(request.url).pathname.slice(1)](); }} }};",
        handlers.collect::<String>()
    );
    project.file("index.js", &module);
    let guest = Guest::new(&project.build("").unwrap().component);
    for (name, _, status, text) in FAILING {
        let recorded = guest.record(request("GET", &format!("/{name}"), full_body("")));
        assert_eq!((recorded.status, recorded.text.as_str()), (*status, *text), "{name}");
        let ended = &recorded.ended;
        assert_eq!(ended.status, Status::Failed, "{name}: {:?}", ended.failure);
        let message = &ended.failure.as_ref().unwrap().message;
        assert!(message.contains("on purpose") && message.contains("index.js:"), "{message}");
        assert!(ended.logs.iter().all(|line| !line.text.contains("panicked")), "{:?}", ended.logs);
        let replayed = guest.replay(&recorded.record).unwrap().view;
        assert_eq!(replayed.divergence, None, "{name}");
    }
}

#[test]
fn a_body_that_waits_does_not_keep_the_head_back() {
    let project = Project::empty();
    project.file(
        "index.js",
        "export default { fetch() { return new Response(new ReadableStream({
            async start(it) {
                await new Promise((done) => setTimeout(done, 5));
                it.enqueue('late');
                it.close();
            },
        })); } };",
    );
    let guest = Guest::new(&project.build("").unwrap().component);
    let recorded = guest.record(request("GET", "/", full_body("")));
    assert_eq!((recorded.status, recorded.text.as_str()), (200, "late"));
    let entries = nexus_exec::journal::entries(&recorded.ended.journal).unwrap();
    let at = |name: &str| entries.iter().position(|entry| entry.function.ends_with(name)).unwrap();
    assert!(at("response-outparam.set") < at("poll.poll"), "{entries:?}");
}

#[test]
fn syntax_errors_name_file_and_line() {
    let project = Project::empty();
    project.file("index.js", "import './other.js';\nexport default {};\n");
    project.file("other.js", "let fine = 1;\nlet = ;\n");
    let said = output(project.build(""));
    assert!(said.contains("other.js:2:7: "), "{said}");
    assert!(!said.contains("Diagnostic") && !said.contains("WIT"), "{said}");
    let project = Project::empty();
    project.file("index.ts", "const a: string = 'ä'; }\nexport default {};\n");
    let said = output(project.build(""));
    assert!(said.contains("index.ts:1:24: "), "{said}");
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
fn modules_that_take_all_memory_are_refused() {
    let project = Project::empty();
    let all = "const kept = [];\nfor (;;) kept.push(new Uint8Array(16 << 20));\n\
               export default { fetch() {} };\n";
    project.file("index.js", all);
    let said = output(project.build(""));
    assert!(said.contains("out of memory"), "{said}");
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
        // Compiled runtimes may be shared, built components not.
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
