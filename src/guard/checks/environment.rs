//! Checks on variables: those that change what programs do, and those that hold secrets.

use crate::guard::{
    checks::toolchain,
    gate::{Findings, Sight, Verdict},
    scene::call::Call,
};

const NAMES: [&str; 69] = [
    "PATH",
    "BASH_ENV",
    "ENV",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "SHELLOPTS",
    "BASHOPTS",
    "CDPATH",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "LESSOPEN",
    "LESSCLOSE",
    "LESSKEY",
    "MANPAGER",
    "MANOPT",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONBREAKPOINT",
    "PYTEST_PLUGINS",
    "PYTEST_ADDOPTS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC",
    "RUSTDOC",
    "MAKEFLAGS",
    "MFLAGS",
    "GNUMAKEFLAGS",
    "MAKEFILES",
    "GOFLAGS",
    "GOPROXY",
    "GONOSUMDB",
    "GCC_EXEC_PREFIX",
    "HOME",
    "SHELL",
    "TMPDIR",
    "ZDOTDIR",
    "FPATH",
    "INPUTRC",
    "TERMINFO",
    "OPENSSL_CONF",
    "GLIBC_TUNABLES",
    "VIMINIT",
    "RSYNC_RSH",
    "TAR_OPTIONS",
    "GREP_OPTIONS",
    "FZF_DEFAULT_COMMAND",
    "FZF_DEFAULT_OPTS",
    "RIPGREP_CONFIG_PATH",
    "MAVEN_OPTS",
    "GRADLE_OPTS",
    "DOTNET_STARTUP_HOOKS",
    "GCONV_PATH",
    "LOCPATH",
];
const PREFIXES: [&str; 10] =
    ["LD_", "DYLD_", "GIT_", "SSH_", "CARGO_", "NPM_CONFIG_", "PIP_", "UV_", "XDG_", "BASH_FUNC"];
/// Variables of these families that only change how something is shown, or how fast it is.
const HARMLESS: [&str; 13] = [
    "CARGO_TERM_COLOR",
    "CARGO_INCREMENTAL",
    "CARGO_BUILD_JOBS",
    "CARGO_PROFILE_RELEASE_LTO",
    "CARGO_NET_OFFLINE",
    "CARGO_TERM_VERBOSE",
    "GIT_PAGER_IN_USE",
    "GIT_OPTIONAL_LOCKS",
    "GIT_TERMINAL_PROMPT",
    "PIP_NO_COLOR",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "CARGO_PROFILE_DEV_DEBUG",
    "CARGO_TERM_PROGRESS_WHEN",
];

/// K12.
pub(super) fn hijack(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let assigned = call.env.iter().map(|(name, _)| name.as_str());
        let declares = ["export", "declare", "typeset", "readonly", "local", "set", "setenv"];
        let declared = call.texts().filter(|_| call.is(&declares));
        let exported = declared.filter_map(|arg| Some(arg.split_once('=')?.0));
        // These name the variables that they take away or fill.
        let named = call.is(&["unset", "read", "mapfile", "readarray", "getopts", "wait"]);
        let named = call.texts().filter(|_| named);
        if call.is(&["declare", "typeset", "local"]) && call.args.iter().any(|arg| arg.short('n')) {
            findings.add(Verdict::Deny, format!("`{}` gives a variable another name", call.line()));
        }
        let values = call.env.iter().map(|(name, value)| (name.as_str(), value.text.as_str()));
        let exports =
            call.texts().filter(|_| call.is(&declares)).filter_map(|arg| arg.split_once('='));
        for why in
            values.chain(exports).filter_map(|(name, value)| toolchain::variable(name, value))
        {
            findings.add(Verdict::Deny, why);
        }
        for name in assigned.chain(exported).chain(named) {
            if is_dangerous(name.trim_end_matches('+')) {
                let why = format!("`{name}` changes what programs run or load");
                findings.add(Verdict::Deny, why);
            }
        }
    }
}

fn is_dangerous(name: &str) -> bool {
    let upper = name.to_uppercase();
    let proxy = upper.ends_with("_PROXY");
    let family = PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    !HARMLESS.contains(&upper.as_str()) && (proxy || family || NAMES.contains(&name))
}

