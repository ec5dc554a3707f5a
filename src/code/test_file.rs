//! Which files hold tests, by the conventions of the languages.

/// Returns whether a file is one of tests, by its name and the folders it lies in.
pub fn is_test_file(path: &str) -> bool {
    let mut parts = path.split('/').rev();
    let file = parts.next().unwrap_or("");
    let folders = ["tests", "test", "spec", "specs", "__tests__", "testdata", "fixtures"];
    if parts.any(|folder| folders.contains(&folder)) {
        return true;
    }
    let stem = file.split('.').next().unwrap_or("");
    let middle = [".test.", ".spec."];
    let is_python = file.ends_with(".py") && stem.starts_with("test_");
    is_python
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || stem.ends_with("_spec")
        || ["tests", "test", "conftest"].contains(&stem)
        || middle.iter().any(|mark| file.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::is_test_file;

    #[test]
    fn tests_are_told_by_name_or_folder() {
        for path in [
            "tests/a.py",
            "a/test_b.py",
            "conftest.py",
            "src/a_test.go",
            "src/a.test.ts",
            "src/tests.rs",
            "__tests__/a.js",
            "spec/a_spec.rb",
        ] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["src/a.py", "contest.py", "attest/a.rs", "latest.js", "testing.md"] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
