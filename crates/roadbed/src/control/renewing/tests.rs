//! The loop against an authority that does what happens once in years, by a clock that a test turns; the edge is a real one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acme::Trust;
use edge::client::EdgeClient;
use edge::tls::local_ca;
use edge::{EdgeConfig, EdgeFault};
use host::clock::{Clock, SystemClock, Timestamp};
use host::{files, socket};
use manifest::AcmeAuthority;
use reconcile::Root;
use reconcile::ports::{Certificates, RouteTable, Routes, Site, SiteAccess, Target};
use testkit::ScriptedAuthority;
use tokio::task::JoinHandle;

use super::*;

mod on_demand;

const HOST: &str = "www.shop.example";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A clock that is turned by hand.
#[derive(Debug)]
struct Turned(Mutex<Timestamp>);

impl Turned {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemClock.now())))
    }

    fn by(&self, millis: i64) {
        let mut now = self.0.lock().unwrap();
        *now = Timestamp::from_unix_millis(now.unix_millis() + millis);
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }
}

/// An edge that serves one host, and authorities for it.
struct Stage {
    root: Root,
    ours: Arc<Turned>,
    /// What the authorities go by.
    theirs: Arc<Turned>,
    authorities: Vec<ScriptedAuthority>,
    door: SocketAddr,
    edge: JoinHandle<Result<(), EdgeFault>>,
    folder: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.edge.abort();
    }
}

impl Stage {
    async fn with(authorities: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().canonicalize().unwrap());
        let listen = |name: &str| {
            let socket = socket::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
            (socket.local_addr().unwrap(), (name.to_owned(), socket))
        };
        let ((door, https), (http, plain)) = (listen("https"), listen("http"));
        let config =
            EdgeConfig::new(root.clone(), vec![https, plain], Arc::new(SystemClock), std::future::pending::<()>());
        let edge = tokio::spawn(edge::run(config));
        let client = EdgeClient::new(root.clone());
        while client.health().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let owner = local_ca::Owner { environment: "test".to_owned(), root: "1".to_owned() };
        local_ca::ensure(&root, &owner, &[HOST.to_owned()], SystemClock.now()).unwrap();
        let site = Site {
            app: "shop".to_owned(),
            hosts: vec![HOST.to_owned()],
            target: Target::Files { folder: folder.path().to_owned(), spa_fallback: None },
            access: SiteAccess::Public,
            client_authorities: None,
            cache: None,
            config: None,
            key_set: None,
            internal_socket: None,
            release: None,
            kept: Vec::new(),
            headers: BTreeMap::new(),
        };
        let table = RouteTable {
            environment: "test".to_owned(),
            https_port: door.port(),
            certificates: Certificates::Issued,
            sites: vec![site],
            ..RouteTable::default()
        };
        client.publish(table).await.unwrap();
        let (ours, theirs) = (Turned::new(), Turned::new());
        let mut all = Vec::new();
        for at in 0..authorities {
            let authority = ScriptedAuthority::start(theirs.clone(), http).await;
            files::write(&folder.path().join(format!("{at}.pem")), authority.root_pem.as_bytes(), files::Access::Owner)
                .unwrap();
            all.push(authority);
        }
        Self { root, ours, theirs, authorities: all, door, edge, folder }
    }

    /// With a certificate.
    async fn served() -> Self {
        let stage = Self::with(1).await;
        stage.is_renewed_after(DAY * 58);
        stage.look().await.unwrap();
        assert_eq!(stage.generation().await, 1);
        stage
    }

    /// What the authority says from now on: a day long, from then on.
    fn is_renewed_after(&self, time: Duration) {
        let begin = self.theirs.now().unix_millis() + millis(time);
        let window = [begin, begin + millis(DAY)].map(Timestamp::from_unix_millis);
        self.authorities[0].script().window = Some(window.into());
    }

    /// The authority is about to revoke it.
    fn is_to_be_renewed_at_once(&self) {
        let now = self.theirs.now().unix_millis();
        let window = [now - millis(HOUR * 3), now - millis(HOUR * 2)].map(Timestamp::from_unix_millis);
        self.authorities[0].script().window = Some(window.into());
    }

    /// As a control that has just started finds it.
    fn desk(&self) -> Desk {
        let authorities: Vec<AcmeAuthority> = self
            .authorities
            .iter()
            .enumerate()
            .map(|(at, authority)| AcmeAuthority {
                directory: authority.directory.clone(),
                staging: None,
                contact: Vec::new(),
                external_account: None,
                ca: Some(format!("{at}.pem")),
                roots: Some(format!("{at}.pem")),
            })
            .collect();
        Desk {
            store: Store::new(&self.root),
            folder: folder(&self.root),
            books: folder(&self.root),
            directories: authorities.iter().map(|authority| authority.directory.clone()).collect(),
            customers: Arc::new(authorities.iter().map(|_| None).collect()),
            authorities,
            proofs: vec![acme::order::Proof::Http],
            project: self.folder.path().to_owned(),
            hosts: vec![HOST.to_owned()],
            names: vec![HOST.to_owned()],
            zone: None,
            clock: self.ours.clone(),
            edge: EdgeClient::new(self.root.clone()),
            door: self.door,
        }
    }

    async fn look(&self) -> Result<Duration, Fault> {
        see_to(&self.desk()).await
    }

    /// The machine is off for so long.
    fn sleeps(&self, time: Duration) {
        self.ours.by(millis(time));
        self.theirs.by(millis(time));
    }

    /// Lets time pass, looking as often as there is something to do, and once an hour at most. Each look is of another control.
    async fn pass(&self, time: Duration) {
        let end = self.ours.now().unix_millis() + millis(time);
        loop {
            let wait = millis(self.look().await.unwrap().max(HOUR));
            let left = end - self.ours.now().unix_millis();
            self.sleeps(Duration::from_millis(u64::try_from(wait.min(left)).unwrap()));
            if wait >= left {
                return;
            }
        }
    }

    /// The one that visitors get, by its number in the store; they would take it.
    async fn generation(&self) -> u64 {
        let mut whom: Option<Trust> = None;
        for at in 0..self.authorities.len() {
            let trust = Trust::read(Some(&self.folder.path().join(format!("{at}.pem")))).unwrap();
            whom = Some(whom.map_or_else(|| trust.clone(), |whom| whom.and(&trust)));
        }
        let shown = door::handshake(self.door, HOST, &whom.unwrap()).await.unwrap();
        let newest = Store::new(&self.root).newest().unwrap().unwrap();
        assert_eq!(newest.chain[0], shown, "the newest in the store is what visitors get");
        newest.generation
    }

    fn book(&self) -> Book {
        let directories: Vec<String> = self.authorities.iter().map(|one| one.directory.clone()).collect();
        Book::read(&folder(&self.root), &directories, self.ours.now()).unwrap()
    }

    fn orders(&self) -> usize {
        self.authorities[0].script().asked.iter().filter(|asked| *asked == "POST /order").count()
    }
}

