//! Rust text without its comments and literals, and which lines are tests: enough to look for words.

/// `text` with comments and the insides of string and character literals blanked out; all lines stay where they are.
pub(crate) fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = literal_end(&chars, i);
        match end {
            Some(end) => {
                out.extend(chars[i..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
                i = end;
            }
            None => {
                out.push(chars[i]);
                i += 1;
            }
        }
    }
    out
}

/// Where the comment or literal that begins at `i` ends; none when none begins there.
fn literal_end(chars: &[char], i: usize) -> Option<usize> {
    let at = |n: usize| chars.get(n).copied().unwrap_or('\0');
    let from = |n: usize, stop: char| (n..chars.len()).find(|k| chars[*k] == stop).unwrap_or(chars.len());
    let word_before = i > 0 && is_word(chars[i - 1]);
    match (at(i), at(i + 1)) {
        ('/', '/') => Some(from(i, '\n')),
        ('/', '*') => Some(block_comment_end(chars, i)),
        ('"', _) => Some(string_end(chars, i)),
        ('r', '"' | '#') if !word_before || at(i - 1) == 'b' => raw_string_end(chars, i),
        ('\'', '\\') => Some(from(i + 3, '\'') + 1),
        // A lifetime has no closing quote one character on.
        ('\'', _) if at(i + 2) == '\'' => Some(i + 3),
        _ => None,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => {
                depth += 1;
                i += 2;
            }
            ('*', '/') => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes =
        |k: usize| chars[k] == '"' && chars[k + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    Some((open + 1..chars.len()).find(|k| closes(*k)).map_or(chars.len(), |k| k + 1 + hashes))
}

/// For each line of masked text, whether it belongs to an item under `#[cfg(test)]`.
pub(crate) fn test_lines(masked: &str) -> Vec<bool> {
    let mut marked = vec![false; masked.lines().count() + 1];
    let whole = masked.contains("#![cfg(test)]");
    let mut from = 0;
    while let Some(found) = masked[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = item_end(masked, start + "#[cfg(test)]".len());
        let first = masked[..start].matches('\n').count();
        let last = masked[..end].matches('\n').count();
        marked[first..=last].fill(true);
        from = end;
    }
    if whole {
        marked.fill(true);
    }
    marked
}

/// The end of the item that begins at `start`: its closing brace, or a semicolon before any brace.
fn item_end(masked: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (i, c) in masked[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return start + i + 1,
            '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return start + i + 1,
            _ => {}
        }
    }
    masked.len()
}

/// Byte positions of `word` in a line, not as a part of a longer identifier.
pub(crate) fn words<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = line[..*at].chars().next_back().is_some_and(is_word);
        let after = line[at + word.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
    words(line, word).next().is_some()
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_code_stays() {
        let text =
            "let a = \"x y\"; // c\n/* d /* e */ f */ let 'b = r#\"g \" h\"#; let c = '\\''; let l: &'a str = b\"i\";";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        for gone in ["x y", "// c", " d ", " e ", "f */", "g ", " h", "\\'", "i\""] {
            assert!(!masked.contains(gone), "{gone} in {masked}");
        }
        assert!(masked.contains("let a =") && masked.contains("&'a str"));
    }

    #[test]
    fn test_modules_are_known_to_their_end() {
        let masked = mask(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n#[cfg(test)]\nmod t;\nfn d() {}\n",
        );
        let marked = test_lines(&masked);
        assert_eq!(marked[..9], [false, true, true, true, true, false, true, true, false]);
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("use rhai::Engine", "rhai") && !has_word("rhai_like", "rhai"));
    }
}
