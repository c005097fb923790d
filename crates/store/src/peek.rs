//! Looking at what stands under a key without using it: for reasons and explanations.

use crate::object::Object;
use crate::shelf::Found;
use crate::store::Store;
use std::sync::Arc;

impl Store {
    /// Everything under that key, whatever request it answers: responses and markers. `hash` is [`Store::hash`] of `key`.
    #[must_use]
    pub fn variants(&self, key: &[u8], hash: u128) -> Vec<Arc<Object>> {
        match self.shelf().peek(hash) {
            Some(Found::Object(o)) if o.key() == key => vec![o],
            Some(Found::Index(index)) if index.is_for(hash, key) => index.variants(),
            Some(Found::Object(_) | Found::Index(_)) | None => Vec::new(),
        }
    }
}
