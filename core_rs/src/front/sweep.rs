//! Letting connections go: those that have waited too long, and all of them at the end.

use super::Front;
use super::conn::{Conn, Stage};

/// At the limit whoever has had nothing to say for this long may have to make room, in milliseconds ...
const PRESSED_MS: u64 = 1_000;
/// ... and this part of all connections goes at once.
const PRESSED_SHARE: usize = 8;

impl Front {
    /// Once a second: ends what has waited too long. `away` is how many of the connections given away
    /// are open. True: a turn is due.
    pub fn sweep(&mut self, away: usize) -> bool {
        self.away = away;
        let pressed = self.exhausted || !self.has_room();
        self.exhausted = false;
        self.now = self.started.elapsed().as_millis() as u64;
        let (now, limits) = (self.now, self.limits);
        let waited = |conn: &Conn, limit: u64| now.saturating_sub(conn.since) >= limit;
        let broken = self.table.pick(|conn| match conn.stage {
            Stage::Lingering => waited(conn, limits.linger_ms),
            _ if !conn.unsent.is_empty() => waited(conn, limits.stalled_ms),
            _ => !conn.unread.is_empty() && !conn.pending && waited(conn, limits.head_ms),
        });
        for token in broken {
            self.close(token);
        }
        self.end_idle(limits.idle_ms);
        if pressed {
            self.make_room();
        }
        self.is_due()
    }

    /// At the limit: closes those that have been silent longest, between two requests or within a head, so that who
    /// holds connections for nothing does not keep everybody else in the queue.
    fn make_room(&mut self) {
        let now = self.now;
        let silent = |conn: &Conn| {
            let asks = conn.pending || !conn.unsent.is_empty() || conn.stage != Stage::Open;
            !asks && now.saturating_sub(conn.since) >= PRESSED_MS
        };
        let mut silent: Vec<_> = self.table.pick(silent);
        silent.sort_by_cached_key(|token| self.table.get(*token).map(|conn| conn.since));
        silent.truncate(self.limits.connections.div_ceil(PRESSED_SHARE));
        for token in silent {
            self.close(token);
        }
    }

    /// From now on each answer is its connection's last, and the listening socket is left as soon as
    /// its queue is empty.
    pub fn drain(&mut self) {
        self.draining = true;
        // find out whether the queue is empty
        self.acceptable = true;
    }

    /// Ends connections that have had nothing to do for this long.
    pub fn end_idle(&mut self, idle_ms: u64) {
        let now = self.now;
        for token in self.table.pick(|conn| conn.is_idle() && now.saturating_sub(conn.since) >= idle_ms) {
            if let Some(conn) = self.table.get(token) {
                conn.shut(now);
            }
        }
    }
}
