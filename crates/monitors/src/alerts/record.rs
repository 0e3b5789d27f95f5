//! Alerts and deliveries in the book.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::plan::{Act, Condition, due};
use super::{Alert, Delivery, DeliveryState, Severity};
use crate::settings::Channel;

const ALERT: &str = "SELECT id, subject, title, why, severity, owner, release, since, opened, resolved, acknowledged, acknowledged_by, flapping FROM alerts";

fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    Ok(Alert {
        id: row.get(0)?,
        subject: row.get(1)?,
        title: row.get(2)?,
        why: row.get(3)?,
        severity: Severity::of(&row.get::<_, String>(4)?),
        owner: row.get(5)?,
        release: row.get(6)?,
        since: row.get(7)?,
        opened: row.get(8)?,
        resolved: row.get(9)?,
        acknowledged: row.get(10)?,
        acknowledged_by: row.get(11)?,
        flapping: row.get(12)?,
    })
}

pub(crate) fn open_alerts(book: &Connection) -> rusqlite::Result<Vec<Alert>> {
    let mut statement = book.prepare_cached(&format!("{ALERT} WHERE resolved IS NULL ORDER BY id"))?;
    statement.query_map([], alert)?.collect()
}

/// The latest, open ones first.
pub(crate) fn alerts(book: &Connection, most: u32) -> rusqlite::Result<Vec<Alert>> {
    let mut statement = book.prepare_cached(&format!("{ALERT} ORDER BY resolved IS NOT NULL, id DESC LIMIT ?1"))?;
    statement.query_map([most], alert)?.collect()
}

pub(crate) fn one(book: &Connection, id: i64) -> rusqlite::Result<Option<Alert>> {
    book.query_row(&format!("{ALERT} WHERE id = ?1"), [id], alert).optional()
}

/// Puts on record what was planned, with the words that follow from it.
pub(crate) fn put(book: &Connection, acts: Vec<Act>, channels: &[Channel], now: i64) -> rusqlite::Result<()> {
    for act in acts {
        match act {
            Act::Open(condition) => open(book, &condition, channels, now)?,
            Act::Resolve(id) => resolve(book, id, now)?,
            Act::Flap(id) => {
                book.execute("UPDATE alerts SET flapping = 1 WHERE id = ?1", [id])?;
                follow(book, id, "flapping", now)?;
            }
        }
    }
    Ok(())
}

fn open(book: &Connection, condition: &Condition, channels: &[Channel], now: i64) -> rusqlite::Result<()> {
    book.execute(
        "INSERT INTO alerts (subject, title, why, severity, owner, release, since, opened, flapping)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            condition.subject,
            condition.title,
            condition.why,
            condition.severity.as_str(),
            condition.owner,
            condition.release,
            condition.since,
            now,
            condition.flapping,
        ],
    )?;
    let id = book.last_insert_rowid();
    for channel in channels.iter().filter(|channel| channel.hears_of(&condition.owner)) {
        say(book, id, &channel.name, "opened", (now, due(channel, now)))?;
    }
    Ok(())
}

fn resolve(book: &Connection, id: i64, now: i64) -> rusqlite::Result<()> {
    book.execute("UPDATE alerts SET resolved = ?2 WHERE id = ?1", params![id, now])?;
    spare(book, id)?;
    follow(book, id, "resolved", now)
}

/// Whoever was told nothing yet, and was to be told later, is told nothing: it is over, or somebody sees to it. Whoever could not be
/// reached is told all the same.
fn spare(book: &Connection, id: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE deliveries SET state = 'spared' WHERE alert = ?1 AND about = 'opened' AND state = 'waiting'
               AND attempts = 0 AND due > made + 1000";
    book.execute(sql, [id])?;
    Ok(())
}

/// Whoever was told that it began, or will be, is told how it goes on.
fn follow(book: &Connection, id: i64, about: &str, now: i64) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO deliveries (alert, channel, about, state, made, due)
               SELECT alert, channel, ?2, 'waiting', ?3, ?3 FROM deliveries
               WHERE alert = ?1 AND about = 'opened' AND state IN ('waiting', 'done')";
    book.execute(sql, params![id, about, now])?;
    Ok(())
}

