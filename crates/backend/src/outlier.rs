//! Outlier ejection as a pure core (Envoy's outlier detection, nginx's `max_fails`): who fails real requests is left out for
//! a while, longer each time.
//!
//! ```text
//! serving ──faults in a row, or a share of them──▶ ejected ──time × 2ⁿ──▶ serving (n + 1)
//!    └──────── max_time without an ejection: n = 0 ────────────────────────────┘
//! ```
//!
//! Faults are those of the way to the backend (refused, timed out, cut off, malformed) and its answers 502, 503 and 504. A
//! 500 is a page that is broken, not a backend. Faults in a body are counted apart from those before it: the head before a
//! body that breaks was good, and would else end the row each time.

use std::time::Duration;

/// When a backend is ejected, and for how long. Defaults are Envoy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EjectOptions {
    /// Faults in a row; 0: never by their row.
    pub faults: u32,
    /// Thousandths of the requests of a window that are faults; 0: never by their share.
    pub fault_rate_permille: u32,
    /// Requests that a window must have before its share says anything.
    pub requests: u32,
    /// The length of that window; between one and two of it are looked at.
    pub window: Duration,
    /// How long the first time.
    pub time: Duration,
    /// How long at most.
    pub max_time: Duration,
}

impl Default for EjectOptions {
    fn default() -> Self {
        EjectOptions {
            faults: 5,
            fault_rate_permille: 500,
            requests: 20,
            window: Duration::from_secs(10),
            time: Duration::from_secs(30),
            max_time: Duration::from_secs(300),
        }
    }
}

/// What a backend did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It answered.
    Good,
    /// It did not, or with 502, 503 or 504.
    Fault,
    /// A body came to its end.
    BodyGood,
    /// A body broke off.
    BodyFault,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    requests: u32,
    faults: u32,
}

/// What is remembered of one backend. `now` is time since any fixed moment.
#[derive(Debug)]
pub(crate) struct Outlier {
    options: EjectOptions,
    in_a_row: u32,
    bodies_in_a_row: u32,
    window_began: Duration,
    this_window: Seen,
    last_window: Seen,
    /// Ejections so far, as far as the next one is longer for them.
    ejections: u32,
    until: Duration,
}

impl Outlier {
    pub(crate) fn new(options: EjectOptions) -> Self {
        Outlier {
            options,
            in_a_row: 0,
            bodies_in_a_row: 0,
            window_began: Duration::ZERO,
            this_window: Seen::default(),
            last_window: Seen::default(),
            ejections: 0,
            until: Duration::ZERO,
        }
    }

    /// Takes in what happened; why the backend should be ejected, if it should.
    pub(crate) fn record(&mut self, news: News, now: Duration) -> Option<String> {
        self.turn_window(now);
        match news {
            News::Good => {
                self.in_a_row = 0;
                self.this_window.requests += 1;
            }
            News::Fault => {
                self.in_a_row += 1;
                self.this_window.requests += 1;
                self.this_window.faults += 1;
            }
            News::BodyGood => self.bodies_in_a_row = 0,
            News::BodyFault => {
                self.bodies_in_a_row += 1;
                self.this_window.faults += 1;
            }
        }
        match news {
            News::Good | News::BodyGood => None,
            News::Fault | News::BodyFault => self.too_many(),
        }
    }

    fn too_many(&self) -> Option<String> {
        let options = &self.options;
        let row = self.in_a_row.max(self.bodies_in_a_row);
        if options.faults > 0 && row >= options.faults {
            return Some(format!("{row} faults in a row"));
        }
        let requests = u64::from(self.this_window.requests) + u64::from(self.last_window.requests);
        let faults = u64::from(self.this_window.faults) + u64::from(self.last_window.faults);
        let many = options.fault_rate_permille > 0
            && requests >= u64::from(options.requests)
            && faults * 1000 >= u64::from(options.fault_rate_permille) * requests;
        many.then(|| format!("{faults} of {requests} requests failed"))
    }

