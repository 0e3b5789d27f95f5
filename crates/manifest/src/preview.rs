//! What environments have that exist once per pull request or branch: they sleep, they are capped, and strangers' code waits for a word.

use std::time::Duration;

use crate::environment::Environment;
use crate::id::PersonName;
use crate::record::record;
use crate::scalars::{Bytes, Cpus, Processes};
use crate::tables::EnvironmentTable;

record! {
    /// What all apps and data services of an environment may use together, in one control group.
    pub(crate) struct CeilingTable {
        /// Memory of all their processes. Over it the kernel kills the largest of them.
        memory: Option<Bytes>,
        /// Processes and threads at once.
        processes: Option<Processes>,
        /// CPUs: `0.5` is half of one.
        cpu: Option<Cpus>,
    }
}

/// What all apps and data services of an environment may use together; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// Bytes.
    pub memory: Option<u64>,
    pub processes: Option<u64>,
    /// Thousandths of one CPU.
    pub cpu: Option<u64>,
}

/// What an environment has because there are many like it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// How long it lasts after the last `up`; then it is purged.
    pub ttl: Option<Duration>,
    /// Without a visitor for so long it is put to sleep.
    pub idle: Option<Duration>,
    /// Who may have commits of strangers built.
    pub builders: Vec<PersonName>,
    pub ceiling: Ceiling,
}

impl EnvironmentTable {
    pub(crate) fn preview(&self) -> Preview {
        let limits = self.limits.as_ref();
        Preview {
            ttl: self.ttl.as_ref().map(|ttl| ttl.value.0),
            idle: self.idle.as_ref().map(|idle| idle.value.0),
            builders: self.builders.iter().map(|person| person.value.clone()).collect(),
            ceiling: Ceiling {
                memory: limits.and_then(|limits| limits.memory).map(|Bytes(bytes)| bytes),
                processes: limits.and_then(|limits| limits.processes).map(|Processes(count)| count.into()),
                cpu: limits.and_then(|limits| limits.cpu).map(|Cpus(thousandths)| thousandths.into()),
            },
        }
    }
}

impl Environment {
    /// Whether it may be asleep when a visitor comes.
    pub fn sleeps(&self) -> bool {
        self.preview.idle.is_some()
    }
}