pub(crate) fn say(
    book: &Connection,
    alert: i64,
    channel: &str,
    about: &str,
    (now, due): (i64, i64),
) -> rusqlite::Result<i64> {
    book.execute(
        "INSERT INTO deliveries (alert, channel, about, state, made, due) VALUES (?1, ?2, ?3, 'waiting', ?4, ?5)",
        params![alert, channel, about, now, due],
    )?;
    Ok(book.last_insert_rowid())
}

/// Somebody sees to it: who was to be told if nobody did is told nothing.
pub(crate) fn acknowledge(book: &Connection, id: i64, who: &str, now: i64) -> rusqlite::Result<bool> {
    let sql =
        "UPDATE alerts SET acknowledged = coalesce(acknowledged, ?2), acknowledged_by = coalesce(acknowledged_by, ?3)
               WHERE id = ?1 AND resolved IS NULL";
    let found = book.execute(sql, params![id, now, who])? > 0;
    if found {
        spare(book, id)?;
    }
    Ok(found)
}

const DELIVERY: &str = "SELECT id, alert, channel, about, state, attempts, due, done, error FROM deliveries";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: row.get(0)?,
        alert: row.get(1)?,
        channel: row.get(2)?,
        about: row.get(3)?,
        state: DeliveryState::of(&row.get::<_, String>(4)?),
        attempts: row.get(5)?,
        due: row.get(6)?,
        done: row.get(7)?,
        error: row.get(8)?,
    })
}

pub(crate) fn deliveries(book: &Connection, most: u32) -> rusqlite::Result<Vec<Delivery>> {
    let mut statement = book.prepare_cached(&format!("{DELIVERY} ORDER BY id DESC LIMIT ?1"))?;
    statement.query_map([most], delivery)?.collect()
}

pub(crate) fn delivery_of(book: &Connection, id: i64) -> rusqlite::Result<Option<Delivery>> {
    book.query_row(&format!("{DELIVERY} WHERE id = ?1"), [id], delivery).optional()
}

/// As many words as one message takes.
const MOST_TOGETHER: u32 = 20;

/// What a channel is to be told now, the oldest first. A word that comes while another of the same alert waits comes after it.
pub(crate) fn waiting(book: &Connection, channel: &str, now: i64) -> rusqlite::Result<Vec<Delivery>> {
    let sql = format!(
        "{DELIVERY} AS word WHERE channel = ?1 AND state = 'waiting' AND due <= ?2 AND NOT EXISTS (
           SELECT 1 FROM deliveries AS before WHERE before.channel = ?1 AND before.alert = word.alert AND before.id < word.id
           AND before.state = 'waiting' AND before.due > ?2
         ) ORDER BY id LIMIT ?3"
    );
    let mut statement = book.prepare_cached(&sql)?;
    statement.query_map(params![channel, now, MOST_TOGETHER], delivery)?.collect()
}

pub(crate) fn was_taken(book: &Connection, ids: &[i64], now: i64) -> rusqlite::Result<()> {
    for id in ids {
        book.execute(
            "UPDATE deliveries SET state = 'done', attempts = attempts + 1, done = ?2, error = NULL WHERE id = ?1",
            params![id, now],
        )?;
    }
    Ok(())
}

/// Comes again later, or is given up.
pub(crate) fn was_not_taken(
    book: &Connection,
    delivery: &Delivery,
    why: &str,
    (now, state): (i64, DeliveryState),
) -> rusqlite::Result<()> {
    let due = now + super::plan::pause(delivery.attempts);
    book.execute(
        "UPDATE deliveries SET state = ?2, attempts = attempts + 1, due = ?3, error = ?4 WHERE id = ?1",
        params![delivery.id, state.as_str(), due, why],
    )?;
    Ok(())
}

/// When a word was first to be said.
pub(crate) fn made(book: &Connection, id: i64) -> rusqlite::Result<i64> {
    book.query_row("SELECT made FROM deliveries WHERE id = ?1", [id], |row| row.get(0))
}
