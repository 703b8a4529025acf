//! Certificates of a test's own.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Who vouches for servers.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a server shows to prove its names.
pub struct Proof {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Authority {
    /// One of this name that nobody knows yet.
    pub fn new(name: &str) -> Self {
        let mut own = CertificateParams::default();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(own, key).expect("it vouches for itself"))
    }

    /// Writes what makes it known, as `SSL_CERT_FILE` names it.
    pub fn write_to(&self, file: &Path) {
        std::fs::write(file, self.0.pem()).expect("it can be written");
    }

    /// Vouches for a server with these names.
    pub fn vouch_for(&self, names: &[&str]) -> Proof {
        self.sign(&named(names))
    }

    /// The same, until a time that is over.
    pub fn vouched_for(&self, names: &[&str]) -> Proof {
        let mut server = named(names);
        server.not_after = date_time_ymd(2020, 1, 1);
        self.sign(&server)
    }

    fn sign(&self, server: &CertificateParams) -> Proof {
        let key = KeyPair::generate().expect("a key");
        let certificate = server.signed_by(&key, &self.0).expect("it can be signed");
        Proof {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }
    }
}

fn named(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

impl Proof {
    /// Takes connections with it. `protocols` are offered in this order (RFC 7301); without any, none is.
    pub(super) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let library = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(library)
            .with_safe_default_protocol_versions()
            .expect("the library has them")
            .with_no_client_auth()
            .with_single_cert(
                self.chain.clone(),
                PrivateKeyDer::Pkcs8(self.key.clone_key()),
            )
            .expect("the key is the certificate's");
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
