//! What a browser is answered.

use crate::pictures::{Pixels, read};
use crate::role::{KEY, Role, settings, until};
use media::image::{Bounds, Target, Task, render};
use media::variant::Variant;
use media::{Fit, Format, Settings, SigningKey, SvgPolicy};

const BROWSER: &str = "image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_format_is_what_the_client_accepts_and_the_head_says_so() {
    let role = Role::start(settings()).await;
    role.put("a/shoe.jpg", &read("turned6.jpg"));
    let webp = role.get("/shop/a/shoe.jpg?w=320", &[("accept", BROWSER)]).await;
    assert_eq!(webp.status, 200, "{}", webp.text());
    assert_eq!((webp.header("content-type"), webp.header("vary")), ("image/webp", "accept"));
    assert!(webp.body.starts_with(b"RIFF"));
    let jpeg = role.get("/shop/a/shoe.jpg?w=320", &[("accept", "*/*")]).await;
    assert_eq!((jpeg.header("content-type"), jpeg.header("vary")), ("image/jpeg", "accept"));
    let pixels = Pixels::of_jpeg(&jpeg.body);
    assert_eq!((pixels.width, pixels.height), (320, 213));
    assert!(pixels.are_quarters());
    assert_ne!(webp.header("etag"), jpeg.header("etag"));
    let refused = role.get("/shop/a/shoe.jpg?w=320", &[("accept", "image/webp;q=0, */*")]).await;
    assert_eq!(refused.header("content-type"), "image/jpeg");
    let named = role.get("/shop/a/shoe.jpg?w=320&format=png", &[("accept", BROWSER)]).await;
    assert_eq!((named.header("content-type"), named.header("vary")), ("image/png", ""));
    for answer in [&webp, &jpeg, &named] {
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
        assert_eq!(answer.header("timing-allow-origin"), "*");
        assert_eq!(answer.header("cache-control"), "public, max-age=60, stale-while-revalidate=86400");
        assert!(answer.header("content-security-policy").contains("sandbox"));
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(answer.header("content-disposition"), "");
    }
    // Whole, it is encoded anew too: nobody learns where it was taken.
    let whole = role.get("/shop/a/shoe.jpg", &[]).await;
    assert_eq!(Pixels::of_jpeg(&whole.body).width, 1200);
    assert!(!whole.body.windows(6).any(|window| window == b"secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn avif_is_answered_once_it_is_ready_and_nobody_waits_for_it() {
    let role = Role::start(settings()).await;
    role.put("shoe.jpg", &read("turned6.jpg"));
    let accept = [("accept", "image/avif,image/webp,*/*;q=0.8")];
    let first = role.get("/shop/shoe.jpg?w=320", &accept).await;
    assert_eq!((first.status.as_u16(), first.header("content-type")), (200, "image/webp"));
    until("AVIF is there", || async {
        role.get("/shop/shoe.jpg?w=320", &accept).await.header("content-type") == "image/avif"
    })
    .await;
    let ready = role.get("/shop/shoe.jpg?w=320", &accept).await;
    assert_eq!((&ready.body[4..12], ready.header("vary")), (&b"ftypavif"[..], "accept"));
    assert_eq!(role.media.pictures_begun(), 2, "one of each");
    let other = role.get("/shop/shoe.jpg?w=320", &[("accept", "image/webp")]).await;
    assert_eq!(other.body, first.body);
    // Who names it waits for it.
    let named = role.get("/shop/shoe.jpg?w=160&format=avif", &[]).await;
    assert_eq!((named.status.as_u16(), named.header("content-type")), (200, "image/avif"));
    // Where it is not offered it is not made.
    let formats = [Format::Webp].into();
    let role = role.again(Settings { formats, ..settings() }).await;
    assert_eq!(role.get("/shop/shoe.jpg?w=320", &accept).await.header("content-type"), "image/webp");
    assert_eq!(role.get("/shop/shoe.jpg?w=320&format=avif", &accept).await.status, 400);
    assert_eq!(role.media.pictures_begun(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_a_digest_are_for_ever() {
    let role = Role::start(settings()).await;
    let name = format!("shoe.{}.png", "0123456789abcdef".repeat(4));
    role.put(&name, &read("half.png"));
    role.put("3fa85f64-5717-4562-b3fc-2c963f66afa6.png", &read("half.png"));
    let answer = role.get(&format!("/shop/{name}?w=160"), &[]).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(answer.header("content-type"), "image/png", "it has transparency");
    let answer = role.get("/shop/3fa85f64-5717-4562-b3fc-2c963f66afa6.png?w=160", &[]).await;
    assert!(answer.header("cache-control").contains("max-age=60"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_conditions_and_methods_are_answered_as_http_has_them() {
    let role = Role::start(settings()).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    let target = "/shop/shoe.jpg?w=320";
    let whole = role.get(target, &[]).await;
    let (etag, length) = (whole.header("etag").to_owned(), whole.body.len());
    let weak = format!("W/{etag}");
    for known in [etag.as_str(), weak.as_str(), "*", &format!("\"x\", {etag}")] {
        let same = role.get(target, &[("if-none-match", known)]).await;
        assert_eq!((same.status.as_u16(), same.body.len()), (304, 0), "{known}");
        assert_eq!((same.header("etag"), same.header("vary")), (etag.as_str(), "accept"));
    }
    assert_eq!(role.get(target, &[("if-none-match", "\"other\"")]).await.status, 200);
    let part = role.get(target, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{length}"));
    let end = role.get(target, &[("range", "bytes=-5")]).await;
    assert_eq!(&end.body[..], &whole.body[length - 5..]);
    let rest = role.get(target, &[("range", "bytes=5-"), ("if-range", &etag)]).await;
    assert_eq!((rest.status.as_u16(), rest.body.len()), (206, length - 5));
    for (name, value) in [("if-range", "\"other\""), ("if-range", weak.as_str())] {
        assert_eq!(role.get(target, &[("range", "bytes=5-"), (name, value)]).await.status, 200, "{value}");
    }
    for range in ["bytes=0-1,3-4", "bytes=9-2", "lines=1-2", "bytes=a-b", "bytes=-"] {
        assert_eq!(role.get(target, &[("range", range)]).await.status, 200, "{range}");
    }
    let behind = role.get(target, &[("range", "bytes=99999999-")]).await;
    assert_eq!(behind.status, 416);
    assert_eq!(behind.header("content-range"), format!("bytes */{length}"));
    let head = role.ask("HEAD", target, &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), length.to_string());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = role.ask(method, target, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(role.get(media::HEALTH, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_asked_for_is_refused_unless_it_is_signed() {
    let role = Role::start(settings()).await;
    role.put("ä b/shoe.jpg", &read("quarters.jpg"));
    let path = "/shop/%C3%A4%20b/shoe.jpg";
    assert_eq!(role.get(&format!("{path}?w=321"), &[]).await.status, 403);
    assert_eq!(role.get(&format!("{path}?h=100"), &[]).await.status, 403);
    assert_eq!(role.get(&format!("{path}?w=320&q=77"), &[]).await.status, 403);
    assert_eq!(role.get(&format!("{path}?w=320&x=1"), &[]).await.status, 400);
    let variant = Variant { width: Some(321), height: Some(100), fit: Some(Fit::Cover), ..Variant::default() };
    let signature = SigningKey::new(KEY).sign("shop", "ä b/shoe.jpg", &variant);
    let signed = role.get(&format!("{path}?fit=cover&h=100&w=321&s={signature}"), &[]).await;
    assert_eq!(signed.status, 200, "{}", signed.text());
    let pixels = Pixels::of_jpeg(&signed.body);
    assert_eq!((pixels.width, pixels.height), (321, 100));
    for wrong in [format!("w=322&h=100&fit=cover&s={signature}"), format!("w=320&s={signature}"), "w=320&s=".to_owned()]
    {
        assert_eq!(role.get(&format!("{path}?{wrong}"), &[]).await.status, 403, "{wrong}");
    }
    assert_eq!(role.get("/other/shoe.jpg?w=320", &[]).await.status, 404);
    assert_eq!(role.get("/shop/none.jpg?w=320", &[]).await.status, 404);
    assert!(role.metric("refused_total").await >= 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_picture_is_to_be_saved_and_never_shown() {
    let limits = media::Limits { bytes: 1 << 20, ..media::Limits::default() };
    let role = Role::start(Settings { limits, ..settings() }).await;
    role.put("page.html", b"<html><script>alert(1)</script></html>");
    role.put("picture.jpg", b"<html><script>alert(1)</script></html>");
    role.put("logo.svg", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>");
    role.put("film.bin", &vec![7; 3 << 20]);
    for name in ["page.html", "picture.jpg"] {
        let answer = role.get(&format!("/shop/{name}"), &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "application/octet-stream"),
            "{name}"
        );
        assert_eq!(
            answer.header("content-disposition"),
            format!("attachment; filename*=UTF-8''{}", name.replace('.', "%2E"))
        );
        assert!(answer.header("content-security-policy").ends_with("sandbox"));
        assert_eq!(role.get(&format!("/shop/{name}?w=320"), &[]).await.status, 422, "{name}");
    }
    assert_eq!(role.get("/shop/logo.svg", &[]).await.status, 415);
    let large = role.get("/shop/film.bin", &[]).await;
    assert_eq!((large.status.as_u16(), large.body.len()), (200, 3 << 20));
    assert!(large.header("content-disposition").starts_with("attachment"));
    let head = role.ask("HEAD", "/shop/film.bin", &[]).await;
    assert_eq!((head.header("content-length"), head.body.len()), ("3145728", 0));
    assert_eq!(role.get("/shop/film.bin?w=320", &[]).await.status, 422);
    let mut picture = read("quarters.png");
    picture.resize(2 << 20, 0);
    role.put("large.png", &picture);
    assert_eq!(role.get("/shop/large.png?w=320", &[]).await.status, 413);

    let role = role.again(Settings { svg: SvgPolicy::Attachment, ..settings() }).await;
    let svg = role.get("/shop/logo.svg", &[]).await;
    assert_eq!((svg.status.as_u16(), svg.header("content-type")), (200, "image/svg+xml"));
    assert!(svg.header("content-disposition").starts_with("attachment"));
    assert_eq!(role.get("/shop/logo.svg?w=320", &[]).await.status, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_encoded_anew_or_refused() {
    let role = Role::start(settings()).await;
    let polyglot = [&read("turned6.jpg")[..], b"<html><script>"].concat();
    let clean = role.admin("POST", "/-/reencode", &polyglot).await;
    assert_eq!((clean.status.as_u16(), clean.header("content-type")), (200, "image/jpeg"));
    assert!(Pixels::of_jpeg(&clean.body).are_quarters());
    assert!(!clean.body.windows(6).any(|window| window == b"script" || window == b"secret"));
    assert_eq!(role.admin("POST", "/-/reencode", b"<html>").await.status, 422);
    assert_eq!(role.admin("POST", "/-/reencode", &read("bomb.png")).await.status, 413);
}

/// What a worker answers is what the function makes: the pipe adds and loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_makes_what_the_function_makes() {
    let role = Role::start(settings()).await;
    role.put("shoe.jpg", &read("quarters.jpg"));
    let bounds = Bounds { pixels: 60_000_000, side: 8192 };
    let task = Task {
        width: Some(800),
        height: None,
        fit: Fit::Inside,
        format: Target::As(Format::Webp),
        quality: 60,
        bounds,
    };
    let made = render(&read("quarters.jpg"), &task).unwrap();
    assert_eq!(role.get("/shop/shoe.jpg?w=800&q=60&format=webp", &[]).await.body, made.bytes);
}
