//! Reading a dotenv file, with the place of everything that is wrong in it.
//!
//! ```text
//!   # a comment
//!   NAME=value to the end of the line     # after a blank
//!   export NAME='as it is'
//!   NAME="with \n \" \\ \$ and
//!   line ends"
//! ```
//!
//! Nothing is put in for `$NAME`: what one tool expands, another takes as it is, and a secret may well hold a `$`.

use zeroize::{Zeroize, Zeroizing};

/// A name with its value, and where it is. No `Debug`.
#[expect(missing_debug_implementations, reason = "a value is never shown")]
pub struct Assignment {
    pub name: String,
    pub value: Zeroizing<String>,
    /// From 1.
    pub line: usize,
}

/// What is wrong, and where. Never quotes a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub what: &'static str,
}

/// Reads all assignments, or says all that is wrong.
pub fn read(text: &str) -> Result<Vec<Assignment>, Vec<Wrong>> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let rest = line.trim_start();
        if rest.is_empty() || rest.starts_with('#') {
            continue;
        }
        let rest = rest.strip_prefix("export ").map_or(rest, str::trim_start);
        let mut complain = |part: &str, what| {
            let before = line.len() - part.len();
            let column = line.get(..before).map_or(1, |before| before.chars().count() + 1);
            wrong.push(Wrong { line: at + 1, column, what });
        };
        let Some((name, value)) = rest.split_once('=') else {
            complain(rest, "there is no `=`");
            continue;
        };
        let name = name.trim_end();
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|first: char| first.is_ascii_digit())
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        if !is_name(name) {
            complain(rest, "this is no name of a variable");
            continue;
        }
        let start = value.trim_start();
        let value = match start.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&start[1..], quote, &mut lines),
            _ => Ok(Zeroizing::new(bare(start).to_owned())),
        };
        match value {
            Ok(value) => found.push(Assignment { name: name.to_owned(), value, line: at + 1 }),
            Err(what) => complain(start, what),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

/// To the end of the line, or to a comment: a `#` after a blank.
fn bare(text: &str) -> &str {
    let comment = text.char_indices().zip(std::iter::once(' ').chain(text.chars()));
    let end = comment
        .into_iter()
        .find(|((_, letter), before)| *letter == '#' && before.is_whitespace())
        .map_or(text.len(), |((at, _), _)| at);
    text[..end].trim_end()
}

/// What is between quotes; `first` is the line after the opening one.
fn quoted<'a>(
    first: &'a str,
    quote: char,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Zeroizing<String>, &'static str> {
    let mut value = Zeroizing::new(String::new());
    let mut line = first;
    loop {
        let mut letters = line.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                _ if letter == quote => {
                    let rest = line[at + letter.len_utf8()..].trim_start();
                    if rest.is_empty() || rest.starts_with('#') {
                        return Ok(value);
                    }
                    value.zeroize();
                    return Err("something follows the closing quote");
                }
                '\\' if quote == '"' => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, same @ ('"' | '\\' | '$'))) => value.push(same),
                    _ => return Err("a `\\` stands before something else than n, r, t, \", \\ or $"),
                },
                _ => value.push(letter),
            }
        }
        value.push('\n');
        line = lines.next().ok_or("the quote is never closed")?.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(text: &str) -> Vec<(String, String, usize)> {
        let found = read(text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        found.into_iter().map(|one| (one.name, one.value.to_string(), one.line)).collect()
    }

    #[test]
    fn every_way_of_writing_is_read() {
        let text = "\u{feff}# comment\nA=plain value # comment\n\nexport B='$as it \"is\" # here'\nC=\"one\\ntwo\nthree\" # c\nD=\n E = x#y \nF=a=b\r\n";
        let expected = [
            ("A", "plain value", 2),
            ("B", "$as it \"is\" # here", 4),
            ("C", "one\ntwo\nthree", 5),
            ("D", "", 7),
            ("E", "x#y", 8),
            ("F", "a=b", 9),
        ];
        assert_eq!(read_all(text), expected.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line)));
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let wrong = read("A=fine\n  no assignment\n1B=x\nC='a'b\nD=\"\\q\"\nE=\"open\n").err().unwrap();
        let places: Vec<(usize, usize)> = wrong.iter().map(|one| (one.line, one.column)).collect();
        assert_eq!(places, [(2, 3), (3, 1), (4, 3), (5, 3), (6, 3)]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[A-Za-z_=\"'#\\\\ \n\räöü$]{0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn what_is_quoted_comes_back(value in "[a-zA-Z0-9 #='$äöü\n]{0,40}") {
            let text = format!("A=\"{}\"", value.replace('$', "\\$"));
            prop_assert_eq!(read_all(&text), [("A".to_owned(), value, 1)]);
        }
    }
}
