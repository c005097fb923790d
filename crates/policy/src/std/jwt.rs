//! `jwt::verify`: JSON web tokens (RFC 7519) that somebody else signed.
//!
//! The policy names the algorithm, the token does not: a public key is never taken for a secret (RFC 8725 §3.1).

use crate::current::{self, Res};
use crate::fault::HostError;
use crate::library::ModuleFunction;
use crate::library::json::to_script;
use crate::library::time::shown;
use crate::limits::Limits;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rhai::{Dynamic, Engine, Module};
use serde_json::{Map, Value};

/// The algorithms by name.
const ALGORITHMS: [(&str, Algorithm); 3] =
    [("HS256", Algorithm::HS256), ("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256)];
/// How far clocks may be apart, in seconds (RFC 7519 §4.1.4: "usually no more than a few minutes").
const LEEWAY: f64 = 60.0;

/// The algorithm of that name.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(n, _)| *n == name).map(|(_, a)| *a)
}

/// What to say of an algorithm that there is not.
pub(crate) fn not_an_algorithm(name: &str) -> String {
    format!("\"{}\" is not an algorithm of tokens: write \"HS256\", \"RS256\" or \"ES256\"", shown(name))
}

/// The claims of a token whose signature is right at `now`, in seconds since 1970.
fn verify(token: &str, name: &str, key: &str, now: f64) -> Result<Option<Map<String, Value>>, HostError> {
    let algorithm = algorithm(name).ok_or_else(|| HostError::value(not_an_algorithm(name)))?;
    let key = match algorithm {
        Algorithm::HS256 => Ok(DecodingKey::from_secret(key.as_bytes())),
        Algorithm::RS256 => DecodingKey::from_rsa_pem(key.as_bytes()),
        _ => DecodingKey::from_ec_pem(key.as_bytes()),
    };
    let key = key.map_err(|_| HostError::value(format!("the key is no public key in PEM for {name}")))?;
    // Times are compared below with the time that the host gives; audience and issuer are for the policy to compare.
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let Ok(token) = decode::<Map<String, Value>>(token, &key, &validation) else { return Ok(None) };
    let claims = token.claims;
    // A time that is no number holds for no time.
    let holds = |claim: &str, f: fn(f64, f64) -> bool| match claims.get(claim) {
        None => true,
        Some(value) => value.as_f64().is_some_and(|at| f(at, now)),
    };
    let valid = holds("exp", |at, now| now < at + LEEWAY) && holds("nbf", |at, now| now + LEEWAY >= at);
    Ok(valid.then_some(claims))
}

/// Gives scripts the module.
pub(crate) fn register(e: &mut Engine, limits: &Limits) {
    let mut m = Module::new();
    let limits = limits.clone();
    ModuleFunction::new("verify").with_volatility(true).set_into_module(
        &mut m,
        move |token: &str, algorithm: &str, key: &str| -> Res<Dynamic> {
            #[expect(clippy::cast_precision_loss, reason = "times of interest fit 53 bits")]
            let now = current::read(|s| s.now.as_secs() as f64)?;
            // As an Authorization field has it, too.
            let bare =
                token.get(..7).filter(|s| s.eq_ignore_ascii_case("bearer ")).map_or(token, |_| token[7..].trim());
            Ok(match verify(bare, algorithm, key, now)? {
                Some(claims) => to_script(Value::Object(claims), &limits)?,
                None => Dynamic::UNIT,
            })
        },
    );
    ModuleFunction::new("verify").set_into_module(&mut m, |(): (), _: &str, _: &str| Dynamic::UNIT);
    e.register_static_module("jwt", m.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by `openssl` for these tests; the keys protect nothing. Claims: {"sub":"anna","nbf":1000,"exp":2000}.
    const CASES: &[(&str, &str, &str)] = &include!("jwt_cases.in");

    #[test]
    fn a_token_holds_with_its_key_and_in_its_time() {
        for (name, key, token) in CASES {
            let at = |now| verify(token, name, key, now).expect("a valid key");
            let claims = at(1_500.0).unwrap_or_else(|| panic!("{name} holds"));
            assert_eq!(claims.get("sub"), Some(&Value::from("anna")), "{name}");
            assert!(at(939.0).is_none() && at(940.0).is_some(), "{name}: not before");
            assert!(at(2_059.0).is_some() && at(2_060.0).is_none(), "{name}: expired");
        }
    }

    #[test]
    fn a_token_that_was_changed_or_is_of_another_algorithm_holds_never() {
        for (name, key, token) in CASES {
            let (head, rest) = token.split_once('.').expect("three parts");
            let (body, signature) = rest.split_once('.').expect("three parts");
            let other = CASES.iter().find(|c| c.0 != *name).expect("another");
            // {"alg":"none"} and the claims of "eve".
            for forged in [
                format!("{head}.eyJzdWIiOiJldmUifQ.{signature}"),
                format!("eyJhbGciOiJub25lIn0.{body}."),
                format!("{head}.{body}."),
                format!("{head}.{body}"),
                other.2.to_owned(),
                String::new(),
            ] {
                assert!(verify(&forged, name, key, 1_500.0).expect("a valid key").is_none(), "{name} {forged}");
            }
        }
        assert!(verify("a.b.c", "RS256", "secret", 0.0).is_err() && verify("a.b.c", "none", "", 0.0).is_err());
    }

    #[test]
    fn a_public_key_is_not_taken_for_a_secret() {
        // The attack that a token naming its own algorithm invites: an HMAC under the text of the public key.
        let (_, key, _) = CASES.iter().find(|c| c.0 == "RS256").expect("there");
        let secret = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
        let header = jsonwebtoken::Header::new(Algorithm::HS256);
        let token = jsonwebtoken::encode(&header, &serde_json::json!({"sub": "eve"}), &secret).expect("made");
        assert!(verify(&token, "HS256", key, 0.0).expect("a secret").is_some());
        assert!(verify(&token, "RS256", key, 0.0).expect("a valid key").is_none());
    }

    #[test]
    fn a_time_that_is_no_number_holds_never() {
        let header = jsonwebtoken::Header::new(Algorithm::HS256);
        let key = jsonwebtoken::EncodingKey::from_secret(b"k");
        let make = |claims: Value| jsonwebtoken::encode(&header, &claims, &key).expect("made");
        let ask = |claims: Value| verify(&make(claims), "HS256", "k", 5.0).expect("a valid key").is_some();
        assert!(ask(serde_json::json!({})) && ask(serde_json::json!({"exp": 6.5})));
        assert!(!ask(serde_json::json!({"exp": "6"})) && !ask(serde_json::json!({"nbf": null})));
    }
}
