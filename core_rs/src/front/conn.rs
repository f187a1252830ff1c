//! The connections of the front: what is known of each, and the table that holds them.

use std::net::{IpAddr, Shutdown, TcpStream};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Answers whole heads as they come.
    Open,
    /// Its unread bytes are not ours: goes to aiohttp as soon as its answers are sent.
    Foreign,
    /// Its last answer was given: our side is shut as soon as that is sent.
    Ending,
    /// Our side is shut; what the peer still sends is thrown away until it shuts its own. Closing
    /// with bytes unread would send a reset, and a reset can destroy the answer on its way.
    Lingering,
}

/// One connection that the front owns.
pub struct Conn {
    pub socket: TcpStream,
    pub peer: IpAddr,
    pub stage: Stage,
    /// Bytes read and not answered: a part of a head, or whole heads for which the turn had no room.
    pub unread: Vec<u8>,
    /// `unread` may hold whole heads.
    pub pending: bool,
    /// Answers that did not fit into the socket. Nothing is read before they are gone.
    pub unsent: Vec<u8>,
    /// The socket may hold more to read (edge-triggered: it is not reported again).
    pub readable: bool,
    pub hung_up: bool,
    /// The peer's last byte was read.
    pub ended: bool,
    /// In the list of connections that have something to do.
    pub queued: bool,
    /// The front has answered here before.
    pub answered: bool,
    /// Front's clock (ms) when it began to wait for what it waits for now.
    pub since: u64,
}

/// What became of trying to read or send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Bytes(usize),
    /// Not now.
    Nothing,
    /// The connection is gone.
    Broken,
}

impl Conn {
    pub fn new(socket: TcpStream, peer: IpAddr, now: u64) -> Conn {
        Conn {
            socket,
            peer: peer.to_canonical(),
            stage: Stage::Open,
            unread: Vec::new(),
            pending: false,
            unsent: Vec::new(),
            readable: false,
            hung_up: false,
            ended: false,
            queued: false,
            answered: false,
            since: now,
        }
    }

    /// One read. Keeps `readable` and `ended` true to what it found.
    pub fn read(&mut self, into: &mut [u8]) -> Moved {
        let moved = moved(|| rustix::net::recv(&self.socket, &mut *into, RecvFlags::empty()).map(|(n, _)| n));
        match moved {
            Moved::Bytes(0) => {
                self.ended = true;
                self.readable = false;
            }
            // a short read has emptied the socket; what comes later is reported, except for an end already reported
            Moved::Bytes(n) => self.readable = n == into.len() || self.hung_up,
            Moved::Nothing | Moved::Broken => self.readable = false,
        }
        moved
    }

    /// Sends as much of `bytes` as the socket takes; false where the connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        match moved(|| rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL)) {
            Moved::Bytes(n) => self.unsent.extend_from_slice(&bytes[n..]),
            Moved::Nothing => self.unsent.extend_from_slice(bytes),
            Moved::Broken => return false,
        }
        true
    }

    /// Sends as much of `unsent` as the socket takes.
    pub fn flush(&mut self) -> Moved {
        let moved = moved(|| rustix::net::send(&self.socket, &self.unsent, SendFlags::NOSIGNAL));
        if let Moved::Bytes(n) = moved {
            self.unsent.drain(..n);
            if self.unsent.is_empty() {
                self.unsent = Vec::new();
            }
        }
        moved
    }

    /// Says that nothing more will be sent. A peer that has gone already has heard enough.
    pub fn shut(&mut self, now: u64) {
        let _ = self.socket.shutdown(Shutdown::Write);
        self.stage = Stage::Lingering;
        self.since = now;
        self.unread = Vec::new();
    }

    /// Nothing asked, nothing owed.
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Open && self.unread.is_empty() && self.unsent.is_empty() && !self.readable
    }
}

fn moved(mut call: impl FnMut() -> Result<usize, Errno>) -> Moved {
    loop {
        match call() {
            Ok(n) => return Moved::Bytes(n),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Moved::Nothing,
            Err(_) => return Moved::Broken,
        }
    }
}

/// Names a connection for good: a place in the table and how often that place was given out, so
/// that a report about a connection that is gone never meets its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u64);

impl Token {
    /// No connection: the listening socket.
    pub const LISTENER: Token = Token(u64::MAX);

    pub fn from_raw(raw: u64) -> Token {
        Token(raw)
    }

    pub fn raw(self) -> u64 {
        self.0
    }

    fn new(place: usize, generation: u32) -> Token {
        Token(u64::from(generation) << 32 | place as u64)
    }

    fn place(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Default)]
struct Place {
    generation: u32,
    conn: Option<Box<Conn>>,
}

/// All connections of the front.
#[derive(Default)]
pub struct Table {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl Table {
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn insert(&mut self, conn: Conn) -> Token {
        let at = self.free.pop().map_or_else(
            || {
                self.places.push(Place::default());
                self.places.len() - 1
            },
            |at| at as usize,
        );
        let place = &mut self.places[at];
        place.conn = Some(Box::new(conn));
        Token::new(at, place.generation)
    }

    pub fn get(&mut self, token: Token) -> Option<&mut Conn> {
        let place = self.places.get_mut(token.place())?;
        if place.generation == token.generation() { place.conn.as_deref_mut() } else { None }
    }

    pub fn remove(&mut self, token: Token) -> Option<Box<Conn>> {
        let place = self.places.get_mut(token.place())?;
        if place.generation != token.generation() {
            return None;
        }
        let conn = place.conn.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(token.place() as u32);
        Some(conn)
    }

    /// The tokens of all connections for which `pick` holds.
    pub fn pick(&self, pick: impl Fn(&Conn) -> bool) -> Vec<Token> {
        let matching = |(at, place): (usize, &Place)| {
            place.conn.as_deref().filter(|conn| pick(conn)).map(|_| Token::new(at, place.generation))
        };
        self.places.iter().enumerate().filter_map(matching).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_token_never_means_the_next_connection_in_its_place() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let conn =
            || Conn::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap(), Ipv4Addr::LOCALHOST.into(), 0);
        let mut table = Table::default();
        let first = table.insert(conn());
        assert!(table.remove(first).is_some());
        let second = table.insert(conn());
        assert_eq!(first.place(), second.place());
        assert!(table.get(first).is_none() && table.remove(first).is_none());
        assert!(table.get(second).is_some());
        assert_eq!(table.len(), 1);
    }
}
