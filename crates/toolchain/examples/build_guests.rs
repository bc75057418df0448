//! Builds the components that tests of other crates run: `build_guests OUTDIR [NAME…]`.
//!
//! Gives `OUTDIR/<name>.wasm` for the folders of `examples/` (`replay-rust`, `replay-js`, …) and for
//! the templates (`hello-rust`, `orders-rust`, `hello-javascript`, …). Names choose among them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use nexus_toolchain::{
    BuildOptions, FunctionSource, Language, Scaffold, Template, build, scaffold,
};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let out = PathBuf::from(args.next().context("usage: build_guests OUTDIR [NAME…]")?);
    let chosen: Vec<String> = args.collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|it| it == name);
    std::fs::create_dir_all(&out)?;
    let mut options = BuildOptions::new(out.join("cache"));
    options.sink = Arc::new(|line| eprintln!("  {}", line.text));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for name in ["replay-rust", "replay-js", "replay-ts", "replay-py", "aggregate-rust"] {
        if wanted(name) {
            guest(name, &examples.join(name), &out, &options)?;
        }
    }
    for language in Language::ALL {
        for (template, function) in [(Template::Http, "hello"), (Template::Event, "orders")] {
            let name = format!("{function}-{language}");
            if wanted(&name) {
                let dir = project(&out, language, template)?;
                guest(&name, &dir.join(function), &out, &options)?;
            }
        }
    }
    Ok(())
}

/// Laid out once; kept, so that cargo finds what it built before.
fn project(out: &Path, language: Language, template: Template) -> anyhow::Result<PathBuf> {
    let dir = out.join("projects").join(format!("{language}-{template}"));
    let fresh = tempfile::tempdir()?;
    let name = "shop".parse().map_err(|error| anyhow::anyhow!("{error}"))?;
    let plan = Scaffold { name, language, template, dir: fresh.path().to_owned() };
    for file in scaffold(&plan)? {
        let target = dir.join(&file);
        std::fs::create_dir_all(target.parent().context("a file has a folder")?)?;
        let text = std::fs::read(fresh.path().join(&file))?;
        if std::fs::read(&target).ok().as_ref() != Some(&text) {
            std::fs::write(&target, text)?;
        }
    }
    Ok(dir)
}

fn guest(name: &str, dir: &Path, out: &Path, options: &BuildOptions) -> anyhow::Result<()> {
    let source =
        FunctionSource { name: name.into(), dir: dir.into(), language: None, custom: None };
    let built = build(&source, options).with_context(|| format!("failed to build {name}"))?;
    let path = out.join(format!("{name}.wasm"));
    std::fs::write(&path, &built.component)?;
    let cached = if built.cached { ", unchanged" } else { "" };
    println!("{name}: {} bytes in {:?}{cached}", built.component.len(), built.elapsed);
    Ok(())
}
