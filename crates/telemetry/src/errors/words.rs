//! Issues by parts of their words: three letters and more of a title or a place find it in 100,000 at once.
//!
//! It is no part of the schema's version: who does not know of it writes and reads the same database, and its triggers keep the index
//! as it should be.

use rusqlite::{Connection, OptionalExtension};

/// So many are sooner found by looking through the list.
const MANY: i64 = 2_000;

/// A shorter part of a word is in no index of three letters each.
const SHORTEST: usize = 3;

const INDEX: &str = "
CREATE VIRTUAL TABLE issue_words USING fts5(title, culprit, content = 'issues', content_rowid = 'id',
  tokenize = 'trigram', detail = 'none');
CREATE TRIGGER issue_words_of_new AFTER INSERT ON issues BEGIN
  INSERT INTO issue_words (rowid, title, culprit) VALUES (new.id, new.title, new.culprit);
END;
CREATE TRIGGER issue_words_of_gone AFTER DELETE ON issues BEGIN
  INSERT INTO issue_words (issue_words, rowid, title, culprit) VALUES ('delete', old.id, old.title, old.culprit);
END;
CREATE TRIGGER issue_words_of_renamed AFTER UPDATE OF title, culprit ON issues BEGIN
  INSERT INTO issue_words (issue_words, rowid, title, culprit) VALUES ('delete', old.id, old.title, old.culprit);
  INSERT INTO issue_words (rowid, title, culprit) VALUES (new.id, new.title, new.culprit);
END;
INSERT INTO issue_words (issue_words) VALUES ('rebuild');
";

/// Makes the index where there is none.
pub(super) fn index(connection: &mut Connection) -> rusqlite::Result<()> {
    if !is_there(connection)? {
        let transaction = connection.transaction()?;
        transaction.execute_batch(INDEX)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether there is one: nobody may have written since another program did.
fn is_there(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'issue_words_of_renamed'";
    Ok(connection.query_row(sql, [], |_| Ok(())).optional()?.is_some())
}

/// What is asked of the index for all these parts of words; `None`: without it is faster. What many issues have is among the latest, and
/// found by looking through these.
pub(super) fn narrowed(connection: &Connection, parts: &[String]) -> rusqlite::Result<Option<String>> {
    if parts.is_empty() || !is_there(connection)? {
        return Ok(None);
    }
    let asked = parts.join(" AND ");
    let sql = "SELECT count(*) FROM (SELECT 1 FROM issue_words WHERE issue_words MATCH ?1 LIMIT ?2)";
    let found: i64 = connection.query_row(sql, (&asked, MANY), |row| row.get(0))?;
    Ok((found < MANY).then_some(asked))
}

/// What is asked of the index for a part of a word, which finds a little more than has it; `None`: the index does not help.
pub(super) fn asked(word: &str) -> Option<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < SHORTEST || letters.contains(&'\0') {
        return None;
    }
    let part = |part: &[char]| format!("\"{}\"", part.iter().collect::<String>().replace('"', "\"\""));
    Some(letters.windows(SHORTEST).map(part).collect::<Vec<_>>().join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_asked_for_by_all_its_parts() {
        assert_eq!(asked("ab"), None);
        assert_eq!(asked("abcd").as_deref(), Some("\"abc\" AND \"bcd\""));
        assert_eq!(asked("a\"b").as_deref(), Some("\"a\"\"b\""));
        assert_eq!(asked("äöü").as_deref(), Some("\"äöü\""));
    }
}
