//! A small disk of one's own, mounted on a directory: to be filled to the brim.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs. Dropping it unmounts it.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many kilobytes on a directory that is there, with room for so many files. `None`, and said, where this
    /// machine does not let us mount.
    #[expect(
        clippy::print_stdout,
        reason = "whoever reads the test's output must not think that it was tried"
    )]
    pub fn mount(dir: &Path, kilobytes: usize, files: usize) -> Option<SmallDisk> {
        let options = format!("size={kilobytes}k,nr_inodes={files},mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "feedgate-it"])
            .arg(dir)
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("NOT TRIED: mounting a tmpfs is not allowed here, so nothing is known of full disks");
            return None;
        }
        Some(SmallDisk(dir.to_owned()))
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        let stats = rustix::fs::statvfs(&self.0).expect("statvfs");
        stats.f_bavail * stats.f_frsize
    }

    /// Fills it, byte by byte, but for what is there already.
    pub fn fill(&self) {
        self.fill_up_to(0);
    }

    /// Fills it until only so much is free.
    pub fn fill_up_to(&self, free: u64) {
        let ballast = usize::try_from(self.free().saturating_sub(free)).expect("a small disk");
        fs::write(self.0.join("ballast"), vec![0; ballast]).expect("the ballast");
    }

    /// Fills it with files, so that no other can be made.
    pub fn fill_with_files(&self) {
        let mut number = 0;
        while fs::write(self.0.join(format!("ballast-{number}")), "").is_ok() {
            number += 1;
        }
    }

    /// Takes away what it was filled with.
    pub fn make_room(&self) {
        for entry in fs::read_dir(&self.0).expect("the disk").filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with("ballast") {
                fs::remove_file(entry.path()).expect("the ballast");
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a session may not be quite gone.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
