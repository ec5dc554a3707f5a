//! The prompt files in the binary.

/// A row of the table: the file's path in the set and its text.
macro_rules! file {
    ($path:literal) => {
        ($path, include_str!(concat!("../../prompts/", $path)))
    };
}

/// Every file of `prompts/` that is a prompt; a test holds the table against the folder.
pub(crate) const FILES: [(&str, &str); 34] = [
    file!("formats/blocks.md"),
    file!("formats/whole-file.md"),
    file!("formats/whole-function.md"),
    file!("roles/coordinator.md"),
    file!("roles/critic.md"),
    file!("roles/delegate.md"),
    file!("roles/editor.md"),
    file!("roles/implementer.md"),
    file!("roles/joiner.md"),
    file!("roles/lead.md"),
    file!("roles/part.md"),
    file!("roles/planner.md"),
    file!("roles/researcher.md"),
    file!("roles/reviewer.md"),
    file!("roles/solo.md"),
    file!("sections/10-identity.md"),
    file!("sections/20-safety.md"),
    file!("sections/30-tools.md"),
    file!("sections/35-edits.md"),
    file!("sections/45-directives.md"),
    file!("sections/60-reporting.md"),
    file!("sections/70-session.md"),
    file!("sections/78-fork.md"),
    file!("sections/80-handover.md"),
    file!("sections/82-parts.md"),
    file!("sections/83-range.md"),
    file!("sections/84-candidate.md"),
    file!("sections/86-base.md"),
    file!("sections/88-feedback.md"),
    file!("sections/90-request.md"),
    file!("sections/94-answer-blocks.md"),
    file!("sections/94-answer-whole-file.md"),
    file!("sections/94-answer-whole-function.md"),
    file!("sections/96-begin.md"),
];
