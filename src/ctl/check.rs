// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl check`: reads a configuration as the daemon would, without one. What is wrong in it is
//! for `config` to say; here it is only shown, for people, for programs, for a forge.

use super::args::{CheckArgs, CheckFormat};
use super::failure::Failure;
use super::screen::{Screen, visible};
use super::{DONE, INVALID_CONFIG};
use crate::config::{
    Charset, Color, Diagnostic, Disk, Lints, Options, Outcome, Severity, Style, load,
};
use serde::Serialize;
use std::env;
use std::path::{Path, PathBuf};

/// One diagnostic on a line of `--json`.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    labels: Vec<Place<'a>>,
}

/// A place that a diagnostic is about.
#[derive(Debug, Serialize)]
struct Place<'a> {
    file: String,
    line: usize,
    column: usize,
    text: &'a str,
}

/// `supctl check [FILE…]`: exit 65 when one of them is invalid.
pub(crate) fn check(screen: &mut Screen, args: &CheckArgs) -> Result<u8, Failure> {
    let files = if args.files.is_empty() {
        vec![usual_place()?]
    } else {
        args.files.clone()
    };
    let from_env = |name: &str| env::var(name).ok();
    let mut options = Options::new(&from_env);
    options.vars = &args.vars;
    options.judge = Some(&crate::tree::named);
    if args.strict {
        options.lints = Lints::Deny;
    }
    let mut exit = DONE;
    for file in files {
        let outcome = load(&file, &Disk, &options);
        match (screen.json, args.format) {
            (true, _) => json(screen, &outcome)?,
            (false, CheckFormat::Github) => github(screen, &outcome)?,
            (false, CheckFormat::Text) => text(screen, (&file, &outcome))?,
        }
        if outcome.tree.is_none() {
            exit = INVALID_CONFIG;
        }
    }
    Ok(exit)
}

/// Where the daemon would look (CONFIG.md, "Rules").
pub(crate) fn usual_place() -> Result<PathBuf, Failure> {
    let named = env::var_os("SUPD_CONFIG").filter(|name| !name.is_empty());
    if let Some(named) = named {
        return Ok(PathBuf::from(named));
    }
    let of_user = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("supd/supd.toml"));
    let places = [Some(PathBuf::from("/etc/supd/supd.toml")), of_user];
    let mut places = places.into_iter().flatten();
    places.find(|path| path.exists()).ok_or(Failure::Usage {
        doing: "check the configuration".to_owned(),
        reason: "there is none at the usual places".to_owned(),
        instead: "supctl check supd.toml".to_owned(),
    })
}

fn text(screen: &mut Screen, (file, outcome): (&Path, &Outcome)) -> Result<(), Failure> {
    let style = style(screen);
    screen.bytes(outcome.render(style).as_bytes())?;
    let name = visible(&file.display().to_string());
    match (&outcome.tree, outcome.diagnostics.first()) {
        (Some(loaded), _) => screen.talk(&format!("{name}: valid, config {}", loaded.hash())),
        (None, Some(first)) => {
            let refused = format!("{name}: invalid");
            screen.complain_lines(&[refused], &format!("supctl explain {}", first.code));
            Ok(())
        }
        (None, None) => Err(Failure::Answer {
            what: "a configuration was refused without a reason".to_owned(),
        }),
    }
}

/// How diagnostics look on this screen.
pub(crate) fn style(screen: &Screen) -> Style {
    Style {
        color: if screen.style.colour {
            Color::Ansi
        } else {
            Color::Never
        },
        charset: if screen.style.unicode {
            Charset::Unicode
        } else {
            Charset::Ascii
        },
    }
}

fn json(screen: &mut Screen, outcome: &Outcome) -> Result<(), Failure> {
    for diagnostic in &outcome.diagnostics {
        let shown = |path: &Path| path.display().to_string();
        let places = diagnostic.labels.iter().map(|label| Place {
            file: shown(&label.file),
            line: label.line,
            column: label.column,
            text: &label.text,
        });
        screen.json_value(&Finding {
            severity: diagnostic.severity.as_str(),
            code: diagnostic.code,
            message: &diagnostic.message,
            file: diagnostic.file().map(shown),
            line: diagnostic.line(),
            column: diagnostic.column(),
            help: diagnostic.help.as_deref(),
            labels: places.collect(),
        })?;
    }
    Ok(())
}

/// Workflow commands: a forge shows them at the line.
fn github(screen: &mut Screen, outcome: &Outcome) -> Result<(), Failure> {
    for diagnostic in &outcome.diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut text = diagnostic.message.clone();
        if let Some(help) = &diagnostic.help {
            text.push_str("\nhelp: ");
            text.push_str(help);
        }
        let place = place(diagnostic);
        screen.line(&format!(
            "::{level} {place}title={}::{}",
            diagnostic.code,
            escaped(&text)
        ))?;
    }
    Ok(())
}

fn place(diagnostic: &Diagnostic) -> String {
    let Some(label) = diagnostic.labels.first() else {
        return String::new();
    };
    let file = escaped(&label.file.display().to_string());
    let file = file.replace(':', "%3A").replace(',', "%2C");
    format!("file={file},line={},col={},", label.line, label.column)
}

/// The escapes of a workflow command's text.
fn escaped(text: &str) -> String {
    let text = text
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    visible(&text)
}
