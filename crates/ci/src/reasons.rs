//! Why a package is affected, in words.

use std::collections::BTreeMap;
use std::rc::Rc;

use reconcile::Fault;

use crate::plan::{Plan, shown};
use crate::workspace::{Package, Thing, Workspace};
use crate::{Hash, hex};

/// Names told of many; the rest is counted.
const FEW: usize = 3;
/// As `--explain` tells them.
const MANY: usize = 50;

/// Why the package in a folder is affected.
pub(crate) fn why(plan: &mut Plan, path: &str) -> Result<Vec<String>, Fault> {
    told(plan, path, FEW)
}

fn told(plan: &mut Plan, path: &str, most: usize) -> Result<Vec<String>, Fault> {
    let now = &plan.workspace.packages[path];
    let Some(then) = plan.before.packages.get(path) else {
        let was = plan
            .before
            .packages
            .values()
            .find(|then| then.own_name == now.own_name && !plan.workspace.packages.contains_key(&then.path));
        return Ok(vec![
            was.map_or_else(|| "it is new".to_owned(), |was| format!("it was {} before", shown(&was.path))),
        ]);
    };
    let mut why = Vec::new();
    if now.facts.files != then.facts.files {
        let (ours, theirs) = (now.tree, then.tree);
        let (files, count) = plan.trees.differences(Some(&ours), Some(&theirs), most)?;
        why.push(format!("{} changed: {}", files_of(count), listed(&files, count)));
    }
    tell_of_shared(plan, path);
    let (now, then) = (&plan.workspace.packages[path], &plan.before.packages[path]);
    why.extend(
        differing(&now.facts.inputs, &then.facts.inputs).map(|input| format!("{input} changed, which goes into it")),
    );
    if now.facts.tasks != then.facts.tasks {
        why.push("the manifest says something else of its tasks".to_owned());
    }
    if now.own_name != then.own_name {
        why.push(format!("it was called {} before", then.own_name));
    }
    why.extend(by_edges(plan, now, then, most));
    if why.is_empty() {
        let others: Vec<String> =
            plan.workspace.graph.circle_of(now.node).filter_map(|at| name_of(&plan.workspace, at)).collect();
        why.push(match others.is_empty() {
            true => "what it depends on is resolved otherwise".to_owned(),
            false => format!("it is in a circle of dependencies with {}", listed(&others, others.len())),
        });
    }
    Ok(why)
}

/// Edges by name: what they lead to, and its hash.
fn edges<'w>(workspace: &'w Workspace, package: &Package) -> BTreeMap<&'w str, (usize, &'w Hash)> {
    let edges = workspace.graph.nodes[package.node].edges.iter();
    edges.map(|(name, to)| (&**name, (*to, workspace.graph.hash_at(*to)))).collect()
}

