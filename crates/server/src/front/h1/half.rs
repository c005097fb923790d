//! The writing half of a connection, and how to cut one so that the peer sees it.

use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::net::{tcp, unix};

/// A writing half.
pub(crate) trait Half: AsyncWrite + Unpin + Send {
    /// Ends the connection as a fault: the peer gets a reset, not an orderly end.
    fn cut(self);
}

impl Half for tcp::OwnedWriteHalf {
    fn cut(self) {
        // Lingering for no time turns the close into a reset. If the option cannot be set, the socket is dead already.
        let _dead = socket2::SockRef::from(self.as_ref()).set_linger(Some(Duration::ZERO));
        self.forget();
    }
}

impl Half for unix::OwnedWriteHalf {
    fn cut(self) {
        // A Unix socket knows no reset; closing it with unread input is the nearest thing, and the peer is local.
        self.forget();
    }
}
