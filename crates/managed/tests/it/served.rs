//! A server of HTTP for one stand-in, which can be told to answer otherwise for once, or to die in the middle.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use managed::Way;
use serde_json::Value;

use crate::described::{Description, Known};

/// What came.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) body: &'a [u8],
}

/// What is said to it: code, further headers, text.
pub(crate) type Told = (u16, String, String);

/// A provider that keeps what it is told.
pub(crate) trait Provider: Send + 'static {
    /// Whether it lets this in; otherwise what it says.
    fn opens(&mut self, asked: &Asked<'_>) -> Result<(), Told>;
    fn description(&self) -> &'static Description;
    /// How a request's body is called that the description knows.
    fn media(&self, asked: &Asked<'_>) -> String;
    fn done(&mut self, known: &Known<'_>, body: Value) -> (u16, Value);
    /// Fields that are told beyond the description.
    fn beyond(&self) -> &'static [&'static str] {
        &[]
    }
}

/// What happens to a request that is not answered as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is said this, and nothing is done.
    Instead(u16, &'static str, &'static str),
    /// It is done, and nobody hears so.
    Unheard,
}

pub(crate) struct Held<P> {
    pub(crate) provider: P,
    /// `METHOD PATH`, in order.
    pub(crate) asked: Vec<String>,
    /// All that was sent, but for what opens the account.
    pub(crate) sent: Vec<String>,
    /// Requests that the provider would not take, and answers that it would not give.
    pub(crate) wrong: Vec<String>,
    /// For the next requests that begin so.
    pub(crate) script: VecDeque<(&'static str, Trouble)>,
    /// After so many changes nobody is there any more.
    pub(crate) dies_after: Option<usize>,
    changes: usize,
}

pub(crate) struct Served<P> {
    address: SocketAddr,
    pub(crate) held: Arc<Mutex<Held<P>>>,
    waited: Arc<Mutex<Vec<u64>>>,
}

impl<P: Provider> Served<P> {
    pub(crate) fn new(provider: P) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let held = Held {
            provider,
            asked: Vec::new(),
            sent: Vec::new(),
            wrong: Vec::new(),
            script: VecDeque::new(),
            dies_after: None,
            changes: 0,
        };
        let held = Arc::new(Mutex::new(held));
        let of_server = Arc::clone(&held);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &of_server);
            }
        });
        Self { address, held, waited: Arc::default() }
    }

    /// `root`: what of its path is before what is asked.
    pub(crate) fn way(&self, root: &str) -> Way {
        let waited = Arc::clone(&self.waited);
        Way {
            api: format!("http://{}{root}", self.address),
            authorities: Vec::new(),
            deadline: Duration::from_secs(10),
            pause: Arc::new(move |time| waited.lock().unwrap().push(time.as_secs())),
        }
    }

    /// How long it was waited, in seconds each.
    pub(crate) fn waited(&self) -> Vec<u64> {
        std::mem::take(&mut self.waited.lock().unwrap())
    }

    pub(crate) fn script(&self, begins: &'static str, trouble: Trouble) {
        self.held.lock().unwrap().script.push_back((begins, trouble));
    }

    /// From now on so many changes are heard, and then nobody is there.
    pub(crate) fn dies_after(&self, changes: Option<usize>) {
        let mut held = self.held.lock().unwrap();
        (held.dies_after, held.changes) = (changes, 0);
    }

    /// What was changed, in order; and that all of it was as described.
    pub(crate) fn changes(&self) -> Vec<String> {
        let held = self.held.lock().unwrap();
        assert!(held.wrong.is_empty(), "{:#?}", held.wrong);
        held.asked.iter().filter(|one| !one.starts_with("GET ")).cloned().collect()
    }
}

fn serve<P: Provider>(stream: &TcpStream, held: &Mutex<Held<P>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let (path, query) = words[1].split_once('?').unwrap_or((words[1], ""));
    let asked = Asked { method: words[0], path, query, headers: &headers, body: &body };
    let Some((code, more, text)) = answer(&mut held.lock().unwrap(), &asked) else { return };
    let head = format!(
        "HTTP/1.1 {code} Said\r\ncontent-length: {}\r\nconnection: close\r\nx-request-id: of-this-one\r\n{more}\r\n",
        text.len()
    );
    let _ = (&mut &*stream).write_all(format!("{head}{text}").as_bytes());
}

/// `None`: the line is cut.
fn answer<P: Provider>(held: &mut Held<P>, asked: &Asked<'_>) -> Option<Told> {
    let line = format!("{} {}", asked.method, asked.path);
    let is_change = asked.method != "GET" && !asked.path.ends_with("/oauth/token");
    if held.dies_after.is_some_and(|most| held.changes >= most) {
        return None;
    }
    held.asked.push(line.clone());
    held.sent.push(format!("{line}?{} {}", asked.query, String::from_utf8_lossy(asked.body)));
    if let Err(told) = held.provider.opens(asked) {
        return Some(told);
    }
    let trouble = held.script.front().filter(|(begins, _)| line.starts_with(begins)).map(|(_, trouble)| *trouble);
    if trouble.is_some() {
        held.script.pop_front();
    }
    if let Some(Trouble::Instead(code, more, text)) = trouble {
        return Some((code, more.to_owned(), text.to_owned()));
    }
    let description = held.provider.description();
    let known = match description.operation(asked.method, asked.path) {
        Ok(known) => known,
        Err(why) => {
            held.wrong.push(why);
            return Some((405, String::new(), "{}".to_owned()));
        }
    };
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    let media = held.provider.media(asked);
    if let Some(why) = description.wrong(&known, asked.query, &media, &body) {
        held.wrong.push(why);
        return Some((400, String::new(), "{}".to_owned()));
    }
    let (code, said) = held.provider.done(&known, body);
    if is_change {
        held.changes += 1;
    }
    if code < 300 {
        let mut plain = said.clone();
        let beyond = held.provider.beyond();
        if let Some(table) = plain.as_object_mut() {
            table.retain(|name, _| !beyond.contains(&name.as_str()));
        }
        let told_as = asked.headers.get("accept").cloned().unwrap_or_default();
        held.wrong.extend(description.wrong_answer(&known, code, &told_as, &plain));
    }
    // The last change is done, and nobody hears so.
    let is_last = is_change && held.dies_after.is_some_and(|most| held.changes >= most);
    if trouble == Some(Trouble::Unheard) || is_last {
        return None;
    }
    Some((code, String::new(), if said.is_null() { String::new() } else { said.to_string() }))
}
