//! Follows the registry log: the bookkeeper's word to the edges, in the journal's format.
//!
//! The log's writer begins each incarnation with a whole snapshot, ended by a `ready` entry, and
//! deletes the older ones after. So while there are several, the one whose writer lives is followed,
//! once it is whole; and when all are gone the last version stays in use.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::event::Event;
use crate::journal::{self, Next, Reader};
use crate::registry::{EntryError, Registry};

/// Entries taken in one refresh at most, so that a long snapshot does not hold the loop up.
const ENTRIES_PER_REFRESH: usize = 20_000;

/// Why the registry log cannot be followed.
#[derive(Debug)]
pub enum Error {
    Journal(journal::Error),
    Entry(EntryError),
    /// A record of the log cannot be read.
    Damaged(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Journal(e) => e.fmt(f),
            Error::Entry(EntryError::Malformed(what)) => write!(f, "an entry of the registry log is malformed: {what}"),
            Error::Entry(EntryError::OtherSecret) => {
                f.write_str("the registry is sealed under another secret than this instance's")
            }
            Error::Damaged(path) => {
                write!(f, "{}: the registry log is damaged; restart the processor to write it anew", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

struct Incarnation {
    number: u64,
    path: PathBuf,
    reader: Reader,
    registry: Registry,
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
        self.incarnations.first().map(|i| &i.registry).filter(|registry| registry.ready).unwrap_or(&self.last)
    }

    /// Reads what is new. The incarnation to follow comes to stand first.
    pub fn refresh(&mut self) -> Result<(), Error> {
        self.list()?;
        for incarnation in &mut self.incarnations {
            incarnation.read(&self.secret)?;
        }
        self.incarnations.sort_by_key(|i| {
            let mark = i.reader.mark();
            std::cmp::Reverse((i.registry.ready, mark.live, i.registry.version))
        });
        Ok(())
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
        if let Some(registry) = gone.into_iter().find(|registry| registry.ready) {
            self.last = registry;
        }
        for (_, number, path) in found {
            if self.incarnations.iter().all(|known| known.number != number) {
                let reader = Reader::open(&path, 0).map_err(Error::Journal)?;
                self.incarnations.push(Incarnation { number, path, reader, registry: Registry::default() });
            }
        }
        Ok(())
    }
}

impl Incarnation {
    fn read(&mut self, secret: &[u8; 32]) -> Result<(), Error> {
        for _ in 0..ENTRIES_PER_REFRESH {
            match self.reader.next() {
                Next::Record { payload, .. } => {
                    let event = Event::decode(payload).map_err(|_| Error::Damaged(self.path.clone()))?;
                    self.registry.apply(event.body, event.registry, secret).map_err(Error::Entry)?;
                }
                Next::Wait | Next::End => return Ok(()),
                Next::Damage { .. } => return Err(Error::Damaged(self.path.clone())),
                Next::Failed(e) => return Err(Error::Journal(e)),
            }
        }
        Ok(())
    }
}
