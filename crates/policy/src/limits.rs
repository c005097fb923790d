//! The limits of a policy: each with its default, its reason and its name in faults and counters.

use copal_semantics::Span;
use std::fmt;

/// How much one hook may do. A limit that is hit is a fault of that request and of nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Operations per hook. 50,000 stop a runaway loop after 0.9 to 2.5 ms; a long policy takes a few hundred.
    pub operations: u64,
    /// Time of the processor that one hook may take, looked at between operations; some operations search thousands of
    /// members. Tests of policies have no clock, and the limit on operations alone.
    pub time: Span,
    /// Calls inside calls. One level takes about 10 KB of stack, and worker threads have 2 MB.
    pub call_depth: usize,
    /// Bytes of one string. A header block that Copal accepts is smaller.
    pub string_bytes: usize,
    /// Members of one array.
    pub array: usize,
    /// Members of one map. All variables of a hook or function together may hold four times as much as one value, of texts
    /// and of arrays, too; that is looked at now and then (`watch`).
    pub map: usize,
    /// Variables at one time.
    pub variables: usize,
    /// Functions of one file.
    pub functions: usize,
    /// Modules imported.
    pub modules: usize,
    /// Expressions inside expressions, in a hook and in a function: bounds the stack that parsing and walking take.
    pub expression_depth: usize,
    /// Bytes that one hook may write into heads, key, variables and log: they live as long as the transaction.
    pub written_bytes: usize,
    /// Regular expressions not written in the policy that one hook may compile: each can take a millisecond.
    pub patterns: u32,
    /// Keys that `throttle::` remembers, 40 to 80 bytes each. Beyond, those not used for longest are forgotten; no fault.
    pub throttle_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            operations: 50_000,
            time: Span::from_millis(10),
            call_depth: 16,
            string_bytes: 65_536,
            array: 4_096,
            map: 1_024,
            variables: 128,
            functions: 256,
            modules: 32,
            expression_depth: 64,
            written_bytes: 1_048_576,
            patterns: 8,
            throttle_keys: 100_000,
        }
    }
}

/// Which limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of that name in `Limits`")]
pub enum Limit {
    Operations,
    Time,
    CallDepth,
    StringBytes,
    Array,
    Map,
    Variables,
    Modules,
    WrittenBytes,
    Patterns,
}

impl Limit {
    /// The name in counters and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Operations => "operations",
            Limit::Time => "time",
            Limit::CallDepth => "call_depth",
            Limit::StringBytes => "string_bytes",
            Limit::Array => "array",
            Limit::Map => "map",
            Limit::Variables => "variables",
            Limit::Modules => "modules",
            Limit::WrittenBytes => "written_bytes",
            Limit::Patterns => "patterns",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
