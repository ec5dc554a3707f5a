//! One prompt file: front matter between two `---` lines, then the text.
//!
//! ```yaml
//! id: coordinator.directives      # unique in the set
//! cache: static                   # static | session | turn
//! when: { role: [coordinator], phase: [synthesis], format: [tools] }   # what is left out is any
//! max_tokens: 200                 # of the text; four bytes count as one token
//! vars: [task]                    # session and turn only
//! ```
//!
//! A static text is taken as it is, so that its bytes are the same for every run; session and turn
//! texts are templates.

use serde::Deserialize;

use crate::{
    prompt::{
        template::{self, BOUNDARY},
        vars::VARS,
    },
    protocol::{
        message::CacheScope,
        task::{EditFormat, Phase},
    },
    settings::{
        nearest,
        spot::{Spot, quoted},
        yaml::{self, At, YamlError},
    },
};

/// Most tokens that a section may claim.
const MAX_TOKENS: usize = 4_000;

/// A prompt file that keeps the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its path in the set: `sections/20-safety.md`.
    pub path: String,
    /// Its place in the prompt: the number of its name; roles 40, formats 50.
    pub order: u32,
    /// Its id.
    pub id: String,
    /// How long its bytes stay the same.
    pub cache: CacheScope,
    /// Where it is used.
    pub when: When,
    /// The variables it reads.
    pub vars: Vec<String>,
    /// Its text.
    pub text: String,
}

/// Where a section is used; an empty list means anywhere.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Roles.
    pub role: Vec<String>,
    /// Phases.
    pub phase: Vec<Phase>,
    /// Edit formats.
    pub format: Vec<EditFormat>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    id: At<String>,
    cache: At<CacheScope>,
    #[serde(default)]
    when: When,
    max_tokens: At<usize>,
    #[serde(default)]
    vars: Vec<At<String>>,
}

/// The number of a file's own kind, where its name has none.
const ROLES: u32 = 40;
const FORMATS: u32 = 50;

impl Section {
    /// Returns the section in a file of the set.
    pub fn parse(path: &str, file: &str) -> Result<Self, YamlError> {
        let wrong = |at, message: String| YamlError { spot: Spot::new(path, file, at), message };
        let (order, role) = place(path).map_err(|message| wrong((0, 0), message))?;
        let no_head = || wrong((1, 1), "a prompt begins with front matter between `---`".into());
        let rest = file.strip_prefix("---\n").ok_or_else(no_head)?;
        let (head, text) = rest.split_once("\n---\n").ok_or_else(no_head)?;
        // The line break stands for the first `---`, so that line numbers are those of the file.
        let front: FrontMatter = yaml::from_str(path, &format!("\n{head}\n"))?;
        let text = text.trim();
        let budget = front.max_tokens.value.min(MAX_TOKENS) * 4;
        if text.len() > budget {
            let message =
                format!("the text has {} bytes, `max_tokens` allows {budget}", text.len());
            return Err(wrong(front.max_tokens.at, message));
        }
        if text.is_empty() {
            return Err(wrong((1, 1), "there is no text below the front matter".to_owned()));
        }
        if text.contains(BOUNDARY) {
            return Err(wrong((1, 1), "the boundary marker stands in the text".to_owned()));
        }
        check_vars(&front, text).map_err(|(at, message)| wrong(at, message))?;
        let mut when = front.when;
        when.role.extend(role);
        Ok(Self {
            path: path.to_owned(),
            order,
            id: front.id.value,
            cache: front.cache.value,
            when,
            vars: front.vars.into_iter().map(|var| var.value).collect(),
            text: text.to_owned(),
        })
    }

    /// Returns whether the section belongs into a prompt.
    pub fn applies(&self, role: &str, phase: Phase, format: EditFormat) -> bool {
        let When { role: roles, phase: phases, format: formats } = &self.when;
        (roles.is_empty() || roles.iter().any(|it| it == role))
            && (phases.is_empty() || phases.contains(&phase))
            && (formats.is_empty() || formats.contains(&format))
    }
}

/// Returns the number of a file's place and the role it belongs to.
fn place(path: &str) -> Result<(u32, Option<String>), String> {
    let stem = |rest: &str| rest.strip_suffix(".md").map(str::to_owned);
    let name = path.split_once('/').and_then(|(folder, rest)| Some((folder, stem(rest)?)));
    match name {
        Some(("roles", role)) => Ok((ROLES, Some(role))),
        Some(("formats", _)) => Ok((FORMATS, None)),
        Some(("sections", name)) => {
            let number = name.get(..2).and_then(|number| number.parse().ok());
            let number = number.filter(|_| name[2..].starts_with('-'));
            Ok((number.ok_or("a section's file is named NN-name.md, NN its place")?, None))
        }
        _ => Err("prompts lie in sections/, roles/ and formats/ and end in .md".to_owned()),
    }
}

type Wrong = ((u32, u32), String);

