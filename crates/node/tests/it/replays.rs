//! Comparisons, batches of replays, suites.

use std::time::Duration;

use nexus_model::Code;
use nexus_model::view::{
    CompareRules, ReplayBatch, ReplayRequest, ReplaySelection, ReplayState, Sameness,
};

use crate::world::{World, admin, invocation_of, name};

async fn ended(world: &World, batch: &ReplayBatch) -> ReplayBatch {
    for _ in 0..500 {
        let now = world.node.replay_batch(&admin(), &name("shop"), &batch.id).await.unwrap();
        if !matches!(now.state, ReplayState::Running | ReplayState::Paused) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the batch does not end");
}

fn of_function() -> ReplaySelection {
    ReplaySelection { function: Some(name("f")), ..ReplaySelection::default() }
}

async fn start(world: &World, request: ReplayRequest) -> Result<ReplayBatch, Code> {
    let begun = world.node.start_replays(&admin(), &name("shop"), request).await;
    begun.map_err(|error| error.code())
}

/// Five calls of a function that gives back what it gets, and a second version.
async fn recorded(second: &str) -> World {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    for number in 0..5 {
        world.text("/f", &format!("{{\"total\":{number}}}")).await;
    }
    world.log.flush().await.unwrap();
    world.deploy("f", second, None).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn one_invocation_against_another_version() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let response = world.post("/f", "{\"total\":1,\"id\":\"a\"}").await.unwrap();
    let id = invocation_of(&response);
    crate::world::text(response).await;
    world.log.flush().await.unwrap();
    world.deploy("f", "http answers {\"id\":\"b\",\"total\":2}", None).await;
    let none = CompareRules::default();
    let same = world.node.compare(&admin(), id, ("1", &none, false)).await.unwrap();
    assert_eq!(same.verdict, Sameness::Identical, "{same:?}");
    let other = world.node.compare(&admin(), id, ("latest", &none, false)).await.unwrap();
    assert_eq!(other.verdict, Sameness::Different);
    let paths: Vec<&str> = other.changes.iter().map(|at| &*at.path).collect();
    assert_eq!(paths, ["/total", "/id"]);
    let rules = CompareRules {
        ignore: vec!["$.total".to_owned(), "$.id".to_owned()],
        ..CompareRules::default()
    };
    let ruled = world.node.compare(&admin(), id, ("2", &rules, false)).await.unwrap();
    assert_eq!(ruled.verdict, Sameness::Equivalent);
    let wrong = CompareRules { ignore: vec!["id".to_owned()], ..CompareRules::default() };
    let refused = world.node.compare(&admin(), id, ("2", &wrong, false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::BadRequest);
    let missing = world.node.compare(&admin(), id, ("7", &none, false)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_looks_at_everything_that_is_selected() {
    let world = recorded("http answers {\"total\":3}").await;
    let exact = start(&world, ReplayRequest { select: of_function(), ..Default::default() });
    let exact = ended(&world, &exact.await.unwrap()).await;
    assert_eq!((exact.state, exact.done, exact.selected), (ReplayState::Done, 5, 5));
    assert_eq!(exact.verdicts["identical"], 5);
    assert!(exact.original_ns > 0 && exact.took_ns > 0);

    let against = ReplayRequest {
        select: of_function(),
        against: Some("latest".to_owned()),
        ..Default::default()
    };
    let compared = ended(&world, &start(&world, against).await.unwrap()).await;
    assert_eq!((compared.verdicts["different"], compared.verdicts["identical"]), (4, 1));
    let at = (&name("shop"), &compared.id);
    let rows = world.node.replay_rows(&admin(), at, Some("different"), (0, 3)).await.unwrap();
    assert_eq!(rows.items.len(), 3);
    let more =
        world.node.replay_rows(&admin(), at, Some("different"), (rows.next.unwrap(), 3)).await;
    let more = more.unwrap();
    assert_eq!((more.items.len(), more.next), (1, None));

    let all = world.node.replay_batches(&admin(), &name("shop")).await.unwrap();
    assert_eq!(all.iter().map(|at| &at.id).collect::<Vec<_>>(), [&compared.id, &exact.id]);
    world.node.delete_replays(&admin(), at).await.unwrap();
    assert_eq!(world.node.replay_batches(&admin(), &name("shop")).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn selections_narrow_down() {
    let world = recorded("http echo 2").await;
    let table = [
        (ReplaySelection { limit: Some(2), ..of_function() }, 2),
        (ReplaySelection { text: Some("TOTAL".to_owned()), ..of_function() }, 5),
        (
            ReplaySelection {
                expression: Some(".input.body.json.total > 2".to_owned()),
                ..of_function()
            },
            2,
        ),
        (ReplaySelection { function: Some(name("g")), ..ReplaySelection::default() }, 0),
        (ReplaySelection { ty: Some("com.shop".to_owned()), ..of_function() }, 0),
    ];
    for (select, count) in table {
        let request = ReplayRequest { select: select.clone(), ..Default::default() };
        let batch = ended(&world, &start(&world, request).await.unwrap()).await;
        assert_eq!(batch.state, ReplayState::Done, "{select:?} {}", batch.reason);
        assert_eq!(batch.done, count, "{select:?}");
    }
    let wrong = [
        ReplaySelection { suite: Some(name("s")), ..of_function() },
        ReplaySelection { limit: Some(0), ..of_function() },
        ReplaySelection { limit: Some(10_000_000), ..of_function() },
    ];
    for select in wrong {
        let request = ReplayRequest { select: select.clone(), ..Default::default() };
        assert_eq!(start(&world, request).await.unwrap_err(), Code::BadRequest, "{select:?}");
    }
    let request = ReplayRequest {
        select: of_function(),
        against: Some("9".to_owned()),
        ..Default::default()
    };
    assert_eq!(start(&world, request).await.unwrap_err(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_survives_a_restart() {
    let world = recorded("http echo 2").await;
    let request = ReplayRequest { select: of_function(), ..Default::default() };
    let done = ended(&world, &start(&world, request.clone()).await.unwrap()).await;
    let against = ReplayRequest { against: Some("2".to_owned()), ..request };
    let running = start(&world, against.clone()).await.unwrap();
    let paused = start(&world, against).await.unwrap();
    let paused_at = (&name("shop"), &paused.id);
    let took = world.node.pause_replays(&admin(), paused_at).await;
    let runtime = world.runtime.clone();
    let world = world.restart(runtime).await;
    let kept = world.node.replay_batch(&admin(), &name("shop"), &done.id).await.unwrap();
    assert_eq!((kept.state, kept.done), (ReplayState::Done, 5));
    let at = (&name("shop"), &done.id);
    let rows = world.node.replay_rows(&admin(), at, None, (0, 0)).await.unwrap();
    assert_eq!(rows.items.len(), 5, "reports survive");
    // Calls that came later are not meant.
    world.text("/f", "{\"total\":9}").await;
    world.log.flush().await.unwrap();
    let again = ended(&world, &running).await;
    assert_eq!((again.state, again.done), (ReplayState::Done, 5), "{again:?}");
    assert_eq!(again.principal, running.principal);
    let still = world.node.replay_batch(&admin(), &name("shop"), &paused.id).await.unwrap();
    // The last call may have been under way already.
    if took.is_ok() && still.state != ReplayState::Done {
        assert_eq!(still.state, ReplayState::Paused);
        // It is taken up beside everything else that a start does.
        while world.node.resume_replays(&admin(), paused_at).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let again = ended(&world, &paused).await;
    assert_eq!((again.state, again.done), (ReplayState::Done, 5), "{again:?}");
    let refused = world.node.pause_replays(&admin(), paused_at).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn suites_outlive_the_log() {
    let world = recorded("http answers {\"total\":3}").await;
    let at = (&name("shop"), &name("checkout"));
    let head = || (String::new(), CompareRules::default());
    let none = ReplaySelection { function: Some(name("g")), ..ReplaySelection::default() };
    let refused = world.node.save_suite(&admin(), at, head(), &none).await.unwrap_err();
    assert_eq!(refused.code(), Code::BadRequest);
    let saved = world.node.save_suite(&admin(), at, head(), &of_function()).await.unwrap();
    assert_eq!((saved.cases.len(), &saved.functions[..]), (5, &[name("f")][..]));

    let runtime = world.runtime.clone();
    let world = world.restart_without_log(runtime).await;
    let select = ReplaySelection { suite: Some(name("checkout")), ..ReplaySelection::default() };
    let request =
        ReplayRequest { select, against: Some("latest".to_owned()), ..Default::default() };
    let batch = ended(&world, &start(&world, request).await.unwrap()).await;
    let rows = world.node.replay_rows(&admin(), (at.0, &batch.id), None, (0, 0)).await.unwrap();
    assert_eq!(batch.verdicts.get("different"), Some(&4), "{batch:?} {rows:?}");
    world.node.delete_suite(&admin(), at.0, at.1).await.unwrap();
    assert!(world.node.suites(&admin(), at.0).await.unwrap().is_empty());
}
