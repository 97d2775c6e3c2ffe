//! A picture as Graphviz DOT, made to be drawn by plain `dot -Tpng FILE`.
//!
//! Every node gets its place here, pinned, so that any number of nodes is drawn at once and the
//! same way everywhere: Graphviz' own engines take seconds for a few hundred nodes, and draw a
//! ring as it likes. (`layout=neato` is what understands pinned places.)
//!
//! Links are thin and pale, and lie below the nodes, so that a number can always be read. Up to
//! a hundred links also go round the nodes that they don't belong to.

use dot_writer::{Attributes, DotWriter, Scope, Shape, Style};

use super::look::{Colour, Line, LinkLook, NodeLook, Sample};
use super::{Arrangement, Link, Node, Picture, layout};

/// The picture as DOT.
#[must_use]
pub fn to_dot(picture: &Picture) -> String {
    Drawing::of(picture).to_dot()
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
        let inches = diameter_inches(picture.nodes.iter().map(|node| node.number).max());
        let ((left, top), (right, bottom)) = layout::extent(&arrangement.places);
        let longest = (right - left).max(bottom - top) * inches;
        let points = TITLE_POINTS * (longest / TITLE_INCHES).max(1.0);
        Self { picture, arrangement, inches, points }
    }

    fn to_dot(&self) -> String {
        let mut bytes = b"// To see it: dot -Tsvg THIS_FILE > picture.svg\n".to_vec();
        {
            let mut writer = DotWriter::from(&mut bytes);
            let mut scope = writer.graph();
            self.write_defaults(&mut scope);
            for (index, node) in self.picture.nodes.iter().enumerate() {
                self.write_node(&mut scope, index, node);
            }
            for link in &self.picture.links {
                write_link(&mut scope, link);
            }
        }
        String::from_utf8(bytes).expect("the writer is given strings and adds ASCII")
    }

    fn write_defaults(&self, scope: &mut Scope<'_, '_>) {
        let routed = self.picture.links.len() <= ROUTED_LINKS_MAX && !self.picture.ring;
        scope.set("layout", "neato", false);
        if self.picture.remarks.is_empty() && self.picture.legend.is_empty() {
            scope.set_label(&quoted(&self.picture.title));
        } else {
            scope.set_html(&self.html_label());
        }
        scope
            .set("labelloc", "t", false)
            .set_font("Helvetica")
            .set("fontsize", &decimal(self.points), false)
            // Links first, so that they lie below the nodes.
            .set("outputorder", "edgesfirst", false)
            .set("splines", if routed { "true" } else { "line" }, false)
            .set("pad", "0.2", false)
            .set("size", &decimal(PICTURE_INCHES_MAX), true);
        let plain = NodeLook::Plain.style();
        scope
            .node_attributes()
            .set_shape(Shape::Circle)
            .set_style(Style::Filled)
            // All circles alike, however many digits they hold.
            .set("fixedsize", "true", false)
            .set("width", &decimal(self.inches), false)
            .set("color", &plain.rim.hex(), true)
            .set("fillcolor", &plain.fill.hex(), true)
            .set_font("Helvetica")
            .set_font_size(NUMBER_POINTS as f32);
        let plain = LinkLook::Plain.style();
        scope.edge_attributes().set("color", &plain.colour.hex(), true).set(
            "penwidth",
            &tenths(plain.tenths),
            false,
        );
    }

    fn write_node(&self, scope: &mut Scope<'_, '_>, index: usize, node: &Node) {
        let (style, plain) = (node.look.style(), NodeLook::Plain.style());
        let mut written = scope.node_named(node.number.to_string());
        let diameter = self.arrangement.diameters[index];
        if diameter > 1.0 {
            written.set("width", &decimal(diameter * self.inches), false);
            written.set("fontsize", &decimal(diameter * NUMBER_POINTS), false);
        }
        let (x, y) = self.arrangement.places[index];
        // The exclamation mark pins the node there. Up is up in Graphviz.
        let place = format!("{},{}!", decimal(x * self.inches), decimal(-y * self.inches));
        written.set("pos", &place, true);
        if style.fill != plain.fill {
            written.set("fillcolor", &style.fill.hex(), true);
        }
        if style.rim != plain.rim {
            written.set("color", &style.rim.hex(), true);
        }
        if style.text != plain.text {
            written.set("fontcolor", &style.text.hex(), true);
        }
        if style.line != Line::Solid {
            written.set("style", &format!("filled,{}", line(style.line)), true);
            written.set("penwidth", "1.8", false);
        }
        if style.double {
            written.set("peripheries", "2", false).set("penwidth", "2", false);
        }
    }

    /// The title, the remarks and the legend, one below the other.
    fn html_label(&self) -> String {
        let mut html = String::from("<<TABLE BORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"2\">");
        html.push_str(&format!("<TR><TD>{}</TD></TR>", html_escaped(&self.picture.title)));
        let small = decimal(self.points * 0.8);
        for remark in &self.picture.remarks {
            let remark = html_escaped(remark);
            html.push_str(&format!(
                "<TR><TD><FONT POINT-SIZE=\"{small}\">{remark}</FONT></TD></TR>"
            ));
        }
        for row in &self.picture.legend {
            let row: Vec<String> = row.iter().map(|sample| self.sample(sample)).collect();
            html.push_str(&format!("<TR><TD>{}</TD></TR>", row.join("&#160;&#160;&#160; ")));
        }
        html + "</TABLE>>"
    }

    /// One thing in the legend. Signs in a line of text, since Graphviz draws tables apart.
    fn sample(&self, sample: &Sample) -> String {
        let size = decimal(self.points * 0.8);
        let line = |colour: Colour, sign: &str, words: &str| {
            format!(
                "<FONT POINT-SIZE=\"{size}\"><FONT COLOR=\"{}\">{sign}</FONT>&#160;{}</FONT>",
                colour.hex(),
                html_escaped(words)
            )
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
                let cells: Vec<String> =
                    shades.iter().map(|(on, text)| self.shade(*on, text)).collect();
                // Graphviz widens all cells alike: empty ones keep few shades from growing.
                let beside = "<TD></TD>".repeat(LEGEND_CELLS.saturating_sub(cells.len()) / 2);
                format!(
                    "<TABLE BORDER=\"0\" CELLSPACING=\"2\" CELLPADDING=\"2\"><TR>\
                     {beside}<TD><FONT POINT-SIZE=\"{size}\">{}</FONT></TD>{}{beside}</TR></TABLE>",
                    html_escaped(words),
                    cells.concat()
                )
            }
        }
    }

    fn shade(&self, on: Colour, text: &str) -> String {
        format!(
            "<TD BORDER=\"1\" COLOR=\"#333a41\" BGCOLOR=\"{}\"><FONT COLOR=\"{}\" \
             POINT-SIZE=\"{}\"> {} </FONT></TD>",
            on.hex(),
            on.text().hex(),
            decimal(self.points * 0.8),
            html_escaped(text)
        )
    }
}

