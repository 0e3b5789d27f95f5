//! Keys of what the whole environment is parsed with: `z.object({ API_URL: … }).parse(process.env)`.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, CallExpression, Expression, ObjectExpression, ObjectPropertyKind};
use oxc_span::{GetSpan, Span};
use oxc_syntax::node::NodeId;

use super::flow::{Flow, Role};
use super::passing::path;
use crate::{Fallback, How, Language, Name};

/// How deep a schema is made of schemas.
const MOST_STEPS: usize = 40;

/// Methods and functions that hold an object against a schema.
const PARSERS: &[&str] = &[
    "parse",
    "safeParse",
    "parseAsync",
    "safeParseAsync",
    "validate",
    "validateSync",
    "validateAsync",
    "attempt",
    "cast",
    "assert",
    "decode",
    "decodeSync",
    "decodeUnknown",
    "decodeUnknownSync",
    "check",
    "create",
    "mask",
    "is",
    "Parse",
    "Check",
    "Decode",
    "Cast",
    "Convert",
    "cleanEnv",
    "customCleanEnv",
    "parseEnv",
    "envsafe",
    "validateEnv",
    "from",
];

/// Those that make a schema out of an object of keys.
const MAKERS: &[&str] = &[
    "object",
    "strictObject",
    "looseObject",
    "extend",
    "safeExtend",
    "merge",
    "and",
    "intersection",
    "intersect",
    "keys",
    "append",
    "shape",
    "concat",
    "Struct",
    "Object",
    "Composite",
    "Intersect",
    "type",
    "record",
    "pipe",
    "preprocess",
    "objectAsync",
    "strict",
    "partial",
    "cleanEnv",
    "envsafe",
    "parseEnv",
    "customCleanEnv",
];

/// A key of a schema, and whether it has a value for when the variable is not set.
struct SchemaKey {
    name: String,
    span: Span,
    fallback: Fallback,
}

