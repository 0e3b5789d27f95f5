//! Pictures in, pictures out.

use media::image::{Bounds, Fault, Made, Target, Task, reencode, render};
use media::{Fit, Format};

use crate::pictures::{BLUE, Pixels, RED, WHITE, read};

/// Those that are read, too.
const FORMATS: [Format; 3] = [Format::Jpeg, Format::Png, Format::Webp];

const BOUNDS: Bounds = Bounds { pixels: 60_000_000, side: 8192 };

fn task(width: Option<u32>, height: Option<u32>, fit: Fit, format: Target) -> Task {
    Task { width, height, fit, format, quality: 85, bounds: BOUNDS }
}

fn made(name: &str, width: u32, format: Format) -> Made {
    let made = render(&read(name), &task(Some(width), None, Fit::Inside, Target::As(format)));
    made.unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

fn png(bytes: &[u8]) -> Pixels {
    let made = render(bytes, &task(None, None, Fit::Inside, Target::As(Format::Png))).unwrap();
    Pixels::of_png(&made.bytes)
}

#[test]
fn every_orientation_is_upright_in_every_format() {
    for number in 1..=8 {
        for format in FORMATS {
            let made = made(&format!("turned{number}.jpg"), 600, format);
            assert_eq!((made.width, made.height), (600, 400), "{number} {format:?}");
            let pixels = png(&made.bytes);
            assert!(pixels.are_quarters(), "{number} {format:?}");
            let holds = |what: &[u8]| made.bytes.windows(what.len()).any(|window| window == what);
            assert!(!holds(b"secret") && !holds(b"Exif") && !holds(b"EXIF"), "{number} {format:?}");
        }
    }
    for name in ["turned6.webp", "turned6.png"] {
        assert!(png(&read(name)).are_quarters(), "{name}");
    }
}

#[test]
fn formats_and_kinds_of_colour_come_out_the_same() {
    for name in ["quarters.jpg", "progressive.jpg", "quarters.png", "quarters.webp", "cmyk.jpg"] {
        for format in FORMATS {
            let made = made(name, 300, format);
            assert_eq!((made.width, made.height, made.format), (300, 200, format), "{name}");
            let pixels = png(&made.bytes);
            let is_right = if name == "cmyk.jpg" { pixels.is_near(0.25, 0.25, RED) } else { pixels.are_quarters() };
            assert!(is_right, "{name} {format:?}: {:?} {:?}", pixels.at(75, 50), pixels.at(225, 50));
        }
    }
    let grey = made("grey.jpg", 300, Format::Jpeg);
    assert!(Pixels::of_jpeg(&grey.bytes).is_near(0.75, 0.75, WHITE));
    let deep = Pixels::of_png(&made("deep.png", 64, Format::Png).bytes);
    assert!(deep.at(3, 3)[0].abs_diff(156) <= 1, "{:?}", deep.at(3, 3));
}

#[test]
fn a_profile_is_applied_and_gone() {
    // What Display P3 calls (234, 51, 35) is the red of sRGB.
    let solid: Vec<u8> = [234, 51, 35].repeat(64 * 64);
    let image =
        turbojpeg::Image { pixels: &solid[..], width: 64, pitch: 192, height: 64, format: turbojpeg::PixelFormat::RGB };
    let jpeg = turbojpeg::compress(image, 95, turbojpeg::Subsamp::None).unwrap().to_vec();
    let with = |profile: &moxcms::ColorProfile| {
        let icc = profile.encode().unwrap();
        let length = u16::try_from(icc.len() + 16).unwrap().to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe2], &length, b"ICC_PROFILE\0\x01\x01", &icc, &jpeg[2..]].concat()
    };
    let wide = with(&moxcms::ColorProfile::new_display_p3());
    for format in FORMATS {
        let made = render(&wide, &task(None, None, Fit::Inside, Target::As(format))).unwrap();
        assert!(png(&made.bytes).is_near(0.5, 0.5, [255, 0, 0]), "{format:?}");
        assert!(!made.bytes.windows(4).any(|window| window == b"ICC_" || window == b"ICCP" || window == b"iCCP"));
    }
    assert!(png(&with(&moxcms::ColorProfile::new_srgb())).is_near(0.5, 0.5, [234, 51, 35]));
    assert!(png(&jpeg).is_near(0.5, 0.5, [234, 51, 35]));
}

