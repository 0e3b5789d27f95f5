//! Where the code of each file runs: along imports, from what says so.

use std::path::Path;

use host::files as disk;

use super::{Reach, Source, doors};
use crate::imports::{Resolver, Target, joined, reached, scripts};
use crate::javascript::{Extracted, Runtime};

/// For each source. What browsers load as well is [`Reach::Client`], which allows the least.
pub(super) fn of(root: &Path, folder: &str, sources: &[Source], resolver: &Resolver<'_>) -> Vec<Reach> {
    let imports: Vec<Vec<usize>> = sources.iter().map(|source| doors::imported(source, resolver)).collect();
    let stops: Vec<bool> = sources.iter().map(|source| says(source, |extracted| extracted.is_server)).collect();
    let client = reached(&imports, client_roots(root, folder, sources, resolver), &stops);
    // A module of the edge brings along all that it imports.
    let edge = reached(&imports, edge_roots(folder, sources), &[]);
    let one = |(is_client, is_edge)| match (is_client, is_edge) {
        (true, _) => Reach::Client,
        (false, true) => Reach::Edge,
        (false, false) => Reach::Server,
    };
    client.into_iter().zip(edge).map(one).collect()
}

fn client_roots(root: &Path, folder: &str, sources: &[Source], resolver: &Resolver<'_>) -> Vec<usize> {
    let mut from: Vec<usize> = those(sources, |source| says(source, |extracted| extracted.is_client));
    let page = joined(folder, "index.html").and_then(|path| disk::read_string(&root.join(path)).ok());
    for script in scripts(page.as_deref().unwrap_or_default()) {
        let path = format!("./{}", script.trim_start_matches("./").trim_start_matches('/'));
        if let Target::File(file) = resolver.resolve(&format!("{folder}/index.html"), &path) {
            from.push(file);
        }
    }
    from
}

fn edge_roots(folder: &str, sources: &[Source]) -> Vec<usize> {
    those(sources, |source| match source.result.as_ref().ok().and_then(|extracted| extracted.runtime) {
        Some(runtime) => runtime == Runtime::Edge,
        None => is_middleware(folder, &source.file.path),
    })
}

/// Middleware runs at the edge unless it asks for Node. A proxy, which came after it, runs on Node.
fn is_middleware(folder: &str, path: &str) -> bool {
    let inner = path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/');
    let inner = inner.strip_prefix("src/").unwrap_or(inner);
    inner
        .split_once('.')
        .is_some_and(|(stem, ending)| stem == "middleware" && ["ts", "js", "mts", "mjs"].contains(&ending))
}

fn those(sources: &[Source], holds: impl Fn(&Source) -> bool) -> Vec<usize> {
    sources.iter().enumerate().filter(|(_, source)| holds(source)).map(|(index, _)| index).collect()
}

fn says(source: &Source, what: fn(&Extracted) -> bool) -> bool {
    source.result.as_ref().is_ok_and(what)
}
