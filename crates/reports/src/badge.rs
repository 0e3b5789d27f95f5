//! A verdict as a small picture, in SVG, as front pages of repositories show them.

/// Width of a letter, pixels: that of Verdana in 11 pixels, on average.
const LETTER: usize = 7;

/// Room at both sides of a text, pixels.
const ROOM: usize = 10;

/// The colour of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Good,
    Bad,
    /// Nothing is known.
    Grey,
}

/// The picture: what it is about, and what of it.
pub fn badge(about: &str, what: &str, colour: Colour) -> String {
    let colour = match colour {
        Colour::Good => "#2e7d32",
        Colour::Bad => "#c62828",
        Colour::Grey => "#616161",
    };
    let width = |text: &str| text.chars().count() * LETTER + ROOM;
    let (left, right) = (width(about), width(what));
    let (all, of_left, of_right) = (left + right, left / 2, left + right / 2);
    let (about, what) = (crate::html::escaped(about), crate::html::escaped(what));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" role=\"img\" aria-label=\"{about}: {what}\">\
         <title>{about}: {what}</title>\
         <rect width=\"{left}\" height=\"20\" fill=\"#424242\"/><rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,Geneva,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{of_left}\" y=\"14\">{about}</text><text x=\"{of_right}\" y=\"14\">{what}</text></g></svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_wide_as_its_words_and_says_them_to_who_does_not_see() {
        let picture = badge("shop <staging>", "14/15 hold", Colour::Bad);
        assert!(picture.contains("aria-label=\"shop &lt;staging&gt;: 14/15 hold\""), "{picture}");
        assert!(picture.contains(&format!("width=\"{}\"", 24 * LETTER + 2 * ROOM)) && picture.contains("#c62828"));
    }
}
