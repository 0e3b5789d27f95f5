//! Variables in compose files: what is filled in (`${X}`), what a container is given (`environment`), what a build is given
//! (`build.args`).

use crate::spot::{Spot, name_length, placed};
use crate::yaml::{self, Scalar};
use crate::{Fallback, How, Language, Name, Place, Use};

/// The uses of a file.
///
/// # Errors
/// Where the text stops to be YAML.
pub fn uses(file: &str, text: &str) -> Result<Vec<Use>, Place> {
    let scalars = yaml::scalars(text).map_err(|at| crate::lines::Lines::new(file, text).place(at))?;
    let spots = scalars.iter().flat_map(|scalar| {
        let mut spots = filled_in(scalar);
        spots.extend(given(scalar));
        spots
    });
    Ok(placed(file, text, Language::Compose, spots.collect()))
}

/// `${X}`, `$X`, `${X:-default}`; `$$` stands for a dollar.
fn filled_in(scalar: &Scalar<'_>) -> Vec<Spot> {
    let (text, mut at) = (scalar.raw, 0);
    let mut spots = Vec::new();
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        let rest = &text[dollar + 1..];
        if rest.starts_with('$') {
            at = dollar + 2;
            continue;
        }
        let brace = usize::from(rest.starts_with('{'));
        let length = name_length(&rest[brace..]);
        if length > 0 {
            let name = &rest[brace..brace + length];
            let behind = &rest[brace + length..];
            let default = behind.strip_prefix(":-").or_else(|| behind.strip_prefix('-')).filter(|_| brace == 1);
            let fallback = match default.map(|default| default.split('}').next().unwrap_or_default()) {
                Some(default) if !default.is_empty() && !default.contains('$') => Fallback::Literal,
                _ => Fallback::None,
            };
            spots.push(Spot::new(scalar.at + dollar, name, How::Read).with(fallback));
        }
        at = dollar + 1 + brace + length;
    }
    spots
}

/// What a container or a build is given, as a mapping or as a list of `X=value`.
fn given(scalar: &Scalar<'_>) -> Option<Spot> {
    let (name, value, is_list) = match (scalar.above(0), scalar.above(1)) {
        ("environment" | "args", _) => {
            let (name, value) =
                scalar.value.split_once('=').map_or((scalar.value.as_str(), None), |(name, value)| (name, Some(value)));
            (name.to_owned(), value.map(str::to_owned), true)
        }
        (name, "environment" | "args") => (name.to_owned(), (!scalar.is_empty).then(|| scalar.value.clone()), false),
        _ => return None,
    };
    if name_length(&name) != name.len() || name.is_empty() {
        return None;
    }
    let is_build = scalar.path.iter().any(|key| key == "args");
    let how = match (&value, is_build) {
        (_, true) => How::BuildInput,
        // Without a value it is handed through from whoever runs compose.
        (None, false) => How::Read,
        (Some(_), false) => How::Write,
    };
    let fallback = match &value {
        Some(value) if !value.is_empty() && !value.contains('$') => Fallback::Literal,
        _ => Fallback::None,
    };
    let offset = if is_list { scalar.at } else { scalar.key_at };
    Some(Spot { offset, name: Name::Exact(name), how, fallback })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown;

    #[test]
    fn what_containers_are_given_and_where_it_comes_from() {
        let cases: &[(&str, &[&str])] = &[
            (
                "services:\n  api:\n    image: api:${TAG:-latest}\n    environment:\n      A: ${B}\n      C: literal\n      D:\n",
                &["3:16 TAG or a literal", "5:7 A =", "5:10 B", "6:7 C = a literal", "7:7 D"],
            ),
            (
                "services:\n  api:\n    environment:\n      - A=${B:?must be set}\n      - C\n      - D=$$x\n",
                &["4:9 A =", "4:11 B", "5:9 C", "6:9 D ="],
            ),
            (
                "services:\n  api:\n    build:\n      args:\n        A: \"1\"\n        B:\n",
                &["5:9 build input A or a literal", "6:9 build input B"],
            ),
            ("services:\n  api:\n    command: \"run $A\"\n    labels:\n      x: '$$A'\n", &["3:19 A"]),
            ("x: |\n  one ${A}\n  two $B\n", &["2:7 A", "3:7 B"]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(&uses("", text).unwrap()), *expected, "{text}");
        }
        assert_eq!(uses("compose.yaml", "a: [\n").map_err(|place| place.line).unwrap_err(), 2);
    }
}
