//! The engine on a real log, with a worker that does what the events say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod early;
mod gone;
mod kit;

use std::task::Poll;
use std::time::Duration;

use kit::{Kit, event, function, run};
use nexus_engine::{Cancellation, DeadFilter, DeliveryState, Error, Outcome, Redrive};
use nexus_model::record::{Body, DeliveryDecision};
use nexus_model::{EventFilter, Timestamp};

const ON_T: &str = r#"{"on":{"events":[{"type":"t"}]}}"#;

#[test]
fn an_event_is_handled_and_its_end_can_be_awaited() {
    run(async {
        let kit = Kit::start().await;
        kit.engine.configure(vec![function(&kit, "f", ON_T)]).await.unwrap();
        let id = kit.accept(event(&kit, "1", "ok")).await.unwrap();
        let ended = kit.engine.wait_ended(kit.key(id, "f")).await.unwrap().unwrap();
        assert_eq!((ended.decision, ended.attempts), (None, 1));
        let outcome = kit.engine.outcome(kit.key(id, "f")).await.unwrap();
        assert_eq!(outcome, Outcome::Ended(ended));
        assert_eq!(kit.engine.pending(), 0);
        kit.stop().await;
    });
}

/// So a server starts whose log knows nothing of what its store declares.
#[test]
fn any_number_of_functions_can_be_told_at_once() {
    run(async {
        let kit = Kit::start().await;
        let quiet = |number| function(&kit, &format!("f{number}"), "{}");
        // More than the log takes in one group.
        let mut all: Vec<_> = (0..22_000).map(quiet).collect();
        let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(1 << 20));
        all.extend((0..3).map(|number| function(&kit, &format!("long{number}"), &long)));
        all.push(function(&kit, "last", ON_T));
        kit.engine.configure(all).await.unwrap();
        let id = kit.accept(event(&kit, "1", "ok")).await.unwrap();
        let ended = kit.engine.wait_ended(kit.key(id, "last")).await.unwrap().unwrap();
        assert_eq!((ended.decision, ended.attempts), (None, 1));
        kit.stop().await;
    });
}

#[test]
fn the_events_of_a_backlog_are_read_when_their_turn_comes() {
    run(async {
        let kit = Kit::start().await;
        kit.engine.configure(vec![function(&kit, "f", ON_T)]).await.unwrap();
        // They keep all slots until more has come than the engine keeps at hand: 48 MiB.
        for number in 0..8 {
            kit.accept(event(&kit, &format!("first-{number}"), "hold")).await.unwrap();
        }
        kit.until(|kit| kit.worker.holding() == 8).await;
        let mut expected: Vec<String> = (0..8).map(|number| format!("first-{number}")).collect();
        for number in 0..120 {
            let mut large = event(&kit, &format!("large-{number}"), "ok");
            large.event.data = Some(Body::inline(vec![b' '; 512 << 10].into()));
            kit.accept(large).await.unwrap();
            kit.accept(event(&kit, &format!("small-{number}"), "ok")).await.unwrap();
            expected.extend([format!("large-{number}"), format!("small-{number}")]);
        }
        kit.worker.let_go();
        kit.until(|kit| kit.engine.pending() == 0).await;
        let mut given = kit.worker.given();
        given.sort();
        expected.sort();
        assert_eq!(given, expected);
        kit.stop().await;
    });
}

#[test]
fn a_duplicate_is_not_delivered_twice() {
    run(async {
        let kit = Kit::start().await;
        kit.engine.configure(vec![function(&kit, "f", ON_T)]).await.unwrap();
        let first = kit.engine.accept(vec![event(&kit, "1", "ok")]).await.unwrap();
        let again = kit.engine.accept(vec![event(&kit, "1", "ok")]).await.unwrap();
        assert_eq!((again[0].id, again[0].duplicate), (first[0].id, true));
        kit.engine.wait_ended(kit.key(first[0].id, "f")).await.unwrap();
        assert_eq!(kit.worker.attempts(), 1);
        kit.stop().await;
    });
}

