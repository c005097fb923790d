//! All origins and directors of one configuration, by name, and the pick: which origin one request goes to.
//!
//! ```text
//! pick(name) ─▶ director: session cookie? ─▶ its origin
//!                  └─ rule over its members ─▶ origin · or a director, and so on
//! first round: healthy, not ejected, not avoided for this object, not full · second round: healthy is enough
//! ```
//!
//! The second round is there so that what is only caution (ejection, saint mode, limits) never makes a 503. Whom a request
//! was sent to before is left out of both, and asked again only when there is nobody else.

use crate::ask::Ask;
use crate::budget::{Budget, BudgetOptions};
use crate::dice::Chance;
use crate::director::{DirectorKind, MemberOptions, Rule, Session, SessionOptions};
use crate::ejection::Group;
use crate::fault::{Fault, FaultKind, Phase};
use crate::health::Admin;
use crate::origin::{Origin, OriginOptions};
use crate::route::Route;
use crate::row::{DirectorRow, OriginRow};
use crate::tls::TlsError;
use copal_semantics::RequestHead;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;
use view::View;

mod view;

/// What the owner says about a director.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorOptions {
    /// Its name; names of origins and directors are one set.
    pub name: String,
    /// The rule by which it chooses.
    pub kind: DirectorKind,
    /// Origins and directors with their weights.
    pub members: Vec<MemberOptions>,
    /// The cookie that binds visitors to the origin they were first sent to; none when they may be sent anywhere.
    pub session: Option<SessionOptions>,
    /// Thousandths of the origins it can reach that may be ejected at a time, rounded down.
    pub ejected_max_permille: u32,
}

/// Half of the backends may be ejected: Envoy allows a tenth, which of two or three is none.
pub const EJECTED_MAX_PERMILLE: u32 = 500;

impl DirectorOptions {
    /// A director without session cookie.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: DirectorKind, members: Vec<MemberOptions>) -> Self {
        let (name, ejected_max_permille) = (name.into(), EJECTED_MAX_PERMILLE);
        DirectorOptions { name, kind, members, session: None, ejected_max_permille }
    }
}

/// What is wrong with a configuration of backends. The owner's fault; nothing has been started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackendsError {
    /// There is not one origin.
    #[error("no backend is declared: add [backend.NAME] with an address, or --to ADDR")]
    NoOrigin,
    /// Two of them have the same name.
    #[error("the name {0:?} is used twice among backends and directors")]
    DuplicateName(String),
    /// A director without members.
    #[error("director {0:?} has no members")]
    NoMembers(String),
    /// A director names what does not exist.
    #[error("director {director:?} names the backend {member:?}, which is not declared")]
    UnknownMember {
        /// The director.
        director: String,
        /// What it names.
        member: String,
    },
    /// A weight of 0.
    #[error("the weight of {member:?} in director {director:?} is 0; it must be at least 1")]
    ZeroWeight {
        /// The director.
        director: String,
        /// Whose weight it is.
        member: String,
    },
    /// A director that is a member of itself, by way of others or directly.
    #[error("director {0:?} is a member of itself")]
    Cycle(String),
    /// TLS to an origin cannot be set up.
    #[error("backend.{0}.tls: {1}")]
    Tls(String, TlsError),
    /// No backend or director has that name.
    #[error("there is no backend or director {0:?}")]
    Unknown(String),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Origin(usize),
    Director(usize),
}

#[derive(Debug)]
struct Director {
    name: String,
    kind: &'static str,
    members: Vec<Target>,
    rule: Rule,
    session: Option<Session>,
    /// The origins that it can come to, each once, in the order in which it names them.
    reach: Vec<usize>,
}

/// An origin for one request.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Its place in the configuration, for [`Ask::tried`].
    pub index: usize,
    /// The origin.
    pub origin: Arc<Origin>,
    /// The value of a Set-Cookie that binds the visitor to it, where a director wants that and the visitor is not bound
    /// yet. For this visitor alone: it must not be stored.
    pub set_cookie: Option<String>,
}

/// All origins and directors of one configuration. Immutable but for health, counts and the rules' turns.
#[derive(Debug)]
pub struct Backends {
    origins: Vec<Arc<Origin>>,
    directors: Vec<Arc<Director>>,
    names: HashMap<String, Target>,
    default_name: String,
    default: Target,
    budget: BudgetOptions,
    /// The retry budgets: of the origins, then of the directors.
    budgets: Vec<Mutex<Budget>>,
    born: Instant,
    /// Told when an ejection begins, or ends before its time.
    pub(crate) ejected: Arc<Notify>,
    /// The cookies of all directors.
    cookies: Vec<String>,
    /// Does any director go by the cache key?
    by_key: bool,
    routes: Vec<Route>,
}

