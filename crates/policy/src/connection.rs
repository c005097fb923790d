//! What is known of a client's connection beside its addresses: what a PROXY header said, and who is at the other end of a
//! Unix socket. Most connections have nothing of it.

/// What is known of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// What the PROXY header said beside the addresses, `proxy::`.
    pub proxied: Proxied,
    /// Whose process is at the other end of a Unix socket, `unix::`.
    pub peer: Option<UnixPeer>,
}

/// What a PROXY header of version 2 said of a client's connection. The texts are the sender's, with U+FFFD for what is not UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxied {
    /// The protocol chosen in the handshake of TLS.
    pub alpn: Option<String>,
    /// The host that the client named in it.
    pub authority: Option<String>,
    /// What it said of TLS.
    pub ssl: Option<ClientSsl>,
}

/// TLS between the client and the proxy in front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientSsl {
    /// The client came over TLS.
    pub ssl: bool,
    /// It showed a certificate on this connection.
    pub cert_conn: bool,
    /// It showed one in the session that the connection belongs to.
    pub cert_sess: bool,
    /// What came of verifying the certificate; 0 is "verified". Without a certificate it says nothing.
    pub verify: u32,
    /// Such as `TLSv1.3`.
    pub version: Option<String>,
    /// The common name of the client's certificate.
    pub cn: Option<String>,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: Option<String>,
    /// With what the certificate that the proxy has shown is signed.
    pub sign: Option<String>,
    /// The key of that certificate.
    pub key: Option<String>,
}

impl ClientSsl {
    /// What came of verifying the client's certificate; `None` when there was none.
    #[must_use]
    pub fn verified(&self) -> Option<u32> {
        (self.cert_conn || self.cert_sess).then_some(self.verify)
    }
}

/// The process at the other end of a Unix socket, as the system tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnixPeer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The user's name, where this machine has one.
    pub user: Option<String>,
    /// The group's name, where this machine has one.
    pub group: Option<String>,
}
