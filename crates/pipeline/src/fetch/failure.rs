//! Why a fetch has no response, whose fault that is, and what the client is told.

use super::{Event, Job, Next};
use copal_backend::{Blame, Fault, Phase};
use copal_observe::access_log::FaultWords;
use copal_policy::{Action, Hook};
use copal_semantics::proxy_status::ProxyError;
use copal_store::BodyFault;
use std::fmt;

/// Why there is no response.
pub(crate) enum Failure {
    /// The origin, or the way to it.
    Origin(Fault),
    /// The origin answered something that cannot be used.
    BadAnswer(&'static str),
    /// The origin answered with a status that a stale object covers (RFC 5861 §4).
    Status(u16),
    /// It failed before, and may not be tried again.
    NoRetry(&'static str),
    /// The policy said error(status, reason); `instead_of_fault`: of an answer that is an error itself (RFC 5861 §4).
    Policy { status: u16, reason: String, instead_of_fault: bool },
    /// The policy's own fault, or fail().
    Script(String),
}

impl Failure {
    /// An action that this hook's step does not carry out.
    pub(super) fn from_action(hook: Hook, action: &Action) -> Failure {
        Failure::Script(match action {
            Action::Fail { reason } if reason.is_empty() => format!("hook `{}` said fail()", hook.name()),
            Action::Fail { reason } => format!("hook `{}`: {reason}", hook.name()),
            other => format!("hook `{}` returned {other:?}, which cannot be carried out there", hook.name()),
        })
    }

    /// The status of the page.
    pub(super) fn status(&self) -> u16 {
        match self {
            Failure::Origin(fault) => fault.status(),
            Failure::BadAnswer(_) => 502,
            Failure::Status(status) | Failure::Policy { status, .. } => *status,
            Failure::Script(_) | Failure::NoRetry(_) => 503,
        }
    }

    /// The reason phrase of the page; empty for the standard one.
    pub(super) fn reason_phrase(&self) -> String {
        match self {
            Failure::Policy { reason, .. } => reason.clone(),
            Failure::Script(_) => "Policy fault".to_owned(),
            Failure::Origin(_) | Failure::BadAnswer(_) | Failure::Status(_) | Failure::NoRetry(_) => String::new(),
        }
    }

    /// What Proxy-Status says of it (RFC 9209 §2.3).
    pub(super) fn error(&self) -> ProxyError {
        match self {
            Failure::Origin(fault) => fault.error(),
            Failure::BadAnswer(_) | Failure::Status(_) => ProxyError::HttpProtocolError,
            Failure::NoRetry(_) => ProxyError::DestinationUnavailable,
            Failure::Policy { .. } => ProxyError::ProxyInternalResponse,
            Failure::Script(_) => ProxyError::ProxyInternalError,
        }
    }

    /// The same for the log, with its phase and whose fault it is.
    pub(super) fn words(&self) -> FaultWords {
        let (phase, by) = match self {
            Failure::Origin(fault) => (fault.phase.as_str(), fault.blame()),
            Failure::BadAnswer(_) | Failure::Status(_) => (Phase::Head.as_str(), Blame::Origin),
            Failure::NoRetry(_) => ("policy", Blame::Origin),
            Failure::Policy { .. } | Failure::Script(_) => ("policy", Blame::Owner),
        };
        // After an answer, or a word of the policy, nobody can tell what was done.
        let retry_safe = matches!(self, Failure::Origin(fault) if fault.retry_safe);
        FaultWords { phase, error: self.error().token(), by: by.as_str(), retry_safe }
    }

    /// The status that the origin did answer with.
    pub(super) fn answered(&self) -> Option<u16> {
        match self {
            Failure::Status(status) => Some(*status),
            Failure::Origin(_)
            | Failure::BadAnswer(_)
            | Failure::NoRetry(_)
            | Failure::Policy { .. }
            | Failure::Script(_) => None,
        }
    }

    /// May a stale object be served instead? For faults of the origin, in whatever words the policy puts them; an error that
    /// is the policy's alone is what it wants, and gets.
    pub(super) fn stale_covers(&self) -> bool {
        match self {
            Failure::Origin(_) | Failure::BadAnswer(_) | Failure::Status(_) | Failure::NoRetry(_) => true,
            Failure::Policy { instead_of_fault, .. } => *instead_of_fault,
            Failure::Script(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Origin(fault) => fault.fmt(f),
            Failure::BadAnswer(text) | Failure::NoRetry(text) => f.write_str(text),
            Failure::Status(status) => write!(f, "the origin answered {status}"),
            Failure::Policy { status, reason, .. } => write!(f, "the policy said error({status}, {reason:?})"),
            Failure::Script(text) => f.write_str(text),
        }
    }
}

impl Job {
    /// The policy wants no answer: the client gets a 503, a background fetch just ends.
    pub(super) fn abandon(&mut self, hook: &str) -> Next {
        if let Some(guard) = self.guard.take() {
            guard.fail();
        }
        self.tell(Event::Abandoned(format!("hook `{hook}` said abandon()")));
        Next::Done
    }
}

/// The words of a body that broke off on its way through the store.
pub(crate) fn words_of_body(fault: BodyFault) -> FaultWords {
    let error = match fault {
        BodyFault::Truncated => ProxyError::HttpResponseIncomplete,
        BodyFault::Malformed => ProxyError::HttpResponseTransferCoding,
        BodyFault::TimedOut => ProxyError::ConnectionReadTimeout,
        BodyFault::Broken => ProxyError::ConnectionTerminated,
        BodyFault::Stopped => {
            let (phase, error) = (Phase::Body.as_str(), ProxyError::ProxyInternalError.token());
            return FaultWords { phase, error, by: Blame::Copal.as_str(), retry_safe: false };
        }
    };
    // Some of it has gone to the client.
    FaultWords { phase: Phase::Body.as_str(), error: error.token(), by: Blame::Origin.as_str(), retry_safe: false }
}
