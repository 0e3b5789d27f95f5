//! Documents of S3, written and read.

use std::fmt::Write;

use quick_xml::Reader;
use quick_xml::events::Event;

/// A document that is being written.
#[derive(Debug)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn document() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// An element that is a document of S3's name space.
    pub(crate) fn root(name: &str, inside: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::document();
        let _ = write!(xml.0, "<{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        inside(&mut xml);
        let _ = write!(xml.0, "</{name}>");
        xml.0
    }

    pub(crate) fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}>");
        inside(self);
        let _ = write!(self.0, "</{name}>");
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, "<{name}>");
        for character in value.chars() {
            match character {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                // As S3 does: no parser of XML 1.0 takes most of them, which is why clients ask for names in URL encoding.
                control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                    let _ = write!(self.0, "&#x{:X};", u32::from(control));
                }
                other => self.0.push(other),
            }
        }
        let _ = write!(self.0, "</{name}>");
    }

    pub(crate) fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, &value.to_string());
    }

    pub(crate) fn end(self) -> String {
        self.0
    }
}

/// An element that was read: what is in it, and its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub text: String,
    pub inside: Vec<Element>,
}

impl Element {
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.inside.iter().find(|element| element.name == name).map(|element| element.text.as_str())
    }
}

/// No document that is sent here is deeper.
const DEPTH: usize = 8;

/// Reads a document; `None` where it is none, or deeper than any that S3 has.
pub fn read(bytes: &[u8]) -> Option<Element> {
    let mut reader = Reader::from_reader(bytes);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if root.is_some() || open.len() == DEPTH {
                    return None;
                }
                open.push(named(start.local_name().as_ref())?);
            }
            Event::Empty(start) => open.last_mut()?.inside.push(named(start.local_name().as_ref())?),
            Event::End(_) => {
                let done = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.inside.push(done),
                    None => root = Some(done),
                }
            }
            Event::Text(text) => {
                let text = text.decode().ok()?;
                match open.last_mut() {
                    Some(element) => element.text.push_str(&text),
                    None if text.trim().is_empty() => {}
                    None => return None,
                }
            }
            Event::CData(text) => open.last_mut()?.text.push_str(&text.decode().ok()?),
            Event::GeneralRef(reference) => {
                let element = open.last_mut()?;
                if let Some(character) = reference.resolve_char_ref().ok()? {
                    element.text.push(character);
                } else {
                    let name: &[u8] = &reference;
                    element.text.push_str(match name {
                        b"amp" => "&",
                        b"lt" => "<",
                        b"gt" => ">",
                        b"quot" => "\"",
                        b"apos" => "'",
                        _ => return None,
                    });
                }
            }
            // A document type could define names that grow without end.
            Event::DocType(_) => return None,
            Event::Eof => return root.filter(|_| open.is_empty()),
            _ => {}
        }
    }
}

fn named(name: &[u8]) -> Option<Element> {
    Some(Element { name: String::from_utf8(name.to_vec()).ok()?, ..Element::default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[^\0-\x1f\u{7f}-\u{9f}]{0,30}") {
            let document = Xml::root("A", |xml| xml.within("B", |xml| xml.text("C", &text)));
            let read = read(document.as_bytes()).unwrap();
            prop_assert_eq!(read.inside[0].text_of("C"), Some(text.as_str()));
        }

        #[test]
        fn nothing_makes_the_reader_panic(text in "[<>/&;a-c!\\[\\]?\"' #x0-9-]{0,60}") {
            let _ = read(text.as_bytes());
        }
    }

    #[test]
    fn names_that_a_document_defines_are_not_followed() {
        assert_eq!(read(b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), None);
        assert_eq!(read(b"<a>&b;</a>"), None);
        assert_eq!(read(b"<a><b></a>"), None);
        assert_eq!(read("<a>".repeat(9).as_bytes()), None);
        assert_eq!(read(b"<a>&#233;</a>").unwrap().text, "\u{e9}");
    }
}