impl Backends {
    /// Checks and builds. The first origin is the default; nothing is connected or looked up.
    ///
    /// # Errors
    /// Names that are used twice or unknown, directors without members or within themselves, weights of 0, no origin at all.
    pub fn new(origins: Vec<OriginOptions>, directors: Vec<DirectorOptions>) -> Result<Arc<Self>, BackendsError> {
        Backends::with_chance(origins, directors, &Chance::of_the_system())
    }

    /// The same with chance from elsewhere, as where policy cases run.
    ///
    /// # Errors
    /// As above.
    pub fn with_chance(
        origins: Vec<OriginOptions>,
        directors: Vec<DirectorOptions>,
        chance: &Chance,
    ) -> Result<Arc<Self>, BackendsError> {
        let default_name = origins.first().ok_or(BackendsError::NoOrigin)?.name.clone();
        let of_origins = origins.iter().enumerate().map(|(i, o)| (&o.name, Target::Origin(i)));
        let of_directors = directors.iter().enumerate().map(|(i, d)| (&d.name, Target::Director(i)));
        let mut names = HashMap::new();
        for (name, target) in of_origins.chain(of_directors) {
            if names.insert(name.clone(), target).is_some() {
                return Err(BackendsError::DuplicateName(name.clone()));
            }
        }
        let members = directors.iter().map(|d| members(d, &names)).collect::<Result<Vec<_>, _>>()?;
        let by_key = directors.iter().any(|d| d.kind.goes_by_key());
        let mut cookies: Vec<String> =
            directors.iter().filter_map(|d| Some(d.session.as_ref()?.name.clone())).collect();
        cookies.sort_unstable();
        cookies.dedup();
        let origins: Vec<_> = origins.into_iter().map(|options| Origin::with_chance(options, chance)).collect();
        for origin in &origins {
            origin.check_tls().map_err(|e| BackendsError::Tls(origin.name().to_owned(), e))?;
        }
        let mut built = Vec::with_capacity(directors.len());
        let mut groups: Vec<Vec<Arc<Group>>> = vec![Vec::new(); origins.len()];
        let deciding = Arc::new(Mutex::new(()));
        for (i, d) in directors.into_iter().enumerate() {
            let mut reach = Vec::new();
            if !reached(i, &members, &mut vec![i], &mut reach) {
                return Err(BackendsError::Cycle(d.name));
            }
            let ejections = reach.iter().map(|&o| Arc::clone(&origins[o].ejection)).collect();
            if let DirectorKind::PeakEwma { decay } = d.kind {
                reach.iter().for_each(|&o| origins[o].decay_within(decay));
            }
            let group = Group::new(ejections, d.ejected_max_permille, Arc::clone(&deciding));
            reach.iter().for_each(|&o| groups[o].push(Arc::clone(&group)));
            let named = reach.iter().map(|&o| (o, origins[o].name()));
            built.push(Arc::new(Director {
                session: d.session.map(|session| Session::new(session, &d.name, named, chance)),
                rule: Rule::new(&d.kind, &d.members, chance.dice()),
                kind: d.kind.as_str(),
                members: members[i].clone(),
                name: d.name,
                reach,
            }));
        }
        let ejected = Arc::new(Notify::new());
        for (origin, groups) in origins.iter().zip(groups) {
            origin.ejection.join(groups, Arc::clone(&ejected));
        }
        let default = Target::Origin(0);
        let (budget, born) = (BudgetOptions::default(), Instant::now());
        let budgets = budgets(origins.len() + built.len(), budget);
        Ok(Arc::new(Backends {
            origins,
            directors: built,
            names,
            default_name,
            default,
            budget,
            budgets,
            born,
            ejected,
            cookies,
            by_key,
            routes: Vec::new(),
        }))
    }

    /// The same set (same origins, health, counts and turns) with another default.
    ///
    /// # Errors
    /// [`BackendsError::Unknown`].
    pub fn with_default(self: Arc<Self>, name: &str) -> Result<Arc<Self>, BackendsError> {
        let default = *self.names.get(name).ok_or_else(|| BackendsError::Unknown(name.to_owned()))?;
        Ok(Arc::new(Backends { default_name: name.to_owned(), default, ..self.again() }))
    }

