//! The infection tree: who infected whom.

use std::collections::BTreeMap;

use super::{Receipt, TraceNode};
use crate::protocol::NodeId;

/// One node in the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// Its number.
    pub node: NodeId,
    /// The hops from the origin to here.
    pub hops: u32,
    /// When it got the message, in microseconds after the sending; `None` where it does not tell,
    /// and is known only because it stands on others' paths.
    pub after_us: Option<f64>,
    /// Whether it, or one before it, got the message by repair.
    pub repaired: bool,
    /// Where those stand that it infected: in the order in which they got the message.
    pub children: Vec<usize>,
}

/// All of them; each is somebody's child but the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The origin first; parents before their children.
    pub branches: Vec<Branch>,
}

impl Branch {
    /// A node that is known from the paths of others.
    fn of_another(node: NodeId, hops: u32) -> Self {
        Self { node, hops, after_us: None, repaired: false, children: Vec::new() }
    }
}

impl Tree {
    /// The tree along which first copies came.
    ///
    /// Nodes tell of the copy that they have now. One that ended, or was started again and got
    /// the message back, no longer stands where its children's paths say: it is put there as
    /// one that does not tell. A node that got it later than another cannot be the parent of that one.
    pub(super) fn of(origin: NodeId, nodes: &[TraceNode]) -> Self {
        let mut receipts: Vec<(NodeId, &Receipt)> =
            nodes.iter().filter_map(|node| Some((node.node, node.receipt.as_ref()?))).collect();
        receipts
            .sort_by(|(_, a), (_, b)| a.after_us.total_cmp(&b.after_us).then(a.hops.cmp(&b.hops)));
        let mut growing = Growing::from(origin);
        for (node, receipt) in receipts {
            growing.add(node, receipt);
        }
        Self { branches: growing.branches }
    }
}

/// A tree, and where to find the nodes that are in it already.
struct Growing {
    branches: Vec<Branch>,
    /// The nodes that tell of the message themselves.
    told: BTreeMap<NodeId, usize>,
    /// Those known from paths, by their hops, too: a node may stand on several.
    named: BTreeMap<(NodeId, u32), usize>,
}

impl Growing {
    fn from(origin: NodeId) -> Self {
        let root = Branch::of_another(origin, 0);
        let named = BTreeMap::from([((origin, 0), 0)]);
        Self { branches: vec![root], told: BTreeMap::new(), named }
    }

    /// Hangs a branch below another; gives its place.
    fn hang(&mut self, branch: Branch, parent: usize) -> usize {
        let at = self.branches.len();
        self.branches.push(branch);
        self.branches[parent].children.push(at);
        at
    }

    /// Adds a node, and those before it on its path of whom nothing is known yet. Nodes come in
    /// the order in which they got the message.
    fn add(&mut self, node: NodeId, receipt: &Receipt) {
        if receipt.hops == 0 {
            self.branches[0].after_us = Some(receipt.after_us);
            self.told.insert(node, 0);
            return;
        }
        let before = receipt.path.split_last().map_or(&[][..], |(_, before)| before);
        let parent = self.parent(before, receipt.hops);
        let (after_us, repaired) = (Some(receipt.after_us), receipt.repaired);
        let branch = Branch { after_us, repaired, ..Branch::of_another(node, receipt.hops) };
        let at = self.hang(branch, parent);
        self.told.insert(node, at);
    }

    /// The node before another one on its path, added if need be. Ends at the origin; where a path
    /// was cut, the rest hangs there, too.
    fn parent(&mut self, before: &[Option<NodeId>], hops: u32) -> usize {
        let Some((Some(node), rest)) = before.split_last() else { return 0 };
        let own_hops = hops.saturating_sub(1);
        let told = self.told.get(node).filter(|at| self.branches[**at].hops < hops);
        if let Some(at) = told.or_else(|| self.named.get(&(*node, own_hops))) {
            return *at;
        }
        if own_hops == 0 {
            return 0;
        }
        let parent = self.parent(rest, own_hops);
        let at = self.hang(Branch::of_another(*node, own_hops), parent);
        self.named.insert((*node, own_hops), at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing_answers::{held, ring, said, state};
    use super::super::{Faults, NodeState, Said, Trace};
    use super::*;

    fn tree(said: Vec<Said>) -> Tree {
        Trace::of("default", "1.1".parse().unwrap(), said, &Faults::default()).unwrap().tree()
    }

    /// `1(2 3(4))`
    fn shown(tree: &Tree, at: usize) -> String {
        let branch = &tree.branches[at];
        let mark = if branch.after_us.is_none() { "?" } else { "" };
        let children: Vec<String> = branch.children.iter().map(|at| shown(tree, *at)).collect();
        match children.as_slice() {
            [] => format!("{}{mark}", branch.node),
            children => format!("{}{mark}({})", branch.node, children.join(" ")),
        }
    }

    #[test]
    fn a_ring_is_infected_both_ways_round() {
        let tree = tree(ring(6, 1));
        assert_eq!(shown(&tree, 0), "1(2(3(4)) 6(5))");
        assert_eq!(tree.branches.len(), 6);
    }

    #[test]
    fn a_node_that_is_gone_still_stands_between_others() {
        let mut nodes = ring(6, 1);
        nodes[1] = state(said(2, None, &[]), NodeState::Down);
        assert_eq!(shown(&tree(nodes), 0), "1(6(5) 2?(3(4)))");
    }

    #[test]
    fn a_node_started_again_hangs_where_it_got_the_message_back() {
        // Node 2 passed it on to node 3, was started again, and got it back from there.
        let mut nodes = ring(6, 1);
        nodes[1] = held(2, &[1, 2, 3, 4, 3, 2], 0, &[1, 3]);
        assert_eq!(shown(&tree(nodes), 0), "1(6(5) 2?(3(4 2)))");
        let mut nodes = ring(4, 1);
        nodes[0] = held(1, &[1, 2, 3, 2, 1], 0, &[2, 4]);
        assert_eq!(shown(&tree(nodes), 0), "1?(2(3 1) 4)");
    }
}
