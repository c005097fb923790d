//! Configuration: file + environment + flags become one typed, validated [`Config`], or a list of good errors.
//!
//! ```text
//!  copal.toml ─▶ walk ─┐
//!  COPAL_…    ─▶ env  ─┼─▶ Values (path → value, origin) ─▶ check ─▶ assemble ─▶ Config
//!  flags      ─▶ flags ┘            ▲
//!                                   └── keys: the one table of every key, its kind, default and reason
//! ```
//!
//! * Every key is declared once, in [`KEYS`]; parser, defaults, environment names and reference docs come from there.
//! * Later layers replace earlier ones: default < file < environment < flag.
//! * All errors of a load are reported together; a key that this version does not have is an error, never ignored.

mod acl;
mod address;
mod admin;
mod assemble;
mod backend;
mod by;
mod cache;
mod check;
mod check_directors;
mod config;
mod diagnostic;
mod director;
mod env;
mod expand;
mod file;
mod flags;
mod keys;
mod kind;
mod later;
mod limits;
mod listen;
mod log;
mod name;
mod pipe;
mod place;
mod policy;
mod purge;
mod raw;
mod reference;
mod resolved;
mod resolver;
mod retry;
mod route;
mod snapshot;
mod source;
mod syntax;
mod units;
mod value;
mod values;
mod walk;

pub use acl::AclEntry;
pub use address::Address;
pub use admin::{Admin, default_admin_socket};
pub use backend::{Adaptive, Backend, BackendTls, Eject, Http2, HttpProbe, Probe, ProxyProtocol};
pub use by::{By, When};
pub use cache::{Cache, Eviction, Storage};
pub use config::{Config, Metrics};
pub use copal_semantics::rules::SetCookie;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use director::{Cookie, Director, DirectorKind, Member};
pub use env::unknown_variables;
pub use flags::Overrides;
pub use keys::{Given, KEYS, Key, section_doc};
pub use kind::Kind;
pub use limits::Limits;
pub use listen::Listen;
pub use log::{AccessFormat, AccessLog, AccessPath, Log};
pub use pipe::Pipe;
pub use policy::{PolicyConfig, PolicyLimits};
pub use purge::{Purge, PurgeProtocol};
pub use reference::reference_markdown;
pub use resolved::Origin;
pub use resolver::Resolver;
pub use retry::{Retry, Shadow};
pub use route::Route;
pub use snapshot::Snapshot;
pub use units::{read_duration, read_size};
