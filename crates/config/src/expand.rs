//! `${VAR}` and `${VAR:-default}` inside string values of the file.

/// What expansion made of a string.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether a variable stood in it: then a number or a boolean may be meant.
    pub(crate) used: bool,
}

/// Why it could not be expanded, with the piece of text to point at.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Unexpanded {
    pub(crate) message: String,
    pub(crate) piece: String,
    pub(crate) help: &'static str,
}

/// Replaces `${NAME}` by the variable, `${NAME:-text}` by the text when it is unset or empty; `$${` stands for `${`.
/// What a variable contains is not expanded again. A variable that is unset and has no default is an error.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, Unexpanded> {
    let mut out = String::with_capacity(text.len());
    let mut used = false;
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err(Unexpanded {
                message: "`${` without `}`".into(),
                piece: rest[at..].to_owned(),
                help: "write \"${NAME}\", or `$${` for a plain `${`",
            });
        };
        let piece = &rest[at..=at + end];
        let inside = &piece[2..piece.len() - 1];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || !legal {
            return Err(Unexpanded {
                message: format!("bad variable name `{name}`"),
                piece: piece.to_owned(),
                help: "a name has letters, digits and `_`; `$${` stands for a plain `${`",
            });
        }
        match (env(name), default) {
            (Some(value), None) => out.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
            (_, Some(default)) => out.push_str(default),
            (None, None) => {
                let message = format!("the environment variable `{name}` is not set");
                let help = "set it, or write \"${NAME:-default}\"; `$${` stands for a plain `${`";
                return Err(Unexpanded { message, piece: piece.to_owned(), help });
            }
        }
        used = true;
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(Expanded { text: out, used })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_the_escape_expand_as_in_a_shell() {
        let text = |t: &str| expand(t, &env).map(|e| e.text);
        assert_eq!(text("x${A}y"), Ok("xoney".into()));
        assert_eq!(text("${B:-two}/${A}"), Ok("two/one".into()));
        assert_eq!(text("${EMPTY:-two}${EMPTY}"), Ok("two".into()));
        assert_eq!(text("$${A} costs 5$"), Ok("${A} costs 5$".into()));
        assert_eq!(text("${B:-}"), Ok(String::new()));
        assert!(text("${B}").is_err() && text("${A").is_err() && text("${A B}").is_err());
    }
}
