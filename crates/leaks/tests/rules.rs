//! Every rule finds its own example, and no other rule is surer of it.

mod planting;

use leaks::{How, Rules, Scanner};
use planting::example::{Dice, make};

#[test]
fn every_rule_finds_its_example_and_no_other_rule_is_surer() {
    let scanner = Scanner::new(Rules::ours(), None);
    let mut wrong = Vec::new();
    for (index, rule) in Rules::ours().all().iter().enumerate() {
        let mut dice = Dice::new(u64::try_from(index).unwrap());
        let mut by_itself = 0;
        for _ in 0..50 {
            let text = format!("{}\n", make(&rule.example, &mut dice));
            let hits = scanner.scan(text.as_bytes());
            let sure = hits.iter().map(|hit| hit.confidence).max();
            if hits.iter().any(|hit| hit.how == How::Rule(rule.id.clone())) {
                by_itself += 1;
            }
            if sure != Some(rule.confidence) {
                wrong.push(format!(
                    "{} in {text:?}: {:?}",
                    rule.id,
                    hits.iter().map(|hit| &hit.how).collect::<Vec<_>>()
                ));
            }
        }
        // An example may look like another issuer's, but not as a habit. Random characters may spell a placeholder once.
        if by_itself < 45 {
            wrong.push(format!("{} found {by_itself} of its 50 examples", rule.id));
        }
    }
    assert!(wrong.len() <= 3, "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

/// Whatever stands in a file, with parts of real forms in it, so that patterns are entered and left half way.
mod any_bytes {
    use leaks::{Rules, Scanner, Values};
    use proptest::prelude::*;
    use secrets::Secret;

    use crate::planting::example::{Dice, make};

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[A-Za-z0-9+/=%._-]{0,80}".prop_map(String::into_bytes),
            (any::<u64>(), any::<proptest::sample::Index>(), any::<proptest::sample::Index>()).prop_map(
                |(seed, rule, cut)| {
                    let ours = Rules::ours();
                    let rules = ours.all();
                    let mut text = make(&rules[rule.index(rules.len())].example, &mut Dice::new(seed)).into_bytes();
                    text.truncate(cut.index(text.len()) + 1);
                    text
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_scanner_panic_or_show_a_value(pieces in proptest::collection::vec(piece(), 0..12)) {
            const VALUE: &str = "correct-battery-7";
            let values = Values::new(vec![("A@v1".to_owned(), Secret::new(VALUE.to_owned()))]).expect("one value");
            let scanner = Scanner::new(Rules::ours(), Some(values));
            let content = pieces.join(VALUE.as_bytes());
            let hits = scanner.scan(&content);
            prop_assert!(hits.len() >= usize::from(pieces.len() > 1), "the value is there");
            for hit in hits {
                prop_assert!(!hit.excerpt.contains(VALUE), "{:?}", hit);
                prop_assert!(hit.line >= 1 && hit.column >= 1);
            }
        }
    }
}
