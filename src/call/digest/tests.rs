//! Digest authentication, without sockets.

use super::*;
use crate::call::Secret;
use crate::limits::FAILURES_PER_USER_MAX;
use parlor_proto::sip::{Algorithm, Login, Message, parse_datagram};
use std::time::Duration;

const ALICE: Login<'_> = Login { username: "alice", password: "wonderland" };
const URI: &str = "sip:lobby@h";

fn authenticator() -> (Authenticator, Instant) {
    let now = Instant::now();
    let bob = Secret { sha256: None, md5: Some(Algorithm::Md5.ha1("bob", "r", "builder")) };
    let users = [("alice".to_owned(), Secret::of("alice", "r", "wonderland")), ("bob".to_owned(), bob)];
    (Authenticator::new(Arc::new(Users::new("r", users)), [7; 32]), now)
}

fn source() -> IpAddr {
    IpAddr::from([192, 0, 2, 7])
}

fn request(rows: &[&str]) -> Request {
    let rows: String = rows.iter().map(|row| format!("Authorization: {row}\r\n")).collect();
    let text = format!("INVITE {URI} SIP/2.0\r\n{rows}Content-Length: 0\r\n\r\n");
    match parse_datagram(text.as_bytes()) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("{other:?}"),
    }
}

fn challenge(authenticator: &mut Authenticator, algorithm: Algorithm, now: Instant) -> Challenge {
    let all = authenticator.challenge(false, source(), now);
    let all: Vec<_> = all.iter().map(|value| Challenge::parse(value).unwrap()).collect();
    assert_eq!(all.iter().map(|one| one.algorithm).collect::<Vec<_>>(), [Algorithm::Sha256, Algorithm::Md5]);
    all.into_iter().find(|one| one.algorithm == algorithm).unwrap()
}

#[test]
fn either_algorithm_is_taken_and_its_user_named() {
    let (mut all, now) = authenticator();
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        let open = Challenge { userhash: false, ..challenge(&mut all, algorithm, now) };
        let hidden = challenge(&mut all, algorithm, now);
        for one in [open, hidden] {
            let answer = one.answer(ALICE, "INVITE", URI, 1, "c");
            assert_eq!(all.verify(&request(&[&answer]), source(), now).as_deref(), Ok("alice"));
        }
    }
}

#[test]
fn nothing_is_taken_twice() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Sha256, now);
    let first = one.answer(ALICE, "INVITE", URI, 1, "c");
    let second = one.answer(ALICE, "INVITE", URI, 2, "c");
    let mut verify = |answer: &str| all.verify(&request(&[answer]), source(), now);
    assert!(verify(&first).is_ok());
    assert_eq!(verify(&first), Err(AuthError::Stale), "a replay");
    assert!(verify(&second).is_ok());
    assert_eq!(verify(&first), Err(AuthError::Stale), "a count that goes back");
}

#[test]
fn a_nonce_that_is_old_or_of_another_server_is_stale_for_who_knows_the_password_only() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Sha256, now);
    let late = now + Duration::from_secs(301);
    let answer = |login, one: &Challenge| request(&[&one.answer(login, "INVITE", URI, 1, "c")]);
    assert_eq!(all.verify(&answer(ALICE, &one), source(), late), Err(AuthError::Stale));
    let wrong = Login { password: "x", ..ALICE };
    assert_eq!(all.verify(&answer(wrong, &one), source(), late), Err(AuthError::WrongPassword));
    let foreign = Challenge { nonce: "abc".into(), ..one };
    assert_eq!(all.verify(&answer(ALICE, &foreign), source(), late), Err(AuthError::Stale));
    assert_eq!(all.verify(&answer(wrong, &foreign), source(), late), Err(AuthError::Stale), "not looked at");
    assert!(all.challenge(true, source(), now)[0].contains("stale=true"));
}

#[test]
fn what_is_not_the_digest_of_this_request_is_wrong() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Sha256, now);
    let good = one.answer(ALICE, "INVITE", URI, 1, "c");
    let bye = one.answer(ALICE, "BYE", URI, 1, "c");
    let nobody = one.answer(Login { username: "carol", ..ALICE }, "INVITE", URI, 1, "c");
    // Bob has a secret for MD5 only.
    let bob = one.answer(Login { username: "bob", password: "builder" }, "INVITE", URI, 1, "c");
    let uri = good.replace(URI, "sip:attic@h");
    let algorithm = good.replace("algorithm=SHA-256", "algorithm=MD5");
    let count = good.replace("nc=00000001", "nc=00000002");
    let cnonce = good.replace("cnonce=\"c\"", "cnonce=\"d\"");
    for answer in [bye, nobody, bob, uri, algorithm, count, cnonce] {
        assert_eq!(all.verify(&request(&[&answer]), source(), now), Err(AuthError::WrongPassword), "{answer}");
    }
    assert!(all.verify(&request(&[&good]), source(), now).is_ok(), "none of them used the count up");
}