fn by_edges(plan: &Plan, now: &Package, then: &Package, most: usize) -> Vec<String> {
    let (ours, theirs) = (edges(&plan.workspace, now), edges(&plan.before, then));
    let (mut why, mut depends, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    for (name, (node, hash)) in &ours {
        let before = theirs.get(name);
        if before.is_some_and(|(_, before)| before == hash) {
            continue;
        }
        match &plan.workspace.things[*node] {
            Thing::Package(path) => depends.push(plan.workspace.packages[path].name.to_string()),
            Thing::Outside { .. } => versions(plan, *node, before.map(|(node, _)| *node), most, &mut outside),
            Thing::Shared { .. } => why.extend(plan.told_of_shared.get(node).into_iter().flatten().cloned()),
        }
    }
    let gone: Vec<String> =
        theirs.keys().filter(|name| !ours.contains_key(*name)).map(|name| (*name).to_owned()).collect();
    if !depends.is_empty() {
        why.push(format!("it depends on {}", listed(&depends[..depends.len().min(most)], depends.len())));
    }
    if !outside.is_empty() {
        outside.dedup();
        why.push(format!("the lock file resolves {}", listed(&outside[..outside.len().min(most)], outside.len())));
    }
    if !gone.is_empty() {
        why.push(format!("it no longer depends on {}", listed(&gone[..gone.len().min(most)], gone.len())));
    }
    why
}

/// Finds out once what of the files and settings that many depend on is another.
fn tell_of_shared(plan: &mut Plan, path: &str) {
    let (now, then) = (&plan.workspace.packages[path], &plan.before.packages[path]);
    let then = edges(&plan.before, then);
    let mut told = Vec::new();
    for (name, (node, hash)) in edges(&plan.workspace, now) {
        let Thing::Shared { by, .. } = &plan.workspace.things[node] else { continue };
        let before = then.get(name);
        if !plan.told_of_shared.contains_key(&node) && before.is_none_or(|(_, before)| *before != hash) {
            told.push((node, shared(plan, node, before.map(|(node, _)| *node), by, FEW)));
        }
    }
    plan.told_of_shared.extend(told);
}

/// What of the files and settings that many depend on is another now.
fn shared(plan: &Plan, node: usize, before: Option<usize>, by: &str, most: usize) -> Vec<String> {
    let (Thing::Shared { files, settings, .. }, before) =
        (&plan.workspace.things[node], before.map(|before| &plan.before.things[before]))
    else {
        return Vec::new();
    };
    let (files_before, settings_before) = match before {
        Some(Thing::Shared { files, settings, .. }) => (files.clone(), settings.clone()),
        _ => (BTreeMap::new(), String::new()),
    };
    let mut changed: Vec<String> = differing(files, &files_before).collect();
    if *settings != settings_before {
        changed.push("a setting of the root".to_owned());
    }
    let mut why = Vec::new();
    if !changed.is_empty() {
        why.push(format!("every {by} depends on {}", listed(&changed[..changed.len().min(most)], changed.len())));
    }
    // Tools of the root, which all packages use.
    let (ours, theirs) = (
        &plan.workspace.graph.nodes[node].edges,
        before.and_then(|_| {
            plan.before.things.iter().position(|thing| matches!(thing, Thing::Shared { by: other, .. } if *other == by))
        }),
    );
    let mut outside = Vec::new();
    for (name, to) in ours {
        let then = theirs.and_then(|at| plan.before.graph.nodes[at].edges.iter().find(|(other, _)| other == name));
        if then.is_some_and(|(_, then)| plan.before.graph.hash_at(*then) == plan.workspace.graph.hash_at(*to)) {
            continue;
        }
        match &plan.workspace.things[*to] {
            Thing::Package(path) => outside.push(plan.workspace.packages[path].name.to_string()),
            _ => versions(plan, *to, then.map(|(_, then)| *then), most, &mut outside),
        }
    }
    outside.dedup();
    if !outside.is_empty() {
        why.push(format!("the root depends on {}", listed(&outside[..outside.len().min(most)], outside.len())));
    }
    if why.is_empty() {
        why.push(format!("what every {by} depends on is resolved otherwise"));
    }
    why
}

/// Packages below a node that are there in another version, or in none, at the base.
fn versions(plan: &Plan, node: usize, before: Option<usize>, most: usize, told: &mut Vec<String>) {
    let reached = |workspace: &Workspace, node: usize| -> BTreeMap<String, Vec<String>> {
        let (mut seen, mut open, mut found) = (vec![false; workspace.things.len()], vec![node], BTreeMap::new());
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let Thing::Outside { name, version, .. } = &workspace.things[at] else { continue };
            found.entry(name.clone()).or_insert_with(Vec::new).push(version.clone());
            open.extend(workspace.graph.nodes[at].edges.iter().map(|(_, to)| *to));
        }
        found.values_mut().for_each(|versions: &mut Vec<String>| versions.sort());
        found
    };
    if told.len() >= most {
        return;
    }
    let now = reached(&plan.workspace, node);
    let then = before.map(|before| reached(&plan.before, before)).unwrap_or_default();
    for (name, versions) in &now {
        match then.get(name) {
            Some(before) if before == versions => {}
            Some(before) => told.push(format!("{name} {} (was {})", versions.join(", "), before.join(", "))),
            None => told.push(format!("{name} {}", versions.join(", "))),
        }
    }
    told.extend(then.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} no more")));
    told.sort();
}

