//! What is left of a trigger that is deleted, or given to another function: followed from the records
//! alone.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::lanes::LaneId;
use crate::settings::Settings;
use crate::shard::Shard;

/// The one trigger of the simulation.
#[derive(Default)]
pub(super) struct Triggers {
    /// As it is declared now.
    now: Option<Value>,
    /// As it was when it left a function, and where that stands in the log if it was paused then.
    left: HashMap<String, (Value, Option<u64>)>,
}

fn function(spec: &Value) -> &str {
    spec["function"].as_str().unwrap()
}

impl Triggers {
    pub(super) fn declared(&mut self, spec: &str, sequence: u64) {
        let after: Option<Value> = serde_json::from_str(spec).ok();
        let stays = |before: &Value| after.as_ref().map(function) == Some(function(before));
        if let Some(before) = self.now.take().filter(|before| !stays(before)) {
            let paused = before["paused"] == json!(true);
            self.left.insert(function(&before).to_owned(), (before, paused.then_some(sequence)));
        }
        if let Some(after) = &after {
            self.left.remove(function(after));
        }
        self.now = after;
    }

    /// What a lane of the trigger keeps of it.
    fn left(&self, shard: &Shard, lane: LaneId) -> Option<&(Value, Option<u64>)> {
        let lane = shard.lanes.get(lane);
        self.left.get(&*lane.function).filter(|_| !lane.trigger.is_empty())
    }

    /// Whether a delivery waited for the trigger to be resumed when it went.
    pub(super) fn given_up(&self, shard: &Shard, (lane, order): (LaneId, u64)) -> bool {
        let left = self.left(shard, lane).and_then(|(_, paused)| *paused);
        left.is_some_and(|through| order <= through)
    }

    /// Checks that a lane delivers as its trigger says, or said. Returns whether that is gone.
    pub(super) fn settings_hold(&self, shard: &Shard, id: LaneId) -> bool {
        let lane = shard.lanes.get(id);
        let left = self.left(shard, id).map(|(spec, _)| spec);
        let Some(spec) = left.or(self.now.as_ref().filter(|_| !lane.trigger.is_empty())) else {
            return false;
        };
        let function = &shard.lanes.declared(&lane.project, &lane.function).unwrap().spec;
        let trigger = json!({ "function": spec["function"], "delivery": spec["delivery"] });
        let (function, trigger) =
            (serde_json::from_str(function).unwrap(), serde_json::from_value(trigger).unwrap());
        let expected = Settings::of(&function, Some(&trigger));
        assert_eq!(*lane.settings, expected, "it is not delivered as its trigger says");
        left.is_some()
    }
}
