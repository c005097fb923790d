//! All that is known of one request on its way through the steps. Its memory is reused along a connection.

use crate::core::{Core, Worker};
use crate::request_body::Kept;
use crate::tracer::{Tracer, called};
use copal_observe::access_log::{FaultWords, Outcome};
use copal_observe::counters::Counter;
use copal_observe::request_id;
use copal_policy::{
    Action, Connection, Fault, FaultKind, Hook, Policies, Policy, RequestBody, RequestVars, ResponseVars, Scene,
};
use copal_semantics::cache_control::Obeyed;
use copal_semantics::cache_status::Fwd;
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;
use copal_semantics::{Headers, RequestHead, ResponseHead, Span, Time};
use copal_store::{KeyBuf, PurgeMode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What the store and the fetch decided, for Cache-Status (RFC 9211), log and counters.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// In one word.
    pub outcome: Outcome,
    /// Why the request went to an origin, if it did.
    pub fwd: Option<Fwd>,
    /// The status that the origin answered with, where it differs from what is sent.
    pub fwd_status: Option<u16>,
    /// The response is kept.
    pub stored: bool,
    /// It was served by a fetch that another request had begun.
    pub collapsed: bool,
    /// The reason of the decision.
    pub reason: Option<Reason>,
    /// What is left of the freshness lifetime.
    pub ttl: Option<Span>,
    /// The fault because of which Copal made the response itself (RFC 9209).
    pub fault: Option<ProxyError>,
    /// What may be told of it to everybody.
    pub details: Option<&'static str>,
}

impl Default for Verdict {
    fn default() -> Self {
        Verdict {
            outcome: Outcome::Error,
            fwd: None,
            fwd_status: None,
            stored: false,
            collapsed: false,
            reason: None,
            ttl: None,
            fault: None,
            details: None,
        }
    }
}

/// One request.
pub struct Txn {
    scene: Option<Box<Scene>>,
    /// The policies that this request began with; a reload does not change them under way.
    policies: Arc<Policies>,
    /// The one of them that decides.
    pub policy: Arc<Policy>,
    /// The policy may still be changed for another.
    may_change: bool,
    /// The request's body, where the policy wanted it.
    pub(crate) kept: Option<Arc<Kept>>,
    /// The beginning of a body that was too large to be kept: it goes to the origin before the rest.
    pub(crate) prefix: Option<Kept>,
    /// A fetch has begun to take the request's body from the client: there is no other.
    pub(crate) body_spent: bool,
    /// The cache key, once hash has made it.
    pub key: KeyBuf,
    /// The hash of the key.
    pub hash: u128,
    /// When the request's head was complete.
    pub now: Time,
    /// The same moment on the monotonic clock.
    pub started: Instant,
    /// The method as it was received, for the log.
    pub method: http::Method,
    /// The target as it was received, for the log.
    pub url: String,
    /// What was decided.
    pub verdict: Verdict,
    /// The origin that served it, for the log.
    pub backend: String,
    /// What went wrong, for the log.
    pub error: Option<String>,
    /// The same in the words that log, metrics and Proxy-Status share.
    pub(crate) fault: Option<FaultWords>,
    /// How often it was sent to an origin again.
    pub(crate) retries: u32,
    /// The cookies of directors that it came with.
    pub(crate) bound: Vec<u8>,
    /// When the response head was ready.
    pub head_at: Option<Instant>,
    /// The status that was sent.
    pub status: u16,
    /// Bytes that its tunnel carried from the client.
    pub(crate) pipe_bytes_in: u64,
    /// Which of a request's own cache directives count on the listener that it came to (RFC 9111 §5.2.1).
    pub obeyed: Obeyed,
    /// Notes what happens, for who wants this request explained.
    pub trace: Tracer,
    /// The connection ends with this response.
    pub(crate) close: bool,
    /// The deliver hook has failed on this request.
    pub(crate) deliver_failed: bool,
    /// Pages made for this request so far.
    pub(crate) synths: u32,
    /// The head of the object that is delivered next stands in `scene.resp` already.
    pub(crate) head_is_read: bool,
    /// Memory for the next head of an object that a hook sees.
    pub(crate) spare_head: ResponseHead,
    /// Fields that the stored copy lacks, for the client whose request brought the response.
    pub(crate) withheld: Headers,
    /// Waiting for another request's fetch is over for this one: it goes on by itself.
    pub(crate) waits: u32,
    /// How the purge that is under way is meant.
    pub(crate) purge_mode: PurgeMode,
}

const SCENE_IS_HERE: &str = "the scene is away only while a hook runs";

