//! The policy language: Rhai scripts that decide about requests, fetches and responses.
//!
//! ```text
//!  text ─▶ check (everything wrong at once) ─▶ Policy ──call(hook, scene)──▶ per-thread Instance ─▶ (scene, Action)
//!                    ▲                                                            ▲
//!       tables: hooks · vars · functions                          handles reach the scene of the running hook
//! ```
//!
//! A policy's whole effect is what it writes to the [`Scene`] it was handed and the [`Action`] it returns. It does no
//! I/O, cannot outlive its [`Limits`], and a [`Fault`] concerns its own request alone.

pub mod acl;
pub mod action;
pub mod builtin;
mod check;
pub mod connection;
pub mod coverage;
mod current;
pub mod diagnostic;
mod docs;
mod engine;
pub mod environment;
pub mod examples;
pub mod examples_vars;
pub mod fault;
pub mod functions;
pub mod hooks;
mod host;
#[path = "std/mod.rs"]
mod library;
pub mod limits;
mod native;
mod notes;
pub mod policies;
pub mod policy;
pub mod scene;
mod sources;
mod tokens;
mod traced;
mod trust;
mod unfit;
mod value;
pub mod vars;
mod watch;

pub use acl::{Acl, AclError};
pub use action::{Action, ActionKind};
pub use connection::{ClientSsl, Connection, Proxied, UnixPeer};
pub use coverage::Coverage;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use docs::{definitions, reference_markdown};
pub use environment::{
    AllHealthy, Environment, Health, Invalidate, NoClock, NothingStored, Random, SeededRandom, Stopwatch, StorageUsage,
    Storages,
};
pub use fault::{Fault, FaultCount, FaultKind};
pub use hooks::{HOOKS, Hook, HookSet};
pub use library::geo::{Geo, GeoError};
pub use library::throttle::Throttle;
pub use limits::{Limit, Limits};
pub use native::Interpreted;
pub use notes::{Did, Note};
pub use policies::Policies;
pub use policy::{HookRuns, How, Policy};
pub use scene::{
    BackendRequestVars, BackendResponseVars, KeyParts, ObjectVars, Peer, RequestBody, RequestVars, ResponseVars, Scene,
    ScriptValue,
};
pub use traced::Traced;
pub use trust::{Named, Trust};
