//! Names that last. The bytes of a file are on disk when the file was synced, and its name only when its directory was: what
//! was made a moment ago may be gone after a power failure, with everything in it that was synced.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory and its parents, on disk, names and all, when this returns `Ok`.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    make_dir_with_mode(dir, 0o777)
}

/// The same; those that are made get this mode, less the umask.
pub(crate) fn make_dir_with_mode(dir: &Path, mode: u32) -> io::Result<()> {
    let parent = parent(dir);
    if dir == Path::new("") || dir.is_dir() {
        // An attempt that was killed may have made it and not come as far as this. If the directory above cannot be opened, or
        // its file system knows no such thing, it was made by somebody else.
        sync_dir(parent).ok();
        return Ok(());
    }
    make_dir_with_mode(parent, mode)?;
    match DirBuilder::new().mode(mode).create(dir) {
        // Somebody else was quicker, unless a file or a link that leads nowhere is in the way.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        result => result?,
    }
    sync_dir(parent)
}

/// Writes a small file whole: beside it first, then renamed over what may be there; on disk, name and all, when this returns
/// `Ok`. One that was killed meanwhile leaves the old content, or none.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_dir(parent(path))
}

/// Brings to disk what names are in a directory.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory that a path lies in; one of a single part lies where the program runs.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn directories_are_made_as_far_as_they_are_not_there() {
        let house = tempfile::tempdir().expect("a directory");
        let deep = house.path().join("a/b/c");
        for _ in 0..2 {
            make_dir_with_mode(&deep, 0o700).expect("made, or there");
        }
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!([mode(&deep), mode(&house.path().join("a"))], [0o700; 2]);
        // Where the program runs is there, by whatever name.
        make_dir(Path::new("")).expect("it is there");
        make_dir(Path::new(".")).expect("it is there");
        fs::write(deep.join("file"), "").expect("a file");
        assert!(make_dir(&deep.join("file/below")).is_err(), "a file is in the way");
    }

    #[test]
    fn a_small_file_is_written_over_another_and_leaves_nothing_beside_it() {
        let house = tempfile::tempdir().expect("a directory");
        let path = house.path().join("mark");
        // Left behind by one that was killed.
        fs::write(house.path().join("mark.part"), "something longer").expect("a file");
        for text in ["one", "another"] {
            write(&path, text.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
        }
        assert_eq!(fs::read_dir(house.path()).expect("a directory").count(), 1);
    }
}
