//! What the records of a snapshot say.
//!
//! ```text
//!  Preamble, Ban*, ( Object, Body* )*, Since*, End
//! ```
//!
//! The payloads are postcard's encoding of these structures; bytes of heads, keys and tags are borrowed from the record.

use super::frame::{FrameReader, Kind, SnapshotFault};
use crate::ban_expr::BanExpr;
use crate::object::Object;
use crate::times::Times;
use copal_semantics::time::{Span, Time};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// What a store must know before it is made, so that what is loaded later can be found in it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Preamble {
    /// When the snapshot was begun, in microseconds since 1970.
    pub(crate) created: i64,
    /// Settings by which keys and variants are told apart.
    pub(crate) settings: String,
    /// The keys of the hash: variants are found by it alone.
    pub(crate) hash_keys: (u64, u64),
    /// The first salt that no list of fields has had.
    pub(crate) next_salt: u64,
    /// The number of the newest ban.
    pub(crate) newest_ban: u32,
    /// It is valid only together with the journal of what was purged after it.
    pub(crate) journaled: bool,
    /// How many bans follow.
    pub(crate) bans_count: u32,
    /// The bans in force, oldest first.
    #[serde(skip)]
    pub(crate) bans: Vec<SavedBan>,
}

/// Without the keys of the hash: whoever knows them can choose URLs that collide.
impl std::fmt::Debug for Preamble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preamble")
            .field("created", &self.created)
            .field("bans", &self.bans.len())
            .finish_non_exhaustive()
    }
}

/// A ban in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedBan {
    pub(crate) number: u32,
    pub(crate) at: i64,
    pub(crate) text: String,
}

impl Preamble {
    pub(crate) fn new(
        (created, settings, journaled): (Time, &str, bool),
        hash_keys: (u64, u64),
        next_salt: u64,
        newest_ban: u32,
        bans: Vec<SavedBan>,
    ) -> Preamble {
        let bans_count = u32::try_from(bans.len()).unwrap_or(u32::MAX);
        let (created, settings) = (created.as_micros(), settings.to_owned());
        Preamble { created, settings, hash_keys, next_salt, newest_ban, journaled, bans_count, bans }
    }

    /// Is it valid only together with its journal?
    #[must_use]
    pub fn is_journaled(&self) -> bool {
        self.journaled
    }

    /// When the snapshot was begun.
    #[must_use]
    pub fn created(&self) -> Time {
        Time::from_micros(self.created)
    }

    /// Can what it belongs to be used now, under these settings?
    ///
    /// # Errors
    /// [`SnapshotFault::Settings`], [`SnapshotFault::Future`].
    pub fn check(&self, settings: &str, now: Time) -> Result<(), SnapshotFault> {
        if self.settings != settings {
            return Err(SnapshotFault::Settings { was: self.settings.clone(), now: settings.to_owned() });
        }
        if self.created() > now {
            return Err(SnapshotFault::Future(self.created() - now));
        }
        Ok(())
    }
}

/// The head of an object; its body follows in records of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedObject<'a> {
    #[serde(borrow)]
    pub(crate) key: &'a [u8],
    #[serde(borrow)]
    pub(crate) head: &'a [u8],
    /// Field lines of the trailers, as on the wire.
    #[serde(borrow)]
    pub(crate) trailers: &'a [u8],
    pub(crate) body_len: u64,
    pub(crate) times: SavedTimes,
    pub(crate) hits: u32,
    pub(crate) last_hit_secs: u32,
    pub(crate) ban_stamp: u32,
    pub(crate) variant: Option<SavedVariant>,
    #[serde(borrow)]
    pub(crate) tags: Vec<&'a [u8]>,
    /// The storage, empty for the main one.
    #[serde(borrow)]
    pub(crate) class: &'a str,
}

/// What tells a variant from the others.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedVariant {
    pub(crate) names: Vec<Box<str>>,
    pub(crate) salt: u64,
    /// How many lists of fields of its key are newer.
    pub(crate) rank: u8,
    pub(crate) slot: (u64, u64),
}

/// [`Times`], in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct SavedTimes {
    response_time: i64,
    initial_age: i64,
    ttl: i64,
    grace: i64,
    stale_if_error: i64,
    keep: i64,
    no_cache: bool,
    must_revalidate: bool,
}

impl SavedTimes {
    pub(crate) fn of(object: &Object) -> SavedTimes {
        let t = object.times();
        SavedTimes {
            response_time: t.response_time.as_micros(),
            initial_age: t.initial_age.as_micros(),
            ttl: t.ttl.as_micros(),
            grace: t.grace.as_micros(),
            stale_if_error: t.stale_if_error.as_micros(),
            keep: t.keep.as_micros(),
            no_cache: t.no_cache,
            must_revalidate: t.must_revalidate,
        }
    }

