//! Policies at work: what hooks read, write and return; here what the tests share.

mod actions;
mod connection;
mod faults;
mod loading;
mod variables;

use copal_policy::{Acl, Action, Environment, Fault, Health, Hook, Limits, Policy, Scene, SeededRandom};
use copal_semantics::{RequestHead, Time};
use std::sync::Arc;

struct Sick;
impl Health for Sick {
    fn healthy(&self, name: Option<&str>) -> bool {
        name != Some("app2")
    }
}

fn env() -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::parse(["10.0.0.0/8", "!10.0.0.66"]).expect("acl"))].into(),
        backends: vec!["app1".into(), "app2".into()],
        directors: vec!["app".into()],
        policies: vec!["shop".into()],
        limits: Limits::default(),
        health: Arc::new(Sick),
        random: Arc::new(SeededRandom::new(1)),
        ..Environment::default()
    })
}

fn policy(text: &str) -> Arc<Policy> {
    Policy::compile("site.rhai", text, env()).unwrap_or_else(|e| panic!("{e}"))
}

fn request(url: &str, headers: &[(&str, &str)]) -> Box<Scene> {
    let mut scene = Box::<Scene>::default();
    scene.req = RequestHead::get(url, headers.iter().copied());
    scene.req_vars.xid = "x1".into();
    scene.client.ip = "10.1.2.3".parse().expect("address");
    scene.now = Time::from_secs(1_700_000_000);
    scene
}

/// Runs `recv` with that body.
fn recv(body: &str, scene: Box<Scene>) -> (Box<Scene>, Result<Action, Box<Fault>>) {
    policy(&format!("fn recv(req) {{\n{body}\n}}")).call(Hook::Recv, scene)
}

/// What the body logs.
fn logged(body: &str, scene: Box<Scene>) -> Vec<String> {
    let (scene, result) = recv(body, scene);
    assert_eq!(result.map_err(|f| f.to_string()), Ok(Action::Default));
    scene.log
}

fn fault(body: &str) -> Fault {
    let scene = request("/", &[("host", "a"), ("cookie", "a=1")]);
    match recv(body, scene).1 {
        Err(fault) => *fault,
        Ok(action) => panic!("{body}: {action:?} instead of a fault"),
    }
}
