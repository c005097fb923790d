//! The requests: over a few connections that are kept, at a bounded rate, each read to its end.

use super::report::{Answer, Report};
use super::target::{Line, Target};
use super::{count, named};
use crate::Failed;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, timeout};

/// What is asked for, and how fast.
pub(super) struct Plan {
    pub(super) targets: Vec<Target>,
    /// Header lines of each variant; one without any when none is asked for.
    pub(super) variants: Vec<Vec<Line>>,
    pub(super) headers: Vec<Line>,
    /// Requests a second.
    pub(super) rate: f64,
    /// Requests at a time.
    pub(super) concurrency: usize,
}

/// Where the proxy listens.
#[derive(Clone, Debug)]
enum Via {
    Tcp(std::net::SocketAddr),
    Unix(PathBuf),
}

/// A client of the proxy's listener.
#[derive(Debug)]
pub(super) struct Client {
    via: Via,
    shown: String,
    /// For each request, from sending to the last byte.
    timeout: Duration,
    runtime: tokio::runtime::Runtime,
}

type Sender = SendRequest<Empty<Bytes>>;

impl Client {
    pub(super) fn new(via: &str, patience: u64) -> Result<Client, Failed> {
        let wrong = |why: String| {
            Failed::input(format!("copal: `{via}` is no address of a listener{why}: use HOST:PORT or unix:PATH"))
        };
        let bare = via.strip_prefix("http://").unwrap_or(via).trim_end_matches('/');
        let place = match bare.strip_prefix("unix:") {
            Some(path) => Via::Unix(PathBuf::from(path)),
            None => {
                let found = bare.to_socket_addrs().map_err(|error| wrong(format!(" ({error})")))?.next();
                let mut found = found.ok_or_else(|| wrong(String::new()))?;
                if found.ip().is_unspecified() {
                    // Where it listens on every address, it does on this one.
                    found.set_ip(match found {
                        std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                        std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                    });
                }
                Via::Tcp(found)
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failed::state)?;
        Ok(Client { via: place, shown: bare.to_owned(), timeout: Duration::from_secs(patience), runtime })
    }

    async fn connect(&self) -> Result<Sender, String> {
        match &self.via {
            Via::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address).await.map_err(|error| error.to_string())?;
                let _unsupported = stream.set_nodelay(true);
                shake(stream).await
            }
            Via::Unix(path) => shake(tokio::net::UnixStream::connect(path).await.map_err(|e| e.to_string())?).await,
        }
    }

    /// A body of at most `max` bytes, for what is read before the warming.
    pub(super) fn fetch(&self, target: &Target, headers: &[Line], max: u64) -> Result<Vec<u8>, Failed> {
        let name = named(target);
        let work = async {
            let mut sender = self.connect().await.map_err(|why| self.nobody(&why))?;
            let request = request(target, headers, &[]).map_err(Failed::input)?;
            let response = sender.send_request(request).await.map_err(|why| Failed::state(format!("{name}: {why}")))?;
            if response.status() != 200 {
                return Err(Failed::input(format!("copal: {name}: the answer is {}", response.status())));
            }
            let mut body = response.into_body();
            let mut all = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|why| Failed::state(format!("{name}: {why}")))?;
                if let Some(data) = frame.data_ref() {
                    all.extend_from_slice(data);
                }
                if all.len() as u64 > max {
                    return Err(Failed::input(format!("copal: {name}: larger than {max} bytes")));
                }
            }
            Ok(all)
        };
        let late = || Failed::state(format!("{name}: no whole answer within {:?}", self.timeout));
        self.runtime.block_on(async { timeout(self.timeout, work).await }).unwrap_or_else(|_| Err(late()))
    }

    fn nobody(&self, why: &str) -> Failed {
        Failed::state(format!("no proxy listens at {}: {why}\n  say where it does: --via HOST:PORT", self.shown))
    }
}

async fn shake<S>(stream: S) -> Result<Sender, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(target: &Target, headers: &[Line], variant: &[Line]) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::builder().method("GET").uri(&target.path).header("host", &target.host);
    let own = |name: &str| headers.iter().chain(variant).any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !own("user-agent") {
        request = request.header("user-agent", concat!("copal-warm/", env!("CARGO_PKG_VERSION")));
    }
    for (name, value) in headers.iter().chain(variant) {
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| format!("copal: {}: {error}", named(target)))
}

