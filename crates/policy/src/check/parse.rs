//! What Rhai's parser says of a text, and what to write instead.

use rhai::{LexError, ParseError, ParseErrorType};

/// What is wrong.
pub(super) fn message(e: &ParseError) -> String {
    match e.err_type() {
        ParseErrorType::Reserved(word) => format!("`{word}` is a reserved word of Rhai"),
        other => {
            let text = other.to_string();
            let mut chars = text.chars();
            chars.next().map_or(String::new(), |c| c.to_lowercase().chain(chars).collect())
        }
    }
}

/// How to mend it, where that can be told.
pub(super) fn help(e: &ParseError, text: &str) -> Option<String> {
    Some(match e.err_type() {
        ParseErrorType::BadInput(LexError::MalformedEscapeSequence(_)) => {
            "between backquotes a backslash stands for itself: `` `\\.css$` ``; between double quotes it is written twice".to_owned()
        }
        ParseErrorType::BadInput(LexError::MalformedChar(word)) => {
            format!("a text stands between double quotes: `\"{}\"`", word.trim_matches('\''))
        }
        ParseErrorType::Reserved(word) => match word.as_str() {
            "null" | "nil" => "nothing is `()`".to_owned(),
            "match" | "case" => "write `switch x { \"a\" => …, _ => … }`; as a name, another one".to_owned(),
            "var" => "write `let`; what a request carries along is in `req.vars`".to_owned(),
            "use" => "modules such as `std` are there; a file is imported by `import \"lib/x\" as x;`".to_owned(),
            "#" | "call" | "new" => return unit(e, text),
            _ => "give it another name".to_owned(),
        },
        ParseErrorType::MissingToken(token, _) if token == "{" && before(e, text).ends_with("not") => {
            "`not a` is `!a`".to_owned()
        }
        ParseErrorType::MissingToken(token, _) if token == "{" && word(e, text) == "and" => "`and` is `&&`".to_owned(),
        ParseErrorType::MissingToken(token, _) if token == "{" && word(e, text) == "or" => "`or` is `||`".to_owned(),
        ParseErrorType::MissingToken(token, _) if token == "{" && word(e, text) == "is" => "`is` is `==`".to_owned(),
        ParseErrorType::MissingToken(token, _) if token == ";" && word(e, text).is_empty() && before(e, text).ends_with('"') && after(e, text).starts_with(':') => {
            "a map is `#{a: 1}`".to_owned()
        }
        ParseErrorType::MissingToken(token, _) if token == ";" && before(e, text).ends_with(['"', '`']) => {
            "texts are joined by `+`: `\"/a\" + req.url`, or `` `/a${req.url}` ``".to_owned()
        }
        ParseErrorType::MissingToken(token, _) if token == "{" => "braces always: `if … { return pass(); }`".to_owned(),
        _ => unit(e, text)?,
    })
}

/// What stands in the line before the place where the parser stopped.
fn before<'a>(e: &ParseError, text: &'a str) -> &'a str {
    let line = e.position().line().and_then(|n| text.lines().nth(n.saturating_sub(1))).unwrap_or("");
    let at = e.position().position().and_then(|c| line.char_indices().nth(c.saturating_sub(1))).map_or(0, |(i, _)| i);
    line[..at].trim_end()
}

/// What stands from there on.
fn after<'a>(e: &ParseError, text: &'a str) -> &'a str {
    let line = e.position().line().and_then(|n| text.lines().nth(n.saturating_sub(1))).unwrap_or("");
    let at = e.position().position().and_then(|c| line.char_indices().nth(c.saturating_sub(1))).map_or(0, |(i, _)| i);
    &line[at..]
}

/// The word where it stopped.
fn word<'a>(e: &ParseError, text: &'a str) -> &'a str {
    after(e, text).split(|c: char| !c.is_alphanumeric()).next().unwrap_or("")
}

/// A number with a unit behind it, where the parser stopped.
fn unit(e: &ParseError, text: &str) -> Option<String> {
    let line = text.lines().nth(e.position().line()?.checked_sub(1)?)?;
    let at = line.char_indices().nth(e.position().position()?.checked_sub(1)?).map(|(i, _)| i)?;
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let number = &line[line[..at].trim_end_matches(digits).len()..at];
    let word = |c: char| c.is_ascii_alphabetic();
    let unit = &line[at..at + line[at..].len() - line[at..].trim_start_matches(word).len()];
    if number.is_empty() {
        return None;
    }
    match unit.to_ascii_lowercase().as_str() {
        "b" => Some(format!("a size is `bytes(\"{number}B\")`")),
        small @ ("kb" | "mb" | "gb" | "k" | "m" | "g") if small.ends_with('b') || unit != "m" => {
            let letter = small[..1].to_ascii_uppercase();
            Some(format!("a size is `bytes(\"{number}{letter}iB\")`"))
        }
        "ms" | "s" | "m" | "h" | "d" | "w" | "y" => Some(format!("a duration is `duration(\"{number}{unit}\")`")),
        _ => None,
    }
}
