//! Variables that a shell script takes from its environment: `$X`, `${X:-…}`, `export X`. What the script sets itself is its
//! own affair.
//!
//! This reads what all shells share (quotes, expansions, substitutions, here-documents), not the grammar of commands: a word
//! is at the place of a command or it is not, and that is enough to tell an assignment from an argument.

use std::collections::BTreeSet;

use crate::spot::{Spot, name_length, placed};
use crate::{Fallback, How, Language, Name, Use};

/// The uses of a script.
pub fn uses(file: &str, text: &str) -> Vec<Use> {
    placed(file, text, Language::Shell, spots(text, &BTreeSet::new()))
}

/// As [`uses`], of a text inside another file in which some names are set already.
pub(crate) fn spots(text: &str, known: &BTreeSet<String>) -> Vec<Spot> {
    let mut scanner = Scanner::new(text);
    scanner.run();
    let Scanner { spots, assigned, .. } = scanner;
    let is_foreign = |spot: &(Spot, bool)| match (&spot.0.name, spot.0.how) {
        (Name::Exact(name), How::Read) if known.contains(name) => false,
        // `X="${X:-default}"` takes the value from outside, unless the script has set it before.
        (Name::Exact(name), How::Read) => spot.1 || !assigned.contains(name),
        _ => true,
    };
    spots.into_iter().filter(is_foreign).map(|(spot, _)| spot).collect()
}

/// Where the scanner is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Inside {
    /// Commands, up to a `)` where it is a substitution or a group.
    Commands(Words),
    /// As above, up to the closing backtick.
    Backticks(Words),
    Quotes,
    /// The word of `${X:-word}`.
    Braces,
    /// A here-document, up to this offset.
    Document {
        end: usize,
    },
}

/// What the next word is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words {
    /// Behind the first word of a command: its name.
    command: Option<String>,
    /// The variable whose first value is being written.
    assigning: Option<String>,
}

