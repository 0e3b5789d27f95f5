//! Readers: functions whose argument is the name of a variable. Their calls are the uses.

use oxc_ast::ast::CallExpression;
use oxc_span::{GetSpan, Span};
use oxc_syntax::node::NodeId;
use oxc_syntax::symbol::SymbolId;

use super::Shared;
use super::callers::Callers;
use super::flow::Flow;
use super::key::{Key, name};
use crate::{Fallback, How, Language, Name};

impl<'a> Flow<'_, 'a> {
    /// A function reads the variable whose name is its argument, at `span`: its callers are the uses.
    pub(super) fn reader(
        &mut self,
        function: NodeId,
        parameter: usize,
        span: Span,
        hows: &[How],
        fallback: Fallback,
        language: Language,
    ) {
        if !self.seen_readers.insert((function, parameter)) {
            return;
        }
        let callers = self.callers(function);
        let is_known = !callers.calls.is_empty() || !callers.lists.is_empty() || !callers.exports.is_empty();
        if (!is_known || !callers.escapes.is_empty()) && !self.is_wrapper(function) {
            for how in hows {
                self.spot(span, Name::Computed, *how, fallback, language);
            }
        }
        for (span, texts) in callers.lists {
            for text in texts {
                self.spot(span, name(&text), How::Wrapper, fallback, language);
            }
        }
        for (export, method) in callers.exports {
            self.export_at(&export, Shared::Reader { method, parameter, language }, span);
        }
        for (call, expression) in callers.calls {
            self.call_to_reader(call, expression, parameter, fallback, language);
        }
    }

    fn call_to_reader(
        &mut self,
        node: NodeId,
        call: &'a CallExpression<'a>,
        parameter: usize,
        fallback: Fallback,
        language: Language,
    ) {
        let Some(argument) = call.arguments.get(parameter) else {
            return self.spot(call.span, Name::Computed, How::Wrapper, fallback, language);
        };
        let outer = self.fate(node).1;
        let fallback = if fallback == Fallback::Literal { fallback } else { self.or_argument(outer, call, parameter) };
        let key = argument.as_expression().map_or(Key::Unknown, |argument| self.key(argument));
        match key {
            Key::Names(names) => {
                for name in names {
                    self.spot(argument.span(), name, How::Wrapper, fallback, language);
                }
            }
            Key::Parameter { function, parameter } => {
                self.reader(function, parameter, argument.span(), &[How::Wrapper], fallback, language);
            }
            Key::Unknown => self.spot(argument.span(), Name::Computed, How::Wrapper, fallback, language),
        }
    }

    /// A name stands for a reader, or with a method for an object that has one.
    pub(super) fn calls_to_reader(
        &mut self,
        symbol: SymbolId,
        method: Option<&str>,
        parameter: usize,
        fallback: Fallback,
        language: Language,
    ) {
        let mut callers = Callers::default();
        self.callers_by_name(&mut callers, symbol, method.map(str::to_owned));
        for (span, texts) in callers.lists {
            for text in texts {
                self.spot(span, name(&text), How::Wrapper, fallback, language);
            }
        }
        for span in callers.escapes {
            self.spot(span, Name::Computed, How::Wrapper, fallback, language);
        }
        for (call, expression) in callers.calls {
            self.call_to_reader(call, expression, parameter, fallback, language);
        }
    }

    /// `env.need("X")`, where `env` is a module that has such a reader.
    pub(super) fn reader_of_module(&mut self, node: NodeId, module: usize, name: &str) {
        let given = self.given;
        let Some((_, exports)) = given.modules.get(module) else { return };
        for export in exports.iter().filter(|export| export.name == name) {
            if let Shared::Reader { method: None, parameter, language } = &export.shared
                && let Some((call, expression)) = self.called(node)
            {
                self.call_to_reader(call, expression, *parameter, Fallback::None, *language);
            }
        }
    }
}