fn check_vars(front: &FrontMatter, text: &str) -> Result<(), Wrong> {
    let known = || VARS.iter().map(|(name, _)| *name);
    for var in &front.vars {
        if !known().any(|name| name == var.value) {
            let near = nearest::hint(&var.value, known());
            return Err((var.at, format!("there is no variable {}{near}", quoted(&var.value))));
        }
    }
    if front.cache.value == CacheScope::Static {
        return match front.vars.first() {
            Some(var) => Err((var.at, "a static section has no variables".to_owned())),
            None if text.contains("{{") || text.contains("{%") => {
                Err((front.cache.at, "a static section is no template".to_owned()))
            }
            None => Ok(()),
        };
    }
    let failed = |error: minijinja::Error| (front.id.at, format!("the template: {error}"));
    for used in template::variables(&front.id.value, text).map_err(failed)? {
        if !front.vars.iter().any(|var| var.value == used) {
            let message = format!("the text reads {}, which `vars` does not name", quoted(&used));
            return Err((front.id.at, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        prompt::{section::Section, template::BOUNDARY},
        protocol::task::{EditFormat, Phase},
    };

    fn error(head: &str, text: &str) -> String {
        let file = format!("---\n{head}\n---\n{text}\n");
        Section::parse("sections/10-a.md", &file).expect_err("it is wrong").to_string()
    }

    #[test]
    fn applies_where_all_lists_agree() {
        let file = "---\nid: a\ncache: static\nwhen: { phase: [research], format: [tools] }\nmax_tokens: 9\n---\nhi\n";
        let section = Section::parse("roles/solo.md", file).unwrap();
        assert_eq!((section.order, section.text.as_str()), (40, "hi"));
        assert!(section.applies("solo", Phase::Research, EditFormat::Tools));
        assert!(!section.applies("other", Phase::Research, EditFormat::Tools));
        assert!(!section.applies("solo", Phase::Synthesis, EditFormat::Tools));
        assert!(!section.applies("solo", Phase::Research, EditFormat::Blocks));
    }

    #[test]
    fn unknown_key() {
        insta::assert_snapshot!(error("id: a\ncahce: static\nmax_tokens: 9", "x"), @r"
        sections/10-a.md:3:1: unknown key `cahce`; did you mean `cache`? (known: id, cache, when, max_tokens, vars)
        3 | cahce: static
          | ^
        ");
    }

    #[test]
    fn too_long() {
        insta::assert_snapshot!(error("id: a\ncache: static\nmax_tokens: 1", "too long"), @r"
        sections/10-a.md:4:13: the text has 8 bytes, `max_tokens` allows 4
        4 | max_tokens: 1
          |             ^
        ");
    }

    #[test]
    fn static_with_a_variable() {
        let head = "id: a\ncache: static\nmax_tokens: 9\nvars: [task]";
        insta::assert_snapshot!(error(head, "x"), @r"
        sections/10-a.md:5:8: a static section has no variables
        5 | vars: [task]
          |        ^
        ");
        insta::assert_snapshot!(error("id: a\ncache: static\nmax_tokens: 9", "{{ task }}"), @r"
        sections/10-a.md:3:8: a static section is no template
        3 | cache: static
          |        ^
        ");
    }

    #[test]
    fn unknown_variable() {
        let head = "id: a\ncache: turn\nmax_tokens: 9\nvars: [tsak]";
        insta::assert_snapshot!(error(head, "x"), @r"
        sections/10-a.md:5:8: there is no variable `tsak`; did you mean `task`?
        5 | vars: [tsak]
          |        ^
        ");
    }

    #[test]
    fn variable_that_is_not_named() {
        let head = "id: a\ncache: turn\nmax_tokens: 9\nvars: [task]";
        insta::assert_snapshot!(error(head, "{{ diff | fence }}"), @r"
        sections/10-a.md:2:5: the text reads `diff`, which `vars` does not name
        2 | id: a
          |     ^
        ");
    }

    #[test]
    fn broken_template() {
        let head = "id: a\ncache: turn\nmax_tokens: 9\nvars: [task]";
        insta::assert_snapshot!(error(head, "{% if task %}"), @r"
        sections/10-a.md:2:5: the template: syntax error: unexpected end of input, expected end of block (in a:1)
        2 | id: a
          |     ^
        ");
    }

    #[test]
    fn boundary_in_the_text() {
        insta::assert_snapshot!(error("id: a\ncache: static\nmax_tokens: 99", BOUNDARY), @r"
        sections/10-a.md:1:1: the boundary marker stands in the text
        1 | ---
          | ^
        ");
    }

    #[test]
    fn no_front_matter_or_no_place() {
        let parse = |path, file| Section::parse(path, file).expect_err("it is wrong").to_string();
        insta::assert_snapshot!(parse("sections/10-a.md", "hello"), @r"
        sections/10-a.md:1:1: a prompt begins with front matter between `---`
        1 | hello
          | ^
        ");
        insta::assert_snapshot!(parse("sections/a.md", "hello"), @"sections/a.md: a section's file is named NN-name.md, NN its place");
        insta::assert_snapshot!(parse("notes/a.md", "hello"), @"notes/a.md: prompts lie in sections/, roles/ and formats/ and end in .md");
    }
}
