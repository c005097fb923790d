//! One change to how Rhai reads a policy: after `.http.`, `_` in a name stands for `-`, so that `req.http.x_forwarded_for`
//! is the header X-Forwarded-For. (`req.http["x_odd"]` reaches a header whose name does have a `_`.)

use crate::functions::{FUNCTIONS, On};
use crate::vars::Type;
use rhai::{Engine, Position, Token};
use std::cell::Cell;

#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Nothing,
    Dot,
    Http,
    HttpDot,
}

fn is_method(name: &str) -> bool {
    FUNCTIONS.iter().any(|f| f.on == On::Type(Type::Headers) && f.name == name)
}

/// Has the engine read header names that way.
pub(crate) fn register(e: &mut Engine) {
    let seen = Cell::new(Seen::Nothing);
    let map = move |token: Token, _: Position, _: &rhai::TokenizeState| -> Token {
        let (next, token) = match (seen.get(), token) {
            (Seen::Http, t @ (Token::Period | Token::Elvis)) => (Seen::HttpDot, t),
            (_, t @ (Token::Period | Token::Elvis)) => (Seen::Dot, t),
            (Seen::Dot, Token::Identifier(name)) if name.as_str() == "http" => (Seen::Http, Token::Identifier(name)),
            (Seen::HttpDot, Token::Identifier(name) | Token::Reserved(name)) if !is_method(&name) => {
                (Seen::Nothing, Token::Identifier(Box::new(name.replace('_', "-").into())))
            }
            (_, t) => (Seen::Nothing, t),
        };
        seen.set(next);
        token
    };
    #[expect(deprecated, reason = "Rhai marks what may change so; the version is pinned")]
    e.on_parse_token(map);
}
