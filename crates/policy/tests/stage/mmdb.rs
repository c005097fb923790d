//! Writes a small database in MaxMind's format (MaxMind DB file format 2.0), so that tests carry no binary file.

const SEPARATOR: usize = 16;

fn string(out: &mut Vec<u8>, s: &str) {
    assert!(s.len() < 29, "longer ones need another form");
    out.push(2 << 5 | u8::try_from(s.len()).expect("short"));
    out.extend_from_slice(s.as_bytes());
}

fn number(out: &mut Vec<u8>, kind: u8, value: u16) {
    // The wider types are extended: their number, less 7, stands in a byte of its own.
    if kind > 7 {
        out.extend_from_slice(&[2, kind - 7]);
    } else {
        out.push(kind << 5 | 2);
    }
    out.extend_from_slice(&value.to_be_bytes());
}

fn map(out: &mut Vec<u8>, members: u8) {
    out.push(7 << 5 | members);
}

/// A database of IPv4 networks of /24: the first three bytes, the country's letters and its English name.
pub(crate) fn database(networks: &[([u8; 3], &str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut nodes: Vec<[Option<Record>; 2]> = vec![[None, None]];
    for (prefix, code, name) in networks {
        let at = data.len();
        map(&mut data, 1);
        string(&mut data, "country");
        map(&mut data, 2);
        string(&mut data, "iso_code");
        string(&mut data, code);
        string(&mut data, "names");
        map(&mut data, 1);
        string(&mut data, "en");
        string(&mut data, name);
        let bits = (0..24).map(|i| usize::from(prefix[i / 8] >> (7 - i % 8) & 1));
        let mut node = 0;
        for (i, bit) in bits.enumerate() {
            node = match (&nodes[node][bit], i) {
                (_, 23) => {
                    nodes[node][bit] = Some(Record::Data(at));
                    break;
                }
                (Some(Record::Node(next)), _) => *next,
                _ => {
                    nodes.push([None, None]);
                    let next = nodes.len() - 1;
                    nodes[node][bit] = Some(Record::Node(next));
                    next
                }
            };
        }
    }
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            None => nodes.len(),
            Some(Record::Node(n)) => *n,
            Some(Record::Data(at)) => nodes.len() + SEPARATOR + at,
        };
        file.extend_from_slice(&u32::try_from(value).expect("small").to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; SEPARATOR]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    map(&mut file, 9);
    for (name, kind, value) in [
        ("node_count", 6, u16::try_from(nodes.len()).expect("small")),
        ("record_size", 5, 24),
        ("ip_version", 5, 4),
        ("binary_format_major_version", 5, 2),
        ("binary_format_minor_version", 5, 0),
        ("build_epoch", 9, 1),
    ] {
        string(&mut file, name);
        number(&mut file, kind, value);
    }
    string(&mut file, "database_type");
    string(&mut file, "Test-Country");
    string(&mut file, "languages");
    file.extend_from_slice(&[0, 4]); // an empty array
    string(&mut file, "description");
    map(&mut file, 0);
    file
}

enum Record {
    Node(usize),
    Data(usize),
}