fn write_link(scope: &mut Scope<'_, '_>, link: &Link) {
    let edges = scope.edge(link.from.to_string(), link.to.to_string());
    let (style, plain) = (link.look.style(), LinkLook::Plain.style());
    if style == plain {
        return;
    }
    let mut written = edges.attributes();
    written.set("color", &style.colour.hex(), true);
    written.set("penwidth", &tenths(style.tenths), false);
    if style.line != Line::Solid {
        written.set("style", line(style.line), false);
    }
    if style.arrow {
        // The other links have no direction.
        written.set("dir", "forward", false).set("arrowsize", "0.7", false);
    }
}

fn line(line: Line) -> &'static str {
    match line {
        Line::Solid => "solid",
        Line::Dashed => "dashed",
        Line::Dotted => "dotted",
    }
}

/// Wide enough for the highest number in 11 point.
fn diameter_inches(highest: Option<u32>) -> f64 {
    let digits = highest.unwrap_or(1).to_string().len();
    0.2 + 0.09 * digits as f64
}

/// Three digits after the point, and never `-0.000`.
fn decimal(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0 + 0.0;
    rounded.to_string()
}

fn tenths(tenths: u32) -> String {
    decimal(f64::from(tenths) / 10.0)
}

/// For a quoted DOT string that is a label: neither the quotes, nor Graphviz' own escapes
/// (`\N`), nor its HTML entities (`&lt;`) may find anything in it.
fn quoted(text: &str) -> String {
    visible(text).replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

/// For a DOT label between angle brackets.
fn html_escaped(text: &str) -> String {
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
