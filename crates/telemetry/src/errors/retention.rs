//! What goes again: of an issue everything between its first and its latest events, and what is too old.

use rusqlite::{Transaction, params};

use super::projects::ErrorLimits;

const DAY: i64 = 24 * 3_600_000;

/// Keeps the first event of an issue and the latest.
pub(crate) fn thin(transaction: &Transaction<'_>, issue: i64, most: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM events WHERE issue = ?1
               AND id > (SELECT min(id) FROM events WHERE issue = ?1)
               AND id <= (SELECT id FROM events WHERE issue = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    let gone = transaction.prepare_cached(sql)?.execute(params![issue, most - 1])?;
    transaction
        .prepare_cached("UPDATE issues SET kept = kept - ?2 WHERE id = ?1")?
        .execute(params![issue, i64::try_from(gone).unwrap_or(0)])?;
    Ok(())
}

/// Takes away what is older than it is kept. An issue that goes on keeps its first event, however old.
pub(crate) fn expire(transaction: &Transaction<'_>, limits: &ErrorLimits, now: i64) -> rusqlite::Result<()> {
    let before = now - i64::from(limits.days) * DAY;
    transaction.execute("DELETE FROM events WHERE issue IN (SELECT id FROM issues WHERE last_seen < ?1)", [before])?;
    transaction
        .execute("DELETE FROM issue_releases WHERE issue IN (SELECT id FROM issues WHERE last_seen < ?1)", [before])?;
    transaction.execute("DELETE FROM issues WHERE last_seen < ?1", [before])?;
    let sql = "DELETE FROM events WHERE received < ?1 AND id NOT IN (SELECT min(id) FROM events GROUP BY issue)";
    if transaction.execute(sql, [before])? > 0 {
        transaction.execute("UPDATE issues SET kept = (SELECT count(*) FROM events WHERE issue = issues.id)", [])?;
    }
    transaction.execute("DELETE FROM sessions WHERE hour < ?1", [before / 3_600_000])?;
    transaction.execute("DELETE FROM counts WHERE day < ?1", [before / DAY])?;
    // Clients update a session for as long as a page is open; a day later nobody does.
    transaction.execute("DELETE FROM open_sessions WHERE at < ?1", [now - DAY])?;
    Ok(())
}
