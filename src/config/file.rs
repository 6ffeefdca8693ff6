//! Files that an operator names: what is too large is not read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Reads a file of at most so many bytes. A larger one is an error, of which no more than that is read.
pub fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {bytes_max} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (bytes, fits) in [(0, true), (9, true), (10, true), (11, false), (1_000, false)] {
            std::fs::write(&path, vec![7; bytes]).unwrap();
            let read = read_bounded(&path, 10).map(|bytes| bytes.len()).map_err(|error| error.to_string());
            assert_eq!(read, if fits { Ok(bytes) } else { Err("it has more than 10 bytes".into()) });
        }
        assert_eq!(read_bounded(Path::new("/dev/zero"), 10).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(
            read_bounded(&folder.path().join("none"), 10).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
