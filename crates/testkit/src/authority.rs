//! A certificate authority of a test's own, and what a TLS server needs to answer with its certificates.

use crate::temp_dir::TempDir;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Signs certificates. Its files live as long as it does.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
    next: AtomicU32,
}

/// When a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Good,
    /// Until some years ago.
    Expired,
    /// From in a thousand years.
    NotYet,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of the key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    #[must_use]
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Nobody takes it for another one by its name.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {} of {}", NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signs itself");
        let dir = TempDir::new();
        dir.write("ca.pem", issuer.pem());
        Authority { dir, issuer, next: AtomicU32::new(0) }
    }

    /// The PEM file of its own certificate, which others may trust.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A certificate for a host name or an IP address, which is its common name, too.
    #[must_use]
    pub fn issue(&self, name: &str, validity: Validity) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = match validity {
            Validity::Good => (date_time_ymd(2000, 1, 1), date_time_ymd(4000, 1, 1)),
            Validity::Expired => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
            Validity::NotYet => (date_time_ymd(3000, 1, 1), date_time_ymd(4000, 1, 1)),
        };
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("is signed");
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        Issued {
            cert: self.dir.write(&format!("cert-{n}.pem"), cert.pem()),
            key: self.dir.write(&format!("key-{n}.pem"), key.serialize_pem()),
        }
    }

    /// What a server needs that shows this certificate, offers these protocols (ALPN), and with `ask` wants one of this
    /// authority from its clients.
    #[must_use]
    pub fn server(&self, issued: &Issued, alpn: &[&str], ask: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if ask {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("authorities"))
        } else {
            builder.with_no_client_auth()
        };
        let chain = CertificateDer::pem_file_iter(&issued.cert).expect("a file").map(|c| c.expect("PEM")).collect();
        let key = PrivateKeyDer::from_pem_file(&issued.key).expect("a key");
        let mut config = builder.with_single_cert(chain, key).expect("a certificate and its key");
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}
