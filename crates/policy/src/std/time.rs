//! Durations, times and sizes: their text, their arithmetic, their types in scripts.

use crate::current::Res;
use crate::fault::HostError;
use copal_semantics::{Span, Time, date};
use rhai::{Engine, ImmutableString};

/// Units of durations in seconds; VCL has the same. Longer names first, so that "ms" is not read as "m".
const UNITS: [(&str, f64); 8] = [
    ("ms", 0.001),
    ("us", 0.000_001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
    ("y", 31_536_000.0),
];

/// Units of sizes in bytes. One letter is what it is in VCL.
const SIZES: [(&str, i64); 18] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
];

/// Reads "90s", "1h30m", "3.5s", "10 s", "-5s", "0".
pub(crate) fn parse_duration(text: &str) -> Option<Span> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Span::ZERO);
    }
    if let Some(span) = rest.strip_prefix('-') {
        return span.starts_with(|c: char| c.is_ascii_digit()).then(|| parse_duration(span))?.map(|span| -span);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() || seconds == 0.0 {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let tail = rest[digits..].trim_start();
        let (unit, factor) = UNITS.iter().find(|(u, _)| tail.starts_with(u))?;
        seconds += number * factor;
        rest = tail[unit.len()..].trim_start();
        if rest.is_empty() {
            break;
        }
    }
    Some(Span::from_secs_f64(seconds))
}

/// Reads "10MiB", "512B", "0".
pub(crate) fn parse_size(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[digits..].trim_start();
    let factor = if unit.is_empty() { 1 } else { SIZES.iter().find(|(u, _)| *u == unit)?.1 };
    match text[..digits].parse::<i64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => {
            let number: f64 = text[..digits].parse().ok()?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "`as` saturates")]
            Some((number * factor as f64) as i64)
        }
    }
}

/// What to say of text that is no duration.
pub(crate) fn not_a_duration(text: &str) -> String {
    format!("\"{}\" is not a duration: write \"250ms\", \"90s\", \"5m\", \"6h\", \"1d\", \"2w\" or \"1y\"", shown(text))
}

/// What to say of text that is no size.
pub(crate) fn not_a_size(text: &str) -> String {
    format!("\"{}\" is not a size: write \"512B\", \"10KiB\", \"10MiB\" or \"1GiB\"", shown(text))
}

/// Text from outside as a message has it: short, and with nothing that could break a log line.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

struct Civil {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    year_day: i64,
    second: i64,
}

/// Howard Hinnant's days-to-civil, proleptic Gregorian.
fn civil(time: Time) -> Civil {
    let (days, second) = (time.as_secs().div_euclid(86_400), time.as_secs().rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month = usize::try_from(month - 1).unwrap_or(0);
    let year_day = before[month] + day + i64::from(leap && month > 1);
    Civil { year, month, day, weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0), year_day, second }
}

/// Reads what VCL's `std.time` reads: a date of HTTP, "1994-11-06T08:49:37" in UTC, with or without a `Z`, and seconds
/// since 1970.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let text = text.trim();
    date::parse(text.as_bytes()).or_else(|| iso(text)).or_else(|| seconds(text))
}

fn iso(text: &str) -> Option<Time> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (h, m, s) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Hinnant's days-from-civil, with March as the first month.
    let (y, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * shifted + 2) / 5 + day - 719_469;
    let time = Time::from_secs(days * 86_400 + h * 3_600 + m * 60 + s);
    // What is no date, such as the 30th of February, or is written otherwise does not come back.
    (strftime(time, "%FT%T") == text).then_some(time)
}

fn seconds(text: &str) -> Option<Time> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['e', 'E']);
    let number = text.parse::<f64>().ok().filter(|n| plain && *n < 1e12)?;
    Some(Time::from_secs(0) + Span::from_secs_f64(number))
}

/// RFC 9110 §5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
pub(crate) fn http_date(time: Time) -> String {
    strftime(time, "%a, %d %b %Y %T GMT")
}

