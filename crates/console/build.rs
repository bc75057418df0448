//! Embeds what Vite has built: every file of `console/dist`, compressed once, here. Without that
//! folder the crate has its stub page only; building Rust never needs Node.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let dist = variable("CARGO_MANIFEST_DIR").join("../../console/dist");
    let out = variable("OUT_DIR");
    // Cargo watches the folder for changes. A folder that is not there would count as changed in
    // each build; where it cannot be made, that is what happens.
    let _ = fs::create_dir_all(&dist);
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut files = Vec::new();
    let built = dist.join("index.html").is_file();
    if built {
        let mut paths = Vec::new();
        collect(&dist, &dist, &mut paths)?;
        paths.sort();
        for path in paths {
            files.push((fs::read(dist.join(&path))?, path));
        }
    } else {
        println!("cargo::rerun-if-changed=src/stub.html");
        files.push((fs::read("src/stub.html")?, "index.html".to_owned()));
    }
    let mut table = format!("const BUILT: bool = {built};\nstatic FILES: &[File] = &[\n");
    for (number, (bytes, path)) in files.iter().enumerate() {
        let embed = |ending: &str, bytes: Vec<u8>| {
            let file = out.join(format!("{number}.{ending}"));
            fs::write(&file, bytes)?;
            Ok::<_, io::Error>(format!("include_bytes!({:?})", file.display().to_string()))
        };
        let (gzip, brotli) = (embed("gz", gzip(bytes)?)?, embed("br", brotli(bytes)?)?);
        let digest = &blake3::hash(bytes).to_hex()[..20];
        let _ = writeln!(
            table,
            "File {{ path: {path:?}, digest: {digest:?}, gzip: {gzip}, brotli: {brotli} }},"
        );
    }
    table.push_str("];\n");
    fs::write(out.join("files.rs"), table)
}

/// The paths of all files below `folder`, with `/` between their parts. Maps of sources are left
/// out: they are as large as everything else together.
fn collect(root: &Path, folder: &Path, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, paths)?;
            continue;
        }
        let parts = path.strip_prefix(root).unwrap_or(&path).iter();
        let name = parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        if !name.ends_with(".map") && !name.starts_with('.') {
            paths.push(name);
        }
    }
    Ok(())
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 22,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut io::Cursor::new(bytes), &mut compressed, &params)?;
    Ok(compressed)
}