impl<'a> Flow<'_, 'a> {
    /// The environment is argument `index` of a call that parses it. False if no schema can be seen.
    pub(super) fn parsed(
        &mut self,
        call: NodeId,
        callee: &'a Expression<'a>,
        arguments: &'a [Argument<'a>],
        index: usize,
        language: Language,
    ) -> bool {
        self.ask();
        let mut keys = Vec::new();
        match callee.get_inner_expression() {
            // `type({ … })(process.env)`, `decodeUnknownSync(Config)(process.env)`
            Expression::CallExpression(inner) => {
                let is_parser = path(&inner.callee).rsplit('.').next().is_some_and(|name| PARSERS.contains(&name));
                if is_parser {
                    for argument in inner.arguments.iter().filter_map(Argument::as_expression) {
                        self.schema_keys(argument, MOST_STEPS, &mut keys);
                    }
                } else {
                    self.schema_keys(callee, MOST_STEPS, &mut keys);
                }
            }
            inner => {
                let words = path(inner);
                let is_parser = words.rsplit('.').next().is_some_and(|name| PARSERS.contains(&name))
                    || inner
                        .as_member_expression()
                        .and_then(|member| member.static_property_name())
                        .is_some_and(|name| PARSERS.contains(&name));
                if !is_parser {
                    return false;
                }
                if let Some(member) = inner.as_member_expression() {
                    self.schema_keys(member.object(), MOST_STEPS, &mut keys);
                }
                let others = arguments.iter().enumerate().filter(|(position, _)| *position != index);
                if keys.is_empty() {
                    for (_, argument) in others {
                        if let Some(expression) = argument.as_expression() {
                            self.schema_keys(expression, MOST_STEPS, &mut keys);
                            if !keys.is_empty() {
                                break;
                            }
                        }
                    }
                }
            }
        }
        let found = !keys.is_empty();
        if self.seen_schemas.insert(call) {
            self.spot_keys(keys, language);
        }
        found
    }

    /// `schema.parse({ ...process.env, X: "1" })`
    pub(super) fn parsed_as_spread(&mut self, spread: NodeId, role: Role) -> bool {
        let Role::Environment(language) = role else { return false };
        let object = self.nodes.parent_id(spread);
        let call = self.nodes.parent_id(object);
        let (AstKind::ObjectExpression(_), AstKind::CallExpression(expression)) = (self.kind(object), self.kind(call))
        else {
            return false;
        };
        let span = self.kind(object).span();
        let index = expression.arguments.iter().position(|argument| argument.span() == span);
        index.is_some_and(|index| self.parsed(call, &expression.callee, &expression.arguments, index, language))
    }

    /// `schema.parse(process.env)` or `parse(schema, process.env)` with a schema of another module: which one.
    pub(super) fn foreign_schema(
        &self,
        callee: &Expression<'a>,
        arguments: &'a [Argument<'a>],
    ) -> Option<(String, String)> {
        let name = path(callee);
        if !PARSERS.contains(&name.rsplit('.').next()?) {
            return None;
        }
        let object = callee.get_inner_expression().as_member_expression().map(|member| member.object());
        let candidates = object.into_iter().chain(arguments.iter().filter_map(Argument::as_expression));
        for candidate in candidates {
            // The library that parses is imported too, by a name of its own; a schema comes from beside us.
            let from = self.symbol_of(candidate).and_then(|symbol| self.imported(symbol));
            if let Some((specifier, name)) = from
                && name != "*"
                && name != "z"
            {
                return Some((specifier.to_owned(), name.to_owned()));
            }
        }
        None
    }

    /// Another module holds the environment against a schema that this one exports.
    pub(super) fn exported_schema(&mut self, name: &str, language: Language) -> bool {
        let symbol = self.scoping.symbol_ids().find(|symbol| self.export_names(*symbol).contains(&name));
        let Some(value) = symbol.and_then(|symbol| self.initial_value(symbol)) else { return false };
        self.ask();
        let mut keys = Vec::new();
        self.schema_keys(value, MOST_STEPS, &mut keys);
        let found = !keys.is_empty();
        self.spot_keys(keys, language);
        found
    }

    /// A call whose first argument says what the library reads: t3's `createEnv`, `envsafe`.
    pub(super) fn own_schema(&mut self, call: NodeId, expression: &CallExpression<'a>) -> bool {
        let words = path(&expression.callee);
        let Some(first) = expression.arguments.first().and_then(|argument| argument.as_expression()) else {
            return false;
        };
        self.ask();
        let mut keys = Vec::new();
        match words.rsplit('.').next() {
            Some("createEnv") => {
                let Some(object) = self.object(first) else { return false };
                for property in &object.properties {
                    if let ObjectPropertyKind::ObjectProperty(property) = property
                        && let Some("server" | "client" | "shared") = property.key.static_name().as_deref()
                    {
                        self.schema_keys(&property.value, MOST_STEPS, &mut keys);
                    }
                }
            }
            Some("envsafe") => self.schema_keys(first, MOST_STEPS, &mut keys),
            _ => return false,
        }
        if keys.is_empty() {
            return false;
        }
        if self.seen_schemas.insert(call) {
            self.spot_keys(keys, Language::JavaScript);
        }
        true
    }

    fn spot_keys(&mut self, keys: Vec<SchemaKey>, language: Language) {
        for key in keys {
            self.spot(key.span, Name::Exact(key.name), How::Schema, key.fallback, language);
        }
    }

    fn object(&self, expression: &'a Expression<'a>) -> Option<&'a ObjectExpression<'a>> {
        match expression.get_inner_expression() {
            Expression::ObjectExpression(object) => Some(object),
            Expression::Identifier(_) => self.object(self.initial_value(self.symbol_of(expression)?)?),
            _ => None,
        }
    }

    fn schema_keys(&self, expression: &'a Expression<'a>, steps: usize, keys: &mut Vec<SchemaKey>) {
        let (Some(steps), Some(())) = (steps.checked_sub(1), self.look()) else { return };
        match expression.get_inner_expression() {
            Expression::ObjectExpression(object) => self.keys_of(object, steps, keys),
            Expression::Identifier(_) => {
                if let Some(value) = self.symbol_of(expression).and_then(|symbol| self.initial_value(symbol)) {
                    self.schema_keys(value, steps, keys);
                }
            }
            // `Base.shape` and its like are what they belong to.
            Expression::StaticMemberExpression(member) if member.property.name == "shape" => {
                self.schema_keys(&member.object, steps, keys);
            }
            Expression::CallExpression(call) => {
                let name = match call.callee.get_inner_expression() {
                    Expression::StaticMemberExpression(member) => {
                        self.schema_keys(&member.object, steps, keys);
                        Some(member.property.name.as_str())
                    }
                    Expression::Identifier(callee) => Some(callee.name.as_str()),
                    _ => None,
                };
                if name.is_some_and(|name| MAKERS.contains(&name)) {
                    for argument in call.arguments.iter().filter_map(Argument::as_expression) {
                        self.schema_keys(argument, steps, keys);
                    }
                }
            }
            Expression::ArrayExpression(array) => {
                for element in array.elements.iter().filter_map(|element| element.as_expression()) {
                    self.schema_keys(element, steps, keys);
                }
            }
            _ => {}
        }
    }

    fn keys_of(&self, object: &'a ObjectExpression<'a>, steps: usize, keys: &mut Vec<SchemaKey>) {
        // JSON Schema: the keys are one deeper.
        let properties = object.properties.iter().find_map(|property| match property {
            ObjectPropertyKind::ObjectProperty(property) if property.key.is_specific_static_name("properties") => {
                Some(&property.value)
            }
            _ => None,
        });
        if let Some(properties) = properties {
            return self.schema_keys(properties, steps, keys);
        }
        for property in &object.properties {
            match property {
                ObjectPropertyKind::ObjectProperty(property) => {
                    if let Some(name) = property.key.static_name() {
                        let fallback = self.default_of(&property.value, MOST_STEPS);
                        keys.push(SchemaKey { name: name.into_owned(), span: property.key.span(), fallback });
                    }
                }
                ObjectPropertyKind::SpreadProperty(spread) => self.schema_keys(&spread.argument, steps, keys),
            }
        }
    }

    /// `z.string().default("…")`, `str({ default: "…" })`
    fn default_of(&self, expression: &Expression<'_>, steps: usize) -> Fallback {
        let Some(steps) = steps.checked_sub(1) else { return Fallback::None };
        let Expression::CallExpression(call) = expression.get_inner_expression() else {
            let Expression::ObjectExpression(object) = expression.get_inner_expression() else { return Fallback::None };
            return self.default_in(object);
        };
        let first = call.arguments.first().and_then(|argument| argument.as_expression());
        if let Expression::StaticMemberExpression(member) = call.callee.get_inner_expression() {
            let gives = ["default", "catch", "prefault"].contains(&member.property.name.as_str());
            if gives && first.is_some_and(|first| self.is_literal(first, MOST_STEPS)) {
                return Fallback::Literal;
            }
            if self.default_of(&member.object, steps) == Fallback::Literal {
                return Fallback::Literal;
            }
        }
        // `v.optional(v.string(), "…")`
        if path(&call.callee).rsplit('.').next() == Some("optional")
            && let Some(second) = call.arguments.get(1).and_then(|argument| argument.as_expression())
        {
            return if self.is_literal(second, MOST_STEPS) { Fallback::Literal } else { Fallback::None };
        }
        match first.map(Expression::get_inner_expression) {
            Some(Expression::ObjectExpression(object)) => self.default_in(object),
            _ => Fallback::None,
        }
    }

    fn default_in(&self, object: &ObjectExpression<'_>) -> Fallback {
        let given = object.properties.iter().find_map(|property| match property {
            ObjectPropertyKind::ObjectProperty(property)
                if matches!(property.key.static_name().as_deref(), Some("default" | "devDefault")) =>
            {
                Some(self.is_literal(&property.value, MOST_STEPS))
            }
            _ => None,
        });
        if given == Some(true) { Fallback::Literal } else { Fallback::None }
    }
}
