//! Topologies that cannot be built. Their numbers come from the command line, so this is misuse.

use super::super::render::count;
use super::Error;
use crate::topology::Error as E;
use crate::topology::{Bounds, DEGREE_DEFAULT, LINKS_MAX, NoBounds, POWERLAW_NODES_MIN};

impl From<E> for Error {
    fn from(error: E) -> Self {
        let random = |degree, nodes| {
            format!("cannot build a random topology of degree {degree} with {nodes} nodes")
        };
        match error {
            E::NoNodes => Self::misused(
                "cannot start a network of 0 nodes",
                "a network has at least one node",
                "raise --num-nodes",
            ),
            E::NoLinks => Self::misused(
                "cannot build a random topology of degree 0",
                "no node would have a neighbour to pass messages on to",
                format!("use a degree from 2 on; {DEGREE_DEFAULT} is the default"),
            ),
            E::OnlyPairs { nodes } => Self::misused(
                random(1, nodes),
                "nodes would be linked in pairs, which stay apart from one another",
                format!("use a degree from 2 on; {DEGREE_DEFAULT} is the default"),
            ),
            E::DegreeTooHigh { degree, nodes } => {
                let others = nodes.saturating_sub(1);
                let next = match others {
                    0 => "raise --num-nodes, or leave out the degree".into(),
                    // Two nodes may be a pair; of more, pairs would stay apart.
                    1 | 2 => format!("use degree {others}, or raise --num-nodes"),
                    _ => format!("use a degree from 2 to {others}, or raise --num-nodes"),
                };
                let why = format!("a node has at most {others} others to link to");
                Self::misused(random(degree, nodes), why, next)
            }
            E::OddEnds { degree, nodes } => Self::misused(
                random(degree, nodes),
                format!("each link has two ends, and {nodes} × {degree} ends is an odd number"),
                "make the degree or --num-nodes even, or leave out the degree",
            ),
            E::TooFewForPowerlaw { nodes } => Self::misused(
                format!("cannot build a powerlaw topology with {nodes} nodes"),
                format!("it begins with {POWERLAW_NODES_MIN} nodes"),
                format!("use --num-nodes={POWERLAW_NODES_MIN} or more"),
            ),
            E::Bounds { bounds, nodes, why } => of_bounds(bounds, nodes, why),
            E::TooManyLinks { links } => Self::misused(
                format!("cannot build a topology of {links} links"),
                format!("no more than {LINKS_MAX} are allowed"),
                "lower --num-nodes or the degree",
            ),
        }
    }
}

/// How many nodes are up is nothing that the command line tells, so some of this is no misuse.
fn of_bounds(Bounds { min, max }: Bounds, nodes: u32, why: NoBounds) -> Error {
    let peers = if min == max { count(min, "peer") } else { format!("{min} to {max} peers") };
    let what = format!("cannot give each node {peers}");
    let others = nodes.saturating_sub(1);
    match why {
        NoBounds::NoLinks => {
            Error::misused(what, "a node without any would hear of nothing", "raise --min-peers")
        }
        NoBounds::Crossed => Error::misused(
            what,
            format!("at least {min} and at most {max} cannot both be"),
            "lower --min-peers or raise --max-peers",
        ),
        NoBounds::TooHigh => Error::failed(
            what,
            format!("{nodes} nodes are up, so a node has at most {others} others to link to"),
            format!("lower --min-peers to {others}, or start more nodes: `gossip add-node`"),
        ),
        NoBounds::OnlyPairs => Error::failed(
            what,
            format!("{nodes} nodes are up, and would be linked in pairs, which stay apart"),
            "raise --max-peers to 2 or more",
        ),
        NoBounds::OddEnds => Error::failed(
            what,
            format!("each link has two ends, and {nodes} × {min} ends is an odd number"),
            "raise --max-peers by one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_can_be_done() {
        let text = |error: E| Error::from(error).to_string();
        assert_eq!(
            text(E::DegreeTooHigh { degree: 9, nodes: 8 }),
            "error: cannot build a random topology of degree 9 with 8 nodes\n  \
             why:  a node has at most 7 others to link to\n  \
             next: use a degree from 2 to 7, or raise --num-nodes"
        );
        assert!(
            text(E::DegreeTooHigh { degree: 3, nodes: 3 })
                .ends_with("next: use degree 2, or raise --num-nodes")
        );
        for error in [
            E::NoNodes,
            E::NoLinks,
            E::OnlyPairs { nodes: 4 },
            E::DegreeTooHigh { degree: 1, nodes: 1 },
            E::DegreeTooHigh { degree: 2, nodes: 2 },
            E::OddEnds { degree: 3, nodes: 5 },
            E::TooFewForPowerlaw { nodes: 3 },
            E::TooManyLinks { links: 1 << 40 },
        ] {
            assert_eq!(text(error).lines().count(), 3);
        }
        for (min, max, nodes, why) in [
            (0, 3, 8, NoBounds::NoLinks),
            (4, 3, 8, NoBounds::Crossed),
            (8, 9, 8, NoBounds::TooHigh),
            (1, 1, 8, NoBounds::OnlyPairs),
            (3, 3, 9, NoBounds::OddEnds),
        ] {
            let text = text(E::Bounds { bounds: Bounds { min, max }, nodes, why });
            assert_eq!(text.lines().count(), 3, "{text}");
        }
    }
}
