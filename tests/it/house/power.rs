//! What a power failure could leave of what the program did.
//!
//! A model of a disk that keeps no more than it must: the bytes of a file are there when the file was synced, and its name when
//! the directory was. [`Disk::take_part`] is told of every [call](super::calls); [`Disk::after_power_failure`] answers with
//! what is there when the machine comes up again. That is harsher than any file system that somebody would run this on: what
//! is right here does not depend on the one that is used. One thing is granted: a rename takes place whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::calls::{Call, Effect};

/// Bytes that a disk writes at a time.
const SECTOR: usize = 512;

/// What a name leads to.
#[derive(Clone, Copy, PartialEq)]
enum Node {
    Dir,
    /// A place among the files.
    File(usize),
}

/// The disk, and what is on its way to it.
#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    inodes: HashMap<u64, usize>,
    now: BTreeMap<PathBuf, Node>,
    synced: BTreeMap<PathBuf, Node>,
    /// Changes of names, in order, whose directories are not synced.
    pending: Vec<Change>,
}

#[derive(Default)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// What was written since it was synced.
    pending: Vec<Effect>,
}

/// One change of names: what each leads to from then on.
#[derive(Clone)]
struct Change(Vec<(PathBuf, Option<Node>)>);

/// What is left of what was not synced.
pub enum Left<'a> {
    /// Nothing.
    Nothing,
    /// As the dice fall: some of the writes, in part or whole, and some of the names.
    ByDice(&'a mut fastrand::Rng),
}