    fn turn_window(&mut self, now: Duration) {
        let since = now.saturating_sub(self.window_began);
        if since < self.options.window {
            return;
        }
        self.last_window =
            if since < self.options.window * 2 { std::mem::take(&mut self.this_window) } else { Seen::default() };
        self.this_window = Seen::default();
        self.window_began = now;
    }

    /// It is ejected now; when that ends. What was counted is forgotten: it comes back with a clean sheet.
    pub(crate) fn eject(&mut self, now: Duration) -> Duration {
        let options = &self.options;
        if self.ejections > 0 && now >= self.until + options.max_time {
            self.ejections = 0;
        }
        // 2¹⁶ times any time that can be set is beyond every maximum.
        let time = options.time.saturating_mul(1 << self.ejections.min(16)).min(options.max_time);
        self.ejections += 1;
        self.until = now + time;
        (self.in_a_row, self.bodies_in_a_row) = (0, 0);
        (self.this_window, self.last_window) = (Seen::default(), Seen::default());
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn faults(o: &mut Outlier, n: u32, now: Duration) -> Option<String> {
        (0..n).map(|_| o.record(News::Fault, now)).last().flatten()
    }

    #[test]
    fn faults_in_a_row_eject_and_one_good_answer_ends_the_row() {
        let mut o = Outlier::new(EjectOptions { fault_rate_permille: 0, ..EjectOptions::default() });
        assert_eq!(faults(&mut o, 4, s(1)), None);
        assert_eq!(o.record(News::Good, s(1)), None);
        assert_eq!(faults(&mut o, 4, s(2)), None);
        assert_eq!(faults(&mut o, 1, s(2)), Some("5 faults in a row".into()));
    }

    #[test]
    fn bodies_that_break_off_eject_though_their_heads_were_good() {
        let mut o = Outlier::new(EjectOptions { faults: 3, ..EjectOptions::default() });
        let mut why = None;
        for _ in 0..3 {
            assert_eq!(o.record(News::Good, s(1)), None);
            why = o.record(News::BodyFault, s(1));
        }
        assert_eq!(why, Some("3 faults in a row".into()));
        o.eject(s(1));
        o.record(News::BodyFault, s(40));
        o.record(News::BodyGood, s(40));
        o.record(News::BodyFault, s(40));
        assert_eq!(o.record(News::BodyFault, s(40)), None);
    }

    #[test]
    fn a_share_of_faults_ejects_once_there_are_enough_requests() {
        let mut o = Outlier::new(EjectOptions { faults: 0, ..EjectOptions::default() });
        for n in 0..19 {
            let news = if n % 2 == 0 { News::Fault } else { News::Good };
            assert_eq!(o.record(news, s(1)), None, "{n}");
        }
        assert_eq!(o.record(News::Fault, s(1)), Some("11 of 20 requests failed".into()));
        let mut o = Outlier::new(EjectOptions { faults: 0, ..EjectOptions::default() });
        for n in 0..1000 {
            let news = if n % 5 < 2 { News::Fault } else { News::Good };
            assert_eq!(o.record(news, s(1)), None, "40 % are below");
        }
    }

    #[test]
    fn what_is_older_than_two_windows_is_forgotten() {
        let mut o = Outlier::new(EjectOptions { faults: 0, ..EjectOptions::default() });
        assert_eq!(faults(&mut o, 19, s(1)), None);
        assert_eq!(faults(&mut o, 1, s(40)), None, "20 faults, but 19 of them long ago");
        assert_eq!(faults(&mut o, 18, s(41)), None);
        assert_eq!(faults(&mut o, 1, s(51)), Some("20 of 20 requests failed".into()));
    }

    #[test]
    fn each_ejection_is_twice_as_long_up_to_the_maximum_until_it_has_served_that_long() {
        let mut o = Outlier::new(EjectOptions::default());
        let mut now = s(1000);
        let mut lengths = Vec::new();
        for _ in 0..6 {
            let until = o.eject(now);
            lengths.push((until - now).as_secs());
            now = until + s(10);
        }
        assert_eq!(lengths, [30, 60, 120, 240, 300, 300]);
        now += s(300);
        assert_eq!(o.eject(now) - now, s(30));
    }
}