#[derive(Debug)]
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    stack: Vec<Inside>,
    /// With each: whether it stands in the first value of a variable of the same name.
    spots: Vec<(Spot, bool)>,
    assigned: BTreeSet<String>,
    documents: Vec<(String, Expands)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expands {
    Yes,
    No,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            stack: vec![Inside::Commands(Words::default())],
            spots: Vec::new(),
            assigned: BTreeSet::new(),
            documents: Vec::new(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn run(&mut self) {
        while let Some(next) = self.rest().chars().next() {
            let before = self.at;
            match self.stack.last() {
                Some(Inside::Document { end }) if self.at >= *end => {
                    self.stack.pop();
                    continue;
                }
                Some(Inside::Commands(_) | Inside::Backticks(_)) => self.in_commands(next),
                Some(Inside::Quotes | Inside::Document { .. } | Inside::Braces) => self.in_text(next),
                // An unbalanced `)` closed the script itself.
                None => self.stack.push(Inside::Commands(Words::default())),
            }
            debug_assert!(self.at >= before, "the scanner never goes back");
        }
    }

    fn in_text(&mut self, next: char) {
        let inside = self.stack.last().cloned();
        match (next, inside) {
            ('"', Some(Inside::Quotes)) | ('}', Some(Inside::Braces)) => {
                self.stack.pop();
                self.at += 1;
            }
            ('"', Some(Inside::Braces)) => self.push(Inside::Quotes),
            ('\\', _) => self.skip_two(),
            ('$', _) => self.expansion(),
            ('`', _) => self.push(Inside::Backticks(Words::default())),
            _ => self.at += next.len_utf8(),
        }
    }

    fn in_commands(&mut self, next: char) {
        match next {
            '\\' => self.skip_two(),
            '\'' => self.skip_past_quote(),
            '"' => self.push(Inside::Quotes),
            '$' => self.expansion(),
            '`' if matches!(self.stack.last(), Some(Inside::Backticks(_))) => {
                self.stack.pop();
                self.at += 1;
            }
            '`' => self.push(Inside::Backticks(Words::default())),
            '(' => self.push(Inside::Commands(Words::default())),
            ')' => {
                // The patterns of `case` close what they never opened.
                if self.stack.len() > 1 {
                    self.stack.pop();
                }
                self.end_command();
                self.at += 1;
            }
            '\n' => {
                self.at += 1;
                self.end_command();
                self.begin_document();
            }
            ';' | '&' | '|' => {
                self.end_command();
                self.at += 1;
            }
            '<' if self.rest().starts_with("<<<") => self.at += 3,
            '<' if self.rest().starts_with("<<") => self.announce_document(),
            '#' if self.is_at_word_start() => {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            }
            c if c.is_whitespace() => {
                self.words(|words| words.assigning = None);
                self.at += c.len_utf8();
            }
            c if self.is_at_word_start() => {
                self.word(c);
            }
            c => self.at += c.len_utf8(),
        }
    }

    fn push(&mut self, inside: Inside) {
        self.stack.push(inside);
        self.at += 1;
    }

    fn skip_two(&mut self) {
        self.at += 1;
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn skip_past_quote(&mut self) {
        let rest = &self.rest()[1..];
        self.at += 1 + rest.find('\'').map_or(rest.len(), |end| end + 1);
    }

    fn is_at_word_start(&self) -> bool {
        let before = self.text[..self.at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || ";&|()<>`".contains(c))
    }

    fn words(&mut self, change: impl FnOnce(&mut Words)) {
        if let Some(Inside::Commands(words) | Inside::Backticks(words)) = self.stack.last_mut() {
            change(words);
        }
    }

    fn end_command(&mut self) {
        self.words(|words| *words = Words::default());
    }

    /// The name whose value is being written, here or around here.
    fn assigning(&self) -> Option<&str> {
        self.stack.iter().rev().find_map(|inside| match inside {
            Inside::Commands(words) | Inside::Backticks(words) => words.assigning.as_deref(),
            _ => None,
        })
    }

    /// A word begins.
    fn word(&mut self, first: char) {
        let rest = self.rest();
        let length = name_length(rest);
        let name = &rest[..length];
        let behind = &rest[length..];
        let Some(Inside::Commands(words) | Inside::Backticks(words)) = self.stack.last() else { return };
        let command = words.command.clone();
        let declares =
            matches!(command.as_deref(), Some("export" | "readonly" | "local" | "declare" | "typeset" | "env"));
        let ends = behind.is_empty() || behind.starts_with(|c: char| c.is_whitespace() || ";&|)`".contains(c));
        if length > 0 && (behind.starts_with('=') || behind.starts_with("+=")) && (command.is_none() || declares) {
            let offset = self.at;
            let value = behind.trim_start_matches('+').trim_start_matches('=');
            if command.as_deref() == Some("export") {
                self.spots.push((Spot::new(offset, name, How::Write).with(literal(value)), false));
            }
            self.at += length + usize::from(behind.starts_with('+')) + 1;
            let is_first = !self.assigned.contains(name);
            if command.as_deref() != Some("env") {
                self.assign(name);
            }
            self.words(|words| words.assigning = is_first.then(|| name.to_owned()));
            return;
        }
        if length == 0 || !ends {
            // A path, a flag, a quoted word: the first of a command is its name, whatever it is.
            if command.is_none() && first != '{' && first != '!' && !"<>".contains(first) {
                self.words(|words| words.command = Some(String::new()));
            }
            self.at += first.len_utf8().max(length);
            return;
        }
        match command.as_deref() {
            None => {
                let opens = matches!(name, "if" | "then" | "else" | "elif" | "do" | "while" | "until" | "time");
                if !opens {
                    self.words(|words| words.command = Some(name.to_owned()));
                }
            }
            // Only the first word behind `for` is a variable.
            Some("for" | "select") => {
                self.assign(name);
                self.words(|words| words.command = Some("in".to_owned()));
            }
            Some("local" | "declare" | "typeset" | "read" | "mapfile" | "readarray") => self.assign(name),
            Some("getopts") => self.assign(name),
            Some("export" | "readonly" | "printenv") => self.spots.push((Spot::new(self.at, name, How::Read), false)),
            Some("unset") => self.spots.push((Spot::new(self.at, name, How::Remove), false)),
            Some(_) => {}
        }
        self.at += length;
    }

    fn assign(&mut self, name: &str) {
        self.assigned.insert(name.to_owned());
    }

    /// At a `$`.
    fn expansion(&mut self) {
        let rest = self.rest();
        if let Some(inner) = rest.strip_prefix("${{") {
            // An expression of a workflow, which the shell never sees.
            self.at += 3 + inner.find("}}").map_or(inner.len(), |end| end + 2);
        } else if let Some(inner) = rest.strip_prefix("${") {
            self.braces(inner);
        } else if rest.starts_with("$(") {
            self.at += 1;
            self.push(Inside::Commands(Words::default()));
        } else if rest.starts_with("$'") && !matches!(self.stack.last(), Some(Inside::Quotes | Inside::Document { .. }))
        {
            self.at += 1;
            self.skip_past_quote();
        } else {
            let length = name_length(&rest[1..]);
            if length > 0 {
                self.read(self.at, &rest[1..=length], Fallback::None);
            }
            self.at += 1 + length;
        }
    }

    /// Behind `${`.
    fn braces(&mut self, inner: &str) {
        let start = self.at;
        let sign = inner.starts_with(['!', '#']);
        let name_at = usize::from(sign);
        let length = name_length(&inner[name_at..]);
        let name = &inner[name_at..name_at + length];
        let behind = &inner[name_at + length..];
        if inner.starts_with('!') && length > 0 && behind.starts_with('}') {
            self.spots
                .push((Spot { offset: start, name: Name::Computed, how: How::Read, fallback: Fallback::None }, false));
        } else if length > 0 {
            let word = [":-", "-", ":=", "="].iter().find_map(|sign| behind.strip_prefix(sign));
            self.read(start, name, word.map_or(Fallback::None, literal_until_brace));
            if behind.starts_with(":=") || behind.starts_with('=') {
                let is_first = !self.assigned.contains(name);
                self.assign(name);
                if let Some(last) = self.spots.last_mut() {
                    last.1 = is_first;
                }
            }
        }
        self.at += 2 + name_at + length;
        self.stack.push(Inside::Braces);
    }

    fn read(&mut self, offset: usize, name: &str, fallback: Fallback) {
        let is_own = self.assigning() == Some(name);
        self.spots.push((Spot::new(offset, name, How::Read).with(fallback), is_own));
    }

    /// At `<<`.
    fn announce_document(&mut self) {
        let rest = self.rest()[2..].trim_start_matches('-').trim_start_matches([' ', '\t']);
        let skipped = self.rest().len() - rest.len();
        let word: String = rest.chars().take_while(|c| !c.is_whitespace() && !";&|()<>".contains(*c)).collect();
        let name: String = word.chars().filter(|c| !"'\"\\".contains(*c)).collect();
        if !name.is_empty() && name_length(&name) > 0 {
            let expands = if name == word { Expands::Yes } else { Expands::No };
            self.documents.push((name, expands));
        }
        self.at += skipped + word.len();
    }

    /// Behind the end of a line.
    fn begin_document(&mut self) {
        let mut documents = std::mem::take(&mut self.documents).into_iter();
        let Some((name, expands)) = documents.next() else { return };
        self.documents = documents.collect();
        let mut end = self.at;
        for line in self.rest().split_inclusive('\n') {
            if line.trim() == name {
                break;
            }
            end += line.len();
        }
        match expands {
            Expands::Yes => self.stack.push(Inside::Document { end }),
            Expands::No => self.at = end,
        }
    }
}

/// Whether the value that a text begins with stands there as it is.
fn literal(value: &str) -> Fallback {
    let word: &str = value.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default();
    let is_empty = word.trim_matches(['"', '\'']).is_empty();
    if is_empty || word.contains(['$', '`']) { Fallback::None } else { Fallback::Literal }
}

/// As [`literal`], of the word of an expansion.
fn literal_until_brace(word: &str) -> Fallback {
    let word = word.split('}').next().unwrap_or_default();
    if word.trim_matches(['"', '\'']).is_empty() || word.contains(['$', '`']) {
        Fallback::None
    } else {
        Fallback::Literal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown;

    #[test]
    fn what_a_script_takes_from_outside_and_what_is_its_own() {
        let cases: &[(&str, &[&str])] = &[
            ("echo $A ${B} \"$C ${D}\"", &["1:6 A", "1:9 B", "1:15 C", "1:18 D"]),
            ("echo '$A' \\$B # $C", &[]),
            ("echo a#$A", &["1:8 A"]),
            ("A=1\necho $A $B", &["2:9 B"]),
            ("echo $A\nA=1", &[]),
            ("A=\"${A:-dev}\"; echo $A", &["1:4 A or a literal"]),
            (": \"${A:=dev}\"\necho $A", &["1:4 A or a literal"]),
            ("A=${A:-$B}", &["1:3 A", "1:8 B"]),
            ("echo ${A:-} ${B:?must be set}", &["1:6 A", "1:13 B"]),
            ("export A=1 B=$C", &["1:8 A = a literal", "1:12 B =", "1:14 C"]),
            ("export A\nunset B", &["1:8 A", "2:7 remove B"]),
            ("A=1; export A; unset A", &["1:22 remove A"]),
            ("for a in $LIST; do echo $a; done", &["1:10 LIST"]),
            ("read -r line; echo $line", &[]),
            ("f() { local x=$1; echo $x; }", &[]),
            ("echo $(cat $A) `cat $B` $((C + $D))", &["1:12 A", "1:21 B", "1:32 D"]),
            ("cat <<EOF\n$A 'and ${B}'\nEOF\necho $C", &["2:1 A", "2:9 B", "4:6 C"]),
            ("cat <<'EOF'\n$A\nEOF\necho $C", &["4:6 C"]),
            ("cat <<< $A", &["1:9 A"]),
            ("echo ${!name} ${#A} ${A%%.*}", &["1:6 computed", "1:15 A", "1:21 A"]),
            ("case $A in a) B=1;; *) echo $B;; esac", &["1:6 A"]),
            ("if [ -n \"$A\" ]; then B=2; fi; echo $B $1 $@ $? $$", &["1:10 A"]),
            ("A=1 command $B", &["1:13 B"]),
            ("node --x=1 -- $A", &["1:15 A"]),
            ("echo ${{ secrets.A }} $B", &["1:23 B"]),
            ("printenv A", &["1:10 A"]),
        ];
        for (script, expected) in cases {
            assert_eq!(shown(&uses("", script)), *expected, "{script}");
        }
    }
}
