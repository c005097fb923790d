//! The stories, what must come of them, and the tables of the guide.

use super::{Script, Server, UP, moves};
use crate::ask::By;
use crate::director::DirectorKind;
use crate::latency::DECAY;
use crate::outlier::EjectOptions;
use std::time::Duration;

fn kinds() -> Vec<DirectorKind> {
    vec![
        DirectorKind::RoundRobin,
        DirectorKind::Random,
        DirectorKind::LeastConnections,
        DirectorKind::PeakEwma { decay: DECAY },
        DirectorKind::Hash { by: By::Url },
        DirectorKind::Shard { by: By::Url, replicas: 500, warmup_permille: 0 },
        DirectorKind::Split { by: By::Client },
        DirectorKind::Fallback { sticky: false },
    ]
}

fn percent(share: f64) -> String {
    format!("{share:.0} %")
}

/// Shares by weight, 3 to 2 to 1, of servers that take longer the more they have to do.
fn weights() -> String {
    let mut out = String::from("| kind | app1 (weight 3) | app2 (2) | app3 (1) |\n|---|---|---|---|\n");
    for kind in kinds() {
        // As strong as their weights.
        let strength = [3.0, 2.0, 1.0];
        let script = Script { weights: vec![3, 2, 1], seconds: 20, ..Script::new(kind.clone()) };
        let log = script.run(|i, _| Server::Up(10.0, 1.0 / strength[i]));
        let shares = [0, 1, 2].map(|i| log.share(i, 2..20));
        let (wanted, off) = match kind {
            DirectorKind::Fallback { .. } => ([100.0, 0.0, 0.0], 0.1),
            // By chance and by rings; by latency the shares are what makes the servers equally fast.
            DirectorKind::Shard { .. } => ([50.0, 33.3, 16.7], 3.0),
            DirectorKind::PeakEwma { .. } | DirectorKind::LeastConnections => ([50.0, 33.3, 16.7], 6.0),
            _ => ([50.0, 33.3, 16.7], 1.0),
        };
        for (share, wanted) in shares.iter().zip(wanted) {
            assert!((share - wanted).abs() <= off, "{kind:?}: {shares:?}");
        }
        let [a, b, c] = shares.map(percent);
        out += &format!("| `{}` | {a} | {b} | {c} |\n", kind.as_str());
    }
    out
}

/// One of three is down for twenty seconds, and comes back over a ramp of ten.
fn outage() -> String {
    let mut out = String::from(
        "| kind | share of app1 before | failed until it was out | its share then | 0 to 1 s after | 5 to 6 s | after 10 s |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for kind in kinds() {
        let script = Script { slow_start: Duration::from_secs(10), ..Script::new(kind.clone()) };
        let log = script.run(|i, second| if i == 0 && (20..40).contains(&second) { Server::Down } else { UP });
        // Probes each second: six of eight bad ones take it out, three good ones bring it back.
        let back = 42;
        let [before, out_of, first, half, whole] =
            [5..20, 27..40, back..back + 1, back + 5..back + 6, back + 10..60].map(|range| log.share(0, range));
        let failed = log.failed(20..27);
        if !matches!(kind, DirectorKind::Fallback { .. }) {
            assert!(
                failed <= 1750,
                "{kind:?}: no more than its share, though it fails so fast that it always looks idle: {failed}"
            );
        }
        assert_eq!((log.failed(0..20), log.failed(27..60)), (0, 0), "{kind:?}: only until the probes have seen it");
        assert!(out_of == 0.0, "{kind:?}: {out_of}");
        let ramped = match kind {
            DirectorKind::Fallback { .. } | DirectorKind::Split { .. } => {
                assert!((first - before).abs() < 2.5 && (whole - before).abs() < 2.5, "{kind:?}: no ramp");
                false
            }
            _ => true,
        };
        if ramped {
            assert!(first < before * 0.25, "{kind:?}: it begins with a tenth: {first} of {before}");
            assert!(half > first && half < before * 0.8, "{kind:?}: {half}");
            assert!((whole - before).abs() < before * 0.1, "{kind:?}: and has all of it then: {whole} of {before}");
        }
        let shown = [before, out_of, first, half, whole].map(percent);
        out += &format!(
            "| `{}` | {} | {failed} | {} | {} | {} | {} |\n",
            kind.as_str(),
            shown[0],
            shown[1],
            shown[2],
            shown[3],
            shown[4]
        );
    }
    out
}

/// One of three is ten times slower than the others.
fn slow() -> String {
    let mut out = String::from("| kind | share of the slow one | mean answer |\n|---|---|---|\n");
    let mut means = Vec::new();
    for kind in kinds() {
        let log = Script { seconds: 30, ..Script::new(kind.clone()) }
            .run(|i, _| if i == 2 { Server::Up(100.0, 0.0) } else { UP });
        let share = log.share(2, 5..30);
        match kind {
            DirectorKind::LeastConnections | DirectorKind::PeakEwma { .. } => {
                assert!(share < 10.0, "{kind:?} sees it: {share}");
            }
            DirectorKind::Fallback { .. } => {}
            _ => assert!((share - 33.3).abs() < 3.0, "{kind:?} does not look: {share}"),
        }
        means.push((kind.as_str(), log.mean_ms()));
        out += &format!("| `{}` | {share:.1} % | {:.0} ms |\n", kind.as_str(), log.mean_ms());
    }
    out
}

