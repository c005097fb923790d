//! X-Request-Id: made cheaply and without a lock, or taken from the client when it is harmless.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

/// The longest id that is taken from a client, in bytes: a UUID has 36, a W3C traceparent 55; 128 leaves room for the
/// compound ids of proxies in front, and bounds what a log line and an upstream head must carry.
pub const LENGTH_MAX: usize = 128;

/// The ids of one thread: a keyed hash over a counter, so that they neither repeat nor tell how many there were.
struct Source {
    keys: Keys,
    made: u64,
}

/// What keys the hashes of both halves.
enum Keys {
    Unknown(RandomState, RandomState),
    /// For policy cases.
    Known(u64),
}

thread_local! {
    static SOURCE: RefCell<Source> = RefCell::new(Source { keys: Keys::unknown(), made: 0 });
}

/// From here on this thread makes the ids of that seed, the same ones each time: for policy cases, whose requests are all served
/// by the thread that runs them.
pub fn start_over(seed: u64) {
    SOURCE.set(Source { keys: Keys::Known(seed), made: 0 });
}

/// A new id: 128 bits as 32 hexadecimal digits. Unique in practice; not a secret.
#[must_use]
pub fn make() -> String {
    let mut id = String::with_capacity(32);
    make_into(&mut id);
    id
}

/// Appends a new id to `id`, whose memory can so be used again.
pub fn make_into(id: &mut String) {
    let (high, low) = SOURCE.with_borrow_mut(|source| {
        source.made += 1;
        source.keys.hash(source.made)
    });
    let mut digits = [0u8; 32];
    for (i, byte) in high.to_be_bytes().into_iter().chain(low.to_be_bytes()).enumerate() {
        digits[2 * i] = b"0123456789abcdef"[usize::from(byte >> 4)];
        digits[2 * i + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    id.push_str(std::str::from_utf8(&digits).expect("hexadecimal digits are ASCII"));
}

impl Keys {
    #[expect(
        clippy::disallowed_methods,
        reason = "ids come from the operating system's chance unless a case says otherwise"
    )]
    fn unknown() -> Keys {
        Keys::Unknown(RandomState::new(), RandomState::new())
    }

    fn hash(&self, n: u64) -> (u64, u64) {
        match self {
            Keys::Unknown(high, low) => (high.hash_one(n), low.hash_one(n)),
            Keys::Known(seed) => {
                let half = |which: u64| mix(seed.wrapping_add(n * 2 + which).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                (half(0), half(1))
            }
        }
    }
}

/// The last step of SplitMix64 (Steele, Lea and Flood 2014): the same on every machine, which hashers do not promise.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// May this id from a client be passed on and logged? 1 to 128 letters, digits and `-_.:/+=@`, which neither a header,
/// nor a log, nor a shell that greps one takes for anything else.
#[must_use]
pub fn is_acceptable(id: &str) -> bool {
    (1..=LENGTH_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b))
}

/// The client's id when it is acceptable, else a new one.
#[must_use]
pub fn accept_or_make(from_client: Option<&str>) -> String {
    match from_client {
        Some(id) if is_acceptable(id) => id.to_owned(),
        Some(_) | None => make(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    #[test]
    fn ids_of_many_threads_do_not_repeat() {
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(|| (0..1000).map(|_| make()).collect::<Vec<_>>())).collect();
        let ids: HashSet<String> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(ids.len(), 4000);
        assert!(ids.iter().all(|id| id.len() == 32 && is_acceptable(id)));
    }

    #[test]
    fn a_thread_that_starts_over_makes_the_same_ids_again() {
        let ids = |seed| {
            start_over(seed);
            [make(), make(), make()]
        };
        let first = ids(1);
        assert_eq!(first, ids(1));
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 3);
        assert_ne!(first, ids(2));
    }

    #[test]
    fn a_harmless_id_of_the_client_is_kept_and_others_are_replaced() {
        let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(accept_or_make(Some(uuid)), uuid);
        for bad in ["", "a b", "a\"b", "a\r\nb", "a,b", "é", "a;b", &"a".repeat(129)] {
            assert_ne!(accept_or_make(Some(bad)), bad, "{bad:?}");
        }
        assert!(is_acceptable(&"a".repeat(128)));
    }
}
