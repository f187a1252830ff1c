//! The system calls that the standard library has not: epoll, and the copy of a descriptor given as
//! a number. Nothing else in the front is unsafe.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

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

/// An edge-triggered epoll instance and the room for its reports.
pub struct Epoll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// `reports`: how many one [`wait`](Epoll::wait) brings at most.
    pub fn new(reports: usize) -> io::Result<Epoll> {
        // SAFETY: no pointer is passed; a non-negative result is a descriptor that nobody else owns.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Epoll { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; reports] })
    }

    /// Reports each change of `socket` from now on, both ways, so that it need never be modified.
    pub fn add(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        let flags = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), flags as u32, token)
    }

    pub fn remove(&self, socket: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket.as_raw_fd(), 0, 0)
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: `event` lives through the call, which keeps no pointer to it.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// What has changed since the last call, without waiting. An error reads as nothing: the loop
    /// that watches this descriptor calls again.
    pub fn wait(&mut self) -> impl Iterator<Item = Report> + '_ {
        let room = self.events.len() as libc::c_int;
        // SAFETY: the kernel writes at most `room` entries into the vector, which has that many.
        let found = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), room, 0) };
        self.events[..found.max(0) as usize].iter().map(|event| {
            let has = |flags: libc::c_int| event.events & flags as u32 != 0;
            let hung_up = has(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR);
            Report {
                token: event.u64,
                readable: has(libc::EPOLLIN) || hung_up,
                hung_up,
                writable: has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR),
            }
        })
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
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
