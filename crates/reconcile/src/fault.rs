//! Why something could not be done: what, to which thing, why, and one hint.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure on its way to a person. `Display` is the headline; [`Fault::causes`] the chain below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What could not be done, to which thing; a sentence without full stop.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// A command to run or an edit to make.
    pub hint: Option<String>,
    /// The last lines of whatever failed, to show below.
    pub output: Vec<String>,
    pub retry: Retry,
}

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    Safe,
    Useless,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, output: Vec::new(), retry: Retry::Useless }
    }

    /// A fault whose causes are an error and everything below it.
    pub fn because(message: impl Into<String>, cause: &(dyn Error + 'static)) -> Self {
        let mut causes = vec![cause.to_string()];
        let mut next = cause.source();
        while let Some(source) = next {
            causes.push(source.to_string());
            next = source.source();
        }
        Self { causes, ..Self::new(message) }
    }

    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn output(mut self, lines: Vec<String>) -> Self {
        self.output = lines;
        self
    }

    pub fn retry_safe(mut self) -> Self {
        self.retry = Retry::Safe;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {}
