//! Lanes: a function with one of its triggers, and how events reach it. Derived from config records
//! and nothing else.
//!
//! Each delivery belongs to one lane. Lanes are numbered in the order in which the log names them
//! and never forgotten, so that a rebuild finds the same numbers; a delivery then costs a number
//! instead of three names.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use nexus_model::record::ConfigRecord;
use nexus_model::resource::{CronTrigger, EventTrigger, FunctionSpec, Kind, TriggerSpec};

use crate::settings::Settings;
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
    pub(crate) settings: Arc<Settings>,
    pub(crate) cron: Arc<[CronTrigger]>,
    /// Since when the present cron triggers hold.
    pub(crate) cron_since_ns: i64,
    /// Where its trigger is gone: what is left of it.
    pub(crate) gone: Option<Gone>,
    selectors: u32,
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
    /// Its spec as JSON; empty when it was deleted, which is remembered so that an older record
    /// cannot bring it back.
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
    numbers: HashMap<String, LaneId>,
    pub(crate) functions: Table<Names, Declared>,
    pub(crate) triggers: Table<Names, Declared>,
    /// The triggers of a function, whose settings change with it.
    triggers_of: HashMap<Names, BTreeSet<Arc<str>>>,
    /// The lanes of triggers by that of their function.
    derived: HashMap<LaneId, Vec<LaneId>>,
    indexes: HashMap<Arc<str>, Index<(LaneId, u32)>>,
}

impl Lanes {
    /// Takes in a config record, which stands at `sequence` in the log, and returns the lanes that it
    /// changed; one that is not newer than what is known changes nothing.
    pub(crate) fn configure(&mut self, record: &ConfigRecord, sequence: u64) -> Vec<LaneId> {
        let declared = Declared {
            revision: record.revision,
            spec: record.spec.as_str().into(),
            at_ns: record.at_ns,
        };
        let names: Names = (record.project.as_str().into(), record.name.as_str().into());
        match Kind::parse(&record.kind) {
            Some(Kind::Function) => self.function(names, declared),
            Some(Kind::Trigger) => self.trigger(names, declared, sequence),
            _ => Vec::new(),
        }
    }

    /// Whether this revision, or a newer one, was taken in.
    pub(crate) fn knows(&self, key: &DeclaredKey) -> bool {
        let names: Names = (key.project.as_str().into(), key.name.as_str().into());
        let known = match key.kind {
            Kind::Function => self.functions.get(&names),
            Kind::Trigger => self.triggers.get(&names),
            _ => return true,
        };
        known.is_some_and(|known| known.revision >= key.revision)
    }

    fn function(&mut self, names: Names, declared: Declared) -> Vec<LaneId> {
        if self.functions.get(&names).is_some_and(|known| known.revision >= declared.revision) {
            return Vec::new();
        }
        let at_ns = declared.at_ns;
        let spec = function_spec(&declared.spec);
        self.functions.insert(names.clone(), declared);
        let (project, function) = names.clone();
        let lane = self.lane(&project, &function, "");
        let settings = Settings::of(&spec, None);
        self.set(lane, settings, (spec.on.cron, at_ns));
        self.subscribe(lane, &spec.on.events);
        let mut changed = vec![lane];
        let triggers = self.triggers_of.get(&names).cloned().unwrap_or_default();
        for derived in self.derived.get(&lane).cloned().unwrap_or_default() {
            if !triggers.contains(&self.lanes[derived.0 as usize].trigger) {
                self.settle_orphan(derived);
                changed.push(derived);
            }
        }
        for trigger in triggers {
            changed.extend(self.refresh(&project, &trigger));
        }
        changed
    }

