// SPDX-License-Identifier: MIT OR Apache-2.0
//! Older lines from a service's log file, and from the old files beside it, packed or not.
//!
//! A file has the bytes as the service wrote them: no time, no run. Decides where the lines end
//! that the daemon has in memory, too: it looks for the first of them from the end. It never
//! follows a link and reads only as many files as it needs.

use super::failure::Failure;
use crate::wire::LogLine;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use std::fs;
use std::io;

/// Bytes read of one file, unpacked.
const FILE_MAX: usize = 256 << 20;
/// Old files that are looked for.
const FILES_MAX: u32 = 1000;
/// Lines beyond twice those in memory in which their place is looked for.
const FAR: usize = 10_000;
/// Lines that are compared to find a place.
const COMPARED: usize = 8;

/// What a file adds to the lines in memory.
#[derive(Debug, Default)]
pub(crate) struct Older {
    /// Lines to be shown first.
    pub(crate) lines: Vec<String>,
    /// So many of the newest lines in memory follow; those before are among the others.
    pub(crate) kept: Option<usize>,
}

/// The last lines of the file that are wanted, so that there are `most` with those in memory.
///
/// Memory forgets each stream by itself: old lines of a quiet one may stand before a hole. So the
/// two are compared from their ends, as far back as they are the same.
pub(crate) fn before(
    path: &str,
    kept: &[LogLine],
    (most, wanted): (usize, &dyn Fn(&str) -> bool),
) -> Result<Older, Failure> {
    let whole = whole_lines(kept);
    let mut lines: Vec<String> = Vec::new();
    let mut older = Older::default();
    for number in 0..=FILES_MAX {
        let bytes = match read(path, number) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if number > 0 => break,
            Ok(None) => continue,
            Err(error) => return Err(unreadable(path, &error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        lines.splice(0..0, text.lines().map(str::to_owned));
        let Some(end) = end_of(&whole, &lines) else {
            // What is in memory has just been written, or somebody else writes there, too.
            if lines.len() > whole.len() * 2 + FAR {
                break;
            }
            continue;
        };
        let same = lines[..end].iter().rev().zip(whole.iter().rev());
        let same = same.take_while(|(a, (b, _))| *a == b).count();
        older.kept = Some(whole[whole.len() - same..].iter().map(|(_, n)| n).sum());
        let shown = whole[whole.len() - same..].iter();
        let shown = shown.filter(|(line, _)| wanted(line)).count();
        let most = most.saturating_sub(shown);
        let before = lines[..end - same].iter().filter(|line| wanted(line));
        older.lines = before.cloned().collect();
        if older.lines.len() >= most {
            older.lines.drain(..older.lines.len() - most);
            break;
        }
    }
    Ok(older)
}

fn unreadable(path: &str, error: &io::Error) -> Failure {
    Failure::Usage {
        doing: "show all of them".to_owned(),
        reason: format!("older lines are in {path}: {error}"),
        instead: "supctl logs -f, which needs no file, or be the user that supd is".to_owned(),
    }
}

/// Pieces of long lines put together, with how many pieces each had.
fn whole_lines(kept: &[LogLine]) -> Vec<(String, usize)> {
    let mut whole: Vec<(String, usize)> = Vec::new();
    let mut goes_on = false;
    for line in kept {
        match whole.last_mut().filter(|_| goes_on) {
            Some((text, pieces)) => {
                text.push_str(&line.text);
                *pieces += 1;
            }
            None => whole.push((line.text.clone(), 1)),
        }
        goes_on = line.cut;
    }
    whole
}

/// Where in the file the newest lines in memory end; `None`: nowhere. As many of them as possible
/// decide, for one line alone may stand there often.
fn end_of(kept: &[(String, usize)], lines: &[String]) -> Option<usize> {
    if kept.is_empty() {
        return Some(lines.len());
    }
    (1..=kept.len().min(COMPARED)).rev().find_map(|count| {
        let last = &kept[kept.len() - count..];
        let is_last = |window: &[String]| window.iter().zip(last).all(|(a, (b, _))| a == b);
        let place = lines.windows(count).rposition(is_last)?;
        Some(place + count)
    })
}

/// The file itself (0) or an old one; `None`: there is none.
fn read(path: &str, number: u32) -> io::Result<Option<Vec<u8>>> {
    if number == 0 {
        return plain(path);
    }
    let old = format!("{path}.{number}");
    if let Some(bytes) = plain(&old)? {
        return Ok(Some(bytes));
    }
    let packed = plain(&format!("{old}.gz"))?;
    Ok(packed.and_then(|bytes| unpack(&bytes)))
}

fn plain(path: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() <= FILE_MAX as u64 => fs::read(path).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is in a gzip file (RFC 1952); `None` when it is none, or more than anybody reads.
fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECK: u8 = 2;
    let (head, mut rest) = bytes.split_at_checked(10)?;
    let flags = *head.get(3)?;
    if head[..3] != [0x1f, 0x8b, 8] {
        return None;
    }
    if flags & EXTRA != 0 {
        let length = usize::from(u16::from_le_bytes([*rest.first()?, *rest.get(1)?]));
        rest = rest.get(2 + length..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & CHECK != 0 {
        rest = rest.get(2..)?;
    }
    decompress_to_vec_with_limit(rest, FILE_MAX).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn line(text: &str, cut: bool) -> LogLine {
        LogLine {
            text: text.to_owned(),
            cut,
            ..LogLine::default()
        }
    }

    fn kept(texts: &[&str]) -> Vec<LogLine> {
        texts.iter().map(|text| line(text, false)).collect()
    }

    fn file(name: &str, files: &[(&str, &str)]) -> String {
        let dir = std::env::temp_dir().join(format!("supctl-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        for (file, text) in files {
            fs::write(dir.join(file), text).expect("written");
        }
        dir.join("l").display().to_string()
    }

    fn look(path: &str, texts: &[&str], most: usize) -> (Vec<String>, Option<usize>) {
        let older = before(path, &kept(texts), (most, &|_| true)).expect("readable");
        (older.lines, older.kept)
    }

    #[test]
    fn a_file_and_those_before_it_go_on_where_memory_ends() {
        let path = file("older", &[("l", "c\nd\ne\n"), ("l.1", "a\nb\n")]);
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(look(&path, &["d", "e"], 4), (texts(&["b", "c"]), Some(2)));
        assert_eq!(look(&path, &["d", "e"], 2), (texts(&[]), Some(2)));
        assert_eq!(look(&path, &["b", "c", "d"], 9), (texts(&["a"]), Some(3)));
        // `a` is what is left of a quiet stream; what stood between is forgotten.
        assert_eq!(
            look(&path, &["a", "d", "e"], 9),
            (texts(&["a", "b", "c"]), Some(2))
        );
        assert_eq!(look(&path, &[], 2), (texts(&["d", "e"]), Some(0)));
        assert_eq!(
            look(&path, &["x"], 9),
            (texts(&[]), None),
            "not written yet"
        );
        assert_eq!(look("/nonexistent/l", &["x"], 9), (texts(&[]), None));
        let dir = Path::new(&path).parent().expect("a directory");
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn pieces_of_a_long_line_are_one() {
        let kept = [line("ab", true), line("cd", false), line("e", false)];
        let whole = [("abcd".to_owned(), 2), ("e".to_owned(), 1)];
        assert_eq!(whole_lines(&kept), whole);
    }

    #[test]
    fn what_is_no_gzip_file_is_nothing() {
        assert_eq!(unpack(b"short"), None);
        assert_eq!(unpack(&[0; 40]), None);
        let name = [
            &[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3][..],
            b"a.log\0",
            &[1, 1, 0, 254, 255, b'x'],
        ];
        assert_eq!(unpack(&name.concat()), Some(b"x".to_vec()));
    }
}
