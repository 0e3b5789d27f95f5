//! Runs checks: those that only look side by side, those that break something one after the other.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use host::clock::Clock;
use tokio::time::timeout;

use crate::{Check, CheckCx, Evidence, Impact, Outcome, Verdict};

/// Runs every check and hands each piece of evidence to `on_evidence` as it comes. Returns them in the order of `checks`.
///
/// A check that has no answer within its budget is *inconclusive*: it proved nothing.
pub async fn run(
    checks: &[Box<dyn Check>],
    budget: Duration,
    clock: &dyn Clock,
    mut on_evidence: impl FnMut(&Evidence),
) -> Vec<Evidence> {
    let cx = CheckCx { budget };
    let mut evidence: Vec<Option<Evidence>> = checks.iter().map(|_| None).collect();
    let of = |impact| move |(_, check): &(usize, &dyn Check)| check.claim().impact == impact;
    let numbered = || checks.iter().map(Box::as_ref).enumerate();

    let mut looking: FuturesUnordered<_> = numbered()
        .filter(of(Impact::Observes))
        .map(|(index, check)| {
            let cx = &cx;
            async move { (index, run_one(check, cx, clock).await) }
        })
        .collect();
    while let Some((index, found)) = looking.next().await {
        on_evidence(&found);
        evidence[index] = Some(found);
    }
    // One at a time, and not beside the others: what one breaks would be seen by the next.
    for (index, check) in numbered().filter(of(Impact::Disrupts)) {
        let found = run_one(check, &cx, clock).await;
        on_evidence(&found);
        evidence[index] = Some(found);
    }
    evidence.into_iter().flatten().collect()
}

/// Runs one check.
pub async fn run_one(check: &dyn Check, cx: &CheckCx, clock: &dyn Clock) -> Evidence {
    let claim = check.claim();
    let (at, start) = (clock.now(), clock.instant());
    let outcome = timeout(cx.budget, check.run(cx))
        .await
        .unwrap_or_else(|_| Outcome::inconclusive(format!("no answer within {} s", cx.budget.as_secs())));
    let took = clock.instant().saturating_duration_since(start);
    Evidence {
        task: claim.task.to_owned(),
        id: claim.id.to_owned(),
        claim: claim.claim.to_owned(),
        verdict: outcome.verdict,
        observed: outcome.observed,
        at,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        hint: (outcome.verdict != Verdict::Holds).then(|| claim.hint.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Claim;
    use crate::check::CheckFuture;
    use host::clock::SystemClock;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    struct Probe {
        claim: Claim,
        running: Arc<AtomicUsize>,
        together: Arc<AtomicUsize>,
        hangs: bool,
    }

    impl Check for Probe {
        fn claim(&self) -> &Claim {
            &self.claim
        }

        fn run<'a>(&'a self, _cx: &'a CheckCx) -> CheckFuture<'a> {
            Box::pin(async {
                if self.hangs {
                    std::future::pending::<()>().await;
                }
                let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.together.fetch_max(now, Ordering::SeqCst);
                tokio::task::yield_now().await;
                self.running.fetch_sub(1, Ordering::SeqCst);
                Outcome::holds(vec!["looked".into()])
            })
        }
    }

    fn probe(impact: Impact, hangs: bool, together: &Arc<AtomicUsize>, running: &Arc<AtomicUsize>) -> Box<dyn Check> {
        let claim = Claim { task: "T1", id: "probe", claim: "it runs", hint: "", impact };
        Box::new(Probe { claim, running: running.clone(), together: together.clone(), hangs })
    }

    #[tokio::test]
    async fn checks_that_disrupt_run_alone() {
        let (together, running) = (Arc::default(), Arc::default());
        let checks: Vec<_> = (0..3).map(|_| probe(Impact::Disrupts, false, &together, &running)).collect();
        let evidence = run(&checks, Duration::from_secs(5), &SystemClock, |_| {}).await;
        assert_eq!(evidence.len(), 3);
        assert_eq!(together.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn checks_that_observe_run_side_by_side() {
        let (together, running) = (Arc::default(), Arc::default());
        let checks: Vec<_> = (0..3).map(|_| probe(Impact::Observes, false, &together, &running)).collect();
        run(&checks, Duration::from_secs(5), &SystemClock, |_| {}).await;
        assert_eq!(together.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_check_without_an_answer_is_inconclusive() {
        let checks = vec![probe(Impact::Observes, true, &Arc::default(), &Arc::default())];
        let evidence = run(&checks, Duration::from_millis(10), &SystemClock, |_| {}).await;
        assert_eq!(evidence[0].verdict, Verdict::Inconclusive);
    }
}