    fn trigger(&mut self, names: Names, declared: Declared, sequence: u64) -> Vec<LaneId> {
        let known = self.triggers.get(&names);
        if known.is_some_and(|known| known.revision >= declared.revision) {
            return Vec::new();
        }
        let before = known.and_then(|known| trigger_spec(&known.spec));
        let (project, name) = names.clone();
        let mut changed = Vec::new();
        if let Some(before) = before {
            // What it was is undone first: it may call another function now, or be gone.
            let lane = self.lane(&project, before.function.as_str(), &name);
            let function = (project.clone(), Arc::from(before.function.as_str()));
            if let Some(triggers) = self.triggers_of.get_mut(&function) {
                triggers.remove(&name);
            }
            // Where it goes on as it was, this is undone below.
            self.orphan(lane, Gone::of(before, sequence));
            changed.push(lane);
        }
        self.triggers.insert(names, declared);
        changed.extend(self.refresh(&project, &name));
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// A lane loses its trigger, or is found in a checkpoint without one.
    pub(crate) fn orphan(&mut self, id: LaneId, gone: Gone) {
        Arc::make_mut(&mut self.lanes[id.0 as usize]).gone = Some(gone);
        self.settle_orphan(id);
    }

    /// A lane without its trigger has what is left of its deliveries, with the settings that they
    /// had over those of the function.
    fn settle_orphan(&mut self, id: LaneId) {
        let lane = &self.lanes[id.0 as usize];
        let names = (lane.project.clone(), lane.function.clone());
        let function = self.functions.get(&names).map(|at| function_spec(&at.spec));
        let trigger = lane.gone.as_ref().and_then(|gone| trigger_spec(&gone.spec));
        let settings = Settings::of(&function.unwrap_or_default(), trigger.as_ref());
        self.set(id, settings, (Vec::new(), 0));
        self.subscribe(id, &[]);
    }

    /// Derives the lane of a trigger from its spec and that of its function.
    fn refresh(&mut self, project: &Arc<str>, name: &Arc<str>) -> Option<LaneId> {
        let declared = self.triggers.get(&(project.clone(), name.clone()))?;
        let (at_ns, spec) = (declared.at_ns, trigger_spec(&declared.spec)?);
        let function: Arc<str> = spec.function.as_str().into();
        let of = (project.clone(), function.clone());
        let function_spec =
            self.functions.get(&of).map(|at| function_spec(&at.spec)).unwrap_or_default();
        self.triggers_of.entry(of).or_default().insert(name.clone());
        let lane = self.lane(project, &function, name);
        Arc::make_mut(&mut self.lanes[lane.0 as usize]).gone = None;
        let settings = Settings::of(&function_spec, Some(&spec));
        self.set(lane, settings, (spec.cron.into_iter().collect(), at_ns));
        let events: Vec<EventTrigger> = spec.event.into_iter().collect();
        self.subscribe(lane, &events);
        Some(lane)
    }

    fn set(&mut self, id: LaneId, settings: Settings, (cron, since_ns): (Vec<CronTrigger>, i64)) {
        let lane = Arc::make_mut(&mut self.lanes[id.0 as usize]);
        lane.settings = Arc::new(settings);
        lane.cron = cron.into();
        lane.cron_since_ns = since_ns;
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
        let name = joined(project, function, trigger);
        if let Some(known) = self.numbers.get(&name) {
            return *known;
        }
        let base = match trigger {
            "" => LaneId(self.lanes.len() as u32),
            _ => self.lane(project, function, ""),
        };
        let id = LaneId(self.lanes.len() as u32);
        let settings = match trigger {
            "" => Arc::default(),
            _ => self.lanes[base.0 as usize].settings.clone(),
        };
        self.lanes.push(Arc::new(Lane {
            project: project.into(),
            function: function.into(),
            trigger: trigger.into(),
            base,
            settings,
            cron: Arc::default(),
            cron_since_ns: 0,
            gone: None,
            selectors: 0,
        }));
        self.numbers.insert(name, id);
        if base != id {
            self.derived.entry(base).or_default().push(id);
        }
        id
    }

    /// The lane with these names, where the log has named it.
    pub(crate) fn find(&self, project: &str, function: &str, trigger: &str) -> Option<LaneId> {
        self.numbers.get(&joined(project, function, trigger)).copied()
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
        let declared = match &*lane.trigger {
            "" => self.functions.get(&(lane.project.clone(), lane.function.clone())),
            trigger => self.triggers.get(&(lane.project.clone(), trigger.into())),
        };
        let Some(declared) = declared else { return Vec::new() };
        match &*lane.trigger {
            "" => function_spec(&declared.spec).on.events,
            _ => trigger_spec(&declared.spec).and_then(|spec| spec.event).into_iter().collect(),
        }
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

fn joined(project: &str, function: &str, trigger: &str) -> String {
    // Names have no control characters, so this is one to one.
    let mut name = String::with_capacity(project.len() + function.len() + trigger.len() + 2);
    name.push_str(project);
    name.push('\n');
    name.push_str(function);
    name.push('\n');
    name.push_str(trigger);
    name
}

/// What a trigger selects, ready to be asked.
pub(crate) fn compiled(event: &EventTrigger) -> Option<CompiledSelector> {
    let value = serde_json::to_value(event).ok()?;
    serde_json::from_value::<Selector>(value).ok()?.compile().ok()
}

fn function_spec(json: &str) -> FunctionSpec {
    serde_json::from_str(json).unwrap_or_default()
}

fn trigger_spec(json: &str) -> Option<TriggerSpec> {
    serde_json::from_str(json).ok()
}
