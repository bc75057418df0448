pub(crate) struct Unsupported{pub(crate) at: usize, pub(crate) what: String} pub(crate) fn types(_: &oxc_ast::ast::Program<'_>, _: &str) -> Result<String, Unsupported> { Ok(String::new()) }
