//! Agents whose command line is known: how each is called without a person.
//!
//! All of them are told to ask nobody, because the sandbox is what confines them and nobody would
//! answer. None of these lines grants anything: environment, folders and hosts are the user's to say.

use serde::{Deserialize, Serialize};

/// How a worker is told its task and tells what it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Its command line has it all.
    #[default]
    Command,
    /// The Agent Client Protocol, over its standard streams.
    Acp,
    /// It is part of grafter, and no program of its own.
    #[serde(skip)]
    Embedded,
}

impl Protocol {
    /// Returns its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Acp => "acp",
            Self::Embedded => "embedded",
        }
    }
}

/// An agent that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Claude Code.
    Claude,
    /// OpenAI Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// opencode.
    Opencode,
    /// goose.
    Goose,
    /// aider.
    Aider,
    /// mini-swe-agent.
    Mini,
}

/// Words of a command that stand or fall together.
type Groups = &'static [&'static [&'static str]];

/// One preset.
struct Row {
    preset: Preset,
    name: &'static str,
    /// Its command in groups; one is left out where it names a value that the user did not set.
    command: Groups,
    /// The same for its command that speaks acp; empty where none is known.
    acp: Groups,
    /// Variables without which it would ask somebody.
    env: &'static [(&'static str, &'static str)],
}

/// How codex is told of a model server of the user's own.
const CODEX_MODELS: &str = "model_providers.own={name='own', base_url='{base_url}', \
                            env_key='OPENAI_API_KEY', wire_api='responses'}";

const TABLE: [Row; 7] = [
    // code.claude.com/docs/en/headless
    Row {
        preset: Preset::Claude,
        name: "claude",
        command: &[
            &["claude", "-p", "{prompt}", "--output-format", "json"],
            &["--dangerously-skip-permissions"],
            &["--model", "{model}"],
        ],
        // github.com/agentclientprotocol/claude-agent-acp
        acp: &[&["claude-agent-acp"]],
        // To root, as a user may look inside a namespace, it refuses that flag without this.
        env: &[("IS_SANDBOX", "1")],
    },
    // github.com/openai/codex, docs/exec.md
    Row {
        preset: Preset::Codex,
        name: "codex",
        command: &[
            &["codex", "exec", "--json", "--skip-git-repo-check"],
            &["--dangerously-bypass-approvals-and-sandbox"],
            &["--model", "{model}"],
            &["-c", "model_provider=own", "-c", CODEX_MODELS],
            &["{prompt}"],
        ],
        // github.com/zed-industries/codex-acp; a sandbox of its own does not start in another one, and
        // what is not plainly harmless it is to ask about
        acp: &[
            &["codex-acp", "-c", "sandbox_mode=danger-full-access"],
            &["-c", "approval_policy=untrusted"],
            &["-c", "model={model}"],
            &["-c", "model_provider=own", "-c", CODEX_MODELS],
        ],
        env: &[],
    },
    // geminicli.com/docs/cli/headless
    Row {
        preset: Preset::Gemini,
        name: "gemini",
        command: &[
            &["gemini", "--yolo", "--output-format", "json"],
            &["--model", "{model}"],
            &["--prompt", "{prompt}"],
        ],
        // geminicli.com/docs/cli/acp-mode
        acp: &[&["gemini", "--acp"], &["--model", "{model}"]],
        env: &[],
    },
    // opencode.ai/docs/cli
    Row {
        preset: Preset::Opencode,
        name: "opencode",
        command: &[
            &["opencode", "run", "--format", "json"],
            &["--model", "{model}"],
            &["{prompt}"],
        ],
        // opencode.ai/docs/acp; by this name it finds its own server also where its model is on the
        // same machine
        acp: &[&["opencode", "acp", "--hostname", "localhost"]],
        env: &[],
    },
    // block.github.io/goose/docs/guides/goose-cli-commands
    Row {
        preset: Preset::Goose,
        name: "goose",
        command: &[
            &["goose", "run", "--no-session", "--quiet", "--output-format", "json"],
            &["--model", "{model}"],
            &["--instructions", "{prompt_file}"],
        ],
        // block.github.io/goose/docs/guides/acp-clients
        acp: &[&["goose", "acp"]],
        env: &[("GOOSE_MODE", "auto")],
    },
    // aider.chat/docs/config/options.html; its histories would lie in the tree
    Row {
        preset: Preset::Aider,
        name: "aider",
        command: &[
            &["aider", "--yes-always", "--no-auto-commits", "--no-gitignore", "--no-pretty"],
            &["--no-stream", "--no-check-update", "--map-tokens", "0"],
            &["--chat-history-file", "/dev/null", "--input-history-file", "/dev/null"],
            &["--model", "{model}"],
            &["--openai-api-base", "{base_url}"],
            &["--message-file", "{prompt_file}"],
        ],
        acp: &[],
        env: &[],
    },
    // mini-swe-agent.com/latest/usage/mini
    Row {
        preset: Preset::Mini,
        name: "mini",
        command: &[
            &["mini", "--yolo", "--exit-immediately", "--output", "{report_file}"],
            &["--model", "{model}"],
            // What an address of the user's own costs, it does not know.
            &[
                "--config",
                "mini.yaml",
                "--config",
                "model.model_kwargs.api_base={base_url}",
                "--config",
                "model.cost_tracking=ignore_errors",
            ],
            &["--task", "{prompt}"],
        ],
        acp: &[],
        env: &[("MSWEA_CONFIGURED", "true")],
    },
];

impl Preset {
    /// Returns the preset of that name.
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.preset)
    }

    /// Returns the names of all presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|row| row.name)
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// Returns its command without the groups that name one of the values in `unset`; none if it is
    /// not known to speak the protocol.
    pub fn command(self, protocol: Protocol, unset: &[&str]) -> Option<Vec<String>> {
        let row = self.row()?;
        let groups = match protocol {
            Protocol::Command => row.command,
            Protocol::Acp => row.acp,
            Protocol::Embedded => return None,
        };
        let names = |word: &&str| unset.iter().any(|place| word.contains(place));
        let set = groups.iter().filter(|group| !group.iter().any(names));
        let words: Vec<String> =
            set.flat_map(|group| group.iter().map(|word| (*word).to_owned())).collect();
        Some(words).filter(|words| !words.is_empty())
    }

    /// Returns the variables without which it would ask somebody.
    pub fn env(self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.row().into_iter().flat_map(|row| row.env);
        pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.preset == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_row_and_is_told_the_task() {
        for name in Preset::names() {
            let preset = Preset::named(name).unwrap();
            assert_eq!(preset.name(), name);
            let called = |unset: &[&str]| preset.command(Protocol::Command, unset).unwrap();
            let command = called(&["{model}", "{base_url}"]);
            assert_eq!(command[0], name);
            assert!(command.iter().any(|word| word.starts_with("{prompt")), "{name}");
            assert!(!command.iter().any(|word| word == "{model}" || word == "{base_url}"));
            assert!(called(&[]).contains(&"{model}".to_owned()), "{name}");
            assert_eq!(serde_json::to_value(preset).unwrap(), name);
        }
    }
    #[test]
    fn agents_that_speak_acp_are_told_no_task_on_their_command_line() {
        let speaks = |preset: Preset| preset.command(Protocol::Acp, &["{model}", "{base_url}"]);
        let all = Preset::names().filter_map(Preset::named);
        let lines: Vec<String> = all.filter_map(speaks).map(|line| line.join(" ")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        claude-agent-acp
        codex-acp -c sandbox_mode=danger-full-access -c approval_policy=untrusted
        gemini --acp
        opencode acp --hostname localhost
        goose acp
        ");
    }
}