/// One of three takes a second for each answer for ten seconds, and is well again then.
fn recovery() -> String {
    let mut out = String::from(
        "| kind | its share before | meanwhile | 0 to 5 s after | 5 to 10 s | 10 to 20 s | 20 to 30 s | 30 to 40 s |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let peak = |seconds| {
        (DirectorKind::PeakEwma { decay: Duration::from_secs(seconds) }, format!(", `decay = \"{seconds}s\"`"))
    };
    for (kind, how) in [(DirectorKind::LeastConnections, String::new()), peak(2), peak(10), peak(30)] {
        let log = Script { seconds: 70, ..Script::new(kind.clone()) }.run(|i, second| match (i, second) {
            (0, 20..30) => Server::Up(1000.0, 0.0),
            _ => UP,
        });
        let shares = [5..20, 21..30, 30..35, 35..40, 40..50, 50..60, 60..70].map(|range| log.share(0, range));
        assert!(shares[1] < 3.0, "{kind:?}: it is left alone while it is slow: {shares:?}");
        if let DirectorKind::PeakEwma { decay } = kind {
            // One decay time, and what was still under way.
            let then = log.share(0, 30 + usize::try_from(decay.as_secs()).expect("few") + 2..70);
            assert!((then - shares[0]).abs() < shares[0] * 0.1, "{kind:?}: {then} of {shares:?}");
        }
        let shown: Vec<String> = shares.iter().map(|share| format!(" {} |", percent(*share))).collect();
        out += &format!("| `{}`{how} |{}\n", kind.as_str(), shown.concat());
    }
    out
}

/// Backends whose probes are good and whose requests all fail: how many are left out at a time.
fn ejections() -> String {
    let mut out = String::from(
        "| backends | that fail | `max_ejected` | ejected at a time | requests that failed, of 10 s |\n|---|---|---|---|---|\n",
    );
    for (n, broken, cap, most) in [
        (2, 1, 500, 1),
        (2, 2, 500, 1),
        (3, 1, 500, 1),
        (3, 2, 500, 1),
        (4, 3, 500, 2),
        (4, 3, 750, 3),
        (3, 1, 100, 0),
        (3, 3, 1000, 3),
    ] {
        let script = Script {
            weights: vec![1; n],
            eject: Some(EjectOptions { time: Duration::from_secs(60), ..EjectOptions::default() }),
            max_ejected_permille: cap,
            seconds: 10,
            ..Script::new(DirectorKind::RoundRobin)
        };
        let log = script.run(|i, _| if i < broken { Server::Broken } else { UP });
        let ejected = log.ejected.iter().copied().max().unwrap_or(0);
        assert_eq!(ejected, most, "{broken} of {n}, {cap}");
        let failed = log.failed(0..10);
        if broken <= most && broken < n {
            assert!(failed <= 5 * broken as u64, "five in a row each, then none: {failed}");
        }
        out += &format!("| {n} | {broken} | {} % | {ejected} | {failed} |\n", cap / 10);
    }
    out
}

#[test]
fn an_ejected_backend_comes_back_for_longer_and_longer_times_between() {
    let script = Script {
        eject: Some(EjectOptions::default()),
        seconds: 300,
        rate: 200,
        ..Script::new(DirectorKind::RoundRobin)
    };
    let log = script.run(|i, _| if i == 0 { Server::Broken } else { UP });
    // Thirty seconds, sixty, a hundred and twenty: it is tried again at 30, 90 and 210.
    let tried: Vec<usize> = (0..300).filter(|second| log.sent[*second][0] > 0).collect();
    assert_eq!(tried, [0, 30, 90, 210], "five requests each time");
    assert_eq!(log.failed(0..300), 4 * 5);
}

#[test]
fn a_sticky_fallback_stays_where_it_has_come_to() {
    for (sticky, after) in [(false, 100.0), (true, 0.0)] {
        let script = Script::new(DirectorKind::Fallback { sticky });
        let log = script.run(|i, second| if i == 0 && (10..20).contains(&second) { Server::Down } else { UP });
        assert_eq!((log.share(0, 0..10), log.share(1, 17..20), log.share(0, 30..60)), (100.0, 100.0, after));
    }
}

#[test]
fn with_nobody_left_everything_fails_and_all_is_well_again_afterwards() {
    for kind in kinds() {
        let log = Script { seconds: 40, ..Script::new(kind.clone()) }
            .run(|_, second| if (10..20).contains(&second) { Server::Down } else { UP });
        assert_eq!((log.failed(0..10), log.failed(10..20), log.failed(24..40)), (0, 10_000, 0), "{kind:?}");
    }
}

/// What stands between the markers of docs/guide/backends.md is what the simulator finds.
#[test]
fn the_tables_of_the_guide_are_those_of_the_simulator() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/backends.md");
    let mut guide = std::fs::read_to_string(&path).expect("the guide");
    for (name, table) in [
        ("moves", moves::table()),
        ("weights", weights()),
        ("outage", outage()),
        ("slow", slow()),
        ("recovery", recovery()),
        ("ejections", ejections()),
    ] {
        let (begin, end) = (format!("<!-- simulated: {name} -->\n"), "<!-- end -->");
        let start = guide.find(&begin).unwrap_or_else(|| panic!("no marker {begin}")) + begin.len();
        let length = guide[start..].find(end).expect("an end");
        if std::env::var_os("COPAL_BLESS").is_some() {
            guide.replace_range(start..start + length, &table);
        } else {
            assert_eq!(&guide[start..start + length], table, "COPAL_BLESS=1 writes the table {name} anew");
        }
    }
    if std::env::var_os("COPAL_BLESS").is_some() {
        std::fs::write(path, guide).expect("the guide can be written");
    }
}
