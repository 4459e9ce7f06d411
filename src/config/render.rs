// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture of a diagnostic: message, source line, underline, help.
//!
//! What comes from a file is shown with control characters made visible, so that a configuration
//! cannot drive a terminal, and with hidden literals masked.

use super::diagnostic::{Diagnostic, Label, Severity, Sources, floor_char};
use std::fmt::Write as _;
use std::ops::Range;

/// How a picture is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences colour it.
    pub color: Color,
    /// Which lines it is drawn with.
    pub charset: Charset,
}

impl Style {
    /// Unicode lines without colour.
    pub const PLAIN: Self = Self {
        color: Color::Never,
        charset: Charset::Unicode,
    };
}

/// Whether escape sequences colour a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// No escape sequences.
    Never,
    /// ECMA-48 colours.
    Ansi,
}

/// Which lines a picture is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Box drawing characters.
    Unicode,
    /// What every terminal has.
    Ascii,
}

struct Glyphs {
    open: &'static str,
    next: &'static str,
    bar: &'static str,
    end: &'static str,
    first: &'static str,
    other: &'static str,
    cut: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    open: "╭▸",
    next: "├▸",
    bar: "│",
    end: "╰",
    first: "━",
    other: "─",
    cut: "…",
};
const ASCII: Glyphs = Glyphs {
    open: "-->",
    next: "-->",
    bar: "|",
    end: "=",
    first: "^",
    other: "-",
    cut: "...",
};

/// Characters of a source line shown at most; longer ones are cut around the mark.
const LINE_SHOWN: usize = 110;

/// Draws all diagnostics, each ended by an empty line.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        draw(&mut out, diagnostic, sources, style);
        out.push('\n');
    }
    out
}

fn draw(out: &mut String, diagnostic: &Diagnostic, sources: &Sources, style: Style) {
    let glyphs = match style.charset {
        Charset::Unicode => &UNICODE,
        Charset::Ascii => &ASCII,
    };
    let tone = match diagnostic.severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
    };
    let word = diagnostic.severity.as_str();
    let head = paint(style, tone, &format!("{word}[{}]", diagnostic.code));
    let message = visible(&diagnostic.message);
    put(out, &format!("{head}: {}\n", paint(style, "1", &message)));
    let widest = diagnostic.labels.iter().map(|l| l.line).max().unwrap_or(1);
    let gutter = widest.to_string().len();
    for (n, label) in diagnostic.labels.iter().enumerate() {
        let open = if n == 0 { glyphs.open } else { glyphs.next };
        let place = format!("{}:{}:{}", label.file.display(), label.line, label.column);
        let pad = " ".repeat(gutter + 1);
        put(out, &format!("{pad}{open} {}\n", visible(&place)));
        let (line, before, width) = excerpt(label, sources, glyphs);
        put(
            out,
            &format!("{:>gutter$} {} {line}\n", label.line, glyphs.bar),
        );
        let stroke = if n == 0 { glyphs.first } else { glyphs.other };
        let mark = paint(style, tone, &stroke.repeat(width));
        let text = visible(&label.text);
        let marked = format!("{pad}{} {}{mark} {text}", glyphs.bar, " ".repeat(before));
        put(out, marked.trim_end());
        out.push('\n');
    }
    if let Some(help) = &diagnostic.help {
        let pad = " ".repeat(gutter + 1);
        let help = help.lines().map(visible).collect::<Vec<_>>();
        let joined = help.join(&format!("\n{pad}        "));
        put(
            out,
            &format!(
                "{pad}{} {} {joined}\n",
                glyphs.end,
                paint(style, "1;36", "help:")
            ),
        );
    }
}

fn put(out: &mut String, text: &str) {
    out.push_str(text);
}

fn paint(style: Style, tone: &str, text: &str) -> String {
    match style.color {
        Color::Never => text.to_owned(),
        Color::Ansi => format!("\u{1b}[{tone}m{text}\u{1b}[0m"),
    }
}

/// The line of a label ready to be shown, the columns before the mark, the width of the mark.
fn excerpt(label: &Label, sources: &Sources, glyphs: &Glyphs) -> (String, usize, usize) {
    let Some((text, hidden)) = sources.shown(&label.file) else {
        return (String::new(), 0, 1);
    };
    let start = floor_char(text, label.span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |n| n + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    let end = floor_char(text, label.span.end).clamp(start, line_end);
    let mask = |range: Range<usize>| masked(text, range, &hidden);
    let before = mask(line_start..start);
    let marked = mask(start..end);
    let after = mask(end..line_end);
    let width = marked.chars().count().max(1);
    let count = before.chars().count();
    let all = format!("{before}{marked}{}", after.trim_end());
    if all.chars().count() <= LINE_SHOWN {
        return (all, count, width);
    }
    let from = count.saturating_sub(LINE_SHOWN / 2);
    let window: String = all.chars().skip(from).take(LINE_SHOWN).collect();
    let lead = if from == 0 { "" } else { glyphs.cut };
    let width = width.min(LINE_SHOWN - (count - from)).max(1);
    let line = format!("{lead}{window}{}", glyphs.cut);
    (line, lead.chars().count() + count - from, width)
}

/// A piece of the text, hidden bytes replaced, control characters made visible.
fn masked(text: &str, range: Range<usize>, hidden: &[Range<usize>]) -> String {
    let mut out = String::new();
    for (at, c) in text[range.clone()].char_indices() {
        let at = at + range.start;
        if hidden.iter().any(|h| h.contains(&at)) {
            out.push('*');
        } else {
            push_visible(&mut out, c);
        }
    }
    out
}

fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_visible(&mut out, c);
    }
    out
}

fn push_visible(out: &mut String, c: char) {
    match c {
        '\t' => out.push_str("    "),
        '\r' => {}
        // Directional marks can make a line read as something else.
        c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) => {
            let _infallible = write!(out, "{}", c.escape_unicode());
        }
        c => out.push(c),
    }
}
