//! Recordings of traces: files, folders and standard input, told apart by content and never by name.
//!
//! Reads OTLP as JSON (one object, an array, lines) and as protobuf (one request, or requests each behind its length),
//! answers of Tempo, JSON of Jaeger and of Zipkin v2, and snapshots, also compressed with gzip or zstd. A bad record
//! among good ones is counted with its place; a file named directly that gives neither span nor log line is an error, a
//! file inside a folder is skipped with a reason. Several files are read at the same time, but what is returned depends on the input
//! alone. It does not follow links to folders, and it does not merge snapshots: whether their traces are disjoint is
//! for the caller to know.

mod bad;
mod folder;
mod json;
mod lines;
mod parallel;
mod protobuf;
mod records;
mod sniff;
mod source;

#[cfg(test)]
mod oddities;

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanlint_graph::{Facts, NameTable, Reading};

pub use bad::{BadRecord, BadRecords};
pub use records::Records;
pub use source::{Format, SourceError};

use crate::limits::Limits;
use source::Contents;

/// Something to read.
pub enum Input {
    /// A file, or a folder with everything below it.
    Path(PathBuf),
    /// Bytes from elsewhere, such as standard input, with the name that messages give it.
    Stream {
        /// The name.
        name: String,
        /// The bytes.
        reader: Box<dyn Read>,
    },
}

/// What was read.
#[derive(Debug, Default)]
pub struct ReadResult {
    /// The records of all files, in the order of the inputs and, within a folder, of the paths.
    pub records: Records,
    /// The snapshots, in the same order.
    pub snapshots: Vec<Snapshot>,
    /// The files that gave spans or log lines, or are snapshots.
    pub files: Vec<FileSummary>,
    /// The files of folders that gave none.
    pub skipped: Vec<Skipped>,
}

/// The facts that were saved in one file.
#[derive(Debug)]
pub struct Snapshot {
    /// Where it is.
    pub path: String,
    /// The facts.
    pub facts: Facts,
    /// The names that they refer to.
    pub names: NameTable,
}

/// What one file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub format: Format,
    /// How many spans were taken; none of a snapshot, which has facts instead.
    pub spans: u64,
    /// How many spans were refused by name.
    pub refused: u64,
    /// How many log records and metrics were passed over.
    pub other_records: u64,
    /// How many attributes, links and values went over a bound.
    pub over_limit: u64,
    /// Lines or messages that could not be read.
    pub bad: BadRecords,
}

/// A file of a folder that gave none.
#[derive(Debug)]
pub struct Skipped {
    /// Where it is.
    pub path: String,
    /// Why it was passed over.
    pub reason: SourceError,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or folder cannot be opened or listed.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Where it is.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file gives neither span nor log line.
    #[error("{path}: {reason}")]
    File {
        /// Where it is.
        path: String,
        /// Why.
        reason: SourceError,
    },
    /// No file of a folder gives a span.
    #[error("{path}: {sentence}", sentence = no_span(*.files, .first.as_deref()))]
    Folder {
        /// Where it is.
        path: String,
        /// How many files it has.
        files: usize,
        /// What is wrong with the first of them.
        first: Option<Box<Skipped>>,
    },
    /// A folder holds more than the reader opens.
    #[error("{path}: more than {limit} files, name a smaller folder")]
    TooManyFiles {
        /// Where it is.
        path: String,
        /// The bound.
        limit: usize,
    },
}

/// What a folder without spans says of itself.
fn no_span(files: usize, first: Option<&Skipped>) -> String {
    let first = first.map(|first| format!("; {}: {}", first.path, first.reason)).unwrap_or_default();
    match files {
        0 => "is a folder without files".to_owned(),
        1 => format!("its only file gives no span{first}"),
        _ => format!("none of its {files} files gives a span{first}"),
    }
}

/// Reads everything that `inputs` name, in their order, with as many threads as this machine runs at once.
pub fn read(inputs: Vec<Input>, reading: &Arc<Reading>, limits: &Limits) -> Result<ReadResult, ReadError> {
    read_by(parallel::readers(), inputs, reading, limits)
}

