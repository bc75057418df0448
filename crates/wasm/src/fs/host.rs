//! `wasi:filesystem` over a [`Tree`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, Host, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, OutputStream, Pollable,
    ReaddirIterator, StreamError, StreamResult,
};

use nexus_model::limits;

use super::{Content, ENTRY_BYTES, Files, Node, ROOT, Tree};
use crate::state::State;

/// One read or write through a stream.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// An open file or folder. Wasmtime's own descriptor type names the resource; the table holds this.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: usize,
    write: bool,
}

fn lock(files: &Files) -> MutexGuard<'_, Tree> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn files(&mut self) -> Files {
        let unit = &self.unit;
        let files =
            self.files.get_or_insert_with(|| Box::new(Arc::new(Mutex::new(Tree::new(unit)))));
        (**files).clone()
    }

    fn open(&self, descriptor: &Resource<Descriptor>) -> wasmtime::Result<Open> {
        Ok(*self.table.get(&Resource::<Open>::new_borrow(descriptor.rep()))?)
    }

    fn folder(&self, descriptor: &Resource<Descriptor>) -> FsResult<usize> {
        Ok(self.open(descriptor).map_err(FsError::trap)?.node)
    }

    fn push(&mut self, open: Open) -> wasmtime::Result<Resource<Descriptor>> {
        Ok(Resource::new_own(self.table.push(open)?.rep()))
    }
}

impl preopens::Host for State {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        Ok(vec![(self.push(Open { node: ROOT, write: true })?, "/".to_owned())])
    }
}

impl Host for State {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<ErrorCode>().copied())
    }
}

fn kind(node: &Node) -> DescriptorType {
    match node {
        Node::Folder(_) => DescriptorType::Directory,
        Node::File(_) => DescriptorType::RegularFile,
        Node::Link(_) => DescriptorType::SymbolicLink,
    }
}

fn stat(tree: &Tree, node: usize) -> DescriptorStat {
    DescriptorStat {
        type_: kind(&tree.nodes[node]),
        link_count: 1,
        size: tree.size(node),
        data_access_timestamp: None,
        data_modification_timestamp: None,
        status_change_timestamp: None,
    }
}

fn metadata_hash(tree: &Tree, node: usize) -> MetadataHashValue {
    MetadataHashValue { lower: node as u64, upper: tree.size(node) }
}

impl HostDescriptor for State {
    async fn advise(
        &mut self,
        _: Resource<Descriptor>,
        _: Filesize,
        _: Filesize,
        _: Advice,
    ) -> FsResult<()> {
        Ok(())
    }

    async fn sync_data(&mut self, _: Resource<Descriptor>) -> FsResult<()> {
        Ok(())
    }

    async fn sync(&mut self, _: Resource<Descriptor>) -> FsResult<()> {
        Ok(())
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        let open = self.open(&fd).map_err(FsError::trap)?;
        let mut flags = DescriptorFlags::READ;
        if open.write {
            flags |= match lock(&self.files()).nodes[open.node] {
                Node::Folder(_) => DescriptorFlags::MUTATE_DIRECTORY,
                _ => DescriptorFlags::WRITE,
            };
        }
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        let node = self.folder(&fd)?;
        Ok(kind(&lock(&self.files()).nodes[node]))
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let node = writable(self, &fd)?;
        let size = usize::try_from(size).map_err(|_| ErrorCode::FileTooLarge)?;
        lock(&self.files()).writable(node, Some(size))?;
        Ok(())
    }

