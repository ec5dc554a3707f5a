//! Before a commit gets a branch: does it hold a term that the user wants to keep inside?

use crate::{
    git::{
        diff::{self, Pair},
        program::GitError,
        repo::Repo,
    },
    guard::{
        options::Options,
        redact::{Terms, is_public},
        tripwire::Tripwire,
    },
    protocol::ids::Oid,
};

/// Places that are named.
const MAX_NAMED: usize = 5;

/// Returns where a commit holds the canary string of its run.
pub(super) fn tripped(
    repo: &Repo,
    tripwire: Option<&Tripwire>,
    range: (&Oid, &Oid),
) -> Result<Option<String>, GitError> {
    let (Some(tripwire), mut place) = (tripwire, None) else { return Ok(None) };
    diff::each_changed(repo, range, &mut |Pair { path, new, .. }| {
        if let Some(line) = tripwire.find(&String::from_utf8_lossy(new)) {
            place.get_or_insert(format!(
                "TRIPWIRE: the work holds the canary string at {path}:{line}; no branch holds it"
            ));
        }
    })?;
    Ok(place)
}

/// What a commit shows to whoever gets it.
pub(super) struct Shown<'a> {
    /// The commit it stands on, and itself.
    pub(super) range: (&'a Oid, &'a Oid),
    /// Texts besides its files, each with what it is.
    pub(super) texts: Vec<(&'static str, String)>,
}

/// Returns why a commit may not get a branch, if terms of the user's would become public by it.
///
/// The terms themselves are not repeated: this goes into records and to the screen.
pub(super) fn refusal(
    repo: &Repo,
    options: &Options,
    shown: &Shown<'_>,
) -> Result<Option<String>, GitError> {
    let terms = Terms::new(&options.redact);
    if terms.is_empty() || !is_public(&repo.remotes()?, &options.private) {
        return Ok(None);
    }
    let mut places = Vec::new();
    for (what, text) in &shown.texts {
        let spots = terms.find(text).into_iter();
        places.extend(spots.map(|spot| format!("term {} in {what}", spot.term)));
    }
    diff::each_changed(repo, shown.range, &mut |Pair { path, old, new }| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !new.is_empty() {
            let names = terms.find(path).into_iter();
            places.extend(names.map(|spot| format!("term {} in the name {path}", spot.term)));
        }
        let spots = terms.find_new(&text(old), &text(new)).into_iter();
        places.extend(spots.map(|spot| format!("term {} at {path}:{}", spot.term, spot.from)));
    })?;
    places.dedup();
    let more = places.len().saturating_sub(MAX_NAMED);
    places.truncate(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Ok((!places.is_empty()).then(|| {
        format!(
            "the work would show what [guard] redact in your config.toml keeps inside: {}{more}, so no branch \
             holds it. If no remote is public, list them in `private`, else change \
             the task or the terms and resume",
            places.join(", ")
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn options(private: &[&str]) -> Options {
        let private = private.iter().map(|place| (*place).to_owned()).collect();
        Options { redact: vec!["Blue Falcon".to_owned()], private, ..Options::default() }
    }

    fn look(fixture: &Fixture, options: &Options, text: &str) -> Option<String> {
        let (a, b) = (fixture.oid("HEAD^"), fixture.oid("HEAD"));
        let texts = vec![("the commit message", text.to_owned())];
        refusal(&fixture.repo(), options, &Shown { range: (&a, &b), texts }).unwrap()
    }

    #[test]
    fn new_lines_names_and_words_are_looked_at_and_old_ones_are_not() {
        let fixture = Fixture::small();
        fixture.write("old.md", b"the blue falcon\n");
        fixture.commit("before");
        fixture.write("old.md", b"first\nthe blue falcon\n");
        fixture.write("gone.txt", b"x");
        fixture.commit("clean");
        assert_eq!(look(&fixture, &options(&[]), "a message"), None);
        let told = look(&fixture, &options(&[]), "for Blue Falcon").unwrap();
        assert!(told.contains(": term 1 in the commit message, so no"), "{told}");
        fixture.write("CHANGELOG.md", b"a\nb\nBLUE-FALCON is faster\n");
        fixture.write("src/blue_falcon.rs", b"");
        fixture.write("blue_falcon.png", b"\x89PNG\0\xffBlue Falcon\0");
        fixture.commit("dirty");
        let told = look(&fixture, &options(&[]), "").unwrap();
        let places = "term 1 at CHANGELOG.md:3, term 1 in the name blue_falcon.png, \
                      term 1 at blue_falcon.png:1";
        assert!(told.contains(places) && !told.contains("Falcon"), "{told}");
    }

    #[test]
    fn what_stays_inside_may_say_it() {
        let fixture = Fixture::small();
        fixture.write("a.md", b"blue falcon\n");
        fixture.commit("dirty");
        let inside = options(&["git.corp.example"]);
        assert!(look(&fixture, &inside, "").is_some(), "no remote: nobody knows");
        fixture.git(&["remote", "add", "origin", "git@git.corp.example:a/b"]);
        assert_eq!(look(&fixture, &inside, ""), None);
        assert!(look(&fixture, &options(&[]), "").is_some());
        fixture.git(&["remote", "set-url", "--push", "origin", "git@github.com:a/b"]);
        assert!(look(&fixture, &inside, "").is_some());
        assert_eq!(look(&fixture, &Options::default(), ""), None);
    }
}
