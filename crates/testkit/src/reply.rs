//! What the scripted origin answers: a head and then steps on raw bytes, so that every fault can be played.

use std::time::Duration;
use tokio::sync::watch;

/// Holds an origin back until the test releases it, or drops it.
#[derive(Debug)]
#[must_use = "a gate that is dropped is open"]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate, to be put into replies with [`Reply::wait`].
    pub fn closed() -> Gate {
        Gate(watch::Sender::new(false))
    }

    /// Lets everything pass, now and later.
    pub fn release(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn handle(&self) -> GateHandle {
        GateHandle(self.0.subscribe())
    }
}

/// What waits at a [`Gate`].
#[derive(Clone, Debug)]
pub(crate) struct GateHandle(watch::Receiver<bool>);

impl GateHandle {
    pub(crate) async fn passed(&mut self) {
        let _ = self.0.wait_for(|open| *open).await; // an error: the gate was dropped, and so is open
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(GateHandle),
    Pause(Duration),
    Close,
    Reset,
    Never,
}

#[derive(Clone, Debug)]
struct Head {
    status: u16,
    fields: Vec<(String, String)>,
}

/// One answer. Build it from a constructor, then add fields and steps. The connection is kept alive after it, unless a
/// step ends it or the request said `Connection: close`.
#[derive(Clone, Debug)]
pub struct Reply {
    head: Option<Head>,
    steps: Vec<Step>,
}

impl Reply {
    /// 200 with that body and its Content-Length.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
        Reply::status(200, body)
    }

    /// Any status with that body and its Content-Length (which 204 and 304 do not get).
    #[must_use]
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        let body = body.into();
        let reply = Reply::head(status);
        if matches!(status, 204 | 304) { reply } else { reply.header("Content-Length", body.len()).send(body) }
    }

    /// A head with no framing of its own: add fields, then [`send`](Self::send) the body.
    #[must_use]
    pub fn head(status: u16) -> Reply {
        Reply { head: Some(Head { status, fields: Vec::new() }), steps: Vec::new() }
    }

    /// Exactly these bytes, head and all, whatever was asked.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply { head: None, steps: vec![Step::Send(bytes.into())] }
    }

    /// 200 with Transfer-Encoding: chunked and nothing sent yet: add [`chunk`](Self::chunk)s, waits and
    /// [`end_chunks`](Self::end_chunks).
    #[must_use]
    pub fn stream() -> Reply {
        Reply::head(200).header("Transfer-Encoding", "chunked")
    }

    /// 200 with these chunks, well ended.
    #[must_use]
    pub fn chunked<B: AsRef<[u8]>>(pieces: &[B]) -> Reply {
        pieces.iter().fold(Reply::stream(), |reply, piece| reply.chunk(piece)).end_chunks()
    }

    /// 200 whose body ends when the connection does.
    #[must_use]
    pub fn until_close(body: impl Into<Vec<u8>>) -> Reply {
        Reply::head(200).header("Connection", "close").send(body).close()
    }

    /// 200 that declares `declared` bytes, sends `body` and closes.
    #[must_use]
    pub fn short_body(body: impl Into<Vec<u8>>, declared: usize) -> Reply {
        Reply::head(200).header("Content-Length", declared).send(body).close()
    }

    /// 200 with one good chunk and then one whose size is no number.
    #[must_use]
    pub fn bad_chunk(good: impl AsRef<[u8]>) -> Reply {
        Reply::stream().chunk(good).send("zz\r\nbad\r\n0\r\n\r\n")
    }

    /// Bytes that are no HTTP; then closes.
    #[must_use]
    pub fn garbage() -> Reply {
        Reply::raw(b"\x16\x03\x01 this is no HTTP\r\n\r\n\0\xff".to_vec()).close()
    }

    /// Never answers, and keeps the connection open.
    #[must_use]
    pub fn silence() -> Reply {
        Reply { head: None, steps: vec![Step::Never] }
    }

    /// Closes without a byte.
    #[must_use]
    pub fn hang_up() -> Reply {
        Reply { head: None, steps: vec![Step::Close] }
    }

    /// Adds a field to the head. Panics for a reply without one.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Reply {
        let head = self.head.as_mut().expect("a raw reply has its fields in its bytes");
        head.fields.push((name.to_owned(), value.to_string()));
        self
    }

    /// Then sends these bytes as they are.
    #[must_use]
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Reply {
        self.step(Step::Send(bytes.into()))
    }

    /// Then sends these bytes in pieces, with a pause after each.
    #[must_use]
    pub fn send_slowly(self, bytes: impl AsRef<[u8]>, piece: usize, pause: Duration) -> Reply {
        bytes.as_ref().chunks(piece.max(1)).fold(self, |reply, piece| reply.send(piece).pause(pause))
    }

    /// Then sends these bytes as a chunk.
    #[must_use]
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Reply {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(chunk)
    }

    /// Then sends the last chunk.
    #[must_use]
    pub fn end_chunks(self) -> Reply {
        self.send("0\r\n\r\n")
    }

    /// Then waits until the gate is released.
    #[must_use]
    pub fn wait(self, gate: &Gate) -> Reply {
        self.step(Step::Wait(gate.handle()))
    }

    /// Then does nothing for that long.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Reply {
        self.step(Step::Pause(pause))
    }

    /// Then closes the connection.
    #[must_use]
    pub fn close(self) -> Reply {
        self.step(Step::Close)
    }

    /// Then resets the connection (RST).
    #[must_use]
    pub fn reset(self) -> Reply {
        self.step(Step::Reset)
    }

    /// Then does nothing for ever, with the connection open.
    #[must_use]
    pub fn never(self) -> Reply {
        self.step(Step::Never)
    }

    fn step(mut self, step: Step) -> Reply {
        self.steps.push(step);
        self
    }

    /// The steps on the wire, head first. An answer to HEAD sends no body, unless it is raw.
    pub(crate) fn into_steps(self, to_head: bool) -> Vec<Step> {
        let Some(head) = self.head else { return self.steps };
        let mut bytes = format!("HTTP/1.1 {} Scripted\r\n", head.status);
        for (name, value) in &head.fields {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str("\r\n");
        let body = self.steps.into_iter().filter(|step| !(to_head && matches!(step, Step::Send(_))));
        // Head and first piece in one write: what most servers do, and a test of it the other way says `pause`.
        let mut steps = vec![Step::Send(bytes.into_bytes())];
        for step in body {
            match (steps.as_mut_slice(), step) {
                ([Step::Send(first)], Step::Send(more)) => first.extend(more),
                (_, step) => steps.push(step),
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(reply: Reply, to_head: bool) -> String {
        let steps = reply.into_steps(to_head).into_iter();
        let sent = steps.filter_map(|step| if let Step::Send(bytes) = step { Some(bytes) } else { None });
        String::from_utf8(sent.flatten().collect()).unwrap()
    }

    #[test]
    fn replies_are_the_bytes_that_they_say() {
        let ok = Reply::ok("hi").header("ETag", "\"1\"");
        assert_eq!(bytes(ok.clone(), false), "HTTP/1.1 200 Scripted\r\nContent-Length: 2\r\nETag: \"1\"\r\n\r\nhi");
        assert!(bytes(ok, true).ends_with("\r\n\r\n"), "no body to HEAD");
        assert_eq!(bytes(Reply::status(304, ""), false), "HTTP/1.1 304 Scripted\r\n\r\n");
        assert!(bytes(Reply::chunked(&["ab", "c"]), false).ends_with("\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"));
        assert!(bytes(Reply::short_body("ab", 9), false).contains("Content-Length: 9\r\n\r\nab"));
    }
}
