//! The Markdown of a file of cases: headings and fenced blocks with their lines; everything else is prose.
//!
//! CommonMark as far as it matters here: a fence has three or more backquotes or tildes, indented by at most three spaces,
//! and ends with a fence of the same kind that is at least as long.

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The words after the fence, and the column where they begin, from 1.
    pub info: String,
    /// Column of the first character of `info`.
    pub info_column: usize,
    /// The line of the opening fence, from 1.
    pub line: usize,
    /// What is between the fences, without their indentation.
    pub text: String,
    /// How far the block is indented.
    pub indent: usize,
    /// Is there a closing fence?
    pub closed: bool,
}

/// A heading or a block, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A heading: level 1 to 6, its text, its line.
    Heading(usize, String, usize),
    /// A fenced block.
    Block(Block),
}

/// All headings and blocks of a text.
#[must_use]
pub fn items(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((i, line)) = lines.next() {
        let body = line.trim_start_matches(' ');
        let indent = line.len() - body.len();
        if indent > 3 {
            continue;
        }
        if let Some((mark, length)) = fence(body) {
            let info = body[length..].trim();
            // Backquotes in the info string: that is inline code, not a fence.
            if mark == '`' && info.contains('`') {
                continue;
            }
            let info_column = line.find(info).filter(|_| !info.is_empty()).unwrap_or(line.len()) + 1;
            let (mut content, mut closed) = (String::new(), false);
            for (_, line) in lines.by_ref() {
                let inner = line.trim_start_matches(' ');
                let ends = fence(inner).is_some_and(|(m, n)| m == mark && n >= length && inner[n..].trim().is_empty());
                if ends && line.len() - inner.len() <= 3 {
                    closed = true;
                    break;
                }
                let spaces = (line.len() - inner.len()).min(indent);
                content.push_str(&line[spaces..]);
                content.push('\n');
            }
            let (info, line) = (info.to_owned(), i + 1);
            items.push(Item::Block(Block { info, info_column, line, text: content, indent, closed }));
        } else if let Some((level, title)) = heading(body) {
            items.push(Item::Heading(level, title, i + 1));
        }
    }
    items
}

fn fence(line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.bytes().take_while(|b| char::from(*b) == mark).count();
    (length >= 3).then_some((mark, length))
}

fn heading(line: &str) -> Option<(usize, String)> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let rest = &line[level..];
    let is = (1..=6).contains(&level) && (rest.is_empty() || rest.starts_with(' '));
    is.then(|| (level, rest.trim().trim_end_matches('#').trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_blocks_are_found_and_prose_and_inner_fences_are_not() {
        let text = "# One #\n\ntext ``` no\n```client a\nGET /\n# not a heading\n```\n````markdown\n```expect\n```\n````\n\
                    ## Two\n  ~~~advance 5s\n  ~~~\n```open\n";
        let found = items(text);
        let told: Vec<String> = found
            .iter()
            .map(|item| match item {
                Item::Heading(level, title, line) => format!("{line}:h{level} {title}"),
                Item::Block(b) => format!("{}:{}@{} {:?} {}", b.line, b.info, b.info_column, b.text, b.closed),
            })
            .collect();
        assert_eq!(
            told,
            [
                "1:h1 One",
                "4:client a@4 \"GET /\\n# not a heading\\n\" true",
                "8:markdown@5 \"```expect\\n```\\n\" true",
                "12:h2 Two",
                "13:advance 5s@6 \"\" true",
                "15:open@4 \"\" false",
            ]
        );
    }
}
