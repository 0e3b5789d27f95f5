//! Pages for people: every command on them can be typed, and the manifest to begin with has no fault.

use std::fs;

use clap::Parser;
use clap::error::ErrorKind;
use roadbed::cli::args::Arguments;

const PAGES: [&str; 3] = ["docs/first-hour.md", "docs/operations.md", "docs/security.md"];

fn page(path: &str) -> String {
    fs::read_to_string(crate::repository().join(path)).unwrap()
}

/// What stands between backticks on one line and begins with the program's name.
fn named(page: &str) -> Vec<String> {
    let between = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    between.filter(|text| text.starts_with("roadbed ")).map(str::to_owned).collect()
}

#[test]
fn every_command_on_a_page_can_be_typed() {
    let mut looked_at = 0;
    for path in PAGES {
        let page = page(path);
        let blocks = incidents::commands(&page).into_iter().filter_map(|command| command.words());
        let lines = named(&page);
        let inline = lines.iter().map(|line| line.split(' ').map(str::to_owned).collect());
        for words in
            blocks.chain(inline).filter(|words: &Vec<String>| words.first().is_some_and(|word| word == "roadbed"))
        {
            looked_at += 1;
            let line = words.join(" ");
            // A page may leave out what everybody has to say himself, such as the number of a request.
            let parsed = Arguments::try_parse_from(words).map_err(|error| error.kind());
            if let Err(kind @ (ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand)) = parsed {
                panic!("{path}: `{line}` cannot be typed: {kind}")
            }
        }
    }
    assert!(looked_at > 40, "only {looked_at} commands were found");
}

#[test]
fn the_manifest_to_begin_with_has_no_fault() {
    let page = page("docs/first-hour.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let (manifest, told) = manifest::parse(&manifest::Source::new("first-hour.md", text));
    assert!(manifest.is_some() && told.is_empty(), "{told:#?}");
}
