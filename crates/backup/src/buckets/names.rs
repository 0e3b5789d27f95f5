//! Keys as paths: one for each, no two the same, none that leads anywhere or is longer than a file system takes.

use crate::contents::escaped;
use crate::digest::of_bytes;

/// A name of a file may have 255 bytes.
const MOST_NAME: usize = 200;

/// So much of a longer one is left, before its digest.
const KEPT: usize = 120;

/// The path of a key: each of its segments is a folder or the file. A key may be what another begins with (`a` and `a/b`): those get
/// other names by [`told_apart`].
pub(super) fn path_of(key: &str) -> String {
    let mut path = String::with_capacity(key.len() + 16);
    for (number, segment) in key.split('/').enumerate() {
        if number > 0 {
            path.push('/');
        }
        path.push_str(&name_of(segment));
    }
    path
}

/// `%` alone stands for nothing, and two of it before a digest for what was left out: [`escaped`] makes neither.
fn name_of(segment: &str) -> String {
    if segment.is_empty() {
        return "%".to_owned();
    }
    let name = escaped(segment);
    if name.len() <= MOST_NAME {
        return name;
    }
    let mut end = KEPT;
    // Never within `%xx`.
    while let Some(at) = name[..end].rfind('%').filter(|at| at + 3 > end) {
        end = at;
    }
    format!("{}%%{}", &name[..end], of_bytes(segment.as_bytes()))
}

/// Puts paths into the order of a tree, and gives a file another name where a folder has the same.
pub(super) fn told_apart<T>(paths: &mut Vec<(String, T)>) {
    let in_order = |paths: &mut Vec<(String, T)>| {
        paths.sort_unstable_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
    };
    in_order(paths);
    let mut renamed = false;
    for number in 1..paths.len() {
        let (before, from_here) = paths.split_at_mut(number);
        let (Some((file, _)), Some((next, _))) = (before.last_mut(), from_here.first()) else { continue };
        if next.strip_prefix(file.as_str()).is_some_and(|rest| rest.starts_with('/')) {
            file.push('%');
            renamed = true;
        }
    }
    if renamed {
        in_order(paths);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_key_is_a_path_that_a_person_knows_again() {
        assert_eq!(path_of("products/2026/shoe-1.jpg"), "products/2026/shoe-1.jpg");
        assert_eq!(path_of("größe 40.png"), "gr%c3%b6%c3%9fe%2040.png");
        assert_eq!(path_of("a//b/"), "a/%/b/%");
        assert_eq!(path_of("/.hidden/../x"), "%/%2ehidden/%2e./x");
    }

    #[test]
    fn no_name_is_longer_than_a_file_system_takes_and_no_two_are_one() {
        let long = "é".repeat(512);
        let other = format!("{}e", "é".repeat(511));
        let (one, two) = (path_of(&long), path_of(&other));
        assert!(one.len() <= MOST_NAME && two.len() <= MOST_NAME, "{one}");
        assert_ne!(one, two);
        assert!(one.starts_with("%c3%a9%c3%a9"));
        // What looks like it, as a key.
        assert_ne!(path_of(&one), one);
    }

    #[test]
    fn a_file_and_a_folder_of_one_name_are_told_apart_and_all_is_in_the_order_of_a_tree() {
        let keys = ["a/b", "a", "a-b", "a%", "a/", "a//x", "b", "a0", "a/b/c", "a b"];
        let mut paths: Vec<(String, &str)> = keys.iter().map(|key| (path_of(key), *key)).collect();
        told_apart(&mut paths);
        let names: Vec<&str> = paths.iter().map(|(path, _)| path.as_str()).collect();
        assert!(names.is_sorted_by(|one, next| one.split('/').lt(next.split('/'))), "{names:?}");
        let folders: BTreeSet<&str> =
            names.iter().flat_map(|name| name.match_indices('/').map(|(at, _)| &name[..at])).collect();
        assert!(names.iter().all(|name| !folders.contains(name)), "{names:?}");
        assert!(paths.contains(&("a%".to_owned(), "a")), "{paths:?}");
        assert!(paths.contains(&("a%25".to_owned(), "a%")), "{paths:?}");
    }
}
