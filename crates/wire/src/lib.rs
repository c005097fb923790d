//! Strict HTTP/1 framing (RFC 9112) as pure functions: bytes in, heads and body pieces out. No I/O, no async.
//!
//! Both sides of the proxy use it, so there is one idea of where a message ends. Whatever is ambiguous is refused:
//! bare LF, white space before a colon, folded lines, Content-Length beside Transfer-Encoding, any transfer coding but
//! one `chunked`, chunk sizes with padding. That is what request smuggling feeds on.

pub mod chunked;
pub mod encode;
pub mod framing;
pub mod head;
pub mod proxy_header;

pub use chunked::{Chunked, Piece};
pub use framing::{BodyFraming, request_framing, response_framing};
pub use head::{HeadScan, WireError, WireLimits, parse_request, parse_response};
pub use proxy_header::{ProxyHeader, ProxyHeaderError};
