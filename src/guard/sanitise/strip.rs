//! Takes control sequences and invisible characters out of a text.
//!
//! Control sequences, overstrikes and progress bars drawn with carriage returns go without a trace;
//! where characters stood that nobody sees (zero width, direction marks, tags, variation selectors
//! that vary nothing), their number is told, because somebody wanted them unseen. One pass over the
//! text.

/// Returns the text without control sequences and with invisible characters counted.
pub fn strip(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    // A lone carriage return lets what follows overwrite the line.
    let mut returned = false;
    let mut hidden = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            '\r' => returned = true,
            '\n' => {
                returned = false;
                tell(&mut clean, &mut hidden);
                clean.push('\n');
            }
            '\u{8}' => {
                if clean.chars().next_back().is_some_and(|last| last != '\n') {
                    clean.pop();
                }
            }
            c if c.is_control() && c != '\t' => {}
            c if is_hidden(c)
                || is_selector(c) && (returned || hidden > 0 || ends_bare(&clean)) =>
            {
                hidden += 1;
            }
            c => {
                if returned {
                    returned = false;
                    clean.truncate(clean.rfind('\n').map_or(0, |at| at + 1));
                }
                tell(&mut clean, &mut hidden);
                clean.push(c);
            }
        }
    }
    tell(&mut clean, &mut hidden);
    clean
}

/// Writes down how many hidden characters were left out here.
fn tell(clean: &mut String, hidden: &mut usize) {
    if *hidden > 0 {
        clean.push_str(&format!("⟦{hidden} hidden⟧"));
        *hidden = 0;
    }
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
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e01ef}')
}

/// One of these says how the character before it is drawn; more of them say something else.
fn is_selector(c: char) -> bool {
    ('\u{fe00}'..='\u{fe0f}').contains(&c)
}

/// Whether a text ends with nothing that a selector could vary.
fn ends_bare(text: &str) -> bool {
    let bare = |last: char| is_selector(last) || last.is_whitespace() || last == '⟧';
    text.chars().next_back().is_none_or(bare)
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
            ("a\u{200b}b\u{202e}\u{e0041}c\u{feff}", "a⟦1 hidden⟧b⟦2 hidden⟧c⟦1 hidden⟧"),
            ("x\u{200b}\u{8}y\r\u{feff}z\n", "⟦1 hidden⟧z\n"),
            ("❤\u{fe0f} ok, a\u{fe00}\u{fe01}\u{fe02}b", "❤\u{fe0f} ok, a\u{fe00}⟦2 hidden⟧b"),
            ("\0k\0e\0y\0\n\0", "key\n"),
            ("tab\there\u{c}\0", "tab\there"),
            ("naïve 日本 🦀", "naïve 日本 🦀"),
        ] {
            assert_eq!(strip(text), clean, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "[\u{1b}\u{9b}\u{9d}\u{8}\r\n\u{7}\\\\\\]\\[a;0m\u{200b}\u{fe01}⟦⟧]{0,40}|\\PC{0,20}|.{0,20}") {
            let once = strip(&text);
            prop_assert_eq!(strip(&once), once.clone());
            let clean = !once.contains(['\x1b', '\r', '\u{8}', '\u{200b}']);
            prop_assert!(clean);
        }
    }
}
