//! The format of `CHANGELOG.md`: Keep a Changelog 1.1.

use super::{File, Finding};

/// What changes are sorted into.
const SORTS: &[&str] = &["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(file) = files.iter().find(|file| file.path == "CHANGELOG.md") else {
        return vec![Finding {
            file: "CHANGELOG.md".into(),
            line: 0,
            message: "it is missing".into(),
        }];
    };
    if !file.text.starts_with("# Changelog\n") {
        findings.push(Finding::new(file, 1, "it must begin with '# Changelog'"));
    }
    let releases: Vec<&str> =
        file.text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    if releases.first() != Some(&"[Unreleased]") {
        findings.push(Finding::new(file, 0, "its first section must be '## [Unreleased]'"));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        if let Some(message) = wrong(line) {
            findings.push(Finding::new(file, number, message));
        }
    }
    findings
}

fn wrong(line: &str) -> Option<String> {
    if let Some(sort) = line.strip_prefix("### ") {
        let good = SORTS.contains(&sort);
        return (!good).then(|| format!("'{sort}' is none of {}", SORTS.join(", ")));
    }
    let release = line.strip_prefix("## ")?;
    let good = release == "[Unreleased]" || is_dated(release);
    (!good).then(|| format!("'{release}' must read '[1.2.3] - 2026-01-31' or '[Unreleased]'"))
}

/// Whether it reads `[1.2.3] - 2026-01-31`.
fn is_dated(release: &str) -> bool {
    let Some((version, date)) = release.split_once(" - ") else { return false };
    let Some(version) = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    let numbers = |text: &str, separator: char, count: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() == count && parts.iter().all(|part| part.parse::<u32>().is_ok())
    };
    numbers(version, '.', 3) && numbers(date, '-', 3) && date.len() == 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_checked() {
        let count =
            |text: &str| check(&[File { path: "CHANGELOG.md".into(), text: text.into() }]).len();
        assert_eq!(count("# Changelog\n\n## [Unreleased]\n\n### Added\n- a\n"), 0);
        assert_eq!(count("# Changelog\n\n## [Unreleased]\n## [0.1.0] - 2026-11-20\n"), 0);
        assert_eq!(count("# Changes\n\n## [Unreleased]\n"), 1);
        assert_eq!(count("# Changelog\n\n## [Unreleased]\n## 0.1.0\n### New\n"), 2);
        assert_eq!(check(&[]).len(), 1);
    }
}