#[test]
fn a_full_queue_refuses_and_takes_again() {
    run(async {
        let kit = Kit::start().await;
        let spec = r#"{"on":{"events":[{"type":"t"}]},"delivery":{"queue":{"max":2}}}"#;
        kit.engine.configure(vec![function(&kit, "f", spec)]).await.unwrap();
        kit.engine.settled().await.unwrap();
        let held = [
            kit.accept(event(&kit, "1", "hold")).await.unwrap(),
            kit.accept(event(&kit, "2", "hold")).await.unwrap(),
        ];
        let full = kit.accept(event(&kit, "3", "hold")).await;
        assert!(matches!(full, Err(Error::QueueFull { limit: 2, .. })), "{full:?}");
        kit.worker.let_go();
        for id in held {
            kit.engine.wait_ended(kit.key(id, "f")).await.unwrap();
        }
        kit.accept(event(&kit, "3", "ok")).await.unwrap();
        kit.stop().await;
    });
}

#[test]
fn what_was_there_at_the_start_is_suspected_of_the_crash() {
    run(async {
        let mut kit = Kit::start().await;
        let spec = r#"{"on":{"events":[{"type":"t"}]},
            "delivery":{"rate":{"limit":1,"per":"1h"}}}"#;
        kit.engine.configure(vec![function(&kit, "f", spec)]).await.unwrap();
        kit.accept(event(&kit, "1", "ok")).await.unwrap();
        kit.accept(event(&kit, "2", "ok")).await.unwrap();
        kit.until(|kit| kit.worker.attempts() == 1).await;
        assert_eq!(kit.worker.suspects(), [false]);
        kit = kit.restart().await;
        kit.clock.advance(Duration::from_secs(3601));
        kit.until(|kit| kit.worker.attempts() == 1).await;
        kit.accept(event(&kit, "3", "ok")).await.unwrap();
        kit.clock.advance(Duration::from_secs(3601));
        kit.until(|kit| kit.worker.attempts() == 2).await;
        assert_eq!(kit.worker.suspects(), [true, false]);
        kit.stop().await;
    });
}

#[test]
fn an_event_is_accepted_whose_sender_went_away() {
    run(async {
        let kit = Kit::start().await;
        let sent = kit.engine.accept(vec![event(&kit, "1", "ok")]);
        {
            let mut sent = std::pin::pin!(sent);
            let once = std::future::poll_fn(|cx| Poll::Ready(sent.as_mut().poll(cx).is_pending()));
            assert!(once.await, "it waits for the disk");
        }
        // The one that went away has settled it: nobody waits for ever.
        let again = kit.engine.accept(vec![event(&kit, "1", "ok")]).await.unwrap();
        assert!(again[0].duplicate);
        kit.stop().await;
    });
}

#[test]
fn a_schedule_survives_a_restart_and_happens_once() {
    run(async {
        let mut kit = Kit::start().await;
        kit.engine.configure(vec![function(&kit, "f", ON_T)]).await.unwrap();
        let due = kit.clock_now().after(Duration::from_secs(3600));
        let schedules = vec![kit.schedule("1", due), kit.schedule("2", due)];
        let accepted = kit.engine.schedule(schedules).await.unwrap();
        kit.engine.settled().await.unwrap();
        let listed = kit.engine.schedules(Some("shop"), None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|at| at.due).collect::<Vec<_>>(), [due, due]);
        let who = || ("token:me".to_owned(), "no longer".to_owned());
        let cancelled = accepted[1].id;
        assert!(kit.engine.cancel_schedule(("shop", cancelled), who()).await.unwrap());
        assert!(!kit.engine.cancel_schedule(("shop", cancelled), who()).await.unwrap());
        assert_eq!(kit.engine.carry_forward(u64::MAX).await.unwrap(), 1);
        kit = kit.restart().await;
        kit.clock.advance(Duration::from_secs(3601));
        kit.until(|kit| kit.worker.attempts() == 1).await;
        kit = kit.restart().await;
        assert_eq!(kit.engine.schedules(None, None, 10).await.unwrap(), []);
        let events = kit.log.events(&EventFilter::default(), None, 10).await.unwrap().items;
        assert_eq!(events.len(), 1, "one happened, one was cancelled");
        kit.stop().await;
    });
}

