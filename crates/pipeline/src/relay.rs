//! The bytes of a tunnel, both ways, until both sides are done or one has failed.
//!
//! ```text
//! client ─ body, framed anew ─▶ bytes as they are ─▶ end ─▶ the origin is told
//! origin ────────────────────── bytes as they are ─▶ end ─▶ the client is told
//! ```
//!
//! Invariants: one piece in hand for each direction, so a slow reader holds its sender back; a tunnel in which nothing
//! moves ends; every step can be dropped without losing a byte.

use crate::io::{RequestBody, RequestSource, ResponseSink};
use bytes::{Buf, Bytes};
use copal_backend::{Tunnel, TunnelReader, TunnelWriter};
use copal_observe::counters::{Counter, Counters};
use std::time::Duration;

/// How a tunnel came to its end.
pub(crate) enum End {
    /// Both sides were done.
    Over,
    /// The client broke off.
    Client(String),
    /// The origin broke off.
    Origin(String),
    /// Nothing moved for too long, or it lasted as long as it may.
    TimedOut(String),
    /// The client has not been sent a byte yet, and none will come.
    NoAnswer(String),
}

/// What one tunnel may do.
pub(crate) struct Terms {
    /// How long nothing may move in either direction.
    pub(crate) timeout: Duration,
    /// How long it may last; zero: as long as it moves.
    pub(crate) deadline: Duration,
    /// The client has its answer (101); otherwise the first bytes of the origin are that.
    pub(crate) answered: bool,
}

/// What became of it.
pub(crate) struct Relayed {
    pub(crate) end: End,
    /// Bytes that the client sent.
    pub(crate) from_client: u64,
    /// The status in the first line that the origin sent, where that was a status line.
    pub(crate) status: Option<u16>,
}

struct Up {
    /// The request's body comes first.
    in_body: bool,
    ended: bool,
    over: bool,
    bytes: u64,
}

struct Down {
    pending: Bytes,
    answered: bool,
    over: bool,
    status: Option<u16>,
}

/// Moves bytes until the tunnel is over.
pub(crate) async fn relay<R: RequestSource, W: ResponseSink>(
    tunnel: Tunnel,
    (source, sink): (&mut R, &mut W),
    terms: &Terms,
    counters: &Counters,
) -> Relayed {
    let Tunnel { mut reader, mut writer } = tunnel;
    let mut up = Up { in_body: source.kind() != RequestBody::None, ended: false, over: false, bytes: 0 };
    let mut down = Down { pending: Bytes::new(), answered: terms.answered, over: false, status: None };
    let mut deadline = std::pin::pin!(tokio::time::sleep(terms.deadline));
    let end = loop {
        if up.over && down.over {
            break End::Over;
        }
        let moved = tokio::select! {
            moved = up.step(source, &mut writer), if !up.over => moved.map(|n| (n, Counter::PipeBytesFromClients)),
            moved = down.step(&mut reader, sink), if !down.over => moved.map(|n| (n, Counter::PipeBytesToClients)),
            () = tokio::time::sleep(terms.timeout) => {
                Err(down.too_late(format!("nothing moved for {:?}: [pipe] timeout", terms.timeout)))
            }
            () = &mut deadline, if !terms.deadline.is_zero() => {
                Err(down.too_late(format!("it has lasted for {:?}: [pipe] deadline", terms.deadline)))
            }
        };
        match moved {
            Ok((0, _)) => {}
            Ok((n, counter)) => counters.add(counter, n),
            Err(end) => break end,
        }
    };
    Relayed { end, from_client: up.bytes, status: down.status }
}

impl Up {
    /// One step; how many bytes came from the client.
    async fn step<R: RequestSource>(&mut self, source: &mut R, writer: &mut TunnelWriter) -> Result<u64, End> {
        if !writer.is_idle() {
            // What the origin has said before it stopped listening is still the client's: reading tells how it ended.
            self.over = writer.step().await.is_err();
            return Ok(0);
        }
        if self.ended {
            let _broken = writer.finish().await;
            self.over = true;
            return Ok(0);
        }
        let piece = if self.in_body { source.next().await } else { source.next_raw().await };
        let n = match piece {
            Some(Ok(piece)) => {
                if self.in_body {
                    writer.push_body(&piece);
                } else {
                    writer.push(&piece);
                }
                piece.len() as u64
            }
            Some(Err(fault)) => return Err(End::Client(fault.to_string())),
            None if self.in_body => {
                writer.end_body(&source.take_trailers());
                self.in_body = false;
                0
            }
            None => {
                self.ended = true;
                0
            }
        };
        self.bytes += n;
        Ok(n)
    }
}

impl Down {
    /// One step; how many bytes the client took.
    async fn step<W: ResponseSink>(&mut self, reader: &mut TunnelReader, sink: &mut W) -> Result<u64, End> {
        if !self.pending.is_empty() {
            let taken = sink.write_raw(&self.pending).await.map_err(|gone| End::Client(gone.to_string()))?;
            self.pending.advance(taken);
            return Ok(taken as u64);
        }
        match reader.next().await {
            Ok(Some(piece)) => {
                if !self.answered {
                    self.status = status(&piece);
                }
                self.answered = true;
                self.pending = piece;
            }
            Ok(None) if !self.answered => {
                return Err(End::NoAnswer("the origin closed the connection before it answered".to_owned()));
            }
            Ok(None) => {
                sink.finish_raw().await.map_err(|gone| End::Client(gone.to_string()))?;
                self.over = true;
            }
            Err(error) if !self.answered => return Err(End::NoAnswer(error.to_string())),
            Err(error) => return Err(End::Origin(error.to_string())),
        }
        Ok(0)
    }

    fn too_late(&self, why: String) -> End {
        if self.answered { End::TimedOut(why) } else { End::NoAnswer(why) }
    }
}

/// The status of what begins like a response of HTTP/1.
fn status(first: &[u8]) -> Option<u16> {
    let digits = first.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_the_first_bytes_if_they_are_a_status_line() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some(200));
        for other in [&b"HTTP/1.1 2"[..], b"RTSP/1.0 200 OK", b"", b"HTTP/1.1 abc", b"HTTP/1.1 999"] {
            assert_eq!(status(other), None, "{other:?}");
        }
    }
}
