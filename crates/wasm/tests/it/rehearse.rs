//! Another version with a recording as its world. The same version must do the same.

use nexus_exec::journal::{Function, Outcome};
use nexus_exec::rehearsal::{Answered, Effect, Scene};
use nexus_model::record::InvocationRecord;
use nexus_model::view::Verdict;

use super::world::{World, request, text};

async fn scene(world: &World, record: &InvocationRecord) -> Scene {
    let (replayed, scene) = world.prepared.witness(record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
    assert_eq!(replayed.view.verdict, Verdict::Identical);
    scene
}

/// The same version: the same output, and each question answered by what it asked then.
pub(crate) async fn is_the_same(world: &World, record: &InvocationRecord) -> Vec<Effect> {
    let scene = scene(world, record).await;
    let rehearsed = world.prepared.rehearse(&scene, false).await.unwrap();
    let output = record.output.clone().unwrap_or_default();
    let body = output.body.unwrap_or_default();
    assert_eq!(text(&rehearsed.ended.output.bytes), text(&body.inline));
    assert_eq!(rehearsed.ended.status, record.status(), "{:?}", rehearsed.ended.failure);
    assert_eq!(rehearsed.missed, [0usize; 0]);
    for asked in &rehearsed.asked {
        assert!(matches!(asked.answered, Answered::Exactly(_)), "{asked:?}");
    }
    assert_eq!(rehearsed.asked.len(), scene.effects.len());
    // Waits are known from the journal alone.
    let waits = |at: &Effect| matches!(at.function, Function::Sleep | Function::WaitSignal);
    scene.effects.into_iter().filter(|at| !waits(at)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_and_chance_are_those_of_the_recording() {
    let world = World::of("http").await;
    let (_, record) = world.http("/chance").await;
    for _ in 0..20 {
        is_the_same(&world, &record).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_by_what_was_answered_then() {
    let world = World::of("http").await;
    let (_, record) = world.http("/fanout?upstream").await;
    let before = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
    for _ in 0..20 {
        let effects = is_the_same(&world, &record).await;
        assert_eq!(effects.len(), 8, "{effects:?}");
        let seventh = effects.iter().find(|at| at.target.ends_with("/7")).unwrap();
        let Outcome::Exchange { status: 200, body, .. } = &seventh.outcome else {
            panic!("{seventh:?}")
        };
        assert_eq!(text(body), "[0][1][2][3][4][5][6]");
        assert!(seventh.whole);
    }
    let after = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(before, after, "a rehearsal touches nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_requests_are_seen() {
    let world = World::of("http").await;
    let body = "abc ".repeat(10_000);
    let input = request("POST", "/post?upstream", nexus_exec::full_body(body.clone()));
    let (_, record) = world.record(world.call(input)).await;
    let effects = is_the_same(&world, &record).await;
    assert_eq!(effects.len(), 1);
    assert_eq!(effects[0].details["body"], body);
    assert!(effects[0].changes_the_world());
}

#[tokio::test(flavor = "multi_thread")]
async fn emitted_events_are_seen_whole() {
    let world = World::of("event").await;
    for ty in ["any", "emit", "transient", "permanent", "small"] {
        let (_, record) = world.event(ty, "a b c").await;
        let effects = is_the_same(&world, &record).await;
        if ty == "emit" {
            assert_eq!(effects.len(), 1, "the invalid event is refused before: {effects:?}");
            assert_eq!(effects[0].function, Function::Emit);
            assert_eq!(effects[0].target, "first, second");
            assert_eq!(effects[0].details[0]["data"], "a b c");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_have_their_input() {
    let world = World::of("command").await;
    let (_, record) = world.command(&[], "some words to sort by chance").await;
    is_the_same(&world, &record).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_recorded_is_not_performed() {
    let world = World::of("http").await;
    let (_, record) = world.http("/fanout?upstream").await;
    let mut scene = scene(&world, &record).await;
    let before = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
    scene.effects.retain(|at| !at.target.ends_with("/7"));
    let rehearsed = world.prepared.rehearse(&scene, false).await.unwrap();
    let new: Vec<_> = rehearsed.asked.iter().filter(|at| at.answered == Answered::New).collect();
    assert_eq!(new.len(), 1, "{:?}", rehearsed.asked);
    assert!(new[0].effect.target.ends_with("/7"));
    let answer = text(&rehearsed.ended.output.bytes);
    assert!(answer.contains("7: ErrorCode::DestinationIpProhibited"), "{answer}");
    assert!(answer.contains("4: 200 [0][1][2][3]"), "{answer}");
    let after = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn instructions_are_counted_the_same_every_time() {
    let world = World::of("http").await;
    let (_, record) = world.http("/chance").await;
    let scene = scene(&world, &record).await;
    let mut counted = Vec::new();
    for _ in 0..3 {
        let rehearsed = world.prepared.rehearse(&scene, true).await.unwrap();
        assert_eq!(rehearsed.ended.status, record.status());
        counted.push(rehearsed.ended.meter.fuel);
    }
    assert!(counted[0] > 1_000, "{counted:?}");
    assert!(counted.iter().all(|count| *count == counted[0]), "{counted:?}");
    let plain = world.prepared.rehearse(&scene, false).await.unwrap();
    assert_eq!(plain.ended.meter.fuel, 0);
}
