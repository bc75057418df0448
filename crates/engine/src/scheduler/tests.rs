use nexus_model::record::ConfigRecord;
use serde_json::{Value, json};

use super::*;
use crate::lanes::Lanes;

const SECOND: i64 = 1_000_000_000;

/// One lane, and a clock.
struct Bench {
    scheduler: Scheduler,
    now_ns: i64,
}

const LANE: LaneId = LaneId(0);

fn id(number: u8) -> Id {
    Id { event: EventId::from_bytes([number; 16]), lane: LANE }
}

impl Bench {
    fn of(delivery: Value) -> Bench {
        let mut bench = Bench { scheduler: Scheduler::new(100), now_ns: 100 * SECOND };
        bench.configure(delivery);
        bench
    }

    fn configure(&mut self, delivery: Value) {
        let mut lanes = Lanes::default();
        let record = ConfigRecord {
            project: "shop".into(),
            kind: "Function".into(),
            name: "f".into(),
            revision: 1,
            spec: json!({ "delivery": delivery }).to_string(),
            ..ConfigRecord::default()
        };
        lanes.configure(&record, 1);
        self.scheduler.configure(LANE, lanes.get(LANE), BreakerState::default());
    }

    /// An event comes, or comes back to be tried again `after` seconds.
    fn queue(&mut self, number: u8, key: &str, after: i64) {
        let wanted = Wanted {
            order: u64::from(number),
            key: Some(key).filter(|key| !key.is_empty()).map(Arc::from),
            due_ns: if after > 0 { self.now_ns + after * SECOND } else { 0 },
            since_ns: self.now_ns,
        };
        self.scheduler.queue(id(number), wanted, self.now_ns);
    }

    fn wait(&mut self, seconds: i64) {
        self.now_ns += seconds * SECOND;
    }

