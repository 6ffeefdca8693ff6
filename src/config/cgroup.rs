//! The memory limit of the control groups that the process is in: what containers and systemd's `MemoryMax` set.
//!
//! A limit may stand at the process's own group or at any above it: the tightest counts. Versions 1 and 2 are told apart by
//! what is mounted. Works on the contents of files that it is given, so that it can be tried with those of other machines.

use std::path::{Path, PathBuf};

/// A limit, and the file that sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryLimit {
    /// Bytes.
    pub(super) bytes: u64,
    /// Where it stands.
    pub(super) file: PathBuf,
}

/// The tightest limit of this process's groups. `read` gives a file's text, if it can be read.
pub(super) fn memory_limit(read: impl Fn(&Path) -> Option<String>) -> Option<MemoryLimit> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let limits = mounts.lines().filter_map(Mount::parse).flat_map(|mount| {
        let group = groups.lines().find_map(|line| mount.group(line)).unwrap_or("/").to_owned();
        mount.limit_files(&group)
    });
    limits
        .filter_map(|file| Some(MemoryLimit { bytes: bytes(&read(&file)?)?, file }))
        .min_by_key(|it| it.bytes)
}

/// `max` is no limit; version 1 has a number beyond all memory for that, which hurts nobody.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Where a hierarchy of groups that can limit memory is mounted.
struct Mount {
    /// The group that is seen at `point`: in a container often its own.
    root: String,
    point: PathBuf,
    /// The file of a group that has its limit.
    file: &'static str,
}

impl Mount {
    /// A line of `mountinfo` (proc(5)): `id parent device root point options [tags] - type source super-options`.
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let file = match kind {
            "cgroup2" => "memory.max",
            "cgroup" if options.split(',').any(|option| option == "memory") => "memory.limit_in_bytes",
            _ => return None,
        };
        Some(Self { root: root.into(), point: point.into(), file })
    }

    /// The process's group in this hierarchy, from a line of `cgroup`: `0::/path` in version 2, `4:memory,cpu:/path` in 1.
    fn group<'a>(&self, line: &'a str) -> Option<&'a str> {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let ours = match self.file {
            "memory.max" => number == "0",
            _ => controllers.split(',').any(|controller| controller == "memory"),
        };
        ours.then_some(path)
    }

    /// The files of a group and of all above it, as far as they can be seen.
    fn limit_files(&self, group: &str) -> Vec<PathBuf> {
        let below = Path::new(group).strip_prefix(&self.root).unwrap_or(Path::new(""));
        let own = self.point.join(below);
        own.ancestors().take_while(|it| it.starts_with(&self.point)).map(|it| it.join(self.file)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const V2: &str = "24 30 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "24 30 0:22 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                      25 30 0:23 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

    fn limit(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<(u64, String)> {
        let mut all: HashMap<_, _> =
            files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        all.insert("/proc/self/cgroup".into(), groups.into());
        all.insert("/proc/self/mountinfo".into(), mounts.into());
        let found = memory_limit(|path| all.get(path).cloned());
        found.map(|limit| (limit.bytes, limit.file.to_str().unwrap().to_owned()))
    }

    #[allow(clippy::unnecessary_wraps, reason = "as what it is compared with")]
    fn found(bytes: u64, file: &str) -> Option<(u64, String)> {
        Some((bytes, file.to_owned()))
    }

    #[test]
    fn the_limit_of_systemd_stands_at_the_services_own_group() {
        let own = "/sys/fs/cgroup/system.slice/leveret.service/memory.max";
        let files = [(own, "314572800\n"), ("/sys/fs/cgroup/system.slice/memory.max", "max\n")];
        assert_eq!(limit("0::/system.slice/leveret.service\n", V2, &files), found(314_572_800, own));
    }

    #[test]
    fn a_group_above_may_be_tighter() {
        let above = "/sys/fs/cgroup/tenants.slice/memory.max";
        let files = [
            ("/sys/fs/cgroup/tenants.slice/a.scope/memory.max", "900\n"),
            (above, "500\n"),
            ("/sys/fs/cgroup/memory.max", "700\n"),
        ];
        assert_eq!(limit("0::/tenants.slice/a.scope\n", V2, &files), found(500, above));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let file = "/sys/fs/cgroup/memory.max";
        assert_eq!(limit("0::/\n", V2, &[(file, "4096\n")]), found(4096, file));
        // Without a namespace of its own, the path is the host's and the mount shows only what is below it.
        let mounts = V1.replace(" / ", " /docker/4f2 ");
        let file = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        let groups = "5:memory:/docker/4f2\n3:cpu:/docker/4f2\n";
        assert_eq!(limit(groups, &mounts, &[(file, "8192\n")]), found(8192, file));
    }

    #[test]
    fn version_1_has_the_memory_controller_in_a_hierarchy_of_its_own() {
        let file = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes";
        let files = [
            (file, "300\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/cpu/b/memory.limit_in_bytes", "1\n"),
        ];
        assert_eq!(limit("7:memory,hugetlb:/a\n3:cpu:/b\n", V1, &files), found(300, file));
        // Both versions at once: systemd's hybrid mode.
        let mounts = format!("{V1}26 30 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        assert_eq!(limit("7:memory:/a\n0::/init.scope\n", &mounts, &files), found(300, file));
    }

    #[test]
    fn without_groups_or_limits_there_is_none() {
        assert_eq!(memory_limit(|_| None), None);
        assert_eq!(limit("0::/\n", "", &[]), None);
        assert_eq!(limit("0::/a\n", V2, &[("/sys/fs/cgroup/a/memory.max", "max\n")]), None);
        assert_eq!(limit("junk", "junk - x\n\n - ", &[]), None);
        // A process whose path cannot be seen from here is limited at least by what can.
        let file = "/sys/fs/cgroup/memory.max";
        assert_eq!(limit("0::/../../elsewhere\n", V2, &[(file, "5\n")]), found(5, file));
    }
}
