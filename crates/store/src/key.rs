//! Cache keys: a reusable buffer to build them in, and the keyed hashes they are found by.
//!
//! ```text
//!  KeyBuf:  [len u32 le][part] [len u32 le][part] …      primary hash   = SipHash-1-3-128(key bytes)
//!                                                        secondary hash = SipHash-1-3-128(primary, salt, values)
//! ```
//!
//! Two different lists of parts never give the same bytes. The hash keys are random per process, so that nobody can
//! choose URLs that collide.

use crate::store::VaryFn;
use crate::variants::VarySpec;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{BuildHasher, Hasher};

/// A reusable buffer in which the parts of a cache key are put together.
///
/// ```
/// let mut key = copal_store::KeyBuf::default();
/// key.add(b"a");
/// key.add(b"bc");
/// let first = key.as_bytes().to_vec();
/// key.clear();
/// key.add(b"ab");
/// key.add(b"c");
/// assert_ne!(key.as_bytes(), first);
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyBuf(Vec<u8>);

impl KeyBuf {
    /// Empties the key; the memory is kept.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds one part. Each carries its length, so that parts cannot run together.
    pub fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.extend_from_slice(part);
    }

    /// The key so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The hash functions of one store.
pub(crate) struct KeyHasher {
    sip: SipHasher13,
    keys: (u64, u64),
}

/// Without the keys: whoever knows them can choose URLs that collide.
impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher")
    }
}

impl KeyHasher {
    /// With keys that nobody outside this process can know.
    #[expect(
        clippy::disallowed_methods,
        reason = "keys of hashes: they say where an object is kept, never what comes out"
    )]
    pub(crate) fn random() -> Self {
        // The standard library seeds RandomState from the operating system.
        let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        KeyHasher::with_keys((word(), word()))
    }

    /// With the keys of a store that this one goes on from.
    pub(crate) fn with_keys(keys: (u64, u64)) -> Self {
        KeyHasher { sip: SipHasher13::new_with_keys(keys.0, keys.1), keys }
    }

    /// To be kept secret.
    pub(crate) fn keys(&self) -> (u64, u64) {
        self.keys
    }

    pub(crate) fn primary(&self, key: &[u8]) -> u128 {
        let mut sip = self.sip;
        sip.write(key);
        sip.finish128().into()
    }

    /// Where the variant of `primary` lives whose selecting fields have the values that `vary` feeds.
    pub(crate) fn secondary(&self, primary: u128, spec: &VarySpec, vary: VaryFn<'_>) -> u128 {
        let mut sip = self.sip;
        sip.write_u128(primary);
        sip.write_u64(spec.salt());
        vary(spec.names(), &mut |value| {
            sip.write_usize(value.len());
            sip.write(value);
        });
        sip.finish128().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn different_parts_give_different_keys(a: Vec<Vec<u8>>, b: Vec<Vec<u8>>) {
            let build = |parts: &Vec<Vec<u8>>| {
                let mut key = KeyBuf::default();
                for part in parts {
                    key.add(part);
                }
                key.as_bytes().to_vec()
            };
            prop_assert_eq!(a == b, build(&a) == build(&b));
        }
    }

    #[test]
    fn values_of_selecting_fields_do_not_run_together() {
        let hasher = KeyHasher::random();
        let spec = VarySpec::new(&["a".into(), "b".into()], 1);
        let one = hasher.secondary(7, &spec, &|_, feed| {
            feed(b"x");
            feed(b"yz");
        });
        let two = hasher.secondary(7, &spec, &|_, feed| {
            feed(b"xy");
            feed(b"z");
        });
        assert_ne!(one, two);
        let other_salt = VarySpec::new(&["a".into(), "b".into()], 2);
        assert_ne!(one, hasher.secondary(7, &other_salt, &|_, f| [&b"x"[..], b"yz"].into_iter().for_each(f)));
    }
}
