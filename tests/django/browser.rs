//! A visitor with a cookie jar, who fills in forms as browsers do.

use copal_testkit::{Response, client};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One visitor.
#[derive(Debug)]
pub(super) struct Browser {
    addr: SocketAddr,
    pub(super) cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A visitor of that server, without cookies.
    pub(super) fn at(addr: SocketAddr) -> Browser {
        Browser { addr, cookies: BTreeMap::new() }
    }

    /// A visitor who has logged in, through Django's form.
    #[track_caller]
    pub(super) fn logged_in(addr: SocketAddr, name: &str) -> Browser {
        let mut browser = Browser::at(addr);
        let answer = browser.submit("/login/", &[("username", name), ("password", &format!("{name}-secret"))]);
        assert_eq!((answer.status, answer.header("Location")), (302, Some("/account/")), "{}", answer.text());
        assert!(browser.cookies.contains_key("sessionid"), "{answer:?}");
        browser
    }

    /// GETs a page.
    #[track_caller]
    pub(super) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    /// GETs a page with a form and POSTs the form to the same path, with its CSRF token.
    #[track_caller]
    pub(super) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let form = self.get(path);
        assert_eq!(form.status, 200, "{form:?}");
        let token = csrf_token(&form.text());
        self.post(path, &[fields, &[("csrfmiddlewaretoken", token.as_str())]].concat())
    }

    /// POSTs a form. Values are sent as they are: they must need no encoding.
    #[track_caller]
    pub(super) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.request("POST", path, &fields.join("&"))
    }

    #[track_caller]
    fn request(&mut self, method: &str, path: &str, body: &str) -> Response {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![];
        if !cookies.is_empty() {
            headers.push(("Cookie", cookies.as_str()));
        }
        if !body.is_empty() {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let response = client::request(self.addr, method, path, &headers, body.as_bytes());
        assert!(response.complete, "{response:?}");
        for set in response.all("Set-Cookie") {
            let pair = set.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("no cookie: {set:?}"));
            if set.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }
}

#[track_caller]
fn csrf_token(form: &str) -> String {
    let (_, rest) =
        form.split_once("name=\"csrfmiddlewaretoken\" value=\"").unwrap_or_else(|| panic!("no form: {form}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}
