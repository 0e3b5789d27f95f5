//! The reference of the command line as a page, made from the same definition that parses it.

use std::fmt::Write;

use clap::{Arg, Command};

use crate::cli::args::Arguments;
use crate::cli::exit::Exit;

/// Where Roadbed's own repository keeps the page.
pub const PATH: &str = "docs/cli.md";

/// The page's first line: by it `generate` knows its own.
pub const MARK: &str =
    "<!-- Made from the command line's definition by `roadbed generate`; edit crates/roadbed/src/cli/args.rs. -->";

pub fn markdown() -> String {
    let mut root = Arguments::definition();
    root.build();
    let mut page = format!("{MARK}\n# Command line\n\n{}\n\n", text(root.get_about()));
    page += "Data goes to stdout, progress and errors to stderr. `--json` works everywhere.\n\n";
    page += "## Exit codes\n\n| code | meaning |\n| --- | --- |\n";
    for exit in Exit::ALL {
        line(&mut page, format_args!("| {} | {} |", exit.code(), exit.meaning()));
    }
    page += "\n## Global options\n";
    options(&mut page, root.get_arguments().filter(|arg| arg.is_global_set() || arg.get_id() == "version"));
    for verb in visible(&root) {
        describe(&mut page, verb);
    }
    page
}

fn describe(page: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    // Some verbs do something of their own and have others below them.
    if visible(command).next().is_none() || !command.is_subcommand_required_set() {
        describe_itself(page, command, name);
    }
    visible(command).for_each(|verb| describe(page, verb));
}

fn describe_itself(page: &mut String, command: &Command, name: &str) {
    let mut usage = command.clone();
    let usage = usage.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let about = text(command.get_long_about().or(command.get_about()));
    line(page, format_args!("\n## {name}\n\n{about}\n\n```text\n{usage}\n```"));
    options(page, command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help"));
    if let Some(after) = command.get_after_help() {
        line(page, format_args!("\n```text\n{after}\n```"));
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn options<'a>(page: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let mut args = args.filter(|arg| !arg.is_hide_set()).peekable();
    if args.peek().is_some() {
        page.push('\n');
    }
    for arg in args {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        let many = if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "..." } else { "" };
        let takes_value = arg.get_action().takes_values();
        let value = arg.get_value_names().filter(|_| takes_value).map(|names| names.join(" ")).unwrap_or_default();
        let shown =
            if names.is_empty() { format!("{value}{many}") } else { format!("{} {value}{many}", names.join(", ")) };
        let mut help = text(arg.get_help());
        let defaults: Vec<_> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        if !defaults.is_empty() && takes_value {
            help += &format!(" [default: {}]", defaults.join(", "));
        }
        line(page, format_args!("- `{}`: {help}", shown.trim()));
    }
}

fn text(styled: Option<&clap::builder::StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes everything");
}
