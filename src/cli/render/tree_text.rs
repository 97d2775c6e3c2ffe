//! The infection tree as text.
//!
//! Nodes without a branch between them share a line: a run that each infected one other, and all
//! those that one node infected and that infected nobody. Without `--full`, lines are cut to the
//! width, and the tree to as many levels as fit a screen.

use super::Style;
use super::time_text::{TimeZone, span_of_us};
use crate::spread::{Branch, Trace, Tree};

/// The most lines that a tree may have. One of 256 nodes fits a page, then.
const LINES_MAX: usize = 48;
/// A run of at least this many nodes tells how far it came.
const LONG_RUN: usize = 3;

/// How to show traces.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) zone: TimeZone,
    pub(crate) style: Style,
    /// How many characters fit a line.
    pub(crate) width: usize,
    /// Show the whole tree.
    pub(crate) full: bool,
}

/// The tree, its root in the first line.
pub(crate) fn text(trace: &Trace, view: &View) -> String {
    let drawn = Drawn::of(trace.tree(), view);
    if view.full {
        return drawn.to_depth(usize::MAX, usize::MAX).0;
    }
    // The deepest that fits. A tree whose first level is too wide is cut there, too.
    let mut deepest = None;
    for depth in 1.. {
        let (text, is_whole) = drawn.to_depth(depth, usize::MAX);
        if text.lines().count() > LINES_MAX {
            break;
        }
        deepest = Some(text);
        if is_whole {
            break;
        }
    }
    deepest.unwrap_or_else(|| drawn.to_depth(1, LINES_MAX).0)
}

struct Drawn<'a> {
    tree: Tree,
    /// For each node, how many hang below it, itself included, and when the last of these got
    /// the message.
    below: Vec<(usize, f64)>,
    view: &'a View,
}

impl<'a> Drawn<'a> {
    fn of(tree: Tree, view: &'a View) -> Self {
        let own = |branch: &Branch| (1, branch.after_us.unwrap_or(0.0));
        let mut below: Vec<(usize, f64)> = tree.branches.iter().map(own).collect();
        // Parents come before their children.
        for (at, branch) in tree.branches.iter().enumerate().rev() {
            for child in &branch.children {
                let (nodes, latest) = below[*child];
                below[at] = (below[at].0 + nodes, below[at].1.max(latest));
            }
        }
        Self { tree, below, view }
    }

    /// The tree down to this depth, with at most `lines_max` lines below any node; and whether that
    /// is all of it.
    fn to_depth(&self, depth: usize, lines_max: usize) -> (String, bool) {
        let mut text = format!("{}\n", self.node(&self.tree.branches[0]));
        let is_whole = self.write_below(0, depth, lines_max, "", &mut text);
        (text, is_whole)
    }

    /// A node and those after it as far as there is no branch.
    fn run(&self, from: usize) -> Vec<usize> {
        let next = |at: &usize| match self.tree.branches[*at].children.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        std::iter::successors(Some(from), next).collect()
    }

    /// Writes the lines below a node: one for each run, in the order of time, and one for all of
    /// its leaves. Tells whether nothing was left out.
    fn write_below(
        &self,
        at: usize,
        depth: usize,
        lines_max: usize,
        before: &str,
        text: &mut String,
    ) -> bool {
        let branches = &self.tree.branches;
        let is_leaf = |at: &usize| branches[*at].children.is_empty();
        let (leaves, mut heads): (Vec<usize>, Vec<usize>) =
            branches[at].children.iter().copied().partition(is_leaf);
        let rest = heads.split_off(heads.len().min(lines_max));
        let mut is_whole = rest.is_empty();
        let mut lines = heads.len() + usize::from(!is_whole) + usize::from(!leaves.is_empty());
        let mut next_line = || {
            lines -= 1;
            if lines == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") }
        };
        let room = self.view.width.saturating_sub(before.chars().count() + 3);
        for head in heads {
            let (fork, bar) = next_line();
            let run = self.run(head);
            let end = run[run.len() - 1];
            let more = &branches[end].children;
            let cut = depth <= 1 && !more.is_empty();
            let mut ending = String::new();
            if run.len() >= LONG_RUN {
                ending = format!("  ({} hops)", branches[end].hops);
            }
            if cut {
                ending = format!("{ending}  {}", self.summary(more));
                is_whole = false;
            }
            let run = self.listed(&run, " ➜ ", &ending, room);
            text.push_str(&format!("{before}{fork}{run}\n"));
            if !cut && !more.is_empty() {
                let before = format!("{before}{bar}");
                is_whole &= self.write_below(end, depth - 1, lines_max, &before, text);
            }
        }
        if !rest.is_empty() {
            text.push_str(&format!("{before}{}{}\n", next_line().0, self.summary(&rest)));
        }
        if !leaves.is_empty() {
            let leaves = self.listed(&leaves, ", ", "", room);
            text.push_str(&format!("{before}{}{leaves}\n", next_line().0));
        }
        is_whole
    }

    /// What is not shown.
    fn summary(&self, heads: &[usize]) -> String {
        let nodes: usize = heads.iter().map(|at| self.below[*at].0).sum();
        let latest = heads.iter().map(|at| self.below[*at].1).fold(0.0, f64::max);
        let words = match nodes {
            1 => format!("… 1 more node below, {}", after(latest)),
            nodes => format!("… {nodes} more nodes below, the last {}", after(latest)),
        };
        self.view.style.dim(&words)
    }

