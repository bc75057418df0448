//! TypeScript without a compiler: everything that only types need is turned into spaces, so that
//! lines and columns in stack traces stay those of the source.

use std::path::Path;

use oxc_allocator::Allocator;
use oxc_parser::Parser;
use oxc_span::SourceType;

mod blank;

/// JavaScript as QuickJS takes it. JavaScript itself is only parsed, for its better messages.
pub(crate) fn to_javascript(path: &Path, text: &str) -> Result<String, String> {
    let typescript = super::is_typescript(path);
    let kind = if typescript { SourceType::ts() } else { SourceType::mjs() };
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, kind).parse();
    if let Some(error) = parsed.diagnostics.first() {
        let error = error.clone().with_source_code(text.to_owned());
        return Err(format!("{}: {error:?}", path.display()));
    }
    if !typescript {
        return Ok(text.to_owned());
    }
    blank::types(&parsed.program, text)
        .map_err(|error| format!("{}:{}: {}", path.display(), line(text, error.at), error.what))
}

fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
}
