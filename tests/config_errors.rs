//! Config errors have a position, the text there and what is expected; valid configs are read as written.

use std::time::Duration;

use parlor::config::{Config, ConfigErrors, Cores, LogFormat, LogLevel, SipTransport};
use parlor::facts::{Confusable, Congested, Delete, FailureReport, NicknameScope, RoomPolicy, Subscribers};
use parlor::limits::{OUTBOX_BYTES_MIN, ROOMS_MAX, SIP_TRANSACTION_BYTES_MAX};
use parlor::shares::{Claim, Reach, Shares};

fn errors(text: &str) -> ConfigErrors {
    Config::parse("parlor.toml", text).expect_err(text)
}

/// The line, the column, the text, the message and the help of the only error.
fn only_error(text: &str) -> (usize, usize, String, String, String) {
    let errors = errors(text);
    assert_eq!(errors.errors.len(), 1, "{errors}");
    let error = &errors.errors[0];
    let (line, column) = errors.place(error).expect("the error has a place");
    (line, column, errors.offending(error).to_owned(), error.message.clone(), error.help.clone())
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = Config::parse("parlor.toml", "").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.sip.listen.len(), 2);
    assert_eq!(config.sip.domains, ["localhost", "127.0.0.1"]);
    assert_eq!((config.msrp.port, config.msrp.path_host().as_str()), (2855, "127.0.0.1"));
    assert_eq!(config.shards.cores, Cores::All);
    assert_eq!(config.rooms.defaults, RoomPolicy::default());
    assert!(config.rooms.on_demand);
}

#[test]
fn outbox_max_has_a_minimum() {
    let config = |bytes: usize| Config::parse("parlor.toml", &format!("[msrp]\noutbox_max = {bytes}\n"));
    assert_eq!(config(OUTBOX_BYTES_MIN).unwrap().msrp.outbox_max, OUTBOX_BYTES_MIN);
    assert!(config(OUTBOX_BYTES_MIN - 1).is_err());
}

#[test]
fn max_rooms_has_a_maximum() {
    let config = |rooms: usize| Config::parse("parlor.toml", &format!("[rooms]\nmax_rooms = {rooms}\n"));
    assert_eq!(config(ROOMS_MAX).unwrap().rooms.max_rooms, ROOMS_MAX);
    assert!(config(ROOMS_MAX + 1).is_err());
}

#[test]
fn transactions_share_the_limit() {
    let settings = Config::default().focus_settings(vec![], vec![]);
    let mut shares = Shares::new(settings.transaction_bytes_max, 2);
    let [one, other] = [1, 2].map(|n| Claim::at([192, 0, 2, n].into(), Reach::Proved));
    assert!(shares.has_room(&one, SIP_TRANSACTION_BYTES_MAX) && !shares.has_room(&one, SIP_TRANSACTION_BYTES_MAX + 1));
    let _ = shares.take(&one, SIP_TRANSACTION_BYTES_MAX / 2);
    assert!(!shares.has_room(&one, 1) && shares.has_room(&other, SIP_TRANSACTION_BYTES_MAX / 2));
}

#[test]
fn an_unreadable_users_file_is_reported_at_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.toml");
    std::fs::write(&path, "[sip.auth]\nusers_file = \"none.toml\"\n").unwrap();
    let errors = Config::load(&path).unwrap_err();
    let error = &errors.errors[0];
    assert_eq!((errors.place(error), errors.offending(error)), (Some((2, 14)), "\"none.toml\""));
    assert!(errors.name().ends_with("parlor.toml") && error.message.contains("none.toml cannot be read"), "{errors}");
    std::fs::write(&path, b"[sip]\ndomains = [\"caf\xe9\"]\n").unwrap();
    let errors = Config::load(&path).unwrap_err();
    let error = &errors.errors[0];
    assert_eq!((errors.place(error), error.message.as_str()), (Some((2, 16)), "not UTF-8"));
    assert!(errors.render().contains("caf\u{fffd}"), "{}", errors.render());
}

