//! The commands that a page tells people to type.

/// A command as it stands in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Line of the page, counted from 1.
    pub line: usize,
    /// What is typed, without the comment behind it.
    pub text: String,
}

impl Command {
    /// Its words, as a shell splits them. `None`: a quotation that has no end.
    pub fn words(&self) -> Option<Vec<String>> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for letter in self.text.chars() {
            match (quote, letter) {
                (Some(open), _) if open == letter => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None, ' ') => words.extend(word.take()),
                _ => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        quote.is_none().then_some(words)
    }
}

/// Every command in the blocks of a page that are marked `sh`, in their order.
pub fn commands(page: &str) -> Vec<Command> {
    let (mut all, mut inside) = (Vec::new(), false);
    for (line, text) in page.lines().enumerate() {
        match text.trim_end() {
            "```sh" => inside = true,
            "```" => inside = false,
            text if inside => {
                let typed = text.split_once(" # ").map_or(text, |(typed, _)| typed).trim();
                if !typed.is_empty() && !typed.starts_with('#') {
                    all.push(Command { line: line + 1, text: typed.to_owned() });
                }
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_typed_is_a_command() {
        let page = "`roadbed down`\n```sh\nroadbed status --env x   # look\n# nothing\n\nroadbed incident note 'two words'\n```\n```text\nroadbed up\n```\n";
        let found = commands(page);
        let texts: Vec<(usize, &str)> = found.iter().map(|one| (one.line, one.text.as_str())).collect();
        assert_eq!(texts, [(3, "roadbed status --env x"), (6, "roadbed incident note 'two words'")]);
        assert_eq!(found[1].words().unwrap(), ["roadbed", "incident", "note", "two words"]);
        assert_eq!(Command { line: 1, text: "roadbed 'open".to_owned() }.words(), None);
    }
}
