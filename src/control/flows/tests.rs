use super::*;
use crate::limits::{SIP_WAITING_BYTES_MAX, SIP_WAITING_MESSAGES_MAX};
use tokio::task::LocalSet;

fn hop(host: [u8; 4], port: u16, connection: Option<SipConnection>) -> Hop {
    let local = "127.0.0.1:5060".parse().unwrap();
    Hop { transport: Transport::Tcp, local, remote: SocketAddr::from((host, port)), connection }
}

/// Nothing that was spawned runs before the test is over: every connection stays in the making.
fn with_flows(test: impl FnOnce(&mut Flows)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (mut flows, _inbound) = Flows::start(SipSockets::default(), None).unwrap();
        test(&mut flows);
    });
}

fn answer(octets: usize) -> Bytes {
    let mut answer = b"SIP/2.0 200 OK\r\n".to_vec();
    answer.resize(octets, b'a');
    answer.into()
}

/// Connections that take nothing.
fn carry_stalled(flows: &mut Flows, count: u16) -> Vec<Hop> {
    let stalled = (1..=count).map(|port| {
        flows.carry(std::future::pending(), hop([192, 0, 2, 1], port, None), None);
        let number = flows.table.to((Transport::Tcp, SocketAddr::from(([192, 0, 2, 1], port))));
        hop([192, 0, 2, 1], port, number)
    });
    stalled.collect()
}

#[test]
fn a_connection_that_does_not_read_is_closed_at_so_many_octets() {
    with_flows(|flows| {
        let stalled = carry_stalled(flows, 2);
        let large = answer(50_000);
        let fit = SIP_WAITING_BYTES_MAX / large.len();
        assert!(fit < SIP_WAITING_MESSAGES_MAX);
        assert!((0..fit).all(|_| flows.send(stalled[0], large.clone()).is_ok()));
        flows.send(stalled[1], large.clone()).unwrap();
        assert_eq!(flows.poll_closed(), None);
        assert_eq!(flows.send(stalled[0], large.clone()), Err(large.clone()));
        assert_eq!((flows.poll_closed(), flows.poll_closed()), (stalled[0].connection, None));
        assert_eq!(flows.octets.get(), large.len(), "what waited there does not count any more");
    });
}

#[test]
fn where_too_much_waits_on_all_connections_the_one_where_the_most_waits_goes() {
    with_flows(|flows| {
        let large = answer(60_000);
        let fit = SIP_WAITING_BYTES_MAX / large.len();
        let count = SIP_WAITING_BYTES_IN_ALL_MAX / (fit * large.len());
        let stalled = carry_stalled(flows, u16::try_from(count).unwrap() + 2);
        let (small, large_ones) = stalled.split_first().unwrap();
        flows.send(*small, large.clone()).unwrap();
        for stalled in large_ones {
            assert!((0..fit).all(|_| flows.send(*stalled, large.clone()).is_ok()));
        }
        assert!(flows.poll_closed().is_some_and(|closed| Some(closed) != small.connection));
        assert!(flows.poll_closed().is_none() && flows.octets.get() <= SIP_WAITING_BYTES_IN_ALL_MAX);
        assert!(small.connection.is_some_and(|number| flows.table.get(number).is_some()));
    });
}

#[test]
fn one_host_does_not_use_up_the_connections_that_we_make() {
    with_flows(|flows| {
        let request = Bytes::from_static(b"BYE sip:a SIP/2.0\r\n\r\n");
        for port in 1..=u16::try_from(SIP_OWN_CONNECTIONS_PER_HOST_MAX).unwrap() {
            flows.send(hop([192, 0, 2, 1], port, None), request.clone()).unwrap();
        }
        assert!(flows.send(hop([192, 0, 2, 1], 9999, None), request.clone()).is_err());
        for port in 0..u16::try_from(SIP_OWN_CONNECTIONS_MAX).unwrap() {
            flows.send(hop([198, 51, 100, (port % 250) as u8], 1 + port, None), request.clone()).unwrap();
        }
        assert_eq!(flows.table.count(true), SIP_OWN_CONNECTIONS_MAX);
        let left = flows.table.share(true, [192, 0, 2, 1].into());
        assert!(left < 10, "who has the most loses one for another: {left}");
        assert_eq!(flows.table.count(false), 0, "those of peers are counted apart");
    });
}

#[test]
fn what_goes_to_one_address_while_it_is_being_connected_to_takes_one_connection() {
    with_flows(|flows| {
        for _ in 0..20 {
            flows.send(hop([192, 0, 2, 1], 5060, None), Bytes::from_static(b"BYE sip:a SIP/2.0\r\n\r\n")).unwrap();
        }
        assert_eq!(flows.table.count(true), 1);
    });
}
