//! Variables that Rust code reads: `env::var("X")`, `env!("X")`. By tokens, so that what stands inside other macros is seen and
//! what stands in comments and texts is not.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::{Fallback, How, Language, Name, Place, Use};

/// The uses of a file; what does not even lex has none that we could see.
///
/// # Errors
/// Says where the text stops to be Rust.
pub fn uses(file: &str, text: &str) -> Result<Vec<Use>, Place> {
    let tokens: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| place(file, error.span()))?;
    let mut levels = vec![tokens];
    let mut lists: Vec<Vec<TokenTree>> = Vec::new();
    // By hand and not by recursion: how deep the brackets of a stranger's file nest is the stranger's choice.
    while let Some(level) = levels.pop() {
        let tokens: Vec<TokenTree> = level.into_iter().collect();
        for token in &tokens {
            if let TokenTree::Group(group) = token {
                levels.push(group.stream());
            }
        }
        lists.push(tokens);
    }
    let constants = lists.iter().flat_map(|tokens| constants(tokens)).collect();
    let mut uses: Vec<Use> = lists.iter().flat_map(|tokens| in_list(file, tokens, &constants)).collect();
    uses.sort();
    // Spans of all files parsed by this thread are kept until told otherwise; none is used from here on.
    proc_macro2::extra::invalidate_current_thread_spans();
    Ok(uses)
}

fn place(file: &str, span: proc_macro2::Span) -> Place {
    let start = span.start();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { file: file.to_owned(), line: number(start.line), column: number(start.column + 1) }
}

/// `const KEY: &str = "X";`
fn constants(tokens: &[TokenTree]) -> Vec<(String, String)> {
    let starts = tokens.iter().enumerate().filter(|(_, token)| is_word(token, &["const", "static"]));
    starts
        .filter_map(|(at, _)| {
            let TokenTree::Ident(name) = tokens.get(at + 1)? else { return None };
            let end = tokens[at..].iter().position(|token| is_sign(token, ';'))?;
            let value = tokens[at..at + end].iter().rposition(|token| is_sign(token, '=')).map(|sign| at + sign + 1)?;
            Some((name.to_string(), text_of(tokens.get(value)?)?))
        })
        .collect()
}

fn in_list(file: &str, tokens: &[TokenTree], constants: &BTreeMap<String, String>) -> Vec<Use> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Ident(word) = token else { continue };
        let (how, arguments) = match word.to_string().as_str() {
            "env" | "option_env" if tokens.get(at + 1).is_some_and(|next| is_sign(next, '!')) => {
                (How::BuildInput, tokens.get(at + 2))
            }
            "var" | "var_os" if is_of_env(tokens, at) => (How::Read, tokens.get(at + 1)),
            "set_var" if is_of_env(tokens, at) => (How::Write, tokens.get(at + 1)),
            "remove_var" if is_of_env(tokens, at) => (How::Remove, tokens.get(at + 1)),
            "vars" | "vars_os" if is_of_env(tokens, at) => {
                let name = Name::Whole(format!("env::{word}"));
                found.push(Use {
                    place: place(file, word.span()),
                    name,
                    how: How::Read,
                    fallback: Fallback::None,
                    language: Language::Rust,
                });
                continue;
            }
            _ => continue,
        };
        let Some(TokenTree::Group(group)) = arguments else { continue };
        if group.delimiter() == Delimiter::None {
            continue;
        }
        let name = first_argument(group, constants).map_or(Name::Computed, Name::Exact);
        let fallback = if how == How::Read { fallback(&tokens[at + 2..]) } else { Fallback::None };
        found.push(Use { place: place(file, word.span()), name, how, fallback, language: Language::Rust });
    }
    found
}

/// Whether `env::` stands before.
fn is_of_env(tokens: &[TokenTree], at: usize) -> bool {
    at >= 3 && is_sign(&tokens[at - 1], ':') && is_sign(&tokens[at - 2], ':') && is_word(&tokens[at - 3], &["env"])
}

fn first_argument(group: &Group, constants: &BTreeMap<String, String>) -> Option<String> {
    let mut tokens = group.stream().into_iter();
    let mut first = tokens.next()?;
    if is_sign(&first, '&') {
        first = tokens.next()?;
    }
    let is_alone = tokens.next().is_none_or(|next| is_sign(&next, ','));
    match &first {
        _ if !is_alone => None,
        TokenTree::Ident(name) => constants.get(&name.to_string()).cloned(),
        literal => text_of(literal),
    }
}

/// `.unwrap_or("dev".into())`, `.unwrap_or_else(|_| "dev".to_owned())`: a text among the arguments of what comes next.
fn fallback(behind: &[TokenTree]) -> Fallback {
    let [dot, TokenTree::Ident(method), TokenTree::Group(arguments), ..] = behind else { return Fallback::None };
    let takes_fallback = method.to_string().starts_with("unwrap_or") && method != "unwrap_or_default";
    let holds_text = || arguments.stream().into_iter().filter_map(|token| text_of(&token)).any(|text| !text.is_empty());
    if is_sign(dot, '.') && takes_fallback && holds_text() { Fallback::Literal } else { Fallback::None }
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_word(token: &TokenTree, words: &[&str]) -> bool {
    matches!(token, TokenTree::Ident(word) if words.iter().any(|known| word == known))
}

/// The text of a literal that needs no unescaping, as every name of a variable does.
fn text_of(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    let written = literal.to_string();
    let inner = written.trim_start_matches('r').trim_matches('#');
    let text = inner.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('\\')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown;

    #[test]
    fn reads_of_rust_code() {
        let cases: &[(&str, &[&str])] = &[
            ("fn f() { std::env::var(\"A\").unwrap(); }", &["1:20 A"]),
            ("fn f() { let x = env::var_os(\"A\"); }", &["1:23 A"]),
            ("fn f() { env::var(\"A\").unwrap_or_else(|_| \"dev\".to_owned()); }", &["1:15 A or a literal"]),
            ("fn f() { env::var(\"A\").unwrap_or_default(); }", &["1:15 A"]),
            ("const K: &str = \"A\";\nfn f() { env::var(K); env::var(other); }", &["2:15 A", "2:28 computed"]),
            (
                "fn f() { println!(\"{}\", env!(\"A\")); option_env!(\"B\"); }",
                &["1:25 build input A", "1:37 build input B"],
            ),
            ("// env::var(\"A\")\nfn f() { \"env::var(\\\"B\\\")\"; }", &[]),
            ("fn f() { for x in std::env::vars() {} }", &["1:29 whole: env::vars"]),
            (
                "fn f() { unsafe { env::set_var(\"A\", \"1\"); env::remove_var(\"B\") } }",
                &["1:24 A =", "1:48 remove B"],
            ),
            ("fn f() { map.var(\"A\"); var(\"B\"); }", &[]),
            ("fn f() { env::var(&format!(\"A_{x}\")); env::var(r#\"B\"#) }", &["1:15 computed", "1:44 B"]),
        ];
        for (code, expected) in cases {
            assert_eq!(shown(&uses("", code).unwrap()), *expected, "{code}");
        }
        assert_eq!(uses("x.rs", "fn f() {\n  }}").unwrap_err().line, 2);
    }
}