#[test]
fn every_supported_key_is_read() {
    let text = r#"
        [sip]
        listen = ["udp:192.0.2.1:5062"]
        domains = ["chat.example.com"]
        trusted_peers = ["10.0.0.0/8", "::1"]
        max_calls_per_second = 50
        drain_timeout = "3s"
        [sip.auth]
        realm = "example.com"
        [sip.auth.users]
        alice = "wonderland"
        bob = { ha1_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
        [msrp]
        listen = "::1"
        port = 3000
        advertise = "chat.example.com"
        bind_timeout = "5s"
        outbox_max = "1MiB"
        [shards]
        cores = "0-1,3"
        spin_before_park = "20us"
        ring_depth = 256
        send_batch = 32
        copy_below = "2KiB"
        [log]
        level = "debug"
        format = "json"
        [rooms]
        on_demand = false
        max_rooms = 7
        [rooms.lobby]
        subject = "Welcome"
        display_text = "Lobby"
        max_participants = 3
        [rooms.defaults]
        nicknames = false
        nickname_scope = "server"
        nickname_quarantine = "1m"
        reserved_nicknames = ["admin"]
        unquoted_nicknames = false
        confusable_nicknames = "refuse"
        private_messages = false
        private_messages_to_unaware = true
        delete = "never"
        simultaneous_access = false
        chunk_reception_timeout = "30s"
        wrapped_types = ["text/*"]
        forward_whole_up_to = "8KiB"
        max_message_size = "10MiB"
        max_participants = 20
        congestion_patience = "100ms"
        congested = "limit"
        congested_max_message_size = "1KiB"
        congestion_timeout = "30s"
        notice_to_unaware = false
        notify_interval = "5s"
        subscribers = "everyone"
        failure_report = "partial"
        allow = ["sip:*@example.com"]
        deny = ["sip:mallory@example.com"]
        moderators = ["creator", "sip:op@example.com"]
    "#;
    let config = Config::parse("parlor.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.sip.listen[0].transport, SipTransport::Udp);
    assert_eq!(config.sip.trusted_peers.len(), 2);
    let auth = config.sip.auth.as_ref().unwrap();
    assert_eq!((auth.realm.as_str(), auth.users.len()), ("example.com", 2));
    assert!(auth.users["alice"].md5.is_some() && auth.users["bob"].md5.is_none());
    assert_eq!((config.sip.max_calls_per_second, config.sip.drain_timeout), (50, Duration::from_secs(3)));
    assert_eq!((config.msrp.path_host().as_str(), config.msrp.outbox_max), ("chat.example.com", 1 << 20));
    assert_eq!(config.shards.cores, Cores::List(vec![0, 1, 3]));
    assert_eq!(config.shards.spin_before_park, Duration::from_micros(20));
    assert_eq!((config.shards.ring_depth, config.shards.send_batch, config.shards.copy_below), (256, 32, 2048));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Debug, LogFormat::Json));
    assert_eq!((config.rooms.on_demand, config.rooms.max_rooms), (false, 7));
    let expected = RoomPolicy {
        nicknames: false,
        nickname_scope: NicknameScope::Server,
        nickname_quarantine: Duration::from_secs(60),
        reserved_nicknames: vec!["admin".into()],
        unquoted_nicknames: false,
        confusable_nicknames: Confusable::Refuse,
        private_messages: false,
        private_messages_to_unaware: true,
        delete: Delete::Never,
        simultaneous_access: false,
        force_tls: false,
        chunk_reception_timeout: Duration::from_secs(30),
        wrapped_types: vec!["text/*".into()],
        forward_whole_up_to: 8192,
        max_message_size: 10 << 20,
        max_participants: 20,
        congestion_patience: Duration::from_millis(100),
        congested: Congested::Limit,
        congested_max_message_size: 1024,
        congestion_timeout: Duration::from_secs(30),
        notice_to_unaware: false,
        notify_interval: Duration::from_secs(5),
        subscribers: Subscribers::Everyone,
        failure_report: FailureReport::Partial,
        allow: vec!["sip:*@example.com".into()],
        deny: vec!["sip:mallory@example.com".into()],
        moderators: vec!["creator".into(), "sip:op@example.com".into()],
        subject: None,
        display_text: None,
    };
    assert_eq!(config.rooms.defaults, expected);
    let lobby = RoomPolicy {
        max_participants: 3,
        subject: Some("Welcome".into()),
        display_text: Some("Lobby".into()),
        ..expected
    };
    assert_eq!(config.rooms.named["lobby"], lobby);
}

