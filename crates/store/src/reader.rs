//! One reader of a body: takes the bytes in order, as they come or from where they are kept.
//!
//! Invariants: no byte is skipped or given twice; `None` means that the body is complete and all of it was given; after
//! a fault every further call gives the fault again.

use crate::body::{Body, BodyFault, Sealed};
use crate::live::{Live, Step};
use bytes::Bytes;
use copal_semantics::headers::Headers;
use std::pin::pin;
use std::sync::Arc;

/// Reads one body. Any number may read the same body at once, on any runtime.
#[derive(Debug)]
pub struct Reader {
    body: Arc<Body>,
    live: Option<(Arc<Live>, usize)>,
    offset: u64,
}

impl Reader {
    pub(crate) fn of_live(body: Arc<Body>, live: Arc<Live>, id: usize, offset: u64) -> Self {
        Reader { body, live: Some((live, id)), offset }
    }

    pub(crate) fn of_sealed(body: Arc<Body>, offset: u64) -> Self {
        Reader { body, live: None, offset }
    }

    /// The next bytes, never empty; waits for them. `None` is the proper end.
    ///
    /// Cancel-safe: what was not returned is given by the next call.
    ///
    /// # Errors
    /// The fault that ended the body early. It is the client's to see: the response must not end as if it were whole.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyFault>> {
        loop {
            match self.step() {
                Step::Wait => {}
                done => return Self::given(done),
            }
            match self.look_again_or_wait().await {
                Step::Wait => {}
                done => return Self::given(done),
            }
        }
    }

    /// After a look that found nothing. Looks again once it is sure to be woken, so that what came in between is not
    /// missed; `Wait` when it was woken and is to look once more.
    async fn look_again_or_wait(&mut self) -> Step {
        // Waiting without a live part cannot be; should it ever, it is a fault and never a clean end.
        let Some((live, _)) = self.live.clone() else { return Step::Fault(BodyFault::Stopped) };
        let mut more = pin!(live.readable.notified());
        more.as_mut().enable();
        match self.step() {
            Step::Wait => {
                more.await;
                Step::Wait
            }
            done => done,
        }
    }

    /// The next bytes if they are there: `None` means "would wait".
    pub fn try_next(&mut self) -> Option<Option<Result<Bytes, BodyFault>>> {
        match self.step() {
            Step::Wait => None,
            done => Some(Self::given(done)),
        }
    }

    /// Where the next byte is, from the start of the body.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The body that is read.
    #[must_use]
    pub fn body(&self) -> &Arc<Body> {
        &self.body
    }

    /// The trailers, after the end.
    #[must_use]
    pub fn trailers(&self) -> Option<Headers> {
        let of_window = || self.live.as_ref().and_then(|(live, _)| live.trailers());
        self.body.trailers().cloned().or_else(of_window)
    }

    fn given(step: Step) -> Option<Result<Bytes, BodyFault>> {
        match step {
            Step::Data(bytes) => Some(Ok(bytes)),
            Step::Fault(fault) => Some(Err(fault)),
            Step::End | Step::Wait => None,
        }
    }

    fn step(&mut self) -> Step {
        let step = match (self.body.sealed(), &self.live) {
            (Some(sealed), _) => of_sealed(sealed, &self.body, self.offset),
            (None, Some((live, id))) => match live.step(&self.body, *id, self.offset) {
                // Sealed between the two looks: the bytes have moved there.
                Step::End => match self.body.sealed() {
                    Some(sealed) => of_sealed(sealed, &self.body, self.offset),
                    None => Step::End,
                },
                step => step,
            },
            // Without a live part a body is sealed; should that ever fail, it is a fault and never a clean end.
            (None, None) => Step::Fault(BodyFault::Stopped),
        };
        if let Step::Data(bytes) = &step {
            self.offset += bytes.len() as u64;
        }
        step
    }
}

fn of_sealed(sealed: &Sealed, body: &Arc<Body>, offset: u64) -> Step {
    let from = |start: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
    match sealed {
        Sealed::One(bytes) if offset >= bytes.len() as u64 => Step::End,
        Sealed::One(_) => Step::Data(body.whole().unwrap_or_default().slice(from(0)..)),
        Sealed::Large(large) => match large.whole() {
            Some(many) if offset >= many.len => Step::End,
            Some(many) => {
                let (at, chunk) = &many.chunks[many.chunks.partition_point(|(at, _)| *at <= offset) - 1];
                Step::Data(chunk.slice(from(*at)..))
            }
            // Parts have no reader of their own; should one ever come here, it never sees a clean end.
            None => Step::Fault(BodyFault::Stopped),
        },
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some((live, id)) = &self.live {
            live.detach(&self.body, *id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, StoreOptions};
    use std::time::Duration;

    #[tokio::test]
    async fn what_comes_between_looking_and_waiting_is_not_missed() {
        let store = Store::new(StoreOptions::default());
        let (mut reader, mut writer) = store.transit_body(100);
        assert!(matches!(reader.step(), Step::Wait));
        writer.push(Bytes::from_static(b"x")).await.expect("read");
        let step = tokio::time::timeout(Duration::from_secs(5), reader.look_again_or_wait()).await;
        assert!(matches!(step, Ok(Step::Data(_))));
        assert!(matches!(reader.step(), Step::Wait));
        writer.finish(None);
        let step = tokio::time::timeout(Duration::from_secs(5), reader.look_again_or_wait()).await;
        assert!(matches!(step, Ok(Step::End)));
    }
}
