//! Health probes as a pure core (Varnish's `.probe`): a window of outcomes, a threshold, and when that is a change.
//!
//! Invariant: healthy exactly when at least `threshold` of the last `window` outcomes are good, where before the first
//! probe `initial` good ones are assumed.

use regex::bytes::Regex;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most outcomes a window holds: one bit each in a `u64`, as Varnish does.
pub const WINDOW_MAX: u8 = 64;

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// It asks for something.
    Http(HttpProbe),
    /// It connects: good when somebody listens. Nothing is sent.
    Tcp,
}

/// What an HTTP probe asks for, and which answer is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// The method, GET by default.
    pub method: String,
    /// The request target, `/` by default.
    pub path: String,
    /// The Host field; without one the origin's `host_header` or its address.
    pub host: Option<String>,
    /// The lines of the request head, instead of all the above.
    pub request: Option<Vec<String>>,
    /// The statuses that count as good (200).
    pub expected_status: RangeInclusive<u16>,
    /// What the body must hold, within its first [`BODY_MAX`] bytes.
    pub expected_body: Option<Pattern>,
}

impl Default for HttpProbe {
    fn default() -> Self {
        HttpProbe {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: None,
            request: None,
            expected_status: 200..=200,
            expected_body: None,
        }
    }
}

/// How much of a probe's answer is read for [`HttpProbe::expected_body`]: a health page is a line, not a download.
pub const BODY_MAX: usize = 64 * 1024;

/// A regular expression on bytes. Equal when it is written the same.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it. The owner's fault.
    pub fn new(pattern: &str) -> Result<Self, String> {
        Regex::new(pattern).map(Pattern).map_err(|e| e.to_string())
    }

    pub(crate) fn is_in(&self, body: &[u8]) -> bool {
        self.0.is_match(body)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

/// How an origin is probed. Times are those of Varnish's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOptions {
    /// What a probe does.
    pub kind: ProbeKind,
    /// Time between the starts of two probes (5 s).
    pub interval: Duration,
    /// By how many thousandths that varies, either way (100), so that probes do not fall into step.
    pub jitter_permille: u32,
    /// Time for connect, request and response together (2 s).
    pub timeout: Duration,
    /// How many of the last outcomes count (8; at most 64).
    pub window: u8,
    /// How many of those must be good (3).
    pub threshold: u8,
    /// How many good ones are assumed at start (2: sick at start, healthy after one good probe).
    pub initial: u8,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        ProbeOptions {
            kind: ProbeKind::Http(HttpProbe::default()),
            interval: Duration::from_secs(5),
            jitter_permille: 100,
            timeout: Duration::from_secs(2),
            window: 8,
            threshold: 3,
            initial: 2,
        }
    }
}

/// The last outcomes of one origin's probes.
#[derive(Clone, Debug)]
pub struct ProbeWindow {
    window: u8,
    threshold: u8,
    /// Bit 0 is the newest outcome; 1 is good.
    good: u64,
    /// Which of them really happened; the assumed ones did not.
    seen: u64,
}

/// A change of health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Healthy from now on, or sick?
    pub now_healthy: bool,
    /// The count that made it so, and the outcome of the last probe.
    pub reason: String,
}

impl ProbeWindow {
    /// A window before its first probe. `window` is kept within 1 to 64, the others within the window.
    #[must_use]
    pub fn new(window: u8, threshold: u8, initial: u8) -> Self {
        let window = window.clamp(1, WINDOW_MAX);
        let threshold = threshold.clamp(1, window);
        ProbeWindow { window, threshold, good: mask(initial.min(window)), seen: 0 }
    }

    /// How many of the window are good.
    #[must_use]
    pub fn good(&self) -> u8 {
        u8::try_from(self.good.count_ones()).unwrap_or(WINDOW_MAX)
    }

    /// Are enough of them good?
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.good() >= self.threshold
    }

    /// Takes in one outcome; says so when the health has changed.
    pub fn record(&mut self, ok: bool) -> Option<Transition> {
        let before = self.is_healthy();
        self.good = ((self.good << 1) | u64::from(ok)) & mask(self.window);
        self.seen = ((self.seen << 1) | 1) & mask(self.window);
        let now_healthy = self.is_healthy();
        (now_healthy != before).then(|| Transition { now_healthy, reason: self.summary() })
    }

    /// "3 of the last 8 probes good, 3 needed".
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{} of the last {} probes good, {} needed", self.good(), self.window, self.threshold)
    }

    /// One character per place of the window, oldest first: `.` not probed yet, `x` failed, `X` good.
    #[must_use]
    pub fn strip(&self) -> String {
        let place = |i: u8| match (self.seen >> i & 1, self.good >> i & 1) {
            (0, _) => '.',
            (_, 0) => 'x',
            (_, _) => 'X',
        };
        (0..self.window).rev().map(place).collect()
    }
}

/// The lowest `n` bits.
const fn mask(n: u8) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_good_probe_makes_a_new_origin_healthy_by_default() {
        let mut w = ProbeWindow::new(8, 3, 2);
        assert!(!w.is_healthy());
        assert_eq!(w.strip(), "........");
        let t = w.record(true).expect("a change");
        assert!(t.now_healthy);
        assert_eq!(t.reason, "3 of the last 8 probes good, 3 needed");
        assert_eq!(w.strip(), ".......X");
    }

    #[test]
    fn assumed_probes_leave_the_window_as_real_ones_come() {
        let mut w = ProbeWindow::new(4, 2, 4);
        assert!(w.is_healthy());
        assert_eq!(w.record(false), None);
        assert_eq!(w.record(false), None);
        assert!(!w.record(false).expect("only one good is left").now_healthy);
        assert_eq!((w.good(), w.strip().as_str()), (1, ".xxx"));
        assert_eq!(w.record(true), None);
        assert!(w.record(true).expect("two are good again").now_healthy);
        assert_eq!(w.strip(), "xxXX");
    }

    #[test]
    fn the_largest_window_keeps_all_its_bits() {
        let mut w = ProbeWindow::new(200, 64, 0);
        for n in 0..63 {
            assert_eq!(w.record(true), None, "{n}");
        }
        assert!(w.record(true).expect("the 64th").now_healthy);
        assert!(!w.record(false).expect("63 are too few").now_healthy);
    }

    #[test]
    fn nonsense_is_kept_within_bounds() {
        let w = ProbeWindow::new(0, 9, 9);
        assert_eq!((w.good(), w.is_healthy(), w.strip().as_str()), (1, true, "."));
    }
}
