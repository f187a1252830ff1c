//! One connection and the requests that are out on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::ops::Range;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::answer::{self, Answer, Parsed};

/// Longest answer, and bytes of one read.
const ANSWER: usize = 8192;

pub struct Connection {
    stream: TcpStream,
    buffer: Box<[u8; ANSWER]>,
    /// What of the buffer was read and is not parsed yet.
    unparsed: Range<usize>,
    /// Requests that are out.
    pub out: usize,
    /// Since when their latency counts.
    pub since: Instant,
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
        Ok(Connection { stream, buffer: Box::new([0; ANSWER]), unparsed: 0..0, out: 0, since: Instant::now() })
    }

    /// Sends `count` requests at once, whose latency counts from `since`.
    pub fn send(&mut self, requests: &[u8], count: usize, since: Instant) -> io::Result<()> {
        self.out = count;
        self.since = since;
        match self.stream.write(requests) {
            Ok(written) if written == requests.len() => Ok(()),
            // nothing else is in the socket's buffer
            Ok(_) => Err(io::Error::other("what is sent at once does not fit the socket's buffer")),
            // the event of its end is on the way
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next answer: of what was read before, else of what there is. A short read has emptied the socket, so the
    /// next bytes bring a new event.
    pub fn receive(&mut self) -> Outcome {
        let mut emptied = false;
        loop {
            match answer::parse(&self.buffer[self.unparsed.clone()]) {
                Parsed::Whole(answer) => {
                    self.unparsed.start += answer.length;
                    // more than was asked for
                    if self.out == 0 || (self.out == 1 && !self.unparsed.is_empty()) {
                        return Outcome::Malformed;
                    }
                    self.out -= 1;
                    return Outcome::Answered(answer);
                }
                Parsed::Malformed => return Outcome::Malformed,
                Parsed::Partial if emptied => return Outcome::Waiting,
                Parsed::Partial => {}
            }
            self.buffer.copy_within(self.unparsed.clone(), 0);
            self.unparsed = 0..self.unparsed.len();
            let space = &mut self.buffer[self.unparsed.end..];
            let room = space.len();
            if room == 0 {
                return Outcome::Malformed;
            }
            match self.stream.read(space) {
                Ok(0) => return Outcome::Closed,
                Ok(read) => {
                    self.unparsed.end += read;
                    emptied = read < room;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Outcome::Closed,
            }
        }
    }
}