    /// The same origins and directors, with budgets of their own.
    fn again(&self) -> Backends {
        Backends {
            origins: self.origins.clone(),
            directors: self.directors.clone(),
            names: self.names.clone(),
            default_name: self.default_name.clone(),
            default: self.default,
            budget: self.budget,
            budgets: budgets(self.budgets.len(), self.budget),
            born: self.born,
            ejected: self.ejected.clone(),
            cookies: self.cookies.clone(),
            by_key: self.by_key,
            routes: self.routes.clone(),
        }
    }

    /// The same set with these routes.
    ///
    /// # Errors
    /// [`BackendsError::Unknown`], when one leads nowhere.
    pub fn with_routes(self: Arc<Self>, routes: Vec<Route>) -> Result<Arc<Self>, BackendsError> {
        if let Some(route) = routes.iter().find(|route| !self.contains(&route.to)) {
            return Err(BackendsError::Unknown(route.to.clone()));
        }
        Ok(Arc::new(Backends { routes, ..self.again() }))
    }

    /// Is there any route?
    #[must_use]
    pub fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// The route of a request with that Host field and target: the first that fits.
    #[must_use]
    pub fn route(&self, host: &str, target: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.takes(host, target))
    }

    /// The backend or director that serves when nobody chooses.
    #[must_use]
    pub fn default_name(&self) -> &str {
        &self.default_name
    }

    /// All origins, in the order of the configuration.
    #[must_use]
    pub fn origins(&self) -> &[Arc<Origin>] {
        &self.origins
    }

    /// Is there a backend or director of that name?
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The same set with so many retries for each name; what was counted is forgotten.
    #[must_use]
    pub fn with_retry_budget(self: Arc<Self>, options: BudgetOptions) -> Arc<Self> {
        Arc::new(Backends { budget: options, budgets: budgets(self.budgets.len(), options), ..self.again() })
    }

    fn budget(&self, name: Option<&str>) -> Option<MutexGuard<'_, Budget>> {
        let place = match self.target(name)? {
            Target::Origin(i) => i,
            Target::Director(i) => self.origins.len() + i,
        };
        Some(self.budgets[place].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request goes to that backend or director, or to the default, for the first time.
    pub fn count_request(&self, name: Option<&str>) {
        if let Some(mut budget) = self.budget(name) {
            budget.sent(self.born.elapsed());
        }
    }

    /// May a request to it be sent again? Then that is counted; otherwise the retry budget is used up.
    #[must_use]
    pub fn may_retry(&self, name: Option<&str>) -> bool {
        self.budget(name).is_some_and(|mut budget| budget.retry(self.born.elapsed()))
    }

    /// The names of the cookies by which directors bind visitors, each once. They are Copal's own: no application and no
    /// policy sees them.
    #[must_use]
    pub fn cookies(&self) -> &[String] {
        &self.cookies
    }

    /// Does any director go by the cache key, so that requests that are passed need one?
    #[must_use]
    pub fn go_by_key(&self) -> bool {
        self.by_key
    }

    fn target(&self, name: Option<&str>) -> Option<Target> {
        match name {
            None => Some(self.default),
            Some(name) => self.names.get(name).copied(),
        }
    }

    /// The origin for one request to that backend or director, or to the default.
    ///
    /// # Errors
    /// [`FaultKind::NoHealthyBackend`] (503) and [`FaultKind::UnknownBackend`] (503, the policy's fault).
    pub fn pick(&self, name: Option<&str>, ask: &Ask<'_>) -> Result<Picked, Fault> {
        self.pick_at(name, ask, Instant::now(), false)
    }

    /// The same among those that the request was not sent to yet; none when there is nobody else.
    #[must_use]
    pub fn pick_other(&self, name: Option<&str>, ask: &Ask<'_>) -> Option<Picked> {
        self.pick_at(name, ask, Instant::now(), true).ok()
    }

    pub(crate) fn pick_at(
        &self,
        name: Option<&str>,
        ask: &Ask<'_>,
        now: Instant,
        others_only: bool,
    ) -> Result<Picked, Fault> {
        let shown = name.unwrap_or(&self.default_name);
        let Some(target) = self.target(name) else {
            return Err(Fault::early(Phase::Pool, FaultKind::UnknownBackend, None, shown));
        };
        let object = self.origins.iter().any(|o| !o.saint.is_empty()).then(|| ask.object());
        let cautious = View { all: self, now, object, tried: ask.tried, cautious: true };
        let bold = View { cautious: false, ..cautious };
        let again = || (!others_only && !ask.tried.is_empty()).then(|| View { tried: &[], ..bold }.choose(target, ask));
        let found = cautious.choose(target, ask).or_else(|| bold.choose(target, ask)).or_else(|| again().flatten());
        match found {
            Some((index, set_cookie)) => Ok(Picked { index, origin: self.origins[index].clone(), set_cookie }),
            None => Err(Fault::early(Phase::Pool, FaultKind::NoHealthyBackend, None, shown)),
        }
    }

    /// The backend of that name is not asked for what `head` asks for that long, while another can be.
    pub fn spare(&self, name: &str, head: &RequestHead, time: Duration) {
        if let Some(Target::Origin(i)) = self.target(Some(name)) {
            self.origins[i].spare(head, time, Instant::now());
        }
    }

    /// Would [`Backends::pick`] find an origin? An unknown name is not healthy.
    #[must_use]
    pub fn is_healthy(&self, name: Option<&str>) -> bool {
        match self.target(name) {
            None => false,
            Some(Target::Origin(i)) => self.origins[i].is_healthy(),
            Some(Target::Director(i)) => self.directors[i].reach.iter().any(|&o| self.origins[o].is_healthy()),
        }
    }

    /// What is known of each origin, in the order of the configuration.
    #[must_use]
    pub fn rows(&self) -> Vec<OriginRow> {
        self.origins.iter().map(|o| o.row()).collect()
    }

    /// What is known of each director, in the order of the configuration.
    #[must_use]
    pub fn director_rows(&self) -> Vec<DirectorRow> {
        let row = |d: &Arc<Director>| DirectorRow {
            name: d.name.clone(),
            kind: d.kind,
            healthy: self.is_healthy(Some(&d.name)),
            members: d.members.iter().map(|member| self.name(*member).to_owned()).collect(),
        };
        self.directors.iter().map(row).collect()
    }

    fn name(&self, target: Target) -> &str {
        match target {
            Target::Origin(i) => self.origins[i].name(),
            Target::Director(i) => &self.directors[i].name,
        }
    }

    /// Sets the owner's override of an origin, or of all that a director can reach.
    ///
    /// # Errors
    /// [`BackendsError::Unknown`].
    pub fn set_admin(&self, name: &str, admin: Admin) -> Result<(), BackendsError> {
        match self.names.get(name) {
            None => return Err(BackendsError::Unknown(name.to_owned())),
            Some(Target::Origin(i)) => self.origins[*i].set_admin(admin),
            Some(Target::Director(i)) => {
                self.directors[*i].reach.iter().for_each(|&o| self.origins[o].set_admin(admin));
            }
        }
        tracing::info!(backend = name, state = ?admin, "health set by the owner");
        Ok(())
    }
}

