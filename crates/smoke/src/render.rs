//! One page in a browser: opened, waited for, looked at.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::devtools::{DevTools, Lost};
use crate::observation::Observation;
use crate::plan::{Rendering, Route, Seen};
use crate::report::Complaint;

/// A page at rest: what browsers call idle is half a second without a request.
const REST: Duration = Duration::from_millis(500);

/// With no request under way and something missing, timers of the page may still bring it; after this they will not.
const HOPE: Duration = Duration::from_secs(3);

/// A page that always has a request under way (events, long polls) is looked at so long after it was loaded.
const STREAMS: Duration = Duration::from_secs(5);

/// How often a page that does nothing is looked at again.
const BEAT: Duration = Duration::from_millis(100);

/// More than one was never seen.
const LATE_BLANKS: usize = 3;

/// A picture of a page whose scripts do not end never comes.
const PICTURE_DEADLINE: Duration = Duration::from_secs(5);

/// What rendering a page came to.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) complaints: Vec<Complaint>,
    pub(crate) console: Vec<String>,
    /// As PNG.
    pub(crate) screenshot: Option<Vec<u8>>,
}

/// What the page says of itself when it is asked.
#[derive(Debug, Default, Deserialize)]
struct Glance {
    unseen: Vec<String>,
    absent: Vec<String>,
    broken: Vec<String>,
    pending: Vec<String>,
}

/// Why a page is not waited for any longer.
enum Stop {
    Lost(Lost),
    /// The observation says why: it crashed or went elsewhere.
    Gone,
    NotLoaded(String),
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

struct Tab<'a> {
    devtools: &'a mut DevTools,
    session: String,
    routes: &'a [Route],
    seen: Observation,
}

/// Opens a page in a context of its own (no cookies, no cache of others), looks at it and closes it.
pub(crate) async fn render(
    devtools: &mut DevTools,
    url: &Url,
    status: u16,
    wanted: &Rendering,
    routes: &[Route],
    patience: Duration,
) -> Result<Rendered, Lost> {
    let began = Instant::now();
    let opening = timeout_at(began + patience, open(devtools, url, routes)).await;
    let Ok(opened) = opening else {
        return Err(Lost::Pipe(std::io::Error::new(std::io::ErrorKind::TimedOut, "it opens no page")));
    };
    let (mut tab, context) = opened?;
    let mut glance = None;
    let looked = timeout_at(began + patience, tab.look(wanted, &mut glance)).await;
    let mut own = Vec::new();
    match looked {
        Ok(Ok(())) => {}
        Ok(Err(Stop::Lost(lost))) => return Err(lost),
        Ok(Err(Stop::Gone)) => own.extend(tab.gone()),
        Ok(Err(Stop::NotLoaded(why))) => own.push(Complaint::NotLoaded { why }),
        Err(_) if tab.seen.is_loaded() && glance.is_some() => {}
        Err(_) => {
            let after_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
            own.push(Complaint::NeverLoaded { after_ms, waits_for: tab.seen.in_flight() });
        }
    }
    if own.is_empty() {
        own.extend(glance.unwrap_or_default().complaints());
        if let Some(found) = tab.seen.status.filter(|found| *found != status) {
            own.push(Complaint::Status { expected: status, found, leads_to: None });
        }
    }
    // Of a page that crashed or is on its way elsewhere there is nothing to draw.
    let screenshot = if tab.still_here().is_err() { None } else { tab.screenshot().await };
    let Tab { seen, .. } = tab;
    let is_ignored = |complaint: &Complaint| match complaint {
        Complaint::ConsoleError { text } => wanted.ignored_errors.iter().any(|ignored| text.contains(ignored)),
        _ => false,
    };
    own.extend(seen.complaints.into_iter().filter(|complaint| !is_ignored(complaint)));
    let context = json!({ "browserContextId": context });
    let closing = devtools.send("Target.disposeBrowserContext", &context, None);
    timeout(PICTURE_DEADLINE, closing).await.unwrap_or(Err(Lost::Closed))?;
    Ok(Rendered { complaints: own, console: seen.console, screenshot })
}