#[test]
fn an_unknown_key_has_a_suggestion() {
    let (line, column, offending, message, help) = only_error("[msrp]\nport = 2855\n  lisen = \"127.0.0.1\"\n");
    assert_eq!((line, column, offending.as_str()), (3, 3, "lisen"));
    assert_eq!(message, "unknown key `msrp.lisen`");
    assert_eq!(help, "did you mean `listen`?");
    let (.., help) = only_error("[rooms.lobby]\nfrobnicate = 1\n");
    assert!(help.starts_with("known keys: nicknames,") && help.ends_with("subject, display_text"), "{help}");
    let (_, _, offending, message, help) = only_error("[rooom.lobby]\nsubject = \"x\"\n");
    assert_eq!((offending.as_str(), message.as_str()), ("rooom", "unknown key `rooom`"));
    assert_eq!(help, "did you mean `rooms`?");
}

#[test]
fn an_invalid_value_shows_what_is_expected() {
    let cases = [
        ("[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"127.0.0.1\"]", 2, 33, "\"127.0.0.1\"", "udp:127.0.0.1:5060"),
        ("[sip]\nlisten = \"udp:127.0.0.1:5060\"", 2, 10, "\"udp:127.0.0.1:5060\"", "a list"),
        ("[sip]\nlisten = [\"udp:0.0.0.0:5060\"]", 2, 10, "[\"udp:0.0.0.0:5060\"]", "msrp.advertise"),
        ("[sip]\nlisten = []", 2, 10, "[]", "at least one"),
        ("[sip]\ndomains = [5]", 2, 12, "5", "in quotes"),
        ("[sip]\nmax_calls_per_second = -1", 2, 24, "-1", "an integer from 0"),
        ("[sip]\ntrusted_peers = [\"10.0.0.0/33\"]", 2, 18, "\"10.0.0.0/33\"", "10.0.0.0/8"),
        ("[sip.auth]\nrealm = \"\"", 2, 9, "\"\"", "a non-empty string"),
        ("[sip.auth]\nusers_file = 5", 2, 14, "5", "the path"),
        ("[sip.auth.users]\n\"a:b\" = \"secret\"", 2, 1, "\"a:b\"", "before the @"),
        ("[sip.auth.users]\n\"\" = \"secret\"", 2, 1, "\"\"", "before the @"),
        ("[sip.auth.users]\nal = \"\"", 2, 1, "al", "a non-empty password"),
        ("[sip.auth.users]\nal = 5", 2, 1, "al", "in quotes"),
        ("[sip.auth.users]\nal = {}", 2, 1, "al", "ha1_sha256"),
        ("[sip.auth.users]\nal = { ha1_md5 = \"secret\" }", 2, 1, "al", "32 hexadecimal digits"),
        ("[msrp]\nport = 70000", 2, 8, "70000", "from 0 to 65535"),
        ("[msrp]\nlisten = \"localhost\"", 2, 10, "\"localhost\"", "an IP address"),
        ("[msrp]\nlisten = \"0.0.0.0\"", 2, 10, "\"0.0.0.0\"", "msrp.advertise"),
        ("[msrp]\noutbox_max = \"64KB\"", 2, 14, "\"64KB\"", "64KiB"),
        ("[msrp]\noutbox_max = 10", 2, 14, "10", "from 65536"),
        ("[msrp]\nbind_timeout = 30", 2, 16, "30", "\"60s\""),
        ("[shards]\ncores = \"0-\"", 2, 9, "\"0-\"", "0-3,8"),
        ("[log]\nlevel = \"loud\"", 2, 9, "\"loud\"", "\"error\", \"warn\", \"info\""),
        ("[rooms]\non_demand = \"yes\"", 2, 13, "\"yes\"", "true or false"),
        ("[rooms.defaults]\ndelete = \"later\"", 2, 10, "\"later\"", "\"when-empty\""),
        ("[rooms.defaults]\nwrapped_types = [\"text\"]", 2, 18, "\"text\"", "text/plain"),
        ("[rooms.defaults]\nallow = [\"*@example.com\"]", 2, 10, "\"*@example.com\"", "sip:*@example.com"),
        ("[rooms.defaults]\nreserved_nicknames = [\" \"]", 2, 23, "\" \"", "nickname"),
        ("[rooms.defaults]\nforward_whole_up_to = \"2MiB\"", 2, 23, "\"2MiB\"", "to 1048576 octets"),
        ("[rooms.defaults]\nsubscribers = \"all\"", 2, 15, "\"all\"", "\"everyone\""),
        ("[rooms.defaults]\nnotify_interval = \"2h\"", 2, 19, "\"2h\"", "3600s"),
        ("[rooms.defaults]\nsubject = \"x\"", 2, 1, "subject", "known keys"),
        ("[rooms.\"ä\"]\nsubject = 5", 2, 11, "5", "in quotes"),
        ("[rooms.lobby]\ndisplay_text = \"a\\nb\"", 2, 16, "\"a\\nb\"", "on one line"),
        ("[sip]\nsession_expires = \"60s\"", 2, 19, "\"60s\"", "\"90s\" to \"24h\", or \"0s\""),
        ("[rooms.lobby]\nmoderators = [\"owner\"]", 2, 15, "\"owner\"", "or \"creator\""),
        ("sip = 5", 1, 7, "5", "[sip]"),
    ];
    for (text, line, column, offending, help) in cases {
        let found = only_error(text);
        assert_eq!((found.0, found.1, found.2.as_str()), (line, column, offending), "{text}");
        assert!(found.4.contains(help), "{text}: {}", found.4);
    }
}

