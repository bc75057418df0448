//! What each world is given and gives.

use nexus_exec::{CallInput, Runtime as _};
use nexus_model::record::Status;

use super::world::{World, event, request, text};

#[tokio::test]
async fn an_http_function_answers() {
    let world = World::of("http").await;
    let input = request("POST", "/hello?Ada", nexus_exec::full_body("12345"));
    let (ended, _) = world.record(world.call(input)).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    assert_eq!((ended.http_status, text(&ended.output.bytes).as_str()), (200, "hello Ada 5"));
    assert_eq!(text(&ended.input_body.bytes), "12345");
    assert_eq!(ended.cold, "first call");
    assert!(ended.timings.instantiate_ns > 0 && ended.meter.memory_peak_bytes > 0);
    let (ended, _) = world.http("/hello?Bob").await;
    assert_eq!((ended.cold, ended.meter.memory_grown_pages), ("", 0));
    assert_eq!(world.runtime.stats().running, 0);
}

#[tokio::test]
async fn an_http_function_takes_an_event_as_a_request() {
    let world = World::of("http").await;
    let (ended, _) = world.record(world.call(CallInput::Event(event("t", "data")))).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.failure);
    assert_eq!(text(&ended.output.bytes), "hello  4");
}

#[tokio::test]
async fn an_event_function_gives_results_events_and_typed_errors() {
    let world = World::of("event").await;
    let (ended, _) = world.event("small", "hello").await;
    assert_eq!((ended.status, text(&ended.output.bytes)), (Status::Succeeded, "hello".into()));
    assert_eq!(ended.content_type, "text/plain");
    for (ty, status) in [("transient", Status::Failed), ("permanent", Status::Refused)] {
        let (ended, _) = world.event(ty, "").await;
        assert_eq!(ended.status, status, "{ty}");
    }
    let (ended, _) = world.event("emit", "payload").await;
    let answer = text(&ended.output.bytes);
    assert!(answer.contains("evt_") && answer.contains("Invalid"), "{answer}");
    assert_eq!(ended.events.len(), 1);
    assert!(ended.events[0].source.contains("/projects/shop/functions/guest"));
    let emitted = world.upstream.emitted.lock().unwrap().clone();
    assert_eq!(emitted.len(), 2);
    assert_ne!(emitted[0].id, emitted[1].id);
}

#[tokio::test]
async fn a_command_reads_stdin_and_writes_stdout() {
    let world = World::of("command").await;
    let (ended, _) = world.command(&[], "one").await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    assert_eq!((text(&ended.output.bytes).as_str(), ended.exit_code), ("one 3\n", Some(0)));
    assert_eq!(ended.logs[0].text, "done");
    let (ended, _) = world.command(&["exit"], "").await;
    assert_eq!((ended.status, ended.exit_code), (Status::Failed, Some(1)));
    let (ended, _) = world.record(world.call(CallInput::Event(event("t", "word")))).await;
    assert!(text(&ended.output.bytes).contains("specversion"), "{:?}", ended.output);
}

#[tokio::test]
async fn lines_of_json_are_kept_with_level_and_fields() {
    let world = World::of("command").await;
    let printed = "plain\n{\"level\":\"warn\",\"msg\":\"low\",\"left\":2}\n{\"left\":2}\n\
                   {\"severity\":\"ERROR\",\"message\":\"token s3cret-value\"}";
    let (ended, record) = world.command(&["say"], printed).await;
    let lines: Vec<_> = ended
        .logs
        .iter()
        .map(|line| (line.level.as_str(), line.text.as_str(), line.fields.as_str()))
        .collect();
    let expected = [
        ("", "plain", ""),
        ("warn", "low", "{\"left\":2}"),
        ("", "{\"left\":2}", ""),
        ("error", "token ************", ""),
    ];
    assert_eq!(lines, expected);
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);

    // A recording that holds the lines as they were printed is the same recording.
    let mut older = record.clone();
    let kept = ["plain", "{\"level\":\"warn\",\"msg\":\"low\",\"left\":2}", "{\"left\":2}"];
    for (line, text) in older.logs.iter_mut().zip(kept) {
        (line.level, line.text, line.fields) = (String::new(), text.into(), String::new());
    }
    let replayed = world.prepared.replay(&older, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
    older.logs[1].text = older.logs[1].text.replace("warn", "info");
    let replayed = world.prepared.replay(&older, None).await.unwrap();
    let divergence = replayed.view.divergence.unwrap();
    assert_eq!(
        (divergence.what.as_str(), divergence.actual.as_str()),
        ("logs", "warn low {\"left\":2}")
    );
}

#[tokio::test]
async fn files_are_a_bundle_with_scratch_over_it() {
    let component = super::guests::component("command");
    let world = World::with(component, |unit| unit.bundle = Some(bundle())).await;
    let (ended, record) = world.command(&["files"], "").await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    let expected = "hello\nhello!\na 3\nc 3\nentity not found\nOs 55\npermission denied\n";
    assert_eq!(text(&ended.output.bytes), expected);
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

/// An archive with one file, written by hand.
fn bundle() -> bytes::Bytes {
    let mut header = [0u8; 512];
    header[..14].copy_from_slice(b"data/hello.txt");
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(b"00000000005\0");
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..262].copy_from_slice(b"ustar");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(b"hello");
    archive.resize(512 * 4, 0);
    nexus_wasm::check_bundle(&archive.clone().into()).unwrap();
    archive.into()
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_rejected() {
    let world = World::of("event").await;
    let (ended, _) = world.http("/x").await;
    assert_eq!(ended.status, Status::Rejected);
}
