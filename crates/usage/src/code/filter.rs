//! Which sources are worth a parse.

use memchr::memmem::Finder;

/// Tells sources that may use a variable from the many that cannot, by a look at their bytes.
///
/// A use needs the word `env` (in `process.env`, `{ env }`, `["env"]`) and something that has it; libraries that read the
/// environment by themselves, and readers that the manifest names, are known by their own words.
#[derive(Debug)]
pub struct Filter {
    env: Finder<'static>,
    holders: Vec<Finder<'static>>,
    alone: Vec<Finder<'static>>,
}

impl Filter {
    pub fn new(wrappers: &[String]) -> Self {
        let finders = |words: &[&str]| words.iter().map(|word| Finder::new(word).into_owned()).collect();
        let mut alone: Vec<Finder<'static>> = finders(&["loadEnv", "envsafe"]);
        let last = wrappers.iter().filter_map(|wrapper| wrapper.rsplit('.').next());
        alone.extend(last.map(|word| Finder::new(word).into_owned()));
        Self {
            env: Finder::new("env").into_owned(),
            holders: finders(&["process", "meta", "env-", "Deno", "Bun", "bun"]),
            alone,
        }
    }

    pub fn passes(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let has_word = self.env.find_iter(bytes).any(|at| is_word(bytes, at, at + 3));
        (has_word && self.holders.iter().any(|word| word.find(bytes).is_some()))
            || self.alone.iter().any(|word| word.find(bytes).is_some())
    }
}

fn is_word(bytes: &[u8], start: usize, end: usize) -> bool {
    let continues =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'));
    !continues(start.checked_sub(1).and_then(|before| bytes.get(before))) && !continues(bytes.get(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_use_a_variable_passes() {
        let filter = Filter::new(&["config.getOrThrow".to_owned()]);
        let cases = [
            ("process.env.A", true),
            ("process?.[\"env\"].A", true),
            ("const { env } = process", true),
            ("import.meta.env.A", true),
            ("import { env as e } from 'bun'", true),
            ("Deno.env.get('A')", true),
            ("import { createEnv } from '@t3-oss/env-core'", true),
            ("envsafe({ A: str() })", true),
            ("this.config.getOrThrow('A')", true),
            ("process.environment", false),
            ("process.exit(); // environment", false),
            ("const envelope = process.env_A", false),
            ("env.A", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(filter.passes(text), expected, "{text}");
        }
    }
}
