//! Who invited whom, today and at any instant before.
//!
//! A promoter is a `u32` index and takes 16 bytes: its parent, and the list of its children threaded
//! through them (first child, next and previous sibling; the last makes a change of parent a constant
//! number of writes, however many siblings there are). Codes are interned beside. Only promoters whose
//! parent has changed have a history. All walks are loops: a tree may be a million deep.

use std::collections::HashMap;
use std::sync::Arc;

/// No promoter.
pub const NONE: u32 = u32::MAX;

/// Promoters in a forest.
pub const MAX_PROMOTERS: usize = NONE as usize;

/// Why the forest stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForestError {
    Exists,
    UnknownPromoter,
    UnknownParent,
    Loop,
    Full,
}

impl ForestError {
    pub fn code(self) -> &'static str {
        match self {
            ForestError::Exists => "exists",
            ForestError::UnknownPromoter => "unknown_promoter",
            ForestError::UnknownParent => "unknown_parent",
            ForestError::Loop => "loop",
            ForestError::Full => "full",
        }
    }
}

/// A promoter's place among its parent's children.
#[derive(Clone, Copy)]
struct Links {
    first_child: u32,
    next: u32,
    previous: u32,
}

/// From `since` (ms) on, `parent`.
#[derive(Clone, Copy)]
struct Change {
    since: u64,
    parent: u32,
}

/// How many promoters are below one, today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    pub direct: u64,
    pub total: u64,
    /// Of the children, the grandchildren, ...
    pub by_level: Vec<u64>,
}

/// How many promoters are below those of a group, today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Below {
    pub direct: u64,
    pub total: u64,
}

/// The promoter trees.
#[derive(Default)]
pub struct Forest {
    codes: Vec<Arc<str>>,
    indexes: HashMap<Arc<str>, u32>,
    /// Apart from the links, so that a chain touches 4 bytes a promoter.
    parents: Vec<u32>,
    links: Vec<Links>,
    /// Of promoters whose parent has changed: the parent at creation since 0, then the changes in order.
    history: HashMap<u32, Vec<Change>>,
    /// The instant of the last change of all.
    changed: u64,
}

impl Forest {
    pub fn new() -> Forest {
        Forest::default()
    }

    pub fn len(&self) -> usize {
        self.parents.len()
    }

    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// A promoter's index: they are counted from 0 as they come in.
    pub fn index(&self, code: &str) -> Option<u32> {
        self.indexes.get(code).copied()
    }

    /// A new promoter, whose parent counts from always.
    pub fn add(&mut self, code: &str, parent: Option<&str>) -> Result<(), ForestError> {
        if self.indexes.contains_key(code) {
            return Err(ForestError::Exists);
        }
        if self.len() == MAX_PROMOTERS {
            return Err(ForestError::Full);
        }
        let parent = self.find_parent(parent)?;
        let index = self.intern(code);
        self.link(index, parent);
        Ok(())
    }

    /// Many new promoters at once, all or none: `parents` are indexes into `codes`, -1 for none. They
    /// are the parents at creation; what changed since follows by `set_parent`, in order.
    pub fn load<S: AsRef<str>>(&mut self, codes: &[S], parents: &[i64]) -> Result<(), ForestError> {
        if codes.len() > MAX_PROMOTERS - self.len() {
            return Err(ForestError::Full);
        }
        if parents.len() != codes.len() || parents.iter().any(|p| *p < -1 || *p >= codes.len() as i64) {
            return Err(ForestError::UnknownParent);
        }
        if has_loop(parents) {
            return Err(ForestError::Loop);
        }
        let base = self.len();
        for code in codes {
            if self.indexes.contains_key(code.as_ref()) {
                self.forget_from(base);
                return Err(ForestError::Exists);
            }
            self.intern(code.as_ref());
        }
        for (i, &parent) in parents.iter().enumerate() {
            let parent = u32::try_from(parent).map_or(NONE, |parent| parent + base as u32);
            self.link((base + i) as u32, parent);
        }
        Ok(())
    }

