//! Outcomes that any later run may use again, by the key of everything they depend on.
//!
//! A file is one line `grafter-result 1 <blake3 of the rest>` and the value's JSON. One that is
//! damaged counts as absent and is removed: a result can always be made again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{journal::folder, protocol::ids::Key};

/// The first line of a result file, before the hash.
const HEAD: &str = "grafter-result 1 ";

/// The folder of results.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Key {
    /// Returns the key of named parts, each of them with its length, so that no two lists of parts
    /// run together into the same bytes.
    pub fn of(parts: &[(&str, &[u8])]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for (name, value) in parts {
            for bytes in [name.as_bytes(), value] {
                hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
            }
        }
        Self::new(hasher.finalize().to_hex().as_str())
    }
}

impl Store {
    /// Returns the results of a state folder; the folder is made with the first result.
    pub fn open(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("results") }
    }

    /// Returns the stored value; nothing if there is none or it is damaged.
    pub fn get(&self, key: &Key) -> Option<Value> {
        let path = self.dir.join(name(key)?);
        let bytes = fs::read(&path).ok()?;
        let value = unpack(&bytes);
        if value.is_none() {
            tracing::warn!(path = %path.display(), "a damaged result is removed");
            folder::remove(&path).ok();
        }
        value
    }

    /// Stores a value in place of an older one.
    pub fn put(&self, key: &Key, value: &Value) -> io::Result<()> {
        let name = name(key).ok_or(io::ErrorKind::InvalidInput)?;
        let json = serde_json::to_vec(value)?;
        let head = format!("{HEAD}{}\n", blake3::hash(&json).to_hex());
        folder::make(&self.dir)?;
        folder::put(&self.dir, name, &[head.as_bytes(), &json]).map(drop)
    }
}

/// Returns the file name of a key; nothing for a key that `Key::of` did not make.
fn name(key: &Key) -> Option<&str> {
    let text = key.as_str();
    (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

fn unpack(bytes: &[u8]) -> Option<Value> {
    let line = bytes.iter().position(|&byte| byte == b'\n')?;
    let (head, json) = (&bytes[..line], &bytes[line + 1..]);
    let hash = head.strip_prefix(HEAD.as_bytes())?;
    if blake3::hash(json).to_hex().as_bytes() != hash {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_comes_back_and_a_newer_one_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        let key = Key::of(&[("node", b"a")]);
        assert_eq!(store.get(&key), None);
        store.put(&key, &json!({"n": 1})).unwrap();
        store.put(&key, &json!({"n": 2})).unwrap();
        assert_eq!(store.get(&key), Some(json!({"n": 2})));
        assert_eq!(fs::read_dir(dir.path().join("results")).unwrap().count(), 1);
    }

    #[test]
    fn any_flipped_or_missing_byte_makes_it_absent_and_removes_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        let key = Key::of(&[]);
        store.put(&key, &json!(["value", 1.5])).unwrap();
        let path = dir.path().join("results").join(key.as_str());
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            for bytes in [&bad[..], &good[..at]] {
                fs::write(&path, bytes).unwrap();
                assert_eq!(store.get(&key), None, "byte {at}");
                assert!(!path.exists());
            }
        }
    }

    #[test]
    fn parts_do_not_run_together_and_only_real_keys_name_files() {
        let keys = [
            Key::of(&[("a", b"bc")]),
            Key::of(&[("ab", b"c")]),
            Key::of(&[("a", b"b"), ("", b"c")]),
            Key::of(&[("a", b"b"), ("c", b"")]),
            Key::of(&[]),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key));
        }
        let store = Store::open(Path::new("/nonexistent"));
        assert!(store.put(&Key::new("../../etc/passwd"), &json!(1)).is_err());
        assert_eq!(store.get(&Key::new("../../etc/passwd")), None);
    }
}
