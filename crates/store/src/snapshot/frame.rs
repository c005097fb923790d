//! The framing of a snapshot file: a line of magic, then records, each with its length and a checksum.
//!
//! ```text
//!  "COPALSNP" │ format u32 │ record │ record │ …                                     numbers little endian
//!  record = length of the payload u32 │ crc32 u32 │ kind u8 │ payload                crc32 of: number of the record u64, kind, payload
//! ```
//!
//! Invariants: a payload is handed out only after its checksum; the checksum covers the record's number, so that none can be
//! missing, doubled or moved; memory is bounded by [`RECORD_MAX`] whatever a length says; reading never panics.

use std::io::{ErrorKind, Read, Write};
use thiserror::Error;

/// The first bytes of a snapshot.
const MAGIC: [u8; 8] = *b"COPALSNP";
/// The format that this version writes, and the only one it reads. To be raised with every change of what is in a record,
/// the encoded heads (`copal_semantics::packed`) and the hash of the variants included.
pub const FORMAT: u32 = 1;
/// Longest payload in bytes: heads and keys stay far below it, bodies are cut at [`BODY_MAX`].
pub(crate) const RECORD_MAX: usize = 4 << 20;
/// Bytes of a body in one record.
pub(crate) const BODY_MAX: usize = 64 << 10;
/// Length, checksum and kind.
const FRAME_BYTES: usize = 9;

/// Why a snapshot is refused. It is the file's fault, trying again does not help, and the proxy starts cold.
#[derive(Debug, Error)]
pub enum SnapshotFault {
    /// It does not begin as one.
    #[error("it is no snapshot of Copal")]
    Foreign,
    /// Another version wrote it.
    #[error("it has format {0}, and this version of Copal reads format {FORMAT}")]
    Format(u32),
    /// It ends too early.
    #[error("it is cut off after {0} bytes")]
    Truncated(u64),
    /// A checksum or a record is wrong.
    #[error("it is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the record begins.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// It was written under settings by which the same request had another key.
    #[error("it was written with {was}, and now there is {now}")]
    Settings {
        /// The settings then.
        was: String,
        /// The settings now.
        now: String,
    },
    /// The clock has gone back since it was written: ages cannot be told.
    #[error("it is from the future: the clock was set back by {0} s")]
    Future(copal_semantics::time::Span),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Preamble = 1,
    Ban = 2,
    Object = 3,
    Body = 4,
    Since = 5,
    End = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Preamble, Kind::Ban, Kind::Object, Kind::Body, Kind::Since, Kind::End]
            .into_iter()
            .find(|k| *k as u8 == byte)
    }
}

fn checksum(number: u64, kind: u8, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(&[kind]);
    crc.update(payload);
    crc.finalize()
}

/// Writes records.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    number: u64,
    pub(crate) bytes: u64,
}

impl FrameWriter {
    /// Begins the file.
    pub(crate) fn begin(out: &mut dyn Write) -> std::io::Result<FrameWriter> {
        out.write_all(&MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        Ok(FrameWriter { number: 0, bytes: 12 })
    }

    pub(crate) fn write(&mut self, out: &mut dyn Write, kind: Kind, payload: &[u8]) -> std::io::Result<()> {
        let len = u32::try_from(payload.len()).ok().filter(|len| *len as usize <= RECORD_MAX);
        let len = len.ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "a record would be too long"))?;
        out.write_all(&len.to_le_bytes())?;
        out.write_all(&checksum(self.number, kind as u8, payload).to_le_bytes())?;
        out.write_all(&[kind as u8])?;
        out.write_all(payload)?;
        self.number += 1;
        self.bytes += (FRAME_BYTES + payload.len()) as u64;
        Ok(())
    }
}

/// Reads records.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    input: R,
    number: u64,
    /// Where the next record begins.
    at: u64,
    buffer: Vec<u8>,
}

impl<R: Read> FrameReader<R> {
    /// Reads the beginning of the file.
    pub(crate) fn begin(mut input: R) -> Result<FrameReader<R>, SnapshotFault> {
        let mut start = [0; 12];
        let got = fill(&mut input, &mut start)?;
        if got < 8 || start[..8] != MAGIC {
            // The beginning of our own magic is a file that was cut off.
            let cut = got < 8 && MAGIC.starts_with(&start[..got]);
            return Err(if cut { SnapshotFault::Truncated(got as u64) } else { SnapshotFault::Foreign });
        }
        if got < 12 {
            return Err(SnapshotFault::Truncated(got as u64));
        }
        let format = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        if format != FORMAT {
            return Err(SnapshotFault::Format(format));
        }
        Ok(FrameReader { input, number: 0, at: 12, buffer: Vec::new() })
    }

    /// The next record; the end of the file is a fault, because a snapshot ends with a record that says so.
    pub(crate) fn next(&mut self) -> Result<(Kind, &[u8]), SnapshotFault> {
        let mut frame = [0; FRAME_BYTES];
        let got = fill(&mut self.input, &mut frame)?;
        if got < FRAME_BYTES {
            return Err(SnapshotFault::Truncated(self.at + got as u64));
        }
        let len = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
        let crc = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
        if len > RECORD_MAX {
            return Err(self.damaged("a record is longer than any can be"));
        }
        self.buffer.resize(len, 0);
        let got = fill(&mut self.input, &mut self.buffer)?;
        if got < len {
            return Err(SnapshotFault::Truncated(self.at + (FRAME_BYTES + got) as u64));
        }
        if checksum(self.number, frame[8], &self.buffer) != crc {
            return Err(self.damaged("the checksum is wrong"));
        }
        let kind = Kind::of(frame[8]).ok_or_else(|| self.damaged("a record of an unknown kind"))?;
        self.number += 1;
        self.at += (FRAME_BYTES + len) as u64;
        Ok((kind, &self.buffer))
    }

    /// The next record, or nothing where the file ends between two.
    pub(crate) fn next_or_end(&mut self) -> Result<Option<(Kind, &[u8])>, SnapshotFault> {
        let begins = self.at;
        match self.next() {
            Ok(record) => Ok(Some(record)),
            Err(SnapshotFault::Truncated(at)) if at == begins => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Is there nothing after the last record?
    pub(crate) fn is_at_end(&mut self) -> Result<bool, SnapshotFault> {
        Ok(fill(&mut self.input, &mut [0])? == 0)
    }

    /// Where the next record begins.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn damaged(&self, what: &'static str) -> SnapshotFault {
        SnapshotFault::Damaged { at: self.at, what }
    }
}

/// Reads until the buffer is full or the input ends; how much there was.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
