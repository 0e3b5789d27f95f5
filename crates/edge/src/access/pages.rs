//! Pages that people see before they are let in. They work without scripts, and load nothing.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use super::door::FORM;
use super::{NO_INDEX, ROBOTS};
use crate::body::Body;
use crate::pages;

/// A page with forms. Whoever presses a button shows the cookie that came with the page.
struct Form<'a> {
    action: &'a str,
    button: &'a str,
    fields: &'a [(&'a str, &'a str)],
}

/// Says that one has to sign in, and where.
pub fn sign_in(provider: Option<&str>, to: &str, nonce: &str, id: &HeaderValue) -> Response<Body> {
    let told = match provider {
        Some(_) => "This site is protected. Sign in, or open a link that its operator gave you.",
        None => {
            "This site is protected. Open a link that its operator gave you; <code>roadbed access link</code> makes one."
        }
    };
    let button = provider.map(|name| format!("Sign in with {name}"));
    let fields = [("to", to)];
    let form = button.as_deref().map(|button| Form { action: "/.roadbed/begin", button, fields: &fields });
    page(StatusCode::UNAUTHORIZED, "Please sign in", told, form, nonce, id)
}

/// One button: what a preview of the link in a chat opens takes nothing away from whom it is for.
pub fn enter(token: &str, nonce: &str, id: &HeaderValue) -> Response<Body> {
    let form = Form { action: "/.roadbed/enter", button: "Sign in", fields: &[("token", token)] };
    let told = "This link signs you in, once. Press the button to use it now, in this browser.";
    page(StatusCode::OK, "You were given a link", told, Some(form), nonce, id)
}

pub fn leave(nonce: &str, id: &HeaderValue) -> Response<Body> {
    let form = Form { action: "/.roadbed/sign-out", button: "Sign out", fields: &[] };
    page(StatusCode::OK, "Sign out", "Your session here ends at once.", Some(form), nonce, id)
}

pub fn gone(id: &HeaderValue) -> Response<Body> {
    page(StatusCode::OK, "You are signed out", "Your session here has ended.", None, "", id)
}

/// Why nobody was signed in.
pub fn refused(status: StatusCode, told: &str, id: &HeaderValue) -> Response<Body> {
    page(status, "You are not signed in", told, None, "", id)
}

fn page(
    status: StatusCode,
    title: &str,
    told: &str,
    form: Option<Form<'_>>,
    nonce: &str,
    id: &HeaderValue,
) -> Response<Body> {
    let mut text = format!("<h1>{title}</h1>\n<p>{told}</p>\n");
    let has_form = form.is_some();
    if let Some(Form { action, button, fields }) = form {
        let _ = writeln!(text, "<form method=\"post\" action=\"{action}\">");
        for (name, value) in fields.iter().chain(&[("form", nonce)]) {
            let _ = writeln!(text, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value));
        }
        let _ = writeln!(text, "<button>{}</button>\n</form>", escaped(button));
    }
    let text = pages::in_frame(title, &text, id.to_str().unwrap_or("-"));
    let mut response = pages::of_ours(status, "text/html; charset=utf-8", Bytes::from(text));
    let headers = response.headers_mut();
    headers.insert(ROBOTS, NO_INDEX);
    if has_form && let Ok(cookie) = HeaderValue::from_str(&cookie(FORM, nonce, 3600, "Strict")) {
        headers.append(SET_COOKIE, cookie);
    }
    response
}

/// What a program is told that has no password: how to show one.
pub fn ask_program(response: &mut Response<Body>) {
    let scheme = HeaderValue::from_static("Basic realm=\"protected\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
}

/// A cookie of this host alone, over TLS, that no script reads.
pub fn cookie(name: &str, value: &str, seconds: u64, same_site: &str) -> String {
    format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite={same_site}")
}

pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_somebody_sends_is_text() {
        assert_eq!(escaped(r#"/a?b="><script>'&"#), "/a?b=&quot;&gt;&lt;script&gt;&#39;&amp;");
    }

    #[test]
    fn a_cookie_is_of_one_host_over_tls_and_no_scripts() {
        let cookie = cookie("__Host-roadbed", "v", 60, "Lax");
        assert_eq!(cookie, "__Host-roadbed=v; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
    }
}
