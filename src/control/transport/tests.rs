use super::*;
use crate::limits::{SIP_WAITING_BYTES_MAX, SIP_WAITING_MESSAGES_MAX};
use tokio::task::LocalSet;

fn hop(host: [u8; 4], port: u16, connection: Option<SipConnection>) -> Hop {
    let local = "127.0.0.1:5060".parse().unwrap();
    Hop { transport: Transport::Tcp, local, remote: SocketAddr::from((host, port)), connection }
}

/// No spawned task runs before the test is over: every connection stays unestablished.
fn with_transport(test: impl FnOnce(&mut TransportLayer)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (mut transport, _inbound) = TransportLayer::start(SipSockets::default(), None).unwrap();
        test(&mut transport);
    });
}

fn response(octets: usize) -> Bytes {
    let mut response = b"SIP/2.0 200 OK\r\n".to_vec();
    response.resize(octets, b'a');
    response.into()
}

/// Connections that are not read.
fn connect_stalled(transport: &mut TransportLayer, count: u16) -> Vec<Hop> {
    let stalled = (1..=count).map(|port| {
        transport.spawn(std::future::pending(), hop([192, 0, 2, 1], port, None), None);
        let number = transport.table.find((Transport::Tcp, SocketAddr::from(([192, 0, 2, 1], port))));
        hop([192, 0, 2, 1], port, number)
    });
    stalled.collect()
}

#[test]
fn a_connection_with_a_full_send_queue_is_closed() {
    with_transport(|transport| {
        let stalled = connect_stalled(transport, 2);
        let large = response(50_000);
        let fit = SIP_WAITING_BYTES_MAX / large.len();
        assert!(fit < SIP_WAITING_MESSAGES_MAX);
        assert!((0..fit).all(|_| transport.send(stalled[0], large.clone()).is_ok()));
        transport.send(stalled[1], large.clone()).unwrap();
        assert_eq!(transport.poll_closed(), None);
        assert_eq!(transport.send(stalled[0], large.clone()), Err(large.clone()));
        assert_eq!((transport.poll_closed(), transport.poll_closed()), (stalled[0].connection, None));
        assert_eq!(transport.queued.get(), large.len(), "a closed connection is not counted");
    });
}

#[test]
fn the_fullest_send_queue_is_closed_when_all_together_are_full() {
    with_transport(|transport| {
        let large = response(60_000);
        let fit = SIP_WAITING_BYTES_MAX / large.len();
        let count = SIP_WAITING_BYTES_IN_ALL_MAX / (fit * large.len());
        let stalled = connect_stalled(transport, u16::try_from(count).unwrap() + 2);
        let (small, large_ones) = stalled.split_first().unwrap();
        transport.send(*small, large.clone()).unwrap();
        for stalled in large_ones {
            assert!((0..fit).all(|_| transport.send(*stalled, large.clone()).is_ok()));
        }
        assert!(transport.poll_closed().is_some_and(|closed| Some(closed) != small.connection));
        assert!(transport.poll_closed().is_none() && transport.queued.get() <= SIP_WAITING_BYTES_IN_ALL_MAX);
        assert!(small.connection.is_some_and(|number| transport.table.get(number).is_some()));
    });
}

#[test]
fn one_host_does_not_use_up_the_client_connections() {
    with_transport(|transport| {
        let request = Bytes::from_static(b"BYE sip:a SIP/2.0\r\n\r\n");
        for port in 1..=u16::try_from(SIP_OWN_CONNECTIONS_PER_HOST_MAX).unwrap() {
            transport.send(hop([192, 0, 2, 1], port, None), request.clone()).unwrap();
        }
        assert!(transport.send(hop([192, 0, 2, 1], 9999, None), request.clone()).is_err());
        for port in 0..u16::try_from(SIP_OWN_CONNECTIONS_MAX).unwrap() {
            transport.send(hop([198, 51, 100, (port % 250) as u8], 1 + port, None), request.clone()).unwrap();
        }
        assert_eq!(transport.table.count(Side::Client), SIP_OWN_CONNECTIONS_MAX);
        let left = transport.table.count_of_network(Side::Client, [192, 0, 2, 1].into());
        assert!(left < 10, "the network with the most loses one for another: {left}");
        assert_eq!(transport.table.count(Side::Server), 0, "server connections are counted apart");
    });
}

#[test]
fn messages_to_one_address_share_a_connection_that_is_being_established() {
    with_transport(|transport| {
        for _ in 0..20 {
            transport.send(hop([192, 0, 2, 1], 5060, None), Bytes::from_static(b"BYE sip:a SIP/2.0\r\n\r\n")).unwrap();
        }
        assert_eq!(transport.table.count(Side::Client), 1);
    });
}
