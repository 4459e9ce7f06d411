// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tree as a picture that needs no other program: SVG, and a page around it.
//!
//! One row a node, indented by its depth, as `supctl status` shows it; lines lead from a supervisor
//! to its children. It decides where boxes stand and nothing else.

use super::{Inner, Item, fill, order};

/// Height and width of a box, the room between rows, and the step from a level to the next, in
/// pixels.
const HEIGHT: usize = 34;
const WIDTH: usize = 260;
const ROW: usize = 44;
const STEP: usize = 36;
const MARGIN: usize = 12;
/// About the width of a character at the size of the text.
const CHARACTER: usize = 8;

/// An SVG document.
pub(super) fn svg(items: &[Item]) -> String {
    let depths: Vec<usize> = (0..items.len()).map(|n| depth(items, n)).collect();
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let longest = items.iter().map(|item| label(item).chars().count()).max();
    let box_width = WIDTH.max(longest.unwrap_or(0) * CHARACTER + 2 * MARGIN);
    let width = 2 * MARGIN + deepest * STEP + box_width;
    let height = 2 * MARGIN + items.len() * ROW;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n"
    );
    for (row, item) in items.iter().enumerate() {
        if let Some(parent) = item.parent {
            let (from, x) = (corner(depths[parent], parent), corner(depths[row], row).0);
            let middle = corner(0, row).1 + HEIGHT / 2;
            text.push_str(&format!(
                "<path d=\"M{} {} V{middle} H{x}\" fill=\"none\" stroke=\"#888\"/>\n",
                from.0 + STEP / 2,
                from.1 + HEIGHT
            ));
        }
    }
    for (row, item) in items.iter().enumerate() {
        let (x, y) = corner(depths[row], row);
        let round = match item.inner {
            Inner::Service => 2,
            Inner::Ordered | Inner::Parallel => HEIGHT / 2,
        };
        text.push_str(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{box_width}\" height=\"{HEIGHT}\" rx=\"{round}\" \
             fill=\"{}\" stroke=\"#444\"/>\n",
            fill(item.mark)
        ));
        let number = order(items, item).map_or_else(String::new, |number| format!("{number}. "));
        text.push_str(&format!(
            "<text x=\"{}\" y=\"{}\">{number}{}</text>\n",
            x + MARGIN,
            y + HEIGHT / 2 + 5,
            entity(&label(item))
        ));
    }
    text.push_str("</svg>\n");
    text
}

/// A page that shows it, and takes nothing from elsewhere.
pub(super) fn html(items: &[Item]) -> String {
    let title = items.first().and_then(|item| item.lines.first());
    let title = entity(title.map_or("supd", String::as_str));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{title}</title>\n</head>\n<body>\n{}</body>\n</html>\n",
        svg(items)
    )
}

fn corner(depth: usize, row: usize) -> (usize, usize) {
    (MARGIN + depth * STEP, MARGIN + row * ROW)
}

/// Bounded by the depth of a tree.
fn depth(items: &[Item], n: usize) -> usize {
    std::iter::successors(items[n].parent, |at| items[*at].parent).count()
}

fn label(item: &Item) -> String {
    item.lines.join(" · ")
}

/// Text that XML takes for text.
fn entity(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
