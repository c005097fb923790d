//! Sticky sessions: a cookie that binds a visitor to the backend it was first sent to.
//!
//! The cookie's value is a keyed digest of the director's and the backend's name: it tells nothing of the backend, and
//! nobody without the secret can make one that sends them where they like. SipHash-2-4 (Aumasson and Bernstein 2012) is
//! made for that: a MAC of short messages. A value that fits no backend is as none.

use crate::ask::Ask;
use crate::dice::Chance;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use std::time::Duration;

/// What the owner says about the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Its name.
    pub name: String,
    /// How long the browser keeps it; until it is closed when none.
    pub max_age: Option<Duration>,
    /// Only over TLS (the attribute `Secure`).
    pub secure: bool,
    /// The secret. Proxies that share visitors share it. Without one each start makes its own, and visitors are assigned
    /// anew.
    pub secret: Option<Vec<u8>>,
}

const DIGITS: usize = 32;

/// The cookie of one director, and its value for each origin that the director can reach.
#[derive(Debug)]
pub(crate) struct Session {
    options: SessionOptions,
    values: Vec<(usize, [u8; DIGITS])>,
}

impl Session {
    /// `origins`: index and name.
    pub(crate) fn new<'a>(
        options: SessionOptions,
        director: &str,
        origins: impl Iterator<Item = (usize, &'a str)>,
        chance: &Chance,
    ) -> Self {
        let (k0, k1) = match &options.secret {
            Some(secret) => {
                let mut hasher = SipHasher24::new();
                hasher.write(secret);
                let key = hasher.finish128();
                (key.h1, key.h2)
            }
            None => chance.key(),
        };
        let value = |name: &str| {
            let mut hasher = SipHasher24::new_with_keys(k0, k1);
            for part in [director, name] {
                hasher.write(part.as_bytes());
                hasher.write(&[0]);
            }
            let mut digits = [0; DIGITS];
            digits.copy_from_slice(format!("{:032x}", hasher.finish128().as_u128()).as_bytes());
            digits
        };
        let values = origins.map(|(i, name)| (i, value(name))).collect();
        Session { options, values }
    }

    /// The origin that the request's cookie names.
    pub(crate) fn origin(&self, ask: &Ask<'_>) -> Option<usize> {
        let given: &[u8; DIGITS] = ask.bound(&self.options.name)?.try_into().ok()?;
        // Every byte is compared, whatever the first difference: the time tells nothing.
        let same = |value: &[u8; DIGITS]| value.iter().zip(given).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0;
        self.values.iter().find(|(_, value)| same(value)).map(|(i, _)| *i)
    }

    /// The value of Set-Cookie that binds a visitor to the origin.
    pub(crate) fn set_cookie(&self, origin: usize) -> Option<String> {
        let (_, value) = self.values.iter().find(|(i, _)| *i == origin)?;
        let SessionOptions { name, max_age, secure, .. } = &self.options;
        let max_age = max_age.map_or_else(String::new, |age| format!("; Max-Age={}", age.as_secs()));
        let secure = if *secure { "; Secure" } else { "" };
        let value = String::from_utf8_lossy(value);
        Some(format!("{name}={value}; Path=/{max_age}; HttpOnly; SameSite=Lax{secure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(secret: Option<&[u8]>) -> Session {
        let options = SessionOptions {
            name: "route".into(),
            max_age: Some(Duration::from_secs(3600)),
            secure: true,
            secret: secret.map(<[u8]>::to_vec),
        };
        Session::new(options, "app", [(4, "app1"), (7, "app2")].into_iter(), &Chance::of_the_system())
    }

    fn bound(session: &Session, cookie: &str) -> Option<usize> {
        session.origin(&Ask { bound: cookie.as_bytes(), ..crate::ask::tests_ask() })
    }

    #[test]
    fn a_cookie_leads_back_to_its_backend_with_the_same_secret_only() {
        let (one, same, other, random) = (session(Some(b"s")), session(Some(b"s")), session(Some(b"t")), session(None));
        let set = one.set_cookie(7).expect("known");
        let (cookie, attributes) = set.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
        assert_eq!((bound(&one, cookie), bound(&same, &format!("a=b; {cookie}"))), (Some(7), Some(7)));
        assert_eq!((bound(&other, cookie), bound(&random, cookie)), (None, None));
        assert_eq!(one.set_cookie(5), None);
    }

    #[test]
    fn a_forged_value_is_as_none() {
        let one = session(Some(b"s"));
        let set = one.set_cookie(4).expect("known");
        let cookie = set.split("; ").next().expect("a pair");
        let last = if cookie.ends_with('0') { '1' } else { '0' };
        let forged = format!("{}{last}", &cookie[..cookie.len() - 1]);
        for cookie in [forged.as_str(), "route=app1", "route=", &cookie[..20]] {
            assert_eq!(bound(&one, cookie), None, "{cookie}");
        }
        assert!(!set.contains("app1"), "{set}");
    }
}