#[test]
fn cron_fires_once_per_time_also_over_a_restart() {
    run(async {
        let mut kit = Kit::start().await;
        let spec = r#"{"on":{"cron":[{"schedule":"@daily"}]}}"#;
        kit.engine.configure(vec![function(&kit, "f", spec)]).await.unwrap();
        kit.engine.settled().await.unwrap();
        kit.clock.advance(Duration::from_secs(24 * 3600));
        kit.until(|kit| kit.worker.attempts() == 1).await;
        kit = kit.restart().await;
        kit.engine.settled().await.unwrap();
        let events = kit.log.events(&EventFilter::default(), None, 10).await.unwrap().items;
        assert_eq!(events.len(), 1);
        assert_eq!(
            (&*events[0].event.ty, &*events[0].event.source),
            ("dev.nexus.cron", "/nexus/shop/f")
        );
        kit.stop().await;
    });
}

/// A clock that was ahead (a wrong one, until the network's time comes) stops nothing.
/// Lets time pass until an event is accepted, and says whether that was within two hours from now: by its
/// own time, because the clock goes on while a test waits to hear of it.
async fn fires_soon(kit: &Kit) -> bool {
    let now = kit.clock_now();
    loop {
        kit.clock.advance(Duration::from_secs(10));
        kit.engine.settled().await.unwrap();
        let events = kit.log.events(&EventFilter::default(), None, 1000).await.unwrap().items;
        let times = events.iter().map(|event| Timestamp::from_unix_ns(event.received_ns));
        // Those from before the clock went back are of later.
        let tomorrow = now.after(Duration::from_secs(20 * 3600));
        if let Some(first) = times.filter(|at| (now..tomorrow).contains(at)).min() {
            return first < now.after(Duration::from_secs(2 * 3600));
        }
    }
}

#[test]
fn cron_and_retries_go_on_when_the_clock_goes_back() {
    run(async {
        let mut kit = Kit::start().await;
        let begin = kit.clock_now();
        let spec = r#"{"on":{"cron":[{"schedule":"@hourly","catch-up":"last"}]}}"#;
        let retried = r#"{"on":{"events":[{"type":"t"}]},"delivery":{"retry":
            {"attempts":3,"first":"500ms","jitter":0,"on":["refused"]}}}"#;
        let functions = vec![function(&kit, "f", spec), function(&kit, "g", retried)];
        kit.engine.configure(functions).await.unwrap();
        kit.engine.settled().await.unwrap();
        kit.clock.advance(Duration::from_secs(24 * 3600));
        kit.until(|kit| kit.worker.attempts() == 1).await;

        let back = begin.after(Duration::from_secs(60));
        kit.clock.set(back);
        assert!(fires_soon(&kit).await);
        kit.until(|kit| kit.worker.attempts() >= 2).await;
        kit = kit.restart().await;
        assert!(fires_soon(&kit).await);
        // The time that fired before the clock went back does not fire again when it comes.
        let filter = EventFilter::default();
        kit.until(|kit| {
            kit.clock.advance(Duration::from_secs(60));
            kit.clock_now() > begin.after(Duration::from_secs(25 * 3600))
        })
        .await;
        kit.engine.settled().await.unwrap();
        let events = kit.log.events(&filter, None, 1000).await.unwrap().items;
        let mut times: Vec<_> = events.iter().map(|event| event.event.id.clone()).collect();
        times.sort_unstable();
        times.dedup();
        assert_eq!(times.len(), events.len());

        let attempts =
            |kit: &Kit| kit.worker.given().iter().filter(|id| id.as_str() == "1").count();
        kit.accept(event(&kit, "1", "refuse")).await.unwrap();
        kit.until(|kit| attempts(kit) == 1).await;
        kit.engine.settled().await.unwrap();
        let back = begin.after(Duration::from_secs(60));
        kit.clock.set(back);
        kit.until(|kit| {
            kit.clock.advance(Duration::from_millis(10));
            // The attempts wait for a real disk meanwhile.
            std::thread::sleep(Duration::from_millis(1));
            attempts(kit) == 3
        })
        .await;
        assert!(kit.clock_now() < back.after(Duration::from_secs(60)));
        kit.stop().await;
    });
}