/// Asks for everything; what came of it.
pub(super) fn all(client: &Client, plan: Plan) -> Result<Report, Failed> {
    let requests = plan.targets.len() * plan.variants.len();
    let bar = bar(requests);
    // The first connection says whether anybody is there at all.
    let began = client.runtime.block_on(async {
        let first = timeout(client.timeout, client.connect()).await;
        first.map_err(|_| client.nobody("it takes too long"))?.map_err(|why| client.nobody(&why))?;
        Ok(Instant::now())
    })?;
    let mut report = client.runtime.block_on(async {
        let workers = plan.concurrency.min(requests).max(1);
        let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / plan.rate));
        // Who was late does not catch up in a burst.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let report = RefCell::new(Report::new(plan.targets.len(), requests));
        let shared = Shared { plan, next: Cell::new(0), report, tick: tokio::sync::Mutex::new(tick), bar: bar.clone() };
        side_by_side((0..workers).map(|_| work(client, &shared))).await;
        shared.report.into_inner()
    });
    bar.finish_and_clear();
    report.done(began.elapsed());
    Ok(report)
}

/// Runs all of them side by side on this thread.
async fn side_by_side(works: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut works: Vec<_> = works.map(Box::pin).map(Some).collect();
    std::future::poll_fn(|context| {
        for slot in &mut works {
            if let Some(work) = slot
                && work.as_mut().poll(context).is_ready()
            {
                *slot = None;
            }
        }
        if works.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

struct Shared {
    plan: Plan,
    next: Cell<usize>,
    report: RefCell<Report>,
    /// Whoever has it waits for its turn; the others wait for it.
    tick: tokio::sync::Mutex<tokio::time::Interval>,
    bar: ProgressBar,
}

/// One connection's worth: the next request, again and again.
async fn work(client: &Client, shared: &Shared) {
    let mut connection: Option<Sender> = None;
    loop {
        let n = shared.next.get();
        if n >= shared.plan.targets.len() * shared.plan.variants.len() {
            return;
        }
        shared.next.set(n + 1);
        shared.tick.lock().await.tick().await;
        let target = &shared.plan.targets[n / shared.plan.variants.len()];
        let variant = &shared.plan.variants[n % shared.plan.variants.len()];
        let asked = timeout(client.timeout, ask(client, shared, target, variant, &mut connection)).await;
        let answer = asked.unwrap_or_else(|_| {
            connection = None;
            Answer::Failed(format!("no whole answer within {:?}", client.timeout))
        });
        shared.report.borrow_mut().add(n, &named(target), variant, answer);
        shared.bar.inc(1);
    }
}

async fn ask(
    client: &Client,
    shared: &Shared,
    target: &Target,
    variant: &[Line],
    connection: &mut Option<Sender>,
) -> Answer {
    let response = match send(client, shared, target, variant, connection).await {
        Ok(response) => response,
        Err(why) => return Answer::Failed(why),
    };
    let (head, mut body) = response.into_parts();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(why) => {
                *connection = None;
                return Answer::Failed(format!(
                    "the answer was cut off after {}: {why}",
                    count(usize::try_from(bytes).unwrap_or(usize::MAX), "byte")
                ));
            }
        }
    }
    let fields = head.headers.get_all("cache-status").iter();
    let status: Vec<String> = fields.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    Answer::Whole { status: head.status.as_u16(), cache_status: status.join(", "), bytes }
}

/// Sends on the connection that is open, or on a new one when that has ended meanwhile.
async fn send(
    client: &Client,
    shared: &Shared,
    target: &Target,
    variant: &[Line],
    connection: &mut Option<Sender>,
) -> Result<Response<Incoming>, String> {
    if let Some(mut sender) = connection.take()
        && sender.ready().await.is_ok()
        && let Ok(response) = sender.send_request(request(target, &shared.plan.headers, variant)?).await
    {
        *connection = Some(sender);
        return Ok(response);
    }
    let mut sender = client.connect().await.map_err(|why| format!("no connection: {why}"))?;
    let sent = sender.send_request(request(target, &shared.plan.headers, variant)?).await;
    let response = sent.map_err(|why| why.to_string())?;
    *connection = Some(sender);
    Ok(response)
}

/// On a terminal; nowhere else.
fn bar(requests: usize) -> ProgressBar {
    let bar = ProgressBar::new(requests as u64);
    let style = "{bar:32} {pos}/{len} {per_sec} {elapsed}, {eta} left";
    bar.with_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()))
}
