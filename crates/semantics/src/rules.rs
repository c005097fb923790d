//! RFC 9111 §3 and §4, RFC 9213 §2.2: what the owner of a cache decides, and which directives are in effect.

use crate::cache_control::{self, ResponseDirectives};
use crate::message::ResponseHead;
use crate::negotiation::Offered;
use crate::time::Span;
use crate::vary::Normalise;

/// What to do with a response that sets cookies and does not say `public`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SetCookie {
    /// Not shared: it goes to the client that asked and is not stored.
    #[default]
    Pass,
    /// Stored with its cookies, as RFC 6265 §3 and RFC 9111 allow.
    Store,
    /// Stored without its cookies.
    Strip,
}

/// The settings that the rules depend on. `Default` is the RFC's cache; each field says why.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Lifetime when the origin says nothing. 0: what the origin did not allow is not assumed.
    pub default_ttl: Span,
    /// How long past its lifetime a response may be served while it is renewed, when it does not say so itself. 0: stale
    /// only by permission.
    pub grace: Span,
    /// How long past its lifetime a response may be served when the origin fails, when it does not say so itself. 1 hour:
    /// a stale page is better than an error page, and §4.2.4 allows it unless the response forbids it.
    pub stale_if_error: Span,
    /// How long past its lifetime a response is kept to be revalidated. 1 hour: a 304 is cheaper than a 200.
    pub keep: Span,
    /// Responses with Set-Cookie. `Pass`: a session shared by mistake cannot be taken back.
    pub set_cookie: SetCookie,
    /// Targeted fields (RFC 9213), the most specific first. `CDN-Cache-Control`: the one that is for every CDN.
    pub targeted: Vec<String>,
    /// Obey Surrogate-Control, which replaces Cache-Control like a targeted field. On: it addresses reverse proxies only.
    pub surrogate_control: bool,
    /// Share of the time since Last-Modified that counts as lifetime (§4.2.2: "a typical setting of this fraction might
    /// be 10%"). 0 turns heuristic freshness off.
    pub heuristic_fraction: f64,
    /// The most that heuristic freshness gives. 1 day: a file unchanged for ten years would else be fresh for one, and
    /// nobody who changes it then could know.
    pub heuristic_max: Span,
    /// Obey `no-store` in requests when it comes to storing. On: §5.2.1.5 says MUST NOT store, and a client gains no
    /// fetch by it that another URL would not give: it is still answered from what others had stored.
    pub honour_request_no_store: bool,
    /// `s-maxage` implies proxy-revalidate (§5.2.2.10), so it forbids stale answers. On, as §4.2.4 says; off for origins
    /// that write `s-maxage=1, stale-while-revalidate=60` and mean it.
    pub s_maxage_forbids_stale: bool,
    /// How values of request fields that select a response are made comparable (§4.1). Its own default, with the reasons.
    pub normalise: Normalise,
    /// What the origin can answer in; requests' preferences are reduced to it (RFC 9110 §12.5). Nothing: what there is, only
    /// the owner knows.
    pub offered: Offered,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            default_ttl: Span::ZERO,
            grace: Span::ZERO,
            stale_if_error: Span::from_secs(3600),
            keep: Span::from_secs(3600),
            set_cookie: SetCookie::Pass,
            targeted: vec!["CDN-Cache-Control".to_owned()],
            surrogate_control: true,
            heuristic_fraction: 0.1,
            heuristic_max: Span::from_secs(86_400),
            honour_request_no_store: true,
            s_maxage_forbids_stale: true,
            normalise: Normalise::default(),
            offered: Offered::default(),
        }
    }
}

/// Where the directives in effect come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlField {
    /// Cache-Control (or nothing); Expires counts.
    CacheControl,
    /// The targeted field with this index in [`Rules::targeted`]; Cache-Control and Expires do not count.
    Targeted(usize),
    /// Surrogate-Control; Cache-Control and Expires do not count.
    Surrogate,
}

/// The directives in effect for a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// What they say.
    pub directives: ResponseDirectives,
    /// Where they come from.
    pub field: ControlField,
}

impl Rules {
    /// The directives in effect: of the first valid targeted field, else of Surrogate-Control, else of Cache-Control.
    ///
    /// RFC 9213 §2.2: the first field of the target list with a valid, non-empty value decides, and every other field that
    /// could, Cache-Control and Expires among them, is ignored.
    #[must_use]
    pub fn directives(&self, resp: &ResponseHead) -> Effective {
        if let Some((i, directives)) = cache_control::targeted(&resp.headers, &self.targeted) {
            return Effective { directives, field: ControlField::Targeted(i) };
        }
        if self.surrogate_control
            && let Some(directives) = cache_control::surrogate(&resp.headers)
        {
            return Effective { directives, field: ControlField::Surrogate };
        }
        Effective { directives: ResponseDirectives::parse(&resp.headers), field: ControlField::CacheControl }
    }
}

impl Effective {
    /// The value of Expires, unless another field took its place.
    pub(crate) fn expires<'a>(&self, resp: &'a ResponseHead) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        match self.field {
            ControlField::CacheControl => resp.headers.contains("expires").then(|| resp.headers.get_all("expires")),
            ControlField::Targeted(_) | ControlField::Surrogate => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targeted_field_goes_before_surrogate_control_and_that_before_cache_control() {
        let rules = Rules::default();
        let all =
            [("Cache-Control", "max-age=1"), ("Surrogate-Control", "max-age=2"), ("CDN-Cache-Control", "max-age=3")];
        for (n, field) in
            [(3, ControlField::Targeted(0)), (2, ControlField::Surrogate), (1, ControlField::CacheControl)]
        {
            let got = rules.directives(&ResponseHead::new(200, all[..n].iter().copied()));
            assert_eq!(got.field, field);
            assert_eq!(got.directives.max_age.map(Span::as_secs), i64::try_from(n).ok());
        }
        let off = Rules { surrogate_control: false, ..rules };
        assert_eq!(off.directives(&ResponseHead::new(200, all[..2].iter().copied())).field, ControlField::CacheControl);
    }
}
