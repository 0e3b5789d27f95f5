//! Paths with `*` and `**`.

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use reconcile::Fault;

fn glob(text: &str) -> Result<globset::Glob, Fault> {
    GlobBuilder::new(text).literal_separator(true).build().map_err(|error| {
        Fault::because(format!("cannot understand the path \"{text}\""), &error).hint("correct it where it is written")
    })
}

/// One of them.
pub(crate) fn matcher(text: &str) -> Result<GlobMatcher, Fault> {
    Ok(glob(text)?.compile_matcher())
}

/// Several at once. A folder stands for all that is in it.
pub(crate) fn set<T: AsRef<str>>(texts: &[T]) -> Result<GlobSet, Fault> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        let text = text.as_ref();
        set.add(glob(text)?);
        set.add(glob(&format!("{}/**", text.trim_end_matches('/').trim_end_matches("/**")))?);
    }
    set.build().map_err(|error| Fault::because("cannot understand the paths", &error))
}

/// The folders before the first part with a `*`: below it lies all that can match.
pub(crate) fn fixed_part(glob: &str) -> &str {
    match glob.find('*') {
        Some(star) => glob[..star].rfind('/').map_or("", |end| &glob[..end]),
        None => glob,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_folder_and_a_folder_stands_for_its_files() {
        let set = set(&["apps/*", "dist", "a/**/b.ts"]).unwrap();
        assert!(set.is_match("apps/api") && set.is_match("apps/api/src/x.ts") && set.is_match("dist/a/b"));
        assert!(set.is_match("a/b.ts") && set.is_match("a/c/d/b.ts"));
        assert!(!set.is_match("apps2/api") && !set.is_match("packages/dist"));
        assert_eq!(
            (fixed_part("apps/*"), fixed_part("a/b/**"), fixed_part("a/b.ts"), fixed_part("**")),
            ("apps", "a/b", "a/b.ts", "")
        );
    }
}
