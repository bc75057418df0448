//! Rules about the documentation: links lead somewhere, and every error code has its page.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, Finding};

/// Where the codes are declared.
const CODES: &str = "crates/model/src/code.rs";
/// What each page of a code must have.
const SECTIONS: &[&str] = &["## Meaning", "## Causes", "## Fix"];

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let anchors: BTreeMap<&str, BTreeSet<String>> = files
        .iter()
        .filter(|file| file.is_markdown())
        .map(|file| (file.path.as_str(), headings(&file.text)))
        .collect();
    for file in files.iter().filter(|file| file.is_markdown() && is_document(&file.path)) {
        for (number, target) in links(&file.text) {
            if let Some(message) = broken(&file.path, &target, &paths, &anchors) {
                findings.push(Finding::new(file, number, message));
            }
        }
    }
    codes(files, &mut findings);
    findings
}

/// Templates hold placeholders; everything else is a document of ours.
fn is_document(path: &str) -> bool {
    !path.starts_with("templates/")
}

/// The targets of inline links, with their lines; code blocks and code spans are left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for after in prose.split("](").skip(1) {
            if let Some((target, _)) = after.split_once(')') {
                found.push((number, target.trim().to_owned()));
            }
        }
    }
    found
}

fn headings(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// The anchor of a heading as forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn broken(
    from: &str,
    target: &str,
    paths: &BTreeSet<&str>,
    anchors: &BTreeMap<&str, BTreeSet<String>>,
) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let resolved = if path.is_empty() { from.to_owned() } else { resolve(from, path) };
    let folder = format!("{}/", resolved.trim_end_matches('/'));
    let exists = paths.contains(resolved.as_str())
        || paths.iter().any(|at| at.starts_with(&folder))
        || ["LICENSE", "deny.toml", ".ci/run"].contains(&resolved.as_str());
    if !exists {
        return Some(format!("the link to '{target}' leads nowhere"));
    }
    let known = anchors.get(resolved.as_str());
    let good = fragment.is_empty() || known.is_none_or(|known| known.contains(fragment));
    (!good).then(|| format!("'{resolved}' has no heading '#{fragment}'"))
}

/// `path` as seen from the file `from`.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Codes and pages match one to one, and each page says what it must.
fn codes(files: &[File], findings: &mut Vec<Finding>) {
    let Some(source) = files.iter().find(|file| file.path == CODES) else { return };
    let declared: BTreeMap<String, String> = source.text.lines().filter_map(declaration).collect();
    for (code, title) in &declared {
        let path = format!("docs/errors/{code}.md");
        let Some(page) = files.iter().find(|file| file.path == path) else {
            findings.push(Finding::new(source, 0, format!("{code} has no page: write {path}")));
            continue;
        };
        let heading = format!("# {code}: {title}");
        if page.text.lines().next() != Some(&heading) {
            findings.push(Finding::new(page, 1, format!("it must begin with '{heading}'")));
        }
        for section in SECTIONS {
            if !page.text.lines().any(|line| line == *section) {
                findings.push(Finding::new(page, 0, format!("it needs the section '{section}'")));
            }
        }
    }
    for file in files.iter().filter(|file| file.path.starts_with("docs/errors/NX")) {
        let code = file.path.trim_start_matches("docs/errors/").trim_end_matches(".md");
        if !declared.contains_key(code) {
            findings.push(Finding::new(file, 0, format!("{code} is no code of {CODES}")));
        }
    }
}

/// `Name = "NX1234", 400, "title";` as code and title.
fn declaration(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once("= \"NX")?;
    let (number, rest) = rest.split_once('"')?;
    let title = rest.split('"').nth(1)?;
    Some((format!("NX{number}"), title.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File { path: (*path).into(), text: (*text).into() })
            .collect();
        check(&files).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn links_must_lead_somewhere() {
        let other = ("docs/b.md", "# The b's Title\n");
        let good =
            "[b](b.md#the-bs-title) [up](../docs/b.md) [web](https://example.org) `[x](y)`\n";
        assert_eq!(messages(&[("docs/a.md", good), other]), Vec::<String>::new());
        assert_eq!(messages(&[("docs/a.md", "[b](c.md)")]).len(), 1);
        assert_eq!(messages(&[("docs/a.md", "[b](b.md#nothing)"), other]).len(), 1);
        assert_eq!(messages(&[("docs/a.md", "```\n[b](c.md)\n```\n")]).len(), 0);
    }

    #[test]
    fn codes_and_pages_match() {
        let codes = (CODES, "    BadRequest = \"NX1001\", 400, \"it is bad\";\n");
        let page = "# NX1001: it is bad\n## Meaning\n## Causes\n## Fix\n";
        assert_eq!(messages(&[codes, ("docs/errors/NX1001.md", page)]), Vec::<String>::new());
        assert_eq!(messages(&[codes]).len(), 1);
        assert_eq!(messages(&[codes, ("docs/errors/NX1001.md", "# NX1001\n")]).len(), 4);
        assert_eq!(messages(&[(CODES, ""), ("docs/errors/NX1001.md", page)]).len(), 1);
    }
}
