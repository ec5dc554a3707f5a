//! Takes out of a text what could play tricks on a model or a terminal.
//!
//! Control sequences, overstrikes, progress bars drawn with carriage returns, and characters that
//! nobody sees: zero width, direction marks, tags. Never used on file content that edits are
//! computed on. Running it twice changes nothing more.

/// Returns the text without control sequences and invisible characters.
pub fn sanitise(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    // A lone carriage return lets what follows overwrite the line.
    let mut returned = false;
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            '\r' => returned = true,
            '\n' => {
                returned = false;
                clean.push('\n');
            }
            '\u{8}' => {
                if clean.chars().next_back().is_some_and(|last| last != '\n') {
                    clean.pop();
                }
            }
            c if is_hidden(c) => {}
            c => {
                if returned {
                    returned = false;
                    clean.truncate(clean.rfind('\n').map_or(0, |at| at + 1));
                }
                clean.push(c);
            }
        }
    }
    clean
}

type Chars<'t> = std::iter::Peekable<std::str::Chars<'t>>;

fn skip_escape(chars: &mut Chars<'_>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            skip_string(chars);
        }
        // Two-character sequences, some with intermediate characters before the final one.
        Some(' '..='~') => {
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            chars.next_if(|c| ('0'..='~').contains(c));
        }
        _ => {}
    }
}

/// Parameters and intermediates, then one final character; a sequence that breaks off ends there.
fn skip_control_sequence(chars: &mut Chars<'_>) {
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

/// Up to BEL, string terminator or the end of the line, so that an unclosed one hides one line.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(&c) = chars.peek() {
        if c == '\n' {
            return;
        }
        chars.next();
        if c == '\u{7}' || c == '\u{9c}' {
            return;
        }
        if c == '\x1b' && chars.next_if_eq(&'\\').is_some() {
            return;
        }
    }
}

fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\t'
        || matches!(c,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_sequences_go() {
        for (text, clean) in [
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]52;c;aGk=\nnext", "\nnext"),
            ("\u{9b}2Ja", "a"),
            ("a\x1b(Bb\x1b=c", "abc"),
            ("\x1b\x1b[0m[31mx", "[31mx"),
            ("N\u{8}NA\u{8}A", "NA"),
            ("\u{8}a\n\u{8}b", "a\nb"),
            ("10%\r20%\rdone\r\nnext\r\n", "done\nnext\n"),
            ("end\r", "end"),
            ("a\u{200b}b\u{202e}c\u{e0041}d\u{feff}", "abcd"),
            ("tab\there\u{c}\0", "tab\there"),
            ("naïve 日本 🦀", "naïve 日本 🦀"),
        ] {
            assert_eq!(sanitise(text), clean, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "[\u{1b}\u{9b}\u{9d}\u{8}\r\n\u{7}\\\\\\]\\[a;0m\u{200b}]{0,40}|\\PC{0,20}|.{0,20}") {
            let once = sanitise(&text);
            prop_assert_eq!(sanitise(&once), once.clone());
            let clean = !once.contains(['\x1b', '\r', '\u{8}', '\u{200b}']);
            prop_assert!(clean);
        }
    }
}
