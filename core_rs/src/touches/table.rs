//! The entries of a batch, which may be large, side by side.

use fjall::Keyspace;

use super::Error;

struct Entry {
    start: usize,
    key: usize,
    record: usize,
}

/// Keys and their records.
#[derive(Default)]
pub struct Table {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Table {
    pub fn push(&mut self, key: &[u8], record: &[u8]) {
        self.entries.push(Entry { start: self.bytes.len(), key: key.len(), record: record.len() });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(record);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| self.row(entry))
    }

    fn row(&self, entry: &Entry) -> (&[u8], &[u8]) {
        self.bytes[entry.start..][..entry.key + entry.record].split_at(entry.key)
    }

    /// Makes it a table of the keyspace's, on the disk when this returns. What stands there under the same keys stays
    /// no more.
    pub fn ingest(mut self, keyspace: &Keyspace) -> Result<(), Error> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by_key(|entry| self.row(entry).0);
        entries.dedup_by(|a, b| self.row(a).0 == self.row(b).0);
        let mut ingestion = keyspace.start_ingestion()?;
        for entry in &entries {
            let (key, record) = self.row(entry);
            ingestion.write(key, record)?;
        }
        Ok(ingestion.finish()?)
    }
}
