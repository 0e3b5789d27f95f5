//! Releases, and how they came to visitors; the word that a deployment waits for, and the way back.

use delivery::deployment::Happened;
use delivery::{Deployment, Kind, Release, ReleaseId, Role as SlotRole, State};
use maud::{Markup, html};

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::marks::{self, Mark};
use crate::words::{ago, clock, cut};

/// A release, and what visitors have of it.
#[derive(Clone, Debug)]
pub struct Released {
    pub release: Release,
    pub role: Option<SlotRole>,
}

/// All that was deployed.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub deployments: Vec<Deployment>,
    pub releases: Vec<Released>,
    /// Whether whoever looks is somebody whose word counts: a person who was signed in by their own key.
    pub may_approve: bool,
}

/// What a rollback would do.
#[derive(Clone, Debug)]
pub struct Way {
    pub from: Option<ReleaseId>,
    pub to: Release,
    /// It stands ready.
    pub is_warm: bool,
}

pub(crate) fn state_of(deployment: &Deployment) -> Markup {
    let mark = match deployment.state {
        State::Live => Mark::Good,
        State::AwaitingApproval => Mark::Warn,
        State::Aborted | State::RolledBack | State::Frozen => Mark::Bad,
        State::Cancelled | State::Superseded => Mark::Idle,
        _ => Mark::Busy,
    };
    marks::state(mark, deployment.state.as_str())
}

pub fn deliveries(context: &Context, all: &Delivered) -> String {
    let body = html! {
        header .top { h1 { "Deployments" } }
        @if all.deployments.is_empty() {
            (frame::nothing("Nothing was deployed yet.", "`roadbed deploy` builds a release and takes it to visitors, without a pause."))
        } @else {
            div .wide tabindex="0" role="region" aria-label="Deployments" {
                table {
                    thead { tr { th scope="col" { "Deployment" } th scope="col" { "Release" } th scope="col" { "State" } th scope="col" { "Asked for by" } th scope="col" { "When" } th scope="col" { "" span .quiet { "Decide" } } } }
                    tbody { @for deployment in &all.deployments {
                        tr data-row {
                            th scope="row" { a href={ "/deployments/" (deployment.id) } { (deployment.id) } }
                            td { span .id { (deployment.release) } @if deployment.kind == Kind::Rollback { " " span .tag { "rollback" } } }
                            td { (state_of(deployment)) }
                            td { (cut(&deployment.asked_by, 60)) }
                            td .soft { (ago(deployment.asked_at, context.now)) }
                            td { (decide(context, deployment, all.may_approve)) }
                        }
                    } }
                }
            }
        }
        @if !all.releases.is_empty() { (releases(context, &all.releases)) }
    };
    frame::page(context, Some(Place::Deliveries), Shows::Live, "Deployments", &body)
}

fn decide(context: &Context, deployment: &Deployment, may_approve: bool) -> Markup {
    let id = deployment.id;
    html! {
        @if deployment.state == State::AwaitingApproval {
            @if may_approve {
                (frame::button(context, &format!("/deployments/{id}/approve"), "main", "Approve", &[("digest", &deployment.digest)]))
            } @else {
                span .soft { "waits for " (deployment.policy.approvals.saturating_sub(u32::try_from(deployment.approvals.len()).unwrap_or(0))) " approvals" }
            }
        }
        @if context.may_change() && deployment.state.can_be_cancelled() {
            (frame::button(context, &format!("/deployments/{id}/cancel"), "", "Call off", &[]))
        }
    }
}

