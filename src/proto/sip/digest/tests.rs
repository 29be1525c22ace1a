//! Challenges and credentials, written and read.

use super::*;

const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
const LOGIN: Login<'_> = Login { username: "Mufasa", password: "Circle of Life" };

fn challenge(algorithm: Algorithm) -> Challenge {
    let value = format!(
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={},\r\n nonce=\"{NONCE}\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        algorithm.name()
    );
    Challenge::parse(&value).unwrap()
}

#[test]
fn the_examples_of_rfc_7616_are_computed() {
    for (algorithm, digest) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let answer = challenge(algorithm).answer(LOGIN, "GET", "/dir/index.html", 1, CNONCE);
        let credentials = Credentials::parse(&answer).unwrap();
        assert_eq!(credentials.response, digest);
        let ha1 = algorithm.ha1(LOGIN.username, "http-auth@example.org", LOGIN.password);
        assert_eq!(credentials.expected(&ha1, "GET"), digest);
        assert_eq!(credentials.qop.unwrap().number(), Some(1));
        assert!(answer.contains("qop=auth, nc=00000001, ") && answer.contains("opaque=\"FQhe/"), "{answer}");
        let quoted =
            format!("username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"{NONCE}\", uri=\"/dir/index.html\"");
        assert!(answer.contains(&quoted) && answer.contains(&format!("algorithm={}, ", algorithm.name())), "{answer}");
    }
}

#[test]
fn a_client_of_rfc_2069_has_no_count() {
    let old =
        Challenge::parse("Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"").unwrap();
    let login = Login { username: "Mufasa", password: "CircleOfLife" };
    let answer = old.answer(login, "GET", "/dir/index.html", 1, "unused");
    // The digest of the example in RFC 2069 §2.4 as its erratum 749 corrects it.
    assert!(answer.contains("response=\"1949323746fe6a43ef61f9606e7febea\""), "{answer}");
    assert_eq!(Credentials::parse(&answer).unwrap().qop, None);
}

#[test]
fn a_challenge_reads_back() {
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        for stale in [false, true] {
            let one = Challenge {
                realm: "a \"quoted\" realm".into(),
                nonce: "abc".into(),
                algorithm,
                opaque: Some("x\\y".into()),
                stale,
                qop: true,
                userhash: stale,
            };
            let written = one.encode();
            let name = algorithm.name();
            assert!(
                written.ends_with(", charset=UTF-8") && written.contains(&format!("algorithm={name}, nonce=\"abc\""))
            );
            assert_eq!(Challenge::parse(&written), Some(one));
        }
    }
}

#[test]
fn an_unsupported_challenge_is_ignored() {
    for bad in [
        "Basic realm=\"x\"",
        "Digest",
        "Digest realm=\"x\"",
        "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-512-256",
        "Digest realm=\"x\", nonce=\"n\", algorithm=MD5-sess",
        "Digest realm=\"x\", nonce=\"n\", qop=\"auth-int\"",
        "Digest realm=\"x\", realm=\"y\", nonce=\"n\"",
        "Digest realm=\"x, nonce=n",
    ] {
        assert_eq!(Challenge::parse(bad), None, "{bad}");
    }
}

#[test]
fn errors_say_what_is_wrong_with_credentials() {
    let good = challenge(Algorithm::Sha256).answer(LOGIN, "GET", "/", 0x1f, CNONCE);
    assert!(Credentials::parse(&good).is_ok());
    for (old, new, error) in [
        ("Digest ", "Basic ", CredentialsError::Scheme),
        ("algorithm=SHA-256", "algorithm=SHA-256-sess", CredentialsError::Algorithm),
        ("qop=auth", "qop=auth-int", CredentialsError::Malformed),
        ("nc=0000001f", "nc=1f", CredentialsError::Malformed),
        ("nc=0000001f", "nc=0000001g", CredentialsError::Malformed),
        ("nc=0000001f, ", "", CredentialsError::Malformed),
        ("username=", "usernane=", CredentialsError::Malformed),
        ("response=", "responze=", CredentialsError::Malformed),
        ("username=", "username*=UTF-8''x, username=", CredentialsError::Malformed),
        ("realm=\"", "realm=", CredentialsError::Malformed),
    ] {
        assert_eq!(Credentials::parse(&good.replace(old, new)), Err(error), "{new}");
    }
    assert_eq!(Credentials::parse(""), Err(CredentialsError::Scheme));
}

#[test]
fn a_name_may_be_hashed_or_not_ascii() {
    let hidden = Challenge { userhash: true, ..challenge(Algorithm::Sha256) };
    let credentials = Credentials::parse(&hidden.answer(LOGIN, "GET", "/", 1, CNONCE)).unwrap();
    assert!(credentials.userhash);
    assert_eq!(credentials.username, Algorithm::Sha256.userhash("Mufasa", "http-auth@example.org"));
    let plain = challenge(Algorithm::Md5).answer(LOGIN, "GET", "/", 1, CNONCE);
    let extended = plain.replace("username=\"Mufasa\"", "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe");
    assert_eq!(Credentials::parse(&extended).unwrap().username, "J\u{e4}s\u{f8}n Doe");
    for bad in ["UTF-8''%", "UTF-8''%ff", "latin1''x", "x"] {
        let broken = plain.replace("username=\"Mufasa\"", &format!("username*={bad}"));
        assert_eq!(Credentials::parse(&broken), Err(CredentialsError::Malformed), "{bad}");
    }
}

#[test]
fn no_header_panics() {
    let good = challenge(Algorithm::Sha256).answer(LOGIN, "GET", "/", 1, CNONCE);
    for end in 0..good.len() {
        let _ = (Credentials::parse(&good[..end]), Challenge::parse(&good[..end]));
    }
    for at in 0..good.len() {
        for new in ["\"", "\\", ",", "=", " ", "\u{fc}", "%", "*", ""] {
            let mutated = format!("{}{new}{}", &good[..at], &good[at + 1..]);
            if let Ok(credentials) = Credentials::parse(&mutated) {
                let _ = credentials.expected("x", "INVITE");
            }
            let _ = Challenge::parse(&mutated);
        }
    }
}
