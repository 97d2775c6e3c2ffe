//! Topologies that cannot be built. Their numbers come from the command line, so this is misuse.

use super::super::render::count;
use super::{Error, Kind};
use crate::topology::Error as E;
use crate::topology::{Bounds, DEGREE_DEFAULT, NoBounds, POWERLAW_NODES_MIN};

impl From<E> for Error {
    fn from(error: E) -> Self {
        let random = |degree: u32, nodes: u32| {
            format!("cannot build a random topology of degree {degree} with {nodes} nodes")
        };
        let from_two_on = || format!("use a degree from 2 on; {DEGREE_DEFAULT} is the default");
        let (what, next) = match error {
            E::NoNodes => ("cannot start a network of 0 nodes".into(), "raise --num-nodes".into()),
            E::NoLinks => ("cannot build a random topology of degree 0".into(), from_two_on()),
            E::OnlyPairs { nodes } => (random(1, nodes), from_two_on()),
            E::DegreeTooHigh { degree, nodes } => {
                let next = match nodes.saturating_sub(1) {
                    0 => "raise --num-nodes, or leave out the degree".into(),
                    // Two nodes may be a pair; of more, pairs would stay apart.
                    others @ (1 | 2) => format!("use degree {others}, or raise --num-nodes"),
                    others => format!("use a degree from 2 to {others}, or raise --num-nodes"),
                };
                (random(degree, nodes), next)
            }
            E::OddEnds { degree, nodes } => (
                random(degree, nodes),
                "make the degree or --num-nodes even, or leave out the degree".into(),
            ),
            E::TooFewForPowerlaw { nodes } => (
                format!("cannot build a powerlaw topology with {nodes} nodes"),
                format!("use --num-nodes={POWERLAW_NODES_MIN} or more"),
            ),
            E::Bounds { bounds, nodes, why } => return of_bounds(bounds, nodes, why),
            E::TooManyLinks { links } => (
                format!("cannot build a topology of {links} links"),
                "lower --num-nodes or the degree".into(),
            ),
        };
        Self::misused(what, error.to_string(), next)
    }
}

/// How many nodes are up is nothing that the command line tells, so some of this is no misuse.
fn of_bounds(Bounds { min, max }: Bounds, nodes: u32, why: NoBounds) -> Error {
    let peers = if min == max { count(min, "peer") } else { format!("{min} to {max} peers") };
    let others = nodes.saturating_sub(1);
    let (kind, why, next) = match why {
        NoBounds::NoLinks => (
            Kind::Misused,
            "a node without any would hear of nothing".into(),
            "raise --min-peers".into(),
        ),
        NoBounds::Crossed => (
            Kind::Misused,
            format!("at least {min} and at most {max} cannot both be"),
            "lower --min-peers or raise --max-peers".into(),
        ),
        NoBounds::TooHigh => (
            Kind::Failed,
            format!("{nodes} nodes are up, so a node has at most {others} others to link to"),
            format!("lower --min-peers to {others}, or start more nodes: `gossip add-node`"),
        ),
        NoBounds::OnlyPairs => (
            Kind::Failed,
            format!("{nodes} nodes are up, and would be linked in pairs, which stay apart"),
            "raise --max-peers to 2 or more".into(),
        ),
        NoBounds::OddEnds => (
            Kind::Failed,
            format!("each link has two ends, and {nodes} × {min} ends is an odd number"),
            "raise --max-peers by one".into(),
        ),
    };
    Error { kind, what: format!("cannot give each node {peers}"), why, next }
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
