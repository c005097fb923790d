//! A value that was read and found right, by kind.

use std::ops::RangeInclusive;

use copal_semantics::Span;

use crate::acl::AclEntry;
use crate::address::Address;
use crate::by::By;
use crate::director::Member;
use crate::place::Place;
use crate::units;

/// A value of one of the [kinds](crate::Kind).
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Span(Span),
    Size(u64),
    Count(u64),
    Bool(bool),
    Word(&'static str),
    Text(String),
    Address(Address),
    Words(Vec<&'static str>),
    Texts(Vec<String>),
    Networks(Vec<AclEntry>),
    Members(Vec<Item<Member>>),
    /// Thousandths.
    Percent(u32),
    /// From the first to the last, both included.
    Statuses(u16, u16),
    StatusList(Vec<RangeInclusive<u16>>),
    By(By),
}

/// An element of a list, and where it stood.
#[derive(Clone, Debug)]
pub(crate) struct Item<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl Value {
    /// As it would be written in the file, without quotes.
    pub(crate) fn show(&self) -> String {
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        match self {
            Value::Span(span) => units::show_duration(*span),
            Value::Size(bytes) => units::show_size(*bytes),
            Value::Count(count) => count.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Word(word) => (*word).to_owned(),
            Value::Text(text) => text.clone(),
            Value::Address(address) => address.to_string(),
            Value::Words(words) => list(words.iter().map(ToString::to_string).collect()),
            Value::Texts(texts) => list(texts.clone()),
            Value::Networks(entries) => list(entries.iter().map(ToString::to_string).collect()),
            Value::Percent(permille) => units::show_percent(*permille),
            Value::Statuses(first, last) if first == last => first.to_string(),
            Value::Statuses(first, last) => format!("{first}-{last}"),
            Value::StatusList(ranges) => {
                list(ranges.iter().map(|r| Value::Statuses(*r.start(), *r.end()).show()).collect())
            }
            Value::By(by) => by.to_string(),
            Value::Members(members) => list(members.iter().map(|m| m.value.show()).collect()),
        }
    }
}
