//! Which runtime a module of Next.js asks for: `export const runtime = "edge"`, or the same in `export const config = {…}`.

use oxc_ast::ast::{Declaration, Expression, ObjectPropertyKind, Program, Statement, VariableDeclarator};

/// Where a module says that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Node,
    /// Before routing, without most of Node.
    Edge,
}

/// What the module says; most say nothing.
pub(super) fn of(program: &Program<'_>) -> Option<Runtime> {
    let exported = program.body.iter().filter_map(|statement| match statement {
        Statement::ExportDeclaration(export) => Some(&export.declaration),
        _ => None,
    });
    let declarators = exported.flat_map(|declaration| match declaration {
        Declaration::VariableDeclaration(variables) => variables.declarations.as_slice(),
        _ => &[],
    });
    declarators.filter_map(said).next_back()
}

fn said(declarator: &VariableDeclarator<'_>) -> Option<Runtime> {
    let value = declarator.init.as_ref()?.get_inner_expression();
    match declarator.id.get_identifier_name()?.as_str() {
        "runtime" => named(value),
        "config" => {
            let Expression::ObjectExpression(object) = value else { return None };
            object.properties.iter().find_map(|property| match property {
                ObjectPropertyKind::ObjectProperty(property) if property.key.is_specific_static_name("runtime") => {
                    named(property.value.get_inner_expression())
                }
                _ => None,
            })
        }
        _ => None,
    }
}

fn named(value: &Expression<'_>) -> Option<Runtime> {
    let text = match value {
        Expression::StringLiteral(text) => text.value.as_str(),
        Expression::TemplateLiteral(text) => text.single_quasi()?.as_str(),
        _ => return None,
    };
    match text {
        "edge" | "experimental-edge" => Some(Runtime::Edge),
        "nodejs" => Some(Runtime::Node),
        _ => None,
    }
}
