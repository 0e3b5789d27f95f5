//! Pictures by Pillow, made once for all tests of a run.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

pub(crate) const RED: [u8; 3] = [200, 30, 30];
pub(crate) const GREEN: [u8; 3] = [30, 160, 60];
pub(crate) const BLUE: [u8; 3] = [30, 60, 200];
pub(crate) const WHITE: [u8; 3] = [250, 250, 250];

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures.py");
    let made = Command::new("python3").arg(script).arg(folder.path()).env("PYTHONPATH", pillow()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
});

/// Where Pillow is: fetched once into the cache.
fn pillow() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"), PathBuf::from);
    let place = cache.join("roadbed/tests/pillow-12.0.0");
    if !place.join("PIL/__init__.py").exists() {
        // Whole before it has its name: another run may fetch it too.
        let fresh = place.with_extension(std::process::id().to_string());
        let fetched = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "pillow==12.0.0", "--target"])
            .arg(&fresh)
            .output()
            .unwrap();
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
        if std::fs::rename(&fresh, &place).is_err() {
            std::fs::remove_dir_all(&fresh).unwrap();
        }
    }
    place
}

pub(crate) fn read(name: &str) -> Vec<u8> {
    let file = FOLDER.path().join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A picture of any kind as PNG, by Pillow.
pub(crate) fn as_png(bytes: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to.png"));
    std::fs::write(&from, bytes).unwrap();
    let script = "import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2])";
    let mut python = Command::new("python3");
    let ran = python.args(["-c", script]).arg(&from).arg(&to).env("PYTHONPATH", pillow()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    std::fs::read(to).unwrap()
}

/// A PNG's pixels, however they are stored.
#[derive(Debug)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    count: usize,
    data: Vec<u8>,
}

impl Pixels {
    pub(crate) fn of_png(bytes: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        Self { width: info.width, height: info.height, count: info.color_type.samples(), data }
    }

    pub(crate) fn of_jpeg(bytes: &[u8]) -> Self {
        let image = turbojpeg::decompress(bytes, turbojpeg::PixelFormat::RGB).unwrap();
        let (width, height) = (u32::try_from(image.width).unwrap(), u32::try_from(image.height).unwrap());
        Self { width, height, count: 3, data: image.pixels }
    }

    pub(crate) fn at(&self, x: u32, y: u32) -> &[u8] {
        let at = (y * self.width + x) as usize * self.count;
        &self.data[at..at + self.count]
    }

    /// At these shares of width and height, nearly this colour.
    pub(crate) fn is_near(&self, x: f64, y: f64, colour: [u8; 3]) -> bool {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a picture")]
        let place = |share: f64, side: u32| ((share * f64::from(side)) as u32).min(side - 1);
        let pixel = self.at(place(x, self.width), place(y, self.height));
        let grey = [pixel[0]; 3];
        let pixel = if self.count < 3 { &grey[..] } else { &pixel[..3] };
        pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 12)
    }

    /// The four quarters of `quarters.jpg`, upright.
    pub(crate) fn are_quarters(&self) -> bool {
        self.is_near(0.25, 0.25, RED)
            && self.is_near(0.75, 0.25, GREEN)
            && self.is_near(0.25, 0.75, BLUE)
            && self.is_near(0.75, 0.75, WHITE)
    }
}
