//! Lanes: a function with one of its triggers, and how events reach it. Derived from config records
//! and nothing else.
//!
//! Each delivery belongs to one lane. Lanes are numbered in the order in which the log names them
//! and never forgotten, so that a rebuild finds the same numbers; a delivery then costs a number
//! instead of three names.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use nexus_model::record::ConfigRecord;
use nexus_model::resource::{CronTrigger, EventTrigger, Kind, TriggerSpec};

use crate::settings::Settings;
use crate::specs::{OfFunction, Specs, function_spec, trigger_spec};
use crate::table::Table;
use nexus_content::{CompiledSelector, Content, Index, Selector};

/// The number of a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct LaneId(pub(crate) u32);

/// A function with one of its triggers.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) project: Arc<str>,
    pub(crate) function: Arc<str>,
    /// A Trigger's name, or empty for the function's own.
    pub(crate) trigger: Arc<str>,
    /// The lane of the function itself, whose limits this one may share.
    pub(crate) base: LaneId,
    /// Where it is the function's own: the function.
    pub(crate) declared: Option<Declared>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) cron: Option<Arc<Crons>>,
    /// Where its trigger is gone: what is left of it.
    pub(crate) gone: Option<Box<Gone>>,
    selectors: u32,
}

/// The cron triggers of a lane.
#[derive(Debug)]
pub(crate) struct Crons {
    pub(crate) triggers: Vec<CronTrigger>,
    /// Since when they hold.
    pub(crate) since_ns: i64,
}

/// What a lane keeps of a trigger that was deleted, or calls another function now. What waits, and
/// what is redriven later, is delivered as it was to be: a function must not see the data that a
/// transform was to remove, because somebody tidied up.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Gone {
    /// The trigger's delivery settings in a spec of their own, as JSON.
    pub(crate) spec: Arc<str>,
    /// Where the trigger was paused: the place in the log at which it went. What came before that
    /// is given up, since nobody can resume it.
    pub(crate) given_up_through: Option<u64>,
}

/// A declared resource, as of one revision.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Declared {
    pub(crate) revision: u64,
    /// Its spec as JSON, that of a function as far as it matters here; empty when it was deleted,
    /// which is remembered so that an older record cannot bring it back.
    pub(crate) spec: Arc<str>,
    pub(crate) at_ns: i64,
}

pub(crate) type Names = (Arc<str>, Arc<str>);

/// A declared resource that the engine should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeclaredKey {
    /// `Function` or `Trigger`.
    pub kind: Kind,
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u64,
}

/// All lanes of a shard.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// By their names.
    numbers: HashTable<LaneId>,
    hasher: RandomState,
    specs: Specs,
    pub(crate) triggers: Table<Names, Declared>,
    /// The lanes of triggers by that of their function.
    derived: HashMap<LaneId, Vec<LaneId>>,
    indexes: HashMap<Arc<str>, Index<(LaneId, u32)>>,
}

impl Lanes {
    /// Takes in a config record, which stands at `sequence` in the log, and returns the lanes that it
    /// changed; one that is not newer than what is known changes nothing.
    pub(crate) fn configure(&mut self, record: &ConfigRecord, sequence: u64) -> Vec<LaneId> {
        match Kind::parse(&record.kind) {
            Some(Kind::Function) => self.function(record),
            Some(Kind::Trigger) => self.trigger(record, sequence),
            _ => Vec::new(),
        }
    }

    /// Whether this revision, or a newer one, was taken in.
    pub(crate) fn knows(&self, key: &DeclaredKey) -> bool {
        let known = match key.kind {
            Kind::Function => self.declared(&key.project, &key.name),
            Kind::Trigger => {
                self.triggers.get(&(key.project.as_str().into(), key.name.as_str().into()))
            }
            _ => return true,
        };
        known.is_some_and(|known| known.revision >= key.revision)
    }

    /// A function, as it was declared last.
    pub(crate) fn declared(&self, project: &str, function: &str) -> Option<&Declared> {
        self.get(self.find(project, function, "")?).declared.as_ref()
    }

