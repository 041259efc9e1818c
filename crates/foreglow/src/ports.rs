// SPDX-License-Identifier: Apache-2.0
//! Who owns a port that is taken.
//!
//! Linux only: the socket's inode from `/proc/net/tcp`, then the process that has it open. Of other
//! users' processes nothing is known; then only the port is named.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::Path;

/// If `error` is a taken port: which one, and who has it as far as can be seen.
pub fn explain(error: &basics::Error) -> Option<String> {
    let mut cause = error.source();
    loop {
        let io_error = cause?.downcast_ref::<io::Error>();
        if io_error.is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
        cause = cause?.source();
    }
    let port = port_in(error.message())?;
    // What was started has been stopped: a port that is free now was ours.
    Some(match owner(port) {
        Some(owner) => format!("port {port} is in use by {owner}"),
        None => format!("port {port} is used twice in this configuration"),
    })
}

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process that we may look at.
    Process { name: String, pid: u32 },
    /// Another user's process, of which nothing is known.
    OtherUser,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Process { name, pid } => write!(f, "{name} (pid {pid})"),
            Owner::OtherUser => f.write_str("another user's process"),
        }
    }
}

/// Who listens on `port` of this host; none if nobody does.
pub fn owner(port: u16) -> Option<Owner> {
    let inode = listener(port)?;
    Some(process_with(&inode).unwrap_or(Owner::OtherUser))
}

/// The last `:port` of a message.
fn port_in(message: &str) -> Option<u16> {
    let parts = message.rsplit(':');
    parts
        .map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>())
        .find_map(|digits| digits.parse().ok())
}

/// The inode of the socket that listens on `port`.
fn listener(port: u16) -> Option<String> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        table.lines().find_map(|line| listening_inode(line, port)).map(str::to_owned)
    })
}

/// The process that has the socket open.
fn process_with(inode: &str) -> Option<Owner> {
    let socket = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes.map(|entry| entry.path()).find_map(|process| {
        let pid: u32 = process.file_name()?.to_str()?.parse().ok()?;
        if !has_open(&process, &socket) {
            return None;
        }
        let name = std::fs::read_to_string(process.join("comm")).ok()?;
        Some(Owner::Process { name: name.trim().to_owned(), pid })
    })
}

/// The inode of a line of `/proc/net/tcp` if it is a listener on `port`.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let is_it = local.rsplit_once(':').and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok());
    (state == LISTEN && is_it == Some(port)).then_some(inode)
}

fn has_open(process: &Path, socket: &str) -> bool {
    let Ok(files) = std::fs::read_dir(process.join("fd")) else { return false };
    let mut targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.any(|target| target.as_os_str() == socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_explained_with_its_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let taken = std::net::TcpListener::bind(address).expect_err("taken");
        let error = basics::Error::invalid(format!("cannot listen on {address}")).caused_by(taken);
        let explained = explain(&error).expect("a taken port");
        let expected = format!("port {} is in use by ", address.port());
        assert!(explained.starts_with(&expected), "{explained}");
        assert!(explained.contains(&format!("(pid {})", std::process::id())), "{explained}");
    }

    #[test]
    fn a_port_that_is_free_again_was_our_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let taken = std::net::TcpListener::bind(address).expect_err("taken");
        drop(listener);
        let error = basics::Error::invalid(format!("cannot listen on {address}")).caused_by(taken);
        let expected = format!("port {} is used twice in this configuration", address.port());
        assert_eq!(explain(&error), Some(expected));
    }

    #[test]
    fn other_errors_are_not_explained() {
        assert_eq!(explain(&basics::Error::invalid("something else: 4317")), None);
    }

    #[test]
    fn the_port_is_found_in_a_message() {
        for (message, port) in [
            ("cannot listen on 127.0.0.1:4317", Some(4317)),
            ("receiver otlp: cannot listen on [::1]:80: address in use", Some(80)),
            ("nothing here", None),
        ] {
            assert_eq!(port_in(message), port, "{message}");
        }
    }
}
