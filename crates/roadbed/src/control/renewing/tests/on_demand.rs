//! Hosts of others: a real edge and visitors, an app that permits, and an authority that does what a test says.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use acme::Trust;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use edge::tls::on_demand::{Granted, WISH, Wish};
use futures_util::future::join_all;
use http::{StatusCode, Uri};
use manifest::{AppName, OnDemand};
use reconcile::ports::{Protocol, Upstream};
use tokio::net::{TcpListener, UnixListener};

use super::super::on_demand::{Others, Rule, grant, see_to_all};
use super::*;

const SELLER: &str = "shop.seller.example";

/// What the app says.
#[derive(Debug, Default)]
struct Permits {
    hosts: HashSet<String>,
    is_broken: bool,
    asked: usize,
}

type Told = Arc<Mutex<Permits>>;

async fn answer(State(permits): State<Told>, question: Uri) -> StatusCode {
    let mut permits = permits.lock().unwrap();
    permits.asked += 1;
    let host = question.query().unwrap().strip_prefix("host=").unwrap();
    match (permits.is_broken, permits.hosts.contains(host)) {
        (true, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (false, true) => StatusCode::NO_CONTENT,
        (false, false) => StatusCode::NOT_FOUND,
    }
}

/// The stage, with an app that is asked and a control that the edge reaches.
struct Market {
    stage: Stage,
    permits: Told,
    rule: Rule,
    others: Arc<Others>,
    serving: Vec<JoinHandle<()>>,
}

impl Drop for Market {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

impl Market {
    async fn open(hosts: &[&str]) -> Self {
        let stage = Stage::served().await;
        // It would renew in two months, whenever it is asked; so it is done when a sixth of the life is left.
        stage.authorities[0].script().window = None;
        let permits = Told::default();
        permits.lock().unwrap().hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().route("/custom-hosts", get(answer)).with_state(permits.clone());
        let app = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let client = EdgeClient::new(stage.root.clone());
        let mut table = client.current().await.unwrap().unwrap();
        let mut asked = table.sites[0].clone();
        asked.app = "api".to_owned();
        asked.hosts = Vec::new();
        asked.internal_socket = Some("api-internal".to_owned());
        asked.target = Target::Instances {
            upstreams: vec![Upstream { instance: "api-1".to_owned(), port }],
            first_byte_ms: 1000,
            idle_ms: 1000,
            longest_body: None,
            protocol: Protocol::Http1,
            wake_ms: None,
        };
        table.sites.push(asked);
        table.on_demand = Some(reconcile::ports::OnDemand { app: "shop".to_owned() });
        client.publish(table.clone()).await.unwrap();
        let wanted = OnDemand {
            app: AppName::new("shop").unwrap(),
            ask: AppName::new("api").unwrap(),
            path: "/custom-hosts".to_owned(),
            most: 100,
        };
        let rule = Rule { root: stage.root.clone(), wanted, table };
        let mut market = Self { stage, permits, rule, others: Arc::default(), serving: vec![app] };
        market.start_control();
        market
    }

    /// A control that has just started: what it knows is on disk.
    fn start_control(&mut self) {
        self.serving.drain(1..).for_each(|before| before.abort());
        self.others = Arc::default();
        let (others, rule, clock) = (self.others.clone(), self.rule.clone(), self.stage.ours.clone());
        let wish = move |Json(wish): Json<Wish>| {
            let (others, rule, now) = (others.clone(), rule.clone(), clock.now());
            async move { Json(grant(&others, &rule, &wish.host, now).await.unwrap()) }
        };
        let router = Router::new().route(WISH, post(wish));
        let path = self.stage.root.control_socket();
        files::create_dir(path.parent().unwrap(), files::Access::Owner).unwrap();
        let _ = files::remove(&path);
        let socket = UnixListener::bind(path).unwrap();
        self.serving.push(tokio::spawn(async move { axum::serve(socket, router).await.unwrap() }));
    }

    async fn look(&self) -> Duration {
        see_to_all(&self.others, &self.stage.desk(), &self.rule).await.unwrap()
    }

    /// Shakes hands while control sees to what is due.
    async fn visit(&self, hosts: &[&str]) -> Vec<Result<(), String>> {
        let trust = Trust::read(Some(&self.stage.folder.path().join("0.pem"))).unwrap();
        let visit = async |host: &str| match door::handshake(self.stage.door, host, &trust).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        let seen_to = async {
            loop {
                self.look().await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            visited = join_all(hosts.iter().map(|host| visit(host))) => visited,
            () = seen_to => unreachable!("it goes on for ever"),
        }
    }

    /// Lets time pass, looking at hosts of others as often as there is something to do.
    async fn pass(&self, time: Duration) {
        let end = self.stage.ours.now().unix_millis() + millis(time);
        loop {
            let wait = millis(self.look().await.max(HOUR));
            let left = end - self.stage.ours.now().unix_millis();
            self.stage.sleeps(Duration::from_millis(u64::try_from(wait.min(left)).unwrap()));
            if wait >= left {
                return;
            }
        }
    }

    async fn granted(&self, host: &str) -> Granted {
        grant(&self.others, &self.rule, host, self.stage.ours.now()).await.unwrap()
    }

    fn asked(&self) -> usize {
        self.permits.lock().unwrap().asked
    }

    /// Orders of others: the first was our own.
    fn orders(&self) -> usize {
        self.stage.orders() - 1
    }

    fn generation(&self) -> Option<u64> {
        let store = Store::of(&self.stage.root, &[SELLER.to_owned()]);
        store.newest().unwrap().map(|held| held.generation)
    }
}

#[tokio::test]
async fn a_permitted_host_is_ordered_once_for_all_who_wait_and_renewed_until_permission_ends() {
    let mut market = Market::open(&[SELLER]).await;
    let visits = market.visit(&[SELLER; 8]).await;
    assert!(visits.iter().all(Result::is_ok), "{visits:?}");
    assert_eq!((market.orders(), market.asked(), market.generation()), (1, 1, Some(1)));
    // Another control and whoever comes later change nothing.
    market.start_control();
    assert_eq!(market.visit(&[SELLER]).await, [Ok(())]);
    assert_eq!((market.orders(), market.asked()), (1, 1));

    market.pass(DAY * 80).await;
    assert_eq!((market.generation(), market.asked()), (Some(2), 2), "asked again before it was renewed");

    market.permits.lock().unwrap().hosts.clear();
    market.pass(DAY * 75).await;
    assert_eq!((market.generation(), market.orders()), (Some(2), 2), "not renewed, and served to its end");
    let register = market.others.register(&market.stage.root, market.stage.ours.now()).await.unwrap();
    assert!(register.hosts[SELLER].ended_at.is_some());
    drop(register);
    market.pass(DAY * 20).await;
    assert_eq!((market.generation(), market.orders()), (None, 2));
    let refused = market.visit(&[SELLER]).await.remove(0).unwrap_err();
    assert!(refused.contains("Unrecogni"), "{refused}");
}

#[tokio::test]
async fn a_host_that_nobody_permits_gets_an_alert_and_no_order() {
    let market = Market::open(&[]).await;
    for _ in 0..2 {
        let refused = market.visit(&[SELLER]).await.remove(0).unwrap_err();
        assert!(refused.contains("Unrecogni"), "{refused}");
    }
    assert_eq!((market.orders(), market.asked()), (0, 1), "asked once");
    assert_eq!(market.visit(&[HOST]).await, [Ok(())]);
}

#[tokio::test]
async fn where_the_app_does_not_answer_nothing_is_ordered_and_then_it_is() {
    let market = Market::open(&[SELLER]).await;
    market.permits.lock().unwrap().is_broken = true;
    let refused = market.visit(&[SELLER]).await.remove(0).unwrap_err();
    assert!(refused.contains("InternalError"), "{refused}");
    assert_eq!((market.orders(), market.granted(SELLER).await), (0, Granted::Unanswered));
    market.permits.lock().unwrap().is_broken = false;
    assert_eq!(market.granted(SELLER).await, Granted::Coming);
    market.look().await;
    assert_eq!((market.orders(), market.generation()), (1, Some(1)));

    // An app that is away when it is to be renewed ends nothing.
    market.permits.lock().unwrap().is_broken = true;
    market.pass(DAY * 80).await;
    assert_eq!((market.orders(), market.generation()), (1, Some(1)));
    assert_eq!(market.visit(&[SELLER]).await, [Ok(())]);
    market.permits.lock().unwrap().is_broken = false;
    market.pass(HOUR * 2).await;
    assert_eq!(market.generation(), Some(2));
}

#[tokio::test]
async fn a_flood_of_names_orders_nothing_and_asks_little() {
    let market = Market::open(&[SELLER]).await;
    let names: Vec<String> = (0..400).map(|number| format!("www.x{number}.example")).collect();
    for some in names.chunks(50) {
        let visits = market.visit(&some.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(visits.iter().all(Result::is_err));
    }
    assert_eq!(market.orders(), 0);
    assert!((1..100).contains(&market.asked()), "{} questions for 400 names", market.asked());
    assert_eq!(market.visit(&[HOST]).await, [Ok(())]);
    let register = market.others.register(&market.stage.root, market.stage.ours.now()).await.unwrap();
    assert_eq!(register.hosts.len(), 0);
}

#[tokio::test]
async fn an_authority_that_was_asked_too_often_for_one_is_left_alone_for_all() {
    let market = Market::open(&[SELLER, "www.other.example"]).await;
    market.stage.authorities[0].script().too_often = Some(3600);
    assert_eq!(market.granted(SELLER).await, Granted::Coming);
    market.look().await;
    assert_eq!(market.orders(), 1);
    assert_eq!(market.granted("www.other.example").await, Granted::Coming);
    market.look().await;
    assert_eq!(market.orders(), 1, "it said: not within an hour");
    assert_eq!(market.granted("www.other.example").await, Granted::Later);
    market.stage.authorities[0].script().too_often = None;
    market.pass(HOUR * 3).await;
    assert_eq!(market.visit(&["www.other.example"]).await, [Ok(())]);
}
