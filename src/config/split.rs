// SPDX-License-Identifier: MIT OR Apache-2.0
//! Splitting a command string into words, as a shell would, without a shell.
//!
//! What only a shell could do is refused here, never passed on as if it were a word: `a | b` must
//! not become a program `a` with the arguments `|` and `b`.

/// Why a string is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Something only a shell does, at this byte.
    Shell(String),
    /// A quote that is not closed.
    Quote(char),
    /// A backslash at the end.
    Backslash,
    /// No word at all.
    Empty,
}

/// Splits `text`. `${V}` and `$$` are left for interpolation, word by word.
pub(super) fn words(text: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                None => return Err(Fault::Backslash),
                // A continued line, as in sh(1).
                Some('\n') => {}
                Some('$') => word.get_or_insert_default().push_str("$$"),
                Some(c) => word.get_or_insert_default().push(c),
            },
            '$' => dollar(&mut chars, word.get_or_insert_default())?,
            '|' | '&' | ';' | '<' | '>' | '`' | '(' | ')' => {
                let twice = matches!(c, '|' | '&' | '<' | '>') && chars.peek() == Some(&c);
                return Err(Fault::Shell(if twice {
                    format!("{c}{c}")
                } else {
                    c.into()
                }));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() {
        return Err(Fault::Empty);
    }
    Ok(words)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(chars: &mut Chars<'_>, word: &mut String) -> Result<(), Fault> {
    for c in chars.by_ref() {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err(Fault::Quote('\''))
}

fn double_quoted(chars: &mut Chars<'_>, word: &mut String) -> Result<(), Fault> {
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '`' => return Err(Fault::Shell("`".to_owned())),
            '$' => dollar(chars, word)?,
            '\\' => match chars.next() {
                None => return Err(Fault::Backslash),
                Some('\n') => {}
                Some('$') => word.push_str("$$"),
                Some(c @ ('`' | '"' | '\\')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
    Err(Fault::Quote('"'))
}

/// After a `$`: `${V…}` and `$$` are ours and kept for later, `$X` and `$(…)` are a shell's.
fn dollar(chars: &mut Chars<'_>, word: &mut String) -> Result<(), Fault> {
    match chars.peek().copied() {
        Some('{') => {
            word.push('$');
            // A default may have spaces in it: the braces hold the word together.
            for c in chars.by_ref() {
                word.push(c);
                if c == '}' {
                    break;
                }
            }
            Ok(())
        }
        Some('$') => {
            chars.next();
            word.push_str("$$");
            Ok(())
        }
        Some(c) if c.is_ascii_alphanumeric() || matches!(c, '_' | '(' | '@' | '*' | '#' | '?') => {
            let tail = chars.clone();
            let name = tail.take_while(|c| c.is_ascii_alphanumeric() || *c == '_');
            let name: String = name.collect();
            let shown = if name.is_empty() { c.to_string() } else { name };
            Err(Fault::Shell(format!("${shown}")))
        }
        _ => {
            word.push('$');
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_would() {
        for (text, expected) in [
            (
                "nginx -g 'daemon off;'",
                &["nginx", "-g", "daemon off;"][..],
            ),
            ("a  b\tc\n d", &["a", "b", "c", "d"]),
            (r#"a "b \"c\" \n" d\ e"#, &["a", r#"b "c" \n"#, "d e"]),
            ("save ''", &["save", ""]),
            ("a'b'\"c\"d", &["abcd"]),
            ("x ${A:-b c}/y $$HOME", &["x", "${A:-b c}/y", "$$HOME"]),
            ("~/bin/x ~", &["~/bin/x", "~"]),
        ] {
            assert_eq!(
                words(text).as_deref(),
                Ok(expected.map_strings().as_slice()),
                "{text}"
            );
        }
    }

    trait MapStrings {
        fn map_strings(&self) -> Vec<String>;
    }
    impl MapStrings for [&str] {
        fn map_strings(&self) -> Vec<String> {
            self.iter().map(|s| (*s).to_owned()).collect()
        }
    }

    #[test]
    fn what_only_a_shell_does_is_refused() {
        for (text, what) in [
            ("a | b", "|"),
            ("a && b", "&&"),
            ("a & ", "&"),
            ("a > f", ">"),
            ("a < f", "<"),
            ("a; b", ";"),
            ("echo $HOME", "$HOME"),
            ("echo \"$HOME\"", "$HOME"),
            ("echo `id`", "`"),
            ("echo $(id)", "$("),
            ("(a)", "("),
        ] {
            assert_eq!(words(text), Err(Fault::Shell(what.into())), "{text}");
        }
    }

    #[test]
    fn a_command_needs_a_word_and_closed_quotes() {
        assert_eq!(words("  "), Err(Fault::Empty));
        assert_eq!(words("a 'b"), Err(Fault::Quote('\'')));
        assert_eq!(words("a \"b"), Err(Fault::Quote('"')));
        assert_eq!(words("a \\"), Err(Fault::Backslash));
    }
}
