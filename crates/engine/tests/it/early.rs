//! Calls that begin before they are in the log.

use std::time::Duration;

use nexus_engine::{Engine, Outcome};
use nexus_log::Position;
use nexus_model::EventId;
use nexus_model::record::{EventRecord, Record};

use crate::kit::{Kit, event, function, run};

/// Only ever waited for when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

fn call(kit: &Kit, id: &str, subject: &str) -> EventRecord {
    EventRecord { target: "f".into(), ..event(kit, id, subject) }
}

async fn kit(subject: &str) -> (Kit, EventRecord, EventId) {
    let kit = Kit::start().await;
    let spec = r#"{"delivery":{"retry":{"attempts":3,"first":"1ms","jitter":0}}}"#;
    kit.engine.configure(vec![function(&kit, "f", spec)]).await.unwrap();
    kit.engine.settled().await.unwrap();
    let record = call(&kit, "1", subject);
    let id = record.event_id().unwrap();
    (kit, record, id)
}

/// What the log has of events and attempts, in order.
async fn told(kit: &Kit) -> Vec<&'static str> {
    let entries = kit.log.read_from(Position::START, 1000).await.unwrap();
    let word = |record: &Record| match record {
        Record::Event(_) => Some("event"),
        Record::Started(_) => Some("started"),
        Record::Invocation(_) => Some("ended"),
        _ => None,
    };
    entries.iter().filter_map(|entry| word(&entry.record)).collect()
}

async fn is_over(engine: &Engine, kit: &Kit, id: EventId) {
    let ended = engine.wait_ended(kit.key(id, "f"));
    tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
    let outcome = engine.outcome(kit.key(id, "f")).await.unwrap();
    assert!(!matches!(outcome, Outcome::Pending(_)), "{outcome:?}");
}

#[test]
fn a_call_and_its_end_are_one_append() {
    run(async {
        let (kit, record, id) = kit("ok").await;
        let before = kit.log.durable().sequence;
        let commits = kit.log.stats().await.unwrap().commits;
        let accepted = kit.engine.call(record, false).await.unwrap();
        assert_eq!((accepted.id, accepted.duplicate), (id, false));
        assert_eq!(kit.log.durable().sequence, before + 2);
        assert_eq!(kit.log.stats().await.unwrap().commits, commits + 1);
        is_over(&kit.engine, &kit, id).await;
        assert_eq!(told(&kit).await, ["event", "ended"]);
        let kit = kit.restart().await;
        kit.engine.settled().await.unwrap();
        assert_eq!((kit.engine.pending(), kit.worker.attempts()), (0, 0));
        kit.stop().await;
    });
}

#[test]
fn calls_are_made_once_whatever_the_driver_sees_first() {
    run(async {
        let (kit, ..) = kit("ok").await;
        let calls: Vec<EventRecord> = (0..300)
            .map(|number| {
                let subject = if number % 3 == 0 { "hold" } else { "ok" };
                call(&kit, &format!("n{number}"), subject)
            })
            .collect();
        kit.worker.let_go();
        // All at once, so that the driver meets them as it may.
        let calls = calls.into_iter().map(|record| kit.engine.call(record, false));
        for accepted in futures::future::join_all(calls).await {
            is_over(&kit.engine, &kit, accepted.unwrap().id).await;
        }
        let mut given = kit.worker.given();
        given.sort_unstable();
        given.dedup();
        assert_eq!((given.len(), kit.worker.attempts()), (300, 300));
        kit.stop().await;
    });
}

#[test]
fn a_call_that_cannot_be_made_now_is_accepted_and_made_later() {
    run(async {
        let (kit, record, id) = kit("ok").await;
        kit.worker.close(true);
        assert_eq!(kit.engine.call(record, false).await.unwrap().id, id);
        assert_eq!(told(&kit).await, ["event"]);
        kit.worker.close(false);
        kit.until(|kit| {
            kit.clock.advance(Duration::from_millis(100));
            kit.worker.attempts() == 1
        })
        .await;
        is_over(&kit.engine, &kit, id).await;
        kit.stop().await;
    });
}

#[test]
fn a_call_that_waits_is_in_the_log_and_goes_on_without_its_caller() {
    run(async {
        let (kit, record, id) = kit("hold").await;
        assert_eq!(kit.engine.call(record, false).await.unwrap().id, id);
        assert_eq!(told(&kit).await, ["event", "started"]);
        kit.engine.settled().await.unwrap();
        assert_eq!((kit.engine.pending(), kit.worker.attempts()), (1, 1));
        kit.worker.let_go();
        is_over(&kit.engine, &kit, id).await;
        assert_eq!((told(&kit).await.len(), kit.worker.attempts()), (3, 1));
        kit.stop().await;
    });
}

#[test]
fn a_caller_may_go_away_at_any_time() {
    run(async {
        let (kit, record, id) = kit("ok").await;
        let engine = kit.engine.clone();
        let mut call = Box::pin(async move { engine.call(record, false).await });
        // It has begun; as a rule nothing of it is in the log yet.
        let _ = futures::poll!(&mut call);
        drop(call);
        let goes_on = async {
            while told(&kit).await.len() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, goes_on).await.unwrap();
        is_over(&kit.engine, &kit, id).await;
        assert_eq!(told(&kit).await, ["event", "ended"]);
        assert_eq!(kit.worker.attempts(), 1);
        kit.stop().await;
    });
}

#[test]
fn an_attempt_that_breaks_down_is_not_forgotten() {
    run(async {
        let (kit, record, id) = kit("break").await;
        assert_eq!(kit.engine.call(record, false).await.unwrap().id, id);
        kit.until(|kit| {
            kit.clock.advance(Duration::from_millis(100));
            kit.worker.attempts() == 1 && kit.engine.pending() == 0
        })
        .await;
        // The one that counts is the second one, made in the ordinary way.
        assert_eq!(told(&kit).await, ["event", "started", "ended", "started", "ended"]);
        kit.stop().await;
    });
}

#[test]
fn a_call_that_the_log_refuses_was_never_made() {
    run(async {
        let (kit, record, _) = kit("ok").await;
        kit.log.close().await.unwrap();
        assert!(kit.engine.call(record.clone(), false).await.is_err());
        // Nothing is reserved for it: nobody waits for it for ever.
        let again = kit.engine.call(record, false);
        assert!(tokio::time::timeout(PATIENCE, again).await.unwrap().is_err());
    });
}
