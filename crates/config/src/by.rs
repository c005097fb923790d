//! What of a request decides where a director sends it: `key`, `url`, `client`, `header:NAME`, `cookie:NAME`.

use std::fmt;

use crate::place::Fault;

/// What a hashing director goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum By {
    /// The cache key.
    Key,
    /// The request target.
    Url,
    /// The client's address.
    Client,
    /// A header; the client's address without one.
    Header(String),
    /// A cookie; the client's address without one.
    Cookie(String),
}

/// A header or cookie that sends a request to a member of a split director.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct When {
    /// [`By::Header`] or [`By::Cookie`].
    pub what: By,
    /// Any value when none.
    pub value: Option<String>,
}

impl By {
    pub(crate) fn parse(text: &str) -> Result<By, Fault> {
        match text.split_once(':') {
            None if text == "key" => Ok(By::Key),
            None if text == "url" => Ok(By::Url),
            None if text == "client" => Ok(By::Client),
            Some(("header", name)) => token(name).map(By::Header),
            Some(("cookie", name)) => token(name).map(By::Cookie),
            None | Some(_) => {
                let help = "write \"key\", \"url\", \"client\", \"header:X-User\" or \"cookie:sessionid\"";
                Err(Fault::new(format!("nothing to go by: `{text}`")).help(Some(help.to_owned())))
            }
        }
    }
}

impl When {
    /// `header:NAME`, `cookie:NAME`, both with `=VALUE` where only that value counts.
    pub(crate) fn parse(text: &str) -> Result<When, Fault> {
        let (what, value) = match text.split_once('=') {
            Some((what, value)) => (what, Some(value.to_owned())),
            None => (text, None),
        };
        match By::parse(what) {
            Ok(what @ (By::Header(_) | By::Cookie(_))) => Ok(When { what, value }),
            Ok(By::Key | By::Url | By::Client) | Err(_) => {
                let help = "write \"header:X-Canary=yes\" or \"cookie:beta\"";
                Err(Fault::new(format!("neither a header nor a cookie: `{text}`")).help(Some(help.to_owned())))
            }
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Key => f.write_str("key"),
            By::Url => f.write_str("url"),
            By::Client => f.write_str("client"),
            By::Header(name) => write!(f, "header:{name}"),
            By::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => self.what.fmt(f),
            Some(value) => write!(f, "{}={value}", self.what),
        }
    }
}

/// Names of headers and of cookies are tokens (RFC 9110 section 5.1, RFC 6265 section 4.1.1).
fn token(name: &str) -> Result<String, Fault> {
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(Fault::new(format!("bad name `{name}`"))),
    }
}
