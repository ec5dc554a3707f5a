//! Each format on its examples, on look-alikes, and on this package's own files.

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::guard::sanitise::clean::clean;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    stop: Vec<String>,
    pass: Vec<String>,
}

fn examples() -> BTreeMap<String, Examples> {
    yaml::from_str("examples.yaml", include_str!("examples.yaml")).expect("examples")
}

fn whole(example: &str) -> String {
    example.replace('|', "")
}

fn plain(text: &str) -> String {
    Known::default().redact(text.to_owned())
}

fn pem(kind: &str) -> String {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    format!("-----BEGIN {kind}-----\n{line}\n{line}\nabc=\n-----END {kind}-----")
}

#[test]
fn each_format_is_redacted_and_its_look_alikes_are_not() {
    let examples = examples();
    let ids: Vec<_> = RULES.iter().map(|rule| rule.row.id.as_str()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    assert_eq!(examples.len(), ids.len());
    for id in ids {
        for secret in &examples[id].stop {
            let text = format!("a {} b", whole(secret));
            let said = plain(&text);
            assert!(said.contains(&format!("⟦secret:{id}:")), "{id}: {text} -> {said}");
            let behind = secret.rsplit_once('|').expect("cut in two").1;
            assert!(!said.contains(&behind[..behind.len() - 2]), "{id}: {said}");
        }
        for text in &examples[id].pass {
            assert_eq!(&plain(text), text, "{id}");
        }
    }
}

#[test]
fn hashes_checksums_and_pictures_stay() {
    for text in [
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "checksum = \"9807af0e638c12e753aa1b4e601791bf2a8f71274023c8bbeec12fc149950857\"",
        "\"integrity\": \"sha512-Zt7Qb0Ihv2M9wYVdV3vT8n0g6g5m3p2J4rWmU2m1Yk0b9fQ8r7s6t5u4v3w2x1y0zA==\"",
        "id: 550e8400-e29b-41d4-a716-446655440000",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo",
        "the line `-----BEGIN PRIVATE KEY-----` begins a key; see the manual",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ2c3Rlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVz me@host",
    ] {
        assert_eq!(plain(text), text);
    }
}

#[test]
fn private_keys_go_as_a_whole() {
    for kind in ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let said = plain(&format!("before\n{}\nafter", pem(kind)));
        assert!(said.starts_with("before\n⟦secret:private-key:"), "{said}");
        assert!(said.ends_with("⟧\nafter"), "{said}");
    }
    // As `read` shows it, in a string of a program, and with its end cut off.
    let numbered: String =
        pem("PRIVATE KEY").lines().enumerate().map(|(n, l)| format!("{n}\t{l}\n")).collect();
    let quoted = format!("key = \"{}\"", pem("PRIVATE KEY").replace('\n', "\\n"));
    let torn = pem("PRIVATE KEY").replace("-----END PRIVATE KEY-----", "");
    for text in [numbered, quoted, torn] {
        let said = plain(&text);
        assert!(said.contains("⟦secret:private-key:") && !said.contains("MIIE"), "{said}");
    }
}

#[test]
fn a_secret_split_over_two_lines_is_redacted() {
    let secret = whole(&examples()["github"].stop[0]);
    for cut in [2, 4, 12, 30, secret.len() - 1] {
        let (a, b) = secret.split_at(cut);
        for text in [
            format!("key {a}\n{b} end"),
            format!("7\tkey = \"{a}\\\n8\t    {b}\"\n"),
            format!("{a}\n{b}"),
        ] {
            let said = plain(&text);
            assert!(said.contains("⟦secret:github:"), "{text} -> {said}");
            assert!(a.len() < 5 || !said.contains(a), "{said}");
            assert!(b.len() < 5 || !said.contains(b), "{said}");
            assert_eq!(said.split('\n').count(), text.split('\n').count());
            assert_eq!(plain(&said), said);
        }
    }
}

