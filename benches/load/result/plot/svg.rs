//! SVG by hand: a few shapes with classes, and the colours that go with them in light and dark.

use std::fmt::{Display, Write as _};

/// A drawing.
#[derive(Debug, Clone)]
pub struct Svg {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

/// Where a text's place is in it.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// At its begin.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

/// Colours and letters of a drawing: `s0` to `s5` are those of the subjects.
pub const STYLE: &str = include_str!("style.css");

impl Svg {
    /// An empty drawing of so many pixels, with a title for whoever cannot see it.
    #[must_use]
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        Self { width, height, title: title.to_owned(), body: String::new() }
    }

    /// Writes a text with its baseline at `y`.
    pub fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: Anchor, text: impl Display) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(&text.to_string());
        let _ =
            writeln!(self.body, r#"<text x="{x:.1}" y="{y:.1}" class="{class}" text-anchor="{anchor}">{text}</text>"#);
    }

    /// Draws a line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let _ = writeln!(self.body, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#);
    }

    /// Draws a filled rectangle.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}" rx="2" class="{class}"/>"#,
            width.max(0.0)
        );
    }

    /// Draws a dot.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        let _ = writeln!(self.body, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" class="{class}"/>"#);
    }

    /// Draws straight lines from point to point.
    pub fn polyline(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.body, r#"<polyline points="{}" class="{class}"/>"#, points.join(" "));
    }

    /// As part of a page that has [`STYLE`].
    #[must_use]
    pub fn inline(&self) -> String {
        self.with("")
    }

    /// As a file of its own. Its colours are literal: few programs but browsers know variables, and where they are not known
    /// everything is black.
    #[must_use]
    pub fn standalone(&self) -> String {
        let style = literal(STYLE);
        self.with(&format!(
            "<style>\n{style}</style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" class=\"paper\"/>\n"
        ))
    }

    fn with(&self, head: &str) -> String {
        let Self { width, height, title, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             class=\"chart\">\n<title>{}</title>\n{head}{body}</svg>\n",
            escape(title)
        )
    }
}

/// A style without variables: its rules with the colours for light, and those that have colours again with the ones for dark.
fn literal(style: &str) -> String {
    let (palettes, rules): (Vec<&str>, Vec<&str>) = style.lines().partition(|line| line.contains("--paper:"));
    let [light, dark] = [0, 1].map(|at| palette(palettes.get(at).copied().unwrap_or_default()));
    let mut out = String::new();
    for rule in &rules {
        let _ = writeln!(out, "{}", coloured(rule, &light));
    }
    out.push_str("@media (prefers-color-scheme: dark) {\n");
    for rule in rules.iter().filter(|rule| rule.contains("var(")) {
        let _ = writeln!(out, "{}", coloured(rule, &dark));
    }
    out.push_str("}\n");
    out
}

/// The variables that a line sets, with their values.
fn palette(line: &str) -> Vec<(&str, &str)> {
    let inner = line.rsplit('{').next().unwrap_or_default().split('}').next().unwrap_or_default();
    inner.split(';').filter_map(|pair| pair.trim().split_once(": ")).collect()
}

fn coloured(rule: &str, palette: &[(&str, &str)]) -> String {
    palette.iter().fold(rule.to_owned(), |rule, (name, value)| rule.replace(&format!("var({name})"), value))
}

/// Text as it stands in XML and HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_file_cannot_leave_its_place() {
        let mut svg = Svg::new(10.0, 10.0, "<script>");
        svg.text((0.0, 0.0), "label", Anchor::Start, "a<b & \"c\"");
        let text = svg.standalone();
        assert!(text.contains("&lt;script&gt;") && text.contains("a&lt;b &amp; &quot;c&quot;"));
        assert!(!text.contains("<script"));
    }

    #[test]
    fn a_file_of_its_own_has_literal_colours_for_light_and_dark() {
        let text = Svg::new(10.0, 10.0, "t").standalone();
        assert!(!text.contains("var(") && !text.contains("--"), "{text}");
        let (light, dark) = text.split_once("@media (prefers-color-scheme: dark)").unwrap();
        for (rule, colours) in
            [("svg .paper { fill: ", ["#ffffff", "#12161f"]), ("svg .soft { fill: ", ["#5c6577", "#98a3b8"])]
        {
            assert!(
                light.contains(&format!("{rule}{}", colours[0])) && dark.contains(&format!("{rule}{}", colours[1])),
                "{text}"
            );
        }
        for class in 0..6 {
            assert!(light.contains(&format!("svg rect.s{class}, svg circle.s{class} {{ fill: #")), "{class}");
        }
        assert!(light.contains("fill: #1c2230; }"), "texts");
    }

    #[test]
    fn the_drawings_of_the_documentation_are_drawn_so() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plots");
        let mut drawings = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(text.contains(&literal(STYLE)), "draw docs/plots anew: their style is another");
            drawings += 1;
        }
        assert!(drawings > 0);
    }
}
