//! What stands for what: colours, lines and dashes, the same in every picture.
//!
//! Nothing is told by colour alone: whatever is out of order also has another line. The colours
//! are told apart with any kind of colour vision, and numbers can be read on each of them.

use super::{Link, Node};
use crate::spread::NodeState;

/// How a node looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeLook {
    /// Nothing special.
    Plain,
    /// In this group of a partition, counted from 0.
    Group(usize),
    /// Silent, paused, down or removed.
    Out(NodeState),
    /// Reached, at this share of the way from the first to the last.
    Shade(Colour),
    /// Where a message started, in this shade.
    Origin(Colour),
    /// Up, and without the message.
    Without,
}

/// How a link looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLook {
    /// Nothing special.
    Plain,
    /// Made by the nodes themselves.
    Made,
    /// One of its ends suspects the other, or takes it for dead.
    Suspected,
    /// It was planned, and is not in use.
    Gone,
    /// A fault mistreats what crosses it.
    Faulty,
    /// A fault, such as a partition, lets nothing cross it.
    Cut,
    /// The first copy of a message crossed it, from its first end to its second.
    Tree,
    /// No first copy crossed it.
    Pale,
}

/// Something in a legend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A node that looks so.
    Node(NodeLook, String),
    /// A link that looks so.
    Link(LinkLook, String),
    /// Words, then a row of shades with a word on each.
    Shades(String, Vec<(Colour, String)>),
}

/// A colour, as `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u32);

/// Whether a line is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is.
    Solid,
    /// It has short gaps.
    Dashed,
    /// It is gaps mostly.
    Dotted,
}

/// How to draw a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeStyle {
    /// Its face.
    pub(super) fill: Colour,
    /// Its rim.
    pub(super) rim: Colour,
    /// Its number.
    pub(super) text: Colour,
    /// How the rim is drawn.
    pub(super) line: Line,
    /// Whether it has two rims.
    pub(super) double: bool,
}

/// How to draw a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkStyle {
    /// Its colour.
    pub(super) colour: Colour,
    /// Its width in points.
    pub(super) width: f64,
    /// How it is drawn.
    pub(super) line: Line,
    /// Whether it points to its second end.
    pub(super) arrow: bool,
}

const WHITE: Colour = Colour(0xffffff);
const BLACK: Colour = Colour(0x000000);

/// The faces of a partition's groups; more groups begin anew.
const GROUPS: [u32; 4] = [0xcfe2f7, 0xfbdfb6, 0xcdecda, 0xf0d3e8];

/// Viridis (Smith and van der Walt, 2015) at eleven points: dark to bright, even to the eye, and
/// in the same order for those who see fewer colours.
const SHADES: [u32; 11] = [
    0x440154, 0x482475, 0x414487, 0x355f8d, 0x2a788e, 0x21918c, 0x22a884, 0x44bf70, 0x7ad151,
    0xbddf26, 0xfde725,
];

impl Colour {
    /// `#0a1b2c`.
    pub(super) fn hex(self) -> String {
        format!("#{:06x}", self.0)
    }

    /// The shade of `step` steps of `steps`: dark for the first, bright for the last.
    pub(super) fn shade(step: u32, steps: u32) -> Self {
        let last = SHADES.len() - 1;
        let at = f64::from(step.min(steps)) / f64::from(steps.max(1)) * last as f64;
        // `at` is from 0 to 10.
        let low = (at as usize).min(last - 1);
        let share = at - low as f64;
        let (a, b) = (Self(SHADES[low]).parts(), Self(SHADES[low + 1]).parts());
        let mix = |part: usize| (a[part] * (1.0 - share) + b[part] * share) as u32;
        Self(mix(0) << 16 | mix(1) << 8 | mix(2))
    }

    /// Black or white, whichever can be read better on it: black from the luminance on at which
    /// both stand out alike, as WCAG 2 defines it (0.05 is added to each of two luminances, and
    /// the larger divided by the smaller).
    pub(super) fn text(self) -> Self {
        if self.luminance() <= (1.05_f64 * 0.05).sqrt() - 0.05 { WHITE } else { BLACK }
    }

