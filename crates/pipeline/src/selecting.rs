//! What the store is told of a request's selecting fields (RFC 9111 §4.1): the canonical form of each, in one piece.

use crate::core::Core;
use copal_semantics::{Headers, vary};
use smallvec::SmallVec;

/// Takes the bytes of one field.
type Feed<'a> = &'a mut dyn FnMut(&[u8]);

/// Feeds the values of the named fields of `headers`, as the store asks for them.
pub(crate) fn values<'a>(core: &Core, headers: &'a Headers) -> impl Fn(&[Box<str>], Feed<'_>) + use<'a> {
    let normalise = core.rules.normalise;
    move |names, feed| {
        for name in names {
            let mut form = SmallVec::<[u8; 256]>::new();
            vary::fingerprint(std::slice::from_ref(name), normalise, headers, &mut |bytes| {
                form.extend_from_slice(bytes)
            });
            feed(&form);
        }
    }
}
