//! Texts with zeros in them, which PostgreSQL does not store.
//!
//! A zero is written as two characters, and so is the first of these, so that every text comes back
//! as it was and two that differ stay different. That first one is no character of any language:
//! <https://www.unicode.org/faq/private_use.html#noncharacters>.

pub(super) fn encoded(text: String) -> String {
    // A search for the first bytes of both is many times as fast as one for characters.
    if !text.bytes().any(|byte| byte == 0 || byte == ESCAPE_START) {
        return text;
    }
    text.replace(ESCAPE, "\u{10fffe}e").replace('\0', "\u{10fffe}0")
}

pub(super) fn decoded(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    text.replace("\u{10fffe}0", "\0").replace("\u{10fffe}e", "\u{10fffe}")
}

const ESCAPE: char = '\u{10fffe}';

/// Its first byte in UTF-8.
const ESCAPE_START: u8 = 0xf4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_stay_different() {
        let texts = ["", "plain", "\0", "a\0b\0", "\u{10fffe}", "\u{10fffe}0", "\u{10fffe}e\0e"];
        for text in texts {
            let stored = encoded(text.to_owned());
            assert!(!stored.contains('\0'));
            assert_eq!(decoded(stored), text);
        }
    }
}
