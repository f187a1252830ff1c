//! Making files that are safe to write to: allocated, zeroed and synced before the first record.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
/// After so many bytes of zeros they are synced, and the caller may rest, as long as nobody is in a hurry.
const PART: u64 = 1 << 20;

/// How large an incarnation's segments are: each four times the one before, so that a start is quick.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub first: u64,
    pub max: u64,
}

impl Sizes {
    pub fn of(self, index: u64) -> u64 {
        let growth = u32::try_from(2 * index).ok().and_then(|shift| 1u64.checked_shl(shift)).unwrap_or(u64::MAX);
        self.first.saturating_mul(growth).min(self.max)
    }
}

/// A segment of the writer; its file's position is where the next record goes.
pub struct Segment {
    pub file: Arc<File>,
    pub index: u64,
    pub size: u64,
}

/// Makes a segment of zeros that is on the disk, its directory entry too. Where it fails nothing is left. `rest` is
/// called after each MiB, because 64 MiB at once keep a core, and the kernel's writer on it, for 50 ms; once it says
/// false the remainder is made at once: on a disk that others keep busy each sync may take as long as all of it.
pub fn allocate(dir: &Path, index: u64, size: u64, rest: impl FnMut() -> bool) -> io::Result<Segment> {
    let path = path(dir, index);
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let made = fill(&file, size, rest).and_then(|()| sync_directory(dir));
    if let Err(error) = made {
        std::fs::remove_file(&path)?;
        return Err(error);
    }
    Ok(Segment { file: Arc::new(file), index, size })
}

/// Reserves the whole size first, so that a full disk is known before any zero is written. The zeros are
/// written out because blocks that are merely reserved would cost a metadata commit at each sync.
fn fill(file: &File, size: u64, mut rest: impl FnMut() -> bool) -> io::Result<()> {
    reserve(file, size)?;
    let mut left = size;
    let mut at_leisure = true;
    while left > 0 {
        let piece = left.min(ZEROS.len() as u64);
        (&*file).write_all(&ZEROS[..piece as usize])?;
        left -= piece;
        if at_leisure && left > 0 && left.is_multiple_of(PART) {
            file.sync_all()?;
            at_leisure = rest();
        }
    }
    file.sync_all()?;
    io::Seek::rewind(&mut &*file)
}

fn reserve(file: &File, size: u64) -> io::Result<()> {
    let size = libc::off64_t::try_from(size).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for the length of the call, and no memory is passed.
    if unsafe { libc::fallocate64(file.as_raw_fd(), 0, 0, size) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // a file system without reservation: writing the zeros finds out
    if error.kind() == io::ErrorKind::Unsupported { Ok(()) } else { Err(error) }
}

/// Makes the entries of a directory durable.
pub fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub fn path(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{index:06}.seg"))
}

/// The indexes of the segments in a directory, ascending.
pub fn list(dir: &Path) -> Result<Vec<u64>, Error> {
    let mut found = Vec::new();
    for entry in dir.read_dir().map_err(Error::io(dir))? {
        let name = entry.map_err(Error::io(dir))?.file_name();
        if let Some(index) = name.to_str().and_then(|n| n.strip_suffix(".seg")).and_then(|n| n.parse().ok()) {
            found.push(index);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The reason code of a failed attempt to make room.
pub fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk_full",
        _ => "disk_failed",
    }
}
