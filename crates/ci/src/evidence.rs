//! How many tests ran, as those who run tests say it. A task that passes without one has proved nothing.

use std::sync::LazyLock;

use regex::Regex;

/// Each line that counts, with the number of tests that ran in its groups.
static LINES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // node --test, as `spec` and as TAP.
        r"^(?:ℹ|#) (?:pass|fail) ([0-9]+)$",
        // cargo test.
        r"^test result: \w+\. ([0-9]+) passed; ([0-9]+) failed;",
        // cargo nextest.
        r"^ *Summary \[.*\] +([0-9]+) tests? run:",
        // vitest and Jest: "Tests  1 failed | 11 passed (12)", "Tests:  1 failed, 3 passed, 4 total".
        r"^ *Tests:? +(?:([0-9]+) failed[ |,]+)?(?:[0-9]+ (?:skipped|todo)[ |,]+)*([0-9]+) passed",
        r"^ *Tests:? +([0-9]+) failed \([0-9]+\)$",
        // mocha; ava, Playwright, bun.
        r"^ *([0-9]+) passing(?: \(.*\))?$",
        r"^ *([0-9]+) tests? (?:passed|failed)$",
        r"^ *([0-9]+) passed \([0-9.]+m?s\)$",
        r"^ *([0-9]+) (?:pass|fail)$",
        // pytest.
        r"^=+ (?:([0-9]+) failed, )?([0-9]+) passed.* in [0-9.]+s.*=+$",
    ]
    .iter()
    .map(|pattern| Regex::new(pattern).expect("the pattern is constant"))
    .collect()
});

/// Counts while lines come.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    ran: Option<u64>,
}

impl Counter {
    /// One line, without colours.
    pub(crate) fn line(&mut self, line: &str) {
        // All of them have a digit, and most lines of an output have none of this.
        if line.len() > 200 || !line.bytes().any(|byte| byte.is_ascii_digit()) {
            return;
        }
        let Some(found) = LINES.iter().find_map(|pattern| pattern.captures(line)) else { return };
        let sum: u64 = found.iter().skip(1).flatten().filter_map(|number| number.as_str().parse::<u64>().ok()).sum();
        self.ran = Some(self.ran.unwrap_or(0).saturating_add(sum));
    }

    /// Tests that ran; `None` if nothing was said about tests.
    pub(crate) fn ran(&self) -> Option<u64> {
        self.ran
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runner_is_understood() {
        let cases: &[(&[&str], Option<u64>)] = &[
            (&["ℹ tests 5", "ℹ suites 1", "ℹ pass 4", "ℹ fail 0", "ℹ skipped 1"], Some(4)),
            (&["# tests 0", "# pass 0", "# fail 0"], Some(0)),
            (
                &[
                    "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                    "test result: ok. 3 passed; 0 failed;",
                ],
                Some(15),
            ),
            (&["running 0 tests", "test result: ok. 0 passed; 0 failed; 0 ignored"], Some(0)),
            (&[" Test Files  2 passed (2)", "      Tests  11 passed (11)"], Some(11)),
            (&["      Tests  1 failed | 11 passed (12)"], Some(12)),
            (&["Tests:       1 failed, 3 passed, 4 total"], Some(4)),
            (&["      Tests  2 failed (2)"], Some(2)),
            (&["  7 passing (30ms)"], Some(7)),
            (&["===== 2 failed, 12 passed, 1 skipped in 0.12s ====="], Some(14)),
            (&["  12 passed (3.4s)"], Some(12)),
            (&["     Summary [   0.002s] 9 tests run: 9 passed, 0 skipped"], Some(9)),
            (&["all good", "1 file checked", "12 passed the exam"], None),
            (&[], None),
        ];
        for (lines, ran) in cases {
            let mut counter = Counter::default();
            lines.iter().for_each(|line| counter.line(line));
            assert_eq!(counter.ran(), *ran, "{lines:?}");
        }
    }
}
