//! The file system of a guest: a read-only bundle with private scratch over it, in memory, with
//! fixed times and sorted entries, so that it follows from the guest's own actions alone
//! (decision 33).

mod host;
mod tar;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nexus_exec::Unit;
use nexus_model::limits;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

pub use tar::check as check_bundle;

/// Links that one path leads through before it counts as a loop. All count, not only nested ones:
/// links to links would multiply.
const LINKS_MAX: usize = 64;
/// What an entry takes besides its name and content, in bytes, counted as scratch.
const ENTRY_BYTES: usize = 256;

/// One node of the tree.
#[derive(Debug)]
pub(crate) enum Node {
    /// Entries by name, sorted.
    Folder(BTreeMap<String, usize>),
    /// Content; a bundle's file is copied when it is first written.
    File(Content),
    /// A symbolic link.
    Link(String),
}

/// The content of a file.
#[derive(Debug)]
pub(crate) enum Content {
    Bundle(Bytes),
    Scratch(Vec<u8>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Bundle(bytes) => bytes,
            Content::Scratch(bytes) => bytes,
        }
    }
}

/// A tree of files. Nodes are never freed before the invocation ends: an open descriptor outlives
/// the removal of its name.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    scratch_bytes: usize,
    /// Lists of folders that are being read.
    lists_bytes: usize,
}

/// The tree as descriptors and streams share it.
pub(crate) type Files = Arc<Mutex<Tree>>;

const ROOT: usize = 0;

impl Tree {
    /// The tree of a unit. A bundle that is no archive counts as empty: it was checked at deploy.
    pub(crate) fn new(unit: &Unit) -> Self {
        let mut tree =
            Tree { nodes: vec![Node::Folder(BTreeMap::new())], scratch_bytes: 0, lists_bytes: 0 };
        if let Some(bundle) = &unit.bundle {
            let _ = tar::read(bundle, |path, content| tree.add(path, content));
        }
        tree
    }

    fn add(&mut self, path: &str, content: tar::Entry) {
        let mut at = ROOT;
        let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
        while let Some(part) = parts.next() {
            let existing = self.entry(at, part);
            if parts.peek().is_some() || matches!(content, tar::Entry::Folder) {
                at = match existing {
                    Some(node) => node,
                    None => self.insert(at, part, Node::Folder(BTreeMap::new())),
                };
                continue;
            }
            let node = match &content {
                tar::Entry::File(bytes) => Node::File(Content::Bundle(bytes.clone())),
                tar::Entry::Link(target) => Node::Link(target.clone()),
                tar::Entry::Folder => continue,
            };
            self.insert(at, part, node);
        }
    }

    fn insert(&mut self, folder: usize, name: &str, node: Node) -> usize {
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        if let Node::Folder(entries) = &mut self.nodes[folder] {
            entries.insert(name.to_owned(), number);
        }
        number
    }

    /// Makes an entry of the guest's own.
    fn create(&mut self, folder: usize, name: &str, node: Node) -> Result<usize, ErrorCode> {
        let target = if let Node::Link(target) = &node { target.len() } else { 0 };
        self.take_scratch(ENTRY_BYTES + name.len() + target)?;
        Ok(self.insert(folder, name, node))
    }

    /// Counts what is never given back before the invocation ends.
    fn take_scratch(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        let total = self.scratch_bytes.saturating_add(bytes);
        if total > limits::SCRATCH_BYTES_MAX {
            return Err(ErrorCode::InsufficientSpace);
        }
        self.scratch_bytes = total;
        Ok(())
    }

