//! What a visitor can decompress, and likes best.

use http::HeaderValue;

/// A form in which a file may lie in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Zstd,
    Gzip,
    Identity,
}

impl Encoding {
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }
}

/// Smallest first: what we choose among those the visitor likes the same.
pub const ALL: [Encoding; 4] = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip, Encoding::Identity];

/// The acceptable encodings, best first. Identity is always the last resort: an uncompressed answer is better than none.
pub fn wanted<'a>(accept: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<Encoding> {
    let mut weights = [None; 4];
    let mut any_other = None;
    for item in accept.into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let (name, weight) = weighted(item);
        match ALL.iter().position(|encoding| name.eq_ignore_ascii_case(encoding.name())) {
            Some(at) => weights[at] = Some(weight),
            None if name == "*" => any_other = Some(weight),
            None => {}
        }
    }
    let weight_of = |at: usize| weights[at].or(any_other).unwrap_or(u16::from(ALL[at] == Encoding::Identity));
    let mut order: Vec<usize> = (0..ALL.len()).filter(|&at| weight_of(at) > 0).collect();
    // Stable: our own order among equals.
    order.sort_by_key(|&at| std::cmp::Reverse(weight_of(at)));
    let mut wanted: Vec<Encoding> = order.into_iter().map(|at| ALL[at]).collect();
    if !wanted.contains(&Encoding::Identity) {
        wanted.push(Encoding::Identity);
    }
    wanted
}

/// `name;q=0.5` as the name and thousandths. A weight that is none counts as 0: nothing is guessed in its favour.
fn weighted(item: &str) -> (&str, u16) {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.map_or(1000, thousandths))
}

fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    let fraction = format!("{fraction:0<3}").parse().unwrap_or(0);
    match whole {
        "1" if fraction == 0 => 1000,
        "0" => fraction,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Brotli, Gzip, Identity, Zstd};
    use super::*;

    fn check(accept: &str, expected: &[Encoding]) {
        assert_eq!(wanted([&HeaderValue::from_str(accept).unwrap()]), expected, "{accept:?}");
    }

    #[test]
    fn the_visitors_weights_decide_and_our_order_breaks_ties() {
        assert_eq!(wanted([]), [Identity]);
        check("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip, Identity]);
        check("gzip;q=1.0, br;q=0.5", &[Gzip, Brotli, Identity]);
        check("br;q=0, gzip", &[Gzip, Identity]);
        check("*", &[Brotli, Zstd, Gzip, Identity]);
        check("*;q=0.1, gzip", &[Gzip, Brotli, Zstd, Identity]);
        check("identity, gzip;q=0.2", &[Identity, Gzip]);
        check("gzip;q=2, br;q=x", &[Identity]);
        check("identity;q=0", &[Identity]);
        check("GZIP;Q=0.7", &[Gzip, Identity]);
    }
}
