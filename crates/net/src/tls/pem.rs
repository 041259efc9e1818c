// SPDX-License-Identifier: Apache-2.0
//! Certificates and keys in PEM, from a file or from the configuration itself.

use std::fmt;
use std::path::PathBuf;

use basics::{Error, Result};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// PEM text, or where it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In this file.
    File(PathBuf),
    /// This text.
    Text(String),
}

/// A bundle of all public authorities has some 200 KiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

impl Pem {
    /// The text.
    ///
    /// # Errors
    /// `Invalid` when the file cannot be read or is larger than 16 MiB.
    pub fn read(&self) -> Result<Vec<u8>> {
        let path = match self {
            Pem::Text(text) => return Ok(text.clone().into_bytes()),
            Pem::File(path) => path,
        };
        let unread = |e| Error::invalid(format!("cannot read {}", path.display())).caused_by(e);
        if std::fs::metadata(path).map_err(unread)?.len() > FILE_BYTES_MAX {
            return Err(Error::invalid(format!("{} is larger than 16 MiB", path.display())));
        }
        std::fs::read(path).map_err(unread)
    }

    /// `in <file>`, for messages; the text itself may be secret.
    fn place(&self) -> String {
        match self {
            Pem::File(path) => format!("in {}", path.display()),
            Pem::Text(_) => "in the PEM text".to_owned(),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => f.debug_tuple("File").field(path).finish(),
            Pem::Text(_) => f.write_str("Text([REDACTED])"),
        }
    }
}

/// All certificates in `pem`, at least one.
///
/// # Errors
/// `Invalid` when it cannot be read or has none.
pub fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>> {
    let text = pem.read()?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::invalid(format!("no certificate {}", pem.place()))),
        Err(e) => Err(Error::invalid(format!("broken PEM {}: {e}", pem.place()))),
    }
}

/// The first private key in `pem`.
///
/// # Errors
/// `Invalid` when it cannot be read or has none, or only one with a passphrase.
pub fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>> {
    let text = pem.read()?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|e| {
        let is_encrypted = text.windows(17).any(|w| w == b"ENCRYPTED PRIVATE");
        match e {
            _ if is_encrypted => Error::invalid(format!(
                "the private key {} has a passphrase; give it without",
                pem.place()
            )),
            pem::Error::NoItemsFound => Error::invalid(format!("no private key {}", pem.place())),
            e => Error::invalid(format!("broken PEM {}: {e}", pem.place())),
        }
    })
}
