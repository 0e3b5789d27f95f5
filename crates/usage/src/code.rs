//! The code of one app, read as a whole: its own files, those of packages of the repository that it imports, and what goes
//! from file to file.

mod doors;
mod filter;
mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use host::files as disk;

pub use filter::Filter;

use crate::imports::{Aliases, Resolver, joined};
use crate::javascript::{self, Extracted, Given, Setting, Spotted, Tool, Unreadable};
use crate::walk::{self, CodeFile, Package, Part, WalkFault};
use crate::{Place, Use};

/// What an app's code says.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// By file, then in the order of the text.
    pub uses: Vec<Seen>,
    pub settings: Vec<(String, Setting)>,
    /// Files that are not what their names say.
    pub unreadable: Vec<(Place, String)>,
    pub files: Vec<CodeFile>,
    pub bytes: usize,
}

/// A use, and where its code runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub used: Use,
    pub part: Part,
    pub reach: Reach,
    /// In bytes from the beginning of the file: a [`Setting`] says which of them it writes into a bundle.
    pub offset: u32,
}

/// Who can get at a file's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Server,
    /// Code before routing: Next.js's middleware, modules that ask for the edge runtime, and what they import.
    Edge,
    /// It is imported, by way of others maybe, from a module that says `"use client"`, or from a script of the page that a
    /// bundler begins with.
    Client,
}

/// One file while it is read.
struct Source {
    file: CodeFile,
    text: String,
    result: Result<Extracted, Unreadable>,
    /// What else was known when it was read.
    given: Given,
}

/// Reads the code below `folder`, which is relative to `root`. `wrappers` are readers that the manifest names.
pub fn read(root: &Path, folder: &str, wrappers: &[String]) -> Result<Code, WalkFault> {
    let packages = walk::packages(root)?;
    let filter = Filter::new(wrappers);
    let mut sources = extract_all(root, walk::files(root, folder)?, wrappers, &filter)?;
    // Packages that it imports, and those that they import.
    let mut known = BTreeSet::from([folder.to_owned()]);
    let mut looked_at = 0;
    while looked_at < sources.len() {
        let imported: BTreeSet<&str> = sources[looked_at..]
            .iter()
            .filter(|source| source.file.part != Part::Test)
            .flat_map(|source| source.result.iter().flat_map(|extracted| &extracted.imports))
            .filter_map(|import| Some(package_of(&import.specifier, &packages)?.folder.as_str()))
            .filter(|folder| !known.contains(*folder))
            .collect();
        looked_at = sources.len();
        for folder in imported {
            known.insert(folder.to_owned());
            sources.extend(extract_all(root, walk::files(root, folder)?, wrappers, &filter)?);
        }
    }
    let aliases = aliases(root, &sources);
    let names: Vec<String> = sources.iter().map(|source| source.file.path.clone()).collect();
    let resolver = Resolver::new(names.iter().map(String::as_str), &packages, &aliases);
    doors::follow(&mut sources, &resolver, wrappers);
    let reach = reach::of(root, folder, &sources, &resolver);
    Ok(told(sources, &reach))
}

fn package_of<'p>(specifier: &str, packages: &'p BTreeMap<String, Package>) -> Option<&'p Package> {
    let words = if specifier.starts_with('@') { 2 } else { 1 };
    let end = specifier.match_indices('/').nth(words - 1).map_or(specifier.len(), |(at, _)| at);
    packages.get(&specifier[..end])
}

fn extract_all(
    root: &Path,
    files: Vec<CodeFile>,
    wrappers: &[String],
    filter: &Filter,
) -> Result<Vec<Source>, WalkFault> {
    let read = |file: &CodeFile| -> Result<Source, WalkFault> {
        let bytes = disk::read(&root.join(&file.path))?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            // Old sources have other encodings; what we look for is plain letters in all of them.
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let result = if filter.passes(&text) {
            javascript::uses(&text, file.dialect, wrappers)
        } else {
            javascript::links(&text, file.dialect)
        };
        Ok(Source { file: file.clone(), text, result, given: Given::default() })
    };
    in_parallel(&files, read).into_iter().collect()
}

/// Each item on one of the machine's cores, results in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            let work = || {
                javascript::is_roomy();
                let mut own = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    own.push((index, work(item)));
                }
                results.lock().expect("a worker that panics ends the scope").extend(own);
            };
            let spawned = thread::Builder::new().stack_size(javascript::ROOMY).spawn_scoped(scope, work);
            spawned.expect("the machine can begin a thread");
        }
    });
    let mut results = results.into_inner().expect("a worker that panics ends the scope");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// `paths` of every `tsconfig.json` around the sources, by its folder.
fn aliases(root: &Path, sources: &[Source]) -> BTreeMap<String, Aliases> {
    let mut folders = BTreeSet::new();
    for source in sources {
        let mut folder = source.file.path.as_str();
        while let Some((outer, _)) = folder.rsplit_once('/') {
            if !folders.insert(outer.to_owned()) {
                break;
            }
            folder = outer;
        }
        folders.insert(String::new());
    }
    let read = |folder: &str, name: &str| -> Option<Aliases> {
        let path = joined(folder, name)?;
        let holder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Aliases::read(holder, &disk::read_string(&root.join(&path)).ok()?)
    };
    let mut found = BTreeMap::new();
    for folder in folders {
        let names = ["tsconfig.json", "tsconfig.app.json", "jsconfig.json"];
        let own = names.iter().filter_map(|name| read(&folder, name)).reduce(Aliases::or);
        let Some(mut own) = own else { continue };
        // A chain of `extends` is short unless it goes in a circle.
        for _ in 0..8 {
            let Some(outer) = own.extends.take().and_then(|path| read("", &path)) else { break };
            own = own.or(outer);
        }
        found.insert(folder, own);
    }
    found
}

fn told(sources: Vec<Source>, reach: &[Reach]) -> Code {
    let mut code = Code::default();
    for (source, reach) in sources.into_iter().zip(reach) {
        let Source { file, text, result, .. } = source;
        code.bytes += text.len();
        let place = |line, column| Place { file: file.path.clone(), line, column };
        match result {
            Ok(extracted) => {
                code.uses.extend(extracted.uses.into_iter().map(|spotted| {
                    let Spotted { start, line, column, name, how, fallback, language, .. } = spotted;
                    let used = Use { place: place(line, column), name, how, fallback, language };
                    Seen { used, part: file.part, reach: *reach, offset: start }
                }));
                if let Some(tool) = Tool::of(&file.path) {
                    let settings = javascript::settings(&text, file.dialect, tool).unwrap_or_default();
                    code.settings.extend(settings.into_iter().map(|setting| (file.path.clone(), setting)));
                }
            }
            Err(fault) => code.unreadable.push((place(fault.line, fault.column), fault.why)),
        }
        code.files.push(file);
    }
    code.uses.sort_by(|a, b| (&a.used.place.file, a.offset).cmp(&(&b.used.place.file, b.offset)));
    code
}
