//! Where a client's path lies on this machine, and that it lies within the account's directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An account's directory; clients know it as `/`.
pub(super) struct Root(PathBuf);

impl Root {
    /// The directory must exist.
    pub(super) fn new(dir: &Path) -> io::Result<Root> {
        Ok(Root(fs::canonicalize(dir)?))
    }

    /// Where a path lies; its last part need not exist and may be a symbolic link, which is not followed. A link on the
    /// way that leads out of the directory is refused.
    pub(super) fn locate(&self, path: &str) -> io::Result<PathBuf> {
        let inner = absolute(path);
        let (parent, name) = inner.rsplit_once('/').expect("an absolute path has a slash");
        if name.is_empty() {
            return Ok(self.0.clone());
        }
        let parent = fs::canonicalize(self.0.join(parent.trim_start_matches('/')))?;
        self.hold(parent).map(|parent| parent.join(name))
    }

    /// Where a path leads, its last part followed if it is a symbolic link within the directory. A file that does not
    /// exist lies where it would be created.
    pub(super) fn follow(&self, path: &str) -> io::Result<PathBuf> {
        let located = self.locate(path)?;
        match fs::symlink_metadata(&located) {
            Ok(found) if found.is_symlink() => self.hold(fs::canonicalize(located)?),
            _ => Ok(located),
        }
    }

    fn hold(&self, resolved: PathBuf) -> io::Result<PathBuf> {
        match resolved.starts_with(&self.0) {
            true => Ok(resolved),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

/// The path from `/`, without `.`, `..` and double slashes; what would climb above `/` stays there, as in a chroot.
/// Symbolic links are not looked at, just as in OpenSSH's `realpath` of what does not exist.
pub(super) fn absolute(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_made_absolute() {
        let check = |path, expect| assert_eq!(absolute(path), expect, "{path:?}");
        check("", "/");
        check(".", "/");
        check("/", "/");
        check("a.zip", "/a.zip");
        check("//a/./b/", "/a/b");
        check("a/../b", "/b");
        check("../../etc/passwd", "/etc/passwd");
        check("/a/b/../../..", "/");
        check("...", "/...");
    }

    #[test]
    fn nothing_leads_out() {
        let house = tempfile::tempdir().unwrap();
        let dir = house.path().join("root");
        fs::create_dir_all(dir.join("inner")).unwrap();
        fs::write(house.path().join("secret"), "s").unwrap();
        fs::write(dir.join("a"), "a").unwrap();
        symlink("../secret", dir.join("out")).unwrap();
        symlink("..", dir.join("up")).unwrap();
        symlink("a", dir.join("in")).unwrap();
        symlink("inner", dir.join("way")).unwrap();
        symlink("nowhere", dir.join("dangling")).unwrap();
        let root = Root::new(&dir).unwrap();
        let real = fs::canonicalize(&dir).unwrap();

        let kind = |found: io::Result<PathBuf>| found.map_err(|e| e.kind());
        let inside = |path: &str| Ok(real.join(path));
        assert_eq!(kind(root.follow("/")), Ok(real.clone()));
        assert_eq!(kind(root.follow("/a")), inside("a"));
        assert_eq!(kind(root.follow("/in")), inside("a"));
        assert_eq!(kind(root.locate("/in")), inside("in"));
        assert_eq!(kind(root.follow("/way/new")), inside("inner/new"));
        assert_eq!(kind(root.locate("/out")), inside("out"));
        assert_eq!(kind(root.follow("/out")), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(kind(root.locate("/up/secret")), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(kind(root.follow("/dangling")), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(root.follow("/../secret")), inside("secret"));
        assert_eq!(kind(root.locate("/nowhere/x")), Err(io::ErrorKind::NotFound));
    }
}
