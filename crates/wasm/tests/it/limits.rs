//! Guests that take too much.

use nexus_exec::Runtime as _;
use nexus_model::limits;
use nexus_model::record::Status;

use super::world::{World, text};

#[tokio::test]
async fn memory_is_limited_and_said_so() {
    let world = World::of("event").await;
    let (ended, _) = world.event("oom", "").await;
    let failure = ended.failure.unwrap();
    assert_eq!((ended.status, failure.code.as_str()), (Status::OutOfMemory, "NX5005"));
    assert!(failure.message.contains(&(64 << 20).to_string()), "{failure:?}");
    assert!(ended.meter.memory_grown_pages > 100);
}

#[tokio::test]
async fn who_wants_memory_that_the_server_has_not_is_stopped() {
    let world = World::of("event").await;
    world.runtime.stop_growth(true);
    let (ended, record) = world.event("oom", "").await;
    let failure = ended.failure.unwrap();
    assert_eq!((ended.status, failure.code.as_str()), (Status::OutOfMemory, "NX6001"));
    assert!(failure.message.contains("the server has no memory left"), "{failure:?}");
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
    world.runtime.stop_growth(false);
    let (ended, _) = world.event("oom", "").await;
    assert_eq!(ended.failure.unwrap().code, "NX5005");
}

#[tokio::test]
async fn output_is_limited() {
    let world = World::of("command").await;
    let (ended, mut record) = world.command(&["flood"], "").await;
    let failure = ended.failure.unwrap();
    let limit = limits::OUTPUT_BYTES_MAX;
    let message = format!("the output exceeds the limit of {limit} bytes");
    assert_eq!((failure.code.as_str(), failure.message), ("NX5008", message));

    // Older recordings have a backtrace as their message.
    let older = "error while executing at wasm backtrace:\n    0: 0x1".to_owned();
    record.failure.as_mut().unwrap().message = older;
    record.not_replayable.clear();
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

/// A result may be larger than what is kept of a body that streams.
#[tokio::test]
async fn results_are_whole_up_to_their_limit() {
    let world = World::of("command").await;
    let (ended, record) = world.command(&["much"], "").await;
    const { assert!(10 << 20 > limits::RECORD_BODY_BYTES_MAX) };
    assert_eq!((ended.status, ended.output.bytes.len()), (Status::Succeeded, 10 << 20));
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

#[tokio::test]
async fn log_lines_are_limited() {
    let world = World::of("command").await;
    let (ended, _) = world.command(&["noise"], "").await;
    assert_eq!(ended.status, Status::Succeeded);
    assert_eq!(ended.logs.len(), limits::LOG_LINES_MAX);
    assert_eq!(ended.logs_dropped, 5_000 - limits::LOG_LINES_MAX as u64);
}

#[tokio::test]
async fn a_trap_tells_where() {
    let world = World::of("http").await;
    let (ended, _) = world.http("/trap").await;
    let failure = ended.failure.unwrap();
    assert_eq!((ended.status, failure.code.as_str()), (Status::Trapped, "NX5001"));
    let trace = failure.backtrace.join("\n");
    assert!(trace.contains("outer_of_the_trap") || trace.contains("guest_http"), "{trace}");
    let logs: Vec<_> = ended.logs.iter().map(|line| line.text.as_str()).collect();
    assert!(logs.join("\n").contains("as asked"), "{logs:?}");
}

#[tokio::test]
async fn a_computing_guest_lets_others_run() {
    let world = World::of("http").await;
    let spin = world.call(super::world::request("GET", "/spin", nexus_exec::empty_body()));
    let cancel = spin.cancel.clone();
    // One thread: the second call can only run when the first one yields.
    let other = async {
        let (ended, _) = world.http("/hello").await;
        cancel.cancel();
        ended
    };
    let ((spun, _), ended) = tokio::join!(world.record(spin), other);
    assert_eq!((spun.status, ended.status), (Status::Cancelled, Status::Succeeded));
}

#[tokio::test]
async fn what_is_unused_is_unmapped_and_mapped_again() {
    let mut config = nexus_wasm::Config::new(super::guests::code_dir());
    config.instances = 10;
    config.loaded_max = 1;
    let clock = std::sync::Arc::new(nexus_model::SystemClock);
    let runtime = nexus_wasm::Runtime::new(config, clock).unwrap();
    let (http, event) = (World::of("http").await, World::of("event").await);
    let first = runtime.prepare(http.unit.clone()).await.unwrap();
    let second = runtime.prepare(event.unit.clone()).await.unwrap();
    assert_eq!((runtime.stats().loaded, runtime.stats().evicted), (1, 1));
    let call = || http.call(super::world::request("GET", "/hello?x", nexus_exec::empty_body()));
    let ended = first.invoke(call(), http.upstream.clone()).await;
    assert_eq!((ended.cold, ended.status), ("evicted", Status::Succeeded));
    assert!(ended.timings.load_ns > 0);
    assert_eq!(text(&ended.output.bytes), "hello x 0");
    let ended = first.invoke(call(), http.upstream.clone()).await;
    assert_eq!(ended.cold, "");
    drop(second);
}
