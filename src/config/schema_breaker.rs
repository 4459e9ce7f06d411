// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys of breakers. What they mean is read elsewhere.

use super::schema::{Shape, shape, table, value};

/// `[breaker.NAME]`.
pub(super) static BREAKERS: Shape = Shape {
    each: Some(&BREAKER),
    ..shape("[breaker]", &[])
};
static BREAKER: Shape = Shape {
    later: &["running"],
    ..shape(
        "a breaker",
        &[
            value("failures"),
            value("open_for"),
            value("open_max"),
            table("probe", &BREAKER_PROBE),
            value("watch"),
            value("initial"),
            table("release", &RELEASE),
        ],
    )
};
static BREAKER_PROBE: Shape = Shape {
    rivals: &[&["exec", "tcp", "http", "unix", "file"]],
    ..shape(
        "the probe of a breaker",
        &[
            value("exec"),
            value("tcp"),
            value("http"),
            value("unix"),
            value("file"),
            value("timeout"),
        ],
    )
};
static RELEASE: Shape = shape("`release`", &[value("batch"), value("every")]);
/// `hold_after` of a service.
pub(super) static HOLD_AFTER: Shape = shape(
    "`hold_after`",
    &[value("failures"), value("open_for"), value("open_max")],
);
