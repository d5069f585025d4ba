//! Every access to the files of the log: one folder, flat names, few calls.
//!
//! The log reaches files through [`Disk`] alone, so that tests can put one in its place that forgets what was not
//! synced, tears sectors, fills up and fails. The calls block, so they belong on a thread of their own. What the files
//! hold is not known here.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file whose lock says that the folder is in use. The system gives the lock back however a process ends.
const LOCK_NAME: &str = "lock";

/// What requests say is nobody's business but the owner's.
const OWNER_ONLY_FOLDER: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;

/// The files of one folder, to be read. Names are file names, without separators.
pub(super) trait Files: Send + Sync + 'static {
    /// The names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The contents of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// The `length` bytes of a file from `start` on, or as many as there are.
    fn read_part(&self, name: &str, start: u64, length: u64) -> io::Result<Vec<u8>>;
}

/// The same files, to be written by one alone.
pub(super) trait Disk: Files {
    /// Another way to read them, which keeps nobody out.
    fn reader(&self) -> Arc<dyn Files>;

    /// Makes a new, empty file. Its name is sure to last only after [`Disk::sync_folder`].
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Appends to a file. After an error, a part may have been written. Nothing is sure to last before
    /// [`Disk::sync`].
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes the contents of a file last (`fdatasync`). After an error, nobody knows what does: the system may have
    /// dropped what it could not write, and would say nothing the next time.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Makes the names of the files last.
    fn sync_folder(&mut self) -> io::Result<()>;

    /// Cuts a file to its first `length` bytes.
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another collector writes there.
    #[error("the data folder {} is in use by another spanlint: stop it, or choose another with {flag}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The flag that chooses it.
        flag: &'static str,
    },
    /// No permission, not a folder, a failing disk.
    #[error("cannot use the data folder {}: {source}; choose another with {flag}", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// The flag that chooses it.
        flag: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// A folder of the real file system.
#[derive(Debug, Clone)]
struct Place(PathBuf);

impl Files for Place {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    fn read_part(&self, name: &str, start: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.0.join(name))?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A folder of the real file system, locked as long as this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    place: Place,
    /// The file that was created last, which is the one that is written to.
    open: Option<(String, File)>,
    _lock: File,
}

impl Folder {
    /// Opens the folder that the user chose with `flag`, makes it if it is missing, and keeps others out.
    pub(super) fn open(path: &Path, flag: &'static str) -> Result<Self, FolderError> {
        let other = |source| FolderError::Other { path: path.to_owned(), flag, source };
        make_folder(path).map_err(other)?;
        let lock = OpenOptions::new().create(true).append(true).open(path.join(LOCK_NAME)).map_err(other)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { place: Place(path.to_owned()), open: None, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse { path: path.to_owned(), flag }),
            Err(TryLockError::Error(source)) => Err(other(source)),
        }
    }

    fn writable(&mut self, name: &str) -> io::Result<&mut File> {
        let open = self.open.as_mut().filter(|(open, _)| open == name);
        let file = open.map(|(_, file)| file);
        file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not open")))
    }
}

impl Files for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        self.place.list()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.place.read(name)
    }

    fn read_part(&self, name: &str, start: u64, length: u64) -> io::Result<Vec<u8>> {
        self.place.read_part(name, start, length)
    }
}

impl Disk for Folder {
    fn reader(&self) -> Arc<dyn Files> {
        Arc::new(self.place.clone())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let file =
            OpenOptions::new().create_new(true).append(true).mode(OWNER_ONLY_FILE).open(self.place.0.join(name))?;
        self.open = Some((name.to_owned(), file));
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.writable(name)?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.writable(name)?.sync_data()
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        sync_names(&self.place.0)
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.place.0.join(name))?.set_len(length)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.place.0.join(name))
    }
}

/// Makes a folder and the ones above it that are missing, so that they last.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    make_folder(above)?;
    DirBuilder::new().mode(OWNER_ONLY_FOLDER).create(path)?;
    sync_names(above)
}

/// Makes the names inside a folder last.
fn sync_names(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const FLAG: &str = "--data-dir";

    #[test]
    fn a_folder_is_made_used_and_found_again() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        let mut folder = Folder::open(&path, FLAG).unwrap();
        folder.create("1").unwrap();
        folder.append("1", b"one ").unwrap();
        folder.append("1", b"two").unwrap();
        folder.sync("1").unwrap();
        folder.sync_folder().unwrap();
        folder.create("1").unwrap_err();
        folder.create("2").unwrap();
        folder.append("1", b"not open").unwrap_err();
        folder.remove("2").unwrap();
        folder.truncate("1", 3).unwrap();
        drop(folder);
        let folder = Folder::open(&path, FLAG).unwrap();
        let mut names = folder.list().unwrap();
        names.sort();
        assert_eq!(names, ["1", LOCK_NAME]);
        assert_eq!(folder.read("1").unwrap(), b"one");
        let reader = folder.reader();
        drop(folder);
        assert_eq!(reader.read_part("1", 1, 1).unwrap(), b"n");
        assert_eq!(reader.read_part("1", 2, 9).unwrap(), b"e");
        Folder::open(&path, FLAG).expect("a reader keeps nobody out");
    }

    #[test]
    fn nobody_but_the_owner_reads_what_is_kept() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("data");
        Folder::open(&path, FLAG).unwrap().create("1").unwrap();
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path.join("1")), mode(path)), (0o600, 0o700));
    }

    #[test]
    fn two_do_not_share_a_folder() {
        let path = tempfile::tempdir().unwrap();
        let first = Folder::open(path.path(), FLAG).unwrap();
        let message = Folder::open(path.path(), FLAG).unwrap_err().to_string();
        assert!(message.contains("in use") && message.contains(FLAG), "{message}");
        drop(first);
        Folder::open(path.path(), FLAG).unwrap();
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = Folder::open(file.path(), FLAG).unwrap_err().to_string();
        assert!(message.contains("cannot use") && message.contains(FLAG), "{message}");
    }
}
