//! One prompt out of the set, for one agent. Pure: same set and scene, same bytes.
//!
//! Order: the static sections, the boundary marker, the session's sections; the turn's sections are
//! the first user message. A prompt without session sections (text edit formats) has no marker. Everything before the marker is the same for all runs of a build with
//! this role, phase and edit format, so a provider's cache can hold it.

use serde_json::{Map, Value};

use crate::{
    prompt::{
        section::Section,
        set::{PromptError, PromptSet},
        template::{self, BOUNDARY},
        vars,
    },
    protocol::{
        message::{CacheScope, Segment},
        task::{EditFormat, Phase},
    },
    settings::nearest,
};

/// For whom a prompt is, and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The agent's role.
    pub role: String,
    /// Its phase.
    pub phase: Phase,
    /// The form of its change; outside the implementation phase there is only `tools`.
    pub edit_format: EditFormat,
    /// Variables by name; those left out are empty.
    pub vars: Map<String, Value>,
}

/// A prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// The system prompt's parts.
    pub system: Vec<Segment>,
    /// The first user message.
    pub opening: String,
    /// The blake3 hash of all of it.
    pub sha: String,
}

/// Returns the prompt for a scene.
pub fn assemble(set: &PromptSet, scene: &Scene) -> Result<Assembled, PromptError> {
    known_role(set, &scene.role)?;
    let vars = Value::Object(vars::complete(&scene.vars)?);
    let format = match scene.phase {
        Phase::Implementation => scene.edit_format,
        _ => EditFormat::Tools,
    };
    let (mut system, mut opening) = (Vec::new(), Vec::new());
    let applies = |section: &&Section| section.applies(&scene.role, scene.phase, format);
    for section in set.sections().iter().filter(applies) {
        let text = text(section, &vars)?;
        if text.is_empty() {
            continue;
        }
        let (id, cache) = (section.id.clone(), section.cache);
        match cache {
            CacheScope::Static => system.push(Segment { id, cache, text }),
            CacheScope::Session => {
                if !system.iter().any(|segment: &Segment| segment.text == BOUNDARY) {
                    system.push(boundary());
                }
                system.push(Segment { id, cache, text });
            }
            CacheScope::Turn => opening.push(text),
        }
    }
    let opening = opening.join("\n\n");
    let texts = system.iter().map(|segment| segment.text.as_str()).chain([opening.as_str()]);
    if texts.map(|text| text.matches(BOUNDARY).count()).sum::<usize>() > 1 {
        return Err(PromptError::Boundary);
    }
    let sha = hash(&system, &opening);
    Ok(Assembled { system, opening, sha })
}

fn known_role(set: &PromptSet, role: &str) -> Result<(), PromptError> {
    let roles = set.roles();
    if roles.contains(&role) {
        return Ok(());
    }
    Err(PromptError::UnknownRole {
        role: role.to_owned(),
        near: nearest::hint(role, roles.iter().copied()),
        known: roles.into_iter().map(str::to_owned).collect(),
    })
}

fn text(section: &Section, vars: &Value) -> Result<String, PromptError> {
    if section.cache == CacheScope::Static {
        return Ok(section.text.clone());
    }
    let rendered = template::render(&section.path, &section.text, vars);
    let failed = |error: minijinja::Error| PromptError::Render {
        path: section.path.clone(),
        message: error.to_string(),
    };
    Ok(rendered.map_err(failed)?.trim().to_owned())
}

fn boundary() -> Segment {
    Segment { id: "boundary".to_owned(), cache: CacheScope::Static, text: BOUNDARY.to_owned() }
}

fn hash(system: &[Segment], opening: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    let texts = system.iter().flat_map(|segment| [segment.id.as_str(), segment.text.as_str()]);
    for text in texts.chain([opening]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests;