/// Like [`read`], with this many threads. What is returned does not depend on how many they are.
pub fn read_by(
    readers: NonZero<usize>,
    inputs: Vec<Input>,
    reading: &Arc<Reading>,
    limits: &Limits,
) -> Result<ReadResult, ReadError> {
    let parts = inputs.into_iter().map(Part::of).collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<PathBuf> = parts.iter().flat_map(Part::files).cloned().collect();
    let read_file = |index: usize| match open(&paths[index]) {
        Ok(file) => Ok(source::read(file, reading, limits)),
        Err(error) => Err(error),
    };
    parallel::in_order(readers, paths.len(), read_file, |mut contents| {
        let mut result = ReadResult::default();
        let mut next = || contents.next().expect("every file is read");
        for part in parts {
            match part {
                Part::File(path) => result.take_file(&path, next())?,
                Part::Folder { path, files } => result.take_folder(&path, &files, &mut next)?,
                Part::Stream { name, reader } => result.take_named(name, source::read(reader, reading, limits))?,
            }
        }
        Ok(result)
    })
}

/// An input, with the files that it stands for.
enum Part {
    File(PathBuf),
    Folder { path: PathBuf, files: Vec<PathBuf> },
    Stream { name: String, reader: Box<dyn Read> },
}

impl Part {
    fn of(input: Input) -> Result<Self, ReadError> {
        Ok(match input {
            Input::Path(path) if path.is_dir() => {
                let files = folder::files(&path)?;
                Self::Folder { path, files }
            }
            Input::Path(path) => Self::File(path),
            Input::Stream { name, reader } => Self::Stream { name, reader },
        })
    }

    fn files(&self) -> &[PathBuf] {
        match self {
            Self::File(path) => std::slice::from_ref(path),
            Self::Folder { files, .. } => files,
            Self::Stream { .. } => &[],
        }
    }
}

/// What reading one file gave: the outer error says that it cannot be opened.
type FileOutcome = io::Result<Result<Contents, SourceError>>;

fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

impl ReadResult {
    fn take_file(&mut self, path: &Path, outcome: FileOutcome) -> Result<(), ReadError> {
        let path = path.display().to_string();
        match outcome {
            Ok(contents) => self.take_named(path, contents),
            Err(source) => Err(ReadError::Unreadable { path, source }),
        }
    }

    fn take_folder(
        &mut self,
        folder: &Path,
        files: &[PathBuf],
        next: &mut impl FnMut() -> FileOutcome,
    ) -> Result<(), ReadError> {
        let (files_before, skipped_before) = (self.files.len(), self.skipped.len());
        for path in files {
            let path = path.display().to_string();
            match next().unwrap_or_else(|error| Err(SourceError::Io(error))) {
                Ok(contents) => self.take(path, contents),
                Err(reason) => self.skipped.push(Skipped { path, reason }),
            }
        }
        if self.files.len() == files_before {
            let first = self.skipped.drain(skipped_before..).next().map(Box::new);
            return Err(ReadError::Folder { path: folder.display().to_string(), files: files.len(), first });
        }
        Ok(())
    }

    fn take_named(&mut self, path: String, contents: Result<Contents, SourceError>) -> Result<(), ReadError> {
        match contents {
            Ok(contents) => {
                self.take(path, contents);
                Ok(())
            }
            Err(reason) => Err(ReadError::File { path, reason }),
        }
    }

    fn take(&mut self, path: String, contents: Contents) {
        if let Some((facts, names)) = contents.snapshot {
            self.snapshots.push(Snapshot { path: path.clone(), facts, names });
        }
        self.files.push(FileSummary {
            path,
            format: contents.format,
            spans: contents.records.spans.len() as u64,
            refused: contents.records.refused,
            other_records: contents.decoded.other_records(),
            over_limit: contents.decoded.over_limit,
            bad: contents.bad,
        });
        self.records.merge(contents.records);
    }
}

#[cfg(test)]
mod tests;
