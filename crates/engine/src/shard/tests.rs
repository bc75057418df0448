use std::fmt::Write as _;

use bytes::Bytes;
use nexus_log::Position;
use nexus_model::record::{
    ConfigRecord, DeliveryRecord, Failure, InvocationRecord, JournalRecord, Meta, SignalRecord,
    Status, StoredEvent, SuspendedRecord, Trigger,
};

use super::*;

/// Builds records and applies them; prints actions for people.
#[derive(Default)]
struct Bench {
    shard: Shard,
    sequence: u64,
    text: String,
}

fn id(number: u8) -> Bytes {
    Bytes::copy_from_slice(&[number; 16])
}

fn meta(event: u8) -> Meta {
    Meta { project: "shop".into(), cause_event: id(event), ..Meta::default() }
}

impl Bench {
    fn of(functions: &[(&str, &str)]) -> Bench {
        let mut bench = Bench::default();
        for (name, spec) in functions {
            bench.configure("Function", name, spec);
        }
        bench.text.clear();
        bench
    }

    fn apply(&mut self, record: Record) -> &mut Self {
        self.sequence += 1;
        let position = Position { shard: 0, sequence: self.sequence };
        for action in self.shard.apply(&Entry { position, record }) {
            let name = |id: Id| self.shard.key(id).function;
            let line = match action {
                Action::Queue(id) => {
                    let pending = self.shard.deliveries.get(&id).unwrap();
                    format!("queue {} #{}", name(id), pending.attempt)
                }
                Action::Begun(id) => format!("begun {}", name(id)),
                Action::Forget(id, ended) => format!("end {} {:?}", name(id), ended.decision),
                Action::Settle(id) => match &self.shard.deliveries.get(&id).unwrap().state {
                    State::Settling(verdict) => {
                        format!("settle {} {:?}", name(id), verdict.decision)
                    }
                    other => format!("{other:?}"),
                },
                Action::Close(_) => "close".to_owned(),
                Action::Resume(_) => "resume".to_owned(),
                Action::WakeAt(_, at) => format!("wake at {at}"),
                Action::Strike(_) => "strike".to_owned(),
                Action::Timer(_, at) => format!("timer {at}"),
                Action::Lane(_) => continue,
            };
            let _ = writeln!(self.text, "{line}");
        }
        self
    }

    fn configure(&mut self, kind: &str, name: &str, spec: &str) -> &mut Self {
        let (project, kind, name, spec) = ("shop".into(), kind.into(), name.into(), spec.into());
        let revision = self.sequence + 1;
        let at_ns = 1;
        self.apply(Record::Config(ConfigRecord {
            id: id(0),
            project,
            kind,
            name,
            revision,
            spec,
            at_ns,
        }))
    }

    fn event(&mut self, number: u8) -> &mut Self {
        let event = StoredEvent { ty: "t".into(), ..StoredEvent::default() };
        let meta = Meta { project: "shop".into(), ..Meta::default() };
        let received_ns = 1;
        let id = id(number);
        self.apply(Record::Event(EventRecord {
            id,
            meta,
            received_ns,
            event,
            ..EventRecord::default()
        }))
    }

    fn started(&mut self, (event, run): (u8, u8), function: &str, attempt: u32) -> &mut Self {
        self.apply(Record::Started(StartedRecord {
            id: id(run),
            meta: meta(event),
            function: function.into(),
            attempt,
            durable: function == "durable",
            ..StartedRecord::default()
        }))
    }

    fn ended(
        &mut self,
        (event, run): (u8, u8),
        function: &str,
        outcome: (u32, Status),
    ) -> &mut Self {
        let failure = Failure { code: "NX5002".into(), message: "no".into(), ..Failure::default() };
        self.apply(Record::Invocation(Box::new(InvocationRecord {
            id: id(run),
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
            event: id(event),
            function: function.into(),
            decision: decision.into(),
            ..DeliveryRecord::default()
        }))
    }

    fn suspended(&mut self, run: u8, (until_ns, signal): (i64, &str)) -> &mut Self {
        let signal = signal.into();
        self.apply(Record::Suspended(SuspendedRecord {
            invocation: id(run),
            until_ns,
            signal,
            ..SuspendedRecord::default()
        }))
    }

    fn signal(&mut self, run: u8, (own, name): (u8, &str)) -> &mut Self {
        let (own, name) = (id(own), name.into());
        let (id, invocation) = (own, id(run));
        self.apply(Record::Signal(SignalRecord { id, invocation, name, ..SignalRecord::default() }))
    }

    fn expect(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.text.trim().replace('\n', ", "), expected);
        self.text.clear();
        self
    }
}

