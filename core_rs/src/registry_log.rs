//! Follows the registry log: the bookkeeper's word to the edges, in the journal's format.
//!
//! The log's writer begins each incarnation with all there is, ended by a `ready` entry, and deletes the
//! older ones after. So while there are several, the one whose writer lives is followed, once it is whole;
//! and when all are gone the last version stays in use. An incarnation's snapshot of promoters and links is
//! a file in its directory: opening it reads it all, so that is a thread's work, and so is letting go of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::event::Event;
use crate::journal::{self, Next, Reader};
use crate::registry::{EntryError, Registry, Snapshot, SnapshotError, Then};

/// The snapshot's name in the directory of its incarnation.
pub const SNAPSHOT: &str = "snapshot";
/// Entries taken in one refresh at most, so that a long log does not hold the loop up.
const ENTRIES_PER_REFRESH: usize = 20_000;

/// Why the registry log cannot be followed.
#[derive(Debug)]
pub enum Error {
    Journal(journal::Error),
    Entry(EntryError),
    /// A record of the log cannot be read.
    Damaged(PathBuf),
    /// The snapshot cannot be used, and why not.
    Snapshot(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Journal(e) => e.fmt(f),
            Error::Entry(EntryError::Malformed(what)) => write!(f, "an entry of the registry log is malformed: {what}"),
            Error::Entry(EntryError::OtherSecret) => {
                f.write_str("the registry is sealed under another secret than this instance's")
            }
            Error::Snapshot(why) => f.write_str(why),
            Error::Damaged(path) => {
                write!(f, "{}: the registry log is damaged; restart the processor to write it anew", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

/// How far an incarnation's snapshot has come.
enum Opening {
    /// None is waited for.
    No,
    Running(JoinHandle<Result<Snapshot, SnapshotError>>),
    /// Nothing more of this incarnation can be used.
    Failed(String),
}

struct Incarnation {
    number: u64,
    path: PathBuf,
    reader: Reader,
    registry: Registry,
    opening: Opening,
}

/// The registry as of the newest entry read.
pub struct RegistryLog {
    root: PathBuf,
    secret: [u8; 32],
    incarnations: Vec<Incarnation>,
    /// In use when no incarnation is whole.
    last: Registry,
}

impl RegistryLog {
    /// `root` holds the log as a journal root holds its producers.
    pub fn new(root: &Path, secret: [u8; 32]) -> RegistryLog {
        RegistryLog { root: root.to_owned(), secret, incarnations: Vec::new(), last: Registry::default() }
    }

    pub fn registry(&self) -> &Registry {
        self.whole().unwrap_or(&self.last)
    }

    fn whole(&self) -> Option<&Registry> {
        self.incarnations.first().map(|i| &i.registry).filter(|registry| registry.ready)
    }

    /// Reads what is new. The incarnation to follow comes to stand first. Where one cannot be read the others
    /// are none the less.
    pub fn refresh(&mut self) -> Result<(), Error> {
        self.list()?;
        let mut read = Ok(());
        for incarnation in &mut self.incarnations {
            read = read.and(incarnation.read(&self.secret));
        }
        self.incarnations.sort_by_key(|i| {
            let mark = i.reader.mark();
            std::cmp::Reverse((i.registry.ready, mark.live, i.registry.version))
        });
        if self.last.ready && self.whole().is_some() {
            discard(std::mem::take(&mut self.last));
        }
        read
    }

    /// Opens new incarnations and lets go of those that were deleted.
    fn list(&mut self) -> Result<(), Error> {
        let found = journal::incarnations(&self.root).map_err(Error::Journal)?;
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        for incarnation in self.incarnations.drain(..) {
            let there = found.iter().any(|(_, number, _)| *number == incarnation.number);
            if there { kept.push(incarnation) } else { gone.push(incarnation.registry) }
        }
        self.incarnations = kept;
        for registry in gone.into_iter().rev() {
            // the one that was followed stands first, and so comes last
            discard(if registry.ready { std::mem::replace(&mut self.last, registry) } else { registry });
        }
        for (_, number, path) in found {
            if self.incarnations.iter().all(|known| known.number != number) {
                let reader = Reader::open(&path, 0).map_err(Error::Journal)?;
                let (registry, opening) = (Registry::default(), Opening::No);
                self.incarnations.push(Incarnation { number, path, reader, registry, opening });
            }
        }
        Ok(())
    }
}

/// Lets go of a registry elsewhere: to unmap a large snapshot takes longer than a turn of the loop should.
fn discard(registry: Registry) {
    std::thread::spawn(move || drop(registry));
}

impl Incarnation {
    fn read(&mut self, secret: &[u8; 32]) -> Result<(), Error> {
        if !self.has_snapshot()? {
            return Ok(());
        }
        for _ in 0..ENTRIES_PER_REFRESH {
            match self.reader.next() {
                Next::Record { payload, .. } => {
                    let event = Event::decode(payload).map_err(|_| Error::Damaged(self.path.clone()))?;
                    let then = self.registry.apply(event.body, event.registry, secret).map_err(Error::Entry)?;
                    if then == Then::Attach {
                        let path = self.path.join(SNAPSHOT);
                        self.opening = Opening::Running(std::thread::spawn(move || Snapshot::open(&path)));
                        return Ok(());
                    }
                }
                Next::Wait | Next::End => return Ok(()),
                Next::Damage { .. } => return Err(Error::Damaged(self.path.clone())),
                Next::Failed(e) => return Err(Error::Journal(e)),
            }
        }
        Ok(())
    }

    /// Whether what the log says behind its snapshot may be read.
    fn has_snapshot(&mut self) -> Result<bool, Error> {
        if let Opening::Running(thread) = &self.opening
            && !thread.is_finished()
        {
            return Ok(false);
        }
        match std::mem::replace(&mut self.opening, Opening::No) {
            Opening::No => return Ok(true),
            Opening::Running(thread) => match thread.join().expect("opening a snapshot does not panic") {
                Ok(snapshot) => {
                    self.registry.attach(snapshot);
                    return Ok(true);
                }
                Err(error) => self.opening = Opening::Failed(error.to_string()),
            },
            failed => self.opening = failed,
        }
        match &self.opening {
            // all of it may have been deleted meanwhile, the file first
            Opening::Failed(why) if self.path.exists() => Err(Error::Snapshot(why.clone())),
            _ => Ok(false),
        }
    }
}