impl Txn {
    /// For a connection from `client` to `server`.
    #[must_use]
    pub fn new(core: &Core, client: SocketAddr, server: SocketAddr, hostname: Arc<str>) -> Self {
        let mut scene = Box::<Scene>::default();
        for (peer, addr) in [(&mut scene.client, client), (&mut scene.remote, client)] {
            peer.ip = addr.ip();
            peer.port = addr.port();
        }
        for (peer, addr) in [(&mut scene.server, server), (&mut scene.local, server)] {
            peer.ip = addr.ip();
            peer.port = addr.port();
        }
        scene.hostname = hostname;
        let policies = core.policies.load_full();
        Txn {
            scene: Some(scene),
            policy: Arc::clone(policies.main()),
            policies,
            may_change: false,
            kept: None,
            prefix: None,
            body_spent: false,
            key: KeyBuf::default(),
            hash: 0,
            now: Time::EPOCH,
            started: copal_observe::clock::ticks(),
            method: http::Method::GET,
            url: String::new(),
            verdict: Verdict::default(),
            backend: String::new(),
            error: None,
            fault: None,
            retries: 0,
            bound: Vec::new(),
            head_at: None,
            status: 0,
            pipe_bytes_in: 0,
            obeyed: Obeyed::default(),
            trace: Tracer::default(),
            close: false,
            deliver_failed: false,
            synths: 0,
            head_is_read: false,
            spare_head: ResponseHead::default(),
            waits: 0,
            withheld: Headers::new(),
            purge_mode: PurgeMode::Hard,
        }
    }

    /// The connection stands for that of a client, as a PROXY header has said; and what else is known of it.
    pub fn stands_for(&mut self, client: SocketAddr, server: SocketAddr, connection: Option<Arc<Connection>>) {
        let scene = self.scene_mut();
        (scene.client.ip, scene.client.port) = (client.ip(), client.port());
        (scene.server.ip, scene.server.port) = (server.ip(), server.port());
        scene.connection = connection;
    }

    /// The request head, for the front to parse the next request into.
    pub fn request_mut(&mut self) -> &mut RequestHead {
        &mut self.scene_mut().req
    }

    /// Begins with the request that the front has just put into [`Txn::request_mut`].
    pub fn begin(&mut self, worker: &Worker) {
        let core = &worker.core;
        self.now = core.clock.now();
        self.started = copal_observe::clock::ticks();
        {
            let current = core.policies.load();
            if !Arc::ptr_eq(&current, &self.policies) {
                self.policies = Arc::clone(&current);
            }
            let begins_with = match self.policies.has_hosts() {
                true => self.policies.for_host(self.req().headers.get("host")),
                false => self.policies.main(),
            };
            if !Arc::ptr_eq(begins_with, &self.policy) {
                self.policy = Arc::clone(begins_with);
            }
        }
        if let Some(witness) = &core.witness {
            let remote = &self.scene().remote;
            self.trace = witness.begin((remote.ip, remote.port).into());
        }
        self.verdict = Verdict::default();
        self.key.clear();
        self.backend.clear();
        self.error = None;
        (self.fault, self.retries) = (None, 0);
        self.head_at = None;
        self.status = 0;
        self.pipe_bytes_in = 0;
        self.kept = None;
        self.prefix = None;
        self.body_spent = false;
        self.close = false;
        self.deliver_failed = false;
        self.synths = 0;
        self.waits = 0;
        self.withheld.clear();
        // A request that is passed has no key, and must not go by that of the one before it.
        self.key.clear();
        self.purge_mode = PurgeMode::Hard;
        let now = self.now;
        let scene = self.scene.as_mut().expect(SCENE_IS_HERE);
        if !core.backends.cookies().is_empty() {
            crate::bound::take(&mut scene.req.headers, core.backends.cookies(), &mut self.bound);
        }
        scene.now = now;
        let mut xid = std::mem::take(&mut scene.req_vars.xid);
        xid.clear();
        scene.req_vars = RequestVars { time: now, ..RequestVars::default() };
        if core.backends.has_routes() {
            crate::routing::route(&core.backends, scene, &self.trace);
        }
        scene.resp_vars = ResponseVars::default();
        if let Some(obj) = scene.obj.take() {
            self.spare_head = obj.head;
        }
        self.head_is_read = false;
        scene.purge_count = 0;
        scene.key.clear();
        scene.ban_error.clear();
        scene.log.clear();
        self.method.clone_from(&scene.req.method);
        self.url.clear();
        self.url.push_str(&scene.req.url);
        scene.req_vars.xid = xid;
        let given = scene.req.headers.get("x-request-id").and_then(|id| std::str::from_utf8(id).ok());
        match given {
            Some(id) if request_id::is_acceptable(id) => scene.req_vars.xid.push_str(id),
            Some(_) | None => {
                request_id::make_into(&mut scene.req_vars.xid);
                // A token of hexadecimal digits never breaks framing.
                let _valid = scene.req.headers.set("X-Request-Id", &scene.req_vars.xid);
            }
        }
        self.keep_original();
    }

