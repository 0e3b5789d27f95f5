//! The JavaScript and TypeScript of one app, as the judgement wants it: without tests and generated files, with what build
//! settings show and with the names that are read off the generated accessor.

use std::collections::BTreeSet;
use std::path::Path;

use aho_corasick::AhoCorasick;
use host::files;
use manifest::{RunsIn, Scan, ScannedApp};

use crate::code::{self, Code, Reach, Seen};
use crate::javascript::{self, Setting};
use crate::project::ProjectFault;
use crate::project_code::{AppCode, Inlined, ProjectCode, ShownPrefix};
use crate::suppression::suppressions;
use crate::walk::Part;
use crate::{Name, Place};

/// Reads an app's sources into `app`, and what goes for the whole project into `project`.
pub(crate) fn read(
    folder: &Path,
    scan: &Scan,
    scanned: &ScannedApp,
    app: &mut AppCode,
    project: &mut ProjectCode,
) -> Result<(), ProjectFault> {
    let code = code::read(folder, &scanned.path, &scan.wrappers)?;
    let declared = AhoCorasick::new(scan.declared.iter().map(|(name, _)| name.as_str()));
    let mut left_out = BTreeSet::new();
    for file in &code.files {
        if file.part == Part::Test {
            left_out.insert(file.path.as_str());
            continue;
        }
        let bytes = files::read(&folder.join(&file.path))?;
        let text = String::from_utf8_lossy(&bytes);
        // The accessor that Roadbed makes reads everything that is declared, on behalf of whoever uses it.
        if is_generated(&text) {
            left_out.insert(file.path.as_str());
            continue;
        }
        project.files += 1;
        project.bytes += bytes.len() as u64;
        project.suppressions.extend(suppressions(&file.path, &text));
        // A file that holds none of the names need not be read a second time.
        if declared.as_ref().is_ok_and(|declared| declared.is_match(text.as_ref())) {
            app.named.extend(javascript::names(&text, file.dialect).unwrap_or_default());
        }
    }
    let is_kept = |file: &str| !left_out.contains(file);
    let unreadable = code.unreadable.iter().filter(|(place, _)| is_kept(&place.file));
    project.unreadable.extend(unreadable.map(|(place, why)| (Some(scanned.name.clone()), place.clone(), why.clone())));
    shown(&code, app);
    app.in_browsers = in_browsers(&code, scanned.runs_in);
    if scanned.runs_in == RunsIn::Both {
        app.at_edge = reached(&code, Reach::Edge).map(|seen| seen.used.place.file.clone()).collect();
    }
    app.uses.extend(code.uses.into_iter().map(|seen| seen.used).filter(|used| is_kept(&used.place.file)));
    Ok(())
}

fn in_browsers(code: &Code, runs_in: RunsIn) -> BTreeSet<String> {
    match runs_in {
        RunsIn::Server => BTreeSet::new(),
        // A static app whose page names no script that we know: all of it.
        RunsIn::Browsers if reached(code, Reach::Client).next().is_none() => {
            code.files.iter().filter(|file| file.part == Part::Source).map(|file| file.path.clone()).collect()
        }
        RunsIn::Both | RunsIn::Browsers => {
            reached(code, Reach::Client).map(|seen| seen.used.place.file.clone()).collect()
        }
    }
}

fn reached(code: &Code, reach: Reach) -> impl Iterator<Item = &Seen> {
    code.uses.iter().filter(move |seen| seen.reach == reach && seen.part == Part::Source)
}

/// The first line of every file that Roadbed makes of the manifest.
fn is_generated(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains("Generated from ") && line.contains("`roadbed generate`"))
}

fn shown(code: &Code, app: &mut AppCode) {
    for (file, setting) in &code.settings {
        match setting {
            Setting::Inlined { name, start, end, .. } => {
                let inside = code
                    .uses
                    .iter()
                    .filter(|seen| seen.used.place.file == *file && (*start..*end).contains(&seen.offset));
                app.inlined.extend(inside.filter_map(|seen| match &seen.used.name {
                    Name::Exact(variable) => Some(Inlined {
                        place: seen.used.place.clone(),
                        variable: variable.clone(),
                        shown_as: name.clone(),
                    }),
                    _ => None,
                }));
            }
            Setting::Prefix { prefix, line, column } => app.shown_prefixes.push(ShownPrefix {
                place: Place { file: file.clone(), line: *line, column: *column },
                prefix: prefix.clone(),
            }),
        }
    }
}
