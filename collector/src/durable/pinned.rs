//! What stays of a segment that is dropped: the records with traces that a graph cites.
//!
//! They are copied, as they are, into one small file that has an index like a segment, and the next time from there into
//! the next one, as long as they are cited. Such a file serves to look at traces; it is not lived through again at a
//! start, since its traces are a choice. What does not fit is left behind, the older first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use spanlint_graph::TraceId;

use super::disk::Disk;
use super::index::{Entries, Index};
use super::log::{index_name, name, pinned_name, pinned_numbers};
use super::record;

/// The most bytes of records that stay.
const MAX_PINNED_BYTES: u64 = 16 << 20;

/// The share of all that is kept that may stay.
const PINNED_SHARE: u64 = 8;

type Tell = Box<dyn Fn() -> BTreeSet<TraceId> + Send + Sync>;

/// Which traces a graph cites, as soon as there is a graph.
#[derive(Clone, Default)]
pub struct CitedTraces(Arc<OnceLock<Tell>>);

impl CitedTraces {
    /// Lets `tell` answer from now on; only the first one is asked.
    pub fn told_by(&self, tell: impl Fn() -> BTreeSet<TraceId> + Send + Sync + 'static) {
        // A second graph would be another collector's.
        let _ = self.0.set(Box::new(tell));
    }

    fn now(&self) -> BTreeSet<TraceId> {
        self.0.get().map(|tell| tell()).unwrap_or_default()
    }
}

impl fmt::Debug for CitedTraces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CitedTraces").finish_non_exhaustive()
    }
}

/// The files with what stays: one, or more after a crash.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    pub(super) cited: CitedTraces,
    files: Vec<u64>,
    bytes: u64,
}

/// Records and their index, before they are written.
struct Copied {
    contents: Vec<u8>,
    entries: Entries,
    limit: u64,
}

impl Pinned {
    /// The files that an earlier run left.
    pub(super) fn found(names: &[String]) -> Self {
        Self { files: pinned_numbers(names), ..Self::default() }
    }

    /// The greatest number of a file; zero for none.
    pub(super) fn last_number(&self) -> u64 {
        self.files.last().copied().unwrap_or_default()
    }

    /// How many bytes they have, as far as this run wrote them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies what is cited of the segment `dropped` and of what stayed before into a new file called `number`.
    /// `kept_bytes` may be kept in all. After an error, the files are as they were.
    pub(super) fn carry(&mut self, disk: &mut impl Disk, dropped: u64, number: u64, kept_bytes: u64) -> io::Result<()> {
        let cited = self.cited.now();
        if cited.is_empty() && self.files.is_empty() {
            return Ok(());
        }
        let limit = MAX_PINNED_BYTES.min(kept_bytes / PINNED_SHARE);
        let mut copied = Copied { contents: record::segment_header().to_vec(), entries: Entries::default(), limit };
        copied.add(disk, &name(dropped), dropped, &cited)?;
        for &file in self.files.iter().rev() {
            copied.add(disk, &pinned_name(file), file, &cited)?;
        }
        let before = std::mem::take(&mut self.files);
        if copied.entries.len() > 0 {
            match copied.write(disk, number) {
                Ok(bytes) => (self.files, self.bytes) = (vec![number], bytes),
                Err(error) => {
                    self.files = before;
                    return Err(error);
                }
            }
        } else {
            self.bytes = 0;
        }
        for file in before {
            // What stays when this fails is looked at again at the next start.
            let _ = disk.remove(&pinned_name(file));
            let _ = disk.remove(&index_name(file));
        }
        Ok(())
    }
}

impl Copied {
    /// Adds the records of a file that hold cited traces. Without an index nobody knows which do, and none is added.
    fn add(&mut self, disk: &impl Disk, file: &str, number: u64, cited: &BTreeSet<TraceId>) -> io::Result<()> {
        let index = disk.read(&index_name(number)).unwrap_or_default();
        let Some(index) = Index::open(&index) else { return Ok(()) };
        let mut places: BTreeMap<(u64, u64), Vec<TraceId>> = BTreeMap::new();
        for &trace in cited {
            for place in index.find(trace) {
                places.entry((place.start, place.end)).or_default().push(trace);
            }
        }
        for ((start, end), traces) in places.into_iter().rev() {
            let bytes = disk.read_part(file, start, end - start)?;
            let from = self.contents.len() as u64;
            let to = from + bytes.len() as u64;
            if to <= self.limit && record::record(&bytes).is_some() {
                self.contents.extend_from_slice(&bytes);
                self.entries.add(&(from..to), traces.into_iter());
            }
        }
        Ok(())
    }

    /// Writes the file and its index; answers how many bytes both have.
    fn write(&self, disk: &mut impl Disk, number: u64) -> io::Result<u64> {
        let (file, index) = (pinned_name(number), self.entries.to_bytes(self.contents.len() as u64));
        let written = (|| {
            disk.create(&file)?;
            disk.append(&file, &self.contents)?;
            disk.sync(&file)?;
            disk.create(&index_name(number))?;
            disk.append(&index_name(number), &index)?;
            disk.sync(&index_name(number))?;
            disk.sync_folder()
        })();
        if let Err(error) = written {
            let _ = disk.remove(&file);
            let _ = disk.remove(&index_name(number));
            return Err(error);
        }
        Ok((self.contents.len() + index.len()) as u64)
    }
}
