// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of sd_notify(3): a datagram socket per run, so that it is certain who speaks.
//!
//! The name is abstract and random, so that it works for any user, in a chroot and with nothing
//! writable. A bad datagram costs that datagram and nothing else (CVE-2016-7796). What a message
//! means for the run, and whether its sender may speak for it, is not decided here.

#![expect(
    unsafe_code,
    reason = "descriptors that came with a message are ours to close"
)]

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, recvmsg,
    setsockopt, socket, sockopt,
};
use std::fmt::Write as _;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes of a datagram that are looked at (systemd's own limit).
pub const MESSAGE_MAX: usize = 4096;
/// Descriptors that may come with a datagram; more are dropped by the kernel.
const DESCRIPTORS_MAX: usize = 16;
/// Characters of a text that are kept: it stands in a line on a screen.
const TEXT_MAX: usize = 512;
/// Fields of one datagram that are kept.
const FIELDS_MAX: usize = 32;

/// A run's own socket.
#[derive(Debug)]
pub struct NotifySocket {
    fd: OwnedFd,
    address: String,
}

/// A datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who sent it; 0: a process outside our pid name space.
    pub pid: i32,
    /// As which user.
    pub uid: u32,
    /// What it says, in its order; empty when it made no sense.
    pub fields: Vec<Field>,
}

/// A line of a message (sd_notify(3)). Unknown ones are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `READY=1`.
    Ready,
    /// `STOPPING=1`.
    Stopping,
    /// `RELOADING=1`.
    Reloading,
    /// `STATUS=…`; control characters are replaced, for it will be shown.
    Status(String),
    /// `ERRNO=…`.
    Errno(i32),
    /// `BUSERROR=…`: the name of a D-Bus error.
    BusError(String),
    /// `MAINPID=…`.
    MainPid(i32),
    /// `EXTEND_TIMEOUT_USEC=…`.
    ExtendTimeoutUsec(u64),
    /// `WATCHDOG=1`.
    Watchdog,
    /// `WATCHDOG=trigger`.
    WatchdogTrigger,
    /// `WATCHDOG_USEC=…`.
    WatchdogUsec(u64),
    /// `BARRIER=1`; the descriptor that came with it is closed already, which is the answer.
    Barrier,
    /// `X_SUPD_CLASS=…`.
    Class(String),
    /// `X_SUPD_RETRY_AFTER_SEC=…`.
    RetryAfterSec(u64),
}

impl NotifySocket {
    /// A new socket with a name nobody can guess.
    pub fn new() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::PassCred, &true)?;
        let mut name = String::from("supd-");
        for byte in random()? {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        bind(fd.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        let address = format!("@{name}");
        Ok(Self { fd, address })
    }

    /// The value for `NOTIFY_SOCKET`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Takes the next datagram; `None`: none is waiting.
    pub fn recv(&self) -> Option<Message> {
        let mut bytes = [0_u8; MESSAGE_MAX];
        let mut control = nix::cmsg_space!(libc::ucred, [i32; DESCRIPTORS_MAX]);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let got = loop {
            let fd = self.fd.as_raw_fd();
            match recvmsg::<()>(fd, &mut slices, Some(&mut control), flags) {
                Ok(got) => break got,
                Err(nix::Error::EINTR) => {}
                Err(_) => return None,
            }
        };
        let (mut pid, mut uid) = (0, u32::MAX);
        for item in got.cmsgs().ok().into_iter().flatten() {
            if let ControlMessageOwned::ScmCredentials(from) = item {
                pid = from.pid();
                uid = from.uid();
            } else if let ControlMessageOwned::ScmRights(passed) = item {
                for number in passed {
                    // SAFETY: the kernel has just made this descriptor for us; nobody wants it.
                    drop(unsafe { OwnedFd::from_raw_fd(number) });
                }
            }
        }
        let (length, cut) = (got.bytes, got.flags.contains(MsgFlags::MSG_TRUNC));
        let fields = match bytes.get(..length) {
            Some(text) if !cut => parse(text),
            Some(_) | None => Vec::new(),
        };
        Some(Message { pid, uid, fields })
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for NotifySocket {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// 16 bytes from the kernel.
fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0_u8; 16];
    // SAFETY: the buffer has 16 bytes; so many are never given short (getrandom(2)).
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(got) == Ok(bytes.len()) {
        Ok(bytes)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The fields of a datagram's text.
pub fn parse(bytes: &[u8]) -> Vec<Field> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Vec::new();
    };
    let fields = text.split('\n').filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        field(name, value)
    });
    fields.take(FIELDS_MAX).collect()
}

fn field(name: &str, value: &str) -> Option<Field> {
    let on = || (value == "1").then_some(());
    match name {
        "READY" => on().map(|()| Field::Ready),
        "STOPPING" => on().map(|()| Field::Stopping),
        "RELOADING" => on().map(|()| Field::Reloading),
        "BARRIER" => on().map(|()| Field::Barrier),
        "STATUS" => Some(Field::Status(printable(value))),
        "ERRNO" => value.parse().ok().map(Field::Errno),
        "BUSERROR" => Some(Field::BusError(printable(value))),
        "MAINPID" => value
            .parse()
            .ok()
            .filter(|pid| *pid > 0)
            .map(Field::MainPid),
        "EXTEND_TIMEOUT_USEC" => value.parse().ok().map(Field::ExtendTimeoutUsec),
        "WATCHDOG" if value == "trigger" => Some(Field::WatchdogTrigger),
        "WATCHDOG" => on().map(|()| Field::Watchdog),
        "WATCHDOG_USEC" => value.parse().ok().map(Field::WatchdogUsec),
        "X_SUPD_CLASS" => Some(Field::Class(printable(value))),
        "X_SUPD_RETRY_AFTER_SEC" => value.parse().ok().map(Field::RetryAfterSec),
        _ => None,
    }
}

fn printable(text: &str) -> String {
    let shown = text
        .chars()
        .take(TEXT_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    shown.collect()
}
