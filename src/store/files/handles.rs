//! Files that are opened when they are used, and closed when others were used since: as many may be read as the log has, with
//! few descriptors.
//!
//! A file that is removed while somebody may still read it stays readable for them, as the contract of [`Files`] says: its handle
//! is kept open then until nobody has it any more. A file that is made is open until its maker lets go of it.

use std::{
    collections::{HashMap, VecDeque},
    io, mem,
    sync::{Arc, Weak},
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::{File, Files, is_out_of_handles};

/// A folder with few files open.
pub struct Handles(Arc<Shared>);

struct Shared {
    files: Arc<dyn Files>,
    open_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that are open and may be closed, the one that was used last at the front.
    recent: VecDeque<Arc<Slot>>,
    /// Everything that somebody has a handle of.
    known: HashMap<String, Weak<Slot>, RandomState>,
}

/// A file that somebody has a handle of.
struct Slot {
    name: String,
    /// While it is open. It is changed under the lock of the state.
    file: Mutex<Option<Arc<dyn File>>>,
}

impl Handles {
    /// A folder of which no more than `open_max` files are open at once, but for those that are just being read.
    pub fn new(files: Arc<dyn Files>, open_max: usize) -> Self {
        Self(Arc::new(Shared { files, open_max, state: Mutex::default() }))
    }
}

impl Files for Handles {
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn File>> {
        match self.0.files.create(name, size_bytes) {
            Err(error) if is_out_of_handles(&error) && self.0.close_all() => {
                self.0.files.create(name, size_bytes)
            }
            made => made,
        }
    }

    /// Whether there is such a file its first use tells.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.state.lock();
        let slot = state.known.get(name).and_then(Weak::upgrade).unwrap_or_else(|| {
            let slot = Arc::new(Slot { name: name.to_owned(), file: Mutex::default() });
            state.known.insert(name.to_owned(), Arc::downgrade(&slot));
            slot
        });
        Ok(Arc::new(Handle { shared: self.0.clone(), slot }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.files.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let slot = self.0.state.lock().known.get(name).and_then(Weak::upgrade);
        if let Some(slot) = slot {
            // Without a handle a reader that still needs it finds it gone.
            let _kept = self.0.keep_open(&slot);
        }
        self.0.files.remove(name)?;
        self.0.state.lock().known.remove(name);
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.files.read(name)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.files.replace(name, bytes)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.files.free_bytes()
    }
}

impl Shared {
    /// The file, opened if it is not.
    fn file(&self, slot: &Arc<Slot>) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        if let Some(file) = &*slot.file.lock() {
            state.used(slot);
            return Ok(file.clone());
        }
        drop(state);
        let opened = self.open(&slot.name)?;
        let mut state = self.state.lock();
        let mut kept = slot.file.lock();
        // Another thread was first and has seen to it, and it may be one that is not to be closed any more.
        let is_first = kept.is_none();
        let file = kept.get_or_insert(opened).clone();
        drop(kept);
        if is_first {
            state.recent.push_front(slot.clone());
        }
        let closed = state.close_beyond(self.open_max);
        drop(state);
        drop(closed);
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        match self.files.open(name) {
            Err(error) if is_out_of_handles(&error) && self.close_all() => self.files.open(name),
            opened => opened,
        }
    }

    /// Whether there was one to close.
    fn close_all(&self) -> bool {
        let closed = self.state.lock().close_beyond(0);
        !closed.is_empty()
    }

    /// It is not closed before nobody has it any more.
    fn keep_open(&self, slot: &Arc<Slot>) -> io::Result<()> {
        let file = self.file(slot)?;
        let mut state = self.state.lock();
        state.recent.retain(|other| !Arc::ptr_eq(other, slot));
        // Others may have had it closed since.
        slot.file.lock().get_or_insert(file);
        Ok(())
    }
}

impl State {
    /// It is the one that was used last. False if it is not open, or not to be closed.
    fn used(&mut self, slot: &Arc<Slot>) -> bool {
        let Some(at) = self.recent.iter().position(|other| Arc::ptr_eq(other, slot)) else { return false };
        if let Some(slot) = self.recent.remove(at) {
            self.recent.push_front(slot);
        }
        true
    }

    /// What was used longest ago, to be dropped without the lock.
    fn close_beyond(&mut self, count: usize) -> Vec<Arc<dyn File>> {
        let beyond = self.recent.split_off(self.recent.len().min(count));
        beyond.iter().filter_map(|slot| mem::take(&mut *slot.file.lock())).collect()
    }
}

/// What somebody has of a file.
struct Handle {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
}

impl Handle {
    fn file(&self) -> io::Result<Arc<dyn File>> {
        self.shared.file(&self.slot)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let is_recent = state.recent.iter().any(|slot| Arc::ptr_eq(slot, &self.slot));
        if Arc::strong_count(&self.slot) > 1 + usize::from(is_recent) {
            return;
        }
        state.recent.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
        let is_it = |known: &Weak<Slot>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(&self.slot));
        if state.known.get(&self.slot.name).is_some_and(is_it) {
            state.known.remove(&self.slot.name);
        }
    }
}