/// The time by a format, in UTC. An unknown letter stands for itself.
pub(crate) fn strftime(time: Time, format: &str) -> String {
    let c = civil(time);
    let (h, m, s) = (c.second / 3_600, c.second / 60 % 60, c.second % 60);
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars();
    while let Some(ch) = chars.next() {
        if ch != '%' {
            out.push(ch);
            continue;
        }
        match chars.next() {
            Some('Y') => out += &c.year.to_string(),
            Some('y') => out += &format!("{:02}", c.year.rem_euclid(100)),
            Some('m') => out += &format!("{:02}", c.month + 1),
            Some('d') => out += &format!("{:02}", c.day),
            Some('e') => out += &format!("{:2}", c.day),
            Some('j') => out += &format!("{:03}", c.year_day),
            Some('H') => out += &format!("{h:02}"),
            Some('M') => out += &format!("{m:02}"),
            Some('S') => out += &format!("{s:02}"),
            Some('a') => out += &DAYS[c.weekday][..3],
            Some('A') => out += DAYS[c.weekday],
            Some('b') => out += &MONTHS[c.month][..3],
            Some('B') => out += MONTHS[c.month],
            Some('F') => out += &format!("{}-{:02}-{:02}", c.year, c.month + 1, c.day),
            Some('T') => out += &format!("{h:02}:{m:02}:{s:02}"),
            Some('s') => out += &time.as_secs().to_string(),
            Some('Z') => out += "GMT",
            Some(other) => out.push(other),
            None => out.push('%'),
        }
    }
    out
}

/// Gives scripts the types `Duration` and `Time` and what makes them.
pub(crate) fn register(e: &mut Engine) {
    e.register_type_with_name::<Span>("Duration").register_type_with_name::<Time>("Time");
    e.register_fn("duration", |text: &str| -> Res<Span> {
        Ok(parse_duration(text).ok_or_else(|| HostError::value(not_a_duration(text)))?)
    });
    e.register_fn("duration", |text: &str, fallback: Span| parse_duration(text).unwrap_or(fallback));
    e.register_fn("duration", |(): (), fallback: Span| fallback);
    e.register_fn("duration", |span: Span, _: Span| span);
    e.register_fn("bytes", |text: &str| -> Res<i64> {
        Ok(parse_size(text).ok_or_else(|| HostError::value(not_a_size(text)))?)
    });
    e.register_fn("bytes", |text: &str, fallback: i64| parse_size(text).unwrap_or(fallback));
    e.register_fn("bytes", |(): (), fallback: i64| fallback);
    e.register_fn("bytes", |n: i64, _: i64| n);

    e.register_fn("+", |a: Span, b: Span| a + b).register_fn("-", |a: Span, b: Span| a - b);
    e.register_fn("-", |a: Span| -a);
    e.register_fn("*", |a: Span, n: i64| Span::from_micros(a.as_micros().saturating_mul(n)));
    e.register_fn("*", |n: i64, a: Span| Span::from_micros(a.as_micros().saturating_mul(n)));
    e.register_fn("*", |a: Span, n: f64| Span::from_secs_f64(a.as_secs_f64() * n));
    e.register_fn("*", |n: f64, a: Span| Span::from_secs_f64(a.as_secs_f64() * n));
    e.register_fn("/", |a: Span, n: i64| -> Res<Span> {
        Ok(a.as_micros().checked_div(n).map(Span::from_micros).ok_or_else(|| HostError::value("division by zero"))?)
    });
    e.register_fn("/", |a: Span, n: f64| -> Res<Span> {
        let quotient = (n != 0.0).then(|| Span::from_secs_f64(a.as_secs_f64() / n));
        Ok(quotient.ok_or_else(|| HostError::value("division by zero"))?)
    });
    e.register_fn("/", |a: Span, b: Span| a.as_secs_f64() / b.as_secs_f64());
    e.register_fn("seconds", |a: Span| a.as_secs_f64());
    compare::<Span>(e);

    e.register_fn("+", |a: Time, b: Span| a + b).register_fn("-", |a: Time, b: Span| a - b);
    e.register_fn("-", |a: Time, b: Time| a - b);
    #[expect(clippy::cast_precision_loss, reason = "times of interest fit 53 bits")]
    e.register_fn("unix", |t: Time| t.as_micros() as f64 / 1e6);
    compare::<Time>(e);
    refuse::<Span, i64>(e);
    refuse::<Span, f64>(e);
    refuse::<Time, i64>(e);
    refuse::<Time, f64>(e);

    for name in ["to_string", "to_debug"] {
        e.register_fn(name, |a: Span| ImmutableString::from(a.to_string()));
        e.register_fn(name, |t: Time| ImmutableString::from(http_date(t)));
    }
}

