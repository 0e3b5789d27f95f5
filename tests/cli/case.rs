//! One case: its script, and what the commands of the script are to answer.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use host::lock::{self, Lock};

use crate::command::{self, Answer};

/// Between script and answers.
pub(crate) const SEPARATOR: &str = "----------\n";

/// A file of `cases`.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) path: PathBuf,
    pub(crate) script: String,
    pub(crate) expected: String,
}

/// What a script has made so far.
struct Stage {
    folder: PathBuf,
    here: PathBuf,
    variables: Vec<(String, String)>,
    held: Vec<lock::Held>,
}

impl Case {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        // A new case has no answers yet.
        let (script, expected) = text.split_once(SEPARATOR).unwrap_or((&text, ""));
        Self { path: path.to_owned(), script: script.to_owned(), expected: expected.to_owned() }
    }

    /// Plays the script in a folder of its own and returns what the commands answered.
    pub(crate) fn play(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let home = ("HOME".to_owned(), folder.join("home").display().to_string());
        let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        let terminal = ("TERM".to_owned(), "xterm".to_owned());
        let here = folder.join("shop");
        fs::create_dir(&here).unwrap();
        let mut stage = Stage { folder, here, variables: vec![home, path, terminal], held: Vec::new() };
        let mut answers = String::new();
        let mut lines = self.script.lines().peekable();
        while let Some(line) = lines.next() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut content = String::new();
            while let Some(more) = lines.next_if(|more| *more == "|" || more.starts_with("| ")) {
                content += more.get(2..).unwrap_or_default();
                content.push('\n');
            }
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "$" => answers += &self.answer(&stage, rest, &content),
                "file" => stage.write(rest, &content),
                "append" => stage.append(rest, &content),
                "folder" => fs::create_dir_all(stage.here.join(rest)).unwrap(),
                "sound" => stage.sound(),
                "hold" => stage.hold(rest, &content),
                "cd" => stage.here = stage.here.join(rest).canonicalize().unwrap(),
                "env" => {
                    let (name, value) = rest.split_once('=').expect("env NAME=VALUE");
                    stage.variables.push((name.to_owned(), value.to_owned()));
                }
                other => panic!("{}: \"{other}\" is no word of a script", self.path.display()),
            }
        }
        answers
    }

    fn answer(&self, stage: &Stage, line: &str, stdin: &str) -> String {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("roadbed"), "{}: scripts call roadbed alone", self.path.display());
        let Answer { stdout, stderr, code } = command::roadbed(words, &stage.here, &stage.variables, stdin);
        let shown = |sign: char, text: &str| {
            let text = text.replace(&stage.folder.display().to_string(), "[DIR]");
            // No blank at the end of a line: editors take it away.
            text.lines().map(|line| format!("{sign}| {line}").trim_end().to_owned() + "\n").collect::<String>()
        };
        format!("$ {line}\n{}{}= {code}\n", shown('1', &stdout), shown('2', &stderr))
    }
}

impl Stage {
    fn write(&self, path: &str, content: &str) {
        let path = self.here.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn append(&self, path: &str, content: &str) {
        let mut file = fs::OpenOptions::new().append(true).open(self.here.join(path)).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    /// A small product without faults.
    fn sound(&self) {
        self.write("roadbed.toml", include_str!("sound.toml"));
        for folder in ["apps/api", "apps/web"] {
            fs::create_dir_all(self.here.join(folder)).unwrap();
        }
    }

    /// Takes a lock as another command would, until the case ends.
    fn hold(&mut self, path: &str, holder: &str) {
        let path = self.here.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let Lock::Ours(held) = lock::try_lock(&path, holder).unwrap() else { panic!("nobody else is here") };
        self.held.push(held);
    }
}
