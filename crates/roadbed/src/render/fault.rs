//! A failure, told once: what, why, the last lines of what failed, one hint.

use reconcile::Fault;

use crate::render::paint::{Paint, printable};

/// The lines of a fault, in the house form.
pub fn lines(fault: &Fault, paint: Paint) -> Vec<String> {
    let mut lines = vec![format!("{} {}", paint.bad("error:"), paint.strong(&fault.message))];
    lines.extend(below(fault, paint));
    lines
}

/// Causes, output and hint: what stands below a headline.
pub fn below(fault: &Fault, paint: Paint) -> Vec<String> {
    let mut lines: Vec<String> = fault.causes.iter().map(|cause| format!("  because {cause}")).collect();
    if !fault.output.is_empty() {
        lines.push("  its last lines:".to_owned());
        lines.extend(fault.output.iter().map(|line| format!("    {} {}", paint.faint("|"), printable(line))));
    }
    lines.extend(fault.hint.iter().map(|hint| self::hint(hint, paint)));
    lines
}

pub fn hint(text: &str, paint: Paint) -> String {
    format!("{} {text}", paint.hint("hint:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_why_and_what_to_do() {
        let fault = Fault::new("cannot start \"api\"")
            .cause("it ended with exit code 78")
            .output(vec!["MONGODB_URL is not set".into()])
            .hint("declare `MONGODB_URL` for \"api\"");
        assert_eq!(
            lines(&fault, Paint::Plain),
            [
                "error: cannot start \"api\"",
                "  because it ended with exit code 78",
                "  its last lines:",
                "    | MONGODB_URL is not set",
                "hint: declare `MONGODB_URL` for \"api\"",
            ]
        );
    }
}