    /// Keeps the request as it came, for the case that it is wanted back, or another policy is to have it.
    fn keep_original(&mut self) {
        let wanted = self.policies.has_named() || self.policy.rolls_back();
        let original = wanted.then(|| Box::new(self.req().clone()));
        self.scene_mut().original = original;
        self.may_change = self.policies.has_named();
    }

    /// Goes on with another policy, once, with the request as it came; what the one before has put into `req.vars` stays.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn change_policy(&mut self, name: &str) -> Result<(), String> {
        let restarts = self.scene().req_vars.restarts;
        if restarts > 0 {
            return Err(format!("policy({name:?}) after a restart: only the first recv can change the policy"));
        }
        let Some(next) = self.policies.named(name).map(Arc::clone) else {
            return Err(format!("policy({name:?}): [policy.named] has none of that name"));
        };
        let Some(original) = self.scene().original.as_deref().filter(|_| self.may_change).cloned() else {
            return Err(format!("policy({name:?}): the policy was changed before, and is not changed twice"));
        };
        self.policy = next;
        self.may_change = false;
        let scene = self.scene_mut();
        scene.req = original;
        let RequestVars { xid, vars, time, .. } = std::mem::take(&mut scene.req_vars);
        scene.req_vars = RequestVars { xid, vars, time, ..RequestVars::default() };
        scene.client.identity = None;
        scene.ban_error.clear();
        Ok(())
    }

    /// What the hooks see.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        self.scene.as_deref().expect(SCENE_IS_HERE)
    }

    /// What the hooks see and change.
    pub fn scene_mut(&mut self) -> &mut Scene {
        self.scene.as_deref_mut().expect(SCENE_IS_HERE)
    }

    /// The request as the policy has left it.
    #[must_use]
    pub fn req(&self) -> &RequestHead {
        &self.scene().req
    }

    /// Runs a hook; a hook that the policy does not define costs one test.
    ///
    /// # Errors
    /// The policy's fault. It is counted and logged here.
    pub(crate) fn hook(&mut self, worker: &Worker, hook: Hook) -> Result<Action, Box<Fault>> {
        let result = run_hook(worker, &self.policy, hook, &mut self.scene, &self.trace).inspect_err(|fault| {
            self.error = Some(fault.to_string());
        });
        if matches!(hook, Hook::Deliver | Hook::Synth) && self.policy.has(hook) {
            self.close |= crate::words::leave_framing_to_the_front(&mut self.scene_mut().resp.headers);
        }
        result
    }

    /// Makes the key from what the hash hook added and, unless it took all upon itself, url and host.
    pub(crate) fn build_key(&mut self, with_url_and_host: bool) {
        let scene = self.scene.as_deref_mut().expect(SCENE_IS_HERE);
        if with_url_and_host {
            // Says nothing but lookup; what it does is to add the two.
            let _lookup = copal_policy::builtin::hash(scene);
        }
        self.key.clear();
        self.key.add(scene.key.bytes());
    }
}

/// Runs a hook of `policy` on the scene, which is away meanwhile.
pub(crate) fn run_hook(
    worker: &Worker,
    policy: &Arc<Policy>,
    hook: Hook,
    scene: &mut Option<Box<Scene>>,
    trace: &Tracer,
) -> Result<Action, Box<Fault>> {
    if !policy.has(hook) {
        return Ok(Action::Default);
    }
    let taken = scene.take().expect(SCENE_IS_HERE);
    let (back, result) = if trace.is_on() { called(trace, policy, hook, taken) } else { policy.call(hook, taken) };
    if hook == Hook::Recv && matches!(back.req_body, RequestBody::Wanted(_)) {
        // It has not decided: it waits for the body, and will run again.
        *scene = Some(back);
        return Ok(Action::Default);
    }
    *scene = Some(back);
    result.map_err(|fault| {
        worker.count(Counter::PolicyErrors);
        if matches!(fault.kind, FaultKind::Limit(_)) {
            worker.count(Counter::PolicyLimitsHit);
        }
        tracing::warn!(target: "copal::policy", "{fault}");
        fault
    })
}