    pub(crate) fn times(self) -> Times {
        Times {
            response_time: Time::from_micros(self.response_time),
            initial_age: Span::from_micros(self.initial_age),
            ttl: Span::from_micros(self.ttl),
            grace: Span::from_micros(self.grace),
            stale_if_error: Span::from_micros(self.stale_if_error),
            keep: Span::from_micros(self.keep),
            no_cache: self.no_cache,
            must_revalidate: self.must_revalidate,
        }
    }
}

/// Something that drops or ages what is stored. Those made while a snapshot is being written follow its objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Invalidation {
    /// All variants of the key with that primary hash.
    Key { hash: (u64, u64), soft: bool, at: i64 },
    /// All that carry the tag.
    Tag { tag: Box<[u8]>, soft: bool, at: i64 },
    /// All that the expression is about.
    Ban { text: String, at: i64 },
}

/// The last record.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) objects: u64,
    pub(crate) body_bytes: u64,
}

#[expect(clippy::cast_possible_truncation, reason = "a u128 is taken apart into its halves")]
pub(crate) fn halves(hash: u128) -> (u64, u64) {
    (hash as u64, (hash >> 64) as u64)
}

pub(crate) fn whole((low, high): (u64, u64)) -> u128 {
    u128::from(low) | (u128::from(high) << 64)
}

/// One thing read from a snapshot.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    Object(SavedObject<'a>),
    Body(&'a [u8]),
    Since(Invalidation),
    End(End),
}

/// Reads a snapshot from beginning to end, once.
#[derive(Debug)]
pub struct SnapshotReader<R> {
    frames: FrameReader<R>,
    objects: u64,
    body_bytes: u64,
    /// Bytes of the present object's body still to come.
    owed: u64,
    tail: bool,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the beginning: what a store must know before it is made.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn begin(input: R) -> Result<(SnapshotReader<R>, Preamble), SnapshotFault> {
        let mut frames = FrameReader::begin(input)?;
        let mut preamble: Preamble = match frames.next()? {
            (Kind::Preamble, payload) => postcard::from_bytes(payload).ok(),
            _ => None,
        }
        .ok_or_else(|| frames.damaged("there is no preamble"))?;
        for _ in 0..preamble.bans_count {
            let ban: Option<SavedBan> = match frames.next()? {
                (Kind::Ban, payload) => postcard::from_bytes(payload).ok(),
                _ => None,
            };
            let ban = ban.filter(|ban| ban.text.parse::<BanExpr>().is_ok());
            preamble.bans.push(ban.ok_or_else(|| frames.damaged("a ban cannot be read"))?);
        }
        Ok((SnapshotReader { frames, objects: 0, body_bytes: 0, owed: 0, tail: false }, preamble))
    }

    /// The next thing. After [`Item::End`] it must not be called again.
    pub(crate) fn next(&mut self) -> Result<Item<'_>, SnapshotFault> {
        let SnapshotReader { frames, objects, body_bytes, owed, tail } = self;
        let at = frames.at();
        let damaged = |what| SnapshotFault::Damaged { at, what };
        let (kind, payload) = frames.next()?;
        if *owed > 0 && kind != Kind::Body {
            return Err(damaged("a body is incomplete"));
        }
        match kind {
            Kind::Object if !*tail => {
                let object: SavedObject<'_> =
                    postcard::from_bytes(payload).map_err(|_| damaged("an object cannot be read"))?;
                *objects += 1;
                *owed = object.body_len;
                Ok(Item::Object(object))
            }
            Kind::Body => {
                let len = payload.len() as u64;
                if len > *owed || len == 0 {
                    return Err(damaged("a body is longer than it was to be"));
                }
                *owed -= len;
                *body_bytes += len;
                Ok(Item::Body(payload))
            }
            Kind::Since => {
                *tail = true;
                let since: Invalidation =
                    postcard::from_bytes(payload).map_err(|_| damaged("a purge cannot be read"))?;
                if let Invalidation::Ban { text, .. } = &since
                    && text.parse::<BanExpr>().is_err()
                {
                    return Err(damaged("a ban cannot be read"));
                }
                Ok(Item::Since(since))
            }
            Kind::End => {
                let end: End = postcard::from_bytes(payload).map_err(|_| damaged("the end cannot be read"))?;
                if (end.objects, end.body_bytes) != (*objects, *body_bytes) {
                    return Err(damaged("the sums at the end are others"));
                }
                Ok(Item::End(end))
            }
            Kind::Object | Kind::Preamble | Kind::Ban => Err(damaged("a record stands where it must not")),
        }
    }

    /// After the end: nothing may follow it.
    pub(crate) fn check_end(&mut self) -> Result<(), SnapshotFault> {
        if self.frames.is_at_end()? { Ok(()) } else { Err(self.frames.damaged("something follows the end")) }
    }
}
