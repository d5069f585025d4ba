//! A disk for tests that is as mean as a real one: it forgets what was not synced, tears sectors, fills up, fails and
//! loses power at any call, all decided by a seed.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, Files};

const SECTOR_BYTES: usize = 512;

/// Numbers that are random enough, and the same for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails, having done a part.
    Error,
    /// The same, and so does every call after it.
    PowerCut,
}

/// The disk; a clone is the same disk.
#[derive(Debug, Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: BTreeMap<String, File>,
    /// Files that were removed, as long as the folder was not synced.
    removed: BTreeMap<String, File>,
    random: Random,
    capacity: usize,
    /// How many calls until the fault.
    fault: Option<(u64, Fault)>,
    has_power: bool,
}

#[derive(Debug, Clone, Default)]
struct File {
    /// What the program sees.
    contents: Vec<u8>,
    /// What is sure to last.
    lasting: Vec<u8>,
    /// What a failed sync dropped, though the program still sees it: no later sync writes it.
    dropped: Vec<Range<usize>>,
    is_name_lasting: bool,
}

impl SimulatedDisk {
    pub(super) fn new(seed: u64) -> Self {
        let (files, removed) = (BTreeMap::new(), BTreeMap::new());
        let state = State { files, removed, random: Random(seed), capacity: usize::MAX, fault: None, has_power: true };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A disk that holds one file.
    pub(super) fn with_file(name: &str, contents: &[u8]) -> Self {
        let disk = Self::new(0);
        let (contents, lasting) = (contents.to_vec(), contents.to_vec());
        let file = File { contents, lasting, dropped: Vec::new(), is_name_lasting: true };
        disk.state().files.insert(name.to_owned(), file);
        disk
    }

    /// The call after `calls` more ones goes wrong.
    pub(super) fn plan(&self, calls: u64, fault: Fault) {
        self.state().fault = Some((calls, fault));
    }

    /// How many bytes all files may have, from now on.
    pub(super) fn set_capacity(&self, bytes: usize) {
        self.state().capacity = bytes;
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.state().used_bytes()
    }

    /// Changes what a file holds, as a failing disk does in time.
    pub(super) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.file(name).unwrap();
        change(&mut file.contents);
        file.lasting.clone_from(&file.contents);
    }

    pub(super) fn has_power(&self) -> bool {
        self.state().has_power
    }

    /// Cuts the power, if that has not happened, and starts again with what lasted.
    pub(super) fn restart(&self) {
        let mut guard = self.state();
        let State { files, removed, random, fault, has_power, .. } = &mut *guard;
        for (name, file) in std::mem::take(removed) {
            if random.one_in(2) {
                files.entry(name).or_insert(file);
            }
        }
        files.retain(|_, file| file.is_name_lasting || random.one_in(2));
        for file in files.values_mut() {
            file.lose_power(random);
        }
        (*fault, *has_power) = (None, true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// Counts a call; answers whether it is to fail.
    fn call(&mut self) -> io::Result<bool> {
        if !self.has_power {
            return Err(io::Error::other("no power"));
        }
        match &mut self.fault {
            Some((0, fault)) => {
                self.has_power = *fault == Fault::Error;
                self.fault = None;
                Ok(true)
            }
            Some((calls, _)) => {
                *calls -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn used_bytes(&self) -> usize {
        self.files.values().map(|file| file.contents.len()).sum()
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.files.get_mut(name).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl File {
    fn sync(&mut self) {
        self.lasting.clone_from(&self.contents);
        for dropped in &self.dropped {
            let end = dropped.end.min(self.lasting.len());
            self.lasting[dropped.start.min(end)..end].fill(0);
        }
    }

    /// What was not synced is there or not, sector by sector.
    fn lose_power(&mut self, random: &mut Random) {
        if self.contents.len() < self.lasting.len() {
            if random.one_in(2) {
                self.lasting.truncate(self.contents.len());
            }
        } else {
            let synced = self.lasting.len();
            let length = synced + random.below((self.contents.len() - synced) as u64 + 1) as usize;
            self.lasting.extend_from_slice(&self.contents[synced..length]);
            for sector in self.lasting[synced..].chunks_mut(SECTOR_BYTES) {
                match random.below(5) {
                    0 => sector.fill(0),
                    1 => sector.fill_with(|| random.below(256) as u8),
                    _ => {}
                }
            }
        }
        self.contents.clone_from(&self.lasting);
        self.dropped.clear();
        self.is_name_lasting = true;
    }
}

fn failure() -> io::Error {
    io::Error::other("the disk fails")
}

impl Files for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        if state.call()? { Err(failure()) } else { Ok(state.files.keys().cloned().collect()) }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        if state.call()? { Err(failure()) } else { Ok(state.file(name)?.contents.clone()) }
    }

    fn read_part(&self, name: &str, start: u64, length: u64) -> io::Result<Vec<u8>> {
        let contents = self.read(name)?;
        let start = contents.len().min(start as usize);
        Ok(contents[start..contents.len().min(start + length as usize)].to_vec())
    }
}

impl Disk for SimulatedDisk {
    fn reader(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let fails = state.call()?;
        if state.files.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if !fails || state.random.one_in(2) {
            state.files.insert(name.to_owned(), File::default());
        }
        if fails { Err(failure()) } else { Ok(()) }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let fails = state.call()?;
        let room = state.capacity.saturating_sub(state.used_bytes()).min(bytes.len());
        let length = if fails { state.random.below(room as u64 + 1) as usize } else { room };
        state.file(name)?.contents.extend_from_slice(&bytes[..length]);
        match (fails, length < bytes.len()) {
            (true, _) => Err(failure()),
            (false, true) => Err(ErrorKind::StorageFull.into()),
            (false, false) => Ok(()),
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let fails = state.call()?;
        let file = state.file(name)?;
        if fails {
            file.dropped.push(file.lasting.len()..file.contents.len());
            return Err(failure());
        }
        file.sync();
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut state = self.state();
        if state.call()? {
            return Err(failure());
        }
        state.removed.clear();
        state.files.values_mut().for_each(|file| file.is_name_lasting = true);
        Ok(())
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.call()? {
            return Err(failure());
        }
        state.file(name)?.contents.truncate(length as usize);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let fails = state.call()?;
        if !fails || state.random.one_in(2) {
            let file = state.files.remove(name).ok_or(ErrorKind::NotFound)?;
            state.removed.insert(name.to_owned(), file);
        }
        if fails { Err(failure()) } else { Ok(()) }
    }
}