/// The six comparisons.
fn compare<T: rhai::Variant + Clone + PartialOrd>(e: &mut Engine) {
    e.register_fn("==", |a: T, b: T| a == b).register_fn("!=", |a: T, b: T| a != b);
    e.register_fn("<", |a: T, b: T| a < b).register_fn("<=", |a: T, b: T| a <= b);
    e.register_fn(">", |a: T, b: T| a > b).register_fn(">=", |a: T, b: T| a >= b);
}

/// Rhai takes values of different types for different, whatever they are: `ttl > 10` would never hold, and nobody be told.
fn refuse<T: rhai::Variant + Clone, N: rhai::Variant + Clone>(e: &mut Engine) {
    fn never(operator: &str) -> Res<bool> {
        let message =
            format!("`{operator}` cannot compare a duration or a time with a number: write duration(\"60s\")");
        Err(HostError::value(message).into())
    }
    for operator in ["==", "!=", "<", "<=", ">", ">="] {
        e.register_fn(operator, move |_: T, _: N| never(operator));
        e.register_fn(operator, move |_: N, _: T| never(operator));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("90s", 90_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("3.5s", 3_500),
            ("0", 0),
            ("0s", 0),
            ("1d", 86_400_000),
            ("-5s", -5_000),
            ("10 s", 10_000),
        ] {
            assert_eq!(parse_duration(text), Some(Span::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5", "5x", "--5s", "-", "- 5s", "5 parsecs", "1.2.3s", "1s2", "NaNs"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, n) in [
            ("10MiB", 10 << 20),
            ("512B", 512),
            ("1.5KiB", 1_536),
            ("2MB", 2_000_000),
            ("7", 7),
            ("1.5k", 1_536),
            ("10 g", 10 << 30),
        ] {
            assert_eq!(parse_size(text), Some(n), "{text}");
        }
        for text in ["", "MiB", "5 parsecs", "-1B", "99999999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_as_vcl_reads_them() {
        let at = Some(Time::from_secs(784_111_777));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " 1994-11-06T08:49:37 ",
            "1994-11-06T08:49:37Z",
            "784111777",
            "784111777.00",
        ] {
            assert_eq!(parse_time(text), at, "{text}");
        }
        for (text, second) in [("2000-02-29T00:00:00", 951_782_400), ("1970-01-01T00:00:01", 1), ("0", 0)] {
            assert_eq!(parse_time(text), Some(Time::from_secs(second)), "{text}");
        }
        for text in
            ["", "x", "1994-11-06", "1994-02-30T00:00:00", "1994-11-06T24:00:00", "1994-11-06 08:49:37", "1e9", "-1"]
        {
            assert_eq!(parse_time(text), None, "{text}");
        }
        for text in ["1994-11-06T08:49:37é", "19é4-11-06T08:49:37", "9999999999999"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_right_in_leap_years_and_before_the_epoch() {
        assert_eq!(http_date(Time::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(strftime(Time::from_secs(951_782_400), "%F %j %a%%%q%"), "2000-02-29 060 Tue%q%");
        assert_eq!(strftime(Time::from_secs(-1), "%F %T"), "1969-12-31 23:59:59");
        assert_eq!(strftime(Time::from_secs(1_735_603_200), "%j"), "366");
    }
}
