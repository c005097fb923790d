//! The functions that scripts find beside their handles: `std::`, `query::`, `url::`, methods of strings, times.
//!
//! (In Rust this folder is the module `library`, because a module `std` would hide the standard library.)

pub(crate) mod patterns;
pub(crate) mod query;
pub(crate) mod strings;
pub(crate) mod system;
pub(crate) mod time;
pub(crate) mod url;
