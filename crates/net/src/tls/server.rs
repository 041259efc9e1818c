// SPDX-License-Identifier: Apache-2.0
//! TLS of a listener.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use basics::{Error, Result};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::reload::Reloading;
use super::{Pem, Settings, certificates, private_key, roots, wrong};
use crate::socket::Socket;
use crate::stream::Stream;

/// What a server needs.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// Certificate and key are needed.
    pub shared: Settings,
    /// Who may have signed the certificates of clients; with it every client must show one.
    pub client_ca: Option<Pem>,
    /// See changes of `client_ca` without a restart.
    pub client_ca_reload: bool,
}

/// TLS of a listener; clone = refcount.
#[derive(Clone)]
pub struct ServerTls(Arc<Reloading<ServerConfig>>);

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// Reads certificate and key; `alpn` = protocols to agree on, the preferred first.
    ///
    /// # Errors
    /// `Invalid` when a file cannot be read, or key and certificate are not a pair.
    pub fn new(mut settings: ServerSettings, alpn: &'static [&'static str]) -> Result<Self> {
        let shared = &settings.shared;
        if shared.cert.is_none() || shared.key.is_none() {
            let text = "TLS of a server needs both certificate and key (cert_file, key_file)";
            return Err(Error::invalid(text));
        }
        if let Some(ca) = settings.client_ca.clone().filter(|_| !settings.client_ca_reload) {
            let text = String::from_utf8_lossy(&ca.read()?).into_owned();
            settings.client_ca = Some(Pem::Text(text));
        }
        let interval = shared.reload_interval;
        let files = files([&shared.cert, &shared.key, &settings.client_ca]);
        let made = Reloading::new(files, interval, move || config(&settings, alpn))?;
        Ok(ServerTls(Arc::new(made)))
    }

    /// The handshake, with the certificate that is current now.
    pub(crate) async fn accept(&self, stream: Socket) -> io::Result<Stream> {
        let stream = TlsAcceptor::from(self.0.get()).accept(stream).await?;
        Ok(tokio_rustls::TlsStream::from(stream).into())
    }
}

/// The files among `all`.
pub(super) fn files<const N: usize>(all: [&Option<Pem>; N]) -> Vec<PathBuf> {
    let path = |pem: &Option<Pem>| match pem {
        Some(Pem::File(path)) => Some(path.clone()),
        _ => None,
    };
    all.into_iter().filter_map(path).collect()
}

fn config(settings: &ServerSettings, alpn: &[&str]) -> Result<ServerConfig> {
    let shared = &settings.shared;
    let (Some(cert), Some(key)) = (&shared.cert, &shared.key) else {
        return Err(Error::invalid("no certificate"));
    };
    let provider = shared.provider()?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(shared.versions())
        .map_err(|e| wrong("these TLS versions and cipher suites do not go together", e))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(Some(ca), false)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|e| wrong("cannot verify clients by client_ca_file", e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates(cert)?, private_key(key)?)
        .map_err(|e| wrong("certificate and key are not a pair", e))?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}
