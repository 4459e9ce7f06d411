// SPDX-License-Identifier: MIT OR Apache-2.0
//! `${V}`, `${V:-default}`, `${V:?message}` and `$$`, in one pass over one string.
//!
//! What is put in is never looked at again, so that no value can smuggle in a variable. A `$`
//! before anything else stays as it is.

use super::scalar::is_variable;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Text(Box<str>),
    /// A file read at spawn; its contents must not get anywhere else.
    Secret,
    Nothing,
}

/// Why a string cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// `${` without `}`.
    Open,
    /// What stands between the braces is none of the forms.
    Form(String),
    Undefined(String),
    /// `${V:?message}` without `V`.
    Required(String, String),
    Secret(String),
}

/// Completes `text`; all problems of the string at once.
pub(super) fn complete(
    text: &str,
    find: &mut dyn FnMut(&str) -> Found,
) -> Result<Box<str>, Vec<Problem>> {
    if !text.contains('$') {
        return Ok(Box::from(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("$$") {
            out.push('$');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix("${") {
            let Some(end) = tail.find('}') else {
                problems.push(Problem::Open);
                return Err(problems);
            };
            match substitute(&tail[..end], find) {
                Ok(value) => out.push_str(&value),
                Err(problem) => problems.push(problem),
            }
            rest = &tail[end + 1..];
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    if problems.is_empty() {
        Ok(out.into_boxed_str())
    } else {
        Err(problems)
    }
}

enum Otherwise<'a> {
    Fail,
    Use(&'a str),
    Demand(&'a str),
}

/// `inside` stands between the braces.
fn substitute(inside: &str, find: &mut dyn FnMut(&str) -> Found) -> Result<Box<str>, Problem> {
    let (name, otherwise) = match inside.split_once(':') {
        None => (inside, Otherwise::Fail),
        Some((name, tail)) => match (tail.strip_prefix('-'), tail.strip_prefix('?')) {
            (Some(default), _) => (name, Otherwise::Use(default)),
            (_, Some(message)) => (name, Otherwise::Demand(message)),
            (None, None) => return Err(Problem::Form(inside.to_owned())),
        },
    };
    let nested = matches!(otherwise, Otherwise::Use(default) if default.contains("${"));
    if nested || !is_variable(name) {
        return Err(Problem::Form(inside.to_owned()));
    }
    // As in sh(1), the forms with a colon take an empty value for none.
    match (find(name), otherwise) {
        (Found::Secret, _) => Err(Problem::Secret(name.to_owned())),
        (Found::Text(value), Otherwise::Fail) => Ok(value),
        (Found::Text(value), _) if !value.is_empty() => Ok(value),
        (_, Otherwise::Use(default)) => Ok(Box::from(default)),
        (_, Otherwise::Demand(message)) => {
            Err(Problem::Required(name.to_owned(), message.to_owned()))
        }
        (Found::Nothing, Otherwise::Fail) => Err(Problem::Undefined(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Box<str>, Vec<Problem>> {
        complete(text, &mut |name| match name {
            "A" => Found::Text("${B}".into()),
            "EMPTY" => Found::Text("".into()),
            "KEY" => Found::Secret,
            _ => Found::Nothing,
        })
    }

    #[test]
    fn a_value_is_put_in_once_and_never_read_again() {
        assert_eq!(run("x${A}y").as_deref(), Ok("x${B}y"));
        assert_eq!(run("$${A} $5 $").as_deref(), Ok("${A} $5 $"));
        assert_eq!(run("${EMPTY}|${EMPTY:-d}|${NONE:-}").as_deref(), Ok("|d|"));
    }

    #[test]
    fn every_problem_of_a_string_is_found() {
        let problems =
            run("${N} ${KEY} ${x y} ${M:?say} ${A-b} ${B:-${A}} ${").expect_err("broken");
        assert_eq!(
            problems,
            [
                Problem::Undefined("N".into()),
                Problem::Secret("KEY".into()),
                Problem::Form("x y".into()),
                Problem::Required("M".into(), "say".into()),
                Problem::Form("A-b".into()),
                Problem::Form("B:-${A".into()),
                Problem::Open,
            ]
        );
    }
}