impl File for Handle {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file()?.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file()?.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file()?.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file()?.len()
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.file()?.reserve(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file()?.truncate(len)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::store::files::sim::SimDisk;

    fn three(open_max: usize) -> (SimDisk, Handles, Vec<Arc<dyn File>>) {
        let disk = SimDisk::new();
        let handles = Handles::new(Arc::new(disk.clone()), open_max);
        let names = ["a", "b", "c"];
        for name in names {
            handles.create(name, 1).unwrap().write_at(name.as_bytes(), 0).unwrap();
        }
        let files = names.map(|name| handles.open(name).unwrap());
        (disk, handles, files.into())
    }

    fn content(file: &Arc<dyn File>) -> io::Result<u8> {
        let mut bytes = [0];
        file.read_at(&mut bytes, 0).map(|()| bytes[0])
    }

    fn open(handles: &Handles) -> Vec<String> {
        handles.0.state.lock().recent.iter().map(|slot| slot.name.clone()).collect()
    }

    #[test]
    fn those_that_were_used_last_are_open() {
        let (_disk, handles, files) = three(2);
        assert!(open(&handles).is_empty());
        let read: Vec<u8> = [0, 1, 0, 2, 2].map(|at| content(&files[at]).unwrap()).into();
        assert_eq!((&*read, open(&handles)), (&b"abacc"[..], vec!["c".to_owned(), "a".to_owned()]));
        assert_eq!(content(&files[1]).unwrap(), b'b');
        assert_eq!(open(&handles), ["b", "c"]);
        drop(files);
        assert!(open(&handles).is_empty() && handles.0.state.lock().known.is_empty());
    }

    #[test]
    fn a_file_that_is_removed_is_there_for_those_who_have_it() {
        let (_disk, handles, files) = three(1);
        handles.remove("a").unwrap();
        for at in [1, 2, 0, 1] {
            content(&files[at]).unwrap();
        }
        assert_eq!((content(&files[0]).unwrap(), open(&handles)), (b'a', vec!["b".to_owned()]));
        let again = handles.open("a").unwrap();
        assert_eq!(content(&again).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn without_descriptors_what_is_open_is_closed_first_and_nothing_is_lost() {
        let (disk, handles, files) = three(2);
        content(&files[0]).unwrap();
        disk.deny_files(Some(Errno::MFILE));
        assert_eq!(content(&files[1]).unwrap_err().raw_os_error(), Some(Errno::MFILE.raw_os_error()));
        assert!(open(&handles).is_empty());
        disk.deny_files(None);
        assert_eq!([0, 1].map(|at| content(&files[at]).unwrap()), *b"ab");
    }
}
