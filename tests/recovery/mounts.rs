//! File systems for one test: ext4 in an image file on a loop device, and tmpfs of a given size. They are unmounted and
//! their devices given back when the guard goes, also when the test panics.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// A mounted file system.
pub struct Mount {
    at: PathBuf,
}

/// An ext4 file system in a file, which stands for a disk.
pub struct Disk {
    image: PathBuf,
    device: String,
    mount: Option<Mount>,
    folder: TempDir,
}

impl Mount {
    /// `None`, with the reason printed, where mounting is not allowed.
    pub fn tmpfs(at: &Path, size: &str) -> Option<Self> {
        let option = format!("size={size}");
        let words = ["mount", "-t", "tmpfs", "-o", &option, "tmpfs", at.to_str().unwrap()];
        run(&words).map_err(skip).ok()?;
        Some(Self { at: at.into() })
    }

    pub fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = self.at.to_str().unwrap();
        // A process that was just killed may hold it for a moment; in the end it goes when its last user does.
        for _ in 0..100 {
            if run(&["umount", at]).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = run(&["umount", "-l", at]);
    }
}

impl Disk {
    /// A new empty disk. `None`, with the reason printed, without root or loop devices.
    pub fn new(bytes: u64) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let image = folder.path().join("image");
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        run(&["mkfs.ext4", "-q", "-F", image.to_str().unwrap()]).map_err(skip).ok()?;
        Self::mounted(folder, image).map_err(skip).ok()
    }

    pub fn root(&self) -> &Path {
        self.mount.as_ref().unwrap().at()
    }

    /// The disk as it would be found after the power went now: what has reached the block device, mounted anew (which
    /// replays the journal). The device's sectors are the image file's bytes: pages that only the inner file system has
    /// are not among them, and nothing is flushed for the copy. Nobody may write to the disk meanwhile but the kernel's
    /// own write-back; when that did, the copy is of no single moment, and is made again.
    pub fn as_after_a_power_cut(&self) -> Self {
        for _ in 0..COPIES_MAX {
            let before = self.activity();
            let folder = TempDir::new().unwrap();
            let image = folder.path().join("image");
            let (from, to) = (self.image.to_str().unwrap(), image.to_str().unwrap());
            run(&["cp", "--sparse=always", from, to]).unwrap();
            let after = self.activity();
            if before == after && after.1 == 0 {
                return Self::mounted(folder, image).unwrap_or_else(|why| panic!("the copy: {why}"));
            }
        }
        panic!("the disk is never quiet long enough to be copied");
    }

    fn mounted(folder: TempDir, image: PathBuf) -> Result<Self, String> {
        let device = run(&["losetup", "--find", "--show", "--direct-io=off", image.to_str().unwrap()])?;
        // From here on the guard gives the device back.
        let mut disk = Self { image, device: device.trim().to_owned(), mount: None, folder };
        let at = disk.folder.path().join("root");
        fs::create_dir(&at).unwrap();
        run(&["mount", "-t", "ext4", &disk.device, at.to_str().unwrap()])?;
        disk.mount = Some(Mount { at });
        Ok(disk)
    }

    /// Writes and flushes that the device has done, and requests under way.
    fn activity(&self) -> (Vec<u64>, u64) {
        let name = self.device.trim_start_matches("/dev/");
        let text = fs::read_to_string(format!("/sys/block/{name}/stat")).unwrap();
        let all: Vec<u64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
        (vec![all[4], all[6]], all[8])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.mount = None;
        let _ = run(&["losetup", "--detach", &self.device]);
    }
}

/// Runs a command; what it printed.
fn run(words: &[&str]) -> Result<String, String> {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.map_err(|error| format!("{}: {error}", words[0]))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn skip(why: impl std::fmt::Display) {
    println!("skipped, this machine does not let us mount: {why}");
}

const COPIES_MAX: usize = 50;
