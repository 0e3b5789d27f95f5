//! Texts that mean harm.

use web_console::{Backups, BackupsTold, Proof, Rehearsal};

use crate::world::{USUAL, World};

/// Ends an element, an attribute with either quote, and begins a script; each with a mark to find it again.
fn breaking_out(text: &str) -> String {
    format!("{text}\"'></title></textarea><script>alert('evil')</script><img src=x onerror=evil()>{{{{7*7}}}}")
}

#[test]
fn no_text_of_anybody_becomes_markup() {
    for (name, page) in World(breaking_out, breaking_out).pages() {
        assert!(page.contains("evil"), "{name} shows what was said");
        for mark in ["<script>", "<img", "onerror=evil()>", "</title></textarea>"] {
            let raw = page.match_indices(mark).next();
            assert!(raw.is_none(), "{name}: {mark} at {:?}", raw.map(|(at, _)| &page[at.saturating_sub(80)..at + 20]));
        }
    }
}

/// An attribute ends where its quote does: a quote in a value is an entity, in every one of them.
#[test]
fn pages_have_the_same_elements_whatever_is_said_in_them() {
    let elements = |page: &str| page.matches('<').count();
    let usual = USUAL.pages();
    for ((name, page), (_, hostile)) in usual.iter().zip(World(breaking_out, breaking_out).pages()) {
        assert_eq!(elements(page), elements(&hostile), "{name}");
        assert_eq!(page.matches("<script").count(), 1, "{name}: our own file alone");
    }
}

/// What the policy of our pages does not allow is not there either.
#[test]
fn no_page_has_a_style_or_a_script_of_its_own() {
    for (name, page) in USUAL.pages() {
        assert!(!page.contains(" style="), "{name}");
        assert!(!page.contains("<style"), "{name}");
        assert!(!page.contains("javascript:"), "{name}");
        assert!(!page.contains(" onclick") && !page.contains(" onload") && !page.contains(" onsubmit"), "{name}");
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/console-").count(), "{name}");
    }
}

#[test]
fn every_form_that_changes_something_has_the_token() {
    for (name, page) in USUAL.pages() {
        let posts = page.matches("method=\"post\"").count();
        assert_eq!(page.matches("<input type=\"hidden\" name=\"token\" value=\"token\">").count(), posts, "{name}");
    }
}

#[test]
fn who_may_only_look_gets_no_button() {
    let context = web_console::Context { role: web_console::Role::Viewer, ..USUAL.context() };
    let delivered = web_console::Delivered { may_approve: false, ..USUAL.delivered() };
    for page in [
        web_console::issue(&context, &USUAL.details()),
        web_console::gate(&context, &USUAL.gate()),
        web_console::deliveries(&context, &delivered),
        web_console::backups(&context, &Backups::Told(Box::new(USUAL.backups()))),
    ] {
        assert!(!page.contains("method=\"post\""));
    }
}

/// A long text in every place is the worst that can be sent: what takes a report keeps texts of this length.
#[test]
fn pages_stay_small_whatever_is_said_in_them() {
    let long = World(|text| format!("{text}{}", "<é&".repeat(3000)), str::to_owned);
    for (name, page) in long.pages() {
        assert!(page.len() <= 400 * 1024, "{name}: {}", page.len());
    }
    let context = USUAL.context();
    for (name, page) in [
        ("errors", web_console::errors(&context, &USUAL.errors(100))),
        ("logs", web_console::logs(&context, &USUAL.logs(120))),
    ] {
        assert!(page.len() <= 100 * 1024, "{name}: {}", page.len());
    }
}

#[test]
fn who_cannot_be_asked_is_unknown_and_not_well() {
    let mut all = USUAL.overview();
    all.minutes = Err("telemetry does not answer".into());
    all.issues = Err("telemetry does not answer".into());
    let page = web_console::overview(&USUAL.context(), &all);
    assert!(page.contains("Unknown") && page.contains("telemetry does not answer"));
    assert!(!page.contains("No error was reported"));
}

/// What a backup is worth is said by a rehearsal alone, and what is late is not well.
#[test]
fn backups_are_well_only_where_a_rehearsal_says_so() {
    let context = USUAL.context();
    let overview = |backups: Result<Option<web_console::Standing>, String>| {
        let page = web_console::overview(&context, &web_console::Overview { backups, ..USUAL.overview() });
        let tile = page.split("href=\"/backups\"><span").nth(1)?.split("</li>").next()?.to_owned();
        Some(tile)
    };
    assert_eq!(overview(Ok(None)), None);
    assert!(overview(Err("no".into())).unwrap().contains("Unknown"));
    let told = BackupsTold { trouble: None, ..USUAL.backups() };
    let passed = told.rehearsal.clone().map(|rehearsal| Rehearsal { bad: Vec::new(), ..rehearsal });
    let well = BackupsTold { rehearsal: passed.clone(), ..told.clone() };
    let late = well.all.iter().skip(2).cloned().collect();
    let long_ago = passed.map(|rehearsal| Rehearsal { began: crate::world::before(200_000), ..rehearsal });
    for (told, word) in [
        (well.clone(), "Proven"),
        (told.clone(), "Not restorable"),
        (USUAL.backups(), "Fail"),
        (BackupsTold { rehearsal: None, ..told.clone() }, "Unproven"),
        (BackupsTold { all: late, ..well.clone() }, "Late"),
        (BackupsTold { rehearsal: long_ago, ..told.clone() }, "Rehearsal is late"),
        (BackupsTold { all: Vec::new(), rehearsal: None, ..told }, "None yet"),
    ] {
        let tile = overview(Ok(Some(told.standing()))).unwrap();
        assert!(tile.contains(word), "{word}: {tile}");
    }
    let page = web_console::backups(&context, &Backups::Told(Box::new(well.clone())));
    assert_eq!(page.matches("restored in a rehearsal").count(), 1, "one was");
    assert!(page.contains("Back up now") && page.contains("Rehearse now"));
    let busy = BackupsTold { under_way: Some("A backup is being taken".into()), ..well };
    assert!(!web_console::backups(&context, &Backups::Told(Box::new(busy))).contains("Back up now"), "one at a time");
    assert!(USUAL.backups().all.iter().any(|one| one.proof == Proof::Failed));
}
