//! What programs do with their arguments: which operands they read, write or take away, and which
//! options name a file to write, or a text that is none.

/// What the operands of a program are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operands {
    /// Text.
    Text,
    /// Files to read, after this many other operands.
    Read(usize),
    /// Files to write, after this many other operands.
    Write(usize),
    /// Files to take away.
    Delete,
    /// Files to read and one to write.
    Copy,
    /// Files to take away and one to write.
    Move,
    /// A target and a link to make.
    Link,
}

/// The programs whose operands are known.
pub(super) const PROGRAMS: [(&[&str], Operands); 9] = [
    (
        &["echo", "printf", "expr", "seq", "sleep", "true", "false", "export", "kill", "let"],
        Operands::Text,
    ),
    (
        &[
            "cat",
            "head",
            "tail",
            "less",
            "more",
            "wc",
            "ls",
            "stat",
            "file",
            "diff",
            "cmp",
            "sort",
            "uniq",
            "cut",
            "od",
            "xxd",
            "hexdump",
            "strings",
            "nl",
            "tac",
            "rev",
            "md5sum",
            "sha1sum",
            "sha256sum",
            "sha512sum",
            "b2sum",
            "cksum",
            "du",
            "tree",
            "readlink",
            "realpath",
            "cd",
            "pushd",
            "bat",
            "comm",
            "join",
            "paste",
            "column",
            "fold",
            "zcat",
            "source",
            ".",
            "base64",
            "cpio",
            "split",
            "dir",
            "exa",
            "eza",
            "namei",
            "lsattr",
        ],
        Operands::Read(0),
    ),
    (
        &["grep", "egrep", "fgrep", "rg", "ag", "ack", "sed", "awk", "gawk", "mawk", "jq", "yq"],
        Operands::Read(1),
    ),
    (
        &["touch", "mkdir", "truncate", "tee", "sponge", "mkfifo", "mknod", "setfattr"],
        Operands::Write(0),
    ),
    (&["chmod", "chown", "chgrp", "setfacl", "chattr"], Operands::Write(1)),
    (&["rm", "rmdir", "unlink", "shred", "trash"], Operands::Delete),
    (&["cp", "install", "rsync"], Operands::Copy),
    (&["mv", "rename"], Operands::Move),
    (&["ln", "link", "symlink"], Operands::Link),
];

/// Options whose value is a file to write, by program.
pub(super) const OUTPUTS: [(&[&str], &[&str]); 8] = [
    (
        &[
            "cc", "gcc", "g++", "clang", "clang++", "c++", "ld", "as", "rustc", "go", "sort",
            "pandoc", "tsc", "protoc", "curl", "objcopy", "esbuild", "dot", "shc",
        ],
        &["-o", "--output", "--out-file", "--outfile"],
    ),
    (&["wget"], &["-O", "--output-document", "-o", "-P", "--directory-prefix"]),
    (&["unzip"], &["-d"]),
    (&["cp", "mv", "ln", "install"], &["-t", "--target-directory"]),
    (&["git"], &["--output", "-o", "--output-directory"]),
    (&["time"], &["-o", "--output"]),
    (&["strace", "ltrace"], &["-o", "--output"]),
    (&["patch"], &["-o", "-d", "--directory", "--output"]),
];

/// Options whose value is text, whatever it looks like.
pub(super) const TEXTS: [&str; 16] = [
    "-m",
    "--message",
    "-e",
    "--regexp",
    "--grep",
    "--author",
    "--format",
    "--pretty",
    "--exclude",
    "--include",
    "--glob",
    "-g",
    "--filter",
    "-name",
    "-path",
    "--title",
];