    /// Another parent, or none, from `at` on; the past stands. A change never counts from before the
    /// last one made, so that the forest is free of loops at every instant.
    pub fn set_parent(&mut self, code: &str, parent: Option<&str>, at: u64) -> Result<(), ForestError> {
        let index = self.find(code)?;
        let parent = self.find_parent(parent)?;
        if self.is_below(parent, index) {
            return Err(ForestError::Loop);
        }
        self.changed = self.changed.max(at);
        let at_creation = Change { since: 0, parent: self.parents[index as usize] };
        let changes = self.history.entry(index).or_insert_with(|| vec![at_creation]);
        changes.push(Change { since: self.changed, parent });
        self.unlink(index);
        self.link(index, parent);
        Ok(())
    }

    /// Sets the parent once: false where there is one already.
    pub fn bind(&mut self, code: &str, parent: &str, at: u64) -> Result<bool, ForestError> {
        let index = self.find(code)?;
        self.find_parent(Some(parent))?;
        if self.parents[index as usize] != NONE {
            return Ok(false);
        }
        self.set_parent(code, Some(parent), at)?;
        Ok(true)
    }

    /// The promoter, the parent, the grandparent ..., at most `max_levels`, as the forest was at `at`.
    pub fn chain(&self, code: &str, at: u64, max_levels: usize) -> Result<Vec<&str>, ForestError> {
        let mut next = self.find(code)?;
        let mut chain = Vec::new();
        while next != NONE && chain.len() < max_levels {
            chain.push(&*self.codes[next as usize]);
            next = self.parent_at(next, at);
        }
        Ok(chain)
    }

    /// The chains of many promoters, today: `max_levels` indexes each, `NONE` where there is no more
    /// (all of them for an index that is no promoter's).
    pub fn chains(&self, indexes: &[u32], max_levels: usize) -> Vec<u32> {
        let mut out = vec![NONE; indexes.len() * max_levels];
        // level by level over a block: its lookups do not wait for each other
        const BLOCK: usize = 256;
        if max_levels == 0 {
            return out;
        }
        for (indexes, out) in indexes.chunks(BLOCK).zip(out.chunks_mut(BLOCK * max_levels)) {
            for (&index, chain) in indexes.iter().zip(out.chunks_exact_mut(max_levels)) {
                if (index as usize) < self.parents.len() {
                    chain[0] = index;
                }
            }
            for level in 1..max_levels {
                for chain in out.chunks_exact_mut(max_levels) {
                    chain[level] = self.parents.get(chain[level - 1] as usize).copied().unwrap_or(NONE);
                }
            }
        }
        out
    }

    /// Counts all below a promoter, today: one step a member, and no room but the counts.
    pub fn team(&self, code: &str) -> Result<Team, ForestError> {
        let index = self.find(code)?;
        let mut team = Team::default();
        let mut at = index;
        let mut depth = 0;
        loop {
            let child = self.links[at as usize].first_child;
            if child != NONE {
                at = child;
                depth += 1;
            } else {
                while at != index && self.links[at as usize].next == NONE {
                    at = self.parents[at as usize];
                    depth -= 1;
                }
                if at == index {
                    break;
                }
                at = self.links[at as usize].next;
            }
            if team.by_level.len() < depth {
                team.by_level.push(0);
            }
            team.by_level[depth - 1] += 1;
        }
        team.direct = team.by_level.first().copied().unwrap_or(0);
        team.total = team.by_level.iter().sum();
        Ok(team)
    }

