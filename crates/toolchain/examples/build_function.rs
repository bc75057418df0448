//! Builds one function: `build_function DIR OUT [CACHE]`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to its terminal")]

use std::sync::Arc;

use nexus_toolchain::{BuildOptions, FunctionSource, build};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(out)) = (args.next(), args.next()) else {
        anyhow::bail!("usage: build_function DIR OUT [CACHE]");
    };
    let mut options = BuildOptions::new(args.next().unwrap_or_else(|| "target/cache".into()));
    options.sink = Arc::new(|line| eprintln!("{}", line.text));
    let source =
        FunctionSource { name: dir.clone(), dir: dir.into(), language: None, custom: None };
    let built = build(&source, &options)?;
    println!("{} bytes of {} in {:?}", built.component.len(), built.language, built.elapsed);
    std::fs::write(out, built.component)?;
    Ok(())
}
