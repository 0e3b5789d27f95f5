//! Variables in workflows of a code host: `${{ secrets.X }}`, `${{ vars.X }}`, `${{ env.X }}`, and what the scripts of steps
//! read.

use std::collections::BTreeSet;

use crate::lines::Lines;
use crate::spot::{Spot, name_length, placed};
use crate::yaml::{self, Scalar};
use crate::{Fallback, How, Language, Name, Place, Use, shell};

/// The uses of a file.
///
/// # Errors
/// Where the text stops to be YAML.
pub fn uses(file: &str, text: &str) -> Result<Vec<Use>, Place> {
    let scalars = yaml::scalars(text).map_err(|at| Lines::new(file, text).place(at))?;
    let is_set = |scalar: &&Scalar<'_>| scalar.above(1) == "env";
    let set: BTreeSet<String> = scalars.iter().filter(is_set).map(|scalar| scalar.key().to_owned()).collect();
    let mut spots = Vec::new();
    for scalar in &scalars {
        if is_set(&scalar) && name_length(scalar.key()) == scalar.key().len() {
            let is_literal = !scalar.value.is_empty() && !scalar.value.contains("${{");
            let fallback = if is_literal { Fallback::Literal } else { Fallback::None };
            spots.push(Spot::new(scalar.key_at, scalar.key(), How::Write).with(fallback));
        }
        expressions(scalar, &set, &mut spots);
        if scalar.key() == "run" {
            let of_script = shell::spots(scalar.raw, &set).into_iter();
            spots.extend(of_script.map(|spot| Spot { offset: scalar.at + spot.offset, ..spot }));
        }
    }
    Ok(placed(file, text, Language::Workflow, spots))
}

/// What stands between `${{` and `}}`; the value of `if` is an expression without them.
fn expressions(scalar: &Scalar<'_>, set: &BTreeSet<String>, spots: &mut Vec<Spot>) {
    if scalar.key() == "if" && !scalar.raw.contains("${{") {
        return names(scalar.raw, scalar.at, set, spots);
    }
    let mut at = 0;
    while let Some(start) = scalar.raw[at..].find("${{").map(|found| at + found + 3) {
        let rest = &scalar.raw[start..];
        let end = start + rest.find("}}").unwrap_or(rest.len());
        names(&scalar.raw[start..end], scalar.at + start, set, spots);
        at = end;
    }
}

/// `secrets.X`, `vars['X']`, `env.X`, and `secrets` as a whole.
fn names(expression: &str, offset: usize, set: &BTreeSet<String>, spots: &mut Vec<Spot>) {
    let mut at = 0;
    while at < expression.len() {
        let rest = &expression[at..];
        if let Some(text) = rest.strip_prefix('\'') {
            at += 1 + text.find('\'').map_or(text.len(), |end| end + 1);
            continue;
        }
        let length = name_length(rest);
        if length == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let context = &rest[..length];
        let follows_dot = expression[..at].ends_with('.');
        let behind = &rest[length..];
        at += length;
        if follows_dot || !["secrets", "vars", "env"].contains(&context) {
            continue;
        }
        let start = offset + at - length;
        if let Some(inner) = behind.strip_prefix('.') {
            let length = name_length(inner);
            at += 1 + length;
            read(start, context, &inner[..length], set, spots);
        } else if let Some(inner) = behind.strip_prefix("['") {
            let name = inner.split('\'').next().unwrap_or_default();
            at += 2 + name.len();
            at += usize::from(expression[at..].starts_with('\''));
            read(start, context, name, set, spots);
        } else if context != "env" {
            let whole = Name::Whole(context.to_owned());
            spots.push(Spot { offset: start, name: whole, how: How::Read, fallback: Fallback::None });
        }
    }
}

fn read(offset: usize, context: &str, name: &str, set: &BTreeSet<String>, spots: &mut Vec<Spot>) {
    let is_own = context == "env" && set.contains(name);
    if !name.is_empty() && !is_own {
        spots.push(Spot::new(offset, name, How::Read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown;

    #[test]
    fn what_a_workflow_reads() {
        let cases: &[(&str, &[&str])] = &[
            (
                "env:\n  A: ${{ secrets.B }}\n  C: literal\njobs:\n  x:\n    steps:\n      - run: echo $A $D\n",
                &["2:3 A =", "2:10 B", "3:3 C = a literal", "7:22 D"],
            ),
            (
                "jobs:\n  x:\n    if: vars.A == 'secrets.no' && env.B\n    steps:\n      - run: |\n          export X=1\n          curl -H \"${{ secrets['C'] }}\" $X $E\n",
                &["3:9 A", "3:35 B", "6:18 X = a literal", "7:24 C", "7:44 E"],
            ),
            ("jobs:\n  x:\n    with:\n      all: ${{ toJSON(secrets) }}\n", &["4:23 whole: secrets"]),
            ("env:\n  A: 1\nx: ${{ env.A }} ${{ github.secrets.B }}\n", &["2:3 A = a literal"]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(&uses("", text).unwrap()), *expected, "{text}");
        }
    }
}
