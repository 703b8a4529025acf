//! One socket asked of the kernel by its addresses (`sock_diag`), where it answers that.
//!
//! Reading the whole table costs milliseconds on a machine with much memory, however few sockets
//! there are, as the kernel walks every bucket of it; this costs microseconds. It is a shortcut and
//! no more: an answer counts if it is about exactly the socket that was asked for and a file refers
//! to that socket. Whatever else comes back, the table is read.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::linux::Socket;

/// `SOCK_DIAG_BY_FAMILY`: the kind of the question and of its answer.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// `TCP_ESTABLISHED` to `TCP_CLOSING`, without the listeners: the kernel offers one where nothing
/// else fits.
const ANY_STATE_BUT_LISTEN: u32 = !(1 << 10);
/// `INET_DIAG_NOCOOKIE`, twice.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const QUESTION: usize = 16 + 56;
/// `struct nlmsghdr` and `struct inet_diag_msg`. Attributes may follow.
const ANSWER: usize = 16 + 72;

/// The socket that is at `local` and connected to `remote`.
pub(super) fn socket(local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
    let answer = ask(&question(local, remote)).ok()?;
    read(&answer, local, remote)
}

fn ask(question: &[u8]) -> io::Result<Vec<u8>> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    send(&kernel, question, SendFlags::empty())?;
    let mut answer = vec![0; 1024];
    // The kernel has answered by the time it has taken the question.
    let (length, _) = recv(&kernel, answer.as_mut_slice(), RecvFlags::DONTWAIT)?;
    answer.truncate(length);
    Ok(answer)
}

fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let mut text = Vec::with_capacity(QUESTION);
    text.extend(72_u32.to_ne_bytes());
    text.extend(BY_FAMILY.to_ne_bytes());
    text.extend(REQUEST.to_ne_bytes());
    text.extend([0; 8]);
    // `sdiag_family` is a byte, and so is every address family there is.
    text.extend([family.as_raw().to_le_bytes()[0], TCP, 0, 0]);
    text.extend(ANY_STATE_BUT_LISTEN.to_ne_bytes());
    text.extend(local.port().to_be_bytes());
    text.extend(remote.port().to_be_bytes());
    for address in [local, remote] {
        match address.ip() {
            IpAddr::V4(ip) => {
                text.extend(ip.octets());
                text.extend([0; 12]);
            }
            IpAddr::V6(ip) => text.extend(ip.octets()),
        }
    }
    text.extend([0; 4]);
    text.extend(NO_COOKIE);
    text
}

fn read(answer: &[u8], local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
    let answer = answer.first_chunk::<ANSWER>()?;
    let is_answer = u16::from_ne_bytes(part(answer, 4)) == BY_FAMILY;
    let family = u16::from(answer[16]);
    let address = |at: usize| match family {
        family if family == AddressFamily::INET.as_raw() => {
            Some(IpAddr::from(part::<4>(answer, at)))
        }
        // Of an IPv6 socket that speaks IPv4 the kernel tells the mapped addresses.
        family if family == AddressFamily::INET6.as_raw() => {
            Some(Ipv6Addr::from(part::<16>(answer, at)).to_canonical())
        }
        _ => None,
    };
    let end = |port: usize, ip: usize| Some((address(ip)?, u16::from_be_bytes(part(answer, port))));
    let is_it = end(20, 24) == Some((local.ip().to_canonical(), local.port()))
        && end(22, 40) == Some((remote.ip().to_canonical(), remote.port()));
    let uid = u32::from_ne_bytes(part(answer, 80));
    let inode = u64::from(u32::from_ne_bytes(part(answer, 84)));
    (is_answer && is_it && inode > 0).then_some(Socket { uid, inode })
}

/// The bytes of a field.
fn part<const LENGTH: usize>(answer: &[u8; ANSWER], at: usize) -> [u8; LENGTH] {
    std::array::from_fn(|index| answer[at + index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::MetadataExt as _;

    /// The inode behind a descriptor, as the kernel's own link names it.
    fn inode(stream: &TcpStream) -> u64 {
        use std::os::fd::AsRawFd as _;
        std::fs::metadata(format!("/proc/self/fd/{}", stream.as_raw_fd()))
            .unwrap()
            .ino()
    }

    #[test]
    fn the_socket_is_found_in_both_families_and_for_mapped_addresses() {
        for (bound, dialled) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("127.0.0.1:0", "[::ffff:127.0.0.1]"),
            ("[::1]:0", "[::1]"),
        ] {
            let Ok(listener) = TcpListener::bind(bound) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect(format!("{dialled}:{port}")).unwrap();
            let (server, _) = listener.accept().unwrap();
            let (ours, theirs) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
            if let Some(found) = socket(theirs, ours) {
                assert_eq!(found.inode, inode(&client), "{dialled}");
                assert_eq!(found.uid, rustix::process::geteuid().as_raw());
            }
        }
    }

    #[test]
    fn neither_a_listener_nor_a_closed_socket_is_taken_for_a_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(socket(address, nobody), None, "only a listener is there");

        let client = TcpStream::connect(address).unwrap();
        let (server, theirs) = listener.accept().unwrap();
        drop(client);
        assert_eq!(socket(theirs, address), None, "its owner has closed it");
        drop(server);
    }

    #[test]
    fn an_answer_about_another_socket_is_no_answer() {
        let local = SocketAddr::from(([127, 0, 0, 1], 40000));
        let remote = SocketAddr::from(([127, 0, 0, 1], 13667));
        let mut answer = vec![0; ANSWER];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer[16] = 2;
        answer[20..22].copy_from_slice(&40000_u16.to_be_bytes());
        answer[22..24].copy_from_slice(&13667_u16.to_be_bytes());
        answer[24..28].copy_from_slice(&[127, 0, 0, 1]);
        answer[40..44].copy_from_slice(&[127, 0, 0, 1]);
        answer[84] = 7;
        let whole = Some(Socket { uid: 0, inode: 7 });
        assert_eq!(read(&answer, local, remote), whole);
        // The kind, the family, either port, either address, the inode.
        for changed in [4, 16, 21, 23, 27, 43, 84] {
            let mut other = answer.clone();
            other[changed] ^= 7;
            assert_eq!(read(&other, local, remote), None, "byte {changed}");
        }
        assert_eq!(read(&answer[..ANSWER - 1], local, remote), None);
    }
}