#[test]
fn keys_of_later_versions_are_named_as_such() {
    for (text, key) in [("[http]\nlisten = \"\"", "http"), ("[msrp]\nws_port = 0", "msrp.ws_port")] {
        let (_, _, offending, message, _) = only_error(text);
        assert_eq!(message, format!("{key} is not supported by this version"));
        assert!(key.ends_with(&offending), "{text}: {offending}");
    }
    let (.., help) = only_error("[sip]\nlisten = [\"wss:127.0.0.1:5061\"]");
    assert!(help.contains("not supported by this version"), "{help}");
}

#[test]
fn a_syntax_error_has_a_position() {
    let (line, column, _, message, _) = only_error("[sip]\nlisten = \n");
    assert_eq!(line, 2);
    assert!(column >= 8, "column {column}");
    assert!(message.starts_with("not TOML: "), "{message}");
    assert_eq!(only_error("[sip]\n[sip]\n").0, 2);
    assert_eq!(only_error("é = \"").0, 1);
}

#[test]
fn all_errors_are_reported_in_file_order() {
    let errors = errors("[rooms]\nmax_rooms = 0\n[msrp]\nport = \"x\"\nfoo = 1\n");
    let lines: Vec<_> = errors.errors.iter().map(|error| errors.place(error).unwrap().0).collect();
    assert_eq!(lines, [2, 4, 5]);
}

#[test]
fn an_error_has_a_line_and_a_rendered_form() {
    let errors = errors("[msrp]\nport = 70000\n");
    let line = "parlor.toml:2:8: invalid value for `msrp.port`: `70000`; expected an integer from 0 to 65535";
    assert_eq!(errors.to_string(), line);
    let drawn = errors.render();
    for part in ["parlor.toml:2:8", "port = 70000", "invalid value for `msrp.port`", "an integer from 0 to 65535"] {
        assert!(drawn.contains(part), "{part} in {drawn}");
    }
}

