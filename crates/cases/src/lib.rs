//! Policy cases (`copal test`): Markdown that is documentation and test at once, run without a network in virtual time.
//!
//! ```text
//! cases.md ─▶ markdown ─▶ parse ─▶ Case { set-up, steps } ─▶ run ─▶ Outcome ─▶ report (text, JSON, JUnit, coverage)
//!
//! run: client ══ memory ══ HTTP front ── the two machines ── fetch ══ memory ══ scripted origin
//!      └──────────────── one thread, tokio's paused time; the wall clock follows it ───────────┘
//! ```
//!
//! * Everything between the two ends is what serves in production: front, machines, store, policy, fetches, framing.
//! * A case starts with an empty cache at the same moment and with the same random numbers: it gives the same result
//!   each time. What waits costs nothing: when nobody has anything to do, the time is the next timer's.
//! * The grammar of the blocks is `docs/guide/policy-cases.md`, which is itself run as a test.

pub mod case;
mod find;
pub mod markdown;
pub mod parse;
pub mod report;
pub mod run;

pub use case::{Case, File};
pub use find::find;
pub use run::{Failure, Outcome, Suite};