#[test]
fn what_is_for_others_is_passed_over_and_what_is_broken_is_malformed() {
    let (mut all, now) = authenticator();
    let good = challenge(&mut all, Algorithm::Sha256, now).answer(ALICE, "INVITE", URI, 1, "c");
    let other_realm = good.replace("realm=\"r\"", "realm=\"other\"");
    let basic = "Basic YWxpY2U6d29uZGVybGFuZA==";
    for rows in [&[][..], &[basic], &[&other_realm]] {
        assert_eq!(all.verify(&request(rows), source(), now), Err(AuthError::NoCredentials));
        assert!(!all.has_credentials(&request(rows)));
    }
    assert_eq!(all.verify(&request(&["Digest x"]), source(), now), Err(AuthError::Malformed));
    assert!(all.verify(&request(&[basic, &other_realm, &good]), source(), now).is_ok());
}

#[test]
fn a_client_of_rfc_2069_is_taken_once_a_nonce() {
    let (mut all, now) = authenticator();
    let old = Challenge { qop: false, ..challenge(&mut all, Algorithm::Md5, now) };
    let answer = old.answer(ALICE, "INVITE", URI, 1, "c");
    assert!(all.verify(&request(&[&answer]), source(), now).is_ok());
    assert_eq!(all.verify(&request(&[&answer]), source(), now), Err(AuthError::Stale));
}

fn guess(all: &mut Authenticator, user: &str, from: IpAddr, now: Instant) -> Result<String, AuthError> {
    let one = Challenge::parse(&all.challenge(false, from, now)[0]).unwrap();
    let answer = one.answer(Login { username: user, password: "guess" }, "INVITE", URI, 1, "c");
    all.verify(&request(&[&answer]), from, now)
}

fn right(all: &mut Authenticator, from: IpAddr, now: Instant) -> Result<String, AuthError> {
    let one = Challenge::parse(&all.challenge(false, from, now)[0]).unwrap();
    all.verify(&request(&[&one.answer(ALICE, "INVITE", URI, 1, "c")]), from, now)
}

#[test]
fn who_guesses_is_not_heard_any_more_though_it_guess_right() {
    let (mut all, now) = authenticator();
    let before = challenge(&mut all, Algorithm::Sha256, now);
    assert!(all.verify(&request(&[&before.answer(ALICE, "INVITE", URI, 1, "c")]), source(), now).is_ok());
    for _ in 0..FAILURES_PER_USER_MAX {
        assert_eq!(guess(&mut all, "alice", source(), now), Err(AuthError::WrongPassword));
    }
    assert_eq!(right(&mut all, source(), now), Err(AuthError::RateLimited));
    assert_eq!(all.verify(&request(&[]), source(), now), Err(AuthError::NoCredentials));
    let again = before.answer(ALICE, "INVITE", URI, 2, "c");
    assert!(all.verify(&request(&[&again]), source(), now).is_ok(), "who was let in before is let in again");
    assert!(right(&mut all, IpAddr::from([192, 0, 2, 8]), now).is_ok(), "from elsewhere");
    assert!(right(&mut all, source(), now + Duration::from_secs(6)).is_ok(), "after a while");
}

#[test]
fn neighbours_do_not_pay_for_one_who_guesses_at_another() {
    let (mut all, now) = authenticator();
    for user in ["bob", "carol", "nobody"] {
        for _ in 0..2 * FAILURES_PER_USER_MAX {
            let _ = guess(&mut all, user, source(), now);
        }
        assert_eq!(guess(&mut all, user, source(), now), Err(AuthError::RateLimited), "{user}");
    }
    assert!(right(&mut all, source(), now).is_ok());
}

#[test]
fn a_nonce_that_let_one_user_in_lets_nobody_guess_at_another() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Md5, now);
    let bob = Login { username: "bob", password: "builder" };
    let mut answer =
        |login, count| all.verify(&request(&[&one.answer(login, "INVITE", URI, count, "c")]), source(), now);
    assert!(answer(bob, 1).is_ok());
    for count in 2..2 + FAILURES_PER_USER_MAX {
        assert_eq!(answer(Login { password: "guess", ..ALICE }, count), Err(AuthError::WrongPassword));
    }
    assert_eq!(answer(ALICE, 100), Err(AuthError::RateLimited));
    assert!(answer(bob, 101).is_ok(), "who is not guessed at");
}

#[test]
fn an_old_nonce_that_once_let_a_user_in_is_no_way_round_the_bar() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Sha256, now);
    assert!(all.verify(&request(&[&one.answer(ALICE, "INVITE", URI, 1, "c")]), source(), now).is_ok());
    let late = now + Duration::from_secs(301);
    let wrong = Login { password: "guess", ..ALICE };
    for count in 2..2 + FAILURES_PER_USER_MAX {
        let guess = request(&[&one.answer(wrong, "INVITE", URI, count, "c")]);
        assert_eq!(all.verify(&guess, source(), late), Err(AuthError::WrongPassword));
    }
    let guess = request(&[&one.answer(wrong, "INVITE", URI, 100, "c")]);
    assert_eq!(all.verify(&guess, source(), late), Err(AuthError::RateLimited));
}

