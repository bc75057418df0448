//! Guests that make the host hold more and more for them.

use nexus_exec::Ended;
use nexus_model::limits;
use nexus_model::record::{InvocationRecord, Status};

use super::world::{World, text};

/// Says what the guest found, and that a replay finds the same.
async fn said(world: &World, (ended, record): (Ended, InvocationRecord)) -> String {
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
    text(&ended.output.bytes).trim_end().to_owned()
}

/// Says how the guest was stopped, and that a replay stops it, too.
async fn stopped(world: &World, (ended, record): (Ended, InvocationRecord)) -> (String, String) {
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert!(replayed.view.divergence.is_none(), "{}", &replayed.view.summary[..100]);
    let failure = ended.failure.unwrap();
    (failure.code, failure.message)
}

#[tokio::test]
async fn folders_may_lie_deep_in_each_other() {
    let world = World::of("command").await;
    let found = said(&world, world.command(&["hostile", "depth"], "").await).await;
    // Into itself: EINVAL.
    assert_eq!(found, "Some(28)");
}

#[tokio::test]
async fn links_to_links_do_not_multiply() {
    let world = World::of("command").await;
    let found = said(&world, world.command(&["hostile", "links"], "").await).await;
    // ELOOP
    assert_eq!(found, "Some(32)");
}

#[tokio::test]
async fn empty_files_count_as_well() {
    let world = World::of("command").await;
    let found = said(&world, world.command(&["hostile", "files"], "").await).await;
    let (count, error) = found.split_once(' ').unwrap();
    let count: usize = count.parse().unwrap();
    assert_eq!((count, error), (limits::SCRATCH_BYTES_MAX / (256 + 200), "StorageFull"));
}

#[tokio::test]
async fn paths_are_limited() {
    let world = World::of("command").await;
    let found = said(&world, world.command(&["hostile", "path"], "").await).await;
    // ENAMETOOLONG
    assert_eq!(found, "Some(37)");
}

#[tokio::test]
async fn lists_of_folders_are_limited() {
    let world = World::of("command").await;
    let found = said(&world, world.command(&["hostile", "lists"], "").await).await;
    let (count, error) = found.split_once(' ').unwrap();
    let count: usize = count.parse().unwrap();
    assert!((10..=20).contains(&count), "{found}");
    // ENOMEM
    assert_eq!(error, "Some(48)");
}

#[tokio::test]
async fn what_a_function_says_of_its_failure_is_cut() {
    let world = World::of("event").await;
    let (code, message) = stopped(&world, world.event("long-failure", "").await).await;
    assert_eq!(code, "NX5002");
    let cut = (1 << 20) - limits::FAILURE_BYTES_MAX;
    assert!(message.ends_with(&format!("x… ({cut} bytes cut)")), "{}", message.len());

    // Older recordings have all of it.
    let (_, mut record) = world.event("long-failure", "").await;
    record.failure.as_mut().unwrap().message = "x".repeat(1 << 20);
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert!(replayed.view.divergence.is_none());
}

#[tokio::test]
async fn results_are_limited_in_all_their_parts() {
    let world = World::of("event").await;
    let (code, message) = stopped(&world, world.event("long-type", "").await).await;
    assert_eq!(code, "NX5008");
    assert!(message.contains("1048576") && message.contains("limit is 1024"), "{message}");
    let (code, message) = stopped(&world, world.event("many-events", "").await).await;
    assert_eq!(code, "NX5008");
    assert!(message.contains(&limits::BATCH_BYTES_MAX.to_string()), "{message}");
}

#[tokio::test]
async fn header_fields_are_limited_together() {
    let world = World::of("http").await;
    let (code, message) = stopped(&world, world.http("/headers").await).await;
    assert_eq!(code, "NX5008");
    assert!(message.contains(&limits::HEADERS_BYTES_MAX.to_string()), "{message}");
}

#[tokio::test]
async fn handles_are_limited() {
    let world = World::of("http").await;
    let (code, message) = stopped(&world, world.http("/handles").await).await;
    assert_eq!(code, "NX5001");
    assert!(message.contains(&limits::HANDLES_MAX.to_string()), "{message}");
}

#[tokio::test]
async fn bodies_that_wait_to_be_sent_are_limited_together() {
    let world = World::of("http").await;
    let found = said(&world, world.http("/buffers?upstream").await).await;
    assert!(found.contains(&limits::OUTBOUND_BUFFER_BYTES_MAX.to_string()), "{found}");
}
