//! `std::digest`, `std::hmac`, base64, comparison in constant time, basic authentication, signed urls.

use crate::current::{self, Res};
use crate::fault::HostError;
use crate::library::ModuleFunction;
use crate::library::query;
use crate::library::time::shown;
use crate::library::url::{decode, encode};
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use copal_semantics::{Span, Time};
use rhai::{Dynamic, ImmutableString, Module};

/// The digests by name. MD5 is not among them: what it signs can be forged.
pub(crate) const DIGESTS: [&str; 4] = ["sha1", "sha256", "sha384", "sha512"];

/// The parameters that [`sign`] adds to a url.
const EXPIRES: &str = "expires";
const SIGNATURE: &str = "signature";

/// Reads base64 with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What to say of a digest that there is not.
pub(crate) fn not_a_digest(name: &str) -> String {
    format!("\"{}\" is not a digest: write \"sha256\", \"sha384\", \"sha512\" or \"sha1\"", shown(name))
}

fn algorithms(name: &str) -> Result<(&'static digest::Algorithm, hmac::Algorithm), HostError> {
    Ok(match name {
        "sha1" => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        "sha256" => (&digest::SHA256, hmac::HMAC_SHA256),
        "sha384" => (&digest::SHA384, hmac::HMAC_SHA384),
        "sha512" => (&digest::SHA512, hmac::HMAC_SHA512),
        other => return Err(HostError::value(not_a_digest(other))),
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        for digit in [b >> 4, b & 15] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    out
}

pub(crate) fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

/// Are they the same? The time tells nothing about where they differ, nor how long they are.
pub(crate) fn same_secret(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(sha256(a).as_ref(), sha256(b).as_ref()).is_ok()
}

/// The bytes of hexadecimal digits, with or without `0x`, in base64; none when they are no bytes.
fn base64_hex(digits: &str) -> Option<String> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let pair = |at: usize| {
        let pair = digits.get(at..at + 2).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    Some(STANDARD.encode(bytes?))
}

/// Decoded from either alphabet of RFC 4648, with or without padding; none when it is not base64 of UTF-8 text.
pub(crate) fn from_base64(text: &str) -> Option<String> {
    let standard: String = text
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    String::from_utf8(LENIENT.decode(standard).ok()?).ok()
}

/// The name of the user that an Authorization field proves (RFC 7617); none when it proves nobody.
///
/// `users` has a line `name:password` or `name:sha256:HEX` for each. All lines are compared, whichever matches.
pub(crate) fn basic_auth(field: &str, users: &str) -> Option<String> {
    let (scheme, credentials) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = from_base64(credentials.trim())?;
    let (name, password) = plain.split_once(':')?;
    let mut proven = false;
    for (user, secret) in users.lines().filter_map(|line| line.trim().split_once(':')) {
        let right = match secret.strip_prefix("sha256:") {
            Some(wanted) => same_secret(hex(sha256(password.as_bytes()).as_ref()).as_bytes(), wanted.trim().as_bytes()),
            None => same_secret(password.as_bytes(), secret.as_bytes()),
        };
        proven |= same_secret(user.as_bytes(), name.as_bytes()) & right;
    }
    proven.then(|| name.to_owned())
}

fn signature(url: &str, key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, url.as_bytes()))
}

/// The url with the second at which it expires, and the HMAC-SHA256 of all of it.
fn sign(url: &str, key: &str, until: Time) -> String {
    let bare = query::filter(url, |name| name != EXPIRES && name != SIGNATURE).unwrap_or_else(|| url.to_owned());
    let url = format!("{bare}{}{EXPIRES}={}", if bare.contains('?') { '&' } else { '?' }, until.as_secs());
    let signature = encode(&signature(&url, key));
    format!("{url}&{SIGNATURE}={signature}")
}

/// Was the url made by [`sign`] with that key, and is it not yet expired?
pub(crate) fn is_signed(url: &str, key: &str, now: Time) -> bool {
    // The signature is the last parameter: what stands before it is signed as it is, so nothing can be added.
    let Some((signed, given)) = url.rsplit_once(&format!("&{SIGNATURE}=")) else { return false };
    let Some((_, expires)) = signed.rsplit_once(&format!("{EXPIRES}=")) else { return false };
    let in_time = expires.parse::<i64>().is_ok_and(|until| now.as_secs() < until);
    same_secret(decode(given, false).as_bytes(), signature(signed, key).as_bytes()) && in_time
}

/// The digest in hexadecimal.
pub(crate) fn digest_of(algorithm: &str, text: &str) -> Result<String, HostError> {
    Ok(hex(digest::digest(algorithms(algorithm)?.0, text.as_bytes()).as_ref()))
}

/// The keyed digest in hexadecimal.
pub(crate) fn hmac_of(algorithm: &str, key: &str, text: &str) -> Result<String, HostError> {
    let key = hmac::Key::new(algorithms(algorithm)?.1, key.as_bytes());
    Ok(hex(hmac::sign(&key, text.as_bytes()).as_ref()))
}

