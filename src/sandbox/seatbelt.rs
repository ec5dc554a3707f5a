//! The profile for macOS, as text; nothing has run it on such a machine yet.
//!
//! Seatbelt has no view of its own: like Landlock alone it leaves the tree at its own path. The last
//! rule that fits counts, so what is hidden comes after what is open, and the own folders last.

use std::{fmt::Write, path::Path};

/// What a profile is made from.
#[derive(Clone, Debug)]
pub struct Profile<'a> {
    /// Folders that may be written.
    pub write: &'a [&'a Path],
    /// Folders and files that may not be read.
    pub hide: &'a [&'a Path],
    /// The port of the proxy on the loopback; none closes the network.
    pub proxy: Option<u16>,
}

impl Profile<'_> {
    /// Returns the text for `sandbox-exec -p`.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "(version 1)\n(deny default)\n(allow process-fork)\n(allow process-exec)\n\
             (allow signal (target same-sandbox))\n(allow sysctl-read)\n(allow file-read*)\n\
             (allow file-write* (literal \"/dev/null\") (literal \"/dev/zero\") (literal \"/dev/tty\"))\n",
        );
        for path in self.hide {
            line(&mut text, "deny file-read* file-write*", path);
        }
        for path in self.write {
            line(&mut text, "allow file-read* file-write*", path);
        }
        if let Some(port) = self.proxy {
            let _ = writeln!(text, "(allow network-outbound (remote ip \"localhost:{port}\"))");
        }
        text
    }
}

fn line(text: &mut String, rule: &str, path: &Path) {
    let quoted = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let _ = writeln!(text, "({rule} (subpath \"{quoted}\"))");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_denied_but_reading_and_the_own_folders() {
        let (tree, home) = (Path::new("/Users/u/state/t\"ree"), Path::new("/Users/u/state/home"));
        let profile =
            Profile { write: &[tree, home], hide: &[Path::new("/Users/u")], proxy: Some(4000) };
        insta::assert_snapshot!(profile.text(), @r#"
        (version 1)
        (deny default)
        (allow process-fork)
        (allow process-exec)
        (allow signal (target same-sandbox))
        (allow sysctl-read)
        (allow file-read*)
        (allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty"))
        (deny file-read* file-write* (subpath "/Users/u"))
        (allow file-read* file-write* (subpath "/Users/u/state/t\"ree"))
        (allow file-read* file-write* (subpath "/Users/u/state/home"))
        (allow network-outbound (remote ip "localhost:4000"))
        "#);
        assert!(!Profile { proxy: None, ..profile }.text().contains("network"));
    }
}