    fn luminance(self) -> f64 {
        let linear = |part: f64| {
            let part = part / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.parts().map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Red, green and blue.
    fn parts(self) -> [f64; 3] {
        let [_, red, green, blue] = self.0.to_be_bytes();
        [red, green, blue].map(f64::from)
    }
}

impl NodeLook {
    /// How to draw it.
    pub(super) fn style(self) -> NodeStyle {
        const BLUE: u32 = 0x2b5d9b;
        let look = |fill, rim, text, line| NodeStyle {
            fill: Colour(fill),
            rim: Colour(rim),
            text,
            line,
            double: false,
        };
        let shade = |Colour(fill)| look(fill, 0x333a41, Colour(fill).text(), Line::Solid);
        match self {
            Self::Plain | Self::Out(NodeState::Up) => look(0xe3edf9, BLUE, BLACK, Line::Solid),
            Self::Group(group) => look(GROUPS[group % GROUPS.len()], BLUE, BLACK, Line::Solid),
            Self::Out(NodeState::Silent) => look(0xfff0b8, 0x9a6200, BLACK, Line::Dotted),
            Self::Out(NodeState::Paused) => look(0xfff0b8, 0x9a6200, BLACK, Line::Dashed),
            Self::Out(NodeState::Down) => look(0x3c4046, 0x3c4046, WHITE, Line::Solid),
            Self::Out(NodeState::Removed) => {
                look(0xffffff, 0x8a929b, Colour(0x6a727b), Line::Dotted)
            }
            Self::Shade(colour) => shade(colour),
            Self::Origin(colour) => NodeStyle { double: true, ..shade(colour) },
            Self::Without => look(0xffffff, 0xc43c00, BLACK, Line::Dashed),
        }
    }
}

impl LinkLook {
    /// How to draw it.
    pub(super) fn style(self) -> LinkStyle {
        let (colour, width, line) = match self {
            Self::Plain => (0xa9b4c0, 0.8, Line::Solid),
            Self::Made => (0xd55e00, 2.2, Line::Solid),
            Self::Suspected => (0x9a6200, 1.2, Line::Dashed),
            Self::Gone => (0xa9b4c0, 0.7, Line::Dotted),
            Self::Faulty => (0x883388, 1.6, Line::Dashed),
            Self::Cut => (0xc81e1e, 1.0, Line::Dotted),
            Self::Tree => (0x333a41, 2.2, Line::Solid),
            Self::Pale => (0xc9d0d8, 0.6, Line::Solid),
        };
        LinkStyle { colour: Colour(colour), width, line, arrow: self == Self::Tree }
    }
}

/// A sample of each look in the picture: those of nodes that are out, after those in `words`.
pub(super) fn node_samples(nodes: &[Node], words: &[(NodeLook, &str)]) -> Vec<Sample> {
    let out = [
        (NodeLook::Out(NodeState::Silent), "does not answer"),
        (NodeLook::Out(NodeState::Paused), "paused"),
        (NodeLook::Out(NodeState::Down), "down"),
        (NodeLook::Out(NodeState::Removed), "removed"),
    ];
    let seen = |(look, _): &&(NodeLook, &str)| nodes.iter().any(|node| node.look == *look);
    let sample = |&(look, words): &(NodeLook, &str)| Sample::Node(look, words.into());
    words.iter().chain(&out).filter(seen).map(sample).collect()
}

/// A sample of each of these looks that is in the picture.
pub(super) fn link_samples(links: &[Link], words: &[(LinkLook, &str)]) -> Vec<Sample> {
    let seen = |(look, _): &&(LinkLook, &str)| links.iter().any(|link| link.look == *look);
    let sample = |&(look, words): &(LinkLook, &str)| Sample::Link(look, words.into());
    words.iter().filter(seen).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Colour {
        /// How well two colours stand out against each other, as WCAG 2 defines it: from 1 to 21.
        fn contrast(self, other: Self) -> f64 {
            let (a, b) = (self.luminance(), other.luminance());
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        }
    }

    #[test]
    fn a_number_can_be_read_on_every_shade() {
        for step in 0..=100 {
            let shade = Colour::shade(step, 100);
            assert!(shade.contrast(shade.text()) > 4.5, "{shade:?}");
        }
    }

    #[test]
    fn shades_grow_brighter_all_the_way() {
        let shades: Vec<f64> = (0..=16).map(|step| Colour::shade(step, 16).luminance()).collect();
        assert!(shades.is_sorted(), "{shades:?}");
        assert_eq!(Colour::shade(0, 0).hex(), "#440154");
        assert_eq!(Colour::shade(3, 3).hex(), "#fde725");
        assert_eq!(Colour::shade(9, 3).hex(), "#fde725");
    }

    #[test]
    fn a_number_can_be_read_on_every_face() {
        let groups = (0..4).map(NodeLook::Group);
        let others = [
            NodeLook::Plain,
            NodeLook::Out(NodeState::Silent),
            NodeLook::Out(NodeState::Paused),
            NodeLook::Out(NodeState::Down),
            NodeLook::Out(NodeState::Removed),
            NodeLook::Without,
        ];
        for look in groups.chain(others) {
            let style = look.style();
            assert!(style.fill.contrast(style.text) > 4.5, "{look:?}");
        }
    }
}
