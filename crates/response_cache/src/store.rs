//! Where answers are kept: in memory, so many bytes of them.
//!
//! `quick_cache`, whose S3-FIFO lets a crawler that asks for everything once push out nothing that is asked for again. Answers of one
//! address lie together, so that they are taken back together.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, ETAG, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use quick_cache::sync::{Cache as Kept, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::answer::Answer;
use crate::conditional;
use crate::counters::{Counted, Counters, add};
use crate::flight::{Boarded, Flights};
use crate::freshness::{Now, State};
use crate::key::{Key, Selector};
use crate::request::Request;
use crate::storable::{Refused, check};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Bytes of all answers, with what they cost beside their bodies.
    pub bytes: u64,
    /// Bytes of the longest body.
    pub largest: u64,
}

/// Answers of one address that differ by `Vary`. Whoever sends odd values of such a field pushes out the oldest of them, and no other
/// address.
const MOST_VARIANTS: usize = 16;

/// Purges and changes that are remembered. An answer that takes longer than so many of them is not kept.
const REMEMBERED: usize = 1024;

/// For so long an address whose answer was for nobody else is asked for by everybody at once: waiting would be in vain.
const IN_VAIN: Duration = Duration::from_secs(10);
const MOST_IN_VAIN: usize = 4096;

/// A cache has so many shares at least of this size, so that one answer is never too large for its share.
const SHARE: u64 = 64 << 20;

