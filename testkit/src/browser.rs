//! A browser without a screen: what a page looks like once its scripts have run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{Client, Environment, der, run};

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A cold start of the browser on two busy cores, a page and its pictures.
const DEADLINE: Duration = Duration::from_secs(90);

/// How long a page's own clock runs before it is looked at: fetches are waited for, timers are skipped ahead.
const PAGE_CLOCK: Duration = Duration::from_secs(4);

/// Headless Chromium with a profile of its own.
#[derive(Debug)]
pub struct Browser<'a> {
    program: PathBuf,
    environment: &'a Environment,
    client: Client,
}

impl<'a> Browser<'a> {
    /// Finds the browser in PATH. It is part of what the tests need, so without it they fail.
    #[track_caller]
    pub fn of(environment: &'a Environment) -> Self {
        let path = environment.variables().get("PATH").map_or("", String::as_str);
        let program = NAMES.iter().find_map(|name| host::process::find_in_path(name, path));
        let program =
            program.unwrap_or_else(|| panic!("no browser in PATH (tried {NAMES:?}); run ./setup, which installs one"));
        Self { program, environment, client: environment.client() }
    }

    /// The document of a page, as it stands after its scripts ran.
    #[track_caller]
    pub fn document(&self, url: &str) -> String {
        let ran = self.look(url, &["--dump-dom".to_owned()]);
        assert!(ran.contains("<html"), "{url} gave no document:\n{ran}");
        ran
    }

    /// A picture of a page.
    #[track_caller]
    pub fn screenshot(&self, url: &str, width: u32, height: u32, file: &Path) {
        const PNG: &[u8] = b"\x89PNG";
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let _ = fs::remove_file(file);
        self.look(url, &[format!("--screenshot={}", file.display()), format!("--window-size={width},{height}")]);
        let picture = fs::read(file).unwrap_or_default();
        assert!(picture.starts_with(PNG), "no picture of {url} in {}", file.display());
    }

    #[track_caller]
    fn look(&self, url: &str, asked: &[String]) -> String {
        let profile = self.environment.scratch().join("browser");
        let mut args: Vec<String> = [
            "--headless",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
        ]
        .map(str::to_owned)
        .to_vec();
        if rustix::process::geteuid().is_root() {
            // Chromium's sandbox does not work for root, as whom containers run.
            args.push("--no-sandbox".into());
        }
        args.push(format!("--user-data-dir={}", profile.display()));
        args.push(format!("--virtual-time-budget={}", PAGE_CLOCK.as_millis()));
        args.push(format!("--ignore-certificate-errors-spki-list={}", self.pin(url)));
        args.extend_from_slice(asked);
        args.push(url.to_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(&self.program, &args, self.environment.scratch(), self.environment.variables(), DEADLINE).expect(0).stdout
    }

    /// The one key that the browser accepts here. The environment's authority would need a certificate database of the user's;
    /// that it signed this key has been verified by the time its digest is known.
    #[track_caller]
    fn pin(&self, url: &str) -> String {
        let certificate = self.client.certificate_of(url).unwrap_or_else(|why| panic!("{url}: {why}"));
        base64(&Sha256::digest(der::public_key_info(&certificate)))
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, place| bits << 8 | usize::from(chunk.get(place).copied().unwrap_or(0)));
        for place in 0..4 {
            let letter = char::from(LETTERS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_its_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
