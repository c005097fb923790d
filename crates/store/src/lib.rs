//! The objects that Copal keeps in memory: looked up by key, streamed while they are fetched, bounded in bytes.
//!
//! ```text
//!  key ─hash─▶ shelf (moka, by bytes, a rack for each storage) ─▶ Object ── times, key and head in one block
//!                 │                            └──▶ Body ── chunks, readable while they are written
//!                 └─▶ VaryIndex ─hash of the request's values─▶ shelf ─▶ Object
//!                 └──▶ parts of a body, when that is all that came (Kind::Partial)
//!  tags: which objects carry a key      bans and lurker: objects dropped by an expression, lazily
//!  snapshot: the store on file, for a warm restart
//!  busy: who fetches what, and who waits for it      expiry: a wheel of seconds      memory: the ledger of bytes
//! ```
//!
//! Invariants: the key is compared, not trusted; what was purged, replaced, banned, evicted or has died is never offered again;
//! an incomplete body is never taken for a complete one; no lock is held across an `.await`; the clock is an argument.

mod ban;
mod ban_expr;
mod ban_index;
mod body;
mod busy;
mod expiry;
mod key;
mod live;
mod lurker;
mod memory;
mod object;
mod overtaken;
mod parts;
mod pattern;
mod peek;
mod place;
mod purge;
mod reader;
mod sent;
mod shelf;
mod snapshot;
mod storage;
mod store;
mod sync;
mod tags;
mod times;
mod variants;
mod writer;

#[cfg(test)]
mod tests;

pub use ban::{BanList, BanRow};
pub use ban_expr::{BanError, BanExpr};
pub use body::{Body, BodyFault};
pub use busy::{Claim, FetchGuard, Released, Waiter};
pub use key::KeyBuf;
pub use live::PIECE_BYTES;
pub use memory::{Charge, OBJECT_OVERHEAD_BYTES};
pub use object::{Kind, Object};
pub use overtaken::PurgeWatch;
pub use parts::{PARTS_MAX, Parts, Stretch};
pub use place::NewObject;
pub use purge::PurgeMode;
pub use reader::Reader;
pub use snapshot::{FORMAT, Journal, Loaded, Loading, Preamble, Saved, Saving, SnapshotFault, SnapshotReader};
pub use storage::{Eviction, MAIN_STORAGE, STORAGES_MAX, StorageId, StorageOptions, StorageStats};
pub use store::{Store, StoreOptions, StoreStats, VaryFn};
pub use times::Times;
pub use writer::{BodyWriter, NoReaders};
