//! What is known of a script's own functions: the types of what they are called with, what they give back, and the hooks
//! that reach them. The walk is done three times: each knows more than the one before, and the last one reports.

use crate::action::ActionKind;
use crate::hooks::HookSet;
use crate::vars::Type;
use std::collections::{BTreeMap, BTreeSet};

/// A function: file, name, number of parameters.
pub(super) type Key = (String, String, usize);

/// What a function or a variable may be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Gives {
    /// The types that were seen; with `Any` among them it may be everything.
    pub(super) types: Vec<Type>,
    /// The actions that were seen.
    pub(super) actions: Vec<ActionKind>,
}

impl Gives {
    pub(super) fn add(&mut self, ty: Type) {
        if !self.types.contains(&ty) {
            self.types.push(ty);
        }
    }

    pub(super) fn action(&mut self, kind: ActionKind) {
        if !self.actions.contains(&kind) {
            self.actions.push(kind);
        }
    }

    pub(super) fn all_of(&mut self, other: &Gives) {
        other.types.iter().for_each(|ty| self.add(*ty));
        other.actions.iter().for_each(|kind| self.action(*kind));
    }

    /// The one type that it has; `Any` when there are several.
    pub(super) fn ty(&self) -> Type {
        match &self.types[..] {
            [] if self.actions.is_empty() => Type::Any,
            [] => Type::Action,
            [one] if self.actions.is_empty() || *one == Type::Action => *one,
            _ => Type::Any,
        }
    }
}

/// What a variable is set to.
#[derive(Debug, Clone, Default)]
pub(super) struct Variable {
    /// By `let` and `=`.
    pub(super) plain: Gives,
    /// By `+=` and the like, if what is there before is what `plain` says.
    pub(super) grown: Gives,
}

impl Variable {
    pub(super) fn ty(&self) -> Type {
        let mut all = self.plain.clone();
        all.all_of(&self.grown);
        all.ty()
    }
}

/// What one walk found out.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What each parameter was called with.
    params: BTreeMap<Key, Vec<Gives>>,
    gives: BTreeMap<Key, Gives>,
    /// What the variables of a function are set to.
    locals: BTreeMap<(Key, String), Variable>,
    hooks: BTreeMap<Key, HookSet>,
    /// Functions that are called in a way that is not seen, by file and name: through `Fn("name")`, or as a method.
    open: BTreeSet<(String, String)>,
}

impl Facts {
    pub(super) fn called(&mut self, key: Key, types: &[Type], hooks: HookSet) {
        let params = self.params.entry(key.clone()).or_insert_with(|| vec![Gives::default(); types.len()]);
        params.iter_mut().zip(types).for_each(|(param, ty)| param.add(*ty));
        let known = self.hooks.entry(key).or_default();
        *known = known.and(hooks);
    }

    pub(super) fn opened(&mut self, file: &str, name: &str) {
        self.open.insert((file.to_owned(), name.to_owned()));
    }

    pub(super) fn gave(&mut self, key: &Key) -> &mut Gives {
        self.gives.entry(key.clone()).or_default()
    }

    pub(super) fn set(&mut self, key: &Key, name: &str) -> &mut Variable {
        self.locals.entry((key.clone(), name.to_owned())).or_default()
    }

    fn is_open(&self, key: &Key) -> bool {
        key.1.starts_with("anon$") || self.open.contains(&(key.0.clone(), key.1.clone()))
    }

    pub(super) fn param(&self, key: &Key, at: usize) -> Type {
        let known = self.params.get(key).and_then(|all| all.get(at));
        known.filter(|_| !self.is_open(key)).map_or(Type::Any, Gives::ty)
    }

    pub(super) fn result(&self, key: &Key) -> Option<&Gives> {
        self.gives.get(key)
    }

    pub(super) fn local(&self, key: &Key, name: &str) -> Option<&Variable> {
        self.locals.get(&(key.clone(), name.to_owned()))
    }

    /// The hooks that reach a function; none when that is not known.
    pub(super) fn hooks(&self, key: &Key) -> HookSet {
        if self.is_open(key) { HookSet::NONE } else { self.hooks.get(key).copied().unwrap_or_default() }
    }
}