/// Adds to `std::`.
pub(crate) fn add(m: &mut Module) {
    ModuleFunction::new("digest").set_into_module(m, |algorithm: &str, text: &str| -> Res<ImmutableString> {
        Ok(digest_of(algorithm, text)?.into())
    });
    ModuleFunction::new("hmac").set_into_module(m, |algorithm: &str, key: &str, text: &str| -> Res<ImmutableString> {
        Ok(hmac_of(algorithm, key, text)?.into())
    });
    ModuleFunction::new("base64").set_into_module(m, |text: &str| ImmutableString::from(STANDARD.encode(text)));
    ModuleFunction::new("base64url")
        .set_into_module(m, |text: &str| ImmutableString::from(URL_SAFE_NO_PAD.encode(text)));
    ModuleFunction::new("base64_hex")
        .set_into_module(m, |digits: &str| base64_hex(digits).map_or(Dynamic::UNIT, Dynamic::from));
    ModuleFunction::new("from_base64")
        .set_into_module(m, |text: &str| from_base64(text).map_or(Dynamic::UNIT, Dynamic::from));
    ModuleFunction::new("same_secret").set_into_module(m, |a: &str, b: &str| same_secret(a.as_bytes(), b.as_bytes()));
    ModuleFunction::new("same_secret").set_into_module(m, |(): (), _: &str| false);
    ModuleFunction::new("basic_auth")
        .set_into_module(m, |field: &str, users: &str| basic_auth(field, users).map_or(Dynamic::UNIT, Dynamic::from));
    ModuleFunction::new("basic_auth").set_into_module(m, |(): (), _: &str| Dynamic::UNIT);
}

/// Adds to `url::`.
pub(crate) fn add_to_url(m: &mut Module) {
    ModuleFunction::new("sign").with_volatility(true).set_into_module(
        m,
        |url: &str, key: &str, lifetime: Span| -> Res<ImmutableString> {
            current::read(|s| sign(url, key, s.now + lifetime).into())
        },
    );
    ModuleFunction::new("is_signed")
        .with_volatility(true)
        .set_into_module(m, |url: &str, key: &str| -> Res<bool> { current::read(|s| is_signed(url, key, s.now)) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_hmacs_are_those_of_the_standards() {
        // FIPS 180-4, "abc"; RFC 4231 test case 2.
        assert_eq!(hex(sha256(b"abc").as_ref()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let key = hmac::Key::new(algorithms("sha256").expect("known").1, b"Jefe");
        assert_eq!(
            hex(hmac::sign(&key, b"what do ya want for nothing?").as_ref()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(DIGESTS.iter().all(|name| algorithms(name).is_ok()) && algorithms("md5").is_err());
    }

    #[test]
    fn a_digest_is_written_in_base64() {
        // RFC 4231, test case 2.
        let digest = hmac_of("sha256", "Jefe", "what do ya want for nothing?").expect("a digest");
        assert_eq!(base64_hex(&digest).as_deref(), Some("W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="));
        for (digits, base64) in [("", Some("")), ("666F6f", Some("Zm9v")), ("f", None), ("0xzz", None), ("aé1", None)]
        {
            assert_eq!(base64_hex(digits).as_deref(), base64, "{digits}");
        }
    }

    #[test]
    fn base64_is_read_in_either_alphabet() {
        for text in ["Pz8_", "Pz8/", "Pz8_====", "YWI", "YWI="] {
            assert!(from_base64(text).is_some() || text.ends_with("===="), "{text}");
        }
        assert_eq!(from_base64("YWI=").as_deref(), Some("ab"));
        assert_eq!((from_base64("/w=="), from_base64("a b")), (None, None));
    }

    #[test]
    fn only_the_right_password_proves_a_user() {
        let hashed = hex(sha256(b"s3cret").as_ref());
        let users = format!("anna:pass:word\nbert:sha256:{hashed}\n");
        let ask = |user: &str| basic_auth(&format!("BASIC {}", STANDARD.encode(user)), &users);
        assert_eq!(ask("anna:pass:word").as_deref(), Some("anna"));
        assert_eq!(ask("bert:s3cret").as_deref(), Some("bert"));
        for wrong in ["anna:pass", "anna:s3cret", "bert:pass:word", "carl:", ":", "anna", &format!("bert:{hashed}")] {
            assert_eq!(ask(wrong), None, "{wrong}");
        }
        assert_eq!(basic_auth("Bearer YTpi", "a:b"), None);
        assert_eq!(basic_auth("Basic YTpi", "a:b").as_deref(), Some("a"));
        assert_eq!(basic_auth("Basic", "a:b"), None);
    }

    #[test]
    fn a_signed_url_holds_until_it_expires_and_not_when_changed() {
        let now = Time::from_secs(1_000);
        for url in ["/film.mp4", "/film.mp4?a=1&b=2", "/film.mp4?expires=9&signature=x"] {
            let made = sign(url, "key", Time::from_secs(1_060));
            assert!(is_signed(&made, "key", now), "{made}");
            assert!(!is_signed(&made, "other", now) && !is_signed(&made, "key", Time::from_secs(1_060)), "{made}");
            for (from, to) in [("film", "flim"), ("expires=1060", "expires=9060"), ("&signature", "&x=1&signature")] {
                assert!(!is_signed(&made.replace(from, to), "key", now), "{made}");
            }
            assert!(!is_signed(&format!("{made}&c=3"), "key", now), "{made}");
        }
        assert!(!is_signed("/film.mp4", "key", now) && !is_signed("/film.mp4?expires=2000", "key", now));
    }
}
