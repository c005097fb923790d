//! The cookies by which directors bind visitors: Copal's own, so they are taken out of a request when it comes. No policy, no
//! `Vary: Cookie` and no application sees them; the pick of a backend does.

use copal_semantics::Headers;

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| *b == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn is_ours(pair: &[u8], names: &[String]) -> bool {
    let name = pair.split(|b| *b == b'=').next().unwrap_or_default();
    names.iter().any(|ours| ours.as_bytes() == name)
}

/// Moves the cookies of these names from the request `into` a line of their own. A request without them is left as it is.
pub(crate) fn take(headers: &mut Headers, names: &[String], into: &mut Vec<u8>) {
    into.clear();
    if !headers.get_all("cookie").any(|line| pairs(line).any(|pair| is_ours(pair, names))) {
        return;
    }
    let lines: Vec<Vec<u8>> = headers.get_all("cookie").map(<[u8]>::to_vec).collect();
    headers.remove("cookie");
    for line in lines {
        let (ours, rest): (Vec<&[u8]>, Vec<&[u8]>) = pairs(&line).partition(|pair| is_ours(pair, names));
        for pair in ours {
            into.extend_from_slice(pair);
            into.extend_from_slice(b"; ");
        }
        if !rest.is_empty() {
            // Parts of what was valid are valid.
            let _valid = headers.append("Cookie", rest.join(&b"; "[..]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copal_semantics::RequestHead;

    #[test]
    fn cookies_of_directors_are_taken_out_and_no_others() {
        let names = ["route".to_owned(), "r2".to_owned()];
        for (lines, left, taken) in [
            (&["a=b; route=1; c=d"][..], &["a=b; c=d"][..], "route=1; "),
            (&["route=1"], &[], "route=1; "),
            (&["route=1; r2=x", "a=b;route=2"], &["a=b"], "route=1; r2=x; route=2; "),
            (&["a=b;; c = d;"], &["a=b;; c = d;"], ""),
            (&["routes=1; Route=2; xroute=3"], &["routes=1; Route=2; xroute=3"], ""),
            (&[], &[], ""),
        ] {
            let mut head = RequestHead::get("/", lines.iter().map(|line| ("Cookie", *line)));
            let mut bound = b"of the request before".to_vec();
            take(&mut head.headers, &names, &mut bound);
            let after: Vec<&[u8]> = head.headers.get_all("cookie").collect();
            assert_eq!(
                (after, &bound[..]),
                (left.iter().map(|l| l.as_bytes()).collect(), taken.as_bytes()),
                "{lines:?}"
            );
        }
    }
}