    /// The batch that goes now.
    fn next(&mut self) -> Option<(Ticket, Vec<u8>)> {
        self.scheduler.advance(self.now_ns);
        let pick = self.scheduler.next(self.now_ns);
        self.scheduler.audit_batches(self.now_ns);
        match pick? {
            Pick::Deliver { ticket, members, .. } => {
                Some((ticket, members.iter().map(|id| id.event.as_bytes()[0]).collect()))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether exactly this goes now, all of which is handled at once.
    #[track_caller]
    fn goes(&mut self, expected: &[u8]) {
        let (ticket, members) = self.next().expect("something goes");
        assert_eq!(members, expected);
        for number in members {
            self.scheduler.forget(id(number), self.now_ns);
        }
        self.scheduler.release(ticket);
    }

    #[track_caller]
    fn waits(&mut self) {
        assert_eq!(self.next(), None);
    }
}

/// A breaker that was opened until 14:00 is not open for five hours when the clock goes back to 9:00.
#[test]
fn a_breaker_is_open_for_its_time_when_the_clock_goes_back() {
    let mut bench = Bench::of(json!({ "breaker": { "failures": 1, "open": "10s" } }));
    bench.now_ns = 14 * 3600 * SECOND;
    let open = BreakerState::Open { until_ns: bench.now_ns + 10 * SECOND };
    bench.scheduler.lane_of(LANE).breaker = open;
    bench.queue(1, "", 0);
    bench.waits();
    bench.now_ns = 9 * 3600 * SECOND;
    bench.scheduler.look_again();
    bench.waits();
    bench.wait(9);
    bench.waits();
    bench.wait(1);
    bench.goes(&[1]);
}

fn batches(size: u32, wait: &str) -> Value {
    json!({ "batch": { "size": size, "wait": wait } })
}

#[test]
fn the_events_of_one_key_fill_batches() {
    let mut bench = Bench::of(batches(4, "3s"));
    for number in 1..=18 {
        bench.queue(number, "k", 0);
    }
    bench.goes(&[1, 2, 3, 4]);
    bench.goes(&[5, 6, 7, 8]);
    bench.goes(&[9, 10, 11, 12]);
    bench.goes(&[13, 14, 15, 16]);
    bench.waits();
    bench.wait(3);
    bench.goes(&[17, 18]);
}

#[test]
fn a_batch_goes_with_the_event_that_fills_it_whatever_its_key() {
    let mut bench = Bench::of(batches(4, "3s"));
    for (number, key) in [(1, "a"), (2, "b"), (3, "a")] {
        bench.queue(number, key, 0);
        bench.waits();
    }
    bench.queue(4, "a", 0);
    bench.goes(&[1, 2, 3, 4]);
}

#[test]
fn what_stands_behind_an_attempt_of_its_key_does_not_fill_a_batch() {
    let mut bench = Bench::of(batches(2, "3s"));
    bench.queue(1, "k", 0);
    bench.queue(2, "k", 0);
    let (ticket, members) = bench.next().unwrap();
    assert_eq!(members, [1, 2]);
    for number in [3, 4] {
        bench.queue(number, "k", 0);
    }
    bench.queue(5, "other", 0);
    bench.waits();
    bench.wait(3);
    bench.goes(&[5]);
    for number in [1, 2] {
        bench.scheduler.forget(id(number), bench.now_ns);
    }
    bench.scheduler.release(ticket);
    bench.goes(&[3, 4]);
}

#[test]
fn what_is_left_of_a_batch_has_waited_already() {
    let mut bench = Bench::of(batches(2, "3s"));
    let (ticket, _) = {
        bench.queue(1, "a", 0);
        bench.queue(2, "b", 0);
        bench.next().unwrap()
    };
    bench.queue(3, "c", 0);
    bench.wait(2);
    bench.queue(4, "d", 0);
    bench.queue(5, "e", 0);
    bench.goes(&[3, 4]);
    bench.waits();
    // It came two seconds after the first one, and one before this moment.
    bench.wait(2);
    bench.waits();
    bench.wait(1);
    bench.goes(&[5]);
    bench.scheduler.release(ticket);
}

#[test]
fn a_batch_waits_from_when_the_first_of_its_events_came_not_from_when_it_may_go() {
    let mut bench = Bench::of(batches(2, "3s"));
    bench.queue(1, "k", 0);
    bench.queue(2, "k", 0);
    let (ticket, _) = bench.next().unwrap();
    bench.queue(3, "k", 0);
    bench.wait(10);
    for number in [1, 2] {
        bench.scheduler.forget(id(number), bench.now_ns);
    }
    bench.scheduler.release(ticket);
    // It has waited for the one before it; nobody has joined it in that time.
    bench.goes(&[3]);
}

#[test]
fn a_batch_is_not_full_of_what_waits_for_its_time() {
    let mut bench = Bench::of(batches(3, "9s"));
    bench.queue(1, "k", 0);
    for (number, after) in [(2, 2), (3, 4), (4, 6)] {
        bench.queue(number, "k", after);
    }
    bench.waits();
    bench.wait(2);
    bench.waits();
    let wake_ns = bench.scheduler.wake_ns();
    assert_eq!(wake_ns, Some(bench.now_ns + 2 * SECOND));
    bench.wait(2);
    bench.goes(&[1, 2, 3]);
}

#[test]
fn batches_that_are_switched_on_count_what_is_there() {
    let mut bench = Bench::of(json!({ "concurrency": 1 }));
    bench.queue(1, "a", 0);
    let (ticket, _) = bench.next().unwrap();
    for number in 2..=5 {
        bench.queue(number, "k", 0);
    }
    bench.configure(batches(4, "3s"));
    bench.scheduler.release(ticket);
    bench.goes(&[2, 3, 4, 5]);
}

#[test]
fn a_large_batch_of_one_key_is_filled_in_passing() {
    // What stood in a batch was once compared with all that stood in it before: minutes for this.
    let mut bench = Bench::of(batches(1_000, "3s"));
    let wanted = |order: u64| Wanted { order, key: Some("k".into()), due_ns: 0, since_ns: 0 };
    for order in 1..=20_000_u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&order.to_be_bytes());
        let id = Id { event: EventId::from_bytes(bytes), lane: LANE };
        bench.scheduler.queue(id, wanted(order), bench.now_ns);
    }
    for _ in 0..20 {
        let Some(Pick::Deliver { ticket, members, .. }) = bench.scheduler.next(bench.now_ns) else {
            panic!("a full batch goes");
        };
        assert_eq!(members.len(), 1_000);
        for id in members {
            bench.scheduler.forget(id, bench.now_ns);
        }
        bench.scheduler.release(ticket);
    }
}
