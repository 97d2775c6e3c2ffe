//! A picture as Graphviz DOT, made to be drawn by plain `dot -Tpng FILE`.
//!
//! Every node gets its place here, pinned, so that any number of nodes is drawn at once and the
//! same way everywhere: Graphviz' own engines take seconds for a few hundred nodes, and draw a
//! ring as it likes. (Only `layout=neato` understands pinned places.)
//!
//! Links are thin and pale, and lie below the nodes, so that a number can always be read. Up to
//! a hundred links also go round the nodes that they don't belong to.

use super::look::{Colour, Line, LinkLook, NodeLook, Sample};
use super::{Arrangement, Link, Node, Picture, layout};

/// The picture as DOT.
#[must_use]
pub fn to_dot(picture: &Picture) -> String {
    let drawing = Drawing::of(picture);
    let defaults = drawing.defaults();
    let nodes = picture.nodes.iter().enumerate();
    let nodes: String = nodes.map(|(index, node)| drawing.node(index, node)).collect();
    let links: String = picture.links.iter().map(link_line).collect();
    format!(
        "// To see it: dot -Tsvg THIS_FILE > picture.svg\ngraph {{\n{defaults}{nodes}{links}}}\n"
    )
}

/// The most links that are led round nodes. 96 take 2 s, and 400 would take 100.
const ROUTED_LINKS_MAX: usize = 100;

/// The size of a node's number.
const NUMBER_POINTS: f64 = 11.0;

/// The longest side of the picture; larger ones are scaled down. A PNG has 96 pixels an inch.
const PICTURE_INCHES_MAX: f64 = 30.0;

/// The title's size on a picture of up to this many inches; it grows with larger ones.
const TITLE_POINTS: f64 = 14.0;
const TITLE_INCHES: f64 = 11.0;

/// A row of shades may get as wide as this many cells.
const LEGEND_CELLS: usize = 9;

struct Drawing<'a> {
    picture: &'a Picture,
    arrangement: Arrangement,
    /// The usual diameter.
    inches: f64,
    /// The size of the title.
    points: f64,
}

impl<'a> Drawing<'a> {
    fn of(picture: &'a Picture) -> Self {
        let arrangement = picture.arrangement();
        // Wide enough for the highest number in 11 point.
        let highest = picture.nodes.iter().map(|node| node.number).max().unwrap_or(1);
        let inches = 0.2 + 0.09 * highest.to_string().len() as f64;
        let ((left, top), (right, bottom)) = layout::extent(&arrangement.places);
        let longest = (right - left).max(bottom - top) * inches;
        let points = TITLE_POINTS * (longest / TITLE_INCHES).max(1.0);
        Self { picture, arrangement, inches, points }
    }

    /// The attributes of the whole picture, and those of nodes and links that have none of their own.
    fn defaults(&self) -> String {
        let routed = self.picture.links.len() <= ROUTED_LINKS_MAX && !self.picture.ring;
        let is_titled_only = self.picture.remarks.is_empty() && self.picture.legend.is_empty();
        let title = || format!("\"{}\"", quoted(&self.picture.title));
        let (node, link) = (NodeLook::Plain.style(), LinkLook::Plain.style());
        // Links come first, so that they lie below the nodes. All circles are alike, however many
        // digits they hold.
        format!(
            r#"  layout=neato;
  label={label};
  labelloc=t;
  fontname="Helvetica";
  fontsize={points};
  outputorder=edgesfirst;
  splines={splines};
  pad=0.2;
  size="{PICTURE_INCHES_MAX}";
  node [shape=circle, style=filled, fixedsize=true, width={inches}];
  node [color="{rim}", fillcolor="{fill}", fontname="Helvetica", fontsize={NUMBER_POINTS}];
  edge [color="{colour}", penwidth={width}];
"#,
            label = if is_titled_only { title() } else { self.html_label() },
            points = decimal(self.points),
            splines = if routed { "true" } else { "line" },
            inches = decimal(self.inches),
            rim = node.rim.hex(),
            fill = node.fill.hex(),
            colour = link.colour.hex(),
            width = decimal(link.width),
        )
    }

    /// `7 [pos="1,2!"];`, with what sets this node apart from others.
    fn node(&self, index: usize, node: &Node) -> String {
        let (style, plain) = (node.look.style(), NodeLook::Plain.style());
        let (x, y) = self.arrangement.places[index];
        // The exclamation mark pins the node there. Up is up in Graphviz.
        let place = format!("pos=\"{},{}!\"", decimal(x * self.inches), decimal(-y * self.inches));
        let mut attributes = vec![place];
        let diameter = self.arrangement.diameters[index];
        if diameter > 1.0 {
            attributes.push(format!("width={}", decimal(diameter * self.inches)));
            attributes.push(format!("fontsize={}", decimal(diameter * NUMBER_POINTS)));
        }
        for (name, colour, usual) in [
            ("fillcolor", style.fill, plain.fill),
            ("color", style.rim, plain.rim),
            ("fontcolor", style.text, plain.text),
        ] {
            if colour != usual {
                attributes.push(format!("{name}=\"{}\"", colour.hex()));
            }
        }
        if style.line != Line::Solid {
            attributes.push(format!("style=\"filled,{}\", penwidth=1.8", line(style.line)));
        }
        if style.double {
            attributes.push("peripheries=2, penwidth=2".into());
        }
        format!("  {} [{}];\n", node.number, attributes.join(", "))
    }

