//! Ban expressions: which objects a ban is about.
//!
//! ```text
//! expression = test *( "&&" test )        test = field operator value        all between white space
//! field      = req.url | req.http.NAME | obj.http.NAME | obj.status
//!            | obj.ttl | obj.age | obj.grace | obj.keep | obj.last_hit
//! operator   = == | != | ~ | !~ for text; == != > >= < <= for numbers and durations
//! value      = a word, or "…" in which \" and \\ stand for " and \
//! ```
//!
//! A field that is missing is not equal to anything and matches nothing. Several lines of a field are read as one, joined
//! by commas. Durations are judged as of the moment the ban was made, so that it does not matter when an object is looked
//! at: `obj.ttl` is what was left of its freshness then, `obj.age` how old it was, `obj.last_hit` how long ago it had
//! been delivered, or stored when it never was.

use crate::ban_index::{Part, Probe};
use crate::object::Object;
use crate::pattern::Pattern;
use copal_semantics::time::{Span, Time};
use copal_semantics::{RequestHead, ResponseHead};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Write;

/// Tests in one expression. People write two or three; the list is kept for as long as objects are older than it.
const TESTS_MAX: usize = 16;
/// Bytes of one expression: a field value that a purger sends fits.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Why a ban was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// The expression makes no sense; the text says where and why.
    #[error("{0}")]
    Expression(String),
    /// As many bans as `bans_max` allows are still being worked off.
    #[error("{0} bans are in force already, as many as [limits] bans allows")]
    TooMany(usize),
}

fn wrong(text: impl Into<String>) -> BanError {
    BanError::Expression(text.into())
}

/// A parsed expression.
#[derive(Debug)]
pub struct BanExpr {
    tests: Vec<Test>,
    /// In one spelling, so that the same ban is known again.
    text: Box<str>,
    needs_request: bool,
}

#[derive(Debug)]
struct Test {
    subject: Subject,
    check: Check,
}

/// What a test looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Url,
    RequestField(Box<str>),
    ObjectField(Box<str>),
    Status,
    Ttl,
    Age,
    Grace,
    Keep,
    LastHit,
}

#[derive(Debug)]
enum Check {
    /// Is it this, or with `false`: is it anything else?
    Equals(Box<[u8]>, bool),
    Matches(Pattern, bool),
    /// Whole numbers; of durations the microseconds.
    Number(Relation, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

const FIELDS: &str =
    "req.url, req.http.NAME, obj.http.NAME, obj.status, obj.ttl, obj.age, obj.grace, obj.keep, obj.last_hit";

impl BanExpr {
    /// Reads an expression.
    ///
    /// ```
    /// use copal_store::BanExpr;
    /// let ban: BanExpr = "req.url ~ ^/news/  &&  obj.http.X-Type == html".parse().unwrap();
    /// assert_eq!(ban.as_str(), "req.url ~ ^/news/ && obj.http.x-type == html");
    /// assert!("req.uri == /".parse::<BanExpr>().is_err());
    /// ```
    ///
    /// # Errors
    /// What is wrong, in words for people.
    fn read(text: &str) -> Result<BanExpr, BanError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(wrong(format!("the expression is longer than {TEXT_BYTES_MAX} bytes")));
        }
        let words = words(text)?;
        let mut tests: Vec<(&str, &str, &str)> = Vec::new();
        let mut rest = words.as_slice();
        loop {
            let [field, operator, value, ..] = rest else {
                return Err(wrong("expected FIELD OPERATOR VALUE, with white space between them"));
            };
            tests.push((field, operator, value));
            match &rest[3..] {
                [] => break,
                [and, more @ ..] if and == "&&" => rest = more,
                [other, ..] => {
                    return Err(wrong(format!("expected && before `{other}`; a value with spaces needs quotes")));
                }
            }
        }
        BanExpr::all(&tests)
    }

