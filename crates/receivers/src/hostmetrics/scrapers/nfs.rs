// SPDX-License-Identifier: Apache-2.0
//! NFS client and server of the kernel, from `/proc/net/rpc/nfs` and `/proc/net/rpc/nfsd`.
//!
//! A machine without the one or the other has no such file and no such metrics. What a line counts
//! is known by its first word; counters of procedures newer than the lists below are left out.
//! Source of the lists: Linux 6.12, `fs/nfs/nfs{3,4}xdr.c`, `fs/nfsd/nfs3proc.c`, `nfs4.h`.

use super::super::emit::{Emit, Points};

/// Procedures of version 3, of client and server.
const PROCEDURES: &str = "NULL GETATTR SETATTR LOOKUP ACCESS READLINK READ WRITE CREATE MKDIR \
    SYMLINK MKNOD REMOVE RMDIR RENAME LINK READDIR READDIRPLUS FSSTAT FSINFO PATHCONF COMMIT";

/// What the client counts of version 4: operations, although it calls them procedures.
const CLIENT_OPERATIONS: &str = "NULL READ WRITE COMMIT OPEN OPEN_CONFIRM OPEN_NOATTR \
    OPEN_DOWNGRADE CLOSE SETATTR FSINFO RENEW SETCLIENTID SETCLIENTID_CONFIRM LOCK LOCKT LOCKU \
    ACCESS GETATTR LOOKUP LOOKUP_ROOT REMOVE RENAME LINK SYMLINK CREATE PATHCONF STATFS READLINK \
    READDIR SERVER_CAPS DELEGRETURN GETACL SETACL FS_LOCATIONS RELEASE_LOCKOWNER SECINFO \
    FSID_PRESENT EXCHANGE_ID CREATE_SESSION DESTROY_SESSION SEQUENCE GET_LEASE_TIME \
    RECLAIM_COMPLETE GETDEVICEINFO LAYOUTGET LAYOUTCOMMIT LAYOUTRETURN SECINFO_NO_NAME \
    TEST_STATEID FREE_STATEID GETDEVICELIST BIND_CONN_TO_SESSION DESTROY_CLIENTID SEEK ALLOCATE \
    DEALLOCATE LAYOUTSTATS CLONE COPY OFFLOAD_CANCEL COPY_NOTIFY LOOKUPP LAYOUTERROR GETXATTR \
    SETXATTR LISTXATTRS REMOVEXATTR READ_PLUS";

/// Procedures of version 4 at the server.
const SERVER_COMPOUND: &str = "NULL COMPOUND";

/// Operations of version 4 at the server; the numbers 0 to 2 are not used.
const SERVER_OPERATIONS: &str = "- - - ACCESS CLOSE COMMIT CREATE DELEGPURGE DELEGRETURN GETATTR \
    GETFH LINK LOCK LOCKT LOCKU LOOKUP LOOKUPP NVERIFY OPEN OPENATTR OPEN_CONFIRM OPEN_DOWNGRADE \
    PUTFH PUTPUBFH PUTROOTFH READ READDIR READLINK REMOVE RENAME RENEW RESTOREFH SAVEFH SECINFO \
    SETATTR SETCLIENTID SETCLIENTID_CONFIRM VERIFY WRITE RELEASE_LOCKOWNER BACKCHANNEL_CTL \
    BIND_CONN_TO_SESSION EXCHANGE_ID CREATE_SESSION DESTROY_SESSION FREE_STATEID \
    GET_DIR_DELEGATION GETDEVICEINFO GETDEVICELIST LAYOUTCOMMIT LAYOUTGET LAYOUTRETURN \
    SECINFO_NO_NAME SEQUENCE SET_SSV TEST_STATEID WANT_DELEGATION DESTROY_CLIENTID \
    RECLAIM_COMPLETE ALLOCATE COPY COPY_NOTIFY DEALLOCATE IO_ADVISE LAYOUTERROR LAYOUTSTATS \
    OFFLOAD_CANCEL OFFLOAD_STATUS READ_PLUS SEEK WRITE_SAME CLONE GETXATTR SETXATTR LISTXATTRS \
    REMOVEXATTR";

/// The lines of one of the two files.
struct Counts<'a>(&'a str);

