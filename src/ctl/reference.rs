// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is made from the command line itself: completions, the manual page, and the reference in
//! `docs/reference/supctl.md`, which a test keeps in step.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use super::DONE;
use super::args::{Cli, ManFormat};
use super::failure::Failure;
use super::screen::Screen;
use clap::{Arg, Command, CommandFactory};

/// `supctl completions SHELL`.
pub(crate) fn completions(screen: &mut Screen, shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "supctl", &mut script);
    screen.bytes(&script)?;
    Ok(DONE)
}

/// `supctl man`.
pub(crate) fn man(screen: &mut Screen, format: ManFormat) -> Result<u8, Failure> {
    match format {
        ManFormat::Roff => screen.bytes(&roff()?)?,
        ManFormat::Markdown => screen.bytes(markdown().as_bytes())?,
    }
    Ok(DONE)
}

/// supctl(1), with every command on the one page: there are no pages of their own.
fn roff() -> Result<Vec<u8>, Failure> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let man = clap_mangen::Man::new(cli.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut text = String::from(".SH COMMANDS\n");
    for command in cli.get_subcommands() {
        let (usage, own) = usage(command);
        let about = command.get_about().map(ToString::to_string);
        text.push_str(&format!(".SS {}\n", typed(&usage)));
        text.push_str(&format!("{}.\n", typed(&about.unwrap_or_default())));
        for arg in own {
            let (spelled, help) = spelled(arg);
            text.push_str(&format!(
                ".TP\n\\fB{}\\fR\n{}\n",
                typed(&spelled),
                typed(&help)
            ));
        }
    }
    text.push_str(".SH \"EXIT STATUS\"\n.nf\n");
    if let Some(after) = cli.get_after_help() {
        text.push_str(&typed(&after.to_string()));
    }
    text.push_str("\n.fi\n.SH \"SEE ALSO\"\nsupd(8), supd.toml(5), supd\\-protocol(7)\n");
    page.extend(text.bytes());
    Ok(page)
}

/// Text as roff prints it: a hyphen that can be copied (man-pages(7)), no back-ticks.
fn typed(text: &str) -> String {
    text.replace('-', "\\-").replace('`', "")
}

/// The whole command line as one page.
pub(crate) fn markdown() -> String {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut page = String::from(
        "# supctl\n\n\
         <!-- Made by `supctl man --format markdown`; a test compares. -->\n",
    );
    if let Some(about) = cli.get_long_about().or(cli.get_about()) {
        page.push_str(&format!("\n{about}\n"));
    }
    page.push_str("\n## Global options\n\n");
    for arg in cli.get_arguments() {
        page.push_str(&line(arg));
    }
    page.push_str("\n## Commands\n");
    for command in cli.get_subcommands() {
        page.push_str(&section(command));
    }
    page.push_str("\n## Exit codes\n\n```text\n");
    if let Some(after) = cli.get_after_help() {
        page.push_str(&after.to_string());
    }
    page.push_str("\n```\n");
    page
}

fn section(command: &Command) -> String {
    let (usage, own) = usage(command);
    let about = command.get_about().map(ToString::to_string);
    let mut text = format!(
        "\n### {}\n\n`{usage}`\n\n{}.\n",
        command.get_name(),
        about.unwrap_or_default()
    );
    if !own.is_empty() {
        text.push('\n');
        text.extend(own.into_iter().map(line));
    }
    text
}

/// `supctl wait [OPTIONS] <NAME>...`, and what the command has of its own.
fn usage(command: &Command) -> (String, Vec<&Arg>) {
    let mut usage = format!("supctl {}", command.get_name());
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && arg.get_id() != "help")
        .collect();
    if own.iter().any(|arg| !arg.is_positional()) {
        usage.push_str(" [OPTIONS]");
    }
    for arg in own.iter().filter(|arg| arg.is_positional()) {
        let many = arg.get_num_args().is_some_and(|n| n.max_values() > 1);
        let dots = if many { "..." } else { "" };
        let name = value(arg);
        usage.push_str(&if arg.is_required_set() {
            format!(" <{name}>{dots}")
        } else {
            format!(" [{name}]{dots}")
        });
    }
    (usage, own)
}

fn value(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some([name, ..]) => name.to_string(),
        Some([]) | None => arg.get_id().to_string().to_uppercase(),
    }
}

fn line(arg: &Arg) -> String {
    let (spelled, help) = spelled(arg);
    format!("- `{spelled}`: {help}\n")
}

/// An argument as it is typed, and what it is for.
fn spelled(arg: &Arg) -> (String, String) {
    let mut names = Vec::new();
    if let Some(short) = arg.get_short() {
        names.push(format!("-{short}"));
    }
    if let Some(long) = arg.get_long() {
        names.push(format!("--{long}"));
    }
    let mut spelled = names.join(", ");
    if arg.is_positional() {
        spelled = value(arg);
    } else if arg.get_action().takes_values() {
        spelled.push_str(&format!(" <{}>", value(arg)));
    }
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if !words.is_empty() && arg.get_action().takes_values() {
        help.push_str(&format!(" ({})", words.join(", ")));
    }
    (spelled, help)
}
