//! The next edge, the next keeper, and orders of a control that has been replaced.

use std::path::{Path, PathBuf};

use host::files;
use host::process::table;
use reconcile::ports::{Sockets, UnitState, Units};

use crate::environment::{Environment, LIVE, app, eventually, is_dead, program};
use crate::sockets::{ANY, Visitors, visit};
use crate::stand_in::{self, Manner};

#[tokio::test]
async fn the_next_edge_serves_before_the_one_before_goes() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    let edge = |revision: &str| {
        let mut spec = stand_in::edge(&environment, &["https"], Manner::Proper);
        spec.revision = revision.to_owned();
        spec
    };
    environment.client.ensure(edge("0")).await.unwrap();
    let mut before = visit(address).await.unwrap();
    let visitors = Visitors::come(address);
    for revision in ["1", "2", "3"] {
        visitors.more().await;
        environment.client.ensure(edge(revision)).await.unwrap();
        let status = environment.status("edge").await.unwrap();
        assert_eq!((status.state, status.revision.as_str(), status.restarts), (UnitState::Running, revision, 0));
        let next = status.pid.unwrap();
        assert_ne!(next, before);
        eventually("the one before has gone", async || is_dead(before).then_some(())).await;
        assert_eq!(visit(address).await.unwrap(), next);
        before = next;
    }
    // The same by hand.
    environment.client.restart("edge").await.unwrap();
    let next = environment.running_again("edge", Some(before)).await;
    eventually("the one before has gone", async || is_dead(before).then_some(())).await;
    visitors.more().await;
    assert_eq!(visitors.leave().await, Vec::<String>::new());
    assert_eq!(environment.instances("edge"), [next]);
}

#[tokio::test]
async fn an_edge_that_does_not_come_to_serve_leaves_the_one_before_where_it_is() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Proper)).await.unwrap();
    let edge = visit(address).await.unwrap();
    let visitors = Visitors::come(address);
    let mut broken = stand_in::edge(&environment, &["https"], Manner::Proper);
    (broken.revision, broken.program, broken.args) = ("2".to_owned(), PathBuf::from("/bin/false"), Vec::new());
    let fault = environment.client.ensure(broken).await.unwrap_err();
    assert!(fault.message.contains("the one before goes on"), "{fault:?}");
    let mut missing = stand_in::edge(&environment, &["https"], Manner::Proper);
    (missing.revision, missing.program) = ("3".to_owned(), PathBuf::from("/nowhere/edge"));
    environment.client.ensure(missing).await.unwrap_err();
    let status = environment.status("edge").await.unwrap();
    assert_eq!((status.pid, status.state, status.revision.as_str()), (Some(edge), UnitState::Running, "1"));
    assert!(status.last_exit.unwrap().starts_with("not replaced"));
    visitors.more().await;
    assert_eq!(visitors.leave().await, Vec::<String>::new());
    // What is kept alive is the one before: it is what comes back.
    host::drill::kill(edge).unwrap();
    let next = environment.running_again("edge", Some(edge)).await;
    assert_eq!(visit(address).await.unwrap(), next);
}

#[tokio::test]
async fn a_keeper_that_dies_while_an_edge_is_on_trial_leaves_one_edge() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Proper)).await.unwrap();
    let edge = visit(address).await.unwrap();
    let mut silent = stand_in::edge(&environment, &["https"], Manner::Silent);
    silent.revision = "2".to_owned();
    let client = environment.client.clone();
    let asked = tokio::spawn(async move { client.ensure(silent).await });
    eventually("the next one is there", async || (environment.instances("edge").len() == 2).then_some(())).await;
    environment.kill_keeper().await;
    asked.await.unwrap().unwrap_err();
    environment.keeper_pid().await;
    eventually("one edge is left", async || (environment.instances("edge") == [edge]).then_some(())).await;
    assert_eq!(visit(address).await.unwrap(), edge);
    assert_eq!(environment.status("edge").await.unwrap().revision, "1");
}

/// Another program that does the same: what is behind the end of a program is not part of it.
fn another_program(folder: &Path) -> PathBuf {
    let path = folder.join("roadbed");
    let mut bytes = files::read(program()).unwrap();
    bytes.extend_from_slice(b"another");
    files::write(&path, &bytes, files::Access::Owner).unwrap();
    files::set_executable(&path).unwrap();
    path
}

