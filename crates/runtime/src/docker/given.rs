//! Variables that are in no configuration: said on standard input when the instance starts.
//!
//! `docker inspect` shows a container's variables to whoever may use the socket, for as long as the container is there, and they are in
//! a file of the engine. A file copied into the container would have to lie on the disk, since a memory file system is there only
//! while the container runs; a mount of the host's memory would work on the daemon's own machine alone. Standard input needs neither:
//! it goes over the connection that starts it, and the end of that connection, by whatever crash, is the end of the input.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::query_parameters::AttachContainerOptions;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::daemon::{Daemon, Refusal};
use crate::image::ground::RECEIVER;
use crate::instance::Given;

/// How long the other end may take to close its side after the last byte was said.
const CLOSING_LIMIT: Duration = Duration::from_secs(2);

/// Variables that may be shown, with those that make the app's first process take the others.
pub(super) fn with_receiver(shown: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut variables = shown.clone();
    let require = format!("--require=/{RECEIVER}");
    variables
        .entry("NODE_OPTIONS".to_owned())
        .and_modify(|options| *options = format!("{require} {options}"))
        .or_insert(require);
    variables.insert("ROADBED_GIVEN".to_owned(), "stdin".to_owned());
    variables
}

/// The way to the instance's standard input, before it starts.
pub(super) async fn attach(daemon: &Daemon, container: &str) -> Result<Result<AttachContainerResults, Refusal>, Error> {
    let options = AttachContainerOptions { stdin: true, stream: true, ..AttachContainerOptions::default() };
    let attached = daemon.once(|docker| {
        let (container, options) = (container.to_owned(), options.clone());
        async move { docker.attach_container(&container, Some(options)).await }
    });
    attached.await
}

/// Says them, and that that was all.
pub(super) async fn say(mut input: AttachContainerResults, given: &Given) -> Result<(), Error> {
    let exposed: BTreeMap<&str, &str> = given.0.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let text = secrets::Secret::new(serde_json::to_string(&exposed).expect("texts are JSON"));
    let said = async {
        input.input.write_all(text.expose().as_bytes()).await?;
        input.input.shutdown().await
    };
    let said = said.await;
    drop(text);
    said?;
    // Dropped before it has read, the engine would throw the rest away.
    let _ = timeout(CLOSING_LIMIT, async { while input.output.next().await.is_some() {} }).await;
    Ok(())
}