    /// Counts all below the promoters of each group, today; the last group is of everyone who is in none. A
    /// promoter who is below two of a group counts twice. Codes that nobody has count for nothing.
    pub fn teams<S: AsRef<str>>(&self, groups: &[Vec<S>]) -> Vec<Below> {
        let rest = groups.len();
        let mut group_of = vec![rest; self.len()];
        for (group, codes) in groups.iter().enumerate() {
            for index in codes.iter().filter_map(|code| self.index(code.as_ref())) {
                group_of[index as usize] = group;
            }
        }
        let mut below = vec![Below::default(); rest + 1];
        // of those above where the walk is, by group
        let mut above = vec![0; rest + 1];
        for root in (0..self.len()).filter(|index| self.parents[*index] == NONE) {
            let mut at = root;
            loop {
                let child = self.links[at].first_child;
                if child != NONE {
                    above[group_of[at]] += 1;
                    at = child as usize;
                } else {
                    while at != root && self.links[at].next == NONE {
                        at = self.parents[at] as usize;
                        above[group_of[at]] -= 1;
                    }
                    if at == root {
                        break;
                    }
                    at = self.links[at].next as usize;
                }
                below[group_of[self.parents[at] as usize]].direct += 1;
                for (group, above) in above.iter().enumerate() {
                    below[group].total += above;
                }
            }
        }
        below
    }

    fn find(&self, code: &str) -> Result<u32, ForestError> {
        self.index(code).ok_or(ForestError::UnknownPromoter)
    }

    /// `NONE` for no parent.
    fn find_parent(&self, parent: Option<&str>) -> Result<u32, ForestError> {
        parent.map_or(Ok(NONE), |parent| self.index(parent).ok_or(ForestError::UnknownParent))
    }

    fn parent_at(&self, index: u32, at: u64) -> u32 {
        match self.history.get(&index) {
            None => self.parents[index as usize],
            // the first entry is since 0, so one is always at or before `at`
            Some(changes) => changes[changes.partition_point(|change| change.since <= at) - 1].parent,
        }
    }

    /// Whether `index` (perhaps `NONE`) is `ancestor` or below it; a walk up.
    fn is_below(&self, mut index: u32, ancestor: u32) -> bool {
        while index != NONE && index != ancestor {
            index = self.parents[index as usize];
        }
        index == ancestor
    }

    /// A new promoter without parent or children.
    fn intern(&mut self, code: &str) -> u32 {
        let index = self.len() as u32;
        let code: Arc<str> = code.into();
        self.codes.push(Arc::clone(&code));
        self.indexes.insert(code, index);
        self.parents.push(NONE);
        self.links.push(Links { first_child: NONE, next: NONE, previous: NONE });
        index
    }

    /// Undoes `intern` of those from `len` on.
    fn forget_from(&mut self, len: usize) {
        for code in self.codes.drain(len..) {
            self.indexes.remove(&code);
        }
        self.parents.truncate(len);
        self.links.truncate(len);
    }

    fn link(&mut self, index: u32, parent: u32) {
        self.parents[index as usize] = parent;
        if parent == NONE {
            return;
        }
        let next = std::mem::replace(&mut self.links[parent as usize].first_child, index);
        if next != NONE {
            self.links[next as usize].previous = index;
        }
        self.links[index as usize].next = next;
    }

    fn unlink(&mut self, index: u32) {
        let Links { next, previous, .. } = self.links[index as usize];
        let parent = std::mem::replace(&mut self.parents[index as usize], NONE);
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if previous != NONE {
            self.links[previous as usize].next = next;
        } else if parent != NONE {
            self.links[parent as usize].first_child = next;
        }
        self.links[index as usize].next = NONE;
        self.links[index as usize].previous = NONE;
    }
}

/// Whether some walk up these parents does not end. Each promoter is walked over once.
fn has_loop(parents: &[i64]) -> bool {
    // the number of the walk that came by, from 1; a walk that meets itself is in a loop
    let mut walked_by = vec![0usize; parents.len()];
    for start in 0..parents.len() {
        let mut at = start as i64;
        while at >= 0 && walked_by[at as usize] == 0 {
            walked_by[at as usize] = start + 1;
            at = parents[at as usize];
        }
        if at >= 0 && walked_by[at as usize] == start + 1 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
