//! `grafter init`: a commented configuration to start from.

use std::{fs, io::Write, process::ExitCode};

use crate::{
    cli::{
        context::Context,
        exit::{Failure, Kind, OrFail},
    },
    verify::detect,
};

const TEXT: &str = include_str!("init.toml");

/// Writes `.grafter/config.toml`, never over an existing one.
pub(super) fn init(context: &Context) -> Result<ExitCode, Failure> {
    let dir = context.repo.checkout().join(".grafter");
    let file = dir.join("config.toml");
    fs::create_dir_all(&dir).or_fail(Kind::Infrastructure)?;
    let mut out = match fs::File::create_new(&file) {
        Ok(out) => out,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = format!("{} is there already and stays as it is", file.display());
            return Err(Failure::usage(text));
        }
        Err(error) => return Err(Failure::new(Kind::Infrastructure, error)),
    };
    let checks = detect::detect(context.repo.checkout());
    let commands: Vec<String> = checks.iter().map(|check| format!("{:?}", check.command)).collect();
    let text = TEXT.replace("@VERIFY@", &commands.join(", "));
    out.write_all(text.as_bytes()).or_fail(Kind::Infrastructure)?;
    say!("wrote {}\nlook at it, then run `grafter trust`", file.display());
    Ok(ExitCode::SUCCESS)
}
