//! Text with units: durations (`1h30m`, `3.5s`) and sizes (`256MiB`), read and written.

use copal_semantics::Span;

use crate::place::Fault;

/// Units of durations in microseconds, largest first.
const DURATIONS: &[(&str, i64)] = &[
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Units of sizes in bytes, powers of 1024 first: these are the ones written back.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads a duration as the file writes it: `90s`, `1h30m`, `250ms`. `None` when it is not one.
#[must_use]
pub fn read_duration(text: &str) -> Option<Span> {
    duration(text).ok()
}

/// Reads a size in bytes as the file writes it: `10KiB`. `None` when it is not one.
#[must_use]
pub fn read_size(text: &str) -> Option<u64> {
    size(text).ok()
}

/// A duration: numbers (a fraction is allowed) each with a unit of w, d, h, m, s, ms, us, added up.
pub(crate) fn duration(text: &str) -> Result<Span, Fault> {
    let units = "units are ms, s, m, h, d, w";
    let mut rest = text.trim();
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return Err(Fault::new("expected a duration, found nothing").help(Some("write for example \"10s\"".into())));
    }
    while !rest.is_empty() {
        let (number, after) = number(rest).ok_or_else(|| {
            Fault::new(format!("not a duration: `{text}`")).help(Some(format!("write for example \"10s\"; {units}")))
        })?;
        let digits = &rest[..rest.len() - after.len()];
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        if unit.is_empty() {
            return Err(Fault::new(format!("wrong unit: `{text}` needs a unit"))
                .help(Some(format!("write \"{}s\" for seconds; {units}", text.trim()))));
        }
        let Some((_, scale)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            return Err(Fault::new(format!("wrong unit: `{unit}` is not a unit of time"))
                .help(Some(format!("write \"{digits}{}\"; {units}", meant(unit)))));
        };
        #[expect(clippy::cast_precision_loss, reason = "the largest unit is far below 2^53")]
        let scale = *scale as f64;
        total += number * scale;
        rest = next.trim_start();
    }
    Ok(Span::from_secs_f64(total / 1e6))
}

/// A size in bytes: one number (a fraction is allowed) with a unit: KiB = 1024, kB = 1000, B.
pub(crate) fn size(text: &str) -> Result<u64, Fault> {
    let units = "units are B, KiB, MiB, GiB, TiB (1024) and kB, MB, GB, TB (1000)";
    let trimmed = text.trim();
    let (number, after) = number(trimmed).ok_or_else(|| {
        Fault::new(format!("not a size: `{text}`")).help(Some(format!("write for example \"256MiB\"; {units}")))
    })?;
    let digits = &trimmed[..trimmed.len() - after.len()];
    let unit = after.trim();
    if unit.is_empty() {
        return Err(Fault::new(format!("wrong unit: `{text}` needs a unit"))
            .help(Some(format!("write \"{digits}B\" for bytes or \"{digits}KiB\"; {units}"))));
    }
    let Some((_, scale)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let first = unit.chars().next().unwrap_or('m').to_ascii_uppercase();
        let meant = if "KMGT".contains(first) { format!("{first}iB") } else { "MiB".to_owned() };
        return Err(Fault::new(format!("wrong unit: `{unit}` is not a unit of size"))
            .help(Some(format!("write \"{digits}{meant}\"; {units}"))));
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, the number has no sign, and a size beyond 2^53 bytes is out of every range"
    )]
    let bytes = (number * *scale as f64).round() as u64;
    Ok(bytes)
}

/// A duration as it would be written: the largest units that say it without a fraction below a millisecond.
pub(crate) fn show_duration(span: Span) -> String {
    let micros = span.as_micros();
    if micros == 0 {
        return "0s".to_owned();
    }
    for (unit, scale) in DURATIONS {
        // Weeks are read but not written: "14d" says more than "2w" beside "1d".
        if *unit != "w" && micros % scale == 0 {
            return format!("{}{unit}", micros / scale);
        }
        if *unit == "s" && micros > *scale && micros % 1_000 == 0 {
            return format!("{}s", span.as_secs_f64());
        }
    }
    format!("{micros}us")
}

/// A size as it would be written: the largest unit that divides it.
pub(crate) fn show_size(bytes: u64) -> String {
    let unit = SIZES.iter().take(4).find(|(_, scale)| bytes != 0 && bytes.is_multiple_of(*scale));
    unit.map_or_else(|| format!("{bytes}B"), |(unit, scale)| format!("{}{unit}", bytes / scale))
}

/// The unit of time that a word was probably meant to be.
fn meant(word: &str) -> &'static str {
    let word = word.to_lowercase();
    let words = [("mil", "ms"), ("ms", "ms"), ("m", "m"), ("h", "h"), ("d", "d"), ("w", "w")];
    words.iter().find(|(start, _)| word.starts_with(start)).map_or("s", |(_, unit)| unit)
}

/// The decimal number that `text` begins with, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    digits.parse().ok().map(|n| (n, rest))
}

/// "12.5%" as thousandths.
pub(crate) fn percent(text: &str) -> Result<u32, Fault> {
    let bad = || {
        Fault::new(format!("bad share `{text}`"))
            .help(Some("write a percentage such as \"50%\" or \"0.5%\"".to_owned()))
    };
    let number = text.strip_suffix('%').ok_or_else(bad)?.trim_end();
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(tenths) || tenths.len() > 1 || whole.len() > 4 {
        return Err(bad());
    }
    let value = |part: &str| part.parse::<u32>().map_err(|_| bad());
    Ok(value(whole)? * 10 + value(tenths)?)
}

/// Thousandths as a percentage.
pub(crate) fn show_percent(permille: u32) -> String {
    match permille % 10 {
        0 => format!("{}%", permille / 10),
        tenths => format!("{}.{tenths}%", permille / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_fractions_and_added_up() {
        assert_eq!(duration("3.5s"), Ok(Span::from_millis(3500)));
        assert_eq!(duration("1h30m"), Ok(Span::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Span::ZERO));
        assert_eq!(duration("2w"), Ok(Span::from_secs(1_209_600)));
        for bad in ["10", "", "s", "-1s", "1x", "10 seconds", "10m 5", "1.2.3s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_know_1024_and_1000() {
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("1.5 KiB"), Ok(1536));
        assert_eq!(size("1MB"), Ok(1_000_000));
        for bad in ["10", "", "1G", "1gib", "-1B"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0s", "3.5s", "10s", "2m", "1h", "14d", "250ms", "5us", "90s"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["0B", "1KiB", "256MiB", "1000B", "3GiB"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
    }

    #[test]
    fn percentages_have_a_sign_and_at_most_one_decimal() {
        for (text, permille) in [("50%", 500), ("0.5%", 5), ("100 %", 1000), ("12.5%", 125), ("0%", 0)] {
            assert_eq!(percent(text).ok(), Some(permille), "{text}");
        }
        assert_eq!((show_percent(500), show_percent(5)), ("50%".to_owned(), "0.5%".to_owned()));
        for text in ["50", "%", "-1%", "0.25%", ".5%", "1.%", "99999%", "a%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