impl Counts<'_> {
    /// The first `N` numbers of the line that begins with `word`, if it has as many.
    fn of<const N: usize>(&self, word: &str) -> Option<[u64; N]> {
        self.numbers(word)?.get(..N)?.try_into().ok()
    }

    fn numbers(&self, word: &str) -> Option<Vec<u64>> {
        let line =
            self.0.lines().find(|line| line.split_ascii_whitespace().next() == Some(word))?;
        let words = line.split_ascii_whitespace().skip(1);
        Some(words.map_while(|word| word.parse().ok()).collect())
    }

    /// Calls by name: the line says first how many counters follow.
    fn calls(&self, word: &str, names: &'static str) -> Vec<(&'static str, u64)> {
        let Some(numbers) = self.numbers(word) else { return Vec::new() };
        let Some((count, calls)) = numbers.split_first() else { return Vec::new() };
        if usize::try_from(*count).ok() != Some(calls.len()) {
            return Vec::new();
        }
        let named = names.split_ascii_whitespace().zip(calls.iter().copied());
        named.filter(|(name, _)| *name != "-").collect()
    }
}

/// Writes what the client counts: the text of `/proc/net/rpc/nfs`.
pub fn write_client(text: &str, emit: &mut Emit<'_>) {
    let counts = Counts(text);
    if let Some([_, udp, tcp, connections]) = counts.of("net") {
        emit.counter(("nfs.client.net.count", "{record}", true), |p| transports(p, udp, tcp));
        let accepted = ("nfs.client.net.tcp.connection.accepted", "{connection}", true);
        emit.counter(accepted, |p| p.add(connections, &[]));
    }
    if let Some([calls, retransmitted, refreshed]) = counts.of("rpc") {
        for (name, unit, value) in [
            ("nfs.client.rpc.count", "{request}", calls),
            ("nfs.client.rpc.retransmit.count", "{retransmit}", retransmitted),
            ("nfs.client.rpc.authrefresh.count", "{authrefresh}", refreshed),
        ] {
            emit.counter((name, unit, true), |points| points.add(value, &[]));
        }
    }
    emit.counter(("nfs.client.procedure.count", "{procedure}", true), |points| {
        calls(points, 3, "onc_rpc.procedure.name", &counts.calls("proc3", PROCEDURES));
    });
    emit.counter(("nfs.client.operation.count", "{operation}", true), |points| {
        calls(points, 4, "nfs.operation.name", &counts.calls("proc4", CLIENT_OPERATIONS));
    });
}

/// Writes what the server counts: the text of `/proc/net/rpc/nfsd`.
pub fn write_server(text: &str, emit: &mut Emit<'_>) {
    let counts = Counts(text);
    if let Some(cache) = counts.of::<3>("rc") {
        emit.counter(("nfs.server.repcache.requests", "{request}", true), |points| {
            for (status, value) in ["hit", "miss", "nocache"].into_iter().zip(cache) {
                points.add(value, &[("nfs.server.repcache.status", status)]);
            }
        });
    }
    if let Some([stale]) = counts.of("fh") {
        emit.counter(("nfs.server.fh.stale.count", "{fh}", true), |p| p.add(stale, &[]));
    }
    if let Some(io) = counts.of::<2>("io") {
        emit.counter(("nfs.server.io", "By", true), |points| {
            for (direction, value) in ["receive", "transmit"].into_iter().zip(io) {
                points.add(value, &[("network.io.direction", direction)]);
            }
        });
    }
    if let Some([threads]) = counts.of("th") {
        emit.level(("nfs.server.thread.count", "{thread}", true), |p| p.add(threads, &[]));
    }
    if let Some([_, udp, tcp, connections]) = counts.of("net") {
        emit.counter(("nfs.server.net.count", "{request}", true), |p| transports(p, udp, tcp));
        let accepted = ("nfs.server.net.tcp.connection.accepted", "{connection}", true);
        emit.counter(accepted, |p| p.add(connections, &[]));
    }
    if let Some([_, _, format, auth, client]) = counts.of("rpc") {
        emit.counter(("nfs.server.rpc.count", "{request}", true), |points| {
            for (error, value) in [("format", format), ("auth", auth), ("client", client)] {
                points.add(value, &[("error.type", error)]);
            }
        });
    }
    emit.counter(("nfs.server.procedure.count", "{procedure}", true), |points| {
        const NAME: &str = "onc_rpc.procedure.name";
        calls(points, 3, NAME, &counts.calls("proc3", PROCEDURES));
        calls(points, 4, NAME, &counts.calls("proc4", SERVER_COMPOUND));
    });
    emit.counter(("nfs.server.operation.count", "{operation}", true), |points| {
        calls(points, 4, "nfs.operation.name", &counts.calls("proc4ops", SERVER_OPERATIONS));
    });
}

fn transports(points: &mut Points<'_, '_>, udp: u64, tcp: u64) {
    points.add(udp, &[("network.transport", "udp")]);
    points.add(tcp, &[("network.transport", "tcp")]);
}

fn calls(points: &mut Points<'_, '_>, version: i64, key: &str, calls: &[(&'static str, u64)]) {
    for (name, count) in calls {
        points.add_with(*count, ("onc_rpc.version", version), &[(key, name)]);
    }
}
