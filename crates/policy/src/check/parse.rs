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
        ParseErrorType::MissingToken(token, _) if token == "{" => "braces always: `if … { return pass(); }`".to_owned(),
        _ => unit(e, text)?,
    })
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
