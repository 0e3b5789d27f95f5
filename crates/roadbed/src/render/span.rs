//! Lengths of time, amounts of data and numbers of things, as people read them.

/// `12 ms`, `1.2 s`, `1 min 05 s`.
pub fn time(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {:02} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// `1 step`, `2 steps`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `512 B`, `3.4 MiB`.
pub fn bytes(count: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let step = STEPS.iter().find(|(_, size)| count >= *size);
    step.map_or_else(
        || format!("{count} B"),
        |(unit, size)| format!("{}.{} {unit}", count / size, count % size * 10 / size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        assert_eq!([time(0), time(999), time(1_250), time(65_000)], ["0 ms", "999 ms", "1.2 s", "1 min 05 s"]);
        assert_eq!([count(0, "step"), count(1, "step"), count(2, "step")], ["0 steps", "1 step", "2 steps"]);
        assert_eq!([bytes(0), bytes(1023), bytes(3_565_158), bytes(1 << 30)], ["0 B", "1023 B", "3.3 MiB", "1.0 GiB"]);
    }
}
