//! How much is stored, and for how long.

use std::time::Duration;

use copal_semantics::Span;
use copal_semantics::negotiation::Offered;
use copal_semantics::rules::{Rules, SetCookie};
use copal_semantics::vary::Normalise;

use crate::values::{Table, Values, View};

/// As written in the file, in the order of `SetCookie`.
pub(crate) const SET_COOKIE: &[&str] = &["pass", "store", "strip"];

/// As written in the file; the second is [`Cache::vary_language_as_set`].
pub(crate) const VARY_LANGUAGE: &[&str] = &["ordered", "set"];

/// As written in the file; the second is [`Eviction::TinyLfu`].
pub(crate) const EVICTIONS: &[&str] = &["lru", "tiny_lfu"];

/// What goes when room is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eviction {
    /// What was not asked for the longest.
    Lru,
    /// What is asked for least often.
    TinyLfu,
}

impl Eviction {
    fn read(view: &View<'_>) -> Eviction {
        if view.word("eviction") == "tiny_lfu" { Eviction::TinyLfu } else { Eviction::Lru }
    }
}

/// `[store.NAME]`: a storage beside the main one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Storage {
    /// Its name; not `main`.
    pub name: String,
    /// The whole of it, in bytes.
    pub size: u64,
    /// Largest object that is stored there, in bytes; at most half of `size`.
    pub object_size: u64,
    /// What goes when room is needed.
    pub eviction: Eviction,
}

impl Storage {
    pub(crate) fn assemble(table: &Table, values: &Values) -> Storage {
        let view = values.view("store.*", &table.path);
        let size = view.size("size");
        let object_size = if view.is_set("object_size") { view.size("object_size") } else { Cache::object_share(size) };
        Storage { name: table.name.clone(), size, object_size, eviction: Eviction::read(&view) }
    }
}

/// `[cache]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    /// The whole of the cache, in bytes.
    pub size: u64,
    /// Largest object that is stored, in bytes; at most half of `size`.
    pub object_size: u64,
    /// How long a response is fresh when its origin says nothing.
    pub ttl: Span,
    /// The most that heuristic freshness gives; zero switches it off.
    pub heuristic_max: Span,
    /// How long past its ttl it may be served while a fetch renews it.
    pub grace: Span,
    /// How long past its ttl it may be served when the origin fails.
    pub stale_if_error: Span,
    /// How long past its ttl it is kept for a conditional request.
    pub keep: Span,
    /// What becomes of a response with `Set-Cookie`.
    pub set_cookie: SetCookie,
    /// Two lists of languages in Accept-Language are the same when only their order differs.
    pub vary_language_as_set: bool,
    /// What requests' Accept-Encoding and Accept-Language are reduced to.
    pub offered: Offered,
    /// Whether Cache-Status tells the cache key to everybody (RFC 9211 section 2.7).
    pub status_key: bool,
    /// How long it is remembered that a URL is not cacheable.
    pub hit_for_miss: Span,
    /// How long a request waits for another's fetch.
    pub coalesce_wait: Duration,
    /// Fields read instead of `Cache-Control`, in lower case, the first one present wins (RFC 9213).
    pub targeted: Vec<String>,
    /// Response fields that hold tags, in lower case.
    pub tag_fields: Vec<String>,
    /// Response fields that clients are not sent, in lower case.
    pub tag_fields_hidden: Vec<String>,
    /// Percent of its lifetime by which an object may expire earlier.
    pub jitter: u32,
    /// What goes when room is needed.
    pub eviction: Eviction,
}

impl Cache {
    /// The part of the cache that one object may take when `object_size` is not set.
    pub(crate) fn object_share(size: u64) -> u64 {
        size / 4
    }

    pub(crate) fn assemble(view: &View<'_>) -> Cache {
        let size = view.size("size");
        let object_size = if view.is_set("object_size") { view.size("object_size") } else { Cache::object_share(size) };
        let set_cookie = match view.word("set_cookie") {
            "store" => SetCookie::Store,
            "strip" => SetCookie::Strip,
            _ => SetCookie::Pass,
        };
        Cache {
            size,
            object_size,
            ttl: view.span("ttl"),
            heuristic_max: view.span("heuristic_max"),
            grace: view.span("grace"),
            stale_if_error: view.span("stale_if_error"),
            keep: view.span("keep"),
            set_cookie,
            vary_language_as_set: view.word("vary_language") == "set",
            offered: Offered { encodings: view.texts("encodings"), languages: view.texts("languages") },
            status_key: view.boolean("status_key"),
            hit_for_miss: view.span("hit_for_miss"),
            coalesce_wait: view.duration("coalesce_wait"),
            targeted: view.texts("targeted"),
            tag_fields: view.texts("tag_fields"),
            tag_fields_hidden: view.texts("tag_fields_hidden"),
            jitter: view.count("jitter"),
            eviction: Eviction::read(view),
        }
    }

    /// As the caching rules take it; what is not configurable has their default.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            default_ttl: self.ttl,
            heuristic_max: self.heuristic_max,
            // Without a share there is no heuristic: then `ttl` counts, as for responses without Last-Modified.
            heuristic_fraction: if self.heuristic_max == Span::ZERO {
                0.0
            } else {
                Rules::default().heuristic_fraction
            },
            grace: self.grace,
            stale_if_error: self.stale_if_error,
            keep: self.keep,
            set_cookie: self.set_cookie,
            targeted: self.targeted.clone(),
            normalise: Normalise { language_order: self.vary_language_as_set, ..Normalise::default() },
            offered: self.offered.clone(),
            ..Rules::default()
        }
    }
}
