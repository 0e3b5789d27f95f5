//! Results as one page that needs nothing else: no script, no picture, nothing from elsewhere.

use std::fmt::Write;

/// A table of the page, under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub heading: String,
    pub rows: Vec<Row>,
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub verdict: Mark,
    /// In one sentence.
    pub what: String,
    /// What belongs to it: a name, and a text.
    pub details: Vec<(String, String)>,
    /// What was seen, each a sentence.
    pub seen: Vec<String>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Holds,
    Fails,
    Unknown,
}

impl Mark {
    fn class(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Unknown => "unknown",
        }
    }

    /// Not by colour alone: some do not see it.
    fn word(self) -> &'static str {
        match self {
            Self::Holds => "✓ holds",
            Self::Fails => "✗ fails",
            Self::Unknown => "? inconclusive",
        }
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}details{border-left:4px solid;padding:.2rem .8rem;margin:.4rem 0}\
.holds{border-color:#2e7d32}.fails{border-color:#c62828}.unknown{border-color:#b26a00}summary{cursor:pointer}\
summary b{display:inline-block;min-width:8.5rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem;margin:.4rem 0}\
dt{opacity:.7}dd{margin:0}li{overflow-wrap:anywhere}";

/// The page. What does not hold is open, what holds can be opened.
pub fn page(title: &str, summary: &str, sections: &[Section]) -> String {
    let (title, summary) = (escaped(title), escaped(summary));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<p>{summary}</p>\n"
    );
    for Section { heading, rows } in sections {
        let _ = writeln!(page, "<h2>{}</h2>", escaped(heading));
        rows.iter().for_each(|row| write_row(&mut page, row));
    }
    page + "</body></html>\n"
}

fn write_row(page: &mut String, row: &Row) {
    let Row { verdict, what, details, seen } = row;
    let open = if *verdict == Mark::Holds { "" } else { " open" };
    let _ = write!(
        page,
        "<details class=\"{}\"{open}><summary><b>{}</b> {}</summary><dl>",
        verdict.class(),
        verdict.word(),
        escaped(what)
    );
    for (name, text) in details {
        let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(text));
    }
    page.push_str("</dl><ul>");
    for sentence in seen {
        let _ = write!(page, "<li>{}</li>", escaped(sentence));
    }
    page.push_str("</ul></details>\n");
}

/// Text that stays text in a page and in an attribute.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_open_and_text_never_becomes_markup() {
        let row = |verdict| Row {
            verdict,
            what: "doors <script>".into(),
            details: vec![("owner".into(), "\"platform\"".into())],
            seen: vec!["it's open".into()],
        };
        let section = Section { heading: "T3".into(), rows: vec![row(Mark::Holds), row(Mark::Fails)] };
        let page = page("The gate of <shop>", "1 of 2", &[section]);
        assert!(
            page.contains("<details class=\"fails\" open>") && page.contains("<details class=\"holds\">"),
            "{page}"
        );
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("it&#39;s open") && page.contains("&quot;platform&quot;"));
    }
}
