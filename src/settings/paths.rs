//! Where grafter keeps what belongs to the user, by the XDG rules on every system.

use std::{ffi::OsString, path::PathBuf};

/// The user's folders; none of them is made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// User configuration, workflows and prompts: `$XDG_CONFIG_HOME/grafter`.
    pub config: PathBuf,
    /// Trees and trust: `$XDG_STATE_HOME/grafter`.
    pub state: PathBuf,
    /// Sockets of live runs: `$XDG_RUNTIME_DIR/grafter`, else `run` in the state folder.
    pub runtime: PathBuf,
    /// The user's home.
    pub home: PathBuf,
}

/// Why the folders are not known.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// There is no home.
    #[error("the home folder is not known; set HOME")]
    NoHome,
}

impl Paths {
    /// Returns the folders for this process's environment.
    pub fn from_env() -> Result<Self, PathsError> {
        let home = etcetera::home_dir().map_err(|_| PathsError::NoHome)?;
        Ok(Self::new(home, &|name| std::env::var_os(name)))
    }

    /// Returns the folders for a home and a way to look variables up; a relative path in a
    /// variable is ignored, as the XDG rules ask.
    pub fn new(home: PathBuf, var: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let base = |name| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = base("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let state = base("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state"));
        let state = state.join("grafter");
        let runtime = base("XDG_RUNTIME_DIR").map(|path| path.join("grafter"));
        let runtime = runtime.unwrap_or_else(|| state.join("run"));
        Self { config: config.join("grafter"), state, runtime, home }
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, path::Path};

    use crate::settings::paths::Paths;

    #[test]
    fn defaults_lie_in_the_home() {
        let paths = Paths::new("/h".into(), &|_| None);
        assert_eq!(paths.config, Path::new("/h/.config/grafter"));
        assert_eq!(paths.state, Path::new("/h/.local/state/grafter"));
        assert_eq!(paths.runtime, Path::new("/h/.local/state/grafter/run"));
    }

    #[test]
    fn absolute_variables_count_and_relative_ones_do_not() {
        let paths = Paths::new("/h".into(), &|name| match name {
            "XDG_RUNTIME_DIR" => Some(OsString::from("/run/user/7")),
            "XDG_STATE_HOME" => Some(OsString::from("here")),
            _ => None,
        });
        assert_eq!(paths.runtime, Path::new("/run/user/7/grafter"));
        assert_eq!(paths.state, Path::new("/h/.local/state/grafter"));
    }
}
