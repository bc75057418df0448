//! What may be deployed, and what is said about the rest.

use bytes::Bytes;
use nexus_exec::{Error, Runtime as _};
use nexus_model::record::Status;
use nexus_model::resource::World as GuestWorld;

use super::guests;
use super::world::{World, runtime};

fn wat(text: &str) -> Bytes {
    Bytes::from(wat::parse_str(text).unwrap())
}

#[tokio::test]
async fn worlds_follow_from_exports() {
    let runtime = runtime();
    for (guest, world) in
        [("http", GuestWorld::Http), ("event", GuestWorld::Event), ("command", GuestWorld::Command)]
    {
        let inspected = runtime.inspect(guests::component(guest)).await.unwrap();
        assert_eq!(inspected.world, world);
        assert!(!inspected.imports.is_empty() && inspected.adapted.is_none());
    }
}

#[tokio::test]
async fn what_looking_at_it_compiled_is_told() {
    let folder = std::env::temp_dir().join(format!("nexus-inspect-{}", std::process::id()));
    let mut config = nexus_wasm::Config::new(&folder);
    config.instances = 10;
    let clock = std::sync::Arc::new(nexus_model::SystemClock);
    let runtime = nexus_wasm::Runtime::new(config, clock).unwrap();
    let component = guests::component("http");
    let first = runtime.inspect(component.clone()).await.unwrap().compiled.unwrap();
    assert!(!first.cached && first.took_ms > 0 && first.code_bytes > 0, "{first:?}");
    let again = runtime.inspect(component).await.unwrap().compiled.unwrap();
    assert_eq!((again.cached, again.took_ms), (true, 0));
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_a_reason() {
    let runtime = runtime();
    let cases: [(Bytes, &str); 7] = [
        (Bytes::from_static(b"not wasm"), "not a WebAssembly component"),
        (Bytes::new(), "not a WebAssembly component"),
        (wat("(module)"), "the core module exports nothing"),
        (wat(r#"(module (func (export "run")))"#), "the core module exports run"),
        (wat("(component)"), "exports nothing"),
        (
            wat(r#"(component (import "wasi:clocks/monotonic-clock@0.3.0" (instance))
                (instance $i) (export "a:b/c" (instance $i)))"#),
            "WASI 0.3",
        ),
        (wat(r#"(component (instance $i) (export "a:b/c" (instance $i)))"#), "exports a:b/c"),
    ];
    for (bytes, expected) in cases {
        let error = runtime.inspect(bytes).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_missing_import_is_named() {
    let component = wat(r#"(component
            (import "acme:db/query@1.0.0" (instance (export "run" (func))))
            (core module $m (func (export "run") (result i32) i32.const 0))
            (core instance $c (instantiate $m))
            (func $run (result (result)) (canon lift (core func $c "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#);
    let error = runtime().inspect(component).await.unwrap_err();
    assert!(matches!(&error, Error::Import { .. }), "{error}");
    assert!(error.to_string().contains("acme:db/query@1.0.0"), "{error}");
}

#[tokio::test]
async fn a_core_module_runs_through_the_adapter() {
    let module = wat(r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 8) "hello from the core\n")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 8))
                (i32.store (i32.const 4) (i32.const 20))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
                (call $exit (i32.const 0))))"#);
    let world = World::with(module, |_| {}).await;
    let (ended, record) = world.command(&[], "").await;
    assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.failure);
    assert_eq!(&ended.output.bytes[..], b"hello from the core\n");
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}
