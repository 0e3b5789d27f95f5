//! Variables of a Dockerfile: what a build is given (`ARG`), what the image holds (`ENV`), and what is read without either.

use std::collections::BTreeSet;

use crate::spot::{Spot, name_length, placed};
use crate::{Fallback, How, Language, Use, shell};

/// The uses of a Dockerfile.
pub fn uses(file: &str, text: &str) -> Vec<Use> {
    let instructions = instructions(text);
    let mut known = BTreeSet::new();
    let mut spots = Vec::new();
    for instruction in &instructions {
        match instruction.word.to_ascii_uppercase().as_str() {
            "ARG" | "ENV" => {
                let is_environment = instruction.word.eq_ignore_ascii_case("ENV");
                for setting in settings(instruction, text, is_environment) {
                    spots.extend(setting.spot(is_environment));
                    known.insert(setting.name.to_owned());
                }
            }
            // A secret that the build mounts as a variable.
            "RUN" => known.extend(mounted(&text[instruction.start..instruction.end])),
            _ => {}
        }
    }
    for instruction in &instructions {
        let rest = &text[instruction.start..instruction.end];
        // The form in brackets goes to no shell, and nothing in it is filled in.
        let is_list = rest.trim_start().starts_with('[')
            && ["RUN", "CMD", "ENTRYPOINT"].iter().any(|word| instruction.word.eq_ignore_ascii_case(word));
        if !is_list && !instruction.word.eq_ignore_ascii_case("MAINTAINER") {
            let of_rest = shell::spots(rest, &known).into_iter().filter(|spot| spot.how != How::Write);
            spots.extend(of_rest.map(|spot| Spot { offset: instruction.start + spot.offset, ..spot }));
        }
    }
    placed(file, text, Language::Dockerfile, spots)
}

/// One instruction, with the lines it goes on over.
struct Instruction<'t> {
    word: &'t str,
    /// What comes behind the word.
    start: usize,
    end: usize,
}

fn instructions(text: &str) -> Vec<Instruction<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let line = line_at(text, at);
        let trimmed = line.trim_start();
        if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
            at += line.len();
            continue;
        }
        let word_at = at + (line.len() - trimmed.len());
        let word = trimmed.split_whitespace().next().unwrap_or_default();
        let start = word_at + word.len();
        let mut end = at + line.len();
        let mut last = line;
        // Comments between the lines of one instruction do not end it.
        while end < text.len()
            && (last.trim_end().ends_with('\\') || last.trim_start().starts_with('#') && end > at + line.len())
        {
            last = line_at(text, end);
            end += last.len();
        }
        end = end_of_documents(text, start, end);
        found.push(Instruction { word, start: start.min(end), end });
        at = end;
    }
    found
}

fn line_at(text: &str, at: usize) -> &str {
    text[at..].split_inclusive('\n').next().unwrap_or_default()
}

/// Where the here-documents end that an instruction announces.
fn end_of_documents(text: &str, start: usize, end: usize) -> usize {
    let mut end = end;
    let announced = &text[start..end];
    for (at, _) in announced.match_indices("<<") {
        let word = announced[at + 2..].trim_start_matches('-').trim_start_matches(['"', '\'']);
        let name = &word[..name_length(word)];
        if name.is_empty() {
            continue;
        }
        while end < text.len() {
            let line = line_at(text, end);
            end += line.len();
            if line.trim() == name {
                break;
            }
        }
    }
    end
}

/// `NAME`, `NAME=value` or, in old files, `NAME value`.
struct Setting<'t> {
    offset: usize,
    name: &'t str,
    value: Option<&'t str>,
}

impl Setting<'_> {
    fn spot(&self, is_environment: bool) -> Option<Spot> {
        let value = self.value.map(|value| value.trim().trim_matches(['"', '\'']));
        let fallback = match value {
            Some(value) if !value.is_empty() && !value.contains('$') => Fallback::Literal,
            _ => Fallback::None,
        };
        let how = if is_environment { How::Write } else { How::BuildInput };
        Some(Spot::new(self.offset, self.name, how).with(fallback))
    }
}

fn settings<'t>(instruction: &Instruction<'_>, text: &'t str, is_environment: bool) -> Vec<Setting<'t>> {
    let mut found = Vec::new();
    let mut at = instruction.start;
    while at < instruction.end {
        let rest = &text[at..instruction.end];
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\\');
        at += rest.len() - trimmed.len();
        if trimmed.is_empty() {
            break;
        }
        let length = name_length(trimmed);
        let behind = &trimmed[length..];
        if length == 0 {
            at += word_length(trimmed).max(1);
            continue;
        }
        let name = &trimmed[..length];
        if let Some(value) = behind.strip_prefix('=') {
            let value_length = word_length(value);
            found.push(Setting { offset: at, name, value: Some(&value[..value_length]) });
            at += length + 1 + value_length;
        } else if is_environment && found.is_empty() {
            // The old form has one value, up to the end of the line.
            found.push(Setting { offset: at, name, value: Some(behind) });
            break;
        } else {
            found.push(Setting { offset: at, name, value: None });
            at += length.max(word_length(trimmed));
        }
    }
    found
}

/// Up to the next blank that stands in no quotes.
fn word_length(text: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, c) if c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

/// `RUN --mount=type=secret,id=x,env=NAME`.
fn mounted(text: &str) -> impl Iterator<Item = String> {
    let options = text.split_whitespace().filter_map(|word| word.strip_prefix("--mount="));
    let names = options.flat_map(|option| option.split(',')).filter_map(|pair| pair.strip_prefix("env="));
    names.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown;

    #[test]
    fn what_a_build_is_given_and_what_an_image_holds() {
        let cases: &[(&str, &[&str])] = &[
            (
                "ARG NODE=22\nFROM node:${NODE}-slim\nARG TOKEN\n",
                &["1:5 build input NODE or a literal", "3:5 build input TOKEN"],
            ),
            (
                "ENV A=1 B=\"two words\" C=$D\nENV E old form\n",
                &["1:5 A = a literal", "1:9 B = a literal", "1:23 C =", "1:25 D", "2:5 E = a literal"],
            ),
            (
                "FROM x\nRUN echo $A && \\\n  # a comment\n  echo ${B:-x}\nCOPY $C /\n",
                &["2:10 A", "4:8 B or a literal", "5:6 C"],
            ),
            ("ENV A=1\nRUN echo $A\nCMD [\"run\", \"$B\"]\nENTRYPOINT run $C\n", &["1:5 A = a literal", "4:16 C"]),
            ("RUN --mount=type=secret,id=t,env=TOKEN use $TOKEN $X\n", &["1:51 X"]),
            ("RUN <<EOF\necho $A\nEOF\nRUN echo $B\n", &["2:6 A", "4:10 B"]),
            ("# syntax=docker/dockerfile:1\n\nenv A=1 \\\n    B=2\n", &["3:5 A = a literal", "4:5 B = a literal"]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(&uses("", text)), *expected, "{text}");
        }
    }
}
