//! retry: once more, a limited number of times, and never with a request body that is already spent. After a fault or a 5xx it
//! needs a place in the retry budget, so that a policy that retries does not multiply an outage.

use super::{Failure, Job, Next};
use copal_observe::counters::Counter;

pub(super) fn run(job: &mut Job) -> Next {
    let retries = job.scene().bereq_vars.retries;
    // That the whole is wanted instead of a part is no retry of the policy's, and happens once.
    let own = std::mem::take(&mut job.plan.whole_again);
    let refused = if job.upload_spent {
        Some("no retry: the request body is already spent")
    } else if retries >= job.worker.core.settings.max_retries && !own {
        Some("no more retries: [policy] max_retries")
    } else if job.scene().beresp.status >= 500 && !job.has_budget() {
        Some("no retry: the retry budget is used up")
    } else {
        None
    };
    if let Some(text) = refused {
        job.retries_over = true;
        return Next::BackendError(Failure::NoRetry(text));
    }
    job.count(Counter::FetchRetries);
    let scene = job.scene_mut();
    scene.bereq_vars.retries = retries + 1;
    scene.beresp.clear();
    scene.beresp_vars = Default::default();
    Next::BackendFetch
}

impl Job {
    /// Takes one retry out of the budget of whom the request goes to; false when there is none.
    pub(super) fn has_budget(&mut self) -> bool {
        let has = self.worker.core.backends.may_retry(self.scene().bereq_vars.backend.as_deref());
        if !has {
            self.budget_used_up = true;
            self.count(Counter::FetchRetriesRefused);
        }
        has
    }
}
