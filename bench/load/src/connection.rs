//! One connection and the request that is out on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::answer::{self, Answer, Parsed};

/// Longest answer, in bytes.
const ANSWER: usize = 8192;

pub struct Connection {
    stream: TcpStream,
    buffer: Box<[u8; ANSWER]>,
    filled: usize,
    /// Since when the latency of the request that is out counts; None: none is.
    pub since: Option<Instant>,
}

/// What a ready connection came to.
pub enum Outcome {
    Waiting,
    Answered(Answer),
    Malformed,
    Closed,
}

impl Connection {
    /// Connects, and has `poll` tell of it under `token`.
    pub fn open(poll: &Poll, target: SocketAddr, token: Token) -> io::Result<Connection> {
        let blocking = Blocking::connect(target)?;
        blocking.set_nodelay(true)?;
        blocking.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(blocking);
        poll.registry().register(&mut stream, token, Interest::READABLE)?;
        Ok(Connection { stream, buffer: Box::new([0; ANSWER]), filled: 0, since: None })
    }

    /// Sends a request whose latency counts from `since`.
    pub fn send(&mut self, request: &[u8], since: Instant) -> io::Result<()> {
        self.filled = 0;
        self.since = Some(since);
        match self.stream.write(request) {
            Ok(written) if written == request.len() => Ok(()),
            // nothing else is in the socket's buffer
            Ok(_) => Err(io::Error::other("a request does not fit the socket's buffer")),
            // the event of its end is on the way
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads what there is. A short read has emptied the socket, so the next bytes bring a new event.
    pub fn receive(&mut self) -> Outcome {
        loop {
            let space = &mut self.buffer[self.filled..];
            let room = space.len();
            if room == 0 {
                return Outcome::Malformed;
            }
            let read = match self.stream.read(space) {
                Ok(0) => return Outcome::Closed,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Outcome::Closed,
            };
            self.filled += read;
            match answer::parse(&self.buffer[..self.filled]) {
                // more than was asked for
                Parsed::Whole(answer) if answer.length < self.filled || self.since.is_none() => {
                    return Outcome::Malformed;
                }
                Parsed::Whole(answer) => return Outcome::Answered(answer),
                Parsed::Malformed => return Outcome::Malformed,
                Parsed::Partial if read < room => return Outcome::Waiting,
                Parsed::Partial => {}
            }
        }
    }
}