#[test]
fn secrets_of_the_environment_are_redacted_wherever_they_stand() {
    let pairs = [
        ("MY_API_KEY", "k3y-with.odd+chars"),
        ("DB_PASSWORD", "postgres"),
        ("SECRET_FILE", "/etc/secret1"),
        ("TOKEN", "s3cretvalue"),
        ("HOME", "/home/me12345678"),
        ("AWS_ACCESS_KEY_ID", "notsecret123"),
        ("KEYBOARD", "us-intl-2024"),
    ];
    let known = Known::of(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let text = "xk3y-with.odd+charsx postgres /etc/secret1 s3cretvalue notsecret123 us-intl-2024";
    let said = clean(text, &known);
    assert_eq!(said.matches("⟦secret:environment:").count(), 2, "{said}");
    assert!(said.contains("postgres /etc/secret1") && said.contains("notsecret123 us-intl-2024"));
    assert_eq!(clean(&said, &known), said);
}

#[test]
fn utf_16_output_hides_nothing() {
    let secret = whole(&examples()["github"].stop[0]);
    let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let said = clean(&String::from_utf8_lossy(&wide), &Known::default());
    assert!(said.starts_with("⟦secret:github:"), "{said}");
    // Nor does a character that nobody sees, or a colour, in the middle.
    let (a, b) = secret.split_at(9);
    let said = clean(&format!("{a}\x1b[0m{b}"), &Known::default());
    assert!(said.starts_with("⟦secret:github:"), "{said}");
}

#[test]
fn nothing_in_this_package_is_taken_for_a_secret() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> =
        ["src", "tests", "prompts", "workflows", "examples"].map(|name| root.join(name)).into();
    let mut files: Vec<_> =
        ["Cargo.lock", "Cargo.toml", "README.md", "SECURITY.md"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let is_folder = entry.file_type().expect("a kind").is_dir();
            if is_folder { &mut folders } else { &mut files }.push(entry.path());
        }
    }
    assert!(files.len() > 300, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let marks = |text: &str| text.matches("⟦secret:").count();
        let said = plain(&text);
        if marks(&said) > marks(&text) {
            let lines = text.lines().zip(said.lines()).filter(|(was, is)| was != is);
            wrong.extend(lines.take(5).map(|(was, _)| format!("{}: {was}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn megabytes_of_escape_sequences_come_to_nothing() {
    // Quadratic work on this would take hours.
    let text = "\x1b]52".repeat(1 << 20);
    assert_eq!(clean(&text, &Known::default()), "");
    let broken =
        "-----BEGIN PRIVATE KEY-----\n".repeat(20_000) + &"ghp_eyJ.eyJtoken=".repeat(20_000);
    assert_eq!(clean(&broken, &Known::default()), broken);
}

fn pieces() -> impl Strategy<Value = String> {
    let mut pieces: Vec<String> = examples()
        .into_values()
        .flat_map(|row| row.stop.into_iter().chain(row.pass))
        .flat_map(|text| {
            let whole = whole(&text);
            let half = whole.len() / 2;
            [whole[..half].to_owned(), whole[half..].to_owned(), whole]
        })
        .collect();
    pieces.extend(
        ["\n", " ", "_", "-", "=", "\"", "token=", "\u{200b}", "\x1b[1m", "\r", "\u{8}"]
            .map(str::to_owned),
    );
    pieces.extend([pem("PRIVATE KEY"), "s3cretvalue".to_owned(), "⟦secret:jwt:0000⟧".to_owned()]);
    let many = proptest::collection::vec(proptest::sample::select(pieces), 0..8);
    many.prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cleaning_twice_is_cleaning_once(text in pieces()) {
        let known = Known::of([("A_TOKEN".to_owned(), "s3cretvalue".to_owned())]);
        let once = clean(&text, &known);
        prop_assert_eq!(clean(&once, &known), once.clone(), "{:?}", text);
    }
}
