//! The final configuration as a list: every key, its value and where that came from (`copal check --resolved`).

use std::fmt;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file, at this line.
    File(usize),
    /// This environment variable.
    Env(String),
    /// This flag, such as `--size`.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(line) => write!(f, "line {line}"),
            Origin::Env(name) | Origin::Flag(name) => f.write_str(name),
        }
    }
}
