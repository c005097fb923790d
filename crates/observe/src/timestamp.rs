//! Timestamps for logs: RFC 3339 and the format of NCSA logs, both in UTC.

use copal_semantics::Time;
use std::fmt;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time as "2026-01-31T12:34:56.000789Z" (RFC 3339).
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub Time);

/// A time as "31/Jan/2026:12:34:56 +0000".
#[derive(Clone, Copy, Debug)]
pub struct Ncsa(pub Time);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0);
        let (hour, minute, second) = of_day(self.0);
        let micros = self.0.as_micros().rem_euclid(1_000_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

impl fmt::Display for Ncsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0);
        let (hour, minute, second) = of_day(self.0);
        write!(f, "{day:02}/{}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000", MONTHS[month - 1])
    }
}

fn of_day(time: Time) -> (i64, i64, i64) {
    let secs = time.as_secs().rem_euclid(86_400);
    (secs / 3600, secs / 60 % 60, secs % 60)
}

/// Year, month (1 to 12) and day: the proleptic Gregorian calendar, by Howard Hinnant's `civil_from_days`, whose year
/// begins in March so that the leap day is its last. (httpdate does not give out its fields.)
fn civil(time: Time) -> (i64, usize, i64) {
    let days = time.as_secs().div_euclid(86_400) + 719_468; // from 1970-01-01 back to 0000-03-01
    let era = days.div_euclid(146_097); // of 400 years
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_read_right() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (784_111_777, "1994-11-06T08:49:37.000000Z"), // the example of RFC 9110 §5.6.7
            (951_827_696, "2000-02-29T12:34:56.000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(Rfc3339(Time::from_secs(secs)).to_string(), text);
        }
        assert_eq!(Rfc3339(Time::from_micros(1_000_789)).to_string(), "1970-01-01T00:00:01.000789Z");
        assert_eq!(Ncsa(Time::from_secs(784_111_777)).to_string(), "06/Nov/1994:08:49:37 +0000");
    }
}
