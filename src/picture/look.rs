//! What stands for what: colours, lines and dashes, the same in every picture.
//!
//! Nothing is told by colour alone: whatever is out of order also has another line. The colours
//! are told apart with any kind of colour vision, and numbers can be read on each of them.

use crate::protocol::NodeRanges;

/// How a node looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeLook {
    /// Nothing special.
    Plain,
    /// In this group of a partition, counted from 0.
    Group(usize),
    /// Its process is there and does not answer.
    Silent,
    /// Its process was stopped where it is.
    Paused,
    /// Its process is gone.
    Down,
    /// It left.
    Removed,
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
    /// One of its ends has doubts about the other.
    Doubted,
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

/// A colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// Whether a line is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It is.
    Solid,
    /// It has short gaps.
    Dashed,
    /// It is gaps mostly.
    Dotted,
}

/// How to draw a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStyle {
    /// Its face.
    pub fill: Colour,
    /// Its rim.
    pub rim: Colour,
    /// Its number.
    pub text: Colour,
    /// How the rim is drawn.
    pub line: Line,
    /// Whether it has two rims.
    pub double: bool,
}

/// How to draw a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStyle {
    /// Its colour.
    pub colour: Colour,
    /// Its width in tenths of a point.
    pub tenths: u32,
    /// How it is drawn.
    pub line: Line,
    /// Whether it points to its second end.
    pub arrow: bool,
}

const WHITE: Colour = Colour(0xff, 0xff, 0xff);
const BLACK: Colour = Colour(0, 0, 0);
const GREY: Colour = Colour(0x8a, 0x92, 0x9b);

/// The faces of a partition's groups; more groups begin anew.
const GROUPS: [Colour; 4] = [
    Colour(0xcf, 0xe2, 0xf7),
    Colour(0xfb, 0xdf, 0xb6),
    Colour(0xcd, 0xec, 0xda),
    Colour(0xf0, 0xd3, 0xe8),
];

/// Viridis (Smith and van der Walt, 2015) at eleven points: dark to bright, even to the eye, and
/// in the same order for those who see fewer colours.
const SHADES: [Colour; 11] = [
    Colour(0x44, 0x01, 0x54),
    Colour(0x48, 0x24, 0x75),
    Colour(0x41, 0x44, 0x87),
    Colour(0x35, 0x5f, 0x8d),
    Colour(0x2a, 0x78, 0x8e),
    Colour(0x21, 0x91, 0x8c),
    Colour(0x22, 0xa8, 0x84),
    Colour(0x44, 0xbf, 0x70),
    Colour(0x7a, 0xd1, 0x51),
    Colour(0xbd, 0xdf, 0x26),
    Colour(0xfd, 0xe7, 0x25),
];

impl Colour {
    /// `#0a1b2c`.
    #[must_use]
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// The shade of `step` steps of `steps`: dark for the first, bright for the last.
    #[must_use]
    pub fn shade(step: u32, steps: u32) -> Self {
        let last = SHADES.len() - 1;
        let at = f64::from(step.min(steps)) / f64::from(steps.max(1)) * last as f64;
        // `at` is from 0 to 10.
        let low = (at as usize).min(last - 1);
        let share = at - low as f64;
        let mix = |a: u8, b: u8| (f64::from(a) * (1.0 - share) + f64::from(b) * share) as u8;
        let (a, b) = (SHADES[low], SHADES[low + 1]);
        Self(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
    }

    /// Black or white, whatever can be read better on it.
    #[must_use]
    pub fn text(self) -> Self {
        if self.contrast(WHITE) >= self.contrast(BLACK) { WHITE } else { BLACK }
    }

    /// How well two colours stand out against each other, as WCAG 2 defines it: from 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

impl NodeLook {
    /// How to draw it.
    #[must_use]
    pub fn style(self) -> NodeStyle {
        let blue = Colour(0x2b, 0x5d, 0x9b);
        let plain = NodeStyle {
            fill: Colour(0xe3, 0xed, 0xf9),
            rim: blue,
            text: BLACK,
            line: Line::Solid,
            double: false,
        };
        let amber = Colour(0x9a, 0x62, 0x00);
        let shade = |fill: Colour| NodeStyle {
            fill,
            rim: Colour(0x33, 0x3a, 0x41),
            text: fill.text(),
            ..plain
        };
        match self {
            Self::Plain => plain,
            Self::Group(group) => NodeStyle { fill: GROUPS[group % GROUPS.len()], ..plain },
            Self::Silent => NodeStyle {
                fill: Colour(0xff, 0xf0, 0xb8),
                rim: amber,
                line: Line::Dotted,
                ..plain
            },
            Self::Paused => NodeStyle {
                fill: Colour(0xff, 0xf0, 0xb8),
                rim: amber,
                line: Line::Dashed,
                ..plain
            },
            Self::Down => {
                let dark = Colour(0x3c, 0x40, 0x46);
                NodeStyle { fill: dark, rim: dark, text: WHITE, ..plain }
            }
            Self::Removed => NodeStyle {
                fill: WHITE,
                rim: GREY,
                text: Colour(0x6a, 0x72, 0x7b),
                line: Line::Dotted,
                ..plain
            },
            Self::Shade(colour) => shade(colour),
            Self::Origin(colour) => NodeStyle { double: true, ..shade(colour) },
            Self::Without => NodeStyle {
                fill: WHITE,
                rim: Colour(0xc4, 0x3c, 0x00),
                line: Line::Dashed,
                ..plain
            },
        }
    }
}

impl LinkLook {
    /// How to draw it.
    #[must_use]
    pub fn style(self) -> LinkStyle {
        let grey = Colour(0xa9, 0xb4, 0xc0);
        let plain = LinkStyle { colour: grey, tenths: 8, line: Line::Solid, arrow: false };
        match self {
            Self::Plain => plain,
            Self::Made => LinkStyle { colour: Colour(0xd5, 0x5e, 0x00), tenths: 22, ..plain },
            Self::Doubted => LinkStyle {
                colour: Colour(0x9a, 0x62, 0x00),
                tenths: 12,
                line: Line::Dashed,
                ..plain
            },
            Self::Gone => LinkStyle { tenths: 7, line: Line::Dotted, ..plain },
            Self::Faulty => LinkStyle {
                colour: Colour(0x88, 0x33, 0x88),
                tenths: 16,
                line: Line::Dashed,
                ..plain
            },
            Self::Cut => LinkStyle {
                colour: Colour(0xc8, 0x1e, 0x1e),
                tenths: 10,
                line: Line::Dotted,
                ..plain
            },
            Self::Tree => {
                LinkStyle { colour: Colour(0x33, 0x3a, 0x41), tenths: 22, arrow: true, ..plain }
            }
            Self::Pale => LinkStyle { colour: Colour(0xc9, 0xd0, 0xd8), tenths: 6, ..plain },
        }
    }
}

/// Whether these ranges cover this node; no ranges cover all.
pub(super) fn covers(ranges: &NodeRanges, node: u32) -> bool {
    ranges.is_empty() || ranges.iter().any(|(first, last)| (*first..=*last).contains(&node))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            NodeLook::Silent,
            NodeLook::Paused,
            NodeLook::Down,
            NodeLook::Removed,
            NodeLook::Without,
        ];
        for look in groups.chain(others) {
            let style = look.style();
            assert!(style.fill.contrast(style.text) > 4.5, "{look:?}");
        }
    }
}