#[test]
fn dead_letters_are_counted_edited_and_redriven() {
    run(async {
        let kit = Kit::start().await;
        // Each type of data once: an edited dead letter is no duplicate of its original.
        let spec = r#"{"on":{"events":[{"type":"t"}]},
            "delivery":{"deduplicate":{"key":"datacontenttype","age":"1h"}}}"#;
        kit.engine.configure(vec![function(&kit, "f", spec)]).await.unwrap();
        let mut ids = Vec::new();
        for number in 0..4 {
            let mut refused = event(&kit, &number.to_string(), "refuse");
            refused.event.datacontenttype = Some(format!("text/{number}"));
            ids.push(kit.accept(refused).await.unwrap());
        }
        for id in &ids {
            let ended = kit.engine.wait_ended(kit.key(*id, "f")).await.unwrap().unwrap();
            assert_eq!(ended.decision, Some(DeliveryDecision::Dead));
        }
        let counts = kit.engine.dead_counts(DeadFilter::default()).await.unwrap();
        assert_eq!(
            counts.iter().map(|at| (&*at.code, at.count)).collect::<Vec<_>>(),
            [("NX5003", 4)]
        );
        let how = || Redrive { principal: "token:me".into(), reason: "fixed".into(), rate: None };
        let mut edited = event(&kit, "edited", "ok");
        edited.event.datacontenttype = Some("text/0".to_owned());
        let new = kit.engine.redrive_edited(kit.key(ids[0], "f"), edited, how()).await.unwrap();
        let ended = kit.engine.wait_ended(kit.key(new, "f")).await.unwrap().unwrap();
        assert_eq!(ended.decision, None);
        let one = DeadFilter { event: Some(ids[1]), ..DeadFilter::default() };
        let who = ("token:me".to_owned(), "useless".to_owned());
        assert_eq!(kit.engine.drop_dead(one, who).await.unwrap(), 1);
        let before = kit.worker.attempts();
        assert_eq!(kit.engine.redrive(DeadFilter::default(), how()).await.unwrap(), 2);
        for id in &ids[2..] {
            kit.engine.wait_ended(kit.key(*id, "f")).await.unwrap();
        }
        assert_eq!(kit.worker.attempts(), before + 2);
        kit.stop().await;
    });
}

#[test]
fn destinations_hear_of_the_outcome_once() {
    run(async {
        let kit = Kit::start().await;
        let spec = r#"{"on":{"events":[{"type":"t"}]},
            "delivery":{"on-success":{"event":"done"},"on-failure":{"function":"f2"}}}"#;
        let specs = vec![function(&kit, "f", spec), function(&kit, "f2", "{}")];
        kit.engine.configure(specs).await.unwrap();
        let good = kit.accept(event(&kit, "1", "ok")).await.unwrap();
        let bad = kit.accept(event(&kit, "2", "refuse")).await.unwrap();
        for id in [good, bad] {
            kit.engine.wait_ended(kit.key(id, "f")).await.unwrap();
        }
        let events = kit.log.events(&EventFilter::default(), None, 10).await.unwrap().items;
        let data = |ty: &str| {
            let found: Vec<_> = events.iter().filter(|at| at.event.ty == ty).collect();
            assert_eq!(found.len(), 1, "{ty}");
            let data = found[0].event.data.as_ref().unwrap().inline.clone();
            serde_json::from_slice::<serde_json::Value>(&data).unwrap()
        };
        let (done, failed) = (data("done"), data("dev.nexus.outcome"));
        assert_eq!(
            (&done["event"], &done["status"]),
            (&good.to_string().into(), &"succeeded".into())
        );
        assert_eq!(failed["error"]["code"], "NX5003");
        kit.stop().await;
    });
}