    async fn set_times(
        &mut self,
        _: Resource<Descriptor>,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> FsResult<()> {
        Ok(())
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let node = self.folder(&fd)?;
        let files = self.files();
        let tree = lock(&files);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = tree.read(node, offset, length)?.to_vec();
        let end = offset.saturating_add(bytes.len() as u64) >= tree.size(node);
        Ok((bytes, end))
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let node = writable(self, &fd)?;
        lock(&self.files()).write(node, offset, &bytes)?;
        Ok(bytes.len() as u64)
    }

    async fn read_directory(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let node = self.folder(&fd)?;
        let files = self.files();
        let mut tree = lock(&files);
        let Node::Folder(entries) = &tree.nodes[node] else {
            return Err(ErrorCode::NotDirectory.into());
        };
        let size: usize = entries.keys().map(|name| name.len() + ENTRY_BYTES).sum();
        if tree.lists_bytes + size > limits::FILE_LISTS_BYTES_MAX {
            return Err(ErrorCode::InsufficientMemory.into());
        }
        let listed: Vec<FsResult<DirectoryEntry>> = entries
            .iter()
            .map(|(name, at)| {
                Ok(DirectoryEntry { type_: kind(&tree.nodes[*at]), name: name.clone() })
            })
            .collect();
        tree.lists_bytes += size;
        drop(tree);
        let listing = Listing { entries: listed.into_iter(), files, size };
        // The iterator's type is Wasmtime's; the table holds our list under its number.
        let list = self.table.push(listing).map_err(FsError::trap)?;
        Ok(Resource::<ReaddirIterator>::new_own(list.rep()))
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let base = self.folder(&fd)?;
        let files = self.files();
        let mut tree = lock(&files);
        let (folder, name) = tree.place(base, &path)?;
        if tree.entry(folder, name).is_some() {
            return Err(ErrorCode::Exist.into());
        }
        tree.create(folder, name, Node::Folder(Default::default()))?;
        Ok(())
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let node = self.folder(&fd)?;
        Ok(stat(&lock(&self.files()), node))
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let base = self.folder(&fd)?;
        let files = self.files();
        let tree = lock(&files);
        let node = tree.find(base, &path, flags.contains(PathFlags::SYMLINK_FOLLOW))?;
        Ok(stat(&tree, node))
    }

    async fn set_times_at(
        &mut self,
        _: Resource<Descriptor>,
        _: PathFlags,
        _: String,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> FsResult<()> {
        Ok(())
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        old_path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (old, new) = (self.folder(&fd)?, self.folder(&new_fd)?);
        let files = self.files();
        let mut tree = lock(&files);
        let node = tree.find(old, &old_path, flags.contains(PathFlags::SYMLINK_FOLLOW))?;
        if matches!(tree.nodes[node], Node::Folder(_)) {
            return Err(ErrorCode::NotPermitted.into());
        }
        let (folder, name) = tree.place(new, &new_path)?;
        if tree.entry(folder, name).is_some() {
            return Err(ErrorCode::Exist.into());
        }
        tree.take_scratch(ENTRY_BYTES + name.len())?;
        if let Node::Folder(entries) = &mut tree.nodes[folder] {
            entries.insert(name.to_owned(), node);
        }
        Ok(())
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let base = self.folder(&fd)?;
        let files = self.files();
        let write = flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY);
        let follow = path_flags.contains(PathFlags::SYMLINK_FOLLOW);
        let node = open_node(&mut lock(&files), (base, &path), (follow, open_flags, flags))?;
        self.push(Open { node, write }).map_err(FsError::trap)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Open>::new_own(fd.rep()))?;
        Ok(())
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let base = self.folder(&fd)?;
        let files = self.files();
        let tree = lock(&files);
        match &tree.nodes[tree.find(base, &path, false)?] {
            Node::Link(target) => Ok(target.clone()),
            _ => Err(ErrorCode::Invalid.into()),
        }
    }

    async fn remove_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let base = self.folder(&fd)?;
        Ok(lock(&self.files()).remove(base, &path, true)?)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        old_path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (old, new) = (self.folder(&fd)?, self.folder(&new_fd)?);
        Ok(lock(&self.files()).rename((old, &old_path), (new, &new_path))?)
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        let base = self.folder(&fd)?;
        let files = self.files();
        let mut tree = lock(&files);
        let (folder, name) = tree.place(base, &path)?;
        if tree.entry(folder, name).is_some() {
            return Err(ErrorCode::Exist.into());
        }
        if target.starts_with('/') {
            return Err(ErrorCode::NotPermitted.into());
        }
        if target.len() > limits::FILE_PATH_BYTES_MAX {
            return Err(ErrorCode::NameTooLong.into());
        }
        tree.create(folder, name, Node::Link(target))?;
        Ok(())
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let base = self.folder(&fd)?;
        Ok(lock(&self.files()).remove(base, &path, false)?)
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let node = self.folder(&fd)?;
        let files = self.files();
        if !matches!(lock(&files).nodes[node], Node::File(_)) {
            return Err(ErrorCode::IsDirectory.into());
        }
        let stream: DynInputStream = Box::new(FileStream { files, node, at: Some(offset) });
        self.table.push(stream).map_err(FsError::trap)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let node = writable(self, &fd)?;
        let files = self.files();
        let stream: DynOutputStream = Box::new(FileStream { files, node, at: Some(offset) });
        self.table.push(stream).map_err(FsError::trap)
    }

    fn append_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let node = writable(self, &fd)?;
        let files = self.files();
        let stream: DynOutputStream = Box::new(FileStream { files, node, at: None });
        self.table.push(stream).map_err(FsError::trap)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Descriptor>,
        b: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Ok(self.open(&a)?.node == self.open(&b)?.node)
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let node = self.folder(&fd)?;
        Ok(metadata_hash(&lock(&self.files()), node))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let base = self.folder(&fd)?;
        let files = self.files();
        let tree = lock(&files);
        let node = tree.find(base, &path, flags.contains(PathFlags::SYMLINK_FOLLOW))?;
        Ok(metadata_hash(&tree, node))
    }
}

