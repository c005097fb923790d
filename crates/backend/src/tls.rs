//! TLS to an origin: what its owner wants, made into rustls' settings; and why a handshake failed.
//!
//! The origin's certificate is checked unless its owner says otherwise: chain, dates and name (RFC 9110 §4.3.4), against
//! the owner's `ca_file` or the system's authorities. Files are read when the proxy starts and at each reload; one that
//! cannot be used at a reload leaves what was in force.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use thiserror::Error;

/// What the owner says about TLS to an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The name that the certificate must be for, sent as SNI (RFC 6066 §3) unless it is an IP address; the host of the
    /// address when none.
    pub sni: Option<String>,
    /// PEM file of the authorities that are trusted, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Is the certificate checked at all?
    pub verify: bool,
    /// PEM files of the certificate chain and the key that Copal shows when it is asked who it is.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

impl Default for TlsOptions {
    fn default() -> Self {
        TlsOptions { sni: None, ca_file: None, verify: true, client: None, min_version: TlsVersion::Tls12 }
    }
}

/// Versions of TLS. Older ones are not to be used (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Which HTTP an origin is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// Over TLS, HTTP/2 where the origin takes it up (ALPN, RFC 7301), else HTTP/1.1; without TLS, HTTP/1.1.
    #[default]
    Auto,
    /// Never HTTP/2.
    Off,
    /// HTTP/2 alone; without TLS by prior knowledge (RFC 9113 §3.3).
    Only,
}

/// Why settings of TLS cannot be used. The owner's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of what it should.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// What is wrong, and how to mend it.
        why: String,
    },
    /// No name that a certificate could be checked against.
    #[error("{0:?} is no name that a certificate can be for: set `sni`")]
    Name(String),
    /// Key and certificate do not fit, or the key is of no known kind.
    #[error("client_cert and client_key: {0}")]
    Client(String),
    /// The system has no list of authorities.
    #[error("the system's certificate authorities cannot be read ({0}): set `ca_file`")]
    System(String),
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is by nobody who is trusted.
    UnknownIssuer,
    /// The certificate is for another name.
    NameMismatch,
    /// The certificate cannot be used for another reason.
    Certificate,
    /// The origin has refused, with an alert: it may want a client certificate.
    Alert,
    /// No common version or cipher, or not TLS at all.
    Protocol,
}

impl TlsFault {
    /// What people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TlsFault::Expired => "certificate expired",
            TlsFault::NotYetValid => "certificate not valid yet",
            TlsFault::UnknownIssuer => "certificate of an unknown issuer",
            TlsFault::NameMismatch => "certificate for another name",
            TlsFault::Certificate => "bad certificate",
            TlsFault::Alert => "TLS alert",
            TlsFault::Protocol => "TLS not agreed on",
        }
    }

    /// The fault within an error of the handshake; none when the connection itself has failed.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(match error {
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYetValid,
                CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsFault::NameMismatch
                }
                _ => TlsFault::Certificate,
            },
            rustls::Error::AlertReceived(_) => TlsFault::Alert,
            _ => TlsFault::Protocol,
        })
    }
}

/// What an origin's connections need for TLS.
#[derive(Clone, Debug)]
pub(crate) struct TlsSettings {
    pub(crate) name: ServerName<'static>,
    /// For requests: offers what [`Http2`] says.
    pub(crate) config: Arc<ClientConfig>,
    /// For those who speak HTTP/1.1 whatever the origin can: probes.
    pub(crate) http1: Arc<ClientConfig>,
}

/// The settings in force for one origin; replaced as a whole by a reload.
#[derive(Debug)]
pub(crate) struct Tls {
    options: TlsOptions,
    host: String,
    http2: Http2,
    in_force: Mutex<Result<TlsSettings, TlsError>>,
}

impl Tls {
    pub(crate) fn new(options: &TlsOptions, host: &str, http2: Http2) -> Self {
        let in_force = Mutex::new(settings(options, host, http2));
        Tls { options: options.clone(), host: host.to_owned(), http2, in_force }
    }

    pub(crate) fn settings(&self) -> Result<TlsSettings, TlsError> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again. On an error what was in force stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let fresh = settings(&self.options, &self.host, self.http2)?;
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Ok(fresh);
        Ok(())
    }
}

fn settings(options: &TlsOptions, host: &str, http2: Http2) -> Result<TlsSettings, TlsError> {
    let name = options.sni.as_deref().unwrap_or(host);
    let name =
        ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
    let versions: &[_] = match options.min_version {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("aws-lc-rs has ciphers for both versions");
    let builder = if options.verify {
        builder.with_root_certificates(authorities(options.ca_file.as_deref())?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
    };
    let mut config = match &options.client {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(key, "PRIVATE KEY", &e))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| TlsError::Client(e.to_string()))?
        }
    };
    config.alpn_protocols = match http2 {
        Http2::Off => vec![b"http/1.1".to_vec()],
        Http2::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2::Only => vec![b"h2".to_vec()],
    };
    let mut http1 = config.clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsSettings { name, config: Arc::new(config), http1: Arc::new(http1) })
}

fn unusable(path: &Path, wanted: &str, error: &rustls::pki_types::pem::Error) -> TlsError {
    use rustls::pki_types::pem::Error;
    let why = match error {
        Error::Io(e) => e.to_string(),
        Error::NoItemsFound => format!("holds no {wanted}: a PEM file has a line `-----BEGIN {wanted}-----`"),
        other => other.to_string(),
    };
    TlsError::File { path: path.display().to_string(), why }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(none) if none.is_empty() => Err(unusable(path, "CERTIFICATE", &rustls::pki_types::pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(e) => Err(unusable(path, "CERTIFICATE", &e)),
    }
}

/// Who is trusted: those of the file, or those of the system, which are read once.
fn authorities(file: Option<&Path>) -> Result<Arc<RootCertStore>, TlsError> {
    static SYSTEM: OnceLock<Result<Arc<RootCertStore>, TlsError>> = OnceLock::new();
    let Some(path) = file else {
        return SYSTEM.get_or_init(system_authorities).clone();
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let wrong = |e: rustls::Error| TlsError::File { path: path.display().to_string(), why: e.to_string() };
        roots.add(certificate).map_err(wrong)?;
    }
    Ok(Arc::new(roots))
}

fn system_authorities() -> Result<Arc<RootCertStore>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (good, _unusable) = roots.add_parsable_certificates(found.certs);
    if good == 0 {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(TlsError::System(why));
    }
    Ok(Arc::new(roots))
}

/// Takes any certificate, as the owner has said (`verify = false`). That the origin has its key is checked all the same.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