#[derive(Debug)]
struct Family {
    /// The newest last.
    answers: Vec<Arc<Answer>>,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Arc<Family>> for Weight {
    fn weight(&self, key: &Key, family: &Arc<Family>) -> u64 {
        (key.bytes() + family.answers.iter().map(|answer| answer.bytes()).sum::<usize>()) as u64
    }
}

type Memory = Kept<Key, Arc<Family>, Weight, std::hash::RandomState, DefaultLifecycle<Key, Arc<Family>>>;

/// One shared cache.
#[derive(Debug)]
pub struct Cache {
    rules: Rules,
    memory: Memory,
    /// Held for each change, so that a purge and an answer that comes in see each other.
    changes: Mutex<Changes>,
    in_vain: Kept<Key, Instant>,
    flights: Arc<Flights>,
    /// Bytes of what is being received.
    pub(crate) coming: AtomicU64,
    pub counters: Counters,
}

/// What was taken back lately, so that what was asked for before is not kept after it.
#[derive(Debug, Default)]
struct Changes {
    count: u64,
    latest: VecDeque<(u64, Taken)>,
}

#[derive(Debug)]
enum Taken {
    Key(Key),
    Selected(Selector),
}

/// How many changes there had been when something was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Begun(u64);

/// What is there for a request.
#[derive(Clone, Debug)]
pub enum Found {
    /// It fits; [`State`] says what may be done with it.
    Answer(Arc<Answer>, State),
    /// Answers are there, for others.
    ForOthers,
    Nothing,
}

impl Cache {
    pub fn new(rules: Rules) -> Self {
        let memory = OptionsBuilder::new()
            .shards(usize::try_from(rules.bytes / SHARE).unwrap_or(1).clamp(1, 16))
            // Answers of apps have some 16 kilobytes; a guess only makes the tables.
            .estimated_items_capacity(usize::try_from(rules.bytes / 16_384).unwrap_or(0).clamp(64, 1 << 20))
            .weight_capacity(rules.bytes)
            .build()
            .expect("all that is needed is given");
        Self {
            rules,
            memory: Memory::with_options(memory, Weight, std::hash::RandomState::new(), DefaultLifecycle::default()),
            changes: Mutex::default(),
            in_vain: Kept::new(MOST_IN_VAIN),
            flights: Arc::default(),
            coming: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    pub fn look(&self, key: &Key, request: &Request, now: Now) -> Found {
        let Some(family) = self.memory.get(key) else { return Found::Nothing };
        match family.answers.iter().rev().find(|answer| answer.fits(request)) {
            Some(answer) => Found::Answer(Arc::clone(answer), answer.state(request, now)),
            None => Found::ForOthers,
        }
    }

    /// Before something is asked of the app.
    pub fn begin(&self) -> Begun {
        Begun(self.lock().count)
    }

    /// Who asks the app.
    pub fn board(&self, key: &Key, request: &Request, now: Now) -> Boarded {
        let is_in_vain = |since: Instant| now.instant.saturating_duration_since(since) < IN_VAIN;
        if self.in_vain.get(key).is_some_and(is_in_vain) {
            return Boarded::Alone;
        }
        // What is known to make a difference there.
        let newest = self.memory.get(key).and_then(|family| family.answers.last().cloned());
        let selected = newest.map(|answer| answer.vary.select(&request.headers)).unwrap_or_default();
        self.flights.board((key.clone(), selected))
    }

    /// Whether an answer may be kept, by its head alone.
    pub fn may_keep(
        &self,
        request: &Request,
        (status, headers): (StatusCode, &HeaderMap),
        (asked, received): (Now, Now),
    ) -> Result<(), Refused> {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        check(request, status, headers, (asked, received))?;
        if length.is_some_and(|length| length > self.rules.largest) { Err(Refused::TooLarge) } else { Ok(()) }
    }

    /// Notes that an answer is not kept, and lets nobody wait for the next one where it will not be either.
    pub fn refuse(&self, key: &Key, request: &Request, why: Refused, now: Now) {
        self.counters.refused(why);
        if why.lasts() && request.is_for_the_whole() {
            self.in_vain.insert(key.clone(), now.instant);
        }
    }

    /// Keeps an answer, whole.
    pub fn keep(
        &self,
        key: &Key,
        request: &Request,
        (status, headers, body): (StatusCode, HeaderMap, Bytes),
        (asked, received): (Now, Now),
        begun: Begun,
    ) -> Result<Arc<Answer>, Refused> {
        if body.len() as u64 > self.rules.largest {
            return Err(Refused::TooLarge);
        }
        let storable = check(request, status, &headers, (asked, received))?;
        let answer = Arc::new(Answer::new(request, status, headers, body, storable));
        let changes = self.lock();
        if changes.took_back(key, begun) {
            return Err(Refused::TakenBack);
        }
        let mut answers = self.memory.get(key).map(|family| family.answers.clone()).unwrap_or_default();
        answers.retain(|other| !(other.vary == answer.vary && other.selected == answer.selected));
        let too_many = (answers.len() + 1).saturating_sub(MOST_VARIANTS);
        answers.drain(..too_many);
        answers.push(Arc::clone(&answer));
        self.memory.insert(key.clone(), Arc::new(Family { answers }));
        drop(changes);
        self.in_vain.remove(key);
        add(&self.counters.stored, 1);
        Ok(answer)
    }

    /// Takes "not modified" for an answer: what it is by now, and whether it is still kept. `None`: the app meant another one, and this
    /// one is kept no longer.
    pub fn freshen(
        &self,
        key: &Key,
        answer: &Arc<Answer>,
        request: &Request,
        said: &HeaderMap,
        (asked, received): (Now, Now),
        begun: Begun,
    ) -> Option<(Arc<Answer>, Result<(), Refused>)> {
        if !conditional::is_about(&answer.headers, said) {
            self.drop_one(key, answer);
            return None;
        }
        let headers = answer.renewed(said);
        let whole = Request { is_head: false, ..request.clone() };
        let said = (answer.status, headers.clone(), answer.body.clone());
        match self.keep(key, &whole, said, (asked, received), begun) {
            Ok(renewed) => Some((renewed, Ok(()))),
            Err(why) => {
                // It was for others, and is no longer.
                self.drop_one(key, answer);
                self.counters.refused(why);
                Some((Arc::new(answer.with(headers)), Err(why)))
            }
        }
    }

    /// Learns from the head of an answer to HEAD whether what is kept is still right (section 4.3.5).
    pub fn learn(
        &self,
        key: &Key,
        request: &Request,
        (status, said): (StatusCode, &HeaderMap),
        times: (Now, Now),
        begun: Begun,
    ) {
        let Found::Answer(answer, _) = self.look(key, request, times.1) else { return };
        let is_same =
            |name: &http::HeaderName| said.get(name).is_none_or(|value| answer.headers.get(name) == Some(value));
        let length = said.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if status == answer.status
            && is_same(&ETAG)
            && is_same(&LAST_MODIFIED)
            && length.is_none_or(|length| length == answer.body.len())
        {
            self.freshen(key, &answer, request, said, times, begun);
        } else if status.is_success() {
            self.drop_one(key, &answer);
        }
    }

    /// After a request that may have changed something: what is kept of its address, and of those that the answer names, goes
    /// (section 4.4).
    pub fn changed(&self, key: &Key, method: &Method, (status, headers): (StatusCode, &HeaderMap)) {
        if method.is_safe() || !(status.is_success() || status.is_redirection()) {
            return;
        }
        let named = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| headers.get(name)?.to_str().ok());
        let keys: Vec<Key> = std::iter::once(key.clone()).chain(named.filter_map(|named| key.at(named))).collect();
        let mut changes = self.lock();
        for key in keys {
            if self.memory.remove(&key).is_some() {
                add(&self.counters.taken_back, 1);
            }
            changes.note(Taken::Key(key));
        }
    }

    /// Takes answers back, and says of how many addresses.
    pub fn purge(&self, selector: &Selector) -> usize {
        let mut changes = self.lock();
        let keys: Vec<Key> = self.memory.iter().map(|(key, _)| key).filter(|key| selector.selects(key)).collect();
        for key in &keys {
            self.memory.remove(key);
        }
        add(&self.counters.taken_back, keys.len() as u64);
        changes.note(Taken::Selected(selector.clone()));
        keys.len()
    }

    pub fn counted(&self) -> Counted {
        Counted { kept: self.memory.len() as u64, bytes: self.memory.weight(), ..self.counters.counted() }
    }

    fn drop_one(&self, key: &Key, answer: &Arc<Answer>) {
        let _changes = self.lock();
        let Some(family) = self.memory.get(key) else { return };
        let answers: Vec<_> = family.answers.iter().filter(|other| !Arc::ptr_eq(other, answer)).cloned().collect();
        if answers.is_empty() {
            self.memory.remove(key);
        } else {
            self.memory.insert(key.clone(), Arc::new(Family { answers }));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn note(&mut self, taken: Taken) {
        self.count += 1;
        self.latest.push_back((self.count, taken));
        if self.latest.len() > REMEMBERED {
            self.latest.pop_front();
        }
    }

    fn took_back(&self, key: &Key, begun: Begun) -> bool {
        let remembers_all = self.latest.front().is_none_or(|(number, _)| *number <= begun.0 + 1);
        let takes = |taken: &Taken| match taken {
            Taken::Key(changed) => changed == key,
            Taken::Selected(selector) => selector.selects(key),
        };
        !remembers_all || self.latest.iter().any(|(number, taken)| *number > begun.0 && takes(taken))
    }
}
