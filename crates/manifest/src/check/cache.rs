//! Caches of apps: what has room in them, and who could use them.

use crate::environment::Access;
use crate::findings::Findings;
use crate::id::AppName;
use crate::source::At;
use crate::tables::AppTable;

const MEBIBYTE: u64 = 1 << 20;

/// It is a part of the edge's memory, which all apps share.
const MOST: u64 = 16 << 30;

pub(super) fn check(name: &At<AppName>, app: &AppTable, findings: &mut Findings) {
    let Some(cache) = &app.cache else { return };
    let (memory, largest) = (&cache.value.memory, &cache.value.largest);
    if !(MEBIBYTE..=MOST).contains(&memory.value.0) {
        findings
            .error(memory.span, format!("the memory of the cache of \"{}\" must be from 1 MiB to 16 GiB", name.value))
            .hint("write \"64 MiB\", or leave memory out");
    }
    if largest.value.0 == 0 || largest.value.0 > memory.value.0 {
        findings
            .error(largest.span, format!("the cache of \"{}\" has no room for its largest answer", name.value))
            .hint("make largest at most as much as memory, and more than nothing");
    }
    let is_protected = app.access == Access::Protected
        && !app.r#in.iter().any(|(_, own)| own.access.is_some_and(|access| access == Access::Public));
    if is_protected || app.client_ca.is_some() {
        findings
            .error(cache.span, format!("\"{}\" is not for everybody: none of its answers is ever kept", name.value))
            .hint("remove cache");
    }
}
