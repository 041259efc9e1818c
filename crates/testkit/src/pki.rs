// SPDX-License-Identifier: Apache-2.0
//! Certificates for tests: authorities, what they sign, and what nobody should trust.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority that signs.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signs itself").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `names` (host names or IP addresses), valid now.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(params(names))
    }

    /// One that was valid until 2020.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params = params(names);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("signs").pem();
        Identity { cert, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

impl Identity {
    /// What `openssl req -x509` makes: it serves, and says it is an authority.
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn self_signed(names: &[&str]) -> Identity {
        let mut params = params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("signs itself").pem();
        Identity { cert, key: key.serialize_pem() }
    }

    /// Writes `<stem>.crt` and `<stem>.key` into `folder`.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
        let cert = folder.join(format!("{stem}.crt"));
        let key = folder.join(format!("{stem}.key"));
        std::fs::write(&cert, &self.cert).expect("writes a certificate");
        std::fs::write(&key, &self.key).expect("writes a key");
        (cert, key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names of a certificate")
}
