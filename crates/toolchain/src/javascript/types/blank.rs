//! Which parts of a TypeScript program are types.

use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};
use oxc_syntax::scope::ScopeFlags;

/// TypeScript that is more than types: it would need code that nobody wrote.
pub(crate) struct Unsupported {
    pub(crate) at: usize,
    pub(crate) what: String,
}

/// The program's text with its types blanked out.
pub(crate) fn types(program: &Program<'_>, text: &str) -> Result<String, Unsupported> {
    let mut blanker = Blanker { text, out: text.as_bytes().to_vec(), unsupported: None };
    blanker.visit_program(program);
    match blanker.unsupported {
        Some(unsupported) => Err(unsupported),
        // Only whole characters are replaced, by ASCII.
        None => Ok(String::from_utf8_lossy(&blanker.out).into_owned()),
    }
}

struct Blanker<'t> {
    text: &'t str,
    out: Vec<u8>,
    unsupported: Option<Unsupported>,
}

impl Blanker<'_> {
    fn range(&mut self, start: u32, end: u32) {
        for byte in &mut self.out[start as usize..end as usize] {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }

    fn span(&mut self, span: Span) {
        self.range(span.start, span.end);
    }

    /// Blanks a whole statement. The semicolon keeps the statement before from going on after it.
    fn statement(&mut self, span: Span) {
        self.span(span);
        self.out[span.start as usize] = b';';
    }

    fn refuse(&mut self, span: Span, what: &str) {
        let what = format!(
            "{what} is not supported: types are removed, not compiled (as with `erasableSyntaxOnly`)"
        );
        self.unsupported.get_or_insert(Unsupported { at: span.start as usize, what });
    }

    /// Blanks the words among `words` between `start` and `end`.
    fn words(&mut self, start: u32, end: u32, words: &[&str]) {
        let bytes = self.text.as_bytes();
        let (mut at, end) = (start as usize, end as usize);
        while at < end {
            if bytes[at].is_ascii_alphabetic() {
                let from = at;
                while at < end && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
                if words.contains(&&self.text[from..at]) {
                    self.range(from as u32, at as u32);
                }
            } else if bytes[at..].starts_with(b"/*") {
                at = self.text[at..].find("*/").map_or(end, |length| at + length + 2);
            } else if bytes[at..].starts_with(b"//") {
                at = self.text[at..].find('\n').map_or(end, |length| at + length);
            } else {
                at += 1;
            }
        }
    }

    /// Blanks the first `mark` at or after `start`, when only space stands before it.
    fn mark(&mut self, start: u32, mark: u8) {
        let bytes = self.text.as_bytes();
        let mut at = start as usize;
        while at < bytes.len() && (bytes[at].is_ascii_whitespace() || bytes[at] == b']') {
            at += 1;
        }
        if bytes.get(at) == Some(&mark) {
            self.out[at] = b' ';
        }
    }

    /// Blanks a list entry with the comma after it.
    fn entry(&mut self, span: Span) {
        self.span(span);
        let bytes = self.text.as_bytes();
        let mut at = span.end as usize;
        while at < bytes.len() && bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        if bytes.get(at) == Some(&b',') {
            self.out[at] = b' ';
        }
    }

    /// An arrow must stand on the line on which its parameters end.
    fn join_lines(&mut self, start: u32, end: u32) {
        for byte in &mut self.out[start as usize..end as usize] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

const MEMBER_WORDS: &[&str] =
    &["public", "private", "protected", "readonly", "override", "declare", "abstract"];

impl<'a> Visit<'a> for Blanker<'_> {
    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        // The span begins at the colon.
        self.span(it.span);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.span(it.span);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.span(it.span);
    }

    fn visit_ts_this_parameter(&mut self, it: &TSThisParameter<'a>) {
        self.entry(it.span);
    }

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.range(it.expression.span().end, it.span.end);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.range(it.expression.span().end, it.span.end);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.range(it.span.end - 1, it.span.end);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        self.range(it.span.start, it.expression.span().start);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_interface_declaration(&mut self, it: &TSInterfaceDeclaration<'a>) {
        self.statement(it.span);
    }

    fn visit_ts_type_alias_declaration(&mut self, it: &TSTypeAliasDeclaration<'a>) {
        self.statement(it.span);
    }

    fn visit_ts_enum_declaration(&mut self, it: &TSEnumDeclaration<'a>) {
        if it.declare {
            self.statement(it.span);
        } else {
            self.refuse(it.span, "`enum`");
        }
    }

    fn visit_ts_namespace_declaration(&mut self, it: &TSNamespaceDeclaration<'a>) {
        if it.declare {
            self.statement(it.span);
        } else {
            self.refuse(it.span, "`namespace`");
        }
    }

    fn visit_ts_external_module_declaration(&mut self, it: &TSExternalModuleDeclaration<'a>) {
        self.statement(it.span);
    }

    fn visit_ts_global_declaration(&mut self, it: &TSGlobalDeclaration<'a>) {
        self.statement(it.span);
    }

    fn visit_ts_import_equals_declaration(&mut self, it: &TSImportEqualsDeclaration<'a>) {
        if it.import_kind == ImportOrExportKind::Type {
            self.statement(it.span);
        } else {
            self.refuse(it.span, "`import … = …`");
        }
    }

    fn visit_ts_export_assignment(&mut self, it: &TSExportAssignment<'a>) {
        self.refuse(it.span, "`export = …`");
    }

    fn visit_ts_namespace_export_declaration(&mut self, it: &TSNamespaceExportDeclaration<'a>) {
        self.statement(it.span);
    }

    fn visit_ts_index_signature(&mut self, it: &TSIndexSignature<'a>) {
        self.statement(it.span);
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.refuse(it.span, "a decorator");
    }

    fn visit_import_declaration(&mut self, it: &ImportDeclaration<'a>) {
        if it.import_kind == ImportOrExportKind::Type {
            self.statement(it.span);
        } else {
            walk::walk_import_declaration(self, it);
        }
    }

    fn visit_import_specifier(&mut self, it: &ImportSpecifier<'a>) {
        if it.import_kind == ImportOrExportKind::Type {
            self.entry(it.span);
        }
    }

    fn visit_export_specifier(&mut self, it: &ExportSpecifier<'a>) {
        if it.export_kind == ImportOrExportKind::Type {
            self.entry(it.span);
        }
    }

    fn visit_export_all_declaration(&mut self, it: &ExportAllDeclaration<'a>) {
        if it.export_kind == ImportOrExportKind::Type {
            self.statement(it.span);
        }
    }

    fn visit_export_named_declaration(&mut self, it: &ExportNamedDeclaration<'a>) {
        if it.export_kind == ImportOrExportKind::Type {
            self.statement(it.span);
        } else {
            walk::walk_export_named_declaration(self, it);
        }
    }

    fn visit_export_declaration(&mut self, it: &ExportDeclaration<'a>) {
        let only_types = match &it.declaration {
            Declaration::TSInterfaceDeclaration(_) | Declaration::TSTypeAliasDeclaration(_) => true,
            Declaration::FunctionDeclaration(it) => it.body.is_none() || it.declare,
            Declaration::ClassDeclaration(it) => it.declare,
            Declaration::VariableDeclaration(it) => it.declare,
            Declaration::TSEnumDeclaration(it) => it.declare,
            Declaration::TSNamespaceDeclaration(it) => it.declare,
            _ => false,
        };
        if only_types {
            self.statement(it.span);
        } else {
            walk::walk_export_declaration(self, it);
        }
    }

    fn visit_export_from_declaration(&mut self, it: &ExportFromDeclaration<'a>) {
        if it.export_kind == ImportOrExportKind::Type {
            self.statement(it.span);
        } else {
            walk::walk_export_from_declaration(self, it);
        }
    }

    fn visit_export_default_declaration(&mut self, it: &ExportDefaultDeclaration<'a>) {
        let only_types = match &it.declaration {
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => true,
            ExportDefaultDeclarationKind::FunctionDeclaration(function) => function.body.is_none(),
            _ => false,
        };
        if only_types {
            self.statement(it.span);
        } else {
            walk::walk_export_default_declaration(self, it);
        }
    }

    fn visit_variable_declaration(&mut self, it: &VariableDeclaration<'a>) {
        if it.declare {
            self.statement(it.span);
        } else {
            walk::walk_variable_declaration(self, it);
        }
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite {
            self.mark(it.id.span().end, b'!');
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        if it.body.is_none() || it.declare {
            self.statement(it.span);
        } else {
            walk::walk_function(self, it, flags);
        }
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        walk::walk_arrow_function_expression(self, it);
        if let Some(parameters) = &it.type_parameters {
            self.join_lines(parameters.span.start, it.params.span.start);
        }
        if let Some(annotation) = &it.return_type {
            self.join_lines(annotation.span.start, it.body.span().start);
        }
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        if it.accessibility.is_some() || it.readonly || it.r#override {
            self.refuse(it.span, "a parameter that is also a property");
        }
        if it.optional {
            self.mark(it.pattern.span().end, b'?');
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        if it.declare {
            return self.statement(it.span);
        }
        let head = it.span.start;
        if it.r#abstract {
            let end = it.id.as_ref().map_or(it.body.span.start, |id| id.span.start);
            self.words(head, end, &["abstract"]);
        }
        if let (Some(first), Some(last)) = (it.implements.first(), it.implements.last()) {
            let before = self.text[..first.span.start as usize].rfind("implements");
            self.range(before.map_or(first.span.start, |at| at as u32), last.span.end);
        }
        walk::walk_class(self, it);
    }

    fn visit_ts_class_implements(&mut self, _: &TSClassImplements<'a>) {}

    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        let without_code =
            matches!(it.r#type, PropertyDefinitionType::TSAbstractPropertyDefinition);
        if it.declare || without_code {
            return self.statement(it.span);
        }
        self.words(it.span.start, it.key.span().start, MEMBER_WORDS);
        if it.optional {
            self.mark(it.key.span().end, b'?');
        }
        if it.definite {
            self.mark(it.key.span().end, b'!');
        }
        walk::walk_property_definition(self, it);
    }

    fn visit_method_definition(&mut self, it: &MethodDefinition<'a>) {
        if it.value.body.is_none() {
            return self.statement(it.span);
        }
        self.words(it.span.start, it.key.span().start, MEMBER_WORDS);
        if it.optional {
            self.mark(it.key.span().end, b'?');
        }
        walk::walk_method_definition(self, it);
    }

    fn visit_accessor_property(&mut self, it: &AccessorProperty<'a>) {
        self.refuse(it.span, "`accessor`");
    }
}
