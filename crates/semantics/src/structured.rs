//! RFC 9651: members of structured fields as they are written.
//!
//! Values are written by `sfv`. Its lists would have no space before a parameter; RFC 9211 and RFC 9209 show one in all
//! their examples, people read these fields, and a parser must accept it (§4.2.3.2), so it is put in here.

use sfv::{Integer, ItemSerializer, KeyRef, RefBareItem, StringRef, TokenRef};

/// Appends `; key=value`, or `; key` when the value is true.
pub(crate) fn parameter<'a>(key: &KeyRef, value: impl Into<Value<'a>>, out: &mut String) {
    out.push_str("; ");
    out.push_str(key.as_str());
    let value = value.into().0;
    if !matches!(value, RefBareItem::Boolean(true)) {
        out.push('=');
        ItemSerializer::with_buffer(out).bare_item(value);
    }
}

/// What a parameter may have as its value.
pub(crate) struct Value<'a>(RefBareItem<'a>);

impl From<bool> for Value<'_> {
    fn from(v: bool) -> Self {
        Value(RefBareItem::Boolean(v))
    }
}

/// Integers have 15 digits (§3.3.1); what is beyond becomes the nearest that is not.
impl From<i64> for Value<'_> {
    fn from(v: i64) -> Self {
        let limit = |v: i64| if v < 0 { Integer::MIN } else { Integer::MAX };
        Value(RefBareItem::Integer(Integer::try_from(v).unwrap_or_else(|_| limit(v))))
    }
}

impl<'a> From<&'a TokenRef> for Value<'a> {
    fn from(v: &'a TokenRef) -> Self {
        Value(RefBareItem::Token(v))
    }
}

impl<'a> From<&'a StringRef> for Value<'a> {
    fn from(v: &'a StringRef) -> Self {
        Value(RefBareItem::String(v))
    }
}

/// Appends a token where `text` can be one (§3.3.4), else a string (§3.3.3) without what a string cannot hold.
pub(crate) fn token_or_string(text: &str, out: &mut String) {
    if let Ok(token) = TokenRef::from_str(text) {
        ItemSerializer::with_buffer(out).bare_item(token);
    } else {
        string(text, out);
    }
}

/// Appends a string (§3.3.3); what it cannot hold is left out.
pub(crate) fn string(text: &str, out: &mut String) {
    let held: String;
    let text = match StringRef::from_str(text) {
        Ok(text) => text,
        Err(_) => {
            held = text.chars().filter(|c| matches!(c, ' '..='~')).collect();
            StringRef::from_str(&held).unwrap_or(sfv::string_ref(""))
        }
    };
    ItemSerializer::with_buffer(out).bare_item(text);
}