async fn open<'a>(devtools: &'a mut DevTools, url: &Url, routes: &'a [Route]) -> Result<(Tab<'a>, Value), Lost> {
    let context = devtools.ask("Target.createBrowserContext", &json!({})).await?["browserContextId"].clone();
    let target = json!({ "url": "about:blank", "browserContextId": context });
    let target = devtools.ask("Target.createTarget", &target).await?["targetId"].clone();
    let attached = devtools.ask("Target.attachToTarget", &json!({ "targetId": target, "flatten": true })).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // Chromium names a page's main frame as it names the page.
    let seen = Observation::new(url.clone(), text(&target));
    let mut tab = Tab { devtools, session: text(&attached["sessionId"]), routes, seen };
    tab.prepare().await?;
    Ok((tab, context))
}

impl Tab<'_> {
    async fn prepare(&mut self) -> Result<(), Lost> {
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable", "Inspector.enable"] {
            self.answer_to(domain, &json!({})).await?;
        }
        self.answer_to("Page.setLifecycleEventsEnabled", &json!({ "enabled": true })).await?;
        let hosts = self.routes.iter().filter(|route| !route.headers.is_empty());
        let patterns: Vec<Value> = hosts.map(|route| json!({ "urlPattern": format!("*://{}*", route.host) })).collect();
        if !patterns.is_empty() {
            self.send("Fetch.enable", &json!({ "patterns": patterns })).await?;
        }
        self.send("Page.setDownloadBehavior", &json!({ "behavior": "deny" })).await
    }

    /// Goes there, waits until it is loaded and at rest, and keeps the last glance at it.
    async fn look(&mut self, wanted: &Rendering, glance: &mut Option<Glance>) -> Result<(), Stop> {
        self.navigate().await?;
        while !self.seen.is_loaded() {
            self.step().await?;
        }
        let loaded = Instant::now();
        let mut quiet_since = loaded;
        loop {
            let activity = self.seen.activity;
            let now = self.glance(wanted).await?;
            let is_whole = now.is_whole();
            *glance = Some(now);
            // Nothing happened within a beat: that is as good.
            timeout(BEAT, self.step()).await.unwrap_or(Ok(()))?;
            let is_busy = !self.seen.is_loaded() || !self.seen.in_flight().is_empty();
            if is_busy || self.seen.activity != activity {
                quiet_since = Instant::now();
            }
            let quiet = quiet_since.elapsed();
            if (is_whole && (quiet >= REST || loaded.elapsed() >= STREAMS)) || quiet >= HOPE {
                return Ok(());
            }
        }
    }

    async fn navigate(&mut self) -> Result<(), Stop> {
        let target = json!({ "url": self.seen.url.to_string() });
        let mut why = String::new();
        // Where the `about:blank` of a fresh page comes late it takes the place of what was asked for, which is asked for again.
        for _ in 0..LATE_BLANKS {
            let answer = self.call("Page.navigate", &target).await?;
            why = answer["errorText"].as_str().unwrap_or_default().to_owned();
            match why.as_str() {
                "" => return Ok(()),
                "net::ERR_ABORTED" if self.seen.status.is_none() => {}
                _ => break,
            }
        }
        Err(self.gone_or(Stop::NotLoaded(why)))
    }

    async fn glance(&mut self, wanted: &Rendering) -> Result<Glance, Stop> {
        let texts = wanted.seen.iter().filter_map(|seen| if let Seen::Text(text) = seen { Some(text) } else { None });
        let elements = wanted
            .seen
            .iter()
            .filter_map(|seen| if let Seen::Element(selector) = seen { Some(selector) } else { None });
        let wants = json!({ "texts": texts.collect::<Vec<_>>(), "elements": elements.collect::<Vec<_>>() });
        let expression = format!("({GLANCE})({wants})");
        let answer = self.call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true })).await?;
        // While a document is replaced by the next there is nothing to look at.
        Ok(serde_json::from_value(answer["result"]["value"].clone()).unwrap_or_else(|_| Glance::nothing(wanted)))
    }

    async fn screenshot(&mut self) -> Option<Vec<u8>> {
        let params = json!({ "format": "png" });
        let taken = timeout(PICTURE_DEADLINE, self.answer_to("Page.captureScreenshot", &params));
        STANDARD.decode(taken.await.ok()?.ok()?["data"].as_str()?).ok()
    }

    /// Asks the page, and sees what it does until it answers. Ends early when the page is gone.
    async fn call(&mut self, method: &'static str, params: &Value) -> Result<Value, Stop> {
        let id = self.devtools.send(method, params, Some(&self.session)).await?;
        loop {
            if let Some(answer) = self.take(Some((id, method))).await? {
                return Ok(answer);
            }
            self.still_here()?;
        }
    }

    /// As [`Tab::call`], of a page that may be gone.
    async fn answer_to(&mut self, method: &'static str, params: &Value) -> Result<Value, Lost> {
        let id = self.devtools.send(method, params, Some(&self.session)).await?;
        loop {
            if let Some(answer) = self.take(Some((id, method))).await? {
                return Ok(answer);
            }
        }
    }

    async fn step(&mut self) -> Result<(), Stop> {
        self.take(None).await?;
        self.still_here()
    }

    async fn take(&mut self, awaited: Option<(u64, &'static str)>) -> Result<Option<Value>, Lost> {
        let message = self.devtools.next().await?;
        if let Some((id, method)) = awaited
            && message.id == Some(id)
        {
            return message.answer(method).map(Some);
        }
        if message.session_id.as_ref() == Some(&self.session)
            && let Some((method, params)) = self.seen.take(&message.method, &message.params, self.routes)
        {
            self.send(method, &params).await?;
        }
        Ok(None)
    }

    async fn send(&mut self, method: &str, params: &Value) -> Result<(), Lost> {
        self.devtools.send(method, params, Some(&self.session)).await.map(drop)
    }

    fn still_here(&self) -> Result<(), Stop> {
        if self.seen.crashed || self.seen.led_away.is_some() { Err(Stop::Gone) } else { Ok(()) }
    }

    fn gone_or(&self, other: Stop) -> Stop {
        self.still_here().err().unwrap_or(other)
    }

    fn gone(&self) -> Option<Complaint> {
        let led_away = self.seen.led_away.clone().map(|to| Complaint::LedAway { to });
        led_away.or_else(|| self.seen.crashed.then_some(Complaint::Crashed))
    }
}

