//! Pages that name their URL and carry a checksum: "URL\nSUM\nfiller". `soak.lua` verifies them the same way.

/// Of all bytes one after the other; small numbers, so that Lua counts the same.
fn sum(parts: &[&[u8]]) -> u64 {
    parts.iter().copied().flatten().fold(7, |sum, byte| (sum * 31 + u64::from(*byte)) % 2_147_483_647)
}

/// The page of a URL: always the same, and unlike that of any other.
pub(super) fn page(url: &str) -> Vec<u8> {
    let seed = sum(&[url.as_bytes()]);
    let length = if url.starts_with("/big/") { 300_000 } else { 100 + seed % 4000 };
    let filler: Vec<u8> =
        (0..length).map(|i| b'a' + u8::try_from((seed + i * (seed % 97 + 1)) % 26).unwrap_or(0)).collect();
    let mut page = format!("{url}\n{}\n", sum(&[url.as_bytes(), &filler])).into_bytes();
    page.extend(filler);
    page
}

/// Is it the page of that URL, whole and unharmed?
pub(super) fn verify(url: &str, body: &[u8]) -> Result<(), String> {
    let mut lines = body.splitn(3, |byte| *byte == b'\n');
    let (Some(of), Some(said), Some(filler)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(format!("{url}: no page, but {:?}", String::from_utf8_lossy(&body[..body.len().min(80)])));
    };
    if of != url.as_bytes() {
        return Err(format!("{url}: the page of {:?}", String::from_utf8_lossy(of)));
    }
    if said != sum(&[of, filler]).to_string().as_bytes() {
        return Err(format!("{url}: {} bytes with a wrong checksum", body.len()));
    }
    Ok(())
}

#[test]
fn a_page_is_known_by_its_url_and_its_bytes() {
    let good = page("/hit/1");
    assert_eq!(verify("/hit/1", &good), Ok(()));
    assert!(verify("/hit/2", &good).is_err());
    assert!(verify("/hit/1", &good[..good.len() - 1]).is_err());
    let mut harmed = good.clone();
    harmed[40] ^= 1;
    assert!(verify("/hit/1", &harmed).is_err());
}
