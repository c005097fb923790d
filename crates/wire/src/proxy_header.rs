//! The PROXY protocol from clients (proxy-protocol.txt, versions 1 and 2): what a proxy in front says of a connection before
//! its first request.
//!
//! ```text
//! v1  PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n            PROXY UNKNOWN …\r\n     at most 107 bytes
//! v2  signature (12) · version and command · family and transport · length (2) · addresses · TLVs: type, length (2), value
//! ```
//!
//! Invariants: what a header means does not depend on how it arrives; a header that is not whole is never acted on; nothing is
//! guessed. What a newer sender may add (types of TLVs) is skipped, what contradicts the specification is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;

/// What version 2 begins with (section 2.2).
pub const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with (section 2.1).
pub const V1_SIGNATURE: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, with its CRLF (section 2.1).
pub const V1_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is taken: addresses need 232 bytes, what HAProxy tells of TLS a few hundred, and a
/// client's whole certificate (PP2_SUBTYPE_SSL_CLIENT_CERT) two to four thousand. The format would allow 65,551.
pub const V2_BYTES_MAX: usize = 8 * 1024;

/// Signature, version and command, family and transport, length.
const V2_FIXED: usize = 16;

/// What is wrong with a header. All of it is the fault of what connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProxyHeaderError {
    /// There is something else.
    #[error("there is no PROXY header")]
    Missing,
    /// A line of version 1 that is not as section 2.1 has it.
    #[error("version 1: {0}")]
    V1(&'static str),
    /// Bytes of version 2 that are not as section 2.2 has them.
    #[error("version 2: {0}")]
    V2(&'static str),
    /// Longer than is taken.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// The checksum that it carries is another than that of its bytes (section 2.2.4).
    #[error("version 2: the checksum is wrong")]
    Checksum,
}

/// A header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader<'a> {
    /// From where and to where the client connected; `None` where the header does not say (`LOCAL`, `UNKNOWN`, a Unix socket): then
    /// the connection's own addresses are meant. IPv4 addresses in IPv6 form are given as IPv4.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// What else it says.
    pub told: Told<'a>,
}

/// What a header of version 2 says beside the addresses (section 2.2.1), as the bytes that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told<'a> {
    /// PP2_TYPE_ALPN: the protocol chosen in the handshake of TLS.
    pub alpn: Option<&'a [u8]>,
    /// PP2_TYPE_AUTHORITY: the host that the client named in it.
    pub authority: Option<&'a [u8]>,
    /// PP2_TYPE_SSL.
    pub ssl: Option<Ssl<'a>>,
}

/// What it says of TLS (section 2.2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// The client came over TLS.
    pub ssl: bool,
    /// It showed a certificate on this connection.
    pub cert_conn: bool,
    /// It showed one in the session that the connection belongs to.
    pub cert_sess: bool,
    /// 0 when the certificate was verified.
    pub verify: u32,
    /// Such as `TLSv1.3`.
    pub version: Option<&'a [u8]>,
    /// The common name of the client's certificate.
    pub cn: Option<&'a [u8]>,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: Option<&'a [u8]>,
    /// With what the certificate that the proxy has shown is signed, such as `RSA-SHA256`.
    pub sig_alg: Option<&'a [u8]>,
    /// The key of that certificate, such as `RSA2048`.
    pub key_alg: Option<&'a [u8]>,
}

/// Do these bytes begin with what only a PROXY header begins with?
#[must_use]
pub fn is_proxy_header(buf: &[u8]) -> bool {
    buf.starts_with(V1_SIGNATURE) || buf.starts_with(V2_SIGNATURE)
}

/// Reads the header that `buf` begins with, and tells how many bytes it is; `None` when more are needed to tell.
///
/// # Errors
/// As soon as it is sure that there is none, or none that is taken.
///
/// ```
/// let (header, len) = copal_wire::proxy_header::parse(b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\nGET /").unwrap().unwrap();
/// assert_eq!(header.ends.unwrap().0, "192.0.2.1:4711".parse().unwrap());
/// assert_eq!(len, 44);
/// ```
pub fn parse(buf: &[u8]) -> Result<Option<(ProxyHeader<'_>, usize)>, ProxyHeaderError> {
    let begins = |signature: &[u8]| buf.iter().zip(signature).all(|(a, b)| a == b);
    if begins(V1_SIGNATURE) {
        return if buf.len() < V1_SIGNATURE.len() { Ok(None) } else { v1(buf) };
    }
    if begins(V2_SIGNATURE) {
        return if buf.len() < V2_FIXED { Ok(None) } else { v2(buf) };
    }
    Err(ProxyHeaderError::Missing)
}

