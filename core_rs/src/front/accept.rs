//! Taking connections in.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream};

use super::Front;
use super::conn::Conn;

/// Connections accepted in one round at most.
const ACCEPTS_PER_ROUND: usize = 256;

impl Front {
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_ROUND {
            if !self.may_accept() {
                return;
            }
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => self.admit(socket, peer.ip()),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    if self.draining {
                        // the queue is empty; whoever still holds the socket inherits what comes
                        self.listener = None;
                    }
                }
                // this one connection is gone already
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
                // no descriptor or memory for another one: the rest of the queue has to wait
                Err(_) => self.exhausted = true,
            }
        }
    }

    /// Takes a new connection in. One that cannot be watched is closed at once.
    fn admit(&mut self, socket: TcpStream, peer: IpAddr) {
        if socket.set_nonblocking(true).is_err() || socket.set_nodelay(true).is_err() {
            return;
        }
        let token = self.table.insert(Conn::new(socket, peer, self.now));
        let watched = self.table.get(token).is_some_and(|conn| self.epoll.add(&conn.socket, token.raw()).is_ok());
        if !watched {
            self.table.remove(token);
        }
    }

    pub(super) fn may_accept(&self) -> bool {
        self.acceptable && self.listener.is_some() && !self.exhausted && self.has_room()
    }

    pub(super) fn has_room(&self) -> bool {
        self.table.len() + self.away < self.limits.connections
    }
}
