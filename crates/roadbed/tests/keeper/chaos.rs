//! Everything is killed, in any order, and comes back.

use std::time::Duration;

use host::process::{Process, Signal};
use reconcile::ports::{RestartPolicy, UnitSpec, Units};

use crate::environment::{Environment, LIVE, app, eventually};
use crate::stand_in::{self, Manner};

const KILLS: usize = 200;

const UNITS: [&str; 5] = ["control", "edge", "api-1", "api-2", "mongodb"];

/// A small generator: the order is random, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

fn specs(environment: &Environment) -> Vec<UnitSpec> {
    let mut specs = vec![
        stand_in::control(environment),
        stand_in::edge(environment, &[], Manner::Proper),
        app("api-1", LIVE),
        app("api-2", LIVE),
        app("mongodb", LIVE),
    ];
    for spec in &mut specs {
        // Two hundred deaths in a row are no crash loop here.
        let (first_delay, max_delay) = (Duration::from_millis(1), Duration::from_millis(20));
        spec.restart = RestartPolicy { first_delay, max_delay, crash_loop_after: u32::MAX, ..RestartPolicy::default() };
    }
    specs
}

#[tokio::test]
async fn two_hundred_kills_in_any_order_end_in_the_wanted_state() {
    let environment = Environment::start().await;
    for spec in specs(&environment) {
        environment.client.ensure(spec).await.unwrap();
    }
    let seed = std::env::var("CHAOS_SEED").map_or(0x5eed_0000_2026, |seed| seed.parse().unwrap());
    println!("CHAOS_SEED={seed}");
    let mut dice = Dice(seed);
    for kill in 0..KILLS {
        let victim = dice.below(UNITS.len() + 1);
        let pid = match UNITS.get(victim) {
            // Found by what the machine shows, not by what the keeper says: it may be dead.
            Some(unit) => {
                let mut instances = environment.instances(unit);
                if instances.len() > 1 {
                    // What a role starts as the next keeper looks like the role until its program begins.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    let still = environment.instances(unit);
                    instances.retain(|pid| still.contains(pid));
                }
                assert!(instances.len() <= 1, "two instances of {unit} after {kill} kills: {instances:?}");
                instances.first().copied()
            }
            None => environment.client.health().await.ok().map(|health| health.pid),
        };
        if let Some(process) = pid.and_then(|pid| Process::open(pid).ok()) {
            let _ = process.signal(Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(u64::try_from(dice.below(40)).unwrap())).await;
        // If keeper and both who would revive it are dead, a person types `up`.
        if environment.client.health().await.is_err()
            && ["control", "edge"].iter().all(|role| environment.instances(role).is_empty())
        {
            environment.launch().await;
        }
    }

    // Control specifies what it wants, as it does whenever it meets a keeper.
    for spec in specs(&environment) {
        let name = spec.name.clone();
        eventually(&format!("{name} is ensured"), async || {
            let again = specs(&environment).into_iter().find(|spec| spec.name == name)?;
            environment.client.ensure(again).await.ok()
        })
        .await;
    }
    for unit in UNITS {
        let pid = environment.running_again(unit, None).await;
        eventually(&format!("{unit} is there once"), async || (environment.instances(unit) == [pid]).then_some(()))
            .await;
    }
    environment.client.shutdown().await.unwrap();
    for unit in UNITS {
        assert!(environment.instances(unit).is_empty(), "{unit}");
    }
}