fn v1(buf: &[u8]) -> Result<Option<(ProxyHeader<'_>, usize)>, ProxyHeaderError> {
    let line = &buf[..buf.len().min(V1_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return if line.len() < V1_BYTES_MAX { Ok(None) } else { Err(ProxyHeaderError::TooLarge(V1_BYTES_MAX)) };
    };
    let text = line[..end].strip_suffix(b"\r").ok_or(ProxyHeaderError::V1("the line does not end with CRLF"))?;
    let text = &text[V1_SIGNATURE.len()..];
    // "the receiver must ignore anything presented before the CRLF is found", section 2.1.
    if text == b"UNKNOWN" || text.starts_with(b"UNKNOWN ") {
        return Ok(Some((ProxyHeader::default(), end + 1)));
    }
    let text = std::str::from_utf8(text).map_err(|_| ProxyHeaderError::V1("an address is malformed"))?;
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(ProxyHeaderError::V1("too few words"));
    let (family, from, to, from_port, to_port) = (word()?, word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(ProxyHeaderError::V1("too many words"));
    }
    let ip = |text: &str| {
        let ip = match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => return Err(ProxyHeaderError::V1("the protocol is none of TCP4, TCP6 and UNKNOWN")),
        };
        ip.ok_or(ProxyHeaderError::V1("an address is malformed"))
    };
    let (from, to) = (ip(from)?, ip(to)?);
    let ends = (end_of(from, port(from_port)?), end_of(to, port(to_port)?));
    Ok(Some((ProxyHeader { ends: Some(ends), told: Told::default() }, end + 1)))
}

/// Decimal, without leading zeros (section 2.1).
fn port(text: &str) -> Result<u16, ProxyHeaderError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(ProxyHeaderError::V1("a port is malformed"))
}

/// An access list must see one form of an address.
fn end_of(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

fn v2(buf: &[u8]) -> Result<Option<(ProxyHeader<'_>, usize)>, ProxyHeaderError> {
    let (command, family) = (buf[12], buf[13]);
    let len = V2_FIXED + usize::from(u16::from_be_bytes([buf[14], buf[15]]));
    if command >> 4 != 2 {
        return Err(ProxyHeaderError::V2("the version is not 2"));
    }
    if command & 0xf > 1 {
        return Err(ProxyHeaderError::V2("the command is neither LOCAL nor PROXY"));
    }
    if len > V2_BYTES_MAX {
        return Err(ProxyHeaderError::TooLarge(V2_BYTES_MAX));
    }
    let Some(whole) = buf.get(..len) else { return Ok(None) };
    // "the receiver must … discard the protocol block including the family", section 2.2.
    if command & 0xf == 0 {
        return Ok(Some((ProxyHeader::default(), len)));
    }
    let block = &whole[V2_FIXED..];
    let short = ProxyHeaderError::V2("it is too short for its addresses");
    // Family and transport; over a stream there is nothing but streams. "Receivers should drop connections presenting unexpected values."
    let (ends, tlvs) = match family {
        0x00 => (None, block),
        0x11 => {
            let (from, rest) = block.split_first_chunk::<4>().ok_or(short)?;
            let (to, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
            ends((*from).into(), (*to).into(), rest).ok_or(short)?
        }
        0x21 => {
            let (from, rest) = block.split_first_chunk::<16>().ok_or(short)?;
            let (to, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            ends((*from).into(), (*to).into(), rest).ok_or(short)?
        }
        // Two paths of 108 bytes: names on the sender's machine, which mean nothing here.
        0x31 => (None, block.get(216..).ok_or(short)?),
        _ => return Err(ProxyHeaderError::V2("the family is none of TCP4, TCP6, UNIX and UNSPEC")),
    };
    Ok(Some((ProxyHeader { ends, told: told(whole, tlvs)? }, len)))
}

type Ends = Option<(SocketAddr, SocketAddr)>;

/// The ports that come behind the addresses, and what is left.
fn ends(from: IpAddr, to: IpAddr, rest: &[u8]) -> Option<(Ends, &[u8])> {
    let (ports, rest) = rest.split_first_chunk::<4>()?;
    let (a, b) = (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]]));
    Some((Some((end_of(from, a), end_of(to, b))), rest))
}

