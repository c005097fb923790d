//! RFC 9110 §5.6.7: HTTP dates, the three formats, parsed to the letter except for case and weekday.
//!
//! Strict where laxness would make something fresh that its origin did not date properly ("invalid dates […] as
//! representing a time in the past", RFC 9111 §5.3); lenient where the meaning is clear: case, and a weekday that does
//! not fit the date. Numeric zones, "UTC", single digits and doubled spaces are invalid.

use crate::headers::trim_ows;
use crate::time::Time;
use std::time::{Duration, SystemTime};

/// The last second that four digits of a year can tell.
const LAST: i64 = 253_402_300_799;
const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
const DAYS: [&[u8]; 7] = [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];

/// The point in time that an HTTP date names, or `None` when it is not one.
///
/// Two-digit years (RFC 850) below 70 are of this century, the others of the last.
///
/// ```
/// use copal_semantics::{Time, date};
/// let t = Some(Time::from_secs(784_111_777));
/// assert_eq!(date::parse(b"Sun, 06 Nov 1994 08:49:37 GMT"), t);
/// assert_eq!(date::parse(b"Sunday, 06-Nov-94 08:49:37 GMT"), t);
/// assert_eq!(date::parse(b"Sun Nov  6 08:49:37 1994"), t);
/// assert_eq!(date::parse(b"0"), None);
/// ```
#[must_use]
pub fn parse(value: &[u8]) -> Option<Time> {
    let v = trim_ows(value);
    let comma = memchr::memchr(b',', v);
    match comma {
        Some(3) => imf_fixdate(v),
        Some(at) => rfc850(&v[..at], &v[at + 1..]),
        None => asctime(v),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(v: &[u8]) -> Option<Time> {
    if v.len() != 29 || !weekday(&v[..3], true) || v[4] != b' ' || v[7] != b' ' || v[11] != b' ' || v[16] != b' ' {
        return None;
    }
    zone(&v[25..])?;
    time(num(&v[12..16])?, month(&v[8..11])?, num(&v[5..7])?, &v[17..25])
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(day: &[u8], v: &[u8]) -> Option<Time> {
    if !weekday(day, false) || v.len() != 23 || v[0] != b' ' || v[3] != b'-' || v[7] != b'-' || v[10] != b' ' {
        return None;
    }
    zone(&v[19..])?;
    let year = num(&v[8..10])?;
    time(if year < 70 { year + 2000 } else { year + 1900 }, month(&v[4..7])?, num(&v[1..3])?, &v[11..19])
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(v: &[u8]) -> Option<Time> {
    if v.len() != 24 || !weekday(&v[..3], true) || v[3] != b' ' || v[7] != b' ' || v[10] != b' ' || v[19] != b' ' {
        return None;
    }
    let day = if v[8] == b' ' { num(&v[9..10])? } else { num(&v[8..10])? };
    time(num(&v[20..24])?, month(&v[4..7])?, day, &v[11..19])
}

fn weekday(v: &[u8], short: bool) -> bool {
    DAYS.iter().any(|d| v.eq_ignore_ascii_case(if short { &d[..3] } else { d }))
}

fn zone(v: &[u8]) -> Option<()> {
    v.eq_ignore_ascii_case(b" GMT").then_some(())
}

fn month(v: &[u8]) -> Option<i64> {
    (1..).zip(MONTHS).find(|(_, m)| v.eq_ignore_ascii_case(*m)).map(|(i, _)| i)
}

fn num(v: &[u8]) -> Option<i64> {
    v.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn time(year: i64, month: i64, day: i64, hms: &[u8]) -> Option<Time> {
    if hms[2] != b':' || hms[5] != b':' {
        return None;
    }
    let (h, m, s) = (num(&hms[..2])?, num(&hms[3..5])?, num(&hms[6..8])?);
    // 60 is a leap second (RFC 9110 §5.6.7); it counts as the first second after.
    if h > 23 || m > 59 || s > 60 || day < 1 || day > days_in(year, month) {
        return None;
    }
    Some(Time::from_secs(days_since_epoch(year, month, day) * 86_400 + h * 3600 + m * 60 + s))
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar, years beginning in March so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let y = if month < 3 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Writes `at` as an IMF-fixdate: 29 bytes. Times before 1970 and after 9999 are moved to the nearest that can be told.
///
/// ```
/// let mut out = Vec::new();
/// copal_semantics::date::write(copal_semantics::Time::from_secs(784_111_777), &mut out);
/// assert_eq!(out, b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
pub fn write(at: Time, out: &mut Vec<u8>) {
    out.extend_from_slice(&to_imf_fixdate(at));
}

/// The 29 bytes that [`write()`] writes.
#[must_use]
#[expect(clippy::cast_sign_loss, reason = "clamped to 0 and more")]
pub fn to_imf_fixdate(at: Time) -> [u8; 29] {
    use std::io::Write as _;
    let mut out = [b' '; 29];
    let secs = at.as_secs().clamp(0, LAST) as u64;
    let date = httpdate::HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(secs));
    // The format always has that many bytes.
    let _fits = write!(&mut out[..], "{date}");
    out
}

/// The same as text of its own.
#[must_use]
pub fn http_date(at: Time) -> String {
    let mut out = Vec::with_capacity(29);
    write(at, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clear_dates_are_read_whatever_their_case() {
        for (text, secs) in [
            ("Tue, 19 Jan 2038 14:14:08 GMT", 2_147_523_248),
            ("Sun, 21 Nov 2286 04:46:39 GMT", 10_000_039_599),
            ("Thursday, 18-Aug-50 02:01:18 GMT", 2_544_400_878),
            ("Mon Aug  8 02:01:18 2050", 2_543_536_878),
            ("Thu Aug  8 02:01:18 2050", 2_543_536_878),
            ("THU, 18 AUG 2050 02:01:18 gMT", 2_544_400_878),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
        ] {
            assert_eq!(parse(text.as_bytes()).map(Time::as_secs), Some(secs), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_of_the_three_formats_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050  02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 2050 02:01:18 +000",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(v in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _any = parse(&v);
        }

        #[test]
        fn near_dates_are_read_without_panic(v in "[A-Za-z]{3,9},? ?[0-9 ]{1,2}[ -][A-Za-z]{3}[ -][0-9]{2,4} [0-9:]{8} ?[A-Z]{0,4}") {
            let _any = parse(v.as_bytes());
        }

        #[test]
        fn a_date_written_is_read_back(secs in 0i64..=LAST) {
            let mut out = Vec::new();
            write(Time::from_secs(secs), &mut out);
            prop_assert_eq!(parse(&out), Some(Time::from_secs(secs)));
        }
    }
}
