//! Small pictures of numbers, without a script.

use maud::{Markup, html};

const WIDTH: usize = 120;
const HEIGHT: u64 = 24;

/// A bar for each number, the newest at the right; what failed of it stands in front. `what` is read where pictures are not seen.
pub(crate) fn bars(all: &[(u64, u64)], what: &str) -> Markup {
    let most = all.iter().map(|(whole, _)| *whole).max().unwrap_or(0).max(1);
    let step = WIDTH / all.len().max(1);
    let height = |number: u64| if number == 0 { 0 } else { (number * HEIGHT).div_ceil(most).max(1) };
    html! {
        svg .bars viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } width=(WIDTH) height=(HEIGHT) role="img" aria-label=(what) {
            line x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (at, (whole, failed)) in all.iter().enumerate() {
                @if *whole > 0 {
                    rect x=(at * step) y=(HEIGHT - height(*whole)) width=(step.saturating_sub(1).max(1)) height=(height(*whole)) {}
                }
                @if *failed > 0 {
                    rect .failed x=(at * step) y=(HEIGHT - height(*failed)) width=(step.saturating_sub(1).max(1)) height=(height(*failed)) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_bar_and_nothing_divides_by_nothing() {
        let picture = bars(&[(0, 0), (10, 1), (1_000_000, 0)], "requests").into_string();
        assert_eq!(picture.matches("<rect").count(), 3);
        assert!(picture.contains("aria-label=\"requests\""));
        assert!(bars(&[], "none").into_string().contains("<svg"));
    }
}
