//! Waiting in tests: a condition polled until a deadline, so that no test hangs and none sleeps longer than needed.

use copal_observe::clock::ticks;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::Duration;

/// How long the kit waits for what should happen at once. Long, because test machines are slow and shared; it costs
/// nothing where the test passes.
pub const PATIENCE: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(10);

/// Asks every 10 ms until `ask` has an answer; `None` after `within`. Asks at least once.
pub fn poll<T>(within: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = ticks();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if begun.elapsed() >= within {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// [`poll`] until `condition` holds; panics with `what` after `within`.
#[track_caller]
pub fn until(within: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    assert!(poll(within, || condition().then_some(())).is_some(), "not within {within:?}: {what}");
}

/// Waits for a child process to end; `None` when it still runs after `within`.
pub fn exit(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    poll(within, || child.try_wait().expect("the child is ours to wait for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_ends_with_the_answer_or_at_the_deadline() {
        let mut asked = 0;
        let answer = poll(PATIENCE, || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer, Some(3));
        assert_eq!(poll(Duration::from_millis(1), || None::<()>), None);
    }
}
