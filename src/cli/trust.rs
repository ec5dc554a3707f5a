//! `grafter trust`: the user's word that a repository's own settings may take effect.

use std::process::ExitCode;

use clap::Args;

use crate::{
    cli::{
        context::{Context, SECTIONS},
        exit::{Failure, Kind, OrFail},
        settings::RunSettings,
    },
    provider::known,
    settings::{
        load::{Settings, Sources},
        trust::{content_hash, revoke, set_trusted},
    },
};

/// Arguments of `trust`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  git log -p .grafter && grafter trust\n  grafter trust --revoke"
)]
pub(super) struct TrustArgs {
    /// Take the trust back.
    #[arg(long)]
    pub(super) revoke: bool,
}

/// Trusts the `.grafter` folder as it is now; any change to it needs a new word.
pub(super) fn trust(context: &Context, args: &TrustArgs) -> Result<ExitCode, Failure> {
    let (state, key) = (&context.setup.paths.state, context.repo.key());
    if args.revoke {
        revoke(state, &key).or_fail(Kind::Infrastructure)?;
        say!("this repository's .grafter folder has no effect any more")?;
        return Ok(ExitCode::SUCCESS);
    }
    let own = context.repo.checkout().join(".grafter");
    let Some(hash) = content_hash(&own).or_fail(Kind::Usage)? else {
        let failure = Failure::usage("this repository has no .grafter folder to trust");
        return Err(failure.hint("`grafter init` writes one to start from"));
    };
    // What a repository may never set is told now and not at the next run.
    let sources = Sources { repo: Some(own.join("config.toml")), ..Sources::default() };
    let settings = Settings::load(sources).or_fail(Kind::Usage)?;
    settings.refuse_unknown(&SECTIONS).or_fail(Kind::Usage)?;
    settings.section::<RunSettings>().or_fail(Kind::Usage)?;
    settings.section::<known::Options>().or_fail(Kind::Usage)?;
    set_trusted(state, &key, &hash).or_fail(Kind::Infrastructure)?;
    say!("trusted as it is now ({}); a change to it needs `grafter trust` again", &hash[..12])?;
    Ok(ExitCode::SUCCESS)
}
