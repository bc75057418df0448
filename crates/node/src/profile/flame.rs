//! A flame graph as one SVG without scripts: it opens anywhere, also under a strict content policy.
//! Widths are shares of the samples; each box says in its title what it stands for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Profiled;
use super::text::duration;

const WIDTH: f64 = 1_200.0;
const ROW: f64 = 17.0;
const TOP: f64 = 44.0;
/// Boxes narrower than this are left out.
const NARROWEST: f64 = 0.4;
const LETTER: f64 = 6.6;
const DEPTH_MAX: usize = 200;

#[derive(Default)]
struct Node {
    count: u64,
    children: BTreeMap<u32, Node>,
}

pub(super) fn svg(profiled: &Profiled) -> String {
    let mut root = Node::default();
    for (stack, count) in &profiled.profile.stacks {
        root.count += count;
        let mut node = &mut root;
        for frame in stack.iter().take(DEPTH_MAX) {
            node = node.children.entry(*frame).or_default();
            node.count += count;
        }
    }
    let depth = depth(&root);
    let height = TOP + ROW * (depth as f64 + 1.0) + 10.0;
    let profile = &profiled.profile;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"ui-monospace,Menlo,Consolas,monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"18\" font-size=\"14\">{}</text>\n\
         <text x=\"8\" y=\"34\" fill=\"#555\">{} samples over {} replays, {} of computing in one \
         run</text>\n",
        escape(&profiled.name()),
        root.count,
        profile.replays,
        duration((profile.busy / profile.replays.max(1)).as_nanos() as f64),
    );
    let scale = WIDTH / root.count.max(1) as f64;
    let all = Box_ { name: "all", place: String::new(), count: root.count, x: 0.0, y: TOP };
    let painter = Painter { profiled, scale, total: root.count };
    painter.paint(&mut svg, &all);
    painter.children(&mut svg, &root, (0.0, TOP + ROW));
    svg.push_str("</svg>\n");
    svg
}

fn depth(node: &Node) -> usize {
    node.children.values().map(|child| 1 + depth(child)).max().unwrap_or(0)
}

struct Box_<'a> {
    name: &'a str,
    place: String,
    count: u64,
    x: f64,
    y: f64,
}

struct Painter<'a> {
    profiled: &'a Profiled,
    scale: f64,
    total: u64,
}

impl Painter<'_> {
    fn children(&self, svg: &mut String, node: &Node, (mut x, y): (f64, f64)) {
        for (number, child) in &node.children {
            let frame = &self.profiled.profile.frames[*number as usize];
            let place = match (&frame.file, frame.line) {
                (Some(file), Some(line)) => format!(" at {file}:{line}"),
                (Some(file), None) => format!(" in {file}"),
                _ => String::new(),
            };
            let (name, count) = (frame.function.as_str(), child.count);
            self.paint(svg, &Box_ { name, place, count, x, y });
            self.children(svg, child, (x, y + ROW));
            x += child.count as f64 * self.scale;
        }
    }

    fn paint(&self, svg: &mut String, item: &Box_<'_>) {
        let width = item.count as f64 * self.scale;
        if width < NARROWEST {
            return;
        }
        let Box_ { x, y, name, .. } = *item;
        let percent = 100.0 * item.count as f64 / self.total.max(1) as f64;
        let time = duration(
            item.count as f64 * self.profiled.sample_ns()
                / f64::from(self.profiled.profile.replays.max(1)),
        );
        let _ = write!(
            svg,
            "<g><title>{}{}: {percent:.1} %, {time}</title><rect x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{:.1}\" rx=\"1\" fill=\"{}\"/>",
            escape(name),
            escape(&item.place),
            ROW - 1.0,
            colour(name),
        );
        let room = ((width - 6.0) / LETTER) as usize;
        if room >= 3 {
            let short: String = match name.chars().count() {
                length if length <= room => name.to_owned(),
                length => {
                    // The end of a path says more than its beginning.
                    let end: String = name.chars().skip(length - (room - 1)).collect();
                    format!("…{end}")
                }
            };
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 3.0,
                y + ROW - 5.0,
                escape(&short)
            );
        }
        svg.push_str("</g>\n");
    }
}

/// The same colour for the same function, warm ones.
fn colour(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    format!("hsl({},{}%,{}%)", 20 + hash % 35, 75 + (hash >> 8) % 20, 62 + (hash >> 16) % 12)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
