// SPDX-License-Identifier: Apache-2.0
//! TLS of a client.

use std::fmt;
use std::io;
use std::sync::Arc;

use basics::{Error, Result};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::reload::Reloading;
use super::server::files;
use super::{Settings, certificates, private_key, roots, wrong};
use crate::socket::Socket;
use crate::stream::Stream;

/// What a client needs.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// `ca` = who may have signed the server's certificate, without it the system's authorities;
    /// certificate and key if the server wants to know who we are.
    pub shared: Settings,
    /// Take any certificate of the server.
    pub insecure_skip_verify: bool,
    /// The name expected in the server's certificate instead of the endpoint's.
    pub server_name: Option<String>,
}

/// TLS of a client; clone = refcount.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<Reloading<ClientConfig>>,
    name: Option<ServerName<'static>>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Reads what `settings` name; `alpn` = protocols we offer, the preferred first.
    ///
    /// # Errors
    /// `Invalid` when a file cannot be read, key and certificate are not a pair or one is missing.
    pub fn new(settings: ClientSettings, alpn: &'static [&'static str]) -> Result<Self> {
        let shared = &settings.shared;
        if shared.cert.is_some() != shared.key.is_some() {
            let text =
                "TLS of a client needs both certificate and key (cert_file, key_file), or neither";
            return Err(Error::invalid(text));
        }
        let name = match &settings.server_name {
            None => None,
            Some(name) => Some(server_name(name)?),
        };
        let interval = shared.reload_interval;
        let files = files([&shared.ca, &shared.cert, &shared.key]);
        let made = Reloading::new(files, interval, move || config(&settings, alpn))?;
        Ok(ClientTls { config: Arc::new(made), name })
    }

    /// The handshake with `host`.
    pub(crate) async fn connect(&self, host: &str, stream: Socket) -> io::Result<Stream> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host).map_err(io::Error::other)?,
        };
        let stream = TlsConnector::from(self.config.get()).connect(name, stream).await?;
        Ok(tokio_rustls::TlsStream::from(stream).into())
    }
}

/// A name or an IP address, the latter also in brackets.
fn server_name(host: &str) -> Result<ServerName<'static>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned())
        .map_err(|e| wrong(&format!("\"{host}\" is not a name for a certificate"), e))
}

fn config(settings: &ClientSettings, alpn: &[&str]) -> Result<ClientConfig> {
    let shared = &settings.shared;
    let provider = shared.provider()?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(shared.versions())
        .map_err(|e| wrong("these TLS versions and cipher suites do not go together", e))?;
    let builder =
        builder.dangerous().with_custom_certificate_verifier(verifier(settings, provider)?);
    let mut config = match (&shared.cert, &shared.key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|e| wrong("certificate and key are not a pair", e))?,
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

fn verifier(
    settings: &ClientSettings,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    if settings.insecure_skip_verify {
        return Ok(Arc::new(AnyServer(provider)));
    }
    let shared = &settings.shared;
    let with_system = shared.ca.is_none() || shared.include_system_ca_certs_pool;
    let roots = roots(shared.ca.as_ref(), with_system)?;
    if roots.is_empty() {
        return Ok(Arc::new(NoServer(provider)));
    }
    let trusted = match &shared.ca {
        Some(ca) => certificates(ca)?,
        None => Vec::new(),
    };
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| wrong("cannot verify servers by ca_file", e))?;
    Ok(Arc::new(ChainOrItself { chain, trusted }))
}

/// A server whose certificate leads to an authority, or is itself what `ca_file` holds.
///
/// The second is what `openssl req -x509` makes: a certificate that says it is an authority and
/// serves as one. OpenSSL and Go take it when it is trusted by name, webpki does not.
#[derive(Debug)]
struct ChainOrItself {
    chain: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for ChainOrItself {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        match verified {
            // webpki says so after it has looked at the time of validity.
            Err(error) if is_ca_as_end_entity(&error) && self.trusted.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

fn is_ca_as_end_entity(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    // rustls has no variant for it and does not export webpki's.
    format!("{other:?}").contains("CaUsedAsEndEntity")
}

/// Any server: `insecure_skip_verify`. That the peer holds the key of its certificate is checked.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

/// No server: there is nobody to trust. The process runs, and what it sends waits.
#[derive(Debug)]
struct NoServer(Arc<CryptoProvider>);

macro_rules! signatures_as_usual {
    () => {
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
    };
}

impl ServerCertVerifier for AnyServer {
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

    signatures_as_usual!();
}

impl ServerCertVerifier for NoServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    signatures_as_usual!();
}
