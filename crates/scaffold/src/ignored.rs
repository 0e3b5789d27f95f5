//! What git must not see: state of environments, and what builds make.

/// Each with a spelling that `.gitignore` may have already.
const LINES: [&str; 8] = [
    "node_modules/",
    "/.roadbed/",
    "/.roadbed-envs/",
    "/.roadbed-samples/",
    "/.roadbed-backups/",
    "/.roadbed-ci/",
    ".roadbed-inputs",
    ".next/",
];

/// Lines that `.gitignore` lacks, for outputs of builds too. What is ignored is no input of a build either, so without these each build
/// would make the next one necessary.
pub fn missing_lines(text: &str, outputs: &[String]) -> Vec<String> {
    let bare = |line: &str| line.trim().trim_matches('/').to_owned();
    let present: Vec<String> = text.lines().map(bare).collect();
    let outputs = outputs.iter().map(|folder| format!("{folder}/"));
    let mut lines: Vec<String> = LINES.map(str::to_owned).into_iter().chain(outputs).collect();
    lines.dedup();
    let mut missing: Vec<String> = Vec::new();
    for line in lines {
        if !present.contains(&bare(&line)) && !missing.contains(&line) {
            missing.push(line);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_added_again() {
        let lines = missing_lines("node_modules\n/.roadbed\n.next\n", &["dist".to_owned(), "dist".to_owned()]);
        assert!(!lines.iter().any(|line| line.contains("node_modules") || line == "/.roadbed/"), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| *line == "dist/").count(), 1);
        assert_eq!(missing_lines(&missing_lines("", &[]).join("\n"), &[]), [""; 0]);
    }
}
