//! RFC 9110 §7.6.3: the Via field, which tells the intermediaries that a message went through.

use crate::headers::{HeaderError, Headers};
use http::Version;

/// Adds `<version> <pseudonym>` at the end of the list, where `version` is the one the message was received with.
///
/// # Errors
/// When the pseudonym cannot be part of a field value.
pub fn append(headers: &mut Headers, version: Version, pseudonym: &str) -> Result<(), HeaderError> {
    let protocol = if version == Version::HTTP_10 {
        "1.0"
    } else if version == Version::HTTP_2 {
        "2"
    } else {
        "1.1"
    };
    let mut value = match headers.combined("via") {
        Some(v) => v.into_owned(),
        None => Vec::with_capacity(pseudonym.len() + 4),
    };
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(protocol.as_bytes());
    value.push(b' ');
    value.extend_from_slice(pseudonym.as_bytes());
    headers.set("Via", value)
}

/// How many times `pseudonym` stands in the list already: more than a few is a forwarding loop.
#[must_use]
pub fn passages(headers: &Headers, pseudonym: &str) -> usize {
    headers
        .list("via")
        .filter(|m| {
            let mut words = m.split(|&b| b == b' ' || b == b'\t').filter(|w| !w.is_empty());
            words.next();
            words.next().is_some_and(|by| by.eq_ignore_ascii_case(pseudonym.as_bytes()))
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_passage_is_added_at_the_end_and_can_be_counted() {
        let mut h: Headers = [("Via", "1.0 fred"), ("Via", "1.1 copal (x)")].into_iter().collect();
        append(&mut h, Version::HTTP_11, "copal").expect("valid");
        assert_eq!(h.get("via"), Some(&b"1.0 fred, 1.1 copal (x), 1.1 copal"[..]));
        assert_eq!(passages(&h, "Copal"), 2);
        assert_eq!(passages(&h, "fred"), 1);
        assert!(append(&mut h, Version::HTTP_2, "a\nb").is_err());
    }
}
