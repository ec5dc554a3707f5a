//! What a change to a journal or its signatures does to their proof, byte by byte and as a whole.

use std::os::unix::fs::PermissionsExt;

use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::{
    journal::writer::Journal,
    protocol::{
        event::Level,
        report::RunEnd,
        usage::{Micros, Usage},
    },
};

fn note(n: usize) -> What {
    What::Note { level: Level::Info, text: format!("note {n}") }
}

fn end() -> What {
    let (usage, cost) = (Usage::default(), Micros(0));
    What::RunFinished { end: RunEnd::Interrupted, usage, cost, took_ms: 1 }
}

/// A signed journal of `notes` notes and an end, its folder, and the public key.
async fn signed(dir: &Path, notes: usize) -> (PathBuf, String) {
    let key = Key::make(&dir.join("key")).unwrap();
    let run_dir = dir.join("grafter/runs/r1");
    write(&run_dir, (notes, "r1"), Some(key.clone())).await;
    (run_dir, key.public())
}

async fn write(run_dir: &Path, (notes, run): (usize, &str), key: Option<Key>) {
    let (sink, _events) = unbounded_channel();
    let journal = Journal::create(run_dir, RunId::new(run), sink).unwrap();
    key.map(|key| journal.sign_with(key)).transpose().unwrap();
    for n in 0..notes {
        journal.append(None, None, note(n)).await.unwrap();
    }
    journal.append(None, None, end()).await.unwrap();
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_journal_is_proved_from_its_first_record_to_its_last() {
    let dir = tempfile::tempdir().unwrap();
    let (run_dir, public) = signed(dir.path(), 250).await;
    let proof = verify(&run_dir, &public).unwrap();
    assert_eq!(proof, Signed { checkpoints: 3, covered: 251, to_the_end: true });
    let mode = fs::metadata(run_dir.join(SIGNATURES)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A process that goes on signs on, and until then its records are not proved.
    let (sink, _events) = unbounded_channel();
    let (journal, _) = Journal::open(&run_dir, sink).unwrap();
    journal.sign_with(Key::open(&dir.path().join("key")).unwrap()).unwrap();
    journal.append(None, None, note(1)).await.unwrap();
    let proof = verify(&run_dir, &public).unwrap();
    assert_eq!(proof, Signed { checkpoints: 3, covered: 251, to_the_end: false });
    journal.append(None, None, end()).await.unwrap();
    journal.close().await.unwrap();
    let proof = verify(&run_dir, &public).unwrap();
    assert_eq!(proof, Signed { checkpoints: 4, covered: 253, to_the_end: true });
}

#[tokio::test]
async fn each_flipped_byte_of_journal_and_signatures_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (run_dir, public) = signed(dir.path(), 3).await;
    for file in [FILE, SIGNATURES] {
        let path = run_dir.join(file);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            let proof = verify(&run_dir, &public);
            let proved = matches!(&proof, Ok(Signed { to_the_end: true, .. }));
            assert!(!proved, "{file} {at}: {proof:?}");
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(verify(&run_dir, &public).unwrap().to_the_end);
}

#[tokio::test]
async fn a_chain_that_was_made_anew_or_cut_off_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (run_dir, public) = signed(dir.path(), 250).await;
    let (journal, signatures) = (run_dir.join(FILE), run_dir.join(SIGNATURES));
    let [records, proofs] = [&journal, &signatures].map(|path| fs::read_to_string(path).unwrap());
    let head = |text: &str, n: usize| text.split_inclusive('\n').take(n).collect::<String>();
    // Cut off, with its signatures left: what was signed is gone.
    fs::write(&journal, head(&records, 240)).unwrap();
    assert!(matches!(verify(&run_dir, &public), Err(SignError::CutOff(250))));
    // Cut off with its signatures: the end is not there any more, and that is said.
    fs::write(&signatures, head(&proofs, 2)).unwrap();
    let proof = verify(&run_dir, &public).unwrap();
    assert_eq!(proof, Signed { checkpoints: 2, covered: 200, to_the_end: false });
    fs::write(&signatures, &proofs).unwrap();
    // Another sound chain of the same length in its place.
    let other = dir.path().join("grafter/runs/r2");
    write(&other, (250, "r1"), None).await;
    assert!(matches!(verify(&other, &public), Err(SignError::Unsigned)));
    fs::copy(other.join(FILE), &journal).unwrap();
    assert!(matches!(verify(&run_dir, &public), Err(SignError::Rewritten(99))));
    // Signed anew as well, with a key of somebody else.
    let theirs = Key::make(&dir.path().join("theirs")).unwrap();
    let forged = dir.path().join("grafter/runs/r3");
    write(&forged, (250, "r1"), Some(theirs.clone())).await;
    assert!(verify(&forged, &theirs.public()).unwrap().to_the_end);
    assert!(matches!(verify(&forged, &public), Err(SignError::OtherKey { seq: 99, .. })));
    let lie = fs::read_to_string(forged.join(SIGNATURES)).unwrap();
    fs::write(forged.join(SIGNATURES), lie.replace(&theirs.public(), &public)).unwrap();
    assert!(matches!(verify(&forged, &public), Err(SignError::Forged(99))));
    // The signatures of another run with the same key.
    fs::write(&journal, &records).unwrap();
    fs::write(&signatures, proofs.replace("\"r1\"", "\"r9\"")).unwrap();
    assert!(matches!(verify(&run_dir, &public), Err(SignError::Malformed(1))));
    fs::write(&signatures, "").unwrap();
    assert!(matches!(verify(&run_dir, &public), Err(SignError::Unsigned)));
}

#[tokio::test]
async fn two_lines_in_each_others_place_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (run_dir, public) = signed(dir.path(), 120).await;
    let path = run_dir.join(FILE);
    let whole = fs::read_to_string(&path).unwrap();
    for at in [0, 50, 119] {
        let mut lines: Vec<&str> = whole.split_inclusive('\n').collect();
        lines.swap(at, at + 1);
        fs::write(&path, lines.concat()).unwrap();
        assert!(matches!(verify(&run_dir, &public), Err(SignError::Read(_))), "{at}");
    }
}

#[test]
fn a_key_is_the_users_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/journal.key");
    assert!(matches!(Key::open(&path), Err(KeyError::None(_))));
    let key = Key::make(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Key::open(&path).unwrap().public(), key.public());
    assert_eq!(format!("{key:?}"), format!("Key({})", key.public()));
    assert!(Key::make(&path).is_err(), "a key is never written over");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Key::open(&path), Err(KeyError::Open(_))));
    for odd in ["", "zz", &"a".repeat(63), &"é".repeat(32)] {
        fs::write(&path, odd).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Key::open(&path), Err(KeyError::Malformed(_))), "{odd}");
    }
}
