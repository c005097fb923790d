//! Routes: which backend or director a request goes to by its Host and path, where no policy says otherwise.
//!
//! The first that fits serves. Host and path are those that the client sent, before a policy changed them.

use copal_semantics::host_without_port;

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// In lower case, without port and final dot; with `*.` before it, all hosts below it and not itself. Any when none.
    pub host: Option<String>,
    /// This path and all below it. Any when none.
    pub path: Option<String>,
    /// The backend or director.
    pub to: String,
}

impl Route {
    /// Does it take a request with that Host field and target?
    ///
    /// ```
    /// use copal_backend::Route;
    /// let api = Route { host: Some("*.example".into()), path: Some("/api".into()), to: "api".into() };
    /// assert!(api.takes("shop.example:8080", "/api?page=2") && api.takes("Shop.Example", "/api/orders"));
    /// assert!(!api.takes("shop.example", "/apiary") && !api.takes("example", "/api"));
    /// ```
    #[must_use]
    pub fn takes(&self, host: &str, target: &str) -> bool {
        self.host.as_ref().is_none_or(|wanted| host_fits(wanted, host_without_port(host)))
            && self.path.as_ref().is_none_or(|wanted| path_fits(wanted, target))
    }
}

fn host_fits(wanted: &str, host: &str) -> bool {
    let Some(below) = wanted.strip_prefix('*') else { return wanted.eq_ignore_ascii_case(host) };
    // A field that is not ASCII has no such end.
    let at = host.len().checked_sub(below.len()).filter(|at| *at > 0);
    at.and_then(|at| host.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(below))
}

/// Whole segments: `/api` is `/api` and `/api/…`, not `/apiary`.
fn path_fits(wanted: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    match path.strip_prefix(wanted) {
        Some(rest) => wanted.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: &str, path: &str) -> Route {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Route { host: given(host), path: given(path), to: "a".to_owned() }
    }

    #[test]
    fn hosts_fit_whatever_their_case_and_port() {
        for (wanted, host, fits) in [
            ("", "", true),
            ("shop.example", "", false),
            ("shop.example", "SHOP.example:80", true),
            ("shop.example", "shop.example.", true),
            ("shop.example", "www.shop.example", false),
            ("*.shop.example", "www.shop.example", true),
            ("*.shop.example", "a.b.shop.example:8080", true),
            ("*.shop.example", "shop.example", false),
            ("*.shop.example", ".shop.example", false),
            ("*.shop.example", "myshop.example", false),
            ("[::1]", "[::1]:80", true),
            ("[::1]", "[::2]", false),
        ] {
            assert_eq!(route(wanted, "").takes(host, "/"), fits, "{wanted} {host}");
        }
        assert!(!route("*.shop.example", "").takes("ä.example", "/"));
    }

    #[test]
    fn paths_fit_by_whole_segments() {
        for (wanted, target, fits) in [
            ("", "*", true),
            ("/", "/", true),
            ("/", "/a", true),
            ("/api", "/api", true),
            ("/api", "/api?x", true),
            ("/api", "/api/x", true),
            ("/api", "/apiary", false),
            ("/api", "/x/api", false),
            ("/api/", "/api", false),
            ("/api/", "/api/", true),
            ("/api/", "/api/x?y=/z", true),
            ("/api", "/?u=/api", false),
            ("/api", "*", false),
        ] {
            assert_eq!(route("", wanted).takes("", target), fits, "{wanted} {target}");
        }
    }
}