/// Words in the names of variables and files that hold credentials.
const SECRETS: [&str; 14] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "API_KEY",
    "APIKEY",
    "PRIVATE KEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "AKIA",
    "GHP_",
    "ID_RSA",
    "ID_ED25519",
];

fn names_secret(text: &str) -> bool {
    let upper = text.to_uppercase();
    SECRETS.iter().any(|secret| upper.contains(secret))
}

/// K39.
pub(super) fn credentials(sight: &Sight<'_>, findings: &mut Findings) {
    let calls = &sight.scene.calls;
    let lists: Vec<&Call> = calls.iter().filter(|call| lists_variables(call)).collect();
    for call in &lists {
        let filtered = calls
            .iter()
            .any(|other| other.before.contains(&call.name) && other.texts().any(names_secret));
        if filtered || call.texts().any(names_secret) {
            findings.add(Verdict::Deny, format!("`{}` looks for credentials", call.line()));
        } else if call.name != "printenv" || call.args.is_empty() {
            findings.add(Verdict::Ask, format!("`{}` shows every variable", call.line()));
        }
    }
    for call in calls {
        if let Some(why) = store(call) {
            findings.add(Verdict::Deny, why);
        }
        let searches = call.is(&["find", "fd", "locate", "grep", "rg", "ag", "egrep"]);
        let keys = call.texts().any(|arg| {
            let lower = arg.to_lowercase();
            ["id_rsa", "id_ed25519", ".pem", "private key", "akia", "ghp_", ".netrc", "credentials"]
                .iter()
                .any(|key| lower.contains(key))
        });
        let file =
            call.is(&["find", "fd", "locate"]) && call.texts().any(|arg| arg.contains(".env"));
        let wide = call.texts().any(|arg| {
            arg == "/"
                || arg == sight.scene.facts.home
                || arg.starts_with("/home")
                || arg == "/root"
        });
        if searches && (keys || file) && wide {
            findings.add(Verdict::Deny, format!("`{}` looks for keys", call.line()));
        } else if searches && (keys || file) {
            findings.add(Verdict::Ask, format!("`{}` may look for keys", call.line()));
        }
    }
}

fn lists_variables(call: &Call) -> bool {
    let only_options = call.args.iter().all(|arg| arg.is_option() && arg.text != "-i");
    match call.name.as_str() {
        "env" => only_options,
        "printenv" => true,
        "set" => call.args.is_empty(),
        "export" | "declare" | "typeset" => {
            call.args.iter().all(|arg| arg.text == "-p" || arg.text == "-x" || arg.text == "-px")
        }
        "compgen" => call.has("-v") || call.has("-e"),
        _ => false,
    }
}

/// Returns why a call opens a store of credentials.
fn store(call: &Call) -> Option<String> {
    const STORES: [(&str, &[&str]); 14] = [
        (
            "security",
            &["find-generic-password", "find-internet-password", "dump-keychain", "export"],
        ),
        ("secret-tool", &["lookup", "search"]),
        ("pass", &["show", "ls", "grep"]),
        ("gh", &["auth"]),
        ("gcloud", &["auth"]),
        ("aws", &["configure", "sts", "secretsmanager", "ssm"]),
        ("az", &["account", "keyvault"]),
        ("op", &["read", "item", "get"]),
        ("vault", &["read", "kv", "token"]),
        ("git", &["credential", "credential-store", "credential-cache"]),
        ("npm", &["token"]),
        ("keyctl", &["print", "read", "pipe", "show"]),
        ("bw", &["get", "list", "export"]),
        ("heroku", &["auth:token", "config"]),
    ];
    let store = STORES.iter().find(|(name, _)| *name == call.name);
    let first = call.first().unwrap_or_default();
    let opens = store.is_some_and(|(_, words)| words.contains(&first));
    let exports = call.name == "gpg" && call.texts().any(|arg| arg.contains("secret"));
    (opens || exports).then(|| format!("`{}` opens a store of credentials", call.line()))
}
