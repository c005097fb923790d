//! Which requests move when a member of a hashing director comes or goes.

use crate::ask::By;
use crate::dice::Dice;
use crate::director::fake::{Fake, homes};
use crate::director::{DirectorKind, MemberOptions, Rule};

const N: usize = 30_000;

fn run(kind: &DirectorKind, members: &[&str]) -> Vec<usize> {
    let members: Vec<MemberOptions> = members.iter().map(|name| MemberOptions::new(*name, 1)).collect();
    let (rule, field) = (Rule::new(kind, &members, Dice::new(1)), Fake::well(members.len()));
    homes(N, |ask| rule.choose(&field, ask))
}

/// Tenths of a percent of all requests, rounded.
fn permille(n: usize) -> usize {
    (n * 1000 + N / 2) / N
}

pub(super) fn table() -> String {
    let mut out = String::from(
        "| kind | most and least busy of four | moved when one of four goes | its share | moved when a fifth comes |\n\
         |---|---|---|---|---|\n",
    );
    // How far from an even share, in thousandths of all: a ring of n points per member varies by about 1/√n of a share.
    for (kind, uneven_most) in [
        (DirectorKind::Hash { by: By::Url }, 10),
        (DirectorKind::Shard { by: By::Url, replicas: 67, warmup_permille: 0 }, 70),
        (DirectorKind::Shard { by: By::Url, replicas: 500, warmup_permille: 0 }, 30),
    ] {
        let (four, three) = (run(&kind, &["app1", "app2", "app3", "app4"]), run(&kind, &["app1", "app2", "app3"]));
        let five = run(&kind, &["app1", "app2", "app3", "app4", "app5"]);
        let count = |all: &[usize], i: usize| all.iter().filter(|home| **home == i).count();
        let shares = [0, 1, 2, 3].map(|i| permille(count(&four, i)));
        let moved = |after: &[usize]| four.iter().zip(after).filter(|(a, b)| a != b).count();
        assert_eq!(moved(&three), count(&four, 3), "{kind:?}: what app4 had, and nothing else");
        assert_eq!(moved(&five), count(&five, 4), "{kind:?}: what app5 gets, and nothing else");
        assert!(shares.iter().all(|share| share.abs_diff(250) <= uneven_most), "{kind:?}: {shares:?}");
        let (most, least) = (shares.iter().max().unwrap_or(&0), shares.iter().min().unwrap_or(&0));
        let percent = |n: usize| format!("{}.{} %", n / 10, n % 10);
        let name = match &kind {
            DirectorKind::Shard { replicas, .. } => format!("`shard`, {replicas} replicas"),
            other => format!("`{}`", other.as_str()),
        };
        out += &format!(
            "| {name} | {}, {} | {} | {} | {} |\n",
            percent(*most),
            percent(*least),
            percent(permille(moved(&three))),
            percent(shares[3]),
            percent(permille(moved(&five)))
        );
    }
    out
}