/// One by one: type and value.
fn next<'a>(tlvs: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, ProxyHeaderError> {
    if tlvs.is_empty() {
        return Ok(None);
    }
    let short = ProxyHeaderError::V2("a TLV ends beyond the header");
    let ([kind, high, low], rest) = tlvs.split_first_chunk::<3>().ok_or(short)?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))).ok_or(short)?;
    *tlvs = rest;
    Ok(Some((*kind, value)))
}

/// Which of two is meant nobody could say.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), ProxyHeaderError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ProxyHeaderError::V2("a TLV is there twice")),
    }
}

fn told<'a>(whole: &[u8], mut tlvs: &'a [u8]) -> Result<Told<'a>, ProxyHeaderError> {
    let mut told = Told::default();
    let mut sum = None;
    while let Some((kind, value)) = next(&mut tlvs)? {
        match kind {
            0x01 => once(&mut told.alpn, value)?,
            0x02 => once(&mut told.authority, value)?,
            0x03 => {
                let value: [u8; 4] = value.try_into().map_err(|_| ProxyHeaderError::V2("a checksum has four bytes"))?;
                // Where it stands: what is left begins right behind it, and both end with the header.
                let at = whole.len() - tlvs.len() - 4;
                once(&mut sum, (at, u32::from_be_bytes(value)))?;
            }
            0x20 => once(&mut told.ssl, ssl(value)?)?,
            // NOOP, UNIQUE_ID, NETNS, and what is not known here.
            _ => {}
        }
    }
    match sum {
        // "calculated with the checksum field itself at zero", section 2.2.4.
        Some((at, sum)) if crc32c(&[&whole[..at], &[0; 4], &whole[at + 4..]]) != sum => Err(ProxyHeaderError::Checksum),
        _ => Ok(told),
    }
}

fn ssl(value: &[u8]) -> Result<Ssl<'_>, ProxyHeaderError> {
    let short = ProxyHeaderError::V2("what it says of TLS is too short");
    let (fixed, mut tlvs) = value.split_first_chunk::<5>().ok_or(short)?;
    let flag = |bit: u8| fixed[0] & bit != 0;
    let mut ssl = Ssl {
        ssl: flag(1),
        cert_conn: flag(2),
        cert_sess: flag(4),
        verify: u32::from_be_bytes([fixed[1], fixed[2], fixed[3], fixed[4]]),
        ..Ssl::default()
    };
    while let Some((kind, value)) = next(&mut tlvs)? {
        match kind {
            0x21 => once(&mut ssl.version, value)?,
            0x22 => once(&mut ssl.cn, value)?,
            0x23 => once(&mut ssl.cipher, value)?,
            0x24 => once(&mut ssl.sig_alg, value)?,
            0x25 => once(&mut ssl.key_alg, value)?,
            _ => {}
        }
    }
    Ok(ssl)
}