#[test]
fn whose_address_changes_after_its_challenge_is_let_in() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Sha256, now);
    for (count, moved) in (1..).zip([[192, 0, 2, 8], [198, 51, 100, 9], [192, 0, 2, 7]]) {
        let answer = request(&[&one.answer(ALICE, "INVITE", URI, count, "c")]);
        assert_eq!(all.verify(&answer, IpAddr::from(moved), now).as_deref(), Ok("alice"));
        assert_eq!(all.verify(&answer, source(), now), Err(AuthError::Stale), "a replay");
    }
}

#[test]
fn tries_with_nonces_that_were_sent_elsewhere_are_bounded_over_all_sources() {
    let (mut all, now) = authenticator();
    let own = Challenge::parse(&all.challenge(false, IpAddr::from([198, 51, 100, 1]), now)[0]).unwrap();
    let mut from = |n: u8, login, count| {
        let answer = request(&[&own.answer(login, "INVITE", URI, count, "c")]);
        all.verify(&answer, IpAddr::from([192, 0, 2, n]), now)
    };
    let mut wrong = 0;
    for n in 0..200 {
        match from(n, Login { password: "guess", ..ALICE }, u32::from(n) + 1) {
            Err(AuthError::WrongPassword) => wrong += 1,
            other => assert_eq!(other, Err(AuthError::Stale)),
        }
    }
    assert_eq!(wrong, FAILURES_PER_USER_MAX);
    assert_eq!(from(201, ALICE, 300), Err(AuthError::Stale), "not looked at, right or wrong");
    assert_eq!(from(7, ALICE, 301), Err(AuthError::Stale));
    let hears = |all: &mut Authenticator, n: u8| right(all, IpAddr::from([192, 0, 2, n]), now);
    assert!((0..200).all(|n| hears(&mut all, n).is_ok()), "none of those addresses is rate limited");
}

#[test]
fn a_proved_nonce_from_elsewhere_is_bounded_too() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Sha256, now);
    assert!(all.verify(&request(&[&one.answer(ALICE, "INVITE", URI, 1, "c")]), source(), now).is_ok());
    let elsewhere = IpAddr::from([198, 51, 100, 1]);
    let mut last = Ok(String::new());
    for count in 2..=2 + FAILURES_PER_USER_MAX {
        let guess = one.answer(Login { password: "guess", ..ALICE }, "INVITE", URI, count, "c");
        last = all.verify(&request(&[&guess]), elsewhere, now);
    }
    assert_eq!(last, Err(AuthError::Stale));
    assert!(all.verify(&request(&[&one.answer(ALICE, "INVITE", URI, 100, "c")]), source(), now).is_ok());
}

#[test]
fn a_nonce_that_is_not_ours_counts_against_nobody_and_learns_nothing() {
    let (mut all, now) = authenticator();
    let own = challenge(&mut all, Algorithm::Sha256, now);
    let invented = Challenge { nonce: "0".repeat(80), ..own };
    for count in 1..=3 * FAILURES_PER_USER_MAX {
        for password in ["guess", ALICE.password] {
            let forged = invented.answer(Login { password, ..ALICE }, "INVITE", URI, count, "c");
            assert_eq!(all.verify(&request(&[&forged]), source(), now), Err(AuthError::Stale));
        }
    }
    assert!(right(&mut all, source(), now).is_ok());
}

#[test]
fn other_users_are_in_force_at_once() {
    let (mut all, now) = authenticator();
    let one = challenge(&mut all, Algorithm::Sha256, now);
    all.replace_users(Arc::new(Users::new("r", [("alice".to_owned(), Secret::of("alice", "r", "new"))])));
    let answer = request(&[&one.answer(ALICE, "INVITE", URI, 1, "c")]);
    assert_eq!(all.verify(&answer, source(), now), Err(AuthError::WrongPassword));
    let answer = request(&[&one.answer(Login { password: "new", ..ALICE }, "INVITE", URI, 1, "c")]);
    assert!(all.verify(&answer, source(), now).is_ok());
}

#[test]
fn a_neighbour_who_guesses_does_not_lock_out_who_has_logged_in_from_its_place() {
    let (mut all, now) = authenticator();
    let at = |port: u16| RequestSource { source: source(), place: Some((source(), port).into()) };
    let mut ask = |port: u16, password: &str| {
        let one = Challenge::parse(&all.challenge(false, source(), now)[0]).unwrap();
        let answer = one.answer(Login { password, ..ALICE }, "INVITE", URI, 1, "c");
        all.verify(&request(&[&answer]), at(port), now)
    };
    assert!(ask(40000, ALICE.password).is_ok());
    for _ in 0..3 * FAILURES_PER_USER_MAX {
        let _ = ask(50000, "guess");
    }
    assert_eq!(ask(50000, ALICE.password), Err(AuthError::RateLimited));
    assert!(ask(40000, ALICE.password).is_ok(), "with a nonce that is new");
    for _ in 0..=FAILURES_PER_USER_MAX {
        let _ = ask(40000, "guess");
    }
    assert_eq!(ask(40000, ALICE.password), Err(AuthError::RateLimited), "that place has a bound of its own");
}
