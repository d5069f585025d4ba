//! The files below a folder, in an order that does not depend on the file system.

use std::fs;
use std::path::{Path, PathBuf};

use super::ReadError;
use crate::limits::{MAX_FILES, MAX_FOLDER_DEPTH};

/// The regular files below `folder`, sorted by path; links to files count, links to folders are not followed.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((current, depth)) = folders.pop() {
        let unreadable = |source| ReadError::Unreadable { path: current.display().to_string(), source };
        for entry in fs::read_dir(&current).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                if depth < MAX_FOLDER_DEPTH {
                    folders.push((entry.path(), depth + 1));
                }
            } else if entry.path().is_file() {
                files.push(entry.path());
            }
            if files.len() + folders.len() > MAX_FILES {
                return Err(ReadError::TooManyFiles { path: folder.display().to_string(), limit: MAX_FILES });
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}
