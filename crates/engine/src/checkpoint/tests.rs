use proptest::prelude::*;

use nexus_log::{Entry, Position};
use nexus_model::record::{ConfigRecord, Record};
use nexus_model::{EventId, Timestamp};

use super::*;
use crate::dedup::{DedupKey, Known};
use crate::shard::Action;

#[test]
fn a_damaged_checkpoint_is_not_believed_and_a_newer_one_refused() {
    let shard = Shard { position: 7, ..Shard::default() };
    let good = encode(&Snapshot::of(&shard), &Dedup::new());
    assert_eq!(decode(&good).unwrap().unwrap().0.position, 7);
    for at in (0..good.len()).filter(|at| !(4..8).contains(at)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decode(&bad).unwrap().is_none(), "byte {at}");
    }
    let mut newer = good.clone();
    newer[4] = 4;
    assert!(decode(&newer).unwrap_err().to_string().contains("version 4"));
}

#[test]
fn a_checkpoint_is_read_back_from_a_folder_that_was_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine/checkpoint");
    assert!(read(&path).unwrap().is_none());
    let shard = Shard { position: 9, ..Shard::default() };
    write(&path, &Snapshot::of(&shard), &Dedup::new()).unwrap();
    assert_eq!(read(&path).unwrap().unwrap().0.position, 9);
}

#[test]
fn events_that_were_accepted_are_known_after_a_restart() {
    let (dedup, count) = (Dedup::new(), 1_000_u32);
    let key = |number: u32| DedupKey::of("shop", "/s", &number.to_string());
    for number in 0..count {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let at = Timestamp::from_unix_ms(1_790_000_000_000 + i64::from(number));
        dedup.insert(key(number), EventId::from_bytes(id), at);
    }
    let written = encode(&Snapshot::of(&Shard::default()), &dedup);
    let (shard, read) = decode(&written).unwrap().unwrap();
    assert_eq!(read.len(), count as usize);
    for number in 0..count {
        let Known::Durable(id) = read.reserve(key(number)) else { panic!("{number} is forgotten") };
        assert_eq!(id.as_bytes()[..4], number.to_be_bytes());
    }
    // With their times and in their order, by which they leave one day.
    assert_eq!(encode(&Snapshot::of(&shard), &read), written);
}

#[test]
fn a_checkpoint_of_version_1_is_read() {
    let (shard, _) = decode(&v1::fixture::bytes()).unwrap().unwrap();
    assert_eq!((shard.position(), shard.pending(), shard.dead.len()), (7, 4, 1));
    let lane = shard.lanes.find("shop", "resize", "").unwrap();
    assert_eq!(shard.lanes.get(lane).settings.retry.attempts, 2);
    assert_eq!(shard.state(lane).pending, 4);
    let actions = shard.recover();
    let count = |wanted: fn(&Action) -> bool| actions.iter().filter(|at| wanted(at)).count();
    assert_eq!(count(|at| matches!(at, Action::Queue(_))), 2);
    assert_eq!(count(|at| matches!(at, Action::Settle(_))), 1);
    assert_eq!(count(|at| matches!(at, Action::Close(_))), 1);
    // What it says now is said the same way in the present version.
    let again = encode(&Snapshot::of(&shard), &Dedup::new());
    let (shard, _) = decode(&again).unwrap().unwrap();
    assert_eq!(encode(&Snapshot::of(&shard), &Dedup::new()), again);
}

/// A shard with a trigger that is gone, and one that is there.
fn with_triggers(gone: bool) -> Shard {
    let mut shard = Shard::default();
    let mut configure = |kind: &str, name: &str, spec: &str| {
        let sequence = shard.position + 1;
        let record = Record::Config(ConfigRecord {
            project: "shop".into(),
            kind: kind.into(),
            name: name.into(),
            revision: sequence,
            spec: spec.into(),
            ..ConfigRecord::default()
        });
        shard.apply(&Entry { position: Position { shard: 0, sequence }, record });
    };
    configure("Function", "f", r#"{"delivery":{"concurrency":3}}"#);
    let spec = r#"{"function":"f","paused":true,"delivery":{"transform":".data"}}"#;
    configure("Trigger", "stays", spec);
    configure("Trigger", "goes", spec);
    if gone {
        configure("Trigger", "goes", "");
    }
    shard
}

#[test]
fn a_checkpoint_knows_how_triggers_that_are_gone_delivered() {
    let written = encode(&Snapshot::of(&with_triggers(true)), &Dedup::new());
    let (mut shard, _) = decode(&written).unwrap().unwrap();
    assert_eq!(encode(&Snapshot::of(&shard), &Dedup::new()), written);
    let lane = |shard: &Shard, trigger: &str| {
        let id = shard.lanes.find("shop", "f", trigger).unwrap();
        shard.lanes.get(id).clone()
    };
    let (stays, goes) = (lane(&shard, "stays"), lane(&shard, "goes"));
    assert!(stays.gone.is_none() && stays.settings.paused);
    assert_eq!(goes.gone.as_ref().unwrap().given_up_through, Some(4));
    assert_eq!(goes.settings.transform.as_deref(), Some(".data"));
    assert_eq!((goes.settings.gate.concurrency, goes.settings.paused), (3, false));
    // What the function says anew holds for what is left, as it does for triggers that are there.
    let record = Record::Config(ConfigRecord {
        project: "shop".into(),
        kind: "Function".into(),
        name: "f".into(),
        revision: 9,
        spec: r#"{"delivery":{"concurrency":5,"transform":".other"}}"#.into(),
        ..ConfigRecord::default()
    });
    shard.apply(&Entry { position: Position { shard: 0, sequence: 9 }, record });
    let goes = lane(&shard, "goes");
    assert_eq!(goes.settings.transform.as_deref(), Some(".data"));
    assert_eq!(goes.settings.gate.concurrency, 5);
}

#[test]
fn a_checkpoint_of_version_2_is_read() {
    // Its bytes are those of a state in which nothing is gone.
    let mut old = encode(&Snapshot::of(&with_triggers(false)), &Dedup::new());
    old[4] = 2;
    let (shard, _) = decode(&old).unwrap().unwrap();
    let lane = shard.lanes.find("shop", "f", "goes").unwrap();
    assert!(shard.lanes.get(lane).gone.is_none() && shard.lanes.get(lane).settings.paused);
    let again = encode(&Snapshot::of(&shard), &Dedup::new());
    assert_eq!((again[4], &again[5..]), (3, &old[5..]));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = load::body(&bytes);
        let _ = v1::body(&bytes);
    }
}