    /// An expression of tests that all must hold: field, operator, value. Values are taken as they are, whatever is in
    /// them, so what a client sent cannot become another test.
    ///
    /// # Errors
    /// As for reading one.
    pub fn all(tests: &[(&str, &str, &str)]) -> Result<BanExpr, BanError> {
        if tests.is_empty() || tests.len() > TESTS_MAX {
            return Err(wrong(format!("an expression has 1 to {TESTS_MAX} tests")));
        }
        let (mut text, mut parsed) = (String::new(), Vec::with_capacity(tests.len()));
        for (field, operator, value) in tests {
            let test = Test::new(field, operator, value)?;
            if !text.is_empty() {
                text.push_str(" && ");
            }
            let field = test.subject.name();
            let _infallible = write!(text, "{field} {operator} {}", quoted(value));
            parsed.push(test);
        }
        let needs_request = parsed.iter().any(|t| matches!(t.subject, Subject::Url | Subject::RequestField(_)));
        Ok(BanExpr { tests: parsed, text: text.into(), needs_request })
    }

    /// The expression in its one spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Does it look at the request? Then only a request can tell, and the lurker cannot work it off.
    #[must_use]
    pub fn needs_request(&self) -> bool {
        self.needs_request
    }

    /// Bytes that it takes, compiled patterns included, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        let patterns = self.tests.iter().map(|t| match &t.check {
            Check::Matches(pattern, _) => pattern.bytes(),
            Check::Equals(..) | Check::Number(..) => 0,
        });
        2 * self.text.len() as u64 + (self.tests.len() * size_of::<Test>()) as u64 + patterns.sum::<u64>()
    }

    /// What an object's values must be for the expression to hold, as far as an index can tell.
    pub(crate) fn probes(&self) -> impl Iterator<Item = (Probe, Cow<'_, [u8]>)> {
        self.tests.iter().filter_map(|test| {
            let (part, value) = match &test.check {
                Check::Equals(value, true) => (Part::Whole, Cow::Borrowed(&**value)),
                Check::Matches(pattern, true) => {
                    let (part, value) = pattern.sure()?;
                    (part, Cow::Borrowed(value))
                }
                Check::Number(Relation::Equal, n) if test.subject == Subject::Status => {
                    (Part::Whole, Cow::Owned(n.to_string().into_bytes()))
                }
                Check::Equals(_, false) | Check::Matches(_, false) | Check::Number(..) => return None,
            };
            Some((Probe { subject: test.subject.clone(), part }, value))
        })
    }

    /// Do all tests hold? `at` is when the ban was made. Tests on a request that is not there do not hold.
    pub(crate) fn matches(&self, view: &View<'_>, request: Option<&RequestHead>, at: Time) -> bool {
        self.tests.iter().all(|t| t.holds(view, request, at))
    }
}

impl std::str::FromStr for BanExpr {
    type Err = BanError;

    fn from_str(text: &str) -> Result<BanExpr, BanError> {
        BanExpr::read(text)
    }
}

/// An object as bans see it; its head is unpacked once, when the first test asks for it.
pub(crate) struct View<'a> {
    object: &'a Object,
    head: OnceCell<ResponseHead>,
}

impl<'a> View<'a> {
    pub(crate) fn new(object: &'a Object) -> Self {
        View { object, head: OnceCell::new() }
    }

    fn head(&self) -> &ResponseHead {
        self.head.get_or_init(|| {
            let mut head = ResponseHead::default();
            head.decode(self.object.head());
            head
        })
    }
}

