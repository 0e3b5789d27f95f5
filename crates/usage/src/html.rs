//! Variables in a page that Vite builds: `%VITE_TITLE%`.

use crate::spot::{Spot, name_length, placed};
use crate::{How, Language, Use};

/// What Vite fills in, whatever comes behind it. Other `%…%` may be the escape of an address.
const PREFIX: &str = "VITE_";

/// The uses of a page. Comments count: Vite fills in those too.
pub fn uses(file: &str, text: &str) -> Vec<Use> {
    let starts = text.match_indices('%').map(|(at, _)| at);
    let spots = starts.filter_map(|at| {
        let rest = &text[at + 1..];
        let length = name_length(rest);
        let name = &rest[..length];
        (name.starts_with(PREFIX) && rest[length..].starts_with('%')).then(|| Spot::new(at, name, How::Read))
    });
    placed(file, text, Language::Html, spots.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown;

    #[test]
    fn what_vite_fills_in() {
        let page =
            "<title>%VITE_TITLE%</title>\n<a href=\"/%E2%82%AC?100%\">%MODE% %VITE_A% %VITE_B</a>%VITE_C%%VITE_D%";
        assert_eq!(shown(&uses("", page)), ["1:8 VITE_TITLE", "2:34 VITE_A", "2:54 VITE_C", "2:62 VITE_D"]);
    }
}