#[tokio::test]
async fn ten_days_without_an_authority_end_nothing_and_then_there_is_another_certificate() {
    let stage = Stage::served().await;
    stage.sleeps(DAY * 57);
    assert_eq!((stage.generation().await, stage.orders()), (1, 1));
    stage.authorities[0].script().is_down = true;
    stage.pass(DAY * 12).await;
    assert_eq!(stage.generation().await, 1, "the one before goes on");
    let standing = stage.book().standing_of(&stage.authorities[0].directory);
    assert!((8..=14).contains(&standing.failures), "{standing:?}");
    stage.authorities[0].script().is_down = false;
    stage.pass(DAY + HOUR * 3).await;
    assert!(stage.generation().await >= 2);
    assert_eq!(stage.book().standing.len(), 0);
}

#[tokio::test]
async fn a_revocation_reaches_us_by_the_window_and_the_order_says_what_it_replaces() {
    let stage = Stage::served().await;
    stage.pass(DAY).await;
    stage.is_to_be_renewed_at_once();
    stage.pass(HOUR * 7).await;
    let seen = stage.generation().await;
    assert!(seen >= 2, "asked again after six hours, as it wanted, and ordered at once");
    assert_eq!(stage.authorities[0].script().replaced.len(), usize::try_from(seen).unwrap() - 1);
    // It goes on saying so: an order an hour, and no more.
    stage.pass(HOUR * 14).await;
    assert!(stage.orders() <= 22, "{}", stage.orders());
    stage.is_renewed_after(DAY * 58);
    // What it said of the newest holds until it is asked again.
    stage.pass(HOUR * 7).await;
    let before = stage.orders();
    stage.pass(DAY * 10).await;
    assert_eq!(stage.orders(), before);
}

#[tokio::test]
async fn a_storm_of_refused_numbers_is_weathered_and_an_endless_one_costs_few_questions() {
    let stage = Stage::with(1).await;
    stage.is_renewed_after(DAY * 58);
    stage.authorities[0].script().refused_numbers = 8;
    stage.look().await.unwrap();
    assert_eq!(stage.generation().await, 1);
    stage.sleeps(DAY * 57);
    let before = stage.authorities[0].script().asked.len();
    stage.authorities[0].script().refused_numbers = usize::MAX;
    stage.pass(DAY * 3).await;
    let asked = stage.authorities[0].script().asked.len() - before;
    assert!(asked < 300, "{asked} questions in three days");
    assert_eq!(stage.generation().await, 1);
    stage.authorities[0].script().refused_numbers = 0;
    stage.pass(DAY + HOUR * 3).await;
    assert!(stage.generation().await >= 2);
}

