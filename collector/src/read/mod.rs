//! Recordings of traces: files, folders and standard input, told apart by content and never by name.
//!
//! Reads OTLP as JSON (one object, an array, lines) and as protobuf (one request, or requests each behind its length),
//! also compressed with gzip. A bad record among good ones is counted with its place; a file named directly that gives
//! no span is an error, a file inside a folder is skipped with a reason. It does not follow links to folders, and what
//! it returns depends on the input alone.

mod bad;
mod folder;
mod json;
mod lines;
mod protobuf;
mod sniff;
mod source;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use spanlint_graph::SpanBatch;

pub use bad::{BadRecord, BadRecords};
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
    /// The spans of all files, in the order of the inputs and, within a folder, of the paths.
    pub batch: SpanBatch,
    /// The files that gave spans.
    pub files: Vec<FileSummary>,
    /// The files of folders that gave none.
    pub skipped: Vec<Skipped>,
}

/// What one file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub format: Format,
    /// How many spans were taken.
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

/// A file of a folder that gave no spans.
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
    /// A file gives no span.
    #[error("{path}: {reason}")]
    File {
        /// Where it is.
        path: String,
        /// Why.
        reason: SourceError,
    },
    /// No file of a folder gives a span.
    #[error("{path}: none of its {files} files gives a span{}", .first.as_ref().map(|first| format!("; {}: {}", first.path, first.reason)).unwrap_or_default())]
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

/// Reads everything that `inputs` name, in their order.
pub fn read(inputs: Vec<Input>, limits: &Limits) -> Result<ReadResult, ReadError> {
    let mut result = ReadResult::default();
    for input in inputs {
        match input {
            Input::Path(path) if path.is_dir() => read_folder(&path, limits, &mut result)?,
            Input::Path(path) => {
                let contents = open(&path)
                    .map_err(|source| ReadError::Unreadable { path: path.display().to_string(), source })
                    .map(|file| source::read(file, limits))?;
                result.take_named(path.display().to_string(), contents)?;
            }
            Input::Stream { name, reader } => result.take_named(name, source::read(reader, limits))?,
        }
    }
    Ok(result)
}

fn read_folder(folder: &Path, limits: &Limits, result: &mut ReadResult) -> Result<(), ReadError> {
    let paths = folder::files(folder)?;
    let (files_before, skipped_before) = (result.files.len(), result.skipped.len());
    for path in &paths {
        let contents = open(path).map_err(SourceError::Io).and_then(|file| source::read(file, limits));
        let path = path.display().to_string();
        match contents {
            Ok(contents) => result.take(path, contents),
            Err(reason) => result.skipped.push(Skipped { path, reason }),
        }
    }
    if result.files.len() == files_before {
        let first = result.skipped.drain(skipped_before..).next().map(Box::new);
        return Err(ReadError::Folder { path: folder.display().to_string(), files: paths.len(), first });
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

impl ReadResult {
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
        self.files.push(FileSummary {
            path,
            format: contents.format,
            spans: contents.batch.spans.len() as u64,
            refused: contents.batch.refused,
            other_records: contents.decoded.other_records(),
            over_limit: contents.decoded.over_limit,
            bad: contents.bad,
        });
        source::merge(&mut self.batch, contents.batch);
    }
}

#[cfg(test)]
mod tests;