impl Subject {
    fn new(name: &str) -> Option<Subject> {
        let field = |name: &str| {
            copal_semantics::headers::is_token(name.as_bytes()).then(|| name.to_ascii_lowercase().into_boxed_str())
        };
        Some(match name {
            "req.url" => Subject::Url,
            "obj.status" => Subject::Status,
            "obj.ttl" => Subject::Ttl,
            "obj.age" => Subject::Age,
            "obj.grace" => Subject::Grace,
            "obj.keep" => Subject::Keep,
            "obj.last_hit" => Subject::LastHit,
            _ => match (name.strip_prefix("req.http."), name.strip_prefix("obj.http.")) {
                (Some(name), _) => Subject::RequestField(field(name)?),
                (_, Some(name)) => Subject::ObjectField(field(name)?),
                _ => return None,
            },
        })
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Subject::Url => "req.url",
            Subject::RequestField(name) => return format!("req.http.{name}").into(),
            Subject::ObjectField(name) => return format!("obj.http.{name}").into(),
            Subject::Status => "obj.status",
            Subject::Ttl => "obj.ttl",
            Subject::Age => "obj.age",
            Subject::Grace => "obj.grace",
            Subject::Keep => "obj.keep",
            Subject::LastHit => "obj.last_hit",
        })
    }

    /// Its value as text; `None` where there is none, and for durations.
    pub(crate) fn text<'v>(&self, view: &'v View<'_>, request: Option<&'v RequestHead>) -> Option<Cow<'v, [u8]>> {
        match self {
            Subject::Url => Some(Cow::Borrowed(request?.url.as_bytes())),
            Subject::RequestField(name) => request?.headers.combined(name),
            Subject::ObjectField(name) => view.head().headers.combined(name),
            Subject::Status => Some(Cow::Owned(ResponseHead::status_of(view.object.head()).to_string().into_bytes())),
            Subject::Ttl | Subject::Age | Subject::Grace | Subject::Keep | Subject::LastHit => None,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self, Subject::Url | Subject::RequestField(_) | Subject::ObjectField(_))
    }
}

impl Test {
    fn new(field: &str, operator: &str, value: &str) -> Result<Test, BanError> {
        let subject = Subject::new(field).ok_or_else(|| wrong(format!("there is no field `{field}`: {FIELDS}")))?;
        let check = if subject.is_text() {
            match operator {
                "==" | "!=" => Check::Equals(value.as_bytes().into(), operator == "=="),
                "~" | "!~" => Check::Matches(Pattern::new(value).map_err(wrong)?, operator == "~"),
                _ => return Err(wrong(format!("`{field}` is text: == != ~ !~, not `{operator}`"))),
            }
        } else {
            let relation = Relation::new(operator)
                .ok_or_else(|| wrong(format!("`{field}` is a number: == != > >= < <=, not `{operator}`")))?;
            let number = if subject == Subject::Status {
                value.parse().map_err(|_| wrong(format!("`{value}` is not a status")))?
            } else {
                duration(value)
                    .ok_or_else(|| wrong(format!("`{value}` is not a duration such as 90s, 10m, 6h or 1d")))?
                    .as_micros()
            };
            Check::Number(relation, number)
        };
        Ok(Test { subject, check })
    }

    fn holds(&self, view: &View<'_>, request: Option<&RequestHead>, at: Time) -> bool {
        let times = || view.object.times();
        match &self.subject {
            Subject::Url => request.is_some_and(|r| self.text(Some(r.url.as_bytes()))),
            Subject::RequestField(name) => request.is_some_and(|r| self.text(r.headers.combined(name).as_deref())),
            Subject::ObjectField(name) => self.text(view.head().headers.combined(name).as_deref()),
            Subject::Status => self.number(i64::from(ResponseHead::status_of(view.object.head()))),
            Subject::Ttl => self.span(times().fresh_until() - at),
            Subject::Age => self.span(times().age(at)),
            Subject::Grace => self.span(times().grace),
            Subject::Keep => self.span(times().keep),
            Subject::LastHit => self.span((at - view.object.last_use()).non_negative()),
        }
    }

    fn text(&self, value: Option<&[u8]>) -> bool {
        match &self.check {
            Check::Equals(wanted, yes) => value.is_some_and(|v| *v == **wanted) == *yes,
            Check::Matches(pattern, yes) => value.is_some_and(|v| pattern.matches(v)) == *yes,
            Check::Number(..) => false,
        }
    }

    fn span(&self, span: Span) -> bool {
        self.number(span.as_micros())
    }

    fn number(&self, value: i64) -> bool {
        match self.check {
            Check::Number(relation, wanted) => relation.holds(value, wanted),
            Check::Equals(..) | Check::Matches(..) => false,
        }
    }
}