fn differing<'m, V: PartialEq>(
    ours: &'m BTreeMap<String, V>,
    theirs: &'m BTreeMap<String, V>,
) -> impl Iterator<Item = String> {
    let changed = ours.iter().filter(|(name, value)| theirs.get(*name) != Some(value)).map(|(name, _)| name.clone());
    changed.chain(theirs.keys().filter(|name| !ours.contains_key(*name)).cloned())
}

fn files_of(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn listed(names: &[String], count: usize) -> String {
    let more = count.saturating_sub(names.len());
    let shown = names.iter().take(MANY).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown}, and {more} more") }
}

fn name_of(workspace: &Workspace, at: usize) -> Option<String> {
    match &workspace.things[at] {
        Thing::Package(path) => Some(workspace.packages[path].name.to_string()),
        _ => None,
    }
}

/// Everything about one package, and the way to what changed first.
pub(crate) fn explain(plan: &mut Plan, name: &str) -> Result<Vec<String>, Fault> {
    let Some(package) = plan.workspace.named(name) else {
        if let Some(gone) = plan.before.named(name) {
            return Ok(vec![format!("{} ({}) is gone", gone.name, shown(&gone.path))]);
        }
        let known: Vec<&str> = plan.workspace.packages.values().take(10).map(|package| &*package.name).collect();
        return Err(
            Fault::new(format!("there is no package \"{name}\"")).hint(format!("there are {}, …", known.join(", ")))
        );
    };
    let (path, name, own_name) = (package.path.clone(), package.name.clone(), package.own_name.clone());
    let is_affected = plan.is_affected(package);
    let hash = hex(plan.workspace.hash(package));
    let before = plan.before.packages.get(&path).map(|before| hex(plan.before.hash(before)));
    let mut lines = vec![
        format!(
            "{name} ({}{}) is {}",
            shown(&path),
            if own_name == name { String::new() } else { format!(", {own_name}") },
            if is_affected { "affected" } else { "not affected" }
        ),
        format!("  hash      {hash}"),
        format!("  at base   {}", before.as_deref().unwrap_or("it was not there")),
    ];
    if is_affected {
        lines.extend(told(plan, &path, MANY)?.into_iter().map(|why| format!("  because   {why}")));
        lines.extend(chain(plan, &path)?.into_iter().map(|step| format!("  from      {step}")));
    }
    let package = &plan.workspace.packages[&path];
    let needs: Vec<&str> = plan.workspace.needs(package).map(|needed| &*needed.name).collect();
    lines.push(format!(
        "  needs     {}",
        if needs.is_empty() { "no other package of the project".to_owned() } else { needs.join(", ") }
    ));
    Ok(lines)
}

/// The shortest way from a package to one that changed by itself.
fn chain(plan: &mut Plan, path: &str) -> Result<Vec<String>, Fault> {
    let mut seen: BTreeMap<Rc<str>, Option<Rc<str>>> = BTreeMap::from([(Rc::from(path), None)]);
    let mut open = std::collections::VecDeque::from([Rc::<str>::from(path)]);
    while let Some(here) = open.pop_front() {
        let package = &plan.workspace.packages[&*here];
        let is_itself = plan.before.packages.get(&*here).is_none_or(|before| before.facts != package.facts);
        if is_itself && *here != *path {
            let mut steps = Vec::new();
            let mut at = Some(here.clone());
            while let Some(step) = at {
                at = seen[&step].clone();
                steps.push(plan.workspace.packages[&*step].name.to_string());
            }
            steps.reverse();
            let why = told(plan, &here, FEW)?;
            return Ok(vec![format!("{}: {}", steps.join(" → "), why.join("; "))]);
        }
        let next: Vec<Rc<str>> = plan
            .workspace
            .needs(package)
            .filter(|needed| plan.is_affected(needed))
            .map(|needed| needed.path.clone())
            .collect();
        for needed in next {
            if !seen.contains_key(&needed) {
                seen.insert(needed.clone(), Some(here.clone()));
                open.push_back(needed);
            }
        }
    }
    Ok(Vec::new())
}
