//! Whatever a file holds, reading it ends: no bytes make the reader panic, and what it says lies in the text.

#![expect(clippy::disallowed_methods, reason = "the driver reads its case files")]

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use usage::Language;
use usage::javascript::{self, Dialect, Given, Shared, Tool};
use usage::javascript::{Export, Handed, HandedTo};

/// Sources of the cases, to be cut and mixed.
static SOURCES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javascript");
    let files = std::fs::read_dir(folder).expect("the cases lie there").flatten();
    let texts = files.map(|file| std::fs::read_to_string(file.path()).expect("cases are text"));
    let all: Vec<String> = texts.collect();
    let sources = all.iter().flat_map(|text| text.split("\n=== ")).filter_map(|case| {
        let (_, body) = case.split_once('\n')?;
        Some(body.split("\n---").next().unwrap_or_default().to_owned())
    });
    sources.collect()
});

const DIALECTS: [Dialect; 5] =
    [Dialect::JavaScript, Dialect::Module, Dialect::CommonJs, Dialect::TypeScript, Dialect::TypeScriptJsx];

/// Words that mean something to the reader.
const WORDS: [&str; 36] = [
    "process",
    ".env",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "const e = ",
    "process.env",
    "import.meta.env",
    "\"A\"",
    "`A${b}`",
    "...",
    " ?? ",
    " || \"x\"",
    "=>",
    "function f(a)",
    "return ",
    "export ",
    "default ",
    "import { env } from \"./env\";",
    "class A {",
    "this.env",
    " = ",
    ";",
    ",",
    "?.",
    "delete ",
    " in ",
    "a",
    "é😀",
    "f(process.env)",
    "z.object({A: 1}).parse",
    "for (const a of [\"A\"]) ",
    "\n",
];

fn read(text: &str, dialect: Dialect) {
    let wrappers = ["f".to_owned(), "env.get".to_owned()];
    let shared = [
        Shared::Environment(Language::JavaScript),
        Shared::Process,
        Shared::Reader { method: None, parameter: 0, language: Language::JavaScript },
        Shared::Reader { method: Some("get".to_owned()), parameter: 1, language: Language::ImportMeta },
    ];
    let exports = ["env", "default", "need", "config"].into_iter().zip(shared);
    let exports = exports.map(|(name, shared)| Export { name: name.to_owned(), shared, start: 0, line: 1, column: 1 });
    let handed =
        |name: &str, to| Handed { specifier: String::new(), name: name.to_owned(), to, language: Language::JavaScript };
    let handed = vec![handed("f", HandedTo::Argument(0)), handed("schema", HandedTo::Schema)];
    let given = Given { modules: vec![("./env".to_owned(), exports.collect())], handed };
    let _ = javascript::links(text, dialect);
    let _ = javascript::settings(text, dialect, Tool::Vite);
    match javascript::uses_given(text, dialect, &wrappers, &given) {
        Ok(extracted) => {
            let lines = u32::try_from(text.matches('\n').count()).expect("a small text") + 1;
            for used in &extracted.uses {
                assert!(used.start <= used.end && used.end as usize <= text.len(), "{used:?}");
                assert!((1..=lines).contains(&used.line) && used.column >= 1, "{used:?}");
            }
            assert!(extracted.uses.is_sorted_by_key(|used| used.start));
            // Twice the same: nothing hangs on the order of a hash.
            assert_eq!(javascript::uses_given(text, dialect, &wrappers, &given).as_ref(), Ok(&extracted));
        }
        Err(fault) => assert!(fault.line >= 1 && fault.column >= 1 && !fault.why.is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", dialect in 0..DIALECTS.len()) {
        read(&text, DIALECTS[dialect]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), dialect in 0..DIALECTS.len()) {
        read(&String::from_utf8_lossy(&bytes), DIALECTS[dialect]);
    }

    #[test]
    fn no_row_of_words_makes_it_panic(
        words in proptest::collection::vec(0..WORDS.len(), 0..40),
        dialect in 0..DIALECTS.len(),
    ) {
        let text: String = words.iter().map(|word| WORDS[*word]).collect();
        read(&text, DIALECTS[dialect]);
    }

    #[test]
    fn no_damaged_source_makes_it_panic(
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        word in 0..WORDS.len(),
        dialect in 0..DIALECTS.len(),
    ) {
        let (one, other) = (one.get(&SOURCES), other.get(&SOURCES));
        let head = &one[..one.floor_char_boundary(cut.index(one.len() + 1))];
        let tail = &other[other.floor_char_boundary(from.index(other.len() + 1))..];
        read(&format!("{head}{}{tail}", WORDS[word]), DIALECTS[dialect]);
        read(&format!("{other}\n{one}"), DIALECTS[dialect]);
    }
}
