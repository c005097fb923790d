//! retry: once more, a limited number of times, and never with a request body that is already spent.

use super::{Failure, Job, Next};
use copal_observe::counters::Counter;

pub(super) fn run(job: &mut Job) -> Next {
    let retries = job.scene().bereq_vars.retries;
    let spent = job.upload_spent;
    // That the whole is wanted instead of a part is no retry of the policy's, and happens once.
    let own = std::mem::take(&mut job.plan.whole_again);
    if (retries >= job.worker.core.settings.max_retries && !own) || spent {
        job.retries_over = true;
        let text =
            if spent { "no retry: the request body is already spent" } else { "no more retries: [policy] max_retries" };
        return Next::BackendError(Failure::Policy { status: 503, reason: text.to_owned() });
    }
    job.count(Counter::FetchRetries);
    let scene = job.scene_mut();
    scene.bereq_vars.retries = retries + 1;
    scene.beresp.clear();
    scene.beresp_vars = Default::default();
    Next::BackendFetch
}
