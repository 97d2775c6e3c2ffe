//! Faults put on a network while it runs.
//!
//! The record remembers what was asked for, the nodes apply the rules that follow from it. A
//! node that is started later begins with them; one that was paused gets them as it goes on.

use serde::{Deserialize, Serialize};

use super::{Error, NodeRecord, Record, StateDir};
use crate::control::Request;
use crate::protocol::{Effect, FaultRule, NodeId, NodeRanges};

/// The most faults in force at a time: each costs every datagram a look.
pub const FAULTS_MAX: usize = 64;

/// One fault, as it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// Datagrams from some nodes to some others are mistreated.
    Effect(FaultRule),
    /// Nothing passes between these groups of nodes, either way. A node in none of them is cut
    /// off from nobody.
    Partition(Vec<NodeRanges>),
}

impl Fault {
    /// The rules that make nodes do it.
    fn rules(&self) -> Vec<FaultRule> {
        let groups = match self {
            Self::Effect(rule) => return vec![rule.clone()],
            Self::Partition(groups) => groups,
        };
        let effect = Effect { loss: 1.0, ..Effect::default() };
        let rule = |(at, group): (usize, &NodeRanges)| {
            let others = groups.iter().enumerate().filter(|(other, _)| *other != at);
            let to = others.flat_map(|(_, group)| group.iter().copied()).collect();
            FaultRule { from: group.clone(), to, effect }
        };
        groups.iter().enumerate().map(rule).collect()
    }

    /// All ranges of nodes that it names.
    fn ranges(&self) -> Vec<(u32, u32)> {
        match self {
            Self::Effect(rule) => rule.from.iter().chain(&rule.to).copied().collect(),
            Self::Partition(groups) => groups.iter().flatten().copied().collect(),
        }
    }
}

impl Record {
    /// The rules of all faults in force.
    #[must_use]
    pub fn fault_rules(&self) -> Vec<FaultRule> {
        self.faults.iter().flat_map(Fault::rules).collect()
    }
}

impl StateDir {
    /// Puts a fault on a network, beside those that are in force. Returns all of them, and the
    /// nodes that should have heard of it and did not.
    ///
    /// # Errors
    ///
    /// If the network does not run, the fault names nodes that it does not have, or there are
    /// [`FAULTS_MAX`] already. Nothing changed then.
    pub fn inject_fault(
        &self,
        name: &str,
        fault: Fault,
    ) -> Result<(Vec<Fault>, Vec<NodeId>), Error> {
        self.change_faults(name, |record| {
            for (first, last) in fault.ranges() {
                record.find(NodeId(first))?;
                record.find(NodeId(last))?;
            }
            if record.faults.len() >= FAULTS_MAX {
                return Err(Error::TooManyFaults(record.name.clone()));
            }
            record.faults.push(fault);
            Ok(record.faults.clone())
        })
    }

    /// Takes all faults from a network. Returns those that were in force, and the nodes that
    /// should have heard of it and did not.
    ///
    /// # Errors
    ///
    /// If the network does not run, or its state cannot be changed.
    pub fn heal(&self, name: &str) -> Result<(Vec<Fault>, Vec<NodeId>), Error> {
        // The nodes are told even where no faults were known: one may have missed the last time.
        self.change_faults(name, |record| Ok(std::mem::take(&mut record.faults)))
    }

    fn change_faults(
        &self,
        name: &str,
        change: impl FnOnce(&mut Record) -> Result<Vec<Fault>, Error>,
    ) -> Result<(Vec<Fault>, Vec<NodeId>), Error> {
        let (dir, _lock, mut record) = self.lock_running(name)?;
        let faults = change(&mut record)?;
        // Before any node is told, so that `heal` finds the fault if something fails from here on.
        dir.write(&record)?;
        let rules = record.fault_rules();
        let nodes = record.nodes.iter().filter(|node| record.is_running(node));
        let question =
            |node: &NodeRecord| (node.node, node.addr, Request::SetFaults(rules.clone()));
        let deaf = record.tell_each(nodes.map(question).collect());
        Ok((faults, deaf))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing_state::{Helper, TempDir, record, remember};
    use super::*;

    fn partition(groups: &[&[(u32, u32)]]) -> Fault {
        Fault::Partition(groups.iter().map(|group| group.to_vec()).collect())
    }

    #[test]
    fn a_partition_drops_everything_between_its_groups_and_nothing_within() {
        let fault = partition(&[&[(1, 2)], &[(3, 3), (5, 6)], &[(9, 9)]]);
        let rules: Vec<_> = fault.rules().into_iter().map(|rule| (rule.from, rule.to)).collect();
        assert_eq!(
            rules,
            [
                (vec![(1, 2)], vec![(3, 3), (5, 6), (9, 9)]),
                (vec![(3, 3), (5, 6)], vec![(1, 2), (9, 9)]),
                (vec![(9, 9)], vec![(1, 2), (3, 3), (5, 6)]),
            ]
        );
        assert!(fault.rules().iter().all(|rule| rule.effect.loss >= 1.0));
    }

    #[test]
    fn faults_are_remembered_until_they_are_healed() {
        let temp = TempDir::new();
        let state = temp.state();
        // It is paused, so nobody expects it to answer.
        let (one, two) = (Helper::cat(), Helper::cat());
        remember(&state, &record("default", &[one.process(), two.process()]));
        state.pause_node("default", NodeId(1)).unwrap();
        state.pause_node("default", NodeId(2)).unwrap();
        let loss = Effect { loss: 0.1, ..Effect::default() };
        let rule = FaultRule { from: vec![], to: vec![(2, 2)], effect: loss };
        let (faults, deaf) = state.inject_fault("default", Fault::Effect(rule)).unwrap();
        assert_eq!((faults.len(), deaf.len()), (1, 0));
        let cut = partition(&[&[(1, 1)], &[(2, 2)]]);
        let (faults, _) = state.inject_fault("default", cut.clone()).unwrap();
        assert_eq!(state.load("default").unwrap().faults, faults);
        assert_eq!(state.load("default").unwrap().fault_rules().len(), 3);
        let (healed, _) = state.heal("default").unwrap();
        assert_eq!(healed, faults);
        assert!(state.load("default").unwrap().faults.is_empty());
        for _ in 0..FAULTS_MAX {
            state.inject_fault("default", cut.clone()).unwrap();
        }
        let more = state.inject_fault("default", cut);
        assert!(matches!(more, Err(Error::TooManyFaults(_))), "{more:?}");
    }

    #[test]
    fn a_fault_between_nodes_that_are_not_there_changes_nothing() {
        let temp = TempDir::new();
        let state = temp.state();
        let helper = Helper::cat();
        remember(&state, &record("default", &[helper.process()]));
        let unknown = state.inject_fault("default", partition(&[&[(1, 1)], &[(2, 2)]]));
        assert!(matches!(unknown, Err(Error::UnknownNode(NodeId(2), _))), "{unknown:?}");
        assert!(state.load("default").unwrap().faults.is_empty());
    }

    #[test]
    fn a_node_that_does_not_answer_is_named() {
        let temp = TempDir::new();
        let state = temp.state();
        let helper = Helper::cat();
        remember(&state, &record("default", &[helper.process()]));
        let (_, deaf) = state.heal("default").unwrap();
        assert_eq!(deaf, [NodeId(1)]);
    }
}