#[test]
fn what_the_node_cannot_run_now_waits_and_was_no_attempt() {
    run(async {
        let kit = Kit::start().await;
        let spec = r#"{"on":{"events":[{"type":"t"}]},"delivery":{"retry":{"attempts":1}}}"#;
        kit.engine.configure(vec![function(&kit, "f", spec)]).await.unwrap();
        kit.worker.close(true);
        let mut ids = Vec::new();
        for number in 0..40 {
            ids.push(kit.accept(event(&kit, &number.to_string(), "ok")).await.unwrap());
        }
        kit.until(|kit| kit.worker.turned_away() > 0).await;
        let key = kit.key(ids[0], "f");
        loop {
            let why = kit.engine.why(key.clone()).await.unwrap().unwrap();
            if why.to_string() == "queued: it is closed" {
                break;
            }
            assert_eq!(why.state, DeliveryState::Ready { attempt: 1 });
        }
        // All of its deliveries are left alone, not each of them tried.
        let tried = kit.worker.turned_away();
        assert!(tried < 20, "{tried}");
        let later = |kit: &Kit| kit.clock.advance(Duration::from_millis(100));
        kit.until(|kit| {
            later(kit);
            kit.worker.turned_away() > tried
        })
        .await;
        kit.worker.close(false);
        kit.until(|kit| {
            later(kit);
            kit.engine.pending() == 0
        })
        .await;
        for id in ids {
            let ended = kit.engine.wait_ended(kit.key(id, "f")).await.unwrap().unwrap();
            assert_eq!((ended.decision, ended.attempts), (None, 1));
        }
        kit.stop().await;
    });
}

#[test]
fn what_waits_says_why_and_can_be_cancelled() {
    run(async {
        let kit = Kit::start().await;
        let spec = r#"{"on":{"events":[{"type":"t"}]},"delivery":{"concurrency":1}}"#;
        kit.engine.configure(vec![function(&kit, "f", spec)]).await.unwrap();
        let first = kit.accept(event(&kit, "1", "hold")).await.unwrap();
        kit.until(|kit| kit.worker.holding() == 1).await;
        let second = kit.accept(event(&kit, "2", "ok")).await.unwrap();
        kit.engine.settled().await.unwrap();
        kit.engine.settled().await.unwrap();
        let why = kit.engine.why(kit.key(second, "f")).await.unwrap().unwrap();
        assert_eq!(why.to_string(), "queued: concurrency 1/1");
        let who = || ("token:me".to_owned(), "enough".to_owned());
        let answer = kit.engine.cancel(kit.key(second, "f"), who()).await.unwrap();
        assert_eq!(answer, Cancellation::Done);
        assert_eq!(
            kit.engine.cancel(kit.key(first, "f"), who()).await.unwrap(),
            Cancellation::Done
        );
        for id in [first, second] {
            let ended = kit.engine.wait_ended(kit.key(id, "f")).await.unwrap().unwrap();
            assert_eq!(ended.decision, Some(DeliveryDecision::Cancelled));
        }
        assert_eq!(kit.worker.attempts(), 1);
        let again = kit.engine.cancel(kit.key(first, "f"), who()).await.unwrap();
        assert_eq!(again, Cancellation::NotFound);
        kit.stop().await;
    });
}
