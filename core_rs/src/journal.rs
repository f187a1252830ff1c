use crate::event::Event;
#[derive(Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub starts: Vec<usize>,
}
impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }
    pub fn push(&mut self, e: &Event<'_>) {
        self.starts.push(self.bytes.len());
        e.encode(&mut self.bytes);
    }
    pub fn len(&self) -> usize {
        self.starts.len()
    }
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
    pub fn truncate(&mut self, n: usize) {
        if n < self.starts.len() {
            self.bytes.truncate(self.starts[n]);
            self.starts.truncate(n);
        }
    }
    pub fn clear(&mut self) {
        self.truncate(0)
    }
}
impl Batch {
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.starts.len())
            .map(|i| &self.bytes[self.starts[i]..self.starts.get(i + 1).copied().unwrap_or(self.bytes.len())])
    }
}
