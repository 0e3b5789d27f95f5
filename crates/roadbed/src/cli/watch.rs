//! The foreground after the gate: tells what dies and what comes back, until it is over.

use std::time::Duration;

use reconcile::Fault;
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::conductor::Conductor;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::control::wire::Unit;
use crate::render::environment;

/// How often the foreground looks: a person sees no delay, and the load is none.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many looks without any answer mean that nobody is left who would heal it. Survivors need about 2 s.
const MOST_SILENT_LOOKS: u32 = 30;

/// Why watching ended.
#[derive(Debug)]
pub enum Ended {
    Interrupted,
    StoppedByOthers,
    Lost(Fault),
}

pub async fn until_ended(session: &Session, conductor: &impl Conductor, interrupts: &mut Interrupts) -> Ended {
    let mut seen: Option<Vec<Unit>> = None;
    let mut silent_looks: u32 = 0;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = interrupts.next() => return Ended::Interrupted,
            _ = ticks.tick() => {}
        }
        let status = tokio::select! {
            () = interrupts.next() => return Ended::Interrupted,
            status = conductor.status() => status,
        };
        match status {
            Ok(status) => {
                silent_looks = 0;
                let before = seen.as_deref().unwrap_or(&status.units);
                let changes = environment::changes(before, &status.units, session.output.notes);
                changes.iter().for_each(|line| session.output.complain(format!("{}  {line}", time_of_day(session))));
                seen = Some(status.units);
            }
            Err(_) if !conductor.is_meant_to_be_up() => return Ended::StoppedByOthers,
            Err(fault) => {
                silent_looks += 1;
                if silent_looks > MOST_SILENT_LOOKS {
                    return Ended::Lost(fault.hint("nothing of the environment answers; `roadbed up` starts it again"));
                }
            }
        }
    }
}

/// `15:25:51` of `2026-11-23T15:25:51.123Z`.
fn time_of_day(session: &Session) -> String {
    session.clock.now().to_string().get(11..19).unwrap_or_default().to_owned()
}
