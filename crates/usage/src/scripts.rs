//! The JavaScript and TypeScript of one app. Modules hand the environment to each other, so what one source reads may stand in
//! another: sources are read again, with what others give them, until nothing new comes of it.

use std::collections::BTreeMap;

use manifest::ScannedApp;

use crate::javascript::{self, Dialect, Export, Extracted, Given, Handed, Setting, Spotted, Tool, Unreadable};
use crate::project_code::{AppCode, Inlined, ShownPrefix};
use crate::reach::{Module, in_browsers, resolve};
use crate::{Name, Place, Use};

/// The environment handed on through more modules than this is taken for lost.
const MOST_ROUNDS: usize = 8;

/// Sources of an app.
#[derive(Debug)]
pub(crate) struct Scripts<'a> {
    app: &'a ScannedApp,
    wrappers: &'a [String],
    sources: BTreeMap<String, Source>,
}

#[derive(Debug)]
struct Source {
    text: String,
    dialect: Dialect,
    extracted: Extracted,
    given: Given,
}

impl<'a> Scripts<'a> {
    pub(crate) fn new(app: &'a ScannedApp, wrappers: &'a [String]) -> Self {
        Self { app, wrappers, sources: BTreeMap::new() }
    }

    /// Reads one source.
    pub(crate) fn read(
        &mut self,
        file: &str,
        text: String,
        dialect: Dialect,
        code: &mut AppCode,
    ) -> Result<(), (Place, String)> {
        let unreadable = |fault: Unreadable| (place(file, fault.line, fault.column), fault.why);
        // The accessor that Roadbed makes reads everything that is declared, on behalf of whoever uses it.
        if is_generated(&text) {
            return Ok(());
        }
        let extracted = javascript::uses(&text, dialect, self.wrappers).map_err(unreadable)?;
        if let Some(tool) = Tool::of(file) {
            let settings = javascript::settings(&text, dialect, tool).map_err(unreadable)?;
            shown(file, &settings, &extracted.uses, code);
        }
        code.named.extend(javascript::names(&text, dialect).map_err(unreadable)?);
        self.sources.insert(file.to_owned(), Source { text, dialect, extracted, given: Given::default() });
        Ok(())
    }

    /// What all of them together say.
    pub(crate) fn finish(mut self, code: &mut AppCode) {
        let modules = self.modules();
        for _ in 0..MOST_ROUNDS {
            if !self.follow(&modules) {
                break;
            }
        }
        for (file, source) in &self.sources {
            let kept = source.extracted.uses.iter().filter(|spotted| !self.is_followed(file, spotted, &modules));
            code.uses.extend(kept.map(|spotted| of_file(file, spotted)));
        }
        code.in_browsers = in_browsers(&self.app.path, &modules, self.app.runs_in);
    }

    fn modules(&self) -> BTreeMap<String, Module> {
        let module = |source: &Source| Module {
            is_client: source.extracted.is_client,
            imports: source.extracted.imports.clone(),
        };
        self.sources.iter().map(|(file, source)| (file.clone(), module(source))).collect()
    }

    /// Gives each source what others have for it, and reads those again that were given something new. False if none was.
    fn follow(&mut self, modules: &BTreeMap<String, Module>) -> bool {
        let mut given: BTreeMap<String, Given> = BTreeMap::new();
        for (file, source) in &self.sources {
            let target = |specifier: &str| resolve(&self.app.path, file, specifier, modules);
            for import in &source.extracted.imports {
                let exports = target(&import.specifier).map(|target| self.exports_of(target, modules, MOST_ROUNDS));
                if let Some(exports) = exports.filter(|exports| !exports.is_empty()) {
                    let modules = &mut given.entry(file.clone()).or_default().modules;
                    modules.push((import.specifier.clone(), exports));
                }
            }
            for handed in source.extracted.uses.iter().filter_map(|spotted| spotted.handed.as_ref()) {
                if let Some((target, handed)) = target(&handed.specifier).map(|target| (target, within(handed))) {
                    let all = &mut given.entry(target.to_owned()).or_default().handed;
                    if !all.contains(&handed) {
                        all.push(handed);
                    }
                }
            }
        }
        let mut changed = false;
        for (file, given) in given {
            let Some(source) = self.sources.get_mut(&file).filter(|source| source.given != given) else { continue };
            // It was read before, so it can be read.
            if let Ok(extracted) = javascript::uses_given(&source.text, source.dialect, self.wrappers, &given) {
                source.extracted = extracted;
            }
            source.given = given;
            changed = true;
        }
        changed
    }

    /// The doors that a module has, those included that it only passes on.
    fn exports_of(&self, file: &str, modules: &BTreeMap<String, Module>, depth: usize) -> Vec<Export> {
        let Some(source) = self.sources.get(file).filter(|_| depth > 0) else { return Vec::new() };
        let mut exports = source.extracted.exports.clone();
        for again in &source.extracted.re_exports {
            let Some(target) = resolve(&self.app.path, file, &again.specifier, modules) else { continue };
            for export in self.exports_of(target, modules, depth - 1) {
                let name = match &again.names {
                    None => Some(export.name.clone()).filter(|name| name != "default"),
                    Some((there, here)) => (*there == export.name).then(|| here.clone()),
                };
                exports.extend(name.map(|name| Export { name, ..export }));
            }
        }
        exports
    }

    /// Whether the environment is handed to a function of another module whose reads are among the uses.
    fn is_followed(&self, file: &str, spotted: &Spotted, modules: &BTreeMap<String, Module>) -> bool {
        spotted.handed.as_ref().is_some_and(|handed| {
            let target = resolve(&self.app.path, file, &handed.specifier, modules);
            target
                .and_then(|target| self.sources.get(target))
                .is_some_and(|source| source.extracted.accepted.contains(&within(handed)))
        })
    }
}

/// As the module itself sees it, whoever hands it over.
fn within(handed: &Handed) -> Handed {
    Handed { specifier: String::new(), ..handed.clone() }
}

/// The first line of every file that Roadbed makes of the manifest.
fn is_generated(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains("Generated from ") && line.contains("`roadbed generate`"))
}

fn of_file(file: &str, spotted: &Spotted) -> Use {
    Use {
        place: place(file, spotted.line, spotted.column),
        name: spotted.name.clone(),
        how: spotted.how,
        fallback: spotted.fallback,
        language: spotted.language,
    }
}

fn place(file: &str, line: u32, column: u32) -> Place {
    Place { file: file.to_owned(), line, column }
}

fn shown(file: &str, settings: &[Setting], uses: &[Spotted], code: &mut AppCode) {
    for setting in settings {
        match setting {
            Setting::Inlined { name, start, end, .. } => {
                let inside = uses.iter().filter(|spotted| spotted.start >= *start && spotted.end <= *end);
                code.inlined.extend(inside.filter_map(|spotted| match &spotted.name {
                    Name::Exact(variable) => Some(Inlined {
                        place: place(file, spotted.line, spotted.column),
                        variable: variable.clone(),
                        shown_as: name.clone(),
                    }),
                    _ => None,
                }));
            }
            Setting::Prefix { prefix, line, column } => {
                code.shown_prefixes.push(ShownPrefix { place: place(file, *line, *column), prefix: prefix.clone() });
            }
        }
    }
}
