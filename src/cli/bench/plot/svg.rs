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

    /// As a file of its own.
    #[must_use]
    pub fn standalone(&self) -> String {
        self.with(&format!(
            "<style>\n{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" class=\"paper\"/>\n"
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
}
