//! Which sources of an app visitors' browsers load: what begins with "use client", or all of a static app, and whatever those
//! import.

use std::collections::{BTreeMap, BTreeSet};

use manifest::RunsIn;

use crate::javascript::{Import, ImportKind};
use crate::judge::is_build_config;

/// A source, as far as it decides where code runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Module {
    pub(crate) is_client: bool,
    pub(crate) imports: Vec<Import>,
}

/// The files that browsers load.
pub(crate) fn in_browsers(folder: &str, modules: &BTreeMap<String, Module>, runs_in: RunsIn) -> BTreeSet<String> {
    let starts = modules.iter().filter(|(file, module)| match runs_in {
        RunsIn::Server => false,
        RunsIn::Both => module.is_client,
        RunsIn::Browsers => !is_build_config(file) && !is_script(folder, file),
    });
    let mut left: Vec<&str> = starts.map(|(file, _)| file.as_str()).collect();
    let mut reached = BTreeSet::new();
    while let Some(file) = left.pop() {
        let Some(module) = modules.get(file) else { continue };
        if !reached.insert(file.to_owned()) {
            continue;
        }
        let used = module.imports.iter().filter(|import| import.kind != ImportKind::Type);
        left.extend(used.filter_map(|import| resolve(folder, file, &import.specifier, modules)));
    }
    reached
}

/// Programs beside the sources, for whoever builds: `scripts/clean.mjs`.
fn is_script(folder: &str, file: &str) -> bool {
    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with("/scripts/"))
}

/// The file that a specifier means, if it is one of the app's.
pub(crate) fn resolve<'m>(
    folder: &str,
    from: &str,
    specifier: &str,
    modules: &'m BTreeMap<String, Module>,
) -> Option<&'m str> {
    let candidates = if specifier.starts_with("./") || specifier.starts_with("../") {
        let base = from.rsplit_once('/').map_or("", |(base, _)| base);
        vec![joined(base, specifier)?]
    } else {
        // What `paths` of tsconfig.json mostly says.
        let rest = specifier.strip_prefix("@/").or_else(|| specifier.strip_prefix("~/"))?;
        vec![joined(folder, &format!("src/{rest}"))?, joined(folder, rest)?]
    };
    candidates.iter().find_map(|path| file_of(path, modules))
}

fn joined(base: &str, specifier: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in specifier.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn file_of<'m>(path: &str, modules: &'m BTreeMap<String, Module>) -> Option<&'m str> {
    const ENDINGS: [&str; 8] = ["ts", "tsx", "mts", "js", "jsx", "mjs", "cts", "cjs"];
    let known = |path: &str| modules.get_key_value(path).map(|(file, _)| file.as_str());
    let with_endings = |stem: &str| ENDINGS.iter().find_map(|ending| known(&format!("{stem}.{ending}")));
    // TypeScript writes `./x.js` for the `x.ts` that it will be made of.
    let written = path.rsplit_once('.').filter(|(_, ending)| matches!(*ending, "js" | "jsx" | "mjs" | "cjs"));
    known(path)
        .or_else(|| with_endings(path))
        .or_else(|| written.and_then(|(stem, _)| with_endings(stem)))
        .or_else(|| with_endings(&format!("{path}/index")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_load_clients_and_what_they_import() {
        let module = |is_client: bool, imports: &[&str]| Module {
            is_client,
            imports: imports
                .iter()
                .map(|specifier| {
                    let specifier = specifier.to_string();
                    let kind = if specifier.ends_with("types") { ImportKind::Type } else { ImportKind::Value };
                    Import { specifier, kind }
                })
                .collect(),
        };
        let modules = BTreeMap::from(
            [
                ("web/src/page.tsx", module(false, &["./button", "./server"])),
                ("web/src/button.tsx", module(true, &["../lib/index.js", "@/shared", "./types", "react"])),
                ("web/src/server.ts", module(false, &[])),
                ("web/src/types.ts", module(false, &[])),
                ("web/src/shared/index.ts", module(false, &["../button"])),
                ("web/lib/index.ts", module(false, &["../../../outside"])),
                ("web/next.config.ts", module(false, &[])),
            ]
            .map(|(file, module)| (file.to_owned(), module)),
        );
        let reached = |runs_in| in_browsers("web", &modules, runs_in).into_iter().collect::<Vec<_>>();
        assert_eq!(reached(RunsIn::Both), ["web/lib/index.ts", "web/src/button.tsx", "web/src/shared/index.ts"]);
        assert_eq!(reached(RunsIn::Server), Vec::<String>::new());
        assert_eq!(reached(RunsIn::Browsers).len(), 6);
    }
}
