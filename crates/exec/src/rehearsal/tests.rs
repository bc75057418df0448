//! Scripts by tables.

use std::time::Instant;

use bytes::Bytes;
use nexus_model::record::{Body, CommandInput, Input, input};
use nexus_model::{Name, Timestamp};
use serde_json::{Value, json};

use super::{Answered, Effect, Frame, Scene, Script};
use crate::EnvVar;
use crate::journal::{Ending, Function, Header, Journal, Outcome, Recorder};

fn journal(entries: &[(Function, u64, &str, Outcome)]) -> Journal {
    let header = Header { started_ns: 1_000_000_000, ..Header::default() };
    let mut recorder = Recorder::new(&header, Instant::now(), 1 << 20);
    for (function, arguments, text, outcome) in entries {
        recorder.push(*function, *arguments, text, outcome);
    }
    Journal::decode(&recorder.finish(Ending::Returned, None, &[], &[])).unwrap()
}

/// The script of a journal and of what was asked.
fn script(journal: &Journal, effects: Vec<Effect>) -> Script {
    let project = Name::new("shop").unwrap();
    let accepted = Timestamp::from_unix_ns(1);
    let frame = Frame { input: Input::default(), secrets: Vec::new(), project, accepted };
    Script::new(&Scene::new(journal, effects, frame))
}

fn effect(operation: u32, function: Function, target: &str, details: Value, n: u64) -> Effect {
    Effect {
        operation,
        function,
        target: target.to_owned(),
        details,
        outcome: Outcome::Number(n),
        answered: None,
        whole: true,
    }
}

#[test]
fn questions_are_answered_by_what_fits_best() {
    let put = |key: &str, value: u64, n| {
        effect(n as u32, Function::StatePut, key, json!({ "value": value }), n)
    };
    let get = effect(9, Function::StateGet, "a", Value::Null, 9);
    let recorded = vec![put("a", 1, 1), put("a", 2, 2), put("b", 3, 3), get];
    // (function, target, details, answer, where from)
    let table = [
        (Function::StatePut, "a", json!({ "value": 2 }), Some(2), Answered::Exactly(1)),
        (Function::StatePut, "a", json!({ "value": 7 }), Some(1), Answered::Otherwise(0)),
        (Function::StatePut, "a", json!({ "value": 2 }), None, Answered::New),
        (Function::StatePut, "c", json!({ "value": 3 }), None, Answered::New),
        (Function::StateDelete, "b", json!({ "value": 3 }), None, Answered::New),
        (Function::StateGet, "a", Value::Null, Some(9), Answered::Exactly(3)),
        (Function::StateGet, "a", Value::Null, Some(9), Answered::Again(3)),
        (Function::StateGet, "b", Value::Null, None, Answered::New),
    ];
    let mut script = script(&journal(&[]), recorded);
    for (function, target, details, answer, _) in &table {
        let got = script.ask((*function, target, details.clone()));
        assert_eq!(got, answer.map(Outcome::Number), "{function:?} {target} {details}");
    }
    let (asked, _, missed) = script.finish();
    let from: Vec<Answered> = asked.iter().map(|at| at.answered).collect();
    assert_eq!(from, table.map(|row| row.4));
    assert_eq!(missed, [2], "the value of b was never written");
}

#[test]
fn clocks_give_the_recorded_readings_and_then_move_on() {
    let clock = |function, ns| (function, 0, "", Outcome::Clock(ns));
    let journal = journal(&[
        clock(Function::WallNow, 5_000),
        clock(Function::MonotonicNow, 100),
        clock(Function::WallNow, 2_000_000_000),
    ]);
    let mut script = script(&journal, Vec::new());
    let mut read = |function| match script.local(function, 0, "") {
        Some(Outcome::Clock(ns)) => ns,
        other => panic!("{other:?}"),
    };
    // A reading from before the start of the recording would be a step back.
    assert_eq!(read(Function::WallNow), 1_000_000_000);
    assert_eq!(read(Function::WallNow), 2_000_000_000);
    assert_eq!(read(Function::WallNow), 2_000_001_000);
    assert_eq!(read(Function::MonotonicNow), 100);
    assert_eq!(read(Function::MonotonicNow), 1_100);
}

