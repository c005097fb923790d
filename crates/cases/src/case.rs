//! A case as it was read: what stands around it, and its steps in order.

use copal_observe::counters::Counter;
use copal_pipeline::step::{ClientStep, FetchStep};
use copal_policy::Connection;
use copal_semantics::Span;
use regex::Regex;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// A file with cases.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// As messages name it.
    pub name: String,
    /// All of it.
    pub text: String,
    /// Its cases in order.
    pub cases: Vec<Case>,
}

/// A text within the file: a policy or a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The line of the file on which it begins, from 1.
    pub line: usize,
    /// The text.
    pub text: String,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The headings above it, outermost first, with ` / ` between.
    pub name: String,
    /// The line of its heading.
    pub line: usize,
    /// The configuration, where it is not the `copal.toml` beside the file.
    pub config: Option<Text>,
    /// The policy, where it is not the configured one or the `policy.rhai` beside the file.
    pub policy: Option<Text>,
    /// What is done and expected, in order.
    pub steps: Vec<Step>,
}

/// One block.
#[derive(Clone, Debug)]
pub struct Step {
    /// The line of its fence.
    pub line: usize,
    /// What it says.
    pub what: What,
}

/// What a block says.
#[derive(Clone, Debug)]
pub enum What {
    /// What an origin answers from now on.
    Origin(Script),
    /// Requests.
    Client(Client),
    /// What must be so.
    Expect(Expect),
    /// Time passes.
    Advance(Span),
    /// States of backends change.
    Backends(Vec<(String, State)>),
    /// Another policy is loaded.
    Reload(Text),
}

/// What an origin answers.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its name; the default backend when there is none.
    pub name: Option<String>,
    /// Its lines.
    pub routes: Vec<Route>,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub struct Route {
    /// The line of the file.
    pub line: usize,
    /// The method; none is any.
    pub method: Option<String>,
    /// The path, or path and query when it has a `?`; `*` stands for any rest.
    pub pattern: String,
    /// What is answered.
    pub answer: Answer,
}

/// An answer of an origin, or its fault.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Instead of a response.
    pub fault: Option<Fault>,
    /// The status.
    pub status: u16,
    /// Its fields in order.
    pub fields: Vec<(String, String)>,
    /// Its body. `{n}` is the number of requests that this origin has got, `{url}` the request's target.
    pub body: String,
    /// A body of that many bytes instead.
    pub size: Option<usize>,
    /// A Link in a 103 (Early Hints) that goes before everything else.
    pub early_hints: Option<String>,
    /// Before the head.
    pub delay: Span,
    /// Between head and body.
    pub body_delay: Span,
    /// How the body ends.
    pub framing: Framing,
    /// How the body goes wrong.
    pub broken: Option<Broken>,
}

/// How the end of a body shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    #[default]
    Length,
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// How a body goes wrong half-way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The connection is closed.
    Short,
    /// The connection is reset.
    Reset,
    /// Nothing more comes.
    Stall,
}

/// What an origin does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refuses the connection.
    Refuse,
    /// Does not take the connection.
    Unreachable,
    /// Reads the request and resets.
    Reset,
    /// Reads the request and closes.
    Close,
    /// Reads the request and says nothing.
    Hang,
    /// Sends what is no HTTP.
    Garbage,
}

/// What may be said of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sick, whatever probes say.
    Sick,
    /// Healthy, whatever probes say.
    Healthy,
    /// As probes say.
    Auto,
    /// Refuses connections, those of probes too.
    Down,
    /// Takes connections again.
    Up,
}

/// One client's requests on one connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// By which an `expect` names it, and by which it keeps its connection.
    pub name: Option<String>,
    /// Its address; that of the proxy in front, where `ends` are told.
    pub from: Option<SocketAddr>,
    /// For whom a proxy in front has opened the connection.
    pub ends: Option<Ends>,
    /// What else is known of it.
    pub connection: Option<Arc<Connection>>,
    /// Does the case wait for the response?
    pub pace: Pace,
    /// What it sends.
    pub sends: Vec<Sent>,
}

impl Client {
    /// Can it go on with the connection that it has? Not when it is told from where it comes.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.from.is_none() && self.ends.is_none() && self.connection.is_none()
    }
}

/// What a PROXY header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where the client is; port 0: one of its own.
    pub client: SocketAddr,
    /// Where it connected, if not to the listener.
    pub server: Option<SocketAddr>,
}

/// Does the case wait for the response?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It does.
    Waits,
    /// It goes on at once; an `expect` waits.
    Meanwhile,
    /// The client hangs up after that time.
    Leaves(Span),
}

/// One request, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// For messages.
    pub title: String,
    /// As they go out.
    pub bytes: Vec<u8>,
    /// Is the answer without a body, whatever its head says?
    pub head: bool,
    /// Bytes as they were written: there may be any number of answers.
    pub raw: bool,
}

/// What must be so.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Of which client's last response it speaks; the last one's when there is none.
    pub client: Option<String>,
    /// Its lines.
    pub lines: Vec<Expectation>,
}

/// One line of an `expect`.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The line of the file.
    pub line: usize,
    /// As it was written.
    pub text: String,
    /// What of.
    pub subject: Subject,
}

/// What an expectation is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The status of the response.
    Status(Test),
    /// Its reason phrase.
    Reason(Test),
    /// A field of it.
    Header(String, Test),
    /// Its body as text.
    Body(Test),
    /// The length of its body in bytes.
    BodyBytes(Test),
    /// The statuses of interim responses before it.
    Interim(Test),
    /// That it ended as it should, or did not.
    Ending(Ending),
    /// How long it took, in virtual time.
    Took(Test),
    /// What became of the request, as in the access log.
    Outcome(Test),
    /// Why, as in the access log.
    Why(Test),
    /// The backend that served it.
    Backend(Test),
    /// The fault in the access log.
    Error(Test),
    /// A line that the policy logged, for this request or its fetch.
    Log(Test),
    /// The path of the client machine.
    Steps(Vec<ClientStep>),
    /// The path of the fetch machine.
    FetchSteps(Vec<FetchStep>),
    /// That an edge was taken by either machine, or not.
    Edge(&'static str, &'static str, bool),
    /// That a hook ran, or not.
    Hook(&'static str, bool),
    /// Requests that reached an origin, or all of them, since the last `expect`.
    Fetches(Option<String>, Test),
    /// The target of the last request that reached an origin.
    Asked(Option<String>, Test),
    /// A field of that request.
    AskedHeader(Option<String>, String, Test),
    /// Its body.
    AskedBody(Option<String>, Test),
    /// How much a counter has grown since the last `expect`; a level: what it is.
    Counter(Counter, Test),
    /// Objects purged since the last `expect`.
    Purged(Test),
    /// Health of a backend.
    Health(String, bool),
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its framing says.
    Complete,
    /// Before that.
    Cut,
    /// There was none.
    None,
}

/// What a value must be.
#[derive(Clone, Debug)]
pub enum Test {
    /// That.
    Is(String),
    /// Anything else.
    IsNot(String),
    /// Fits the expression.
    Fits(Regex),
    /// Does not.
    FitsNot(Regex),
    /// Has that within.
    Contains(String),
    /// Has not.
    Lacks(String),
    /// Compares so with a number.
    Compares(Comparison, f64),
    /// There is none.
    Absent,
    /// There is one.
    Present,
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same number, however it is written.
    Equal,
    /// Another number.
    Differs,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}
