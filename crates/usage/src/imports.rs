//! Which file imports which, and what of it ends up in browsers.

mod aliases;

use std::collections::{BTreeMap, HashMap};

pub use aliases::Aliases;

use crate::walk::Package;

/// Endings that an import may leave out, in the order in which they are tried.
const ENDINGS: [&str; 8] = [".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"];

/// Endings of what a source is compiled to, and what it was.
const COMPILED: [(&str, &[&str]); 4] =
    [(".js", &[".ts", ".tsx", ".jsx"]), (".jsx", &[".tsx"]), (".mjs", &[".mts"]), (".cjs", &[".cts"])];

/// Finds the file that an import means.
#[derive(Debug)]
pub struct Resolver<'f> {
    files: HashMap<&'f str, usize>,
    packages: &'f BTreeMap<String, Package>,
    /// By the folder that they hold for.
    aliases: &'f BTreeMap<String, Aliases>,
}

/// What an import means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'f> {
    File(usize),
    /// A package of the repository, in which the file is not known.
    Package(&'f Package),
    /// A package from elsewhere, a style sheet, a file that is not there.
    Other,
}

impl<'f> Resolver<'f> {
    /// `files` by their paths relative to the root.
    pub fn new(
        files: impl IntoIterator<Item = &'f str>,
        packages: &'f BTreeMap<String, Package>,
        aliases: &'f BTreeMap<String, Aliases>,
    ) -> Self {
        Self { files: files.into_iter().enumerate().map(|(index, file)| (file, index)).collect(), packages, aliases }
    }

    /// What `specifier` means in the file `from`.
    pub fn resolve(&self, from: &str, specifier: &str) -> Target<'f> {
        // Vite: `./logo.svg?url`
        let specifier = specifier.split_once('?').map_or(specifier, |(specifier, _)| specifier);
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        if specifier.starts_with("./") || specifier.starts_with("../") || specifier == "." || specifier == ".." {
            let found = joined(folder, specifier).and_then(|path| self.file(&path));
            return found.map_or(Target::Other, Target::File);
        }
        let aliases = ancestors(folder).find_map(|folder| self.aliases.get(folder));
        for path in aliases.map(|aliases| aliases.paths(specifier)).unwrap_or_default() {
            if let Some(file) = self.file(&path) {
                return Target::File(file);
            }
        }
        self.in_package(specifier)
    }

    fn in_package(&self, specifier: &str) -> Target<'f> {
        let words = if specifier.starts_with('@') { 2 } else { 1 };
        let end = specifier.match_indices('/').nth(words - 1).map_or(specifier.len(), |(at, _)| at);
        let Some(package) = self.packages.get(&specifier[..end]) else { return Target::Other };
        let rest = specifier[end..].trim_start_matches('/');
        let subpath = if rest.is_empty() { ".".to_owned() } else { format!("./{rest}") };
        let within = |file: &str| joined(&package.folder, file);
        let said = package.entries.iter().filter_map(|(key, file)| match key.split_once('*') {
            None => (*key == subpath).then(|| file.clone()),
            Some((before, after)) => {
                let gap = subpath.strip_prefix(before)?.strip_suffix(after)?;
                Some(file.replacen('*', gap, 1))
            }
        });
        // What is said to be in the folder of outputs was made from the source of the same name.
        let said = said.flat_map(|file| {
            let source = ["dist/esm/", "dist/cjs/", "dist/", "build/", "lib/", "out/"]
                .iter()
                .find_map(|output| Some(format!("src/{}", file.strip_prefix(output)?)));
            [Some(file), source].into_iter().flatten().map(|file| file.replace(".d.ts", ".ts"))
        });
        let guessed = match rest {
            "" => vec!["src/index".to_owned(), "index".to_owned()],
            rest => vec![rest.to_owned(), format!("src/{rest}")],
        };
        let found = said.chain(guessed).find_map(|file| self.file(&within(&file)?));
        found.map_or(Target::Package(package), Target::File)
    }

    /// A file by a path that may lack its ending, name what it is compiled to, or name a folder.
    fn file(&self, path: &str) -> Option<usize> {
        if let Some(file) = self.files.get(path) {
            return Some(*file);
        }
        for (compiled, sources) in COMPILED {
            if let Some(stem) = path.strip_suffix(compiled)
                && let Some(file) = sources.iter().find_map(|ending| self.files.get(format!("{stem}{ending}").as_str()))
            {
                return Some(*file);
            }
        }
        let with_ending =
            |stem: &str| ENDINGS.iter().find_map(|ending| self.files.get(format!("{stem}{ending}").as_str()).copied());
        let index = if path.is_empty() { "index".to_owned() } else { format!("{path}/index") };
        with_ending(path).or_else(|| with_ending(&index))
    }
}

/// `folder` and what is around it, the root last.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| match folder.rsplit_once('/') {
        Some((outer, _)) => Some(outer),
        None if folder.is_empty() => None,
        None => Some(""),
    })
}