    /// The title, the remarks and the legend, one below the other.
    fn html_label(&self) -> String {
        let mut rows = vec![html_escaped(&self.picture.title)];
        rows.extend(self.picture.remarks.iter().map(|remark| self.small(&html_escaped(remark))));
        for row in &self.picture.legend {
            let row: Vec<String> = row.iter().map(|sample| self.sample(sample)).collect();
            rows.push(row.join("&#160;&#160;&#160; "));
        }
        let rows: String = rows.iter().map(|row| format!("<TR><TD>{row}</TD></TR>")).collect();
        format!("<<TABLE BORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"2\">{rows}</TABLE>>")
    }

    /// Text below the title is smaller than the title.
    fn small(&self, html: &str) -> String {
        format!("<FONT POINT-SIZE=\"{}\">{html}</FONT>", decimal(self.points * 0.8))
    }

    /// One thing in the legend. Signs in a line of text, since Graphviz draws tables apart.
    fn sample(&self, sample: &Sample) -> String {
        let line = |colour: Colour, sign: &str, words: &str| {
            let (colour, words) = (colour.hex(), html_escaped(words));
            self.small(&format!("<FONT COLOR=\"{colour}\">{sign}</FONT>&#160;{words}"))
        };
        match sample {
            Sample::Node(look, words) => {
                let style = look.style();
                match (style.line, style.double) {
                    (Line::Solid, false) => line(style.fill, "●", words),
                    (Line::Solid, true) => line(style.fill, "◉", words),
                    _ => line(style.rim, "◌", words),
                }
            }
            Sample::Link(look, words) => {
                let style = look.style();
                let sign = match (style.line, style.arrow) {
                    (_, true) => "━▶",
                    (Line::Solid, _) => "━━━",
                    (Line::Dashed, _) => "╍╍╍",
                    (Line::Dotted, _) => "┅┅┅",
                };
                line(style.colour, sign, words)
            }
            Sample::Shades(words, shades) => {
                let cells = shades.iter().map(|(on, text)| self.shade(*on, text));
                // Graphviz widens all cells alike: empty ones keep few shades from growing.
                let beside = "<TD></TD>".repeat(LEGEND_CELLS.saturating_sub(shades.len()) / 2);
                format!(
                    "<TABLE BORDER=\"0\" CELLSPACING=\"2\" CELLPADDING=\"2\"><TR>\
                     {beside}<TD>{}</TD>{}{beside}</TR></TABLE>",
                    self.small(&html_escaped(words)),
                    cells.collect::<String>()
                )
            }
        }
    }

    fn shade(&self, on: Colour, text: &str) -> String {
        let (ground, letters, text) = (on.hex(), on.text().hex(), html_escaped(text));
        let text = self.small(&format!("<FONT COLOR=\"{letters}\"> {text} </FONT>"));
        format!("<TD BORDER=\"1\" COLOR=\"#333a41\" BGCOLOR=\"{ground}\">{text}</TD>")
    }
}

/// `1 -- 2;`, with what sets this link apart from others.
fn link_line(link: &Link) -> String {
    let ends = format!("{} -- {}", link.from, link.to);
    if link.look == LinkLook::Plain {
        return format!("  {ends};\n");
    }
    let style = link.look.style();
    let width = decimal(style.width);
    let mut attributes = format!("color=\"{}\", penwidth={width}", style.colour.hex());
    if style.line != Line::Solid {
        attributes += &format!(", style={}", line(style.line));
    }
    if style.arrow {
        // The other links have no direction.
        attributes += ", dir=forward, arrowsize=0.7";
    }
    format!("  {ends} [{attributes}];\n")
}

fn line(line: Line) -> &'static str {
    match line {
        Line::Solid => "solid",
        Line::Dashed => "dashed",
        Line::Dotted => "dotted",
    }
}

/// Three digits after the point, and never `-0.000`.
fn decimal(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0 + 0.0;
    rounded.to_string()
}

/// For a quoted DOT string that is a label: neither the quotes, nor Graphviz' own escapes
/// (`\N`), nor its HTML entities (`&lt;`) may find anything in it.
fn quoted(text: &str) -> String {
    visible(text).replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

/// For a DOT label between angle brackets, or a page.
pub(super) fn html_escaped(text: &str) -> String {
    let text = visible(text).replace('&', "&amp;").replace('"', "&quot;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// Without characters that XML cannot hold: each becomes a space.
fn visible(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'), " ")
}

#[cfg(test)]
mod tests {
    use super::super::topology;
    use super::*;
    use crate::topology::{Kind, build};

    #[test]
    fn a_small_ring_is_written_like_this() {
        let (ring, _) = build(Kind::Circular, 3, 0).unwrap();
        let dot = to_dot(&topology(&ring, Kind::Circular, "demo"));
        let lines: Vec<&str> = dot.lines().map(str::trim).collect();
        assert!(lines.contains(&"graph {"));
        assert!(lines.contains(&"layout=neato;"));
        assert!(lines.contains(&"label=\"demo: circular, 3 nodes, 3 links\";"));
        let rest: Vec<&str> =
            lines.into_iter().filter(|line| line.starts_with(char::is_numeric)).collect();
        assert_eq!(
            rest,
            [
                "1 [pos=\"0,0.725!\"];",
                "2 [pos=\"0.628,-0.362!\"];",
                "3 [pos=\"-0.628,-0.363!\"];",
                "1 -- 2;",
                "1 -- 3;",
                "2 -- 3;",
            ]
        );
    }

    #[test]
    fn a_title_cannot_break_out_of_its_quotes() {
        assert_eq!(quoted("a\"; b\\N &lt;\n"), "a\\\"; b\\\\N &amp;lt; ");
        assert_eq!(html_escaped("</TD>\"&\n\u{ffff}"), "&lt;/TD&gt;&quot;&amp;  ");
    }
}
