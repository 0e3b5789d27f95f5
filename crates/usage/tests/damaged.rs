//! Whatever stands in a file, reading it ends and panics nowhere.

use usage::{Use, compose, dockerfile, html, rust, shell, workflow};

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
    "$",
    "${",
    "$(",
    "$((",
    "}",
    ")",
    "{",
    "(",
    "\"",
    "'",
    "`",
    "\\",
    "\n",
    " ",
    "\t",
    "=",
    "+=",
    ":-",
    ":=",
    "!",
    "#",
    "%",
    "<<EOF",
    "<<-'X'",
    "EOF\n",
    "<<<",
    "|",
    "&&",
    ";",
    "A",
    "B_1",
    "export ",
    "unset ",
    "for ",
    "read ",
    "case ",
    "ARG ",
    "ENV ",
    "RUN ",
    "CMD [",
    "--mount=env=",
    "environment:",
    "args:",
    "- ",
    "  ",
    ": ",
    "? ",
    "&a ",
    "*a",
    "!!x ",
    "|\n",
    ">-\n",
    "---\n",
    "${{",
    "}}",
    "secrets.",
    "vars['",
    "env",
    "if: ",
    "run: ",
    "env::var(",
    "env!(",
    "const K: &str = ",
    "\"X\"",
    "r#\"",
    "//",
    "/*",
    "%VITE_A%",
    "%VITE_",
    "é",
    "\u{1F600}",
    "\0",
    "\u{feff}",
    "\r\n",
];

fn text(numbers: &mut Numbers) -> String {
    let length = numbers.below(60);
    (0..length).map(|_| numbers.pick(PIECES)).collect()
}

fn all(text: &str) -> Vec<Use> {
    let mut found = shell::uses("f", text);
    found.extend(dockerfile::uses("f", text));
    found.extend(html::uses("f", text));
    found.extend(compose::uses("f", text).unwrap_or_default());
    found.extend(workflow::uses("f", text).unwrap_or_default());
    found.extend(rust::uses("f", text).unwrap_or_default());
    found
}

#[test]
fn no_text_makes_a_reader_panic_and_every_place_is_in_it() {
    let seeds = 20_000;
    for seed in 0..seeds {
        let text = text(&mut Numbers(seed));
        let found = std::panic::catch_unwind(|| all(&text)).unwrap_or_else(|_| panic!("seed {seed}: {text:?}"));
        let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
        for one in found {
            let (line, column) = (one.place.line as usize, one.place.column as usize);
            assert!(line >= 1 && line <= lines.len(), "seed {seed}: {one:?} in {text:?}");
            assert!(column >= 1 && column <= lines[line - 1] + 1, "seed {seed}: {one:?} in {text:?}");
        }
    }
}

#[test]
fn nothing_is_too_deep_or_too_long() {
    for piece in ["$(", "${A:-", "`", "\"$(", "(", "[", "{a: ", "- ", "fn f() {", "a:\n"] {
        all(&piece.repeat(20_000));
    }
    all(&"echo $A; ".repeat(20_000));
    all(&"ENV A=$B\n".repeat(5_000));
}
