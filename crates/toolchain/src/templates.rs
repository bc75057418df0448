pub(crate) const NAME: &str = "{{name}}";
pub(crate) fn files(_: crate::Language, _: crate::Template) -> Vec<(&'static str, &'static str)> { Vec::new() }