/// Paths, and the bytes of files; directories have none.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    /// A directory that is there from the beginning.
    pub fn dir(&mut self, path: &Path) {
        self.now.insert(path.to_owned(), Node::Dir);
        self.synced.insert(path.to_owned(), Node::Dir);
    }

    /// A file that is there from the beginning.
    pub fn file(&mut self, path: &Path, bytes: &[u8]) {
        let node = Node::File(self.files.len());
        self.files.push(File {
            now: bytes.to_vec(),
            synced: bytes.to_vec(),
            pending: Vec::new(),
        });
        self.now.insert(path.to_owned(), node);
        self.synced.insert(path.to_owned(), node);
    }

    /// A call took effect.
    pub fn take_part(&mut self, call: &Call) {
        let path = &call.path;
        match &call.effect {
            Effect::None => {}
            Effect::Created { inode } => {
                let node = Node::File(self.files.len());
                self.inodes.insert(*inode, self.files.len());
                self.files.push(File::default());
                self.change(vec![(path.clone(), Some(node))]);
            }
            Effect::Wrote { inode, .. } | Effect::Resized { inode, .. } => {
                if let Some(&place) = self.inodes.get(inode) {
                    let file = &mut self.files[place];
                    apply(&mut file.now, &call.effect);
                    file.pending.push(call.effect.clone());
                }
            }
            Effect::Synced { inode } => match self.inodes.get(inode) {
                Some(&place) if self.now.get(path) != Some(&Node::Dir) => {
                    let file = &mut self.files[place];
                    file.synced.clone_from(&file.now);
                    file.pending.clear();
                }
                _ => self.sync_dir(path),
            },
            Effect::Renamed { from } => {
                let node = self.now.get(from).copied();
                assert!(
                    node != Some(Node::Dir),
                    "no directory is ever renamed here: {}",
                    from.display()
                );
                self.change(vec![(from.clone(), None), (path.clone(), node)]);
            }
            Effect::Linked { from } => {
                let node = self.now.get(from).copied();
                self.change(vec![(path.clone(), node)]);
            }
            Effect::Removed => self.change(vec![(path.clone(), None)]),
            Effect::MadeDir => self.change(vec![(path.clone(), Some(Node::Dir))]),
        }
    }

    /// What is there now, below a directory, as long as the power is on.
    pub fn now(&self, dir: &Path) -> Tree {
        let bytes = |place: usize| self.files[place].now.clone();
        tree(&self.now, dir, bytes)
    }

    /// What would be there, below a directory, if the power failed now.
    pub fn after_power_failure(&self, dir: &Path, left: &mut Left<'_>) -> Tree {
        let Left::ByDice(dice) = left else {
            return tree(&self.synced, dir, |place| self.files[place].synced.clone());
        };
        let mut names = self.synced.clone();
        let chosen = self.pending.iter().map(|_| dice.bool()).collect();
        for change in self.with_what_they_rest_on(chosen).0 {
            apply_change(&mut names, &change);
        }
        tree(&names, dir, |place| {
            let file = &self.files[place];
            let mut bytes = file.synced.clone();
            for effect in &file.pending {
                match (dice.u8(..3), effect) {
                    (0, _) => {}
                    (
                        1,
                        Effect::Wrote {
                            inode,
                            offset,
                            bytes: all,
                        },
                    ) => {
                        let sectors = dice.usize(..=all.len() / SECTOR);
                        let part = Effect::Wrote {
                            inode: *inode,
                            offset: *offset,
                            bytes: all[..sectors * SECTOR].to_vec(),
                        };
                        apply(&mut bytes, &part);
                    }
                    _ => apply(&mut bytes, effect),
                }
            }
            bytes
        })
    }

    fn change(&mut self, names: Vec<(PathBuf, Option<Node>)>) {
        let change = Change(names);
        apply_change(&mut self.now, &change);
        self.pending.push(change);
    }

    fn sync_dir(&mut self, dir: &Path) {
        let concerns = |change: &Change| change.0.iter().any(|(path, _)| path.parent() == Some(dir));
        let chosen = self.pending.iter().map(concerns).collect();
        let (done, pending) = self.with_what_they_rest_on(chosen);
        for change in &done {
            apply_change(&mut self.synced, change);
        }
        self.pending = pending;
    }

    /// The chosen changes, and all before them of the same names; and the others.
    fn with_what_they_rest_on(&self, mut chosen: Vec<bool>) -> (Vec<Change>, Vec<Change>) {
        for later in (0..chosen.len()).rev() {
            for earlier in 0..later {
                let shares = |(path, _): &(PathBuf, _)| self.pending[earlier].0.iter().any(|(other, _)| other == path);
                chosen[earlier] |= chosen[later] && self.pending[later].0.iter().any(shares);
            }
        }
        let (done, rest): (Vec<_>, Vec<_>) = self.pending.iter().zip(chosen).partition(|(_, chosen)| *chosen);
        let changes = |some: Vec<(&Change, bool)>| some.into_iter().map(|(change, _)| change.clone()).collect();
        (changes(done), changes(rest))
    }
}

fn apply(bytes: &mut Vec<u8>, effect: &Effect) {
    match effect {
        Effect::Wrote { offset, bytes: new, .. } => {
            let end = offset + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(new);
        }
        Effect::Resized { length, .. } => bytes.resize(*length, 0),
        _ => {}
    }
}

fn apply_change(names: &mut BTreeMap<PathBuf, Node>, change: &Change) {
    for (path, node) in &change.0 {
        match node {
            Some(node) => names.insert(path.clone(), *node),
            None => names.remove(path),
        };
    }
}

/// What can be reached below a directory: a name whose directory has none is lost.
fn tree(names: &BTreeMap<PathBuf, Node>, dir: &Path, mut bytes: impl FnMut(usize) -> Vec<u8>) -> Tree {
    let mut tree = Tree::new();
    // Sorted: a directory comes before what is in it.
    for (path, node) in names {
        let parent = path.parent().expect("no root");
        if !path.starts_with(dir) || path == dir || (parent != dir && tree.get(parent) != Some(&None)) {
            continue;
        }
        let content = match node {
            Node::Dir => None,
            Node::File(place) => Some(bytes(*place)),
        };
        tree.insert(path.clone(), content);
    }
    tree
}
