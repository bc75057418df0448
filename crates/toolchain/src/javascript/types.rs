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
        let at = error.labels.first().map(|label| label.span().start as usize);
        let help = error.help.as_ref().map(|help| format!("\n  {help}")).unwrap_or_default();
        return Err(format!("{}{}{help}", place(path, text, at), error.message));
    }
    if !typescript {
        return Ok(text.to_owned());
    }
    blank::types(&parsed.program, text)
        .map_err(|error| format!("{}:{}: {}", path.display(), line(text, error.at), error.what))
}

/// Where something is wrong: `file:line:column: `.
fn place(path: &Path, text: &str, at: Option<usize>) -> String {
    let Some(at) = at else { return format!("{}: ", path.display()) };
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
    format!("{}:{}:{column}: ", path.display(), line(text, at))
}

fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
}