fn writable(state: &State, fd: &Resource<Descriptor>) -> FsResult<usize> {
    let open = state.open(fd).map_err(FsError::trap)?;
    if open.write { Ok(open.node) } else { Err(ErrorCode::BadDescriptor.into()) }
}

fn open_node(
    tree: &mut Tree,
    (base, path): (usize, &str),
    (follow, open, flags): (bool, OpenFlags, DescriptorFlags),
) -> FsResult<usize> {
    let node = match tree.find(base, path, follow) {
        Ok(_) if open.contains(OpenFlags::EXCLUSIVE | OpenFlags::CREATE) => {
            return Err(ErrorCode::Exist.into());
        }
        Ok(node) => node,
        Err(ErrorCode::NoEntry) if open.contains(OpenFlags::CREATE) => {
            let (folder, name) = tree.place(base, path)?;
            return Ok(tree.create(folder, name, Node::File(Content::Scratch(Vec::new())))?);
        }
        Err(error) => return Err(error.into()),
    };
    match &tree.nodes[node] {
        Node::Link(_) => return Err(ErrorCode::Loop.into()),
        Node::File(_) if open.contains(OpenFlags::DIRECTORY) => {
            return Err(ErrorCode::NotDirectory.into());
        }
        Node::Folder(_)
            if flags.contains(DescriptorFlags::WRITE) || open.contains(OpenFlags::TRUNCATE) =>
        {
            return Err(ErrorCode::IsDirectory.into());
        }
        _ => {}
    }
    if open.contains(OpenFlags::TRUNCATE) {
        tree.writable(node, Some(0))?;
    }
    Ok(node)
}

/// A folder's entries as they were when it was opened.
struct Listing {
    entries: std::vec::IntoIter<FsResult<DirectoryEntry>>,
    files: Files,
    size: usize,
}

impl Drop for Listing {
    fn drop(&mut self) {
        lock(&self.files).lists_bytes -= self.size;
    }
}

impl HostDirectoryEntryStream for State {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let list = Resource::<Listing>::new_borrow(stream.rep());
        self.table.get_mut(&list).map_err(FsError::trap)?.entries.next().transpose()
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

/// A position in a file; `None` appends.
struct FileStream {
    files: Files,
    node: usize,
    at: Option<u64>,
}

#[async_trait]
impl Pollable for FileStream {
    async fn ready(&mut self) {}
}

fn failed(code: ErrorCode) -> StreamError {
    StreamError::LastOperationFailed(wasmtime::Error::new(code))
}

#[async_trait]
impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let at = self.at.unwrap_or(0);
        let tree = lock(&self.files);
        let bytes = tree.read(self.node, at, size.min(PIECE_BYTES_MAX)).map_err(failed)?;
        if bytes.is_empty() && size > 0 {
            return Err(StreamError::Closed);
        }
        self.at = Some(at + bytes.len() as u64);
        Ok(Bytes::copy_from_slice(bytes))
    }
}

#[async_trait]
impl OutputStream for FileStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut tree = lock(&self.files);
        let at = self.at.unwrap_or_else(|| tree.size(self.node));
        tree.write(self.node, at, &bytes).map_err(failed)?;
        if let Some(at) = &mut self.at {
            *at += bytes.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE_BYTES_MAX)
    }
}
