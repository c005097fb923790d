//! What a request tells a director, and the point on the circle of 2⁶⁴ that hashing directors put it at.
//!
//! Everything is borrowed: a pick allocates nothing. Digests are SipHash-1-3 with a fixed key, so that several proxies, and
//! one proxy after a restart, put the same request at the same point.

use copal_semantics::RequestHead;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::net::IpAddr;

/// A request as directors see it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The request as it will be sent: url, Host, Cookie and other fields are read from here.
    pub head: &'a RequestHead,
    /// The cache key. Empty for a request that has none (one that is passed): url and Host stand in.
    pub key: &'a [u8],
    /// Who asks.
    pub client: IpAddr,
    /// The cookies of directors that the request came with, `name=value; name=value`: they are no part of `head`.
    pub bound: &'a [u8],
    /// The origins (by [`crate::Picked::index`]) that this request was sent to before: others are taken while there are any.
    pub tried: &'a [usize],
}

/// What of a request decides where a hashing director sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The cache key: one object, one backend.
    Key,
    /// The request target with its query.
    Url,
    /// The client's address.
    Client,
    /// The first line of that header; the client's address without one.
    Header(String),
    /// The value of that cookie; the client's address without one.
    Cookie(String),
}

/// A header or cookie that a request must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// Which; [`By::Header`] or [`By::Cookie`].
    pub what: By,
    /// What it must be; any value when none.
    pub value: Option<String>,
}

/// A stable digest; each part ends with its length, so that parts cannot run into each other.
pub(crate) fn digest(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x636f_7061_6c2d_6469, 0x7265_6374_6f72_2d31);
    for part in parts {
        hasher.write(part);
        hasher.write(&(part.len() as u64).to_le_bytes());
    }
    hasher.finish()
}

impl Ask<'_> {
    /// What stands for the requested thing whoever asks for it: Host and url.
    pub(crate) fn object(&self) -> u64 {
        object(self.head)
    }

    /// The value of a cookie; the first one of that name.
    pub(crate) fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.head.headers.get_all("cookie").find_map(|line| value_of(line, name))
    }

    /// The value of a director's cookie.
    pub(crate) fn bound(&self, name: &str) -> Option<&[u8]> {
        value_of(self.bound, name)
    }
}

/// The value of the first pair of that name in a line of cookies.
fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let pairs = line.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    pairs.into_iter().find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Host and url of a request as one digest.
pub(crate) fn object(head: &RequestHead) -> u64 {
    digest(&[head.headers.get("host").unwrap_or_default(), head.url.as_bytes()])
}

impl By {
    fn value<'a>(&self, ask: &'a Ask<'_>) -> Option<&'a [u8]> {
        match self {
            By::Header(name) => ask.head.headers.get(name),
            By::Cookie(name) => ask.cookie(name),
            By::Key | By::Url | By::Client => None,
        }
    }

    /// The request's point on the circle.
    #[must_use]
    pub fn point(&self, ask: &Ask<'_>) -> u64 {
        match self {
            By::Key if ask.key.is_empty() => ask.object(),
            By::Key => digest(&[ask.key]),
            By::Url => digest(&[ask.head.url.as_bytes()]),
            By::Client => client(ask.client),
            By::Header(_) | By::Cookie(_) => match self.value(ask) {
                Some(value) => digest(&[value]),
                None => client(ask.client),
            },
        }
    }
}

fn client(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => digest(&[&ip.octets()]),
        IpAddr::V6(ip) => digest(&[&ip.octets()]),
    }
}

impl When {
    /// Does the request have it?
    #[must_use]
    pub fn holds(&self, ask: &Ask<'_>) -> bool {
        let found = self.what.value(ask);
        match &self.value {
            None => found.is_some(),
            Some(wanted) => found == Some(wanted.as_bytes()),
        }
    }
}

/// Somebody on this machine asks for /.
#[cfg(test)]
pub(crate) fn tests_ask() -> Ask<'static> {
    static HEAD: std::sync::LazyLock<RequestHead> = std::sync::LazyLock::new(|| RequestHead::get("/", []));
    Ask { head: &HEAD, key: b"", client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), bound: b"", tried: &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(head: &RequestHead) -> Ask<'_> {
        Ask { head, ..tests_ask() }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let head = RequestHead::get("/", [("Cookie", "aid=1; id=2"), ("Cookie", "x;id=3")]);
        assert_eq!(ask(&head).cookie("id"), Some(&b"2"[..]));
        assert_eq!((ask(&head).cookie("i"), ask(&head).cookie("x")), (None, None));
    }

    #[test]
    fn what_is_missing_is_replaced_by_the_clients_address() {
        let plain = RequestHead::get("/", []);
        let named = RequestHead::get("/", [("X-User", "7"), ("Cookie", "u=7")]);
        let at_client = By::Client.point(&ask(&plain));
        for by in [By::Header("x-user".into()), By::Cookie("u".into())] {
            assert_eq!(by.point(&ask(&plain)), at_client);
            assert_eq!(by.point(&ask(&named)), digest(&[b"7"]));
        }
    }

    #[test]
    fn the_key_decides_and_without_one_host_and_url() {
        let (a, b) = (RequestHead::get("/", [("Host", "a")]), RequestHead::get("/", [("Host", "b")]));
        assert_ne!(By::Key.point(&ask(&a)), By::Key.point(&ask(&b)));
        let keyed = |head| By::Key.point(&Ask { key: b"k", ..ask(head) });
        assert_eq!(keyed(&a), keyed(&b));
        assert_eq!(By::Url.point(&ask(&a)), By::Url.point(&ask(&b)));
    }

    #[test]
    fn the_digest_is_the_same_in_every_process() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"copal"]), 1_286_004_659_714_864_911);
    }
}
