//! Room for the parser, which goes as deep as the source does: by the stack of the thread it runs on, and a stack that is
//! used up ends the process. So a source that might need more than a thread has is read on a thread that has it.

use std::cell::Cell;
use std::thread;

use super::Unreadable;

/// What a byte outside of brackets costs at most: `a**a**a` (397 of them in a debug build, which needs the most).
const BYTE: usize = 500;

/// What a bracket costs at most: `class { a = class { a = …` (5,698 in a debug build).
const BRACKET: usize = 6_000;

/// Threads have 2 MiB unless somebody says otherwise.
const ON_THIS_THREAD: usize = 1 << 20;

/// Address space, not memory: only what is really used of a stack is there.
const MOST: usize = 1 << 30;

/// What reading takes beside the depth of the source.
const BASE: usize = 1 << 20;

thread_local! {
    /// What this thread has.
    static ROOM: Cell<usize> = const { Cell::new(ON_THIS_THREAD) };
}

/// What a thread that reads many sources should have: most sources ask for less.
pub(crate) const ROOMY: usize = 128 << 20;

/// Says that this thread was begun with a stack of [`ROOMY`].
pub(crate) fn is_roomy() {
    ROOM.set(ROOMY - BASE);
}

/// Runs `read` where there is room for a source.
pub(super) fn with_room<T: Send>(text: &str, read: impl FnOnce() -> T + Send) -> Result<T, Unreadable> {
    let unreadable = |why: &str| Unreadable { line: 1, column: 1, why: why.to_owned() };
    let most = at_most(text);
    if most <= ROOM.get() {
        return Ok(read());
    }
    // Of a big source the sum of all it has says little; a fourth is left for brackets in texts that close others.
    if most > MOST && nested(text) > MOST / 4 {
        return Err(unreadable("it is nested too deeply"));
    }
    thread::scope(|scope| {
        let spawned = thread::Builder::new().stack_size(most.min(MOST) + BASE).spawn_scoped(scope, read);
        let running = spawned.map_err(|_| unreadable("there is no room for as deep a source"))?;
        running.join().or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// As if all brackets were within each other.
fn at_most(text: &str) -> usize {
    let brackets = text.bytes().filter(|byte| matches!(byte, b'(' | b'[' | b'{' | b'<')).count();
    text.len() * BYTE + brackets * BRACKET
}

/// The deepest that brackets and the runs between them go, by a look at bytes alone.
fn nested(text: &str) -> usize {
    // What the brackets around cost, and for each what stood before it in its own row.
    let (mut outer, mut rows, mut row, mut deepest) = (0_usize, Vec::new(), 0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                rows.push(row);
                outer += row + BRACKET;
                row = 0;
            }
            b')' | b']' | b'}' => {
                if let Some(before) = rows.pop() {
                    outer = outer.saturating_sub(before + BRACKET);
                    row = before + BYTE;
                }
            }
            b';' | b',' => row = 0,
            b'<' => row += BRACKET,
            b' ' | b'\n' | b'\r' | b'\t' => {}
            // A name is as deep as its first letter.
            _ => row += BYTE / 4,
        }
        deepest = deepest.max(outer + row);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use crate::javascript::{Dialect, uses};

    #[test]
    fn no_depth_ends_the_process() {
        let n = 60_000;
        let deep = [
            ("(", ")"),
            ("[", "]"),
            ("{a:", "}"),
            ("!", ""),
            ("a?b:", ""),
            ("a=>", ""),
            ("a(", ")"),
            ("`${", "}`"),
            ("new ", ""),
            ("a=", ""),
            ("a**", ""),
            ("class{a=", "1}"),
            ("await ", ""),
            ("- ", ""),
            ("a<", ">"),
            ("function(){return ", "}"),
            ("a.", ""),
            ("process.env.A||", ""),
            ("async()=>", ""),
            ("(')'+", ")"),
        ];
        for (open, close) in deep {
            for times in [n / 100, n] {
                let text = format!("x = {}1{}", open.repeat(times), close.repeat(times));
                // That it returns is what is claimed.
                let _ = uses(&text, Dialect::TypeScript, &["a".to_owned()]);
            }
        }
        for open in ["if(a)", "if(a){}else ", "{", "a:", "do "] {
            let _ = uses(&open.repeat(n), Dialect::JavaScript, &[]);
        }
        let _ = uses(&format!("x = {}", "<a>".repeat(n)), Dialect::TypeScriptJsx, &[]);
    }
}
