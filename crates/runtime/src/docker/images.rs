//! Images on the engine: loaded when their digest is absent, held against it, tagged for people, and removed with their release.

use std::collections::BTreeSet;

use bollard::errors::Error;
use bollard::query_parameters::{ImportImageOptions, ListImagesOptions, RemoveImageOptions, TagImageOptions};
use futures_util::StreamExt;
use tokio::task::spawn_blocking;

use super::daemon::{Daemon, Refusal};
use crate::fault::RuntimeFault;
use crate::image::{ImageFault, Layout, archive};
use crate::instance::{Image, InstanceId, Spec};
use crate::labels;
use crate::pieces::Pieces;
use crate::port::Holder;

/// By which id the engine has the image of a spec, which is there when this returns.
pub(super) async fn ensure(daemon: &Daemon, holder: &Holder, spec: &Spec) -> Result<String, RuntimeFault> {
    let image = &spec.image;
    let id = match there(daemon, image).await? {
        Some(id) => id,
        None => {
            let loaded = load(daemon, image).await?;
            match there(daemon, image).await? {
                Some(id) => id,
                None => return Err(tampered(daemon, image, loaded).await?),
            }
        }
    };
    let options = TagImageOptions {
        repo: Some(labels::repository(&holder.environment, &spec.id.app)),
        tag: Some(spec.id.release.to_string()),
    };
    let tagged = daemon.again(|docker| {
        let (id, options) = (id.clone(), options.clone());
        async move { docker.tag_image(&id, Some(options)).await }
    });
    // 404 is told where it matters: when a container is made of it.
    match tagged.await? {
        Err(refusal) if refusal.status != 404 => Err(refusal.fault(format!("tag the image of {}", spec.id))),
        _ => Ok(id),
    }
}

/// Takes away the environment's tags of releases that nobody keeps; the engine removes images without tags and containers by itself.
pub(super) async fn collect(daemon: &Daemon, holder: &Holder, keep: &BTreeSet<InstanceId>) -> Result<(), RuntimeFault> {
    let reference = format!("roadbed/{}.*", holder.environment);
    let options = ListImagesOptions {
        filters: Some([("reference".to_owned(), vec![reference])].into()),
        ..ListImagesOptions::default()
    };
    let listed = daemon.again(|docker| {
        let options = options.clone();
        async move { docker.list_images(Some(options)).await }
    });
    let listed = listed.await?.map_err(|refusal| refusal.fault("list its images"))?;
    for tag in listed.into_iter().flat_map(|image| image.repo_tags) {
        let Some((app, release)) = labels::tagged(&holder.environment, &tag) else { continue };
        if keep.iter().any(|id| id.app.as_str() == app && id.release.as_str() == release) {
            continue;
        }
        match remove(daemon, &tag).await? {
            // 409: a container of a later epoch is made of it.
            Err(refusal) if !matches!(refusal.status, 404 | 409) => {
                return Err(refusal.fault(format!("remove the image {tag}")));
            }
            _ => {}
        }
    }
    Ok(())
}

async fn there(daemon: &Daemon, image: &Image) -> Result<Option<String>, RuntimeFault> {
    // An engine's own store names images by their configuration, containerd's by their manifest.
    for id in [&image.id.configuration, &image.id.manifest] {
        let found = daemon.again(|docker| async move { docker.inspect_image(id).await });
        match found.await? {
            Ok(found) if found.id.as_ref() == Some(id) => return Ok(Some(id.clone())),
            Ok(_) => {}
            Err(refusal) if refusal.status == 404 => {}
            Err(refusal) => return Err(refusal.fault(format!("look for the image {id}"))),
        }
    }
    Ok(None)
}

/// Loads it, and says what the engine took it for.
async fn load(daemon: &Daemon, image: &Image) -> Result<Option<String>, RuntimeFault> {
    let fault = |source: crate::fault::Cause| RuntimeFault::Image { image: image.id.configuration.clone(), source };
    let deadline = tokio::time::Instant::now() + daemon.patience();
    loop {
        let (mut out, stream) = Pieces::new();
        let ours = image.clone();
        let writing = spawn_blocking(move || {
            let written = Layout::at(&ours.layout).and_then(|layout| archive::write(&layout, &ours.id, &mut out));
            if written.is_err() {
                out.break_off("the image is damaged");
            }
            written
        });
        let answer = match daemon.client().await {
            Ok(docker) => answer_of(docker.import_image_stream(ImportImageOptions::default(), stream, None)).await,
            Err(error) => Err(error),
        };
        // What the engine says of a stream that we broke off is of no interest.
        match writing.await {
            Ok(Err(damaged @ (ImageFault::Damaged { .. } | ImageFault::File(_) | ImageFault::Form { .. }))) => {
                return Err(fault(Box::new(damaged)));
            }
            Err(panic) => return Err(fault(Box::new(panic))),
            Ok(_) => {}
        }
        match answer {
            Ok(loaded) => return Ok(loaded),
            Err(Error::DockerResponseServerError { status_code, message }) if status_code < 500 => {
                return Err(fault(Box::new(Refusal { status: status_code, message })));
            }
            Err(error @ (Error::DockerStreamError { .. } | Error::DockerResponseServerError { .. })) => {
                return Err(fault(Box::new(error)));
            }
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(daemon.unreachable(error)),
            Err(_) => daemon.forget().await,
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

async fn answer_of(
    answer: impl futures_util::Stream<Item = Result<bollard::models::BuildInfo, Error>>,
) -> Result<Option<String>, Error> {
    let mut answer = std::pin::pin!(answer);
    let mut loaded = None;
    while let Some(said) = answer.next().await {
        let said = said?;
        if let Some(message) = said.error_detail.and_then(|detail| detail.message) {
            return Err(Error::DockerStreamError { error: message });
        }
        // `Loaded image ID: sha256:..`: shown to people, and looked up, but never believed.
        let text = said.stream.unwrap_or_default();
        loaded =
            text.trim().rsplit(' ').next().filter(|word| word.starts_with("sha256:")).map(str::to_owned).or(loaded);
    }
    Ok(loaded)
}

/// What was loaded is another one: it goes again, unless somebody uses it.
async fn tampered(daemon: &Daemon, image: &Image, found: Option<String>) -> Result<RuntimeFault, RuntimeFault> {
    if let Some(found) = &found {
        // Whatever is in the way of that is less than what is to be told.
        let _ = remove(daemon, found).await?;
    }
    Ok(RuntimeFault::Tampered { wanted: image.id.configuration.clone(), layout: image.layout.clone(), found })
}

async fn remove(daemon: &Daemon, name: &str) -> Result<Result<(), Refusal>, RuntimeFault> {
    let removed = daemon.again(|docker| {
        let name = name.to_owned();
        async move { docker.remove_image(&name, None::<RemoveImageOptions>, None).await }
    });
    Ok(removed.await?.map(|_| ()))
}
