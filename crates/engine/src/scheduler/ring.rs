//! Whose turn it is: classes by weight, projects within a class in turn, lanes within a project in
//! turn.

use std::collections::{HashMap, VecDeque};

use nexus_model::resource::Priority;

use crate::lanes::LaneId;

/// The shares of the classes: each gets four times the share of the next one.
const WEIGHTS: [i64; 3] = [16, 4, 1];

#[derive(Debug, Default)]
struct Class {
    /// What it has saved up; the richest class goes first and pays.
    credit: i64,
    projects: VecDeque<u32>,
    lanes: HashMap<u32, VecDeque<LaneId>>,
}

/// Lanes that may have something to begin.
#[derive(Debug, Default)]
pub(super) struct Ring {
    classes: [Class; 3],
}

fn number(class: Priority) -> usize {
    match class {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

impl Ring {
    /// A lane stands at the end of its project's turn.
    pub(super) fn push(&mut self, class: Priority, project: u32, lane: LaneId) {
        let class = &mut self.classes[number(class)];
        let lanes = class.lanes.entry(project).or_default();
        if lanes.is_empty() {
            class.projects.push_back(project);
        }
        lanes.push_back(lane);
    }

    /// The lane whose turn it is, taken out.
    pub(super) fn pop(&mut self) -> Option<LaneId> {
        let waiting = |class: &Class| !class.projects.is_empty();
        let total: i64 =
            self.classes.iter().zip(WEIGHTS).filter(|(at, _)| waiting(at)).map(|(_, w)| w).sum();
        let mut chosen: Option<usize> = None;
        for (index, class) in self.classes.iter_mut().enumerate() {
            if class.projects.is_empty() {
                // Nobody saves up while there is nothing to spend it on.
                class.credit = 0;
                continue;
            }
            class.credit += WEIGHTS[index];
        }
        for (index, class) in self.classes.iter().enumerate() {
            let richer = chosen.is_none_or(|at| class.credit > self.classes[at].credit);
            if waiting(class) && richer {
                chosen = Some(index);
            }
        }
        let class = &mut self.classes[chosen?];
        class.credit -= total;
        let project = class.projects.pop_front()?;
        let lanes = class.lanes.get_mut(&project)?;
        let lane = lanes.pop_front();
        match lanes.is_empty() {
            true => drop(class.lanes.remove(&project)),
            false => class.projects.push_back(project),
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(ring: &mut Ring, count: usize, again: &[(Priority, u32, u32)]) -> Vec<u32> {
        let home = |lane: u32| again.iter().find(|at| at.2 == lane).copied();
        (0..count)
            .map(|_| {
                let lane = ring.pop().unwrap().0;
                if let Some((class, project, lane)) = home(lane) {
                    ring.push(class, project, LaneId(lane));
                }
                lane
            })
            .collect()
    }

    #[test]
    fn classes_get_their_shares_and_none_starves() {
        let lanes = [(Priority::High, 0, 0), (Priority::Normal, 0, 1), (Priority::Low, 0, 2)];
        let mut ring = Ring::default();
        for (class, project, lane) in lanes {
            ring.push(class, project, LaneId(lane));
        }
        let turns = turns(&mut ring, 210, &lanes);
        let count = |lane| turns.iter().filter(|at| **at == lane).count();
        assert_eq!((count(0), count(1), count(2)), (160, 40, 10));
    }

    #[test]
    fn projects_take_turns_however_many_lanes_they_have() {
        let mut lanes = vec![(Priority::Normal, 7, 100)];
        lanes.extend((0..9).map(|lane| (Priority::Normal, 1, lane)));
        let mut ring = Ring::default();
        for (class, project, lane) in lanes.iter().copied() {
            ring.push(class, project, LaneId(lane));
        }
        let turns = turns(&mut ring, 40, &lanes);
        assert_eq!(turns.iter().filter(|lane| **lane == 100).count(), 20);
        assert_eq!(turns.iter().filter(|lane| **lane == 3).count(), 2);
    }
}
