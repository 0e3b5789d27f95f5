//! Whatever is typed or pasted into a manifest, it is answered with diagnostics.

use manifest::{Source, parse};

/// A small generator of numbers (SplitMix64), so that a failure can be repeated by its seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).expect("it is below a usize")
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\0",
    "\u{feff}",
    "ß",
    "🦀",
    "${",
    "$${",
    "${url.",
    "in.",
    "[apps.",
    "[variables.A]\n",
    "[product]\n",
    "value = ",
    "needs = ",
    "true",
    "-1",
    "1e999",
    "0x",
    "1979-05-27",
    "nan",
    "99999999999999999999",
    "\\u0000",
    "\\",
    "a.b.c = 1\n",
    "always",
    "10s",
    "@",
    "{pr}",
];

fn damage(text: &str, numbers: &mut Numbers) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(text.len() + 1);
        let end = (at + numbers.below(40)).min(text.len());
        match numbers.below(5) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, numbers.pick(PIECES).chars())),
            2 => drop(text.splice(at..end, numbers.pick(PIECES).chars())),
            3 => {
                let copy: Vec<char> = text[at..end].to_vec();
                let to = numbers.below(text.len() + 1);
                text.splice(to..to, copy);
            }
            _ => text.truncate(end.max(text.len() / 2)),
        }
    }
    text.into_iter().collect()
}

/// Parses, and holds every answer to what is true of all answers.
fn hold(text: &str) {
    let source = Source::new("damaged.toml", text);
    let (manifest, diagnostics) = parse(&source);
    assert_eq!(manifest.is_some(), !diagnostics.iter().any(manifest::Diagnostic::is_error));
    let lines = text.split('\n').count();
    for told in &diagnostics {
        assert!((1..=lines).contains(&told.line) && told.column >= 1, "{told}");
        assert!(!told.message.is_empty());
        told.render(&source);
    }
    if let Some(manifest) = manifest {
        for environment in manifest.environments() {
            let number = manifest.target(&manifest::Change::PullRequest(7)).filter(|target| target.name == environment);
            manifest.resolve(&number.unwrap_or_else(|| environment.into())).expect("a declared environment resolves");
        }
        manifest::generated(&manifest, "");
    }
}

#[test]
fn damaged_manifests_are_answered() {
    let sound = include_str!("../../../roadbed.toml");
    for seed in 0..500 {
        let text = damage(sound, &mut Numbers(seed));
        let held = std::panic::catch_unwind(|| hold(&text));
        assert!(held.is_ok(), "seed {seed}:\n{text}");
    }
}

#[test]
fn noise_is_answered() {
    for seed in 0..1_500 {
        let mut numbers = Numbers(seed);
        let text: String = (0..numbers.below(60)).map(|_| numbers.pick(PIECES)).collect();
        let held = std::panic::catch_unwind(|| hold(&text));
        assert!(held.is_ok(), "seed {seed}:\n{text}");
    }
}

#[test]
fn depth_and_width_are_answered() {
    hold(&"a.".repeat(50_000));
    hold(&format!("{}1", "a = [".repeat(50_000)));
    hold(&format!("a = {}", "[".repeat(50_000)));
    hold(&format!("a = {}", "{a=".repeat(50_000)));
    hold(&"[".repeat(50_000));
    hold(&format!("[{}]", "a.".repeat(50_000)));
}

/// Each variable doubles the one before it: filled in, the last would be a text of 2^60 pieces.
#[test]
fn references_that_double_are_refused() {
    let mut text = include_str!("../../../roadbed.toml").to_owned();
    for number in 0..60 {
        let value =
            if number == 0 { "x".to_owned() } else { format!("${{variable.V{0}}}${{variable.V{0}}}", number - 1) };
        text += &format!(
            "\n[variables.V{number}]\ndescription = \"x\"\napps = [\"api\"]\nclass = \"internal\"\nowner = \"platform\"\nvalue = \"{value}\"\n"
        );
    }
    let (manifest, diagnostics) = parse(&Source::new("roadbed.toml", text));
    assert!(manifest.is_none());
    assert!(diagnostics[0].message.contains("more than 1000 pieces"), "{}", diagnostics[0]);
}

/// A fault in a large manifest must not make the reading slow: every part is looked at a few times, not once per other part.
#[test]
fn a_large_manifest_full_of_faults_is_answered() {
    let mut text = include_str!("../../../roadbed.toml").to_owned();
    for number in 0..5_000 {
        text += &format!(
            "\n[variables.V{number}]\ndescription = x\napps = [\"appi\"]\nclass = \"internal\"\nowner = \"n\"\nvalue = \"${{variable.W}}\"\n"
        );
    }
    let (_, diagnostics) = parse(&Source::new("roadbed.toml", text));
    assert_eq!(diagnostics.len(), 5_000, "names that are not there may follow from the lines that are no TOML");
}
