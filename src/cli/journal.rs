//! `grafter journal`: what speaks for the record of a run, and the key that signs it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    cli::{
        args::VerifyArgs,
        context::{Context, Setup},
        exit::{Failure, Kind},
        history,
    },
    journal::{
        read,
        sign::{self, Key, KeyError, SignError},
    },
    settings::paths::Paths,
};

/// Returns where the user's signing key is kept; no agent sees that folder.
pub(super) fn key_file(paths: &Paths) -> PathBuf {
    paths.config.join("journal.key")
}

/// Returns the user's signing key.
pub(super) fn key(path: &Path) -> Result<Key, Failure> {
    Key::open(path).map_err(key_failure)
}

fn key_failure(error: KeyError) -> Failure {
    let hint = error.hint();
    Failure::new(Kind::Usage, error).hint(hint)
}

/// Prints the public key of the user's signing key, which is made if there is none.
pub(super) fn show_key(setup: &Setup) -> Result<ExitCode, Failure> {
    let path = key_file(&setup.paths);
    let key = match Key::open(&path) {
        Err(KeyError::None(_)) => Key::make(&path),
        opened => opened,
    };
    say!("{}", key.map_err(key_failure)?.public())?;
    Ok(ExitCode::SUCCESS)
}

/// Checks the chain of a journal, and its signatures if it has some or the user names a key.
pub(super) fn verify(context: &Context, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let found = history::find(context, &args.run)?;
    let verified = read::verify(&found.path).map_err(|error| history::unreadable(&found, error))?;
    say!("run {}: {} records, the chain holds", found.id, verified.records)?;
    if verified.torn > 0 {
        say!("the last {} bytes are a torn line, which a resume drops", verified.torn)?;
    }
    if args.key.is_none() && !sign::is_signed(&found.path) {
        return say!("it is not signed").map(|()| ExitCode::SUCCESS);
    }
    let public = match &args.key {
        Some(key) => key.clone(),
        None => own_key(context)?,
    };
    signatures(&found.path, &public, args.key.is_some())
}

fn own_key(context: &Context) -> Result<String, Failure> {
    key(&key_file(&context.setup.paths)).map(|key| key.public()).map_err(|failure| {
        failure.hint("it is signed; say with --key PUBLIC-KEY whose signature you expect")
    })
}

fn signatures(run_dir: &Path, public: &str, demanded: bool) -> Result<ExitCode, Failure> {
    let failure = |error: SignError| {
        let hint = error.hint();
        Failure::new(Kind::Infrastructure, error).hint(hint)
    };
    let signed = sign::verify(run_dir, public).map_err(failure)?;
    let covered = signed.covered;
    if signed.to_the_end {
        say!("signed by {public}, from the first record to the end of the run")?;
        return Ok(ExitCode::SUCCESS);
    }
    let words = format!(
        "signed by {public} up to record {}, and the run has no signed end: what came after that \
         record may be altered or missing",
        covered.saturating_sub(1)
    );
    if demanded {
        return Err(Failure::new(Kind::Infrastructure, anyhow::anyhow!(words)));
    }
    say!("{words}").map(|()| ExitCode::SUCCESS)
}
