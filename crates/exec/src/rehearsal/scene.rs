//! What a rehearsal plays in: the input of a recording and everything it knows of the world.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use nexus_model::record::{Input, input};
use nexus_model::{InvocationId, Name, Timestamp};
use serde_json::{Value, json};

use super::Effect;
use crate::EnvVar;
use crate::journal::{Function, Journal, Outcome, Player};
use crate::masks::{each_part, mask_bytes};

/// A recording apart from the version that made it: what went in, and what the world answered.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The invocation.
    pub invocation: InvocationId,
    /// Its project.
    pub project: Name,
    /// The attempt, from 1.
    pub attempt: u32,
    /// W3C `traceparent`.
    pub traceparent: String,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// The wall clock when the guest was called, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// When it was to be stopped, in nanoseconds since the Unix epoch.
    pub deadline_ns: i64,
    /// From which all random values of the guest are derived.
    pub seed: [u8; 32],
    /// Whether it was a durable invocation.
    pub durable: bool,
    /// What went in, whole: an event itself, not where it is kept.
    pub input: Input,
    /// The environment variables that were secrets, with the values of then.
    pub secrets: Vec<EnvVar>,
    /// Readings of the wall clock, in order.
    pub wall_ns: Vec<i64>,
    /// Readings of the guest's monotonic clock, in order.
    pub monotonic_ns: Vec<i64>,
    /// Readings of the deadline, in order.
    pub deadlines_ns: Vec<i64>,
    /// Signals and ends of waits in their order, each with the name that was waited for.
    pub signals: Vec<(String, Outcome)>,
    /// What was asked of the world, with sleeps and waits for signals, in order.
    pub effects: Vec<Effect>,
}

/// What a scene has beside its journal and effects.
#[derive(Debug)]
pub struct Frame {
    /// What went in, whole.
    pub input: Input,
    /// The environment variables that are secrets.
    pub secrets: Vec<EnvVar>,
    /// The project.
    pub project: Name,
    /// When it was accepted.
    pub accepted: Timestamp,
}

impl Scene {
    /// The scene of a journal; `effects` were seen when it was replayed. Times, signals and sleeps are
    /// taken from the journal, in which the values of secrets have been put back.
    pub fn new(journal: &Journal, effects: Vec<Effect>, frame: Frame) -> Self {
        let header = &journal.header;
        let mut scene = Scene {
            invocation: InvocationId::from_bytes(header.invocation),
            project: frame.project,
            attempt: header.attempt,
            traceparent: header.traceparent.clone(),
            accepted: frame.accepted,
            started_ns: header.started_ns,
            deadline_ns: header.deadline_ns,
            seed: header.seed,
            durable: header.durable,
            input: frame.input,
            secrets: frame.secrets,
            wall_ns: Vec::new(),
            monotonic_ns: Vec::new(),
            deadlines_ns: Vec::new(),
            signals: Vec::new(),
            effects,
        };
        scene.recall(journal);
        scene
    }

    /// Takes what a journal alone tells.
    fn recall(&mut self, journal: &Journal) {
        let mut waiting_for = String::new();
        let mut player = Player::new(journal.clone());
        for operation in 0..journal.operations {
            let Some((function, arguments, text, outcome)) = player.skip() else { break };
            match (function, &outcome) {
                (Function::WallNow, Outcome::Clock(ns)) => self.wall_ns.push(*ns),
                (Function::MonotonicNow, Outcome::Clock(ns)) => self.monotonic_ns.push(*ns),
                (Function::Deadline, Outcome::Clock(ns)) => self.deadlines_ns.push(*ns),
                (Function::WaitSignal, _) => {
                    waiting_for.clone_from(&text);
                    self.effects.push(wait(operation, (function, text, Value::Null), outcome));
                }
                (Function::Signal, _) => self.signals.push((waiting_for.clone(), outcome)),
                (Function::Sleep, _) => {
                    let asked = (function, String::new(), json!({ "ms": arguments }));
                    self.effects.push(wait(operation, asked, outcome));
                }
                _ => {}
            }
        }
        self.effects.sort_by_key(|effect| effect.operation);
    }

    /// Puts stars in the place of every secret's value, wherever it is: in the environment, in what
    /// went in and in the answers. Arguments of effects never have them.
    pub fn mask_secrets(&mut self) {
        let secrets = std::mem::take(&mut self.secrets);
        for secret in &secrets {
            self.each_bytes(&mut |bytes| mask_bytes(bytes, secret.value.as_bytes(), |_| {}));
        }
        let stars = |var: EnvVar| EnvVar { value: "*".repeat(var.value.len()), ..var };
        self.secrets = secrets.into_iter().map(stars).collect();
    }

    /// Shows everything that came from outside to `change`.
    fn each_bytes(&mut self, change: &mut dyn FnMut(&mut Bytes)) {
        if let Some(form) = &mut self.input.form {
            each_part(form, &mut |_, _, bytes| change(bytes));
            match form {
                input::Form::Http(http) => change(&mut http.body.inline),
                input::Form::Command(command) => change(&mut command.stdin.inline),
                input::Form::Event(_) | input::Form::EventRef(_) => {}
            }
        }
        let signals = self.signals.iter_mut().map(|(_, outcome)| outcome);
        let answers = self.effects.iter_mut().map(|effect| &mut effect.outcome);
        signals.chain(answers).for_each(|outcome| outcome.each_bytes(change));
    }

    /// The signals by name, in their order.
    pub(super) fn signals_by_name(&self) -> HashMap<String, VecDeque<Outcome>> {
        let mut named: HashMap<String, VecDeque<Outcome>> = HashMap::new();
        for (name, outcome) in &self.signals {
            named.entry(name.clone()).or_default().push_back(outcome.clone());
        }
        named
    }
}

fn wait(
    operation: u32,
    (function, target, details): (Function, String, Value),
    outcome: Outcome,
) -> Effect {
    Effect { operation, function, target, details, outcome, answered: None, whole: true }
}