fn budgets(n: usize, options: BudgetOptions) -> Vec<Mutex<Budget>> {
    (0..n).map(|_| Mutex::new(Budget::new(options))).collect()
}

/// What the names of a director's members stand for.
fn members(d: &DirectorOptions, names: &HashMap<String, Target>) -> Result<Vec<Target>, BackendsError> {
    if d.members.is_empty() {
        return Err(BackendsError::NoMembers(d.name.clone()));
    }
    let member = |m: &MemberOptions| {
        if m.weight == 0 && m.when.is_none() {
            return Err(BackendsError::ZeroWeight { director: d.name.clone(), member: m.name.clone() });
        }
        let unknown = || BackendsError::UnknownMember { director: d.name.clone(), member: m.name.clone() };
        names.get(&m.name).copied().ok_or_else(unknown)
    };
    d.members.iter().map(member).collect()
}

/// Collects the origins that director `i` can come to; false when the `path` to it comes to itself.
fn reached(i: usize, members: &[Vec<Target>], path: &mut Vec<usize>, reach: &mut Vec<usize>) -> bool {
    members[i].iter().all(|member| match *member {
        Target::Origin(o) => {
            if !reach.contains(&o) {
                reach.push(o);
            }
            true
        }
        Target::Director(d) if path.contains(&d) => false,
        Target::Director(d) => {
            path.push(d);
            let fine = reached(d, members, path, reach);
            path.pop();
            fine
        }
    })
}

#[cfg(test)]
mod tests;
