//! Random changes against a naive model in memory.

use std::collections::BTreeMap;

use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_store::{Applied, Effect, Error, Expect, Op};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, function, project};

/// A resource as the model sees it.
#[derive(Clone, PartialEq, Debug)]
struct Row {
    spec: Value,
    label: Option<u8>,
    status: Value,
    revision: u64,
    generation: u64,
}

#[derive(Clone, PartialEq, Debug)]
enum Refusal {
    Conflict,
    NotFound,
}

#[derive(Clone, Default)]
struct Model {
    revision: u64,
    rows: BTreeMap<ResourceKey, Row>,
    deletions: BTreeMap<ResourceKey, u64>,
    events: Vec<(u64, ResourceKey)>,
}

impl Model {
    fn apply(&mut self, ops: &[Op]) -> Result<Vec<Effect>, Refusal> {
        let mut next = self.clone();
        let effects = ops.iter().map(|op| next.step(op)).collect::<Result<Vec<_>, _>>()?;
        *self = next;
        Ok(effects)
    }

    fn step(&mut self, op: &Op) -> Result<Effect, Refusal> {
        let key = op.key();
        let old = self.rows.get(&key).cloned();
        let (Op::Put { expect, .. }
        | Op::SetStatus { expect, .. }
        | Op::Delete { expect, .. }
        | Op::Check { expect, .. }) = op;
        if old.is_none() && matches!(op, Op::SetStatus { .. } | Op::Delete { .. }) {
            return Err(Refusal::NotFound);
        }
        let holds = match (expect, &old) {
            (Expect::Any, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => true,
            (Expect::Revision(wanted), Some(row)) => *wanted == row.revision,
            _ => false,
        };
        if !holds {
            return Err(Refusal::Conflict);
        }
        let new = match (op, &old) {
            (Op::Check { .. }, _) => return Ok(Effect::Unchanged),
            (Op::Delete { .. }, _) => None,
            (Op::SetStatus { status, .. }, Some(row)) => {
                Some(Row { status: status.clone(), ..row.clone() })
            }
            (Op::Put { resource, .. }, _) => {
                let same_spec = old.as_ref().is_some_and(|row| row.spec == resource.spec);
                let generation = old.as_ref().map_or(0, |row| row.generation);
                Some(Row {
                    spec: resource.spec.clone(),
                    label: resource.metadata.labels.get("l").map(|text| text.parse().unwrap()),
                    status: old.as_ref().map_or(Value::Null, |row| row.status.clone()),
                    revision: old.as_ref().map_or(0, |row| row.revision),
                    generation: generation + u64::from(!same_spec),
                })
            }
            (Op::SetStatus { .. }, None) => unreachable!("refused above"),
        };
        if new == old {
            return Ok(Effect::Unchanged);
        }
        self.revision += 1;
        self.events.push((self.revision, key.clone()));
        let created = old.is_none();
        match new {
            Some(row) => {
                self.rows.insert(key, Row { revision: self.revision, ..row });
                Ok(if created { Effect::Created } else { Effect::Updated })
            }
            None => {
                self.rows.remove(&key);
                self.deletions.insert(key, self.revision);
                Ok(Effect::Deleted)
            }
        }
    }

    fn changes(&self) -> Vec<(u64, ResourceKey, bool)> {
        let rows = self.rows.iter().map(|(key, row)| (row.revision, key.clone(), true));
        let gone = self.deletions.iter().map(|(key, revision)| (*revision, key.clone(), false));
        let mut changes: Vec<_> = rows.chain(gone).collect();
        changes.sort_by_key(|(revision, ..)| *revision);
        changes
    }
}

fn keys() -> Vec<ResourceKey> {
    let mut keys: Vec<_> = ["a", "b", "a-b"].iter().map(|at| function("shop", at)).collect();
    keys.extend([function("other", "a"), project("shop"), project("a")]);
    keys
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        6 => Just(Expect::Any),
        1 => Just(Expect::Absent),
        1 => Just(Expect::Present),
        2 => (0u64..12).prop_map(Expect::Revision),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = prop::sample::select(keys());
    (key, expect(), 0u8..10, 0u8..3, prop::option::of(0u8..2)).prop_map(
        |(key, expect, which, value, label)| match which {
            0..=5 => {
                // The same object in two orders of its keys.
                let spec = match value {
                    0 => json!({"a": 1, "b": [1.5, null]}),
                    1 => json!({"b": [1.5, null], "a": 1}),
                    other => json!(other),
                };
                let mut resource = Resource::new(&key, spec);
                let label = label.map(|label| ("l".to_owned(), label.to_string()));
                resource.metadata.labels.extend(label);
                Op::Put { resource, expect }
            }
            6 | 7 => Op::SetStatus { key, status: json!(value), expect },
            8 => Op::Delete { key, expect },
            _ => Op::Check { key, expect },
        },
    )
}

fn effects(applied: &Applied) -> Vec<Effect> {
    applied.resources.iter().map(|at| at.effect).collect()
}

fn row(resource: &Resource) -> Row {
    Row {
        spec: resource.spec.clone(),
        label: resource.metadata.labels.get("l").map(|text| text.parse().unwrap()),
        status: resource.status.clone(),
        revision: resource.metadata.revision.unwrap(),
        generation: resource.metadata.generation.unwrap(),
    }
}

async fn compare(world: &World, model: &Model) {
    let store = &world.store;
    assert_eq!(store.revision(), model.revision);
    let mut found = BTreeMap::new();
    for kind in [Kind::Function, Kind::Project] {
        let resources = store.scan(kind, None, 100).await.unwrap();
        assert!(resources.is_sorted_by_key(|resource| resource.key()));
        found.extend(resources.iter().map(|resource| (resource.key(), row(resource))));
    }
    assert_eq!(found, model.rows);
    let changes = store.changes_since(0, 100).await.unwrap();
    let changes: Vec<_> =
        changes.into_iter().map(|at| (at.revision, at.key, at.resource.is_some())).collect();
    assert_eq!(changes, model.changes());
    let outbox = store.outbox(10_000).await.unwrap();
    let events: Vec<_> =
        outbox.iter().map(|entry| (entry.sequence, entry.event.subject.clone().unwrap())).collect();
    let expected: Vec<_> =
        model.events.iter().map(|(revision, key)| (*revision, key.to_string())).collect();
    assert_eq!(events, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(
        changes in prop::collection::vec(prop::collection::vec(op(), 0..5), 1..16),
        restart in 0usize..16,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let mut model = Model::default();
            for (number, ops) in changes.into_iter().enumerate() {
                let expected = model.apply(&ops);
                let found = match world.apply(ops).await {
                    Ok(applied) => {
                        assert_eq!(applied.revision, model.revision);
                        Ok(effects(&applied))
                    }
                    Err(Error::Conflict { .. }) => Err(Refusal::Conflict),
                    Err(Error::NotFound { .. }) => Err(Refusal::NotFound),
                    Err(other) => panic!("{other:?}"),
                };
                assert_eq!(found, expected);
                if number == restart {
                    world.reopen().await;
                }
                compare(&world, &model).await;
            }
        });
    }
}
