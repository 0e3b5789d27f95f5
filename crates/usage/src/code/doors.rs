//! What goes from file to file: an environment under another name that is exported, a reader that others call, a function that
//! others give the environment to.

use std::collections::BTreeSet;

use super::Source;
use crate::imports::{Resolver, Target};
use crate::javascript::{self, Export, Extracted, Given, Handed, ImportKind, Shared, Spotted};
use crate::{Fallback, How, Language, Name};

/// How often what one file is told can change what another one says: a reader that calls a reader of another file.
const MOST_ROUNDS: usize = 3;

/// Files of re-exports between a door and who imports it.
const MOST_RE_EXPORTS: usize = 4;

/// The files that a source's code needs when it runs.
pub(super) fn imported(source: &Source, resolver: &Resolver<'_>) -> Vec<usize> {
    let imports = source.result.iter().flat_map(|extracted| &extracted.imports);
    let needed = imports.filter(|import| import.kind != ImportKind::Type);
    let files = needed.filter_map(|import| file(source, &import.specifier, resolver));
    files.collect::<BTreeSet<_>>().into_iter().collect()
}

fn file(source: &Source, specifier: &str, resolver: &Resolver<'_>) -> Option<usize> {
    match resolver.resolve(&source.file.path, specifier) {
        Target::File(file) => Some(file),
        Target::Package(_) | Target::Other => None,
    }
}

/// Reads again whoever can say more with what the others have said.
pub(super) fn follow(sources: &mut [Source], resolver: &Resolver<'_>, wrappers: &[String]) {
    for _ in 0..MOST_ROUNDS {
        let doors = doors(sources, resolver);
        let handed = handed(sources, resolver);
        let mut changed = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let given = given(source, &doors, &handed[index], resolver);
            if given != source.given {
                changed.push((index, given));
            }
        }
        if changed.is_empty() {
            break;
        }
        for (index, given) in changed {
            let source = &mut sources[index];
            if source.result.is_ok() {
                source.result = javascript::uses_given(&source.text, source.file.dialect, wrappers, &given);
            }
            source.given = given;
        }
    }
    drop_followed(sources, resolver);
    tell_unused_readers(sources, resolver);
}

/// What each file lets others import.
fn doors(sources: &[Source], resolver: &Resolver<'_>) -> Vec<Vec<Export>> {
    let own = |source: &Source| source.result.as_ref().map(|extracted| extracted.exports.clone()).unwrap_or_default();
    let mut doors: Vec<Vec<Export>> = sources.iter().map(own).collect();
    for _ in 0..MOST_RE_EXPORTS {
        let mut more = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            for re_export in source.result.iter().flat_map(|extracted| &extracted.re_exports) {
                let Some(from) = file(source, &re_export.specifier, resolver) else { continue };
                for export in &doors[from] {
                    let name = match &re_export.names {
                        Some((there, here)) if *there == export.name => here.clone(),
                        None if export.name != "default" => export.name.clone(),
                        _ => continue,
                    };
                    let export = Export { name, ..export.clone() };
                    if !doors[index].contains(&export) {
                        more.push((index, export));
                    }
                }
            }
        }
        if more.is_empty() {
            break;
        }
        for (index, export) in more {
            doors[index].push(export);
        }
    }
    doors
}

/// By file: its functions and schemas that others give the environment to.
fn handed(sources: &[Source], resolver: &Resolver<'_>) -> Vec<BTreeSet<Handed>> {
    let mut handed = vec![BTreeSet::new(); sources.len()];
    for source in sources {
        for one in handed_by(source) {
            if let Some((file, name)) = target(sources, source, one, resolver) {
                // Who hands it over is all the same.
                handed[file].insert(Handed { specifier: String::new(), name, ..one.clone() });
            }
        }
    }
    handed
}

fn handed_by(source: &Source) -> impl Iterator<Item = &Handed> {
    source.result.iter().flat_map(|extracted| &extracted.uses).filter_map(|used| used.handed.as_ref())
}

/// The file that has what is handed the environment, and what it is called there, by way of one file of re-exports at most.
fn target(sources: &[Source], source: &Source, handed: &Handed, resolver: &Resolver<'_>) -> Option<(usize, String)> {
    let there = file(source, &handed.specifier, resolver)?;
    let re_exports = sources[there].result.iter().flat_map(|extracted| &extracted.re_exports);
    for re_export in re_exports {
        if let Some((name, here)) = &re_export.names
            && *here == handed.name
            && let Some(file) = file(&sources[there], &re_export.specifier, resolver)
        {
            return Some((file, name.clone()));
        }
    }
    Some((there, handed.name.clone()))
}

fn given(source: &Source, doors: &[Vec<Export>], handed: &BTreeSet<Handed>, resolver: &Resolver<'_>) -> Given {
    let mut modules = Vec::new();
    for import in source.result.iter().flat_map(|extracted| &extracted.imports) {
        if import.kind == ImportKind::Type {
            continue;
        }
        if let Some(file) = file(source, &import.specifier, resolver)
            && !doors[file].is_empty()
        {
            modules.push((import.specifier.clone(), doors[file].clone()));
        }
    }
    Given { modules, handed: handed.iter().cloned().collect() }
}

/// A use that says "handed to a function of another file" says nothing more once that function is read.
fn drop_followed(sources: &mut [Source], resolver: &Resolver<'_>) {
    let mut followed = BTreeSet::new();
    for (index, source) in sources.iter().enumerate() {
        for one in handed_by(source) {
            let target = target(sources, source, one, resolver);
            let accepted = target.is_some_and(|(file, name)| {
                let accepted = sources[file].result.iter().flat_map(|extracted| &extracted.accepted);
                accepted.into_iter().any(|known| known.name == name && known.to == one.to)
            });
            if accepted {
                followed.insert((index, one.clone()));
            }
        }
    }
    for (index, source) in sources.iter_mut().enumerate() {
        if let Ok(extracted) = &mut source.result {
            extracted
                .uses
                .retain(|used| used.handed.as_ref().is_none_or(|handed| !followed.contains(&(index, handed.clone()))));
        }
    }
}

/// A reader that is there for others, of whom we see none: nobody knows what it reads.
fn tell_unused_readers(sources: &mut [Source], resolver: &Resolver<'_>) {
    let mut is_imported = vec![false; sources.len()];
    for source in sources.iter() {
        for file in imported(source, resolver) {
            is_imported[file] = true;
        }
    }
    for (source, is_imported) in sources.iter_mut().zip(is_imported) {
        let Ok(extracted) = &mut source.result else { continue };
        if !is_imported {
            let told: Vec<Spotted> = extracted.exports.iter().filter_map(computed).collect();
            add(extracted, told);
        }
    }
}

fn computed(export: &Export) -> Option<Spotted> {
    let Shared::Reader { language, .. } = export.shared else { return None };
    let Export { start, line, column, .. } = *export;
    let language: Language = language;
    let (name, how, fallback) = (Name::Computed, How::Read, Fallback::None);
    Some(Spotted { start, end: start, line, column, name, how, fallback, language, handed: None })
}

fn add(extracted: &mut Extracted, told: Vec<Spotted>) {
    for one in told {
        if !extracted.uses.iter().any(|used| used.start == one.start && used.name == one.name) {
            extracted.uses.push(one);
        }
    }
    extracted.uses.sort_by_key(|used| used.start);
}
