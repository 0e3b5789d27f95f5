//! Whether two names can be the same, where `{pr}` and `{branch}` stand for whatever may come.

use crate::naming::BranchSlug;
use crate::tables::Per;
use crate::target::number_of;

/// Host names or parts of other names, compared label by label: what is filled in has no dots. Errs on the side of "yes".
pub(super) fn may_meet(one: &str, other: &str) -> bool {
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if labels_may_meet(one, other) => {}
            _ => return false,
        }
    }
}

fn labels_may_meet(one: &str, other: &str) -> bool {
    match (parts(one), parts(other)) {
        (None, None) => one == other,
        (Some(parts), None) => fits(other, parts),
        (None, Some(parts)) => fits(one, parts),
        (Some((before, Per::PullRequest, after)), Some((other_before, Per::PullRequest, other_after))) => {
            let digits = |letter: char| letter.is_ascii_digit();
            before.trim_end_matches(digits) == other_before.trim_end_matches(digits)
                && after.trim_start_matches(digits) == other_after.trim_start_matches(digits)
        }
        (Some((before, _, after)), Some((other_before, _, other_after))) => {
            (before.starts_with(other_before) || other_before.starts_with(before))
                && (after.ends_with(other_after) || other_after.ends_with(after))
        }
    }
}

/// What stands before and after the placeholder.
fn parts(label: &str) -> Option<(&str, Per, &str)> {
    Per::ALL.iter().find_map(|per| label.split_once(per.placeholder()).map(|(before, after)| (before, *per, after)))
}

fn fits(label: &str, (before, per, after): (&str, Per, &str)) -> bool {
    let Some(middle) = label.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) else { return false };
    match per {
        Per::PullRequest => number_of(middle).is_some(),
        Per::Branch => BranchSlug::read(middle).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::may_meet;

    #[test]
    fn a_placeholder_meets_what_it_can_become() {
        let pairs = [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("pr-{pr}.x", "pr-7.x", true),
            ("pr-{pr}.x", "pr-07.x", false),
            ("pr-{pr}.x", "pr-.x", false),
            ("pr-{pr}.x", "www.pr-7.x", false),
            ("pr-{pr}.x", "pr-1{pr}.x", true),
            ("pr-{pr}.x", "pr-{pr}-b.x", false),
            ("{branch}.x", "www.x", true),
            ("{branch}.x", "a--b.x", false),
            ("{branch}.x", "pr-{pr}.x", true),
            ("b-{branch}.x", "pr-{pr}.x", false),
            ("a.{branch}.x", "b.{branch}.x", false),
            ("preview-pr-{pr}-eu", "preview-pr-{pr}", false),
            ("review-{branch}-eu", "review-{branch}", true),
        ];
        for (one, other, met) in pairs {
            assert_eq!(may_meet(one, other), met, "{one} {other}");
            assert_eq!(may_meet(other, one), met, "{other} {one}");
        }
    }
}
