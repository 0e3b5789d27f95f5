//! Text to manifest, with every fault of the text.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::check;
use crate::findings::Findings;
use crate::id::{AppName, EnvName, PersonName};
use crate::scalars::RelativePath;
use crate::shape::{Reader, Shape};
use crate::source::{At, Diagnostic, Source, Span};
use crate::syntax;
use crate::tables::Document;

/// A manifest without faults.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub(crate) document: Document,
}

/// Reads a manifest. There is none if any of the diagnostics is an error; there may be warnings beside it.
pub fn parse(source: &Source) -> (Option<Manifest>, Vec<Diagnostic>) {
    let mut reader = Reader::default();
    let (table, faults) = DeTable::parse_recoverable(&source.text);
    let sound = if faults.is_empty() { None } else { Some(syntax::sound_text(&source.text, &mut reader.findings)) };
    let table = sound.as_deref().map_or(table, |sound| DeTable::parse_recoverable(sound).0);
    let root = Spanned::new(0..0, DeValue::Table(table.into_inner()));
    let document = Document::decode(&root, &mut reader);
    let mut findings: Findings = reader.findings;
    check::check(&document, &mut findings);
    let diagnostics = findings.into_diagnostics(source);
    let manifest = if diagnostics.iter().any(Diagnostic::is_error) { None } else { Some(Manifest { document }) };
    (manifest, diagnostics)
}

/// A file or folder that the manifest says exists. Whoever can see the disk compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredPath {
    /// Relative to the manifest.
    pub path: String,
    /// What it is, for a sentence: `the folder of the app "api"`.
    pub what: String,
    pub span: Span,
}

impl DeclaredPath {
    /// The fault of it not being there.
    pub fn missing(&self, source: &Source) -> Diagnostic {
        let mut findings = Findings::default();
        findings
            .error(self.span, format!("there is no \"{}\", {}", self.path, self.what))
            .hint("create it, or correct the path; it is relative to the manifest");
        findings.into_diagnostics(source).remove(0)
    }
}

impl Manifest {
    /// All environments, in the order of the manifest.
    pub fn environments(&self) -> Vec<EnvName> {
        self.document.environments.in_order().into_iter().map(|(name, _)| name.value.clone()).collect()
    }

    /// The declared branches, and where they go, in the order of the manifest.
    pub fn branches(&self) -> Vec<(String, EnvName)> {
        let branches = self.document.branches.in_order().into_iter();
        branches.map(|(branch, name)| (branch.value.0.clone(), name.value.clone())).collect()
    }

    /// Who may log in, each with the public keys of OpenSSH that are theirs.
    pub fn people(&self) -> Vec<(PersonName, Vec<String>)> {
        let people = self.document.people.in_order().into_iter();
        people
            .map(|(name, person)| (name.value.clone(), person.ssh.iter().map(|key| key.value.0.clone()).collect()))
            .collect()
    }

    /// All apps, in the order of the manifest.
    pub fn apps(&self) -> Vec<AppName> {
        self.document.apps.in_order().into_iter().map(|(name, _)| name.value.clone()).collect()
    }

    /// Everything that must be on disk for the manifest to be true.
    pub fn declared_paths(&self) -> Vec<DeclaredPath> {
        let input =
            |path: &At<RelativePath>, what: String| DeclaredPath { path: path.0.clone(), what, span: path.span };
        let shared = self.document.product.build_inputs.iter();
        let shared = shared.map(move |path| input(path, "an input of every build".to_owned()));
        let of_apps = self.document.apps.in_order().into_iter().flat_map(|(name, app)| {
            let inputs = app.build.inputs.iter();
            let inputs = inputs.map(move |path| input(path, format!("an input of the app \"{}\"", name.value)));
            let what = format!("the folder of the app \"{}\"", name.value);
            std::iter::once(DeclaredPath { path: app.path.0.clone(), what, span: app.path.span }).chain(inputs)
        });
        shared.chain(of_apps).collect()
    }
}
