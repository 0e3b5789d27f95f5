//! Which variable exists, is required and comes from where, in which environment.

use std::fmt;

use serde::Serialize;

use crate::Manifest;
use crate::environment::{Class, Delivery, Fact, Phase, Reach};
use crate::id::{AppName, EnvName, OwnerName, VarName};
use crate::record::choice;
use crate::rotation::RotationKind;
use crate::template::Chunk;
use crate::value::ValueType;
use crate::variable_tables::{Origin, VariableOrigin, VariableTable};

/// Variables by environments.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    pub environments: Vec<EnvName>,
    pub variables: Vec<Row>,
}

/// One variable.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: VarName,
    #[serde(rename = "type")]
    pub value_type: ValueType,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What the whole value matches; environments may have their own.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    pub class: Class,
    pub sensitive: bool,
    /// Where its value comes from, but in environments whose cell says otherwise. `None` if each says its own.
    pub source: Option<SourceKind>,
    pub owner: OwnerName,
    /// The apps that receive it.
    pub consumers: Vec<AppName>,
    /// The environments in which no consumer starts without it.
    pub required: Vec<EnvName>,
    pub reach: Reach,
    pub phase: Phase,
    pub delivery: Delivery,
    pub description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// How it is rotated, if it is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotate>,
    /// In the order of [`Matrix::environments`].
    pub environments: Vec<Cell>,
}

/// How a variable is rotated, in general; times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rotate {
    pub kind: RotationKind,
    pub every: u64,
    pub overlap: u64,
}

/// One variable in one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    pub environment: EnvName,
    pub presence: Presence,
    pub source: Option<SourceKind>,
}

choice! {
    /// Whether a variable is there.
    pub enum Presence {
        /// No app that receives it starts without it.
        Required = "required",
        /// Apps do without it.
        Optional = "optional",
        /// It does not exist there.
        Absent = "absent",
    }
}

choice! {
    /// Where a value comes from.
    pub enum SourceKind {
        /// Written in the manifest.
        Literal = "literal",
        /// Put together from facts of the environment.
        Derived = "derived",
        /// An address or a name of a data service, with the app's own credentials where it has some.
        Service = "service",
        /// Made by Roadbed and kept in the secret store.
        Generated = "generated",
        /// Set by a person in the secret store.
        Store = "store",
        /// Set by the system that builds.
        Ci = "ci",
    }
}

/// The matrix of a manifest.
pub fn matrix(manifest: &Manifest) -> Matrix {
    let environments = manifest.environments();
    let row = |name: &VarName, table: &VariableTable| Row {
        name: name.clone(),
        value_type: table.r#type.value,
        choices: table.choices.iter().map(|choice| choice.value.clone()).collect(),
        pattern: table.r#match.as_ref().map(|pattern| pattern.to_string()),
        class: table.class.value,
        sensitive: table.class.is_sensitive(),
        source: table.general_origin().map(source_kind),
        owner: table.owner.value.clone(),
        consumers: table.apps.iter().map(|app| app.value.clone()).collect(),
        required: environments
            .iter()
            .filter(|environment| table.exists_in(environment) && table.required.holds_in(environment))
            .cloned()
            .collect(),
        reach: table.reach_in(&manifest.document),
        phase: table.phase.value,
        delivery: table.deliver.value,
        description: table.description.clone(),
        docs: table.docs.as_ref().map(|link| link.0.clone()),
        example: table.example.as_ref().map(|example| example.value.clone()),
        rotate: environments.iter().find_map(|environment| manifest.rotation(name, environment)).map(|rotation| {
            Rotate { kind: rotation.kind, every: rotation.every.as_secs(), overlap: rotation.overlap.as_secs() }
        }),
        environments: environments.iter().map(|environment| cell(table, environment)).collect(),
    };
    let variables = manifest.document.variables.in_order().into_iter().map(|(name, table)| row(name, table)).collect();
    Matrix { environments, variables }
}

fn cell(table: &VariableTable, environment: &EnvName) -> Cell {
    let environment = environment.clone();
    if !table.exists_in(&environment) {
        return Cell { environment, presence: Presence::Absent, source: None };
    }
    let presence = if table.required.holds_in(&environment) { Presence::Required } else { Presence::Optional };
    let source = table.origin_in(&environment).map(source_kind);
    Cell { environment, presence, source }
}

fn source_kind(origin: VariableOrigin<'_>) -> SourceKind {
    match origin {
        VariableOrigin::Value(text) if text.0.iter().all(|chunk| matches!(chunk, Chunk::Plain(_))) => {
            SourceKind::Literal
        }
        VariableOrigin::Value(text) if text.facts().any(Fact::is_of_a_service) => SourceKind::Service,
        VariableOrigin::Value(_) => SourceKind::Derived,
        VariableOrigin::Elsewhere(origin) => match origin.value {
            Origin::Generated => SourceKind::Generated,
            Origin::Store => SourceKind::Store,
            Origin::Ci => SourceKind::Ci,
        },
    }
}

impl Cell {
    /// One sign and one word, for narrow columns.
    fn mark(&self) -> String {
        let source = self.source.map_or("", SourceKind::as_str);
        match self.presence {
            Presence::Required => format!("● {source}"),
            Presence::Optional => format!("○ {source}"),
            Presence::Absent => "–".to_owned(),
        }
    }
}

impl Matrix {
    fn cells(&self) -> Vec<Vec<String>> {
        let head = ["VARIABLE", "APPS", "CLASS", "OWNER"].map(str::to_owned).into_iter();
        let head = head.chain(self.environments.iter().map(|name| name.as_str().to_uppercase())).collect();
        let row = |row: &Row| {
            let apps: Vec<&str> = row.consumers.iter().map(AppName::as_str).collect();
            let fixed = [row.name.to_string(), apps.join(", "), row.class.to_string(), row.owner.to_string()];
            fixed.into_iter().chain(row.environments.iter().map(Cell::mark)).collect()
        };
        std::iter::once(head).chain(self.variables.iter().map(row)).collect()
    }

    /// As a table of a Markdown document.
    pub fn markdown(&self) -> String {
        let mut lines: Vec<String> = self.cells().iter().map(|row| format!("| {} |", row.join(" | "))).collect();
        if let Some(head) = lines.first_mut() {
            *head = head.to_lowercase();
        }
        lines.insert(1, format!("|{}", " --- |".repeat(4 + self.environments.len())));
        format!("{}\n\n{LEGEND}\n", lines.join("\n"))
    }
}

const LEGEND: &str = "● required, ○ optional, – absent; \
                      literal: in roadbed.toml, derived: from facts of the environment, service: of a data service; \
                      generated: made by Roadbed, store: set by a person, ci: set where it is built";

impl fmt::Display for Matrix {
    /// For a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.cells();
        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..4 + self.environments.len()).map(width).collect();
        for row in &cells {
            let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", padded.join("  ").trim_end())?;
        }
        writeln!(f, "\n{}", LEGEND.replace("; ", "\n"))
    }
}
