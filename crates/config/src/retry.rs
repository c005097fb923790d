//! When a failed request is sent again, and copies of requests for a backend that is only watched.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::values::View;

/// `[retry]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retry {
    /// How often a request is sent to another backend; 0 is never.
    pub attempts: u32,
    /// Answers after which an idempotent one is.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// Thousandths of the requests that may be sent again.
    pub budget_permille: u32,
    /// How many more, per second.
    pub per_second: u32,
    /// How many bytes of a request's body are kept for it.
    pub body_size: usize,
}

impl Retry {
    pub(crate) fn assemble(view: &View<'_>) -> Retry {
        Retry {
            attempts: view.count("attempts"),
            statuses: view.status_list("statuses"),
            budget_permille: view.percent("budget"),
            per_second: view.count("per_second"),
            body_size: bytes(view, "body_size"),
        }
    }
}

/// `[shadow]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shadow {
    /// Who gets the copies, if anybody; it exists.
    pub to: Option<String>,
    /// Thousandths of the requests that are copied.
    pub share_permille: u32,
    /// Most at a time.
    pub running: usize,
    /// Largest request body that is copied, in bytes.
    pub body_size: usize,
    /// How many bytes of an answer are read.
    pub response_size: usize,
    /// How long one may take.
    pub timeout: Duration,
}

impl Shadow {
    pub(crate) fn assemble(view: &View<'_>) -> Shadow {
        Shadow {
            to: view.text("to"),
            share_permille: view.percent("share"),
            running: usize::try_from(view.count("running")).unwrap_or(usize::MAX),
            body_size: bytes(view, "body_size"),
            response_size: bytes(view, "response_size"),
            timeout: view.duration("timeout"),
        }
    }
}

fn bytes(view: &View<'_>, leaf: &str) -> usize {
    usize::try_from(view.size(leaf)).unwrap_or(usize::MAX)
}
