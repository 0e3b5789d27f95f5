//! Members: of the environment, which are uses, and of what leads to it.

use oxc_ast::ast::Expression;
use oxc_span::{GetSpan, Span};
use oxc_syntax::node::NodeId;

use super::Shared;
use super::flow::{Flow, Role};
use super::key::Key;
use crate::{Fallback, How, Language, Name};

impl Flow<'_, '_> {
    /// `node` is a member of something of that role.
    pub(super) fn member(&mut self, node: NodeId, role: Role, key: Key) {
        let Role::Environment(language) = role else {
            if role == Role::DenoEnvironment {
                self.deno(node, &key);
            } else if let Some(name) = key.only()
                && let Some(next) = self.inside(role, name)
            {
                self.push(node, next);
            } else if let (Role::Module(module), Some(name)) = (role, key.only()) {
                self.reader_of_module(node, module, name);
            }
            return;
        };
        if key.only() == Some("hasOwnProperty")
            && let Some((_, call)) = self.called(node)
        {
            if let Some(argument) = call.arguments.first().and_then(|argument| argument.as_expression()) {
                self.tested(argument, role);
            }
            return;
        }
        self.used(node, self.kind(node).span(), key, language);
    }

    /// A member of the environment, or a call that reads one.
    pub(super) fn used(&mut self, node: NodeId, span: Span, key: Key, language: Language) {
        let (hows, fallback) = self.fate(node);
        match key {
            Key::Names(names) => {
                for name in names {
                    for how in &hows {
                        self.spot(span, name.clone(), *how, fallback, language);
                    }
                }
            }
            Key::Parameter { function, parameter } => self.reader(function, parameter, span, &hows, fallback, language),
            Key::Unknown => {
                for how in hows {
                    self.spot(span, Name::Computed, how, fallback, language);
                }
            }
        }
    }

    /// `"X" in process.env`
    pub(super) fn tested(&mut self, name: &Expression<'_>, role: Role) {
        let Role::Environment(language) = role else { return };
        let names = match self.key(name) {
            Key::Names(names) => names,
            Key::Parameter { .. } | Key::Unknown => vec![Name::Computed],
        };
        for one in names {
            self.spot(name.span(), one, How::Test, Fallback::None, language);
        }
    }

    /// What a member stands for.
    pub(super) fn inside(&self, role: Role, name: &str) -> Option<Role> {
        Some(match (role, name) {
            (Role::Global, "process") => Role::Process,
            (Role::Global, "Bun") => Role::Bun,
            (Role::Global, "Deno") => Role::Deno,
            (Role::Global, "globalThis" | "global" | "window" | "self") => Role::Global,
            (Role::Process | Role::Bun, "env") => Role::Environment(Language::JavaScript),
            (Role::Process, "default") => Role::Process,
            (Role::Deno, "env") => Role::DenoEnvironment,
            (Role::Meta, "env") => Role::Environment(Language::ImportMeta),
            (Role::Module(module), name) => {
                let (_, exports) = self.given.modules.get(module)?;
                let shared = &exports.iter().find(|export| export.name == name)?.shared;
                match shared {
                    Shared::Environment(language) => Role::Environment(*language),
                    Shared::Process => Role::Process,
                    Shared::Reader { .. } => return None,
                }
            }
            _ => return None,
        })
    }

    fn deno(&mut self, node: NodeId, key: &Key) {
        let (Some(method), Some((call_id, call))) = (key.only(), self.called(node)) else { return };
        let language = Language::JavaScript;
        let how = match method {
            "get" => None,
            "has" => Some(How::Test),
            "set" => Some(How::Write),
            "delete" => Some(How::Remove),
            "toObject" => return self.push(call_id, Role::Environment(language)),
            _ => return,
        };
        let Some(argument) = call.arguments.first().and_then(|argument| argument.as_expression()) else { return };
        let key = self.key(argument);
        match (how, key) {
            (None, key) => self.used(call_id, call.span, key, language),
            (Some(how), Key::Names(names)) => {
                for name in names {
                    self.spot(call.span, name, how, Fallback::None, language);
                }
            }
            (Some(how), _) => self.spot(call.span, Name::Computed, how, Fallback::None, language),
        }
    }
}
