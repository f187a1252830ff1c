//! The system calls that the standard library has not: epoll, and the copy of a descriptor given as
//! a number. Nothing else in the front is unsafe.
//!
//! What is called for each request goes to the kernel by rustix, past the C library: its functions are
//! places where a thread may be cancelled, and say so to the thread before and after each call.

use std::io;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

/// One report of an [`Epoll`].
#[derive(Clone, Copy)]
pub struct Report {
    /// What the descriptor was added with.
    pub token: u64,
    /// Something can be read, or reading would report an end or an error.
    pub readable: bool,
    /// The peer has sent its last byte, or the connection is gone.
    pub hung_up: bool,
    /// There is room to send, or sending would report an error.
    pub writable: bool,
}

/// Reports taken from the kernel at once.
const REPORTS: usize = 512;

/// An edge-triggered epoll instance.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        Ok(Epoll(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Reports each change of `socket` from now on, both ways, so that it need never be modified.
    pub fn add(&self, socket: &impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.0, socket, EventData::new_u64(token), flags)?)
    }

    pub fn remove(&self, socket: &impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, socket)?)
    }

    /// Tells what has changed since the last call, without waiting. An error tells nothing: the loop
    /// that watches this descriptor calls again.
    pub fn reports(&self, mut tell: impl FnMut(Report)) {
        let mut room = [const { MaybeUninit::uninit() }; REPORTS];
        let Ok((events, _)) = epoll::wait(&self.0, &mut room, Some(&Timespec::default())) else { return };
        for epoll::Event { flags, data } in events.iter().copied() {
            let hung_up = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            tell(Report {
                token: data.u64(),
                readable: flags.intersects(EventFlags::IN) || hung_up,
                hung_up,
                writable: flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR),
            });
        }
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A listener of our own on the socket that `fd` names; `fd` stays its owner's.
pub fn listener(fd: RawFd) -> io::Result<TcpListener> {
    if fd < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: `fd` is borrowed for this one call; the kernel refuses a number that is not open.
    let copy = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
    let listener = TcpListener::from(copy);
    listener.set_nonblocking(true)?;
    Ok(listener)
}