#[test]
fn an_unreadable_config_is_an_error() {
    let errors = Config::load(std::path::Path::new("no/such/parlor.toml")).unwrap_err();
    assert!(errors.to_string().contains("no/such/parlor.toml cannot be read"), "{errors}");
    assert!(errors.render().contains("no/such/parlor.toml"));
}

#[test]
fn users_file_errors_show_no_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let (config, users) = (folder.path().join("parlor.toml"), folder.path().join("users.toml"));
    std::fs::write(&config, "[sip.auth]\nusers_file = \"users.toml\"\n[sip.auth.users]\nal = \"s3cret\"\n").unwrap();
    assert!(Config::load(&config).unwrap_err().to_string().contains("users.toml cannot be read"));
    std::fs::write(&users, "bob = \"s3cret\"\n").unwrap();
    let read = Config::load(&config).unwrap();
    assert_eq!(read.sip.auth.as_ref().unwrap().users.len(), 2);
    assert!(!format!("{read:?}").contains("s3cret"));
    for (text, line, what) in [
        ("bob = \"s3cret\"\nal = \"s3cret\"\n", 2, "duplicate"),
        ("bob = \"s3cret\"\ncarol = 3\n", 2, "invalid entry for user `carol`"),
        ("bob = \"s3cret\"\ncarol = \"s3cret\n", 2, "not TOML"),
    ] {
        std::fs::write(&users, text).unwrap();
        let errors = Config::load(&config).unwrap_err();
        let error = &errors.errors[0];
        assert!(errors.name().ends_with("users.toml") && error.message.contains(what), "{errors}");
        assert_eq!(errors.place(error).unwrap().0, line);
        assert!(!errors.to_string().contains("s3cret") && !errors.render().contains("s3cret"), "{}", errors.render());
    }
}

#[test]
fn keys_that_need_a_certificate_are_reported() {
    for (text, offending) in [
        ("[sip]\nlisten = [\"tls:127.0.0.1:5061\"]\n", "[\"tls:127.0.0.1:5061\"]"),
        ("[msrp]\ntls_port = 3855\n", "3855"),
        ("\n[rooms.defaults]\nforce_tls = true\n", ""),
    ] {
        let (line, _, found, message, _) = only_error(text);
        assert_eq!(line, 2, "{message}");
        assert!(found.contains(offending), "{found}");
    }
}

#[test]
fn a_tls_proxy_needs_a_tls_listener() {
    let text = "[sip]\noutbound_proxy = \"sips:proxy.example.com\"\n";
    let (line, _, offending, message, help) = only_error(text);
    assert_eq!((line, offending.as_str()), (2, "\"sips:proxy.example.com\""));
    assert!(message.contains("uses TLS") && help.contains("a tls: address to sip.listen"), "{message}: {help}");
    for wrong in ["sips:proxy.example.com;transport=udp", "sip:proxy.example.com;transport=sctp", "tel:+1"] {
        let (.., help) = only_error(&text.replace("sips:proxy.example.com", wrong));
        assert!(help.contains("sips:proxy.example.com"), "{help}");
    }
    let tls = "listen = [\"tls:127.0.0.1:5061\"]\n[tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n";
    let config = Config::parse("parlor.toml", &format!("{text}{tls}")).unwrap();
    assert_eq!(config.sip.outbound_proxy.as_deref(), Some("sips:proxy.example.com;lr"));
}

#[test]
fn passwords_are_normalized_before_hashing() {
    // RFC 8265 §4.2: other spaces are spaces, and accents are put together.
    let users = |password: &str| {
        let text = format!("[sip.auth]\nrealm = \"r\"\n[sip.auth.users]\nalice = \"{password}\"\n");
        Config::parse("parlor.toml", &text).unwrap().sip.auth.unwrap().users
    };
    assert_eq!(users("correct\u{3000}horse caf\u{65}\u{301}"), users("correct horse caf\u{e9}"));
    assert_ne!(users("Correct horse"), users("correct horse"), "case is kept");
}
