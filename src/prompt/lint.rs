//! What is questionable in a set of prompts that keeps the rules.

use serde_json::Map;

use crate::{
    prompt::{
        assemble::{Scene, assemble},
        section::Section,
        set::PromptSet,
    },
    protocol::{
        message::CacheScope,
        task::{EditFormat, Phase},
    },
};

/// Most bytes of the static part of a prompt: it is paid for in every run.
pub const MAX_STATIC: usize = 5 * 1024;

const PHASES: [Phase; 4] =
    [Phase::Research, Phase::Synthesis, Phase::Implementation, Phase::Verification];
const FORMATS: [EditFormat; 4] =
    [EditFormat::Tools, EditFormat::Blocks, EditFormat::WholeFile, EditFormat::WholeFunction];

/// Returns what is questionable, one line each: prompts that are too long or cannot be assembled,
/// sections that no scene uses, variables that a section names and does not read.
pub fn lint(set: &PromptSet) -> Vec<String> {
    let mut faults = Vec::new();
    for scene in scenes(set) {
        let Scene { role, phase, edit_format, .. } = &scene;
        let name = format!("{role} in {} with {}", phase.name(), edit_format.name());
        match assemble(set, &scene) {
            Err(error) => faults.push(format!("{name}: {error}")),
            Ok(prompt) => {
                let fixed = prompt.system.iter().filter(|part| part.cache == CacheScope::Static);
                let bytes: usize = fixed.map(|part| part.text.len()).sum();
                if bytes > MAX_STATIC {
                    faults.push(format!("{name}: {bytes} static bytes, at most {MAX_STATIC}"));
                }
                if bytes == 0 || prompt.opening.is_empty() {
                    faults.push(format!("{name}: there is no system prompt or no first message"));
                }
            }
        }
    }
    for section in set.sections() {
        faults.extend(unused(set, section));
    }
    faults
}

/// Returns every scene there can be with the roles of a set, without variables.
fn scenes(set: &PromptSet) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for role in set.roles() {
        for phase in PHASES {
            for edit_format in FORMATS {
                let (role, vars) = (role.to_owned(), Map::new());
                let scene = Scene { role, phase, edit_format, vars };
                if phase == Phase::Implementation || edit_format == EditFormat::Tools {
                    scenes.push(scene);
                }
            }
        }
    }
    scenes
}

fn unused(set: &PromptSet, section: &Section) -> Vec<String> {
    let mut faults = Vec::new();
    let used = |scene: &Scene| section.applies(&scene.role, scene.phase, scene.edit_format);
    if !scenes(set).iter().any(used) {
        faults.push(format!("{}: no role, phase and format uses it", section.path));
    }
    for var in &section.vars {
        if !section.text.contains(var.as_str()) {
            faults.push(format!(
                "{}: `vars` names `{var}`, which the text does not read",
                section.path
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::prompt::{lint::lint, set::PromptSet};

    #[test]
    fn what_is_shipped_is_sound() {
        assert_eq!(lint(&PromptSet::load(&[]).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn faults_are_told() {
        let layer = tempfile::tempdir().unwrap();
        fs::create_dir(layer.path().join("sections")).unwrap();
        let file = |name: &str, text: &str| {
            fs::write(layer.path().join("sections").join(name), text).unwrap();
        };
        let long = "word ".repeat(800);
        file(
            "33-long.md",
            &format!(
                "---\nid: long\ncache: static\nwhen: {{ phase: [synthesis], role: [coordinator] }}\nmax_tokens: 2000\n---\n{long}\n"
            ),
        );
        file(
            "34-never.md",
            "---\nid: never\ncache: static\nwhen: { role: [nobody] }\nmax_tokens: 9\n---\nhi\n",
        );
        file("85-var.md", "---\nid: var\ncache: turn\nmax_tokens: 9\nvars: [diff]\n---\nhi\n");
        let set = PromptSet::load(&[layer.path().to_owned()]).unwrap();
        insta::assert_snapshot!(lint(&set).join("\n"), @r"
        coordinator in synthesis with tools: 7983 static bytes, at most 5120
        sections/34-never.md: no role, phase and format uses it
        sections/85-var.md: `vars` names `diff`, which the text does not read
        ");
    }
}
