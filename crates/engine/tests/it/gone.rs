//! What a trigger leaves behind, and chains of outcomes.

use std::time::Duration;

use nexus_engine::{DeadFilter, DeadLetter, DeliveryKey, Redrive};
use nexus_model::EventId;
use nexus_model::record::{ConfigRecord, DeliveryDecision};

use crate::kit::{Kit, event, function, run};

const MINUTE: Duration = Duration::from_secs(61);

fn trigger(kit: &Kit, revision: u64, spec: &str) -> ConfigRecord {
    ConfigRecord { kind: "Trigger".into(), revision, ..function(kit, "x", spec) }
}

fn key(kit: &Kit, event: EventId) -> DeliveryKey {
    DeliveryKey { trigger: "x".into(), ..kit.key(event, "f") }
}

async fn dead(kit: &Kit) -> Vec<DeadLetter> {
    kit.engine.dead_letters(DeadFilter::default(), None, 10).await.unwrap()
}

/// Waits until nothing is left to do; that must be after so many attempts.
async fn ended(kit: &Kit, attempts: usize) {
    let endless = |kit: &Kit| kit.worker.attempts() > attempts;
    let over = |kit: &Kit| kit.worker.attempts() == attempts && kit.engine.pending() == 0;
    kit.until(|kit| over(kit) || endless(kit)).await;
    assert!(!endless(kit), "it goes on without end");
}

fn redrive() -> Redrive {
    Redrive { principal: "token:me".into(), reason: "again".into(), rate: None }
}

#[test]
fn the_backlog_of_a_deleted_trigger_keeps_its_rate_and_transform() {
    run(async {
        let mut kit = Kit::start().await;
        let spec = r#"{"function":"f","event":{"type":"t"},"delivery":
            {"transform":"del(.card)","rate":{"limit":1,"per":"60s"}}}"#;
        let specs = vec![function(&kit, "f", "{}"), trigger(&kit, 1, spec)];
        kit.engine.configure(specs).await.unwrap();
        for number in 0..3 {
            kit.accept(event(&kit, &number.to_string(), "ok")).await.unwrap();
        }
        kit.until(|kit| kit.worker.attempts() == 1).await;
        kit.engine.configure(vec![trigger(&kit, 2, "")]).await.unwrap();
        kit.engine.settled().await.unwrap();
        let expected = Some("del(.card)".to_owned());
        assert_eq!(kit.worker.transforms(), std::slice::from_ref(&expected));
        // They are kept over a restart, and the checkpoint that is read then.
        kit = kit.restart().await;
        for attempt in 1..=2 {
            kit.engine.settled().await.unwrap();
            assert_eq!((kit.worker.attempts(), kit.engine.pending()), (attempt - 1, 3 - attempt));
            kit.clock.advance(MINUTE);
            kit.until(|kit| kit.worker.attempts() >= attempt).await;
            kit.until(|kit| kit.engine.pending() <= 2 - attempt).await;
        }
        assert_eq!(kit.worker.transforms(), [expected.clone(), expected]);
        kit.stop().await;
    });
}

#[test]
fn what_a_paused_trigger_held_back_is_dead_when_it_is_deleted_and_can_be_redriven() {
    run(async {
        let mut kit = Kit::start().await;
        let spec = r#"{"function":"f","event":{"type":"t"},"paused":true,"delivery":
            {"transform":"del(.card)","fallback":"other","key":"subject"}}"#;
        let specs = vec![function(&kit, "f", "{}"), trigger(&kit, 1, spec)];
        kit.engine.configure(specs).await.unwrap();
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(kit.accept(event(&kit, &number.to_string(), "ok")).await.unwrap());
        }
        kit.engine.settled().await.unwrap();
        kit.engine.configure(vec![trigger(&kit, 2, "")]).await.unwrap();
        for id in &ids {
            let ended = kit.engine.wait_ended(key(&kit, *id)).await.unwrap().unwrap();
            assert_eq!((ended.decision, ended.attempts), (Some(DeliveryDecision::Dead), 0));
            assert_eq!(ended.reason, "its trigger was deleted while it was paused");
        }
        kit = kit.restart().await;
        assert_eq!((kit.worker.attempts(), dead(&kit).await.len()), (0, 3));
        assert_eq!(kit.engine.redrive(DeadFilter::default(), redrive()).await.unwrap(), 3);
        for id in ids {
            let ended = kit.engine.wait_ended(key(&kit, id)).await.unwrap();
            // It may have ended before anybody waited.
            assert!(ended.is_none_or(|ended| ended.decision.is_none()));
        }
        kit.until(|kit| kit.engine.pending() == 0).await;
        assert_eq!(kit.worker.transforms(), vec![Some("del(.card)".to_owned()); 3]);
        kit.stop().await;
    });
}

#[test]
fn outcomes_that_lead_to_one_another_end_in_a_dead_letter() {
    for destination in ["on-success", "on-failure"] {
        run(async {
            let kit = Kit::start().await;
            let spec = format!(
                r#"{{"on":{{"events":[{{"type":"t"}}]}},
                    "delivery":{{"{destination}":{{"event":"t"}},"retry":{{"attempts":1}}}}}}"#
            );
            kit.engine.configure(vec![function(&kit, "f", &spec)]).await.unwrap();
            kit.worker.refuse(destination == "on-failure");
            kit.accept(event(&kit, "1", "ok")).await.unwrap();
            ended(&kit, 17).await;
            let filter = || DeadFilter { code: Some("NX5011".into()), ..DeadFilter::default() };
            let last = kit.engine.dead_letters(filter(), None, 10).await.unwrap();
            assert_eq!((last.len(), last[0].attempts), (1, 0));
            assert!(last[0].reason.starts_with("16 outcomes and fallbacks"), "{}", last[0].reason);
            // Somebody who wants it so goes on by one step, or begins anew.
            assert_eq!(kit.engine.redrive(filter(), redrive()).await.unwrap(), 1);
            ended(&kit, 18).await;
            let last = kit.engine.dead_letters(filter(), None, 10).await.unwrap();
            assert_eq!(last.len(), 1);
            let edited = kit.log.event(last[0].key.event).await.unwrap().unwrap();
            let edited = nexus_model::record::EventRecord { id: kit.id(), ..edited };
            kit.engine.redrive_edited(last[0].key.clone(), edited, redrive()).await.unwrap();
            ended(&kit, 18 + 17).await;
            kit.stop().await;
        });
    }
}
