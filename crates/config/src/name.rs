//! Names: which ones are allowed, and the nearest known one to a name that is not.

use crate::place::Fault;

/// Names of backends, directors and ACLs: letters, digits, `_` and `-`, a letter first, at most 64 characters.
pub(crate) fn check(name: &str) -> Result<(), Fault> {
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !legal || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > 64 {
        return Err(Fault::new(format!("bad name `{name}`")).help(Some(
            "a name has letters, digits, `_` and `-`, begins with a letter and is at most 64 characters long".into(),
        )));
    }
    Ok(())
}

/// Hosts as they stand in a request, but in lower case, without port and final dot: a name, an IPv4 address, or an IPv6
/// address in brackets.
pub(crate) fn check_host(name: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let plain = !name.is_empty() && name.chars().all(legal) && !name.ends_with('.') && name.len() <= 253;
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if plain || v6.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == ip)) {
        return Ok(());
    }
    Err(Fault::new(format!("bad host `{name}`"))
        .help(Some("write it in quotes and lower case, without a port: \"shop.example\"".into())))
}

/// The candidate that `name` is most probably a slip of, if any is near: about one slip in three characters.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = name.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&typed, &c.to_ascii_lowercase().replace('-', "_")), c))
        .filter(|(distance, c)| *distance <= (c.len().max(name.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `did you mean …?`, or else the list of what there is.
pub(crate) fn suggestion(name: &str, candidates: &[&str]) -> Option<String> {
    match nearest(name, candidates.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("known here: {}", candidates.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_leaves_strangers_alone() {
        assert_eq!(nearest("sise", ["size", "ttl"]), Some("size"));
        assert_eq!(nearest("idle-timeout", ["idle_timeout"]), Some("idle_timeout"));
        assert_eq!(nearest("frobnicate", ["size", "ttl"]), None);
    }
}