#[tokio::test]
async fn who_says_too_often_is_left_alone_by_every_control_for_as_long() {
    let stage = Stage::served().await;
    stage.sleeps(DAY * 57);
    stage.authorities[0].script().too_often = Some(3 * 24 * 3600);
    stage.pass(DAY * 2).await;
    let refused = stage.orders();
    assert_eq!(refused, 2, "once with what it replaces, and not again without");
    stage.pass(DAY * 2).await;
    assert_eq!(stage.orders(), refused);
    stage.authorities[0].script().too_often = None;
    stage.pass(DAY * 2).await;
    assert!(stage.generation().await >= 2);
}

#[tokio::test]
async fn the_second_authority_signs_when_the_first_has_failed_three_times() {
    let stage = Stage::with(2).await;
    stage.authorities[0].script().is_down = true;
    stage.pass(HOUR).await;
    assert!(Store::new(&stage.root).newest().unwrap().is_none());
    stage.pass(HOUR * 4).await;
    assert_eq!(stage.generation().await, 1);
    let held = Store::new(&stage.root).newest().unwrap().unwrap();
    assert_eq!(held.directory, stage.authorities[1].directory);
    assert_eq!(stage.authorities[1].script().issued, 1);
}

#[tokio::test]
async fn whoever_dies_at_any_step_of_an_order_is_followed_by_one_who_gets_the_certificate() {
    let mut died = 0;
    for step in 0.. {
        let stage = Stage::served().await;
        stage.pass(DAY).await;
        stage.is_to_be_renewed_at_once();
        stage.authorities[0].script().hangs_after = Some(step);
        stage.sleeps(HOUR * 7);
        let desk = stage.desk();
        let mut look = Box::pin(see_to(&desk));
        let hangs = async {
            while !stage.authorities[0].script().hangs {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let ended = tokio::select! {
            ended = &mut look => Some(ended),
            () = hangs => None,
        };
        // Dropped where it stands, as kill -9 would leave it: what is on disk is all that is left.
        drop(look);
        stage.authorities[0].script().hangs_after = None;
        if ended.is_some() {
            // Every step had its turn.
            assert_eq!(stage.generation().await, 2);
            break;
        }
        died += 1;
        assert_eq!(stage.generation().await, 1, "step {step}");
        stage.look().await.unwrap();
        stage.look().await.unwrap();
        assert_eq!(stage.generation().await, 2, "step {step}: {:?}", stage.book());
        assert!(stage.orders() <= 4, "step {step}: {} orders", stage.orders());
    }
    assert!(died >= 7, "{died} steps");
}

#[tokio::test]
async fn a_clock_that_jumps_ten_years_orders_once_and_shows_what_it_has() {
    let stage = Stage::served().await;
    stage.ours.by(millis(DAY * 3650));
    stage.look().await.unwrap();
    stage.look().await.unwrap();
    assert_eq!(stage.orders(), 2, "what comes has ended long ago by this clock");
    assert_eq!(stage.generation().await, 1);
    assert!(stage.book().last_setback().unwrap().1.why.contains("the clock of this machine says"));
    stage.ours.by(-millis(DAY * 3650));
    stage.look().await.unwrap();
    stage.sleeps(DAY * 50);
    stage.look().await.unwrap();
    assert_eq!((stage.generation().await, stage.orders()), (1, 2));
    stage.pass(DAY * 10).await;
    assert!(stage.generation().await >= 2);
}

#[tokio::test]
async fn nothing_is_ordered_for_which_there_is_no_room_and_a_damaged_newest_gives_way_to_the_one_before() {
    let stage = Stage::served().await;
    stage.sleeps(DAY * 57);
    let issued = stage.root.tls().join("issued");
    // Where the room for it would be taken.
    files::create_dir(&issued.join("reserve"), files::Access::Owner).unwrap();
    stage.sleeps(DAY * 3);
    let fault = stage.look().await.unwrap_err();
    assert!(fault.message.contains("no room"), "{fault:?}");
    assert_eq!((stage.generation().await, stage.orders()), (1, 1));
    files::remove_dir(&issued.join("reserve")).unwrap();
    stage.look().await.unwrap();
    assert_eq!(stage.generation().await, 2);
    files::write(&issued.join("00000002.json"), b"{}", files::Access::Owner).unwrap();
    stage.look().await.unwrap();
    assert_eq!(stage.generation().await, 1, "the one before goes on");
}
