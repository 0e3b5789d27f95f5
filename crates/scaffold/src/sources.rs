//! The sources of a server, read for words. Enough for questions whose answer a person sees and can correct.

use std::path::Path;

use host::files;

use crate::survey::SurveyFault;

/// Deep enough for `src/routes/v1/orders`, and an end for whatever is linked in a circle.
const DEPTH: usize = 5;
/// What is larger was made by a program.
const LARGEST: u64 = 1 << 20;
const ENDINGS: [&str; 6] = ["js", "mjs", "cjs", "ts", "mts", "cts"];
const NOT_READ: [&str; 8] = ["node_modules", "dist", "build", "public", "coverage", "test", "tests", "__tests__"];

/// All of it in one text.
#[derive(Debug)]
pub(crate) struct Sources(String);

impl Sources {
    pub(crate) fn read(folder: &Path) -> Result<Self, SurveyFault> {
        let mut text = String::new();
        let mut open = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = open.pop() {
            for path in files::list(&folder)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if name.starts_with('.') || NOT_READ.contains(&name) || files::is_link(&path) {
                    continue;
                }
                if files::is_dir(&path) {
                    if depth < DEPTH {
                        open.push((path, depth + 1));
                    }
                } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
                    && !name.contains(".test.")
                    && !name.contains(".spec.")
                    && files::metadata(&path)?.len() <= LARGEST
                {
                    text += &String::from_utf8_lossy(&files::read(&path)?);
                    text.push('\n');
                }
            }
        }
        Ok(Self(text))
    }

    /// Whether one of these words is in them.
    pub(crate) fn contain(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    /// Whether a path stands in quotes somewhere.
    pub(crate) fn name_path(&self, path: &str) -> bool {
        ['"', '\'', '`'].iter().any(|quote| self.0.contains(&format!("{quote}{path}{quote}")))
    }
}