const ON_T: &str = r#"{"on":{"events":[{"type":"t"}]}}"#;

#[test]
fn an_event_goes_to_each_function_that_wants_it() {
    let other = r#"{"on":{"events":[{"type":"u"}]}}"#;
    let mut bench = Bench::of(&[("a", ON_T), ("b", ON_T), ("c", other)]);
    bench.event(1).expect("queue a #1, queue b #1");
    bench.started((1, 9), "a", 1).expect("begun a");
    bench.ended((1, 9), "a", (1, Status::Succeeded)).expect("end a None");
    assert_eq!(bench.shard.pending(), 1);
}

#[test]
fn a_trigger_of_its_own_is_a_lane_of_its_own() {
    let mut bench = Bench::of(&[("a", ON_T)]);
    bench.configure("Trigger", "more", r#"{"function":"a","event":{"type":"t"}}"#);
    bench.event(1).expect("queue a #1, queue a #1");
    bench.configure("Trigger", "more", "");
    bench.event(2).expect("queue a #1");
}

#[test]
fn what_a_deleted_trigger_leaves_behind_keeps_its_settings() {
    let mut bench = Bench::of(&[("a", r#"{"delivery":{"concurrency":9}}"#), ("b", ON_T)]);
    let spec = |function: &str, paused: bool| {
        format!(
            r#"{{"function":"{function}","event":{{"type":"t"}},"paused":{paused},"delivery":
                {{"transform":"del(.card)","rate":{{"limit":1,"per":"1m"}},"key":"subject",
                "on-failure":{{"event":"failed"}},"retry":{{"attempts":7}}}}}}"#
        )
    };
    bench.configure("Trigger", "more", &spec("a", false));
    let lane = |bench: &Bench, function: &str| {
        let id = bench.shard.lanes.find("shop", function, "more").unwrap();
        (**bench.shard.lanes.get(id)).clone()
    };
    let before = lane(&bench, "a").settings;
    bench.event(1).configure("Trigger", "more", "");
    assert_eq!(lane(&bench, "a").settings, before);
    assert_eq!(lane(&bench, "a").gone.unwrap().given_up_through, None);
    // It is the same when the trigger calls another function from then on.
    bench.configure("Trigger", "more", &spec("a", true));
    assert!(lane(&bench, "a").gone.is_none() && lane(&bench, "a").settings.paused);
    bench.configure("Trigger", "more", &spec("b", true));
    assert_eq!(lane(&bench, "a").settings, before);
    assert_eq!(lane(&bench, "a").gone.unwrap().given_up_through, Some(bench.sequence));
    assert!(lane(&bench, "b").gone.is_none() && lane(&bench, "b").settings.paused);
    bench.text.clear();
    bench.event(2).expect("queue b #1, queue b #1");
}

#[test]
fn an_event_that_too_many_outcomes_led_to_is_dead_at_once() {
    let mut bench = Bench::of(&[("a", ON_T)]);
    let mut outcome = |number: u8, (length, principal): (i32, &str)| {
        let extension = nexus_model::record::Extension {
            name: outgoing::CHAIN_EXTENSION.into(),
            integer: Some(length),
            ..Default::default()
        };
        let meta = Meta { project: "shop".into(), principal: principal.into(), ..Meta::default() };
        let extensions = vec![extension];
        bench.apply(Record::Event(EventRecord {
            id: id(number),
            meta,
            event: StoredEvent { ty: "t".into(), extensions, ..StoredEvent::default() },
            ..EventRecord::default()
        }));
    };
    outcome(1, (16, "system"));
    outcome(2, (17, "system"));
    // What somebody sends says nothing of what led to it.
    outcome(3, (17, "function:shop/a"));
    bench.expect("queue a #1, settle a Dead, queue a #1");
    let lane = bench.shard.lanes.find("shop", "a", "").unwrap();
    let dead = Id { event: EventId::from_bytes([2; 16]), lane };
    let State::Settling(verdict) = bench.shard.deliveries.get(&dead).unwrap().state.clone() else {
        panic!("it is decided");
    };
    assert_eq!(verdict.code, "NX5011");
    assert!(verdict.is_too_deep() && verdict.reason.starts_with("16 outcomes"), "{verdict:?}");
}

#[test]
fn a_failed_delivery_is_tried_again_and_then_given_up() {
    let mut bench = Bench::of(&[("a", ON_T)]);
    bench.event(1).started((1, 11), "a", 1).expect("queue a #1, begun a");
    bench.ended((1, 11), "a", (1, Status::Failed)).expect("queue a #2");
    bench.started((1, 12), "a", 2).ended((1, 12), "a", (2, Status::TimedOut));
    bench.expect("begun a, queue a #3");
    bench.started((1, 13), "a", 3).ended((1, 13), "a", (3, Status::Trapped));
    bench.expect("begun a, settle a Dead");
    bench.decided(1, "a", DeliveryDecision::Dead).expect("end a Some(Dead)");
    assert_eq!((bench.shard.pending(), bench.shard.dead.len()), (0, 1));
}

#[test]
fn a_permanent_error_is_not_tried_again() {
    let mut bench = Bench::of(&[("a", ON_T)]);
    bench.event(1).started((1, 9), "a", 1).ended((1, 9), "a", (1, Status::Refused));
    bench.expect("queue a #1, begun a, settle a Dead");
}

#[test]
fn records_of_other_attempts_and_of_strangers_change_nothing() {
    let mut bench = Bench::of(&[("a", ON_T)]);
    bench.event(1).expect("queue a #1");
    bench
        .started((1, 9), "a", 2)
        .ended((1, 8), "a", (2, Status::Succeeded))
        .ended((2, 7), "a", (1, Status::Failed))
        .ended((1, 6), "b", (1, Status::Failed))
        .expect("");
    bench.sequence -= 1;
    bench.event(9).expect("");
}

#[test]
fn dead_letters_are_redriven_or_dropped() {
    let mut bench = Bench::of(&[("a", ON_T)]);
    for event in [1, 2] {
        bench.event(event).started((event, event), "a", 1).ended(
            (event, event),
            "a",
            (1, Status::Refused),
        );
        bench.decided(event, "a", DeliveryDecision::Dead);
    }
    bench.text.clear();
    bench.decided(1, "a", DeliveryDecision::Redriven).expect("queue a #1");
    bench.decided(2, "a", DeliveryDecision::Dropped).expect("");
    bench.decided(2, "a", DeliveryDecision::Redriven).expect("");
    assert_eq!((bench.shard.pending(), bench.shard.dead.len()), (1, 0));
}

#[test]
fn a_breaker_opens_after_failures_in_a_row_and_an_attempt_decides() {
    let spec = r#"{"on":{"events":[{"type":"t"}]},
        "delivery":{"breaker":{"failures":2,"open":"10s"},"retry":{"attempts":9}}}"#;
    let mut bench = Bench::of(&[("a", spec)]);
    let lane = bench.shard.lanes.find("shop", "a", "").unwrap();
    bench.event(1);
    for attempt in 1..3 {
        let run = (1, 10 + attempt as u8);
        bench.started(run, "a", attempt).ended(run, "a", (attempt, Status::Failed));
    }
    let open = BreakerState::Open { until_ns: 11_000_000_000 };
    assert_eq!(bench.shard.state(lane).breaker, open);
    // By a clock that has gone back since.
    let (second, state) = (1_000_000_000, bench.shard.state_mut(lane));
    let breaker =
        crate::settings::BreakerOf { failures: 2, open: std::time::Duration::from_secs(10) };
    assert!(state.breaker_ended(true, -5 * second, Some(breaker)));
    assert_eq!(state.breaker, BreakerState::Open { until_ns: 5 * second });
    bench.started((1, 13), "a", 3).ended((1, 13), "a", (3, Status::Succeeded));
    assert_eq!(bench.shard.state(lane).breaker, BreakerState::Closed { failures: 0 });
}

#[test]
fn a_durable_invocation_sleeps_wakes_and_takes_signals() {
    let spec = r#"{"durable":true,"on":{"events":[{"type":"t"}]}}"#;
    let mut bench = Bench::of(&[("durable", spec)]);
    bench.event(1).started((1, 9), "durable", 1).expect("queue durable #1, begun durable");
    bench.suspended(9, (77, "")).expect("wake at 77");
    bench.signal(9, (50, "go")).expect("");
    bench.suspended(9, (0, "stop")).expect("");
    bench.signal(9, (51, "stop")).expect("resume");
    let run = InvocationId::from_bytes([9; 16]);
    assert_eq!(bench.shard.runs.get(&run).unwrap().signals.len(), 2);
    bench.apply(Record::Journal(JournalRecord {
        invocation: id(9),
        signals: vec![id(51)],
        ..JournalRecord::default()
    }));
    let known = bench.shard.runs.get(&run).unwrap();
    assert_eq!((known.signals.len(), &*known.signals[0].name), (1, "go"));
    assert_eq!(known.pieces, [bench.sequence]);
    bench.ended((1, 9), "durable", (1, Status::Succeeded)).expect("end durable None");
    assert_eq!(bench.shard.receiver(run), Receiver::None);
}

#[test]
fn what_crashes_again_and_again_without_getting_further_is_given_up() {
    let spec = r#"{"durable":true,"on":{"events":[{"type":"t"}]}}"#;
    let mut bench = Bench::of(&[("durable", spec)]);
    bench.event(1).started((1, 9), "durable", 1);
    let run = InvocationId::from_bytes([9; 16]);
    let closes = |bench: &Bench| bench.shard.recover().contains(&Action::Close(run));
    for resumes in 1..=nexus_model::limits::RESUMES_WITHOUT_PROGRESS_MAX {
        assert!(!closes(&bench));
        let started = bench.shard.runs.get(&run).unwrap().started.clone();
        bench.apply(Record::Started(StartedRecord { resumes, ..started }));
    }
    assert!(closes(&bench));
}

#[test]
fn cancelling_depends_on_where_a_delivery_stands() {
    let spec = r#"{"durable":true,"on":{"events":[{"type":"t"}]}}"#;
    let mut bench = Bench::of(&[("durable", spec)]);
    let cancelled = DeliveryDecision::Cancelled;
    bench.event(1).decided(1, "durable", cancelled);
    bench.expect("queue durable #1, end durable Some(Cancelled)");
    bench.event(2).started((2, 9), "durable", 1).decided(2, "durable", cancelled);
    bench.expect("queue durable #1, begun durable, strike");
    bench.ended((2, 9), "durable", (1, Status::Failed)).expect("end durable Some(Cancelled)");
    bench.event(3).started((3, 8), "durable", 1).suspended(8, (0, "x"));
    bench.text.clear();
    bench.decided(3, "durable", cancelled).expect("close");
}

#[test]
fn a_batch_goes_on_until_all_of_its_events_are_cancelled() {
    let spec = r#"{"on":{"events":[{"type":"t"}]},"durable":true,
        "delivery":{"batch":{"size":2,"wait":1000}}}"#;
    for asleep in [true, false] {
        let mut bench = Bench::of(&[("durable", spec)]);
        bench.event(1).event(2);
        bench.apply(Record::Started(StartedRecord {
            id: id(9),
            meta: meta(1),
            function: "durable".into(),
            attempt: 1,
            durable: true,
            batch: vec![id(2)],
            ..StartedRecord::default()
        }));
        if asleep {
            bench.suspended(9, (5, ""));
        }
        bench.text.clear();
        // The first of them is cancelled: the second one is wanted still.
        bench.decided(1, "durable", DeliveryDecision::Cancelled).expect("");
        if asleep {
            let run = InvocationId::from_bytes([9; 16]);
            let found = bench.shard.runs.get(&run).unwrap();
            assert_eq!(bench.shard.recover_run(run, found), Action::WakeAt(run, 5));
        }
        let end = if asleep { "close" } else { "strike" };
        bench.decided(2, "durable", DeliveryDecision::Cancelled).expect(end);
    }
}