#[test]
fn a_box_is_filled_cut_or_bordered() {
    let boxed = |name: &str, fit, format| {
        let made = render(&read(name), &task(Some(400), Some(400), fit, Target::As(format))).unwrap();
        png(&made.bytes)
    };
    for format in FORMATS {
        for name in ["quarters.jpg", "turned6.jpg", "quarters.png"] {
            let cover = boxed(name, Fit::Cover, format);
            assert_eq!((cover.width, cover.height), (400, 400), "{name}");
            assert!(cover.are_quarters(), "{name} {format:?}");
            let contain = boxed(name, Fit::Contain, format);
            assert_eq!((contain.width, contain.height), (400, 400), "{name}");
            assert!(contain.is_near(0.25, 0.4, RED) && contain.is_near(0.25, 0.6, BLUE), "{name} {format:?}");
            let border = contain.at(200, 10);
            assert!(border[..3] == [255; 3] || border[3] == 0, "{name} {format:?}: {border:?}");
            let inside = boxed(name, Fit::Inside, format);
            assert_eq!((inside.width, inside.height), (400, 267), "{name}");
        }
    }
}

#[test]
fn what_is_transparent_stays_so_or_lies_on_white() {
    for name in ["half.png", "half.webp"] {
        for format in [Format::Png, Format::Webp] {
            let pixels = png(&made(name, 150, format).bytes);
            assert_eq!((pixels.at(140, 50)[3], pixels.at(10, 50)[3]), (0, 255), "{name} {format:?}");
            assert!(pixels.is_near(0.1, 0.5, RED), "{name} {format:?}");
        }
        let flat = Pixels::of_jpeg(&made(name, 150, Format::Jpeg).bytes);
        assert!(flat.is_near(0.9, 0.5, [255; 3]) && flat.is_near(0.1, 0.5, RED), "{name}");
        let chosen = render(&read(name), &task(Some(150), None, Fit::Inside, Target::JpegOrPng)).unwrap();
        assert_eq!(chosen.format, Format::Png, "{name}");
    }
    let chosen = render(&read("quarters.png"), &task(Some(150), None, Fit::Inside, Target::JpegOrPng)).unwrap();
    assert_eq!(chosen.format, Format::Jpeg);
    assert_eq!(png(&read("palette.png")).width, 300);
}

#[test]
fn of_an_animation_the_first_picture_is_made() {
    for name in ["animated.gif", "animated.webp", "animated.png"] {
        for format in FORMATS {
            let made = made(name, 150, format);
            assert_eq!((made.width, made.height), (150, 100), "{name}");
            assert!(png(&made.bytes).is_near(0.5, 0.5, RED), "{name} {format:?}");
            assert!(!made.bytes.windows(4).any(|window| window == b"acTL" || window == b"ANIM"), "{name}");
        }
    }
}

#[test]
fn odd_and_tiny_sizes_have_all_their_pixels() {
    for (name, width, size) in [
        ("odd.jpg", 333, (333, 217)),
        ("odd.jpg", 111, (111, 72)),
        ("thin.jpg", 100, (100, 1)),
        ("dot.jpg", 640, (1, 1)),
    ] {
        for format in FORMATS {
            let made = made(name, width, format);
            assert_eq!((made.width, made.height), size, "{name} {format:?}");
            let pixels = png(&made.bytes);
            assert!(pixels.is_near(0.0, 0.0, RED) && pixels.is_near(1.0, 1.0, RED), "{name} {format:?}");
        }
    }
}

