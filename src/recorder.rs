//! The file that `record` writes: what it is, by its name, and the thread that writes it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::write::GzEncoder;
use spanlint_collector::receiver::{TapEncoding, Tapped};
use tokio::sync::mpsc;

/// What a recording holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// OTLP requests as JSON, one a line.
    JsonLines,
    /// OTLP requests as protobuf, each behind its length.
    Protobuf,
    /// The facts.
    Snapshot,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputFile {
    path: PathBuf,
    pub(crate) shape: Shape,
    compression: Compression,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstandard,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Requests.
    pub(crate) requests: u64,
    /// Bytes, before compression.
    pub(crate) bytes: u64,
}

/// An open file, compressed or not.
pub(crate) enum Sink {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
    Zstandard(Box<zstd::Encoder<'static, BufWriter<File>>>),
}

impl OutputFile {
    /// What to write by the name of the file.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let (stem, compression) = match name.rsplit_once('.') {
            Some((stem, "gz")) => (stem, Compression::Gzip),
            Some((stem, "zst")) => (stem, Compression::Zstandard),
            _ => (&*name, Compression::None),
        };
        let shape = match stem.rsplit_once('.').map(|(_, extension)| extension) {
            Some("jsonl") => Shape::JsonLines,
            Some("pb") => Shape::Protobuf,
            Some("graph") => Shape::Snapshot,
            _ => bail!(
                "{} does not say what to write: call it *.jsonl (OTLP/JSON lines), *.pb (OTLP protobuf, \
                 length-delimited) or *.graph (facts), each also with .gz or .zst",
                path.display()
            ),
        };
        Ok(Self { path: path.to_owned(), shape, compression })
    }

    /// Creates the file; one that is there is replaced.
    pub(crate) fn create(&self) -> anyhow::Result<Sink> {
        let cannot = || format!("cannot create {}", self.path.display());
        let file = BufWriter::new(File::create(&self.path).with_context(cannot)?);
        Ok(match self.compression {
            Compression::None => Sink::Plain(file),
            Compression::Gzip => Sink::Gzip(Box::new(GzEncoder::new(file, flate2::Compression::default()))),
            Compression::Zstandard => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                Sink::Zstandard(Box::new(zstd::Encoder::new(file, level).with_context(cannot)?))
            }
        })
    }

    /// `error` with the name of the file.
    pub(crate) fn cannot_write(&self, error: io::Error) -> anyhow::Error {
        let path = self.path.display();
        anyhow::Error::new(error).context(format!("cannot write {path}, which lacks what came last"))
    }
}

impl Shape {
    /// How requests are copied for this shape; none where only facts are written.
    pub(crate) fn encoding(self) -> Option<TapEncoding> {
        match self {
            Self::JsonLines => Some(TapEncoding::JsonLine),
            Self::Protobuf => Some(TapEncoding::Protobuf),
            Self::Snapshot => None,
        }
    }
}

impl Sink {
    /// Writes requests until no more can come. Blocks; ends early when writing fails.
    pub(crate) fn write_requests(
        mut self,
        encoding: TapEncoding,
        mut requests: mpsc::Receiver<Tapped>,
    ) -> io::Result<Written> {
        let mut written = Written::default();
        while let Some(request) = requests.blocking_recv() {
            match encoding {
                TapEncoding::JsonLine => {
                    self.write_all(&request.bytes)?;
                    self.write_all(b"\n")?;
                }
                TapEncoding::Protobuf => {
                    self.write_all(&varint(request.bytes.len() as u64))?;
                    self.write_all(&request.bytes)?;
                }
            }
            written.requests += 1;
            written.bytes += request.bytes.len() as u64;
        }
        self.finish()?;
        Ok(written)
    }

    /// Writes everything that is still held back, down to the disk.
    pub(crate) fn finish(self) -> io::Result<()> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstandard(encoder) => encoder.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstandard(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstandard(encoder) => encoder.flush(),
        }
    }
}

/// A length as protobuf writes it.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_is_written() {
        let shape = |name: &str| OutputFile::of(Path::new(name)).map(|file| (file.shape, file.compression)).ok();
        assert_eq!(shape("a/b.jsonl"), Some((Shape::JsonLines, Compression::None)));
        assert_eq!(shape("b.PB.gz"), Some((Shape::Protobuf, Compression::Gzip)));
        assert_eq!(shape("b.graph.zst"), Some((Shape::Snapshot, Compression::Zstandard)));
        for name in ["", "b", "b.json", "b.gz", "jsonl", "b.jsonl.gz.gz"] {
            assert_eq!(shape(name), None, "{name}");
        }
    }
}