impl Relation {
    fn new(operator: &str) -> Option<Relation> {
        Some(match operator {
            "==" => Relation::Equal,
            "!=" => Relation::NotEqual,
            ">" => Relation::Greater,
            ">=" => Relation::GreaterOrEqual,
            "<" => Relation::Less,
            "<=" => Relation::LessOrEqual,
            _ => return None,
        })
    }

    fn holds(self, a: i64, b: i64) -> bool {
        match self {
            Relation::Equal => a == b,
            Relation::NotEqual => a != b,
            Relation::Greater => a > b,
            Relation::GreaterOrEqual => a >= b,
            Relation::Less => a < b,
            Relation::LessOrEqual => a <= b,
        }
    }
}

/// A number with a unit: ms, s, m, h, d, w, y.
fn duration(text: &str) -> Option<Span> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 7.0 * 86_400.0,
        "y" => 365.0 * 86_400.0,
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    let number: f64 = plain.then(|| digits.parse().ok()).flatten()?;
    Some(Span::from_secs_f64(number * seconds))
}

/// The words of an expression, quotes taken off.
fn words(text: &str) -> Result<Vec<String>, BanError> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = chars.next() else { return Ok(words) };
        let mut word = String::new();
        if first == '"' {
            loop {
                match chars.next() {
                    None => return Err(wrong("a quote is not closed")),
                    Some('"') => break,
                    Some('\\') => match chars.next_if(|c| matches!(c, '"' | '\\')) {
                        Some(escaped) => word.push(escaped),
                        None => word.push('\\'),
                    },
                    Some(c) => word.push(c),
                }
            }
            if chars.peek().is_some_and(|c| !c.is_whitespace()) {
                return Err(wrong("white space is missing after a closing quote"));
            }
        } else {
            word.push(first);
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
}

/// A value as it is written: in quotes where it would be read as something else without.
fn quoted(value: &str) -> Cow<'_, str> {
    let plain = !value.is_empty() && !value.starts_with('"') && !value.contains(char::is_whitespace);
    if plain {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<BanExpr, BanError> {
        text.parse()
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("", "expected FIELD"),
            ("req.url ==", "expected FIELD"),
            ("req.url == a b", "expected && before `b`"),
            ("req.url == a &&", "expected FIELD"),
            ("req.uri == a", "no field `req.uri`"),
            ("obj.http.a:b == a", "no field"),
            ("req.url > a", "is text"),
            ("obj.status ~ 4..", "is a number"),
            ("obj.status == ok", "not a status"),
            ("obj.age > 10", "not a duration"),
            ("obj.age > m", "not a duration"),
            ("obj.age > 1e3s", "not a duration"),
            ("req.url ~ (", "regular expression"),
            ("req.url == \"a", "quote"),
            ("req.url == \"a\"b", "white space"),
        ] {
            let error = parse(text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(parse(&vec!["req.url == a"; 17].join(" && ")).is_err());
    }

    #[test]
    fn one_ban_has_one_spelling() {
        let spelling = |text| parse(text).expect("valid").as_str().to_owned();
        assert_eq!(spelling("  obj.http.X-A   ==  \"b\" "), "obj.http.x-a == b");
        assert_eq!(spelling(r#"req.url ~ "a \"b\" \\d \d""#), r#"req.url ~ "a \"b\" \\d \\d""#);
        assert!(parse("req.http.x == 1 && obj.status == 200").expect("valid").needs_request());
        assert!(!parse("obj.status == 200").expect("valid").needs_request());
    }

    proptest! {
        #[test]
        fn the_spelling_is_read_back_as_the_same_tests(value in ".{0,20}", op in 0..2usize) {
            let value = value.replace(|c: char| c.is_control(), "");
            let ban = BanExpr::all(&[("obj.http.x", ["==", "!="][op], &value), ("obj.status", ">", "1")]).expect("valid");
            let again = parse(ban.as_str()).expect("valid");
            prop_assert_eq!(again.as_str(), ban.as_str());
            prop_assert_eq!(again.tests.len(), 2);
            match &again.tests[0].check {
                Check::Equals(back, _) => prop_assert_eq!(&**back, value.as_bytes()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
