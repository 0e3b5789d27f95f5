//! Names in capitals that a source reads off any object. The generated accessor is such an object, and TypeScript itself
//! refuses a name that it does not have, so the name alone says that the variable is read.

use std::collections::BTreeSet;

use oxc_ast::AstKind;
use oxc_ast::ast::Expression;
use oxc_semantic::SemanticBuilder;

use super::{Dialect, Unreadable, parsed};

/// The names: `environment.API_URL`, `environment["API_URL"]`, `const { API_URL } = environment`.
pub fn names(text: &str, dialect: Dialect) -> Result<BTreeSet<String>, Unreadable> {
    parsed(text, dialect, |read| {
        let built = SemanticBuilder::new().with_build_nodes(true).build(&read.program);
        let mut names = BTreeSet::new();
        for node in built.semantic.nodes().iter() {
            let name = match node.kind() {
                AstKind::StaticMemberExpression(member) => Some(member.property.name.to_string()),
                AstKind::ComputedMemberExpression(member) => match &member.expression {
                    Expression::StringLiteral(name) => Some(name.value.to_string()),
                    _ => None,
                },
                AstKind::BindingProperty(property) => property.key.static_name().map(Into::into),
                AstKind::AssignmentTargetPropertyIdentifier(property) => Some(property.binding.name.to_string()),
                AstKind::AssignmentTargetPropertyProperty(property) => property.name.static_name().map(Into::into),
                _ => None,
            };
            names.extend(name.filter(|name| is_in_capitals(name)));
        }
        names
    })
}

fn is_in_capitals(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_capitals_that_is_read_off_something() {
        let text = "const { A, B: b = 1, ...rest } = environment;\n({ C: x, D } = environment);\n\
                    use(environment.E, environment['F'], environment?.G_1);\n\
                    type T = { I: string }; const o = { J: 1 }; // environment.K\n'environment.L'; environment.camelCase; M;";
        let seen: Vec<String> = names(text, Dialect::TypeScript).unwrap().into_iter().collect();
        assert_eq!(seen, ["A", "B", "C", "D", "E", "F", "G_1"]);
    }
}
