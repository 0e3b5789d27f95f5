//! Settings of build tools that write variables into what visitors get.

use oxc_ast::AstKind;
use oxc_ast::ast::{ArrayExpressionElement, Expression, ObjectExpression, ObjectPropertyKind};
use oxc_span::{GetSpan, Span};

use super::{Dialect, Unreadable, analyser, parsed, places};

/// A build tool with a file of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    Next,
    Vite,
}

impl Tool {
    /// Whose settings a file holds, by its name.
    pub fn of(file: &str) -> Option<Self> {
        let name = file.rsplit('/').next().unwrap_or(file);
        match name.split_once(".config.")?.0 {
            "next" => Some(Self::Next),
            "vite" | "vitest" => Some(Self::Vite),
            _ => None,
        }
    }
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Next's `env: { NAME: … }`, Vite's `define: { "process.env.NAME": … }`: the value goes into the bundle, whatever it is
    /// called. A use between `start` and `end` (bytes) is in that value.
    Inlined { name: String, start: u32, end: u32, line: u32, column: u32 },
    /// Vite's `envPrefix`: what begins so is shown to visitors.
    Prefix { prefix: String, line: u32, column: u32 },
}

/// What a tool's settings say.
pub fn settings(text: &str, dialect: Dialect, tool: Tool) -> Result<Vec<Setting>, Unreadable> {
    parsed(text, dialect, |read| {
        let built = analyser(text).build(&read.program);
        let nodes = built.semantic.nodes();
        let mut found = Vec::new();
        for node in nodes.iter() {
            let AstKind::ObjectExpression(object) = node.kind() else { continue };
            // The settings themselves, not an object within them.
            let is_inner = nodes.ancestor_kinds(node.id()).any(|kind| matches!(kind, AstKind::ObjectProperty(_)));
            if !is_inner {
                of_object(text, object, tool, &mut found);
            }
        }
        found
    })
}

fn of_object(text: &str, object: &ObjectExpression<'_>, tool: Tool, found: &mut Vec<Setting>) {
    for property in properties(object) {
        let Some(name) = property.key.static_name() else { continue };
        match (tool, &*name, property.value.get_inner_expression()) {
            (Tool::Next, "env", Expression::ObjectExpression(inner))
            | (Tool::Vite, "define", Expression::ObjectExpression(inner)) => {
                for one in properties(inner) {
                    let Some(name) = one.key.static_name() else { continue };
                    let (line, column) = places::of(text, one.key.span().start);
                    let Span { start, end, .. } = one.value.span();
                    found.push(Setting::Inlined { name: name.into_owned(), start, end, line, column });
                }
            }
            (Tool::Vite, "envPrefix", value) => match value {
                Expression::ArrayExpression(array) => {
                    for element in &array.elements {
                        if let ArrayExpressionElement::StringLiteral(prefix) = element {
                            found.push(prefix_at(text, &prefix.value, prefix.span));
                        }
                    }
                }
                Expression::StringLiteral(prefix) => found.push(prefix_at(text, &prefix.value, prefix.span)),
                _ => {}
            },
            _ => {}
        }
    }
}

fn prefix_at(text: &str, prefix: &str, span: Span) -> Setting {
    let (line, column) = places::of(text, span.start);
    Setting::Prefix { prefix: prefix.to_owned(), line, column }
}

fn properties<'o, 'a>(
    object: &'o ObjectExpression<'a>,
) -> impl Iterator<Item = &'o oxc_ast::ast::ObjectProperty<'a>> + use<'o, 'a> {
    object.properties.iter().filter_map(|property| match property {
        ObjectPropertyKind::ObjectProperty(property) => Some(&**property),
        ObjectPropertyKind::SpreadProperty(_) => None,
    })
}
