//! A disk that is full, under a mongod that writes: what was acknowledged is there when there is room again.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use reconcile::ports::Units;

use crate::members::as_app;
use crate::stand::{Stand, converge_mongo, until};

/// mongod takes 200 MB for its journal and some for the rest.
const SIZE: &str = "420m";

/// The data folder of a stand on a small file system, which only its processes and `/proc` see.
struct SmallDisk {
    holder: Child,
    seen: PathBuf,
}

impl SmallDisk {
    /// Where nobody may mount, not even in a namespace of their own, this fails: what was not tried is not proven.
    fn under(stand: &Stand) -> Self {
        let place = stand.ground.root.path().join("data");
        fs::create_dir_all(&place).unwrap();
        let script = format!("mount -t tmpfs -o size={SIZE} tmpfs \"$0\" && echo mounted && exec sleep 600");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(&place)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "allow unprivileged user namespaces, or run the tests as root");
        let pid = holder.id().to_string();
        let seen = PathBuf::from(format!("/proc/{pid}/root{}", place.display()));
        fs::create_dir(seen.join("mongodb")).unwrap();
        let enter = ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", &pid, "--"];
        *stand.units.before.lock().unwrap() = enter.map(str::to_owned).into();
        Self { holder, seen }
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.seen.join("ballast")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let bytes = vec![0; size];
            while ballast.write_all(&bytes).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.seen.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_writes_are_refused_and_with_room_again_everything_acknowledged_is_there() {
    let stand = Stand::new();
    let disk = SmallDisk::under(&stand);
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let things = as_app(&stand, &[stand.port]).await.database("shop-local").collection::<Document>("things");
    let text = "x".repeat(200_000);
    let write = |id: i32| {
        let (things, text) = (things.clone(), text.clone());
        async move {
            let insert = things.insert_one(doc! { "_id": id, "text": text });
            tokio::time::timeout(Duration::from_secs(5), insert).await.is_ok_and(|answer| answer.is_ok())
        }
    };
    let mut acknowledged = Vec::new();
    for id in 0..5 {
        assert!(write(id).await, "there is room for {id}");
        acknowledged.push(id);
    }
    disk.fill();
    // The journal was allocated before: some writes still fit into it. A server that fails may find some room once more when it is
    // started anew. Whoever looks at last is told why, and what to do.
    let mut id = 5;
    let fault = loop {
        while write(id).await {
            acknowledged.push(id);
            id += 1;
            assert!(id < 2_000, "2000 writes of 200 kB were taken on a full disk");
        }
        id += 1;
        if let Err(fault) = converge_mongo(&mongo).await {
            break fault;
        }
    };
    assert!(fault.hint.as_ref().is_some_and(|hint| hint.contains("the disk is full")), "{fault:#?}");

    disk.make_room();
    let keeping = tokio::spawn({
        let units = stand.units.clone();
        async move {
            loop {
                let _ = units.list().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    until("it is back by itself", || write(1_000_000)).await;
    keeping.abort();
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let all: Vec<Document> = things.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    for id in acknowledged {
        let found = all.iter().find(|thing| thing.get_i32("_id").is_ok_and(|other| other == id));
        assert_eq!(found.unwrap_or_else(|| panic!("{id} is lost")).get_str("text").unwrap(), text, "{id}");
    }
}
