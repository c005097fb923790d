//! Sitemaps (sitemaps.org): the `<loc>` of a `<urlset>`, or of a `<sitemapindex>`, whose are sitemaps again.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Longest URL that the protocol allows is 2,048 characters; longer ones are none.
const LOC_MAX: usize = 8192;

/// What a sitemap holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sitemap {
    Urls(Vec<String>),
    /// URLs of sitemaps.
    Index(Vec<String>),
}

/// Reads a sitemap; at most `limit` URLs of it.
///
/// # Errors
/// What is wrong with it and where.
pub(super) fn parse(xml: &[u8], limit: usize) -> Result<Sitemap, String> {
    let mut reader = Reader::from_reader(xml);
    // The path of elements that we are in, by their names without prefix.
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut root: Option<bool> = None;
    let mut locs = Vec::new();
    let mut text: Option<String> = None;
    loop {
        let at = |reader: &Reader<&[u8]>, what: String| {
            let here = usize::try_from(reader.buffer_position()).unwrap_or(0).min(xml.len());
            format!("line {}: {what}", xml[..here].iter().filter(|b| **b == b'\n').count() + 1)
        };
        match reader.read_event() {
            Err(error) => return Err(at(&reader, format!("this is no well-formed XML: {error}"))),
            Ok(Event::Start(tag)) => {
                let name = tag.local_name().as_ref().to_vec();
                if path.is_empty() {
                    root = match name.as_slice() {
                        b"urlset" => Some(false),
                        b"sitemapindex" => Some(true),
                        _ => {
                            let name = String::from_utf8_lossy(&name).into_owned();
                            return Err(at(
                                &reader,
                                format!(
                                    "this is no sitemap: it begins with <{name}>, not with <urlset> or <sitemapindex>"
                                ),
                            ));
                        }
                    };
                }
                // A <loc> of an extension (images, videos) stands one level deeper, and under another name.
                if name == b"loc" && path.len() == 2 {
                    text = Some(String::new());
                }
                path.push(name);
                if path.len() > 16 {
                    return Err(at(&reader, "elements are nested deeper than any sitemap's".to_owned()));
                }
            }
            Ok(Event::End(_)) => {
                if path.pop().as_deref() == Some(b"loc")
                    && let Some(found) = text.take()
                {
                    let found = found.trim();
                    if !found.is_empty() && found.len() <= LOC_MAX && locs.len() < limit {
                        locs.push(found.to_owned());
                    }
                }
            }
            Ok(Event::Text(part)) => {
                if let Some(text) = &mut text {
                    let part = part.decode().map_err(|error| at(&reader, error.to_string()))?;
                    text.push_str(&part);
                }
            }
            Ok(Event::CData(part)) => {
                if let Some(text) = &mut text {
                    text.push_str(&String::from_utf8_lossy(&part));
                }
            }
            Ok(Event::GeneralRef(entity)) => {
                if let Some(text) = &mut text {
                    let known = match &*entity {
                        b"amp" => Some('&'),
                        b"lt" => Some('<'),
                        b"gt" => Some('>'),
                        b"quot" => Some('"'),
                        b"apos" => Some('\''),
                        _ => entity.resolve_char_ref().ok().flatten(),
                    };
                    // Entities of a DTD are not expanded: what they can grow to has no bound.
                    text.push(known.ok_or_else(|| {
                        let name = String::from_utf8_lossy(&entity).into_owned();
                        at(&reader, format!("the entity &{name}; is not known"))
                    })?);
                }
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
        }
    }
    if !path.is_empty() {
        return Err("it is cut off: elements are still open at its end".to_owned());
    }
    match root {
        Some(false) => Ok(Sitemap::Urls(locs)),
        Some(true) => Ok(Sitemap::Index(locs)),
        None => Err("there is no element in it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_indexes_are_read_with_their_entities_and_without_extensions() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
 <url><loc> http://a.example/?a=1&amp;b=&#50; </loc><lastmod>2026-01-01</lastmod>
  <image:image><image:loc>http://a.example/picture.jpg</image:loc></image:image></url>
 <url><loc><![CDATA[http://a.example/c]]></loc></url><url><loc/></url>
</urlset>"#;
        let urls = vec!["http://a.example/?a=1&b=2".to_owned(), "http://a.example/c".to_owned()];
        assert_eq!(parse(xml, 10), Ok(Sitemap::Urls(urls.clone())));
        assert_eq!(parse(xml, 1), Ok(Sitemap::Urls(urls[..1].to_vec())));
        let xml = b"<sitemapindex><sitemap><loc>http://a/1.xml.gz</loc></sitemap></sitemapindex>";
        assert_eq!(parse(xml, 10), Ok(Sitemap::Index(vec!["http://a/1.xml.gz".to_owned()])));
    }

    #[test]
    fn what_is_none_is_said_with_its_line() {
        for (xml, why) in [
            (&b"<html>\n</html>"[..], "line 1: this is no sitemap: it begins with <html>"),
            (b"<urlset>\n<url><loc>x</url>\n</urlset>", "line 2: this is no well-formed XML"),
            (b"<urlset><url>", "it is cut off"),
            (
                b"<!DOCTYPE x [<!ENTITY a 'b'>]><urlset><url><loc>&a;</loc></url></urlset>",
                "the entity &a; is not known",
            ),
            (b"", "there is no element in it"),
        ] {
            let said = parse(xml, 10).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let deep = [b"<urlset>".to_vec(), b"<a>".repeat(100)].concat();
        assert!(parse(&deep, 10).unwrap_err().contains("nested deeper"));
    }
}
