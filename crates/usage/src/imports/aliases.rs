//! Short names for folders: `baseUrl` and `paths` of `tsconfig.json`.

use serde_json::Value;

use super::joined;

/// The aliases of one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    /// Relative to the root.
    base: Option<String>,
    /// What is written, with at most one `*`, and what it stands for, relative to the root.
    paths: Vec<(String, Vec<String>)>,
    /// The file whose aliases hold where this one has none: its `extends`, relative to the root.
    pub(crate) extends: Option<String>,
}

impl Aliases {
    /// Of a `tsconfig.json` in `folder`. Nothing if it is not readable: the compiler tells.
    pub fn read(folder: &str, text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(&plain(text)).ok()?;
        let options = value.get("compilerOptions");
        let base = options.and_then(|options| options.get("baseUrl")).and_then(Value::as_str);
        let base = base.and_then(|base| joined(folder, base));
        let start = base.as_deref().unwrap_or(folder);
        let mut paths = Vec::new();
        let table = options.and_then(|options| options.get("paths")).and_then(Value::as_object);
        for (written, targets) in table.into_iter().flatten() {
            let targets = targets.as_array().into_iter().flatten().filter_map(Value::as_str);
            paths.push((written.clone(), targets.filter_map(|target| joined(start, target)).collect()));
        }
        let extends = value.get("extends").and_then(Value::as_str);
        let extends = extends.filter(|extends| extends.starts_with('.')).and_then(|extends| joined(folder, extends));
        let extends =
            extends.map(|extends| if extends.ends_with(".json") { extends } else { format!("{extends}.json") });
        Some(Self { base, paths, extends })
    }

    /// With what the file says that this one extends.
    pub(crate) fn or(mut self, outer: Self) -> Self {
        self.base = self.base.or(outer.base);
        if self.paths.is_empty() {
            self.paths = outer.paths;
        }
        self.extends = outer.extends;
        self
    }

    /// What a specifier may stand for, relative to the root.
    pub(super) fn paths(&self, specifier: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (written, targets) in &self.paths {
            match written.split_once('*') {
                None if written == specifier => found.extend(targets.iter().cloned()),
                Some((before, after)) => {
                    let gap = specifier.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                    if let Some(gap) = gap {
                        found.extend(targets.iter().map(|target| target.replacen('*', gap, 1)));
                    }
                }
                None => {}
            }
        }
        found.extend(self.base.as_ref().and_then(|base| joined(base, specifier)));
        found
    }
}

/// JSON without the comments and last commas that the compiler allows.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let (string, after) = rest.split_at(end.map_or(rest.len(), |end| end + 2));
            plain.push_str(string);
            rest = after;
        } else if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest[2..].find("*/").map_or("", |end| &rest[end + 4..]);
        } else {
            if matches!(c, '}' | ']') {
                let kept = plain.trim_end();
                if kept.ends_with(',') {
                    let length = kept.len() - 1;
                    plain.truncate(length);
                }
            }
            plain.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_are_left_out_but_not_in_texts() {
        let cases = [
            (r#"{ "a": 1, }"#, r#"{ "a": 1}"#),
            (r#"{ "a": "//x", /* y */ "b": [1,2,], } // z"#, r#"{ "a": "//x",  "b": [1,2]} "#),
            (r#"{ "a": "\"/*" }"#, r#"{ "a": "\"/*" }"#),
            ("\"", "\""),
            ("/*", ""),
            ("/**/1", "1"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