#[tokio::test]
async fn the_keeper_becomes_another_program_and_its_children_stay_its_children() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Proper)).await.unwrap();
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let visitors = Visitors::come(address);
    let folder = tempfile::tempdir().unwrap();
    let another = another_program(folder.path());
    let (keeper, before) = (environment.keeper_pid().await, environment.client.program().await.unwrap());
    let api = environment.status("api-1").await.unwrap().pid.unwrap();
    environment.client.become_another(&another).await.unwrap();
    let now = eventually("the keeper is another program", async || {
        environment.client.program().await.ok().filter(|now| *now != before)
    })
    .await;
    assert_eq!(now.version, before.version);
    assert_eq!(environment.keeper_pid().await, keeper, "in the same process");
    assert!(table::command_line(keeper).starts_with(&another.display().to_string()));
    assert_eq!(environment.in_state("api-1", UnitState::Adopted).await.pid, Some(api));
    assert_eq!(table::entry(api).unwrap().parent, keeper);
    visitors.more().await;
    assert_eq!(visitors.leave().await, Vec::<String>::new());

    // Its variables are told anew, as after a crash; and how it ends is seen, as before.
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    host::drill::kill(api).unwrap();
    environment.running_again("api-1", Some(api)).await;
    assert_eq!(environment.status("api-1").await.unwrap().last_exit.as_deref(), Some("killed by SIGKILL"));
    // Nobody came between: the lock never was free.
    assert_eq!(environment.keeper_pid().await, keeper);
}

#[tokio::test]
async fn a_program_that_is_no_keeper_is_followed_by_one_that_is() {
    let environment = Environment::start().await;
    let address = environment.client.listen("https", ANY).await.unwrap();
    environment.client.ensure(stand_in::edge(&environment, &["https"], Manner::Proper)).await.unwrap();
    environment.client.ensure(app("api-1", LIVE)).await.unwrap();
    let (edge, api) = (visit(address).await.unwrap(), environment.status("api-1").await.unwrap().pid);
    let before = environment.client.program().await.unwrap();
    // One that cannot be run at all changes nothing.
    let keeper = environment.keeper_pid().await;
    environment.client.become_another(Path::new("/nowhere/roadbed")).await.unwrap();
    eventually("it was tried", async || {
        files::read_string(&environment.root.logs().join("keeper.log")).ok()?.contains("cannot become").then_some(())
    })
    .await;
    assert_eq!(environment.keeper_pid().await, keeper);

    let visitors = Visitors::come(address);
    environment.client.become_another(Path::new("/bin/false")).await.unwrap();
    eventually("that one has gone", async || is_dead(keeper).then_some(())).await;
    environment.keeper_pid().await;
    assert_eq!(environment.client.program().await.unwrap(), before);
    assert_eq!(environment.status("api-1").await.unwrap().pid, api);
    visitors.more().await;
    assert_eq!(visitors.leave().await, Vec::<String>::new());
    assert_eq!(visit(address).await.unwrap(), edge);
}

#[tokio::test]
async fn a_control_that_was_replaced_stops_and_starts_nothing() {
    let environment = Environment::start().await;
    let of = |epoch| environment.client.clone().of_epoch(epoch);
    of(7).ensure(app("api-1", LIVE)).await.unwrap();
    let api = environment.status("api-1").await.unwrap().pid;
    // A look is enough to be known.
    of(8).list().await.unwrap();
    for round in ["this keeper", "the next keeper"] {
        let before = of(7);
        let refused = [
            before.ensure(app("api-2", LIVE)).await.map(drop),
            before.restart("api-1").await,
            before.hold("api-1").await,
            before.remove("api-1").await,
            before.listen("https", ANY).await.map(drop),
            before.shutdown().await,
        ];
        for outcome in refused {
            let fault = outcome.expect_err(round);
            assert!(fault.causes.concat().contains("number 8 has taken over"), "{round}: {fault:?}");
        }
        // It may look, so that it can say why it does nothing.
        assert_eq!(before.list().await.unwrap().len(), 1);
        assert_eq!(environment.status("api-1").await.unwrap().pid, api, "{round}");
        environment.kill_keeper().await;
        environment.launch().await;
    }
    of(8).ensure(app("api-1", LIVE)).await.unwrap();
    // A person names no number.
    environment.client.restart("api-1").await.unwrap();
    assert_ne!(environment.status("api-1").await.unwrap().pid, api);
}
