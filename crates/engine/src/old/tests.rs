use std::fmt::Write as _;

use bytes::Bytes;
use nexus_log::Position;
use nexus_model::record::{ConfigRecord, Failure, Meta, StoredEvent};

use super::*;

/// Builds records and applies them; prints actions for people.
#[derive(Default)]
struct Bench {
    shard: Shard,
    sequence: u64,
    text: String,
}

fn event_id(number: u8) -> Bytes {
    Bytes::copy_from_slice(&[number; 16])
}

fn meta(event: u8) -> Meta {
    Meta { project: "shop".into(), cause_event: event_id(event), ..Meta::default() }
}

impl Bench {
    fn apply(&mut self, record: Record) -> &mut Self {
        self.sequence += 1;
        let position = Position { shard: 0, sequence: self.sequence };
        for action in self.shard.apply(&Entry { position, record }) {
            let line = match action {
                Action::Deliver(at) if at.due == Timestamp::EPOCH => {
                    format!("deliver {} #{}", at.key.function, at.attempt)
                }
                Action::Deliver(at) => format!("retry {} #{}", at.key.function, at.attempt),
                Action::GiveUp { key, attempts, reason } => {
                    format!("give up {} after {attempts}: {reason}", key.function)
                }
                Action::Crashed { key, .. } => format!("crashed {}", key.function),
            };
            let _ = writeln!(self.text, "{line}");
        }
        self
    }

    fn function(&mut self, name: &str, pattern: &str) -> &mut Self {
        let spec = format!(r#"{{"on":{{"events":[{{"type":"{pattern}"}}]}}}}"#);
        let (project, kind, name) = ("shop".into(), "Function".into(), name.into());
        let revision = self.sequence + 1;
        self.apply(Record::Config(ConfigRecord {
            project,
            kind,
            name,
            revision,
            spec,
            ..ConfigRecord::default()
        }))
    }

    fn event(&mut self, number: u8, ty: &str) -> &mut Self {
        let event = StoredEvent { ty: ty.into(), ..StoredEvent::default() };
        let meta = Meta { project: "shop".into(), ..Meta::default() };
        self.apply(Record::Event(EventRecord { id: event_id(number), meta, received_ns: 1, event }))
    }

    fn started(&mut self, event: u8, function: &str, attempt: u32) -> &mut Self {
        self.apply(Record::Started(StartedRecord {
            meta: meta(event),
            function: function.into(),
            attempt,
            ..StartedRecord::default()
        }))
    }

    fn ended(&mut self, event: u8, function: &str, outcome: (u32, Status)) -> &mut Self {
        let failure = Failure { code: "NX5002".into(), message: "no".into(), backtrace: vec![] };
        self.apply(Record::Invocation(Box::new(InvocationRecord {
            meta: meta(event),
            function: function.into(),
            attempt: outcome.0,
            status: outcome.1.into(),
            trigger: Trigger::Event.into(),
            failure: (outcome.1 != Status::Succeeded).then_some(failure),
            ended_ns: 1_000_000_000,
            ..InvocationRecord::default()
        })))
    }

    fn decided(&mut self, event: u8, function: &str, decision: DeliveryDecision) -> &mut Self {
        self.apply(Record::Delivery(DeliveryRecord {
            project: "shop".into(),
            event: event_id(event),
            function: function.into(),
            decision: decision.into(),
            ..DeliveryRecord::default()
        }))
    }

    fn expect(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.text.trim().replace('\n', ", "), expected);
        self.text.clear();
        self
    }
}

#[test]
fn an_event_goes_to_each_function_that_wants_it() {
    let mut bench = Bench::default();
    bench.function("a", "order.*").function("b", "order.created").function("c", "other");
    bench.event(1, "order.created").expect("deliver a #1, deliver b #1");
    bench.started(1, "a", 1).ended(1, "a", (1, Status::Succeeded)).expect("");
    assert_eq!(bench.shard.pending(), 1);
}

#[test]
fn a_failed_delivery_is_tried_again_and_then_given_up() {
    let mut bench = Bench::default();
    bench.function("a", "t").event(1, "t").expect("deliver a #1");
    bench.started(1, "a", 1).ended(1, "a", (1, Status::Failed)).expect("retry a #2");
    bench.started(1, "a", 2).ended(1, "a", (2, Status::TimedOut)).expect("retry a #3");
    bench
        .started(1, "a", 3)
        .ended(1, "a", (3, Status::Trapped))
        .expect("give up a after 3: NX5002: no");
    assert_eq!(bench.shard.pending(), 1);
    bench.decided(1, "a", DeliveryDecision::Dead).expect("");
    assert_eq!((bench.shard.pending(), bench.shard.dead.len()), (0, 1));
}

#[test]
fn a_permanent_error_is_not_tried_again() {
    let mut bench = Bench::default();
    bench.function("a", "t").event(1, "t").started(1, "a", 1).expect("deliver a #1");
    bench.ended(1, "a", (1, Status::Refused)).expect("give up a after 1: NX5002: no");
}

#[test]
fn records_of_other_attempts_and_of_strangers_change_nothing() {
    let mut bench = Bench::default();
    bench.function("a", "t").event(1, "t").expect("deliver a #1");
    bench
        .started(1, "a", 2)
        .ended(1, "a", (2, Status::Succeeded))
        .ended(2, "a", (1, Status::Failed))
        .expect("");
    bench.ended(1, "b", (1, Status::Failed)).expect("");
    let before = bench.shard.clone();
    bench.sequence -= 1;
    bench.event(9, "t").expect("");
    assert_eq!(bench.shard, before, "a record that was applied already");
}

#[test]
fn dead_letters_are_redriven_or_dropped() {
    let mut bench = Bench::default();
    bench.function("a", "t");
    for event in [1, 2] {
        bench.event(event, "t").started(event, "a", 1).ended(event, "a", (1, Status::Refused));
        bench.decided(event, "a", DeliveryDecision::Dead);
    }
    bench.text.clear();
    bench.decided(1, "a", DeliveryDecision::Redriven).expect("deliver a #1");
    bench.decided(2, "a", DeliveryDecision::Dropped).expect("");
    bench.decided(2, "a", DeliveryDecision::Redriven).expect("");
    assert_eq!((bench.shard.pending(), bench.shard.dead.len()), (1, 0));
}

#[test]
fn a_restart_takes_up_every_unfinished_delivery() {
    let mut bench = Bench::default();
    bench
        .function("ready", "1")
        .function("running", "1")
        .function("waiting", "1")
        .function("exhausted", "1");
    bench.event(1, "1");
    bench.started(1, "running", 1);
    bench.started(1, "waiting", 1).ended(1, "waiting", (1, Status::Failed));
    bench.started(1, "exhausted", 1).ended(1, "exhausted", (1, Status::Refused));
    let actions = crate::checkpoint::round_trip(&bench.shard).recover();
    let kinds: Vec<&str> = actions
        .iter()
        .map(|action| match action {
            Action::GiveUp { .. } => "give up",
            Action::Crashed { .. } => "crashed",
            Action::Deliver(at) if at.attempt == 1 => "deliver",
            Action::Deliver(_) => "retry",
        })
        .collect();
    assert_eq!(kinds, ["give up", "deliver", "crashed", "retry"]);
}
