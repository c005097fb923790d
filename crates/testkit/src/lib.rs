//! Three lines of set-up for a test over real sockets: a scripted origin, the real `copal` binary, a raw client.
//!
//! ```ignore
//! let origin = Origin::start(|_| Reply::ok("hello").header("Cache-Control", "max-age=60"));
//! let proxy = Proxy::builder(env!("CARGO_BIN_EXE_copal")).to(origin.addr()).start();
//! let response = client::get(proxy.addr(), "/", &[]);
//! ```
//!
//! For tests only: what goes wrong in the set-up panics with a text that says what.

pub mod authority;
pub mod client;
mod head;
pub mod name_server;
pub mod origin;
pub mod proxy;
pub mod reply;
pub mod response;
pub mod temp_dir;
pub mod venv;
pub mod wait;

pub use authority::{Authority, Issued, Validity};
pub use client::{Client, get, request};
pub use name_server::{NameServer, Says};
pub use origin::{Origin, Seen};
pub use proxy::{Proxy, Signal};
pub use reply::{Gate, Reply};
pub use response::{Framing, Response};
pub use temp_dir::TempDir;
pub use venv::Venv;
