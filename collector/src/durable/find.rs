//! Finds what the log keeps of a trace, while it is being written.
//!
//! It reads the files by itself and shares with the writer only the index of the segment that is written. A segment
//! that is dropped meanwhile is passed over; one whose index is missing or damaged is read as a whole.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use spanlint_graph::TraceId;

use super::disk::Files;
use super::index::Index;
use super::log::{Written, index_name, name, pinned_name, pinned_numbers, segments};
use super::record::{self, Content, Record};

/// Finds requests by trace.
pub(super) struct Finder {
    files: Arc<dyn Files>,
    written: Arc<Written>,
}

impl Finder {
    pub(super) fn new(files: Arc<dyn Files>, written: Arc<Written>) -> Self {
        Self { files, written }
    }

    /// Shows every request that may hold spans of `trace`, oldest first, until `visit` answers false. Others are shown,
    /// too: those that were written together with one, and all of a segment without an index.
    pub(super) fn requests_of(&self, trace: TraceId, mut visit: impl FnMut(Content, &[u8]) -> bool) -> io::Result<()> {
        let files = self.files.list()?;
        let pinned = pinned_numbers(&files).into_iter().map(|number| (number, pinned_name(number)));
        let segments = segments(&files).into_iter().map(|number| (number, name(number)));
        for (number, file) in pinned.chain(segments) {
            match self.visit_file(number, &file, trace, &mut visit) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn visit_file(
        &self,
        number: u64,
        file: &str,
        trace: TraceId,
        visit: &mut impl FnMut(Content, &[u8]) -> bool,
    ) -> io::Result<bool> {
        let Some(places) = self.places(number, trace) else {
            let segment = self.files.read(file)?;
            return Ok(record::records(&segment).all(|record| show(&record, visit)));
        };
        for place in places {
            let bytes = self.files.read_part(file, place.start, place.end - place.start)?;
            // A record that was damaged in the meantime is counted at the next start.
            if record::record(&bytes).is_some_and(|record| !show(&record, visit)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The records of a segment that hold spans of `trace`; none if there is no index that tells.
    fn places(&self, number: u64, trace: TraceId) -> Option<Vec<Range<u64>>> {
        {
            let written = self.written.lock().expect("nothing panics while it holds the index");
            if written.0 == number {
                return Some(written.1.find(trace));
            }
        }
        let index = self.files.read(&index_name(number)).ok()?;
        Index::open(&index).map(|index| index.find(trace))
    }
}

fn show(record: &Record, visit: &mut impl FnMut(Content, &[u8]) -> bool) -> bool {
    record.requests().flatten().all(|(content, request)| visit(content, request))
}