/// A path from a folder, without `.` and `..`. Nothing if it leaves the root.
pub(crate) fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Which modules are reached from some of them along imports. `stops` are those that others import without getting their
/// code (`"use server"`).
pub fn reached(imports: &[Vec<usize>], from: impl IntoIterator<Item = usize>, stops: &[bool]) -> Vec<bool> {
    let mut reached = vec![false; imports.len()];
    let mut queue: Vec<usize> = from.into_iter().filter(|module| *module < imports.len()).collect();
    for module in &queue {
        reached[*module] = true;
    }
    while let Some(module) = queue.pop() {
        for next in &imports[module] {
            if !reached[*next] && !stops.get(*next).copied().unwrap_or(false) {
                reached[*next] = true;
                queue.push(*next);
            }
        }
    }
    reached
}

/// Scripts that a page loads, as it writes them: `/src/main.tsx`.
pub fn scripts(html: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (start, _) in html.match_indices("<script") {
        let Some(end) = html[start..].find('>') else { break };
        let tag = &html[start..start + end];
        let Some((_, value)) = tag.split_once("src=") else { continue };
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''));
        found.extend(quote.and_then(|quote| value[1..].split(quote).next()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 9] = [
        "apps/web/src/main.tsx",
        "apps/web/src/lib/index.ts",
        "apps/web/src/lib/db.ts",
        "apps/web/src/old.js",
        "packages/shared/src/index.ts",
        "packages/shared/src/money.ts",
        "packages/plain/index.js",
        "top.ts",
        "packages/odd/other/place.ts",
    ];

    fn package(name: &str, folder: &str, entries: &[(&str, &str)]) -> (String, Package) {
        let entries = entries.iter().map(|(key, file)| ((*key).to_owned(), (*file).to_owned())).collect();
        (name.to_owned(), Package { name: name.to_owned(), folder: folder.to_owned(), entries })
    }

    #[test]
    fn an_import_means_a_file() {
        let packages = BTreeMap::from([
            package("@shop/shared", "packages/shared", &[(".", "dist/index.js"), ("./*", "dist/*.js")]),
            package("plain", "packages/plain", &[]),
            package("odd", "packages/odd", &[(".", "bundle.js")]),
        ]);
        let config = r#"{ "compilerOptions": { /* where */ "baseUrl": ".", "paths": { "@/*": ["./src/*"], "db": ["src/lib/db"], }, } } // end"#;
        let aliases = BTreeMap::from([("apps/web".to_owned(), Aliases::read("apps/web", config).unwrap())]);
        let resolver = Resolver::new(FILES, &packages, &aliases);
        let cases = [
            ("./lib", Some("apps/web/src/lib/index.ts")),
            ("./lib/db", Some("apps/web/src/lib/db.ts")),
            ("./lib/db.js", Some("apps/web/src/lib/db.ts")),
            ("./lib/db.ts", Some("apps/web/src/lib/db.ts")),
            ("./old", Some("apps/web/src/old.js")),
            ("./old.js?raw", Some("apps/web/src/old.js")),
            (".", None),
            ("../../../top", Some("top.ts")),
            ("../../../../top", None),
            ("@/lib/db", Some("apps/web/src/lib/db.ts")),
            ("@/lib", Some("apps/web/src/lib/index.ts")),
            ("db", Some("apps/web/src/lib/db.ts")),
            ("src/old", Some("apps/web/src/old.js")),
            ("@shop/shared", Some("packages/shared/src/index.ts")),
            ("@shop/shared/money", Some("packages/shared/src/money.ts")),
            ("plain", Some("packages/plain/index.js")),
            ("react", None),
            ("@scope", None),
            ("", None),
            ("./style.css", None),
        ];
        for (specifier, expected) in cases {
            let found = resolver.resolve("apps/web/src/main.tsx", specifier);
            let expected = expected.map_or(Target::Other, |file| {
                Target::File(FILES.iter().position(|known| *known == file).expect("a file of the case"))
            });
            assert_eq!(found, expected, "{specifier}");
        }
        assert_eq!(resolver.resolve("top.ts", "odd"), Target::Package(&packages["odd"]));
        assert_eq!(resolver.resolve("top.ts", "@/lib/db"), Target::Other, "an alias holds for its own folder");
    }

    #[test]
    fn reach_goes_along_imports_and_stops_at_what_stays_on_the_server() {
        let imports = vec![vec![1, 2], vec![3], vec![4], vec![0], vec![], vec![0]];
        assert_eq!(reached(&imports, [0], &[]), [true, true, true, true, true, false]);
        let stops = [false, false, true, false, false, false];
        assert_eq!(reached(&imports, [0], &stops), [true, true, false, true, false, false]);
        assert_eq!(reached(&imports, [], &[]), [false; 6]);
    }

    #[test]
    fn a_page_names_its_scripts() {
        let page =
            r#"<script>let a = 1</script><script type="module" src="/src/main.tsx"></script><script src='b.js' defer>"#;
        assert_eq!(scripts(page), ["/src/main.tsx", "b.js"]);
        assert_eq!(scripts("<script src="), Vec::<&str>::new());
        assert_eq!(scripts("<script src=x>"), Vec::<&str>::new());
    }
}
