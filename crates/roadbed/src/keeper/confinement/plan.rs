//! What a unit sees of the file system. Pure.

use std::path::{Path, PathBuf};

use host::confine::{Change, Manner, Show, View};

/// Folders for temporary files that everybody shares.
const SHARED: [&str; 2] = ["/tmp", "/var/tmp"];

/// Whether `path` lies in a folder that the unit gets one of its own for.
pub(super) fn is_shared(path: &Path) -> bool {
    SHARED.iter().any(|shared| path.starts_with(shared))
}

/// Whether the unit's user gets to `path`, if `passes` says through which folders it may go.
pub(super) fn is_reached(path: &Path, passes: &dyn Fn(&Path) -> bool) -> bool {
    path.ancestors().skip(1).all(passes)
}

/// The view in which `needed` is all there is of what is private to others, and `tmp` is in the place of the shared folders.
///
/// A folder on the way that the user may not pass is covered by one that it may; what else lay in it is then not there.
pub(super) fn view(needed: &[(PathBuf, Manner)], tmp: &Path, passes: &dyn Fn(&Path) -> bool) -> View {
    let mut changes: Vec<Change> = SHARED
        .map(|shared| Change::Show(Show { what: tmp.to_owned(), at: PathBuf::from(shared), manner: Manner::Writable }))
        .to_vec();
    let mut needed = needed.to_vec();
    // From the outside in: what is shown first must not lie on what is shown later.
    needed.sort_by_key(|(path, _)| path.components().count());
    needed.dedup();
    for (path, manner) in needed {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for folder in above {
            if is_as_before(folder, &changes, tmp) && !passes(folder) {
                changes.push(Change::Cover(folder.to_owned()));
            }
        }
        changes.push(Change::Show(Show { what: path.clone(), at: path, manner }));
    }
    View(changes)
}

/// Whether a folder is seen as it was before; the alternative is one that was made for the view, and can be passed.
fn is_as_before(folder: &Path, changes: &[Change], tmp: &Path) -> bool {
    let nearest = changes.iter().filter(|change| folder.starts_with(place(change))).max_by_key(|change| {
        // Of two at the same place the later one counts, and `max_by_key` takes the last of equals.
        place(change).components().count()
    });
    match nearest {
        None => true,
        Some(Change::Cover(_)) => false,
        Some(Change::Show(show)) => show.what != tmp,
    }
}

fn place(change: &Change) -> &Path {
    match change {
        Change::Cover(at) => at,
        Change::Show(show) => &show.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(view: &View) -> Vec<String> {
        let line = |change: &Change| match change {
            Change::Cover(at) => format!("cover {}", at.display()),
            Change::Show(show) if show.what == show.at => format!("{:?} {}", show.manner, show.at.display()),
            Change::Show(show) => format!("{} at {}", show.what.display(), show.at.display()),
        };
        view.0.iter().skip(SHARED.len()).map(line).collect()
    }

    fn closed<'a>(folders: &'a [&str]) -> impl Fn(&Path) -> bool + 'a {
        |folder| !folders.iter().any(|closed| Path::new(closed) == folder)
    }

    #[test]
    fn of_a_project_in_a_private_home_only_what_is_needed_is_there() {
        let needed = [
            (PathBuf::from("/root/shop/.roadbed/data/redis"), Manner::Writable),
            (PathBuf::from("/root/shop"), Manner::ReadOnly),
            (PathBuf::from("/root/.cache/roadbed/mongod"), Manner::ReadOnly),
        ];
        let passes = closed(&["/root", "/root/shop/.roadbed", "/root/shop/.roadbed/data"]);
        let view = view(&needed, Path::new("/root/shop/.roadbed/tmp/redis"), &passes);
        assert_eq!(
            lines(&view),
            [
                "cover /root",
                "ReadOnly /root/shop",
                "ReadOnly /root/.cache/roadbed/mongod",
                "cover /root/shop/.roadbed",
                "Writable /root/shop/.roadbed/data/redis",
            ]
        );
    }

    #[test]
    fn what_lies_in_the_shared_folders_is_shown_in_the_private_one() {
        let needed = [(PathBuf::from("/tmp/test/root/data/redis"), Manner::Writable)];
        let passes = closed(&["/tmp/test", "/tmp/test/root", "/tmp/test/root/data"]);
        let view = view(&needed, Path::new("/tmp/test/root/tmp/redis"), &passes);
        assert_eq!(view.0.len(), 3);
        assert_eq!(lines(&view), ["Writable /tmp/test/root/data/redis"]);
    }

    #[test]
    fn where_everybody_may_pass_nothing_is_covered() {
        let needed = [(PathBuf::from("/srv/shop"), Manner::ReadOnly)];
        assert_eq!(lines(&view(&needed, Path::new("/srv/root/tmp/a"), &|_| true)), ["ReadOnly /srv/shop"]);
        assert!(is_reached(Path::new("/srv/shop"), &|_| true));
        assert!(!is_reached(Path::new("/root/shop"), &closed(&["/root"])));
    }
}