    /// Several nodes on one line: the first ones and the last, if there is no room for all.
    fn listed(&self, nodes: &[usize], joiner: &str, ending: &str, room: usize) -> String {
        let branches: Vec<&Branch> = nodes.iter().map(|at| &self.tree.branches[*at]).collect();
        let plain = |branch: &Branch| node(branch, Style::default()).chars().count();
        let joined = joiner.chars().count();
        let ending = (ending, ending.chars().count());
        let whole: usize = branches.iter().map(|branch| plain(branch) + joined).sum();
        let shown = |branches: &[&Branch]| {
            branches.iter().map(|branch| self.node(branch)).collect::<Vec<_>>().join(joiner)
        };
        let [first, middle @ .., last] = branches.as_slice() else {
            return shown(&branches) + ending.0;
        };
        if self.view.full || middle.is_empty() || whole - joined + ending.1 <= room {
            return shown(&branches) + ending.0;
        }
        // Room for the first, the last, and how many are left out.
        let gap = format!("… {} more …", middle.len()).chars().count();
        let mut used = plain(first) + plain(last) + gap + 2 * joined + ending.1;
        let fits = middle.iter().take_while(|branch| {
            used += plain(branch) + joined;
            used <= room
        });
        let head = 1 + fits.count();
        let left_out = branches.len() - head - 1;
        let gap = self.view.style.dim(&format!("… {left_out} more …"));
        let parts = [shown(&branches[..head]), gap, self.node(last)];
        parts.join(joiner) + ending.0
    }

    fn node(&self, branch: &Branch) -> String {
        node(branch, self.view.style)
    }
}

/// `12 +412 µs`; the root is just its number.
fn node(branch: &Branch, style: Style) -> String {
    let number = style.bold(&branch.node.to_string());
    match branch.after_us {
        Some(_) if branch.hops == 0 => number,
        None => format!("{number} {}", style.dim("(does not tell)")),
        Some(us) if branch.repaired => {
            format!("{number} {}", style.dim(&format!("{}, repaired", after(us))))
        }
        Some(us) => format!("{number} {}", style.dim(&after(us))),
    }
}

fn after(us: f64) -> String {
    format!("+{}", span_of_us(us))
}

#[cfg(test)]
mod tests {
    use super::super::spread_text::tests::{held, ring, trace, view};
    use super::*;
    use crate::spread::Said;

    #[test]
    fn a_long_run_is_cut_to_the_width() {
        let shown = text(&trace(ring(256)), &view(80));
        assert_eq!(
            shown,
            "1\n\
             ├─ 2 +100 µs ➜ 3 +200 µs ➜ 4 +300 µs ➜ … 124 more … ➜ 129 +12.8 ms  (128 hops)\n\
             └─ 256 +100 µs ➜ 255 +200 µs ➜ … 124 more … ➜ 130 +12.7 ms  (127 hops)\n"
        );
        assert!(shown.lines().all(|line| line.chars().count() <= 80));
        let whole = text(&trace(ring(256)), &View { full: true, ..view(80) });
        assert!((1..=256).all(|node| whole.contains(&format!("{node} +")) || node == 1));
        assert_eq!(whole.lines().count(), 3);
    }

    /// Every node infects two.
    fn binary(nodes: u32) -> Vec<Said> {
        let path = |node: u32| {
            let mut path: Vec<u32> =
                std::iter::successors(Some(node), |node| (*node > 1).then_some(node / 2)).collect();
            path.reverse();
            path
        };
        (1..=nodes).map(|node| held(&path(node), &[])).collect()
    }

    #[test]
    fn a_small_tree_is_whole_and_leaves_share_a_line() {
        let shown = text(&trace(binary(7)), &view(80));
        assert_eq!(
            shown,
            "1\n\
             ├─ 2 +100 µs\n\
             │  └─ 4 +200 µs, 5 +200 µs\n\
             └─ 3 +100 µs\n   \
                └─ 6 +200 µs, 7 +200 µs\n"
        );
    }

    #[test]
    fn a_large_tree_is_summed_up_below_some_depth() {
        for nodes in [255, 256, 1_000] {
            let shown = text(&trace(binary(nodes)), &view(80));
            let lines = shown.lines().count();
            assert!((16..=LINES_MAX).contains(&lines), "{nodes}: {shown}");
            assert!(shown.contains("more nodes below, the last +"), "{shown}");
            let whole = text(&trace(binary(nodes)), &View { full: true, ..view(80) });
            let words = whole.split([' ', '\n']).filter(|word| word.parse::<u32>().is_ok());
            // Each number is followed by a time, whose number has a sign.
            assert_eq!(words.filter(|word| !word.starts_with('+')).count(), nodes as usize);
        }
    }

    #[test]
    fn a_hub_is_cut_to_so_many_lines() {
        let mut said = vec![held(&[1], &[])];
        for node in 2..=100 {
            said.push(held(&[1, node], &[]));
            said.push(held(&[1, node, node + 200], &[]));
            said.push(held(&[1, node, node + 400], &[]));
        }
        let shown = text(&trace(said), &view(80));
        assert!(shown.lines().count() <= LINES_MAX + 3, "{shown}");
        assert!(shown.contains("└─ … 153 more nodes below"), "{shown}");
    }
}
