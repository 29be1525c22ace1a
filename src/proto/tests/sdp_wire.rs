//! Session descriptions of real clients: whole, cut and mutated.

use std::path::{Path, PathBuf};

use parlor_proto::msrp::Path as MsrpPath;
use parlor_proto::sdp::{Capabilities, ChatroomTokens, Description, LocalMedia, LocalTerms, MediaError, Origin, Setup};

const SERVER: Capabilities = Capabilities { plain: true, tls: false, listen: true, connect: false };
const CLIENT: Capabilities = Capabilities { plain: true, tls: false, listen: false, connect: true };

fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wire/sdp");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

fn sample(name: &str) -> Description {
    let octets = samples().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no {name}")).1;
    Description::parse(&octets).unwrap()
}

/// The answer to an offer, if it is usable.
fn answer(offer: &Description) -> Option<String> {
    let taken = offer.offered_media(SERVER).ok()?;
    let path = MsrpPath::parse(b"msrp://192.0.2.1:2855/us;tcp").unwrap();
    let ours = LocalMedia {
        terms: LocalTerms {
            host: "192.0.2.1",
            ipv6: false,
            accept_wrapped_types: &["*".to_owned()],
            chatroom: ChatroomTokens { nickname: true, private_messages: true },
            max_size: 0,
            subject: None,
        },
        port: 2855,
        path: &path,
        setup: Setup::Passive,
        fingerprints: &[],
    };
    Some(ours.answer(Origin { id: 1, version: 1 }, offer, &taken))
}

#[test]
fn every_offer_of_a_real_client_is_answered_and_the_answer_reads_back() {
    for (name, octets) in samples().into_iter().filter(|(name, _)| name.ends_with("-offer")) {
        let offer = Description::parse(&octets).unwrap_or_else(|error| panic!("{name}: {error}"));
        if name == "sipsimple-msrps-offer" {
            assert_eq!(offer.offered_media(SERVER), Err(MediaError::TlsUnavailable));
            assert!(offer.offered_media(Capabilities { tls: true, ..SERVER }).unwrap().secure);
            continue;
        }
        let answer = answer(&offer).unwrap_or_else(|| panic!("{name} is refused"));
        let read = Description::parse(answer.as_bytes()).unwrap().answered_media(CLIENT).unwrap();
        assert_eq!(read.path.as_str(), "msrp://192.0.2.1:2855/us;tcp", "{name}");
        assert_eq!(read.chatroom, Some(ChatroomTokens { nickname: true, private_messages: true }), "{name}");
    }
}

#[test]
fn relays_are_before_the_client_in_its_path() {
    let media = sample("sipsimple-relay-offer").offered_media(SERVER).unwrap();
    assert_eq!((media.path.iter().count(), media.setup), (2, Some(Setup::ActPass)));
    assert!(media.path.last().contains("9067d260a5f4d6317151"));
    let media = sample("crocodile-offer").offered_media(SERVER).unwrap();
    assert_eq!((media.path.last(), media.setup), ("msrp://pk003kto.invalid:2855/4o7g6vplym;ws", None));
}

#[test]
fn the_offer_of_sipsimple_is_read() {
    let media = sample("sipsimple-offer").offered_media(SERVER).unwrap();
    assert_eq!((media.setup, media.chatroom, media.port), (Some(Setup::Active), None, 2855));
    assert_eq!(media.address.as_deref(), Some("127.0.0.1"));
    let wrapped = media.accept_wrapped_types.unwrap();
    assert!(wrapped.accepts("image/png") && !wrapped.accepts("audio/mp3"));
}

#[test]
fn the_answer_of_another_server_is_read_without_its_own_tokens() {
    let media = sample("sylk-answer").answered_media(CLIENT).unwrap();
    assert_eq!(media.chatroom, Some(ChatroomTokens { nickname: true, private_messages: true }));
    assert!(media.accept_wrapped_types.unwrap().accepts_all());
}

#[test]
fn no_prefix_of_a_description_panics_and_one_without_media_is_refused() {
    for (name, octets) in samples() {
        let media_line = octets.windows(2).position(|w| w == b"m=").unwrap();
        for end in 0..octets.len() {
            let Ok(offer) = Description::parse(&octets[..end]) else { continue };
            let taken = answer(&offer);
            assert!(taken.is_none() || end > media_line, "{name} to {end}");
        }
    }
}

#[test]
fn no_mutated_description_panics_or_yields_a_malformed_answer() {
    let (samples, mut state, mut answered) = (samples(), 0x5eed_u64, 0);
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for _ in 0..20_000 {
        let mut octets = samples[below(samples.len())].1.clone();
        for _ in 0..=below(3) {
            let at = below(octets.len());
            match below(3) {
                0 => octets[at] = u8::try_from(below(256)).unwrap(),
                1 => drop(octets.splice(at..at, b"\r\nm=message 1 TCP/MSRP *\r\n".iter().copied())),
                _ => drop(octets.remove(at)),
            }
        }
        let Ok(offer) = Description::parse(&octets) else { continue };
        if let Some(answer) = answer(&offer) {
            answered += 1;
            let read = Description::parse(answer.as_bytes()).expect("our answer parses");
            assert!(read.answered_media(CLIENT).is_ok(), "{answer}");
        }
    }
    assert!(answered > 2_000, "{answered}");
}