#[test]
fn a_call_that_joins_a_batch_waits_no_more_and_loses_no_signal() {
    let spec = r#"{"durable":true,"delivery":{"batch":{"size":2,"wait":1000}}}"#;
    let mut bench = Bench::of(&[("durable", spec)]);
    for number in [1, 2] {
        let event = StoredEvent { ty: outgoing::INVOKE_TYPE.into(), ..StoredEvent::default() };
        let meta = Meta { project: "shop".into(), ..Meta::default() };
        let target = "durable".into();
        let id = id(number);
        bench.apply(Record::Event(EventRecord {
            id,
            meta,
            event,
            target,
            ..EventRecord::default()
        }));
    }
    bench.signal(2, (8, "go"));
    bench.apply(Record::Started(StartedRecord {
        id: id(1),
        meta: meta(1),
        function: "durable".into(),
        attempt: 1,
        durable: true,
        batch: vec![id(2)],
        ..StartedRecord::default()
    }));
    let run = bench.shard.runs.get(&InvocationId::from_bytes([1; 16])).unwrap();
    assert_eq!(run.signals.iter().map(|signal| &*signal.name).collect::<Vec<_>>(), ["go"]);
    assert_eq!((bench.shard.named.len(), bench.shard.early.len()), (0, 0));
}
