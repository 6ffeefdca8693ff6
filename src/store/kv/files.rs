//! The files in the store's folder, and how they are made durable.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The engine's files: one that grows and is written in place, and others that are written once.
#[derive(Debug)]
pub(super) struct EngineFiles {
    folder: PathBuf,
    database: File,
    /// Names below the folder that were synced.
    synced: HashSet<OsString>,
}

impl EngineFiles {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let database = File::open(folder.join("db"))?;
        Ok(Self { folder: folder.into(), database, synced: HashSet::new() })
    }

    /// Syncs what was written since the last time, and the folders of files that are new.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.database.sync_data()?;
        let blobs = self.folder.join("blobs");
        let in_blobs = self.sync_new(&blobs)?;
        let in_folder = self.sync_new(&self.folder)?;
        self.synced = in_blobs.into_iter().chain(in_folder).collect();
        Ok(())
    }

    /// All names in a folder, whose files are synced.
    fn sync_new(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        let mut any_new = false;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(&self.folder).unwrap_or(&path).as_os_str().to_owned();
            if !self.synced.contains(&name) {
                any_new = true;
                sync_if_there(&path)?;
            }
            names.push(name);
        }
        if any_new {
            sync_folder(folder)?;
        }
        Ok(names)
    }
}

/// Each time that the engine is opened it writes a snapshot, under a name of its own before it has its name. It takes
/// one that a kill has left unfinished for the newest one, and for damaged: all that the store knows would be lost. The one before is still
/// there, and a new one is made of it. Nobody else may have the store open.
pub(super) fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            remove(&path)?;
        }
    }
    Ok(())
}

/// The engine may remove its files at any time.
fn sync_if_there(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file, or a folder with what is in it, if there is one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
