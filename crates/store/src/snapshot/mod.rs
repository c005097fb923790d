//! The store on file, for a warm restart: written when the process ends or on command, loaded in the background at the next
//! start. No I/O of its own: files, pace and threads are the caller's.
//!
//! A snapshot is used once. One written on command stays valid while the process goes on by a journal of what is purged
//! after it. Markers, parts of bodies (206), and what is past ttl, grace and keep stay out.

mod frame;
mod load;
mod record;
mod save;
mod since;

#[cfg(test)]
mod tests;

pub use frame::{FORMAT, SnapshotFault};
pub use load::{Loaded, Loading};
pub(crate) use record::Invalidation;
pub(crate) use record::SavedBan;
pub use record::{Preamble, SnapshotReader};
pub use save::{Journal, Saved, Saving};
pub(crate) use since::Since;