fn releases(context: &Context, all: &[Released]) -> Markup {
    html! {
        section aria-labelledby="releases" {
            header .section { h2 #releases { "Releases" } }
            div .wide tabindex="0" role="group" aria-labelledby="releases" {
                table {
                    thead { tr { th scope="col" { "Release" } th scope="col" { "Visitors" } th scope="col" { "Branch" } th scope="col" { "Made by" } th scope="col" { "When" } th scope="col" { "" span .quiet { "Go back" } } } }
                    tbody { @for Released { release, role } in all {
                        tr data-row {
                            th .id scope="row" { (release.name()) }
                            td { @match role {
                                Some(SlotRole::Live) => (marks::state(Mark::Good, "live")),
                                Some(SlotRole::Warm) => (marks::state(Mark::Busy, "stands ready")),
                                Some(role) => (marks::state(Mark::Busy, role.as_str())),
                                None => (marks::state(Mark::Idle, if release.stable { "served well" } else { "never served" })),
                            } }
                            td { (cut(release.contents.origin.branch.as_deref().unwrap_or("–"), 60)) }
                            td { (cut(&release.contents.author, 60)) }
                            td .soft { (ago(release.made_at, context.now)) }
                            td { @if context.may_change() && release.stable && *role != Some(SlotRole::Live) {
                                a .act-link href={ "/releases/" (release.id) "/rollback" } { "Go back to it" }
                            } }
                        }
                    } }
                }
            }
        }
    }
}

/// One deployment, line by line.
pub fn deployment(
    context: &Context,
    deployment: &Deployment,
    release: &Release,
    lines: &[Happened],
    may_approve: bool,
) -> String {
    let origin = &release.contents.origin;
    let body = html! {
        p .trail { a href="/deployments" { "Deployments" } " / " (deployment.id) }
        header .top { h1 { "Deployment " (deployment.id) } (state_of(deployment)) (marks::environment(&context.environment)) }
        div .acts { (decide(context, deployment, may_approve)) }
        @if let Some(fault) = &deployment.fault {
            div .trouble { (marks::shape(Mark::Bad)) div {
                p { (cut(&fault.message, 400)) }
                @for cause in fault.causes.iter().take(8) { p .soft { (cut(cause, 400)) } }
                @if let Some(hint) = &fault.hint { p { strong { "What to do: " } (cut(hint, 400)) } }
            } }
        }
        dl .facts {
            div { dt { "Release" } dd .id { (release.name()) } }
            @if let Some(commit) = &origin.commit { div { dt { "Commit" } dd .id { (cut(commit, 40)) @if origin.changed { " " span .tag .bad { "changed" } } } } }
            @if let Some(branch) = &origin.branch { div { dt { "Branch" } dd { (cut(branch, 80)) } } }
            div { dt { "Made by" } dd { (cut(&release.contents.author, 80)) } }
            div { dt { "Asked for by" } dd { (cut(&deployment.asked_by, 80)) } }
            div { dt { "Asked" } dd { (ago(deployment.asked_at, context.now)) } }
            @if let Some(previous) = deployment.previous { div { dt { "Before" } dd .id { (previous) } } }
            @if deployment.policy.approvals > 0 {
                div { dt { "Approved by" } dd {
                    @if deployment.approvals.is_empty() { "nobody yet" }
                    @for approval in &deployment.approvals { (cut(&approval.by, 60)) " " }
                    span .soft { "of " (deployment.policy.approvals) }
                } }
            }
            div { dt { "Digest" } dd .id { (cut(&deployment.digest, 16)) } }
        }
        @if !origin.changes.is_empty() {
            section aria-labelledby="changes" { h2 #changes { "What is new" }
                ul { @for change in origin.changes.iter().take(30) { li { (cut(change, 200)) } } }
            }
        }
        section aria-labelledby="happened" { h2 #happened { "What happened" }
            div .wide tabindex="0" role="group" aria-labelledby="happened" {
                table .lines {
                    thead { tr { th scope="col" { "Time" } th scope="col" { "State" } th scope="col" { "What" } } }
                    tbody { @for line in lines.iter().rev().take(300) {
                        tr { td .soft .clock { (clock(line.at)) } td .nowrap { (line.state.as_str()) } td .grow { (cut(&line.what, 400)) } }
                    } }
                }
            }
        }
    };
    frame::page(context, Some(Place::Deliveries), Shows::Live, &format!("Deployment {}", deployment.id), &body)
}

/// Asked once more before visitors are led back.
pub fn way_back(context: &Context, way: &Way) -> String {
    let to = way.to.id.to_string();
    let body = html! {
        p .trail { a href="/deployments" { "Deployments" } " / rollback" }
        h1 { "Go back to " (way.to.name()) "?" }
        p { "Visitors of " (marks::environment(&context.environment)) " now reach "
            @match way.from { Some(from) => span .id { (from) }, None => "what was built in the project" } "." }
        p { @if way.is_warm { "It stands ready: visitors are led back at once." } @else { "It is started beside what serves, looked at, and then visitors are led back." } }
        p .soft { "Data stay as they are." }
        div .acts {
            (frame::button(context, "/rollback", "danger", &format!("Go back to {to}"), &[("to", &to)]))
            a .act-link href="/deployments" { "Leave it" }
        }
    };
    frame::page(context, Some(Place::Deliveries), Shows::AsItWas, "Go back", &body)
}
