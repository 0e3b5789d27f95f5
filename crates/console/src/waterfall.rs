//! The spans of a trace below each other as one began the other, each as long as it took.

use std::collections::{BTreeMap, BTreeSet};

use host::clock::Timestamp;
use maud::{Markup, html};
use telemetry::traces::Span;

use crate::words::{cut, micros};

/// Thousandths of the picture's width.
const WHOLE: u64 = 1000;
/// A trace with more is shown to here.
const MOST: usize = 150;
const DEEPEST: usize = 12;

/// A span with its depth below the first one.
fn in_order(spans: &[Span]) -> Vec<(&Span, usize)> {
    let known: BTreeSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let mut children: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    let mut open: Vec<(&Span, usize)> = Vec::new();
    for span in spans {
        match span.parent_id.as_deref().filter(|parent| known.contains(parent) && *parent != span.span_id) {
            Some(parent) => children.entry(parent).or_default().push(span),
            None => open.push((span, 0)),
        }
    }
    open.reverse();
    let mut all = Vec::new();
    while let Some((span, depth)) = open.pop() {
        all.push((span, depth));
        // Of a circle each is taken out when it is told.
        for child in children.remove(span.span_id.as_str()).unwrap_or_default().into_iter().rev() {
            open.push((child, depth + 1));
        }
    }
    // What is in a circle of its own is told all the same.
    all.extend(children.into_values().flatten().map(|span| (span, 0)));
    all
}

pub(crate) fn waterfall(spans: &[Span]) -> Markup {
    let Some(first) = spans.iter().map(|span| span.start).min() else { return html! {} };
    let since = |time: Timestamp| u64::try_from(time.since(first).as_micros()).unwrap_or(u64::MAX);
    let whole = spans.iter().map(|span| since(span.start).saturating_add(span.micros)).max().unwrap_or(1).max(1);
    let scaled = |micros: u64| {
        u64::try_from(u128::from(micros) * u128::from(WHOLE) / u128::from(whole)).unwrap_or(WHOLE).min(WHOLE)
    };
    let all = in_order(spans);
    html! {
        div .wide tabindex="0" role="region" aria-label="Spans" {
            table .waterfall {
                thead { tr { th scope="col" { "Span" } th scope="col" .number { "Took" } th scope="col" { span .soft { "0 to " (micros(whole)) } } } }
                tbody {
                    @for (span, depth) in all.iter().take(MOST) {
                        @let from = scaled(since(span.start)).min(WHOLE - 4);
                        @let wide = scaled(span.micros).clamp(4, WHOLE - from);
                        tr .failed[span.has_failed] {
                            td .{ "depth-" ((*depth).min(DEEPEST)) } {
                                span .app { (cut(&span.app, 30)) } " " (cut(&span.name, 120))
                                @if span.has_failed { " " span .tag .bad { "failed" } }
                            }
                            td .number { (micros(span.micros)) }
                            td .picture {
                                svg viewBox={ "0 0 " (WHOLE) " 10" } preserveAspectRatio="none" height="10" aria-hidden="true" {
                                    rect x=(from) y="0" width=(wide) height="10" rx="2" {}
                                }
                            }
                        }
                    }
                }
            }
        }
        @if all.len() > MOST { p .soft { (all.len() - MOST) " more spans" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: Option<&str>) -> Span {
        Span {
            trace_id: "t".into(),
            span_id: id.into(),
            parent_id: parent.map(str::to_owned),
            app: "api".into(),
            name: id.into(),
            start: Timestamp::from_unix_millis(5),
            micros: 10,
            has_failed: false,
            attributes: serde_json::Map::new(),
        }
    }

    #[test]
    fn nobody_is_left_out_whoever_says_to_be_whose_child() {
        let spans = [
            span("b", Some("a")),
            span("a", None),
            span("lost", Some("elsewhere")),
            span("x", Some("y")),
            span("y", Some("x")),
            span("self", Some("self")),
        ];
        let told = in_order(&spans);
        let of = |id: &str| told.iter().find(|(span, _)| span.span_id == id).map(|(_, depth)| *depth);
        assert_eq!((of("a"), of("b"), of("lost"), of("self")), (Some(0), Some(1), Some(0), Some(0)));
        assert!(of("x").is_some() && of("y").is_some());
        assert_eq!(told.len(), spans.len());
    }

    #[test]
    fn a_bar_never_leaves_the_picture() {
        let long = Span { micros: u64::MAX, ..span("a", None) };
        let late = Span { start: Timestamp::from_unix_millis(i64::from(u32::MAX)), ..span("b", Some("a")) };
        let text = waterfall(&[long, late]).into_string();
        assert_eq!(text.matches("<rect").count(), 2);
    }
}