#[test]
fn timers_fire_in_their_order_and_after_answers() {
    let mut script = script(&journal(&[]), Vec::new());
    script.wait(500, 1);
    script.wait(200, 2);
    assert!(!script.fires(500, 1, false), "the other is due before");
    script.send();
    assert!(!script.fires(200, 2, false), "an answer is under way");
    assert!(!script.fires(500, 1, true), "order holds in any case");
    script.arrive();
    assert!(script.fires(200, 2, false));
    assert_eq!(script.monotonic_ns(), 200);
    assert!(script.fires(500, 1, false));
    assert_eq!(script.monotonic_ns(), 500);
}

#[test]
fn sleeps_and_signals_come_from_the_journal() {
    let payload = |text: &str| Outcome::Payload {
        content_type: "text/plain".to_owned(),
        data: text.to_owned().into(),
    };
    let hash = 77;
    let journal = journal(&[
        (Function::Sleep, 1_000, "", Outcome::Clock(2_000_000_000)),
        (Function::Woken, 0, "", Outcome::Done),
        (Function::WaitSignal, hash, "paid", Outcome::Done),
        (Function::Signal, 0, "", payload("yes")),
    ]);
    let mut script = script(&journal, Vec::new());
    // The wait first, then the sleep, and a longer one.
    assert_eq!(script.local(Function::WaitSignal, hash, "paid"), Some(Outcome::Done));
    assert_eq!(script.local(Function::Signal, 0, ""), Some(payload("yes")));
    let slept = script.local(Function::Sleep, 1_000, "");
    assert_eq!(slept, Some(Outcome::Clock(2_000_000_000)));
    let slept = script.local(Function::Sleep, 2_000, "");
    assert_eq!(slept, Some(Outcome::Clock(4_000_000_000)));
    // No signal that was not recorded ever comes.
    assert_eq!(script.local(Function::WaitSignal, hash, "paid"), Some(Outcome::Done));
    assert_eq!(script.local(Function::Signal, 0, ""), Some(Outcome::Closed));
    let (asked, recorded, missed) = script.finish();
    assert_eq!(recorded.len(), 2);
    let from: Vec<Answered> = asked.iter().map(|at| at.answered).collect();
    let expected = [Answered::Exactly(1), Answered::Exactly(0), Answered::New, Answered::Again(1)];
    assert_eq!(from, expected);
    assert!(missed.is_empty());
}

#[test]
fn secrets_leave_a_scene() {
    let secret = EnvVar {
        name: "PIN".to_owned(),
        value: "hunter22".to_owned(),
        secret: Some((Name::new("pin").unwrap(), 3)),
    };
    let command = CommandInput {
        arguments: Vec::new(),
        stdin: Body::inline(Bytes::from_static(b"my pin is hunter22.")),
    };
    let frame = Frame {
        input: Input { form: Some(input::Form::Command(command)) },
        secrets: vec![secret],
        project: Name::new("shop").unwrap(),
        accepted: Timestamp::from_unix_ns(1),
    };
    let says = |text: &str| Outcome::Payload {
        content_type: "text/plain".to_owned(),
        data: text.to_owned().into(),
    };
    let mut asked = effect(1, Function::Invoke, "f", Value::Null, 1);
    asked.outcome = Outcome::Many(vec![says("hunter22"), says("hunter")]);
    let journal = journal(&[
        (Function::WaitSignal, 0, "go", Outcome::Done),
        (Function::Signal, 0, "", says("with hunter22")),
    ]);
    let mut scene = Scene::new(&journal, vec![asked], frame);
    scene.mask_secrets();
    let shown = format!("{scene:?}");
    assert!(!shown.contains("hunter22"), "{shown}");
    assert!(shown.contains("my pin is ********.") && shown.contains("with ********"), "{shown}");
    assert_eq!(scene.secrets[0].value, "********");
    let Outcome::Many(answers) = &scene.effects[1].outcome else { panic!("{shown}") };
    assert_eq!(answers[..], [says("********"), says("hunter")]);
}