    fn entry(&self, folder: usize, name: &str) -> Option<usize> {
        match &self.nodes[folder] {
            Node::Folder(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    /// The folder and last name of a path that starts at `base`, following links on the way. The
    /// tree cannot be left: `..` at its root stays there only as an error, as WASI asks for.
    fn parent<'a>(&self, base: usize, path: &'a str) -> Result<(Vec<usize>, &'a str), ErrorCode> {
        if path.len() > limits::FILE_PATH_BYTES_MAX {
            return Err(ErrorCode::NameTooLong);
        }
        if path.starts_with('/') {
            return Err(ErrorCode::NotPermitted);
        }
        let trimmed = path.trim_end_matches('/');
        let (folder, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
        if matches!(name, "" | "." | "..") {
            return Ok((self.walk(vec![base], trimmed, &mut { LINKS_MAX })?, ""));
        }
        Ok((self.walk(vec![base], folder, &mut { LINKS_MAX })?, name))
    }

    /// Walks folders; the result is the way, whose last element is where it leads. `links` are those
    /// that it may still follow.
    fn walk(
        &self,
        mut way: Vec<usize>,
        path: &str,
        links: &mut usize,
    ) -> Result<Vec<usize>, ErrorCode> {
        for part in path.split('/') {
            let at = *way.last().unwrap_or(&ROOT);
            match part {
                "" | "." => continue,
                ".." => {
                    way.pop();
                    if way.is_empty() {
                        return Err(ErrorCode::NotPermitted);
                    }
                    continue;
                }
                _ => {}
            }
            if !matches!(self.nodes[at], Node::Folder(_)) {
                return Err(ErrorCode::NotDirectory);
            }
            let next = self.entry(at, part).ok_or(ErrorCode::NoEntry)?;
            match &self.nodes[next] {
                Node::Link(target) => {
                    *links = links.checked_sub(1).ok_or(ErrorCode::Loop)?;
                    if target.starts_with('/') {
                        return Err(ErrorCode::NotPermitted);
                    }
                    way = self.walk(way, target, links)?;
                }
                _ => way.push(next),
            }
        }
        Ok(way)
    }

    /// The node at a path.
    fn find(&self, base: usize, path: &str, follow: bool) -> Result<usize, ErrorCode> {
        let (way, name) = self.parent(base, path)?;
        let folder = *way.last().unwrap_or(&ROOT);
        if name.is_empty() {
            return Ok(folder);
        }
        if !matches!(self.nodes[folder], Node::Folder(_)) {
            return Err(ErrorCode::NotDirectory);
        }
        let found = self.entry(folder, name).ok_or(ErrorCode::NoEntry)?;
        if follow && let Node::Link(_) = self.nodes[found] {
            let way = self.walk(way, name, &mut { LINKS_MAX })?;
            return Ok(*way.last().unwrap_or(&ROOT));
        }
        if path.ends_with('/') && !matches!(self.nodes[found], Node::Folder(_)) {
            return Err(ErrorCode::NotDirectory);
        }
        Ok(found)
    }

    /// The folder in which a new name is to stand.
    fn place<'a>(&self, base: usize, path: &'a str) -> Result<(usize, &'a str), ErrorCode> {
        let (way, name) = self.parent(base, path)?;
        let folder = *way.last().unwrap_or(&ROOT);
        if name.is_empty() {
            return Err(ErrorCode::Exist);
        }
        if !matches!(self.nodes[folder], Node::Folder(_)) {
            return Err(ErrorCode::NotDirectory);
        }
        Ok((folder, name))
    }

    fn size(&self, node: usize) -> u64 {
        match &self.nodes[node] {
            Node::File(content) => content.bytes().len() as u64,
            Node::Link(target) => target.len() as u64,
            Node::Folder(_) => 0,
        }
    }

    fn read(&self, node: usize, offset: u64, length: usize) -> Result<&[u8], ErrorCode> {
        let Node::File(content) = &self.nodes[node] else { return Err(ErrorCode::IsDirectory) };
        let bytes = content.bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(&bytes[start..bytes.len().min(start.saturating_add(length))])
    }

    /// The content for writing, grown or cut to `length` where one is given.
    fn writable(&mut self, node: usize, length: Option<usize>) -> Result<&mut Vec<u8>, ErrorCode> {
        let Node::File(content) = &mut self.nodes[node] else {
            return Err(ErrorCode::IsDirectory);
        };
        let had = match content {
            Content::Bundle(_) => 0,
            Content::Scratch(bytes) => bytes.len(),
        };
        let will = length.unwrap_or(content.bytes().len());
        let total = (self.scratch_bytes - had).saturating_add(will);
        if total > limits::SCRATCH_BYTES_MAX {
            return Err(ErrorCode::InsufficientSpace);
        }
        self.scratch_bytes = total;
        if let Content::Bundle(bytes) = content {
            *content = Content::Scratch(bytes.to_vec());
        }
        match content {
            Content::Scratch(bytes) => {
                bytes.resize(will, 0);
                Ok(bytes)
            }
            Content::Bundle(_) => Err(ErrorCode::Io),
        }
    }

    fn write(&mut self, node: usize, offset: u64, bytes: &[u8]) -> Result<(), ErrorCode> {
        let start = usize::try_from(offset).map_err(|_| ErrorCode::FileTooLarge)?;
        let end = start.checked_add(bytes.len()).ok_or(ErrorCode::FileTooLarge)?;
        let size = self.size(node) as usize;
        let content = self.writable(node, Some(size.max(end)))?;
        content[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn remove(&mut self, base: usize, path: &str, folder: bool) -> Result<(), ErrorCode> {
        let node = self.find(base, path, false)?;
        match (&self.nodes[node], folder) {
            (Node::Folder(entries), true) if !entries.is_empty() => {
                return Err(ErrorCode::NotEmpty);
            }
            (Node::Folder(_), false) => return Err(ErrorCode::IsDirectory),
            (Node::File(_) | Node::Link(_), true) => return Err(ErrorCode::NotDirectory),
            _ => {}
        }
        let (parent, name) = self.place(base, path).map_err(|_| ErrorCode::NotPermitted)?;
        if let Node::Folder(entries) = &mut self.nodes[parent] {
            entries.remove(name);
        }
        Ok(())
    }

    fn rename(&mut self, from: (usize, &str), to: (usize, &str)) -> Result<(), ErrorCode> {
        let node = self.find(from.0, from.1, false)?;
        let (old_folder, old_name) = self.place(from.0, from.1)?;
        let (new_folder, new_name) = self.place(to.0, to.1)?;
        if self.contains(node, new_folder) {
            return Err(ErrorCode::Invalid);
        }
        self.take_scratch(new_name.len())?;
        if let Some(existing) = self.entry(new_folder, new_name)
            && existing != node
        {
            let is_folder = matches!(self.nodes[node], Node::Folder(_));
            self.remove(to.0, to.1, is_folder)?;
        }
        if let Node::Folder(entries) = &mut self.nodes[old_folder] {
            entries.remove(old_name);
        }
        if let Node::Folder(entries) = &mut self.nodes[new_folder] {
            entries.insert(new_name.to_owned(), node);
        }
        Ok(())
    }

    /// Whether `inner` is `outer` or lies in it. Folders may lie as deep in each other as a guest
    /// likes, so this must not call itself.
    fn contains(&self, outer: usize, inner: usize) -> bool {
        let mut left = vec![outer];
        while let Some(node) = left.pop() {
            if node == inner {
                return true;
            }
            if let Node::Folder(entries) = &self.nodes[node] {
                left.extend(entries.values());
            }
        }
        false
    }
}