#[test]
fn bombs_are_refused_by_their_header() {
    let render = |bytes: &[u8]| render(bytes, &task(Some(640), None, Fit::Inside, Target::JpegOrPng));
    assert!(matches!(render(&read("bomb.png")), Err(Fault::TooManyPixels { pixels: 100_000_000, .. })));
    // A JPEG's size is in the segment of its frame.
    let mut jpeg = read("quarters.jpg");
    let at = jpeg.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    jpeg[at + 5..at + 9].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
    assert!(matches!(render(&jpeg), Err(Fault::TooManyPixels { pixels: 100_000_000, .. })));
    // A GIF's at its beginning.
    let mut gif = read("animated.gif");
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert!(matches!(render(&gif), Err(Fault::TooManyPixels { .. })));
    // These are small pictures with something large beside them that nobody unpacks to its end.
    for name in ["profile-bomb.png", "text-bomb.png"] {
        assert!(matches!(render(&read(name)), Ok(_) | Err(Fault::Damaged(_))), "{name}");
    }
    assert!(matches!(render(&read("liar.png")), Err(Fault::Damaged(_))));
}

#[test]
fn what_is_cut_off_or_none_at_all_is_no_picture_and_nothing_panics() {
    for name in [
        "quarters.jpg",
        "progressive.jpg",
        "quarters.png",
        "quarters.webp",
        "animated.gif",
        "animated.webp",
        "cmyk.jpg",
    ] {
        let whole = read(name);
        for part in 0..20 {
            let cut = &whole[..whole.len() * part / 20];
            let outcome = render(cut, &task(Some(64), None, Fit::Inside, Target::As(Format::Webp)));
            // The second picture of an animation may be missing.
            let may_be_there = name.starts_with("animated") && part > 5;
            assert!(
                matches!(outcome, Err(Fault::NoPicture | Fault::Damaged(_))) || may_be_there,
                "{name} {part}: {outcome:?}"
            );
        }
        for place in (0..whole.len()).step_by(whole.len() / 50 + 1) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            let _ = render(&damaged, &task(Some(64), None, Fit::Cover, Target::As(Format::Jpeg)));
        }
    }
    for nothing in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"%PDF-1.7", b"\xff\xd8\xff"] {
        let outcome = render(nothing, &task(None, None, Fit::Inside, Target::Same));
        assert!(matches!(outcome, Err(Fault::NoPicture | Fault::Damaged(_))), "{outcome:?}");
    }
}

#[test]
fn a_document_behind_or_inside_a_picture_does_not_survive() {
    let jpeg = read("quarters.jpg");
    let script = b"<html><script>alert(1)</script></html>";
    let length = u16::try_from(script.len() + 2).unwrap().to_be_bytes();
    let inside = [&jpeg[..2], &[0xff, 0xfe], &length, script, &jpeg[2..]].concat();
    let behind = [&jpeg[..], script].concat();
    for polyglot in
        [inside, behind, [&read("quarters.png")[..], script].concat(), [&read("quarters.webp")[..], script].concat()]
    {
        let clean = reencode(&polyglot, BOUNDS).unwrap();
        assert!(!clean.bytes.windows(6).any(|window| window == b"script"));
        assert!(png(&clean.bytes).are_quarters());
        assert_eq!((clean.width, clean.height), (1200, 800));
    }
    assert_eq!(reencode(&read("quarters.webp"), BOUNDS).unwrap().format, Format::Webp);
    assert_eq!(reencode(&read("animated.gif"), BOUNDS).unwrap().format, Format::Png);
    assert!(png(&reencode(&read("turned6.jpg"), BOUNDS).unwrap().bytes).are_quarters());
}

#[test]
fn avif_is_written_with_and_without_transparency() {
    for (name, size) in
        [("quarters.jpg", (300, 200)), ("half.png", (300, 200)), ("grey.jpg", (300, 200)), ("dot.jpg", (1, 1))]
    {
        let made = made(name, 300, Format::Avif);
        assert_eq!((made.width, made.height, &made.bytes[4..12]), (size.0, size.1, &b"ftypavif"[..]), "{name}");
    }
    // Pillow reads it, which has another decoder.
    let made = made("turned6.jpg", 300, Format::Avif);
    assert!(Pixels::of_png(&crate::pictures::as_png(&made.bytes)).are_quarters());
}