/// CRC-32C (RFC 9260, appendix A), reflected.
const CRC32C: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// The checksum of these bytes, one behind the other.
#[must_use]
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    !parts.iter().flat_map(|part| part.iter()).fold(!0, |crc, b| (crc >> 8) ^ CRC32C[usize::from(crc as u8 ^ b)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> ProxyHeader<'_> {
        let (header, len) = parse(bytes).expect("well-formed").expect("whole");
        assert_eq!(len, bytes.len());
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "the first {end} bytes");
        }
        header
    }

    fn text(line: &str) -> Option<(String, String)> {
        whole(line.as_bytes()).ends.map(|(a, b)| (a.to_string(), b.to_string()))
    }

    /// A header of version 2 with that command and family.
    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let len = u16::try_from(block.len()).expect("short").to_be_bytes();
        [&V2_SIGNATURE[..], &[command, family], &len, block].concat()
    }

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind], &u16::try_from(value.len()).expect("short").to_be_bytes()[..], value].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];

    #[test]
    fn version_1_tells_both_ends() {
        let ends = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(text("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"), ends("192.0.2.1:4711", "198.51.100.1:443"));
        assert_eq!(text("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), ends("[2001:db8::1]:0", "[::1]:65535"));
        assert_eq!(text("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), ends("192.0.2.1:1", "[::1]:2"));
        assert_eq!(text("PROXY UNKNOWN\r\n"), None);
        assert_eq!(text("PROXY UNKNOWN ffff:f:f \x01 anything 9999999\r\n"), None);
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX - 16));
        assert_eq!((longest.len(), text(&longest)), (V1_BYTES_MAX, None));
    }

    #[test]
    fn a_line_that_is_not_quite_version_1_is_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443 \r\n",
            "PROXY  TCP4 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 +443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 0443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1  443\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 192.0.2 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 ::1 ::1 4711 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 4711 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY tcp4 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY \r\n",
            "PROXY TCP4 192.0.2.\u{661} 198.51.100.1 4711 443\r\n",
        ] {
            assert!(matches!(parse(line.as_bytes()), Err(ProxyHeaderError::V1(_))), "{line:?}");
        }
        let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert_eq!(parse(&endless[..106]), Ok(None));
        assert_eq!(parse(&endless[..107]), Err(ProxyHeaderError::TooLarge(V1_BYTES_MAX)));
        assert_eq!(parse(&endless), Err(ProxyHeaderError::TooLarge(V1_BYTES_MAX)));
    }

    #[test]
    fn what_is_no_header_is_known_by_its_first_byte_that_differs() {
        for text in ["G", "GET / HTTP/1.1\r\n\r\n", "PROXX", "PROXY\t", "proxy ", "\r\n\r\n\r", "\r\n\r\nG", "\n", "\0"]
        {
            assert_eq!(parse(text.as_bytes()), Err(ProxyHeaderError::Missing), "{text:?}");
        }
        assert_eq!(parse(b""), Ok(None));
    }

    #[test]
    fn version_2_tells_both_ends() {
        let bytes = binary(0x21, 0x11, &IPV4);
        let ends = whole(&bytes).ends.expect("told");
        assert_eq!((ends.0.to_string(), ends.1.to_string()), ("192.0.2.1:4711".into(), "198.51.100.1:443".into()));
        let mut block = [0; 36];
        block[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        (block[15], block[31], block[33], block[35]) = (1, 1, 9, 80);
        let bytes = binary(0x21, 0x21, &block);
        let ends = whole(&bytes).ends.expect("told");
        assert_eq!((ends.0.to_string(), ends.1.to_string()), ("[2001:db8::1]:9".into(), "[::1]:80".into()));
    }

    #[test]
    fn without_addresses_the_connections_own_are_meant() {
        let alpn = tlv(1, b"h2");
        for (command, family, block, told) in [
            (0x20, 0x00, vec![], None),
            // LOCAL: the block means nothing, whatever it is.
            (0x20, 0x11, vec![1, 2, 3], None),
            (0x20, 0xff, alpn.clone(), None),
            (0x21, 0x00, vec![], None),
            (0x21, 0x00, alpn.clone(), Some(&b"h2"[..])),
            (0x21, 0x31, [&[b'/'; 216][..], &alpn].concat(), Some(&b"h2"[..])),
        ] {
            let bytes = binary(command, family, &block);
            let header = whole(&bytes);
            assert_eq!((header.ends, header.told.alpn), (None, told), "{command:x} {family:x}");
        }
    }

    #[test]
    fn bytes_that_are_not_quite_version_2_are_refused() {
        let with = |tlvs: &[u8]| binary(0x21, 0x11, &[&IPV4[..], tlvs].concat());
        for bytes in [
            binary(0x11, 0x11, &IPV4),
            binary(0x31, 0x11, &IPV4),
            binary(0x22, 0x11, &IPV4),
            binary(0x21, 0x12, &IPV4),
            binary(0x21, 0x10, &IPV4),
            binary(0x21, 0x01, &IPV4),
            binary(0x21, 0x41, &IPV4),
            binary(0x21, 0x11, &IPV4[..11]),
            binary(0x21, 0x21, &IPV4),
            binary(0x21, 0x31, &[0; 215]),
            with(&[1]),
            with(&[1, 0]),
            with(&[1, 0, 3, b'h', b'2']),
            with(&[tlv(1, b"h2"), tlv(1, b"h2")].concat()),
            with(&tlv(3, &[0; 3])),
            with(&tlv(0x20, &[1, 0, 0, 0])),
            with(&tlv(0x20, &[1, 0, 0, 0, 0, 0x21, 0, 1])),
            with(&tlv(0x20, &[&[1, 0, 0, 0, 0], &tlv(0x22, b"a")[..], &tlv(0x22, b"b")].concat())),
        ] {
            assert!(matches!(parse(&bytes), Err(ProxyHeaderError::V2(_))), "{bytes:?}: {:?}", parse(&bytes));
        }
        assert_eq!(parse(&with(&tlv(3, &[0; 4]))), Err(ProxyHeaderError::Checksum));
    }

    #[test]
    fn a_header_is_too_large_as_soon_as_its_length_is_known() {
        let most = binary(0x21, 0x00, &tlv(4, &vec![0; V2_BYTES_MAX - V2_FIXED - 3]));
        assert_eq!(most.len(), V2_BYTES_MAX);
        assert!(matches!(parse(&most), Ok(Some((_, V2_BYTES_MAX)))));
        let more = binary(0x21, 0x00, &tlv(4, &vec![0; V2_BYTES_MAX - V2_FIXED - 2]));
        assert_eq!(parse(&more[..16]), Err(ProxyHeaderError::TooLarge(V2_BYTES_MAX)));
    }

    #[test]
    fn tls_is_told_in_a_tlv_of_tlvs() {
        let inner: Vec<u8> = [
            (0x21, "TLSv1.3"),
            (0x22, "anna\0.example"),
            (0x23, "AES"),
            (0x24, "SHA256"),
            (0x25, "RSA2048"),
            (0x26, "x"),
        ]
        .iter()
        .flat_map(|(kind, value)| tlv(*kind, value.as_bytes()))
        .collect();
        let ssl = tlv(0x20, &[&[0x05, 0, 0, 0, 18][..], &inner].concat());
        let tlvs =
            [tlv(1, b"h2"), tlv(2, b"shop.example"), tlv(4, b"pad"), tlv(5, b"id"), tlv(0xe0, b"x"), ssl].concat();
        let bytes = binary(0x21, 0x11, &[&IPV4[..], &tlvs].concat());
        let told = whole(&bytes).told;
        assert_eq!((told.alpn, told.authority), (Some(&b"h2"[..]), Some(&b"shop.example"[..])));
        let ssl = told.ssl.expect("told");
        assert_eq!((ssl.ssl, ssl.cert_conn, ssl.cert_sess, ssl.verify), (true, false, true, 18));
        assert_eq!((ssl.version, ssl.cn), (Some(&b"TLSv1.3"[..]), Some(&b"anna\0.example"[..])));
        assert_eq!((ssl.cipher, ssl.sig_alg), (Some(&b"AES"[..]), Some(&b"SHA256"[..])));
        assert_eq!(ssl.key_alg, Some(&b"RSA2048"[..]));
    }

    #[test]
    fn the_checksum_is_that_of_the_header_with_zeros_in_its_place() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        let mut bytes = binary(0x21, 0x11, &[&IPV4[..], &tlv(1, b"h2"), &tlv(3, &[0; 4]), &tlv(2, b"a")].concat());
        let (at, sum) = (16 + 12 + 5 + 3, crc32c(&[&bytes]));
        bytes[at..at + 4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(whole(&bytes).told.authority, Some(&b"a"[..]));
        // All but the type of the checksum itself: what has none is not checked.
        for wrong in (17..bytes.len()).filter(|at| *at != 33) {
            let mut changed = bytes.clone();
            changed[wrong] ^= 0x10;
            assert!(parse(&changed).is_err(), "byte {wrong}");
        }
    }
}