impl Glance {
    /// Where the page cannot be asked nothing is seen.
    fn nothing(wanted: &Rendering) -> Self {
        let mut glance = Self::default();
        for seen in &wanted.seen {
            match seen {
                Seen::Text(text) => glance.unseen.push(text.clone()),
                Seen::Element(selector) => glance.absent.push(selector.clone()),
            }
        }
        glance
    }

    fn is_whole(&self) -> bool {
        self.unseen.is_empty() && self.absent.is_empty() && self.pending.is_empty()
    }

    fn complaints(self) -> impl Iterator<Item = Complaint> {
        let unseen = self.unseen.into_iter().map(|text| Complaint::NotSeen { text });
        let absent = self.absent.into_iter().map(|selector| Complaint::NoElement { selector });
        let pictures = self.broken.into_iter().chain(self.pending).map(|url| Complaint::NoPicture { url });
        unseen.chain(absent).chain(pictures)
    }
}

/// Runs in the page. Pictures that wait to be scrolled to are told to come: a visitor would scroll. White space is as rendering
/// makes it, so a text that is broken into lines is still the text.
const GLANCE: &str = r#"(wants) => {
    const flat = (text) => text.replace(/\s+/g, " ");
    const shown = flat(document.body ? document.body.innerText : "");
    const is_seen = (selector) => {
        try { return [...document.querySelectorAll(selector)].some((element) => element.checkVisibility()); }
        catch { return false; }
    };
    const pictures = [...document.images].filter((image) => image.currentSrc || image.src || image.srcset);
    for (const image of pictures) if (image.loading === "lazy") image.loading = "eager";
    const name = (image) => (image.currentSrc || image.src || image.srcset).slice(0, 300);
    return {
        unseen: wants.texts.filter((text) => !shown.includes(flat(text))),
        absent: wants.elements.filter((selector) => !is_seen(selector)),
        broken: pictures.filter((image) => image.complete && image.naturalWidth === 0).map(name),
        pending: pictures.filter((image) => !image.complete).map(name),
    };
}"#;