    fn function(&mut self, record: &ConfigRecord) -> Vec<LaneId> {
        let known = self.declared(&record.project, &record.name);
        if known.is_some_and(|known| known.revision >= record.revision) {
            return Vec::new();
        }
        let id = self.lane(&record.project, &record.name, "");
        let OfFunction { text: spec, settings, events, cron } = self.specs.function(&record.spec);
        let declared = Declared { revision: record.revision, spec, at_ns: record.at_ns };
        Arc::make_mut(&mut self.lanes[id.0 as usize]).declared = Some(declared);
        self.set(id, settings, (cron, record.at_ns));
        self.subscribe(id, &events);
        let mut changed = vec![id];
        for derived in self.derived.get(&id).cloned().unwrap_or_default() {
            let lane = self.get(derived);
            if lane.gone.is_none() && self.is_declared(derived) {
                let names = (lane.project.clone(), lane.trigger.clone());
                changed.extend(self.refresh(&names));
            } else {
                self.settle_orphan(derived);
                changed.push(derived);
            }
        }
        changed
    }

    fn trigger(&mut self, record: &ConfigRecord, sequence: u64) -> Vec<LaneId> {
        let names: Names = (self.project(&record.project), record.name.as_str().into());
        let known = self.triggers.get(&names);
        if known.is_some_and(|known| known.revision >= record.revision) {
            return Vec::new();
        }
        let mut changed = Vec::new();
        if let Some(before) = known.and_then(|known| trigger_spec(&known.spec)) {
            // What it was is undone first: it may call another function now, or be gone. Where it
            // goes on as it was, this is undone below.
            let lane = self.lane(&names.0, before.function.as_str(), &names.1);
            self.orphan(lane, Gone::of(before, sequence));
            changed.push(lane);
        }
        let spec = record.spec.as_str().into();
        let declared = Declared { revision: record.revision, spec, at_ns: record.at_ns };
        self.triggers.insert(names.clone(), declared);
        changed.extend(self.refresh(&names));
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// A lane loses its trigger, or is found in a checkpoint without one.
    pub(crate) fn orphan(&mut self, id: LaneId, gone: Gone) {
        Arc::make_mut(&mut self.lanes[id.0 as usize]).gone = Some(Box::new(gone));
        self.settle_orphan(id);
    }

    /// A lane without its trigger has what is left of its deliveries, with the settings that they
    /// had over those of the function.
    fn settle_orphan(&mut self, id: LaneId) {
        let lane = Arc::clone(self.get(id));
        let trigger = lane.gone.as_ref().and_then(|gone| trigger_spec(&gone.spec));
        let settings = self.settings(lane.base, trigger.as_ref());
        self.set(id, settings, (Vec::new(), 0));
        self.subscribe(id, &[]);
    }

    /// Derives the lane of a trigger from its spec and that of its function.
    fn refresh(&mut self, names: &Names) -> Option<LaneId> {
        let declared = self.triggers.get(names)?;
        let (at_ns, spec) = (declared.at_ns, trigger_spec(&declared.spec)?);
        let id = self.lane(&names.0, spec.function.as_str(), &names.1);
        let base = self.get(id).base;
        Arc::make_mut(&mut self.lanes[id.0 as usize]).gone = None;
        let settings = self.settings(base, Some(&spec));
        self.set(id, settings, (spec.cron.into_iter().collect(), at_ns));
        let events: Vec<EventTrigger> = spec.event.into_iter().collect();
        self.subscribe(id, &events);
        Some(id)
    }

    fn settings(&mut self, function: LaneId, trigger: Option<&TriggerSpec>) -> Arc<Settings> {
        let declared = self.lanes[function.0 as usize].declared.as_ref();
        self.specs.trigger(declared.map(|at| &*at.spec), trigger)
    }

    fn set(&mut self, id: LaneId, settings: Arc<Settings>, cron: (Vec<CronTrigger>, i64)) {
        let lane = Arc::make_mut(&mut self.lanes[id.0 as usize]);
        lane.settings = settings;
        let (triggers, since_ns) = cron;
        lane.cron = (!triggers.is_empty()).then(|| Arc::new(Crons { triggers, since_ns }));
    }

    fn subscribe(&mut self, id: LaneId, events: &[EventTrigger]) {
        let lane = Arc::make_mut(&mut self.lanes[id.0 as usize]);
        let index = self.indexes.entry(lane.project.clone()).or_default();
        for number in 0..lane.selectors {
            index.remove(&(id, number));
        }
        lane.selectors = 0;
        for event in events {
            // The node refuses what is invalid; what slips through subscribes to nothing.
            if let Some(selector) = compiled(event) {
                index.insert((id, lane.selectors), selector);
                lane.selectors += 1;
            }
        }
    }

    /// The lane with these names, which is made where there is none.
    pub(crate) fn lane(&mut self, project: &str, function: &str, trigger: &str) -> LaneId {
        if let Some(known) = self.find(project, function, trigger) {
            return known;
        }
        let lane = match trigger {
            "" => {
                let names = [self.project(project), function.into(), Arc::default()];
                Lane::new(names, LaneId(self.lanes.len() as u32), self.specs.undeclared())
            }
            _ => {
                let base = self.lane(project, function, "");
                let of = self.get(base);
                let names = [of.project.clone(), of.function.clone(), trigger.into()];
                Lane::new(names, base, of.settings.clone())
            }
        };
        let (id, base) = (LaneId(self.lanes.len() as u32), lane.base);
        self.lanes.push(Arc::new(lane));
        let hash = |id: &LaneId| hash_of(&self.hasher, &self.lanes[id.0 as usize].names());
        self.numbers.insert_unique(hash(&id), id, hash);
        if base != id {
            self.derived.entry(base).or_default().push(id);
        }
        id
    }

    /// The name of a project, kept once.
    fn project(&mut self, name: &str) -> Arc<str> {
        if let Some((known, _)) = self.indexes.get_key_value(name) {
            return Arc::clone(known);
        }
        let project: Arc<str> = name.into();
        self.indexes.insert(Arc::clone(&project), Index::default());
        project
    }

    /// The lane with these names, where the log has named it.
    pub(crate) fn find(&self, project: &str, function: &str, trigger: &str) -> Option<LaneId> {
        let names = [project, function, trigger];
        let same = |id: &LaneId| self.get(*id).names() == names;
        self.numbers.find(hash_of(&self.hasher, &names), same).copied()
    }

    pub(crate) fn get(&self, id: LaneId) -> &Arc<Lane> {
        &self.lanes[id.0 as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LaneId, &Arc<Lane>)> {
        self.lanes.iter().enumerate().map(|(number, lane)| (LaneId(number as u32), lane))
    }

    /// The lanes that want an event, each once.
    pub(crate) fn matching(&self, project: &str, content: &Content<'_>) -> Vec<LaneId> {
        let Some(index) = self.indexes.get(project) else { return Vec::new() };
        let mut lanes: Vec<LaneId> =
            index.matching(content).into_iter().map(|(lane, _)| lane).collect();
        lanes.dedup();
        lanes
    }

    /// Whether the trigger of a lane is there, be it for another function.
    pub(crate) fn is_declared(&self, id: LaneId) -> bool {
        let lane = self.get(id);
        let declared = self.triggers.get(&(lane.project.clone(), lane.trigger.clone()));
        declared.is_some_and(|at| !at.spec.is_empty())
    }

    /// All lanes by number, as they are now.
    pub(crate) fn snapshot(&self) -> Vec<Arc<Lane>> {
        self.lanes.clone()
    }

    /// The events that a lane selects.
    pub(crate) fn selects(&self, id: LaneId) -> Vec<EventTrigger> {
        let lane = self.get(id);
        if lane.gone.is_some() {
            // The trigger may select events for another function now.
            return Vec::new();
        }
        if lane.trigger.is_empty() {
            return lane
                .declared
                .as_ref()
                .map_or(Vec::new(), |at| function_spec(&at.spec).on.events);
        }
        let declared = self.triggers.get(&(lane.project.clone(), lane.trigger.clone()));
        let spec = declared.and_then(|at| trigger_spec(&at.spec));
        spec.and_then(|spec| spec.event).into_iter().collect()
    }
}

impl Lane {
    fn new(names: [Arc<str>; 3], base: LaneId, settings: Arc<Settings>) -> Self {
        let [project, function, trigger] = names;
        Lane {
            project,
            function,
            trigger,
            base,
            declared: None,
            settings,
            cron: None,
            gone: None,
            selectors: 0,
        }
    }

    fn names(&self) -> [&str; 3] {
        [&self.project, &self.function, &self.trigger]
    }
}

impl Gone {
    fn of(trigger: TriggerSpec, sequence: u64) -> Self {
        let left = TriggerSpec {
            description: String::new(),
            event: None,
            cron: None,
            webhook: None,
            http: None,
            paused: false,
            ..trigger
        };
        Gone {
            // Settings that were read can be written.
            spec: serde_json::to_string(&left).unwrap_or_default().into(),
            given_up_through: trigger.paused.then_some(sequence),
        }
    }
}

fn hash_of(hasher: &RandomState, names: &[&str; 3]) -> u64 {
    hasher.hash_one(names)
}

/// What a trigger selects, ready to be asked.
pub(crate) fn compiled(event: &EventTrigger) -> Option<CompiledSelector> {
    let value = serde_json::to_value(event).ok()?;
    serde_json::from_value::<Selector>(value).ok()?.compile().ok()
}
