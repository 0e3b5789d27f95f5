//! `roadbed man`: pages for `man`, made from the definition of the command line.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;
use host::files::{self, Access};
use reconcile::Fault;

use crate::cli::args::Arguments;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::render::span::count;

/// Write the manual pages
///
/// One page for `roadbed` and one for each verb: `man roadbed`, `man roadbed-up`, `man roadbed-ci-run`. The Debian package has them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed man --to ~/.local/share/man/man1
  roadbed man | man -l -                   only look at the first page

Exit codes:
  0  written, or printed
  1  a page could not be written")]
pub struct ManPages {
    /// Folder for the pages; without it the first one is printed
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

pub fn run(session: &Session, args: &ManPages) -> Result<Exit, Failure> {
    let mut root = Arguments::definition().disable_help_flag(true);
    root.build();
    let Some(to) = &args.to else {
        session.output.text(&String::from_utf8_lossy(&page(&root, "roadbed")?))?;
        return Ok(Exit::Done);
    };
    let folder = session.surroundings.folder.join(to);
    files::create_dir(&folder, Access::Everyone)?;
    let mut pages = Vec::new();
    collect(&root, "roadbed", &mut pages)?;
    for (name, text) in &pages {
        files::write(&folder.join(format!("{name}.1")), text, Access::Everyone)?;
    }
    session.output.note(format!("wrote {} to {}", count(pages.len(), "page"), session.surroundings.shown(&folder)));
    Ok(Exit::Done)
}

/// A verb and those below it. Roles have none: nobody types them.
fn collect(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    pages.push((name.to_owned(), page(command, name)?));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        collect(verb, &format!("{name}-{}", verb.get_name()), pages)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    // Without a date, so that the same program writes the same pages.
    Man::new(command.clone())
        .title(name.to_uppercase())
        .render(&mut text)
        .map_err(|error| Fault::because(format!("cannot make the page of {name}"), &error))?;
    Ok(text)
}
