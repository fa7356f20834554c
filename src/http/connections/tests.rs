use super::*;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn admit(connections: &Arc<Connections>, count: usize) -> Vec<Admission> {
    (0..count).map(|_| connections.admit(PEER).unwrap()).collect()
}

fn closing(admissions: &[Admission]) -> usize {
    let closing = admissions.iter().filter(|admission| admission.connection.is_closing());
    closing.count()
}

fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn a_client_that_does_not_read_is_closed_after_ten_seconds_and_among_many_after_two() {
    let connections = Connections::new(1000, false, Vec::new());
    let few = admit(&connections, 100);
    for admission in &few {
        admission.block().unwrap();
    }
    connections.sweep(later(9));
    assert_eq!(closing(&few), 0);
    let more = admit(&connections, 100);
    for admission in &more {
        admission.block().unwrap();
    }
    connections.sweep(later(3));
    assert_eq!((closing(&few), closing(&more)), (100, 100));
    drop(few);
    let reading = admit(&connections, 1);
    reading[0].block().unwrap();
    assert!(reading[0].unblock());
    drop(more);
    connections.sweep(later(11));
    assert_eq!(closing(&reading), 0);
}

#[test]
fn only_so_many_clients_may_leave_responses_unread() {
    let connections = Connections::new(1000, false, Vec::new());
    let mut admissions = admit(&connections, MAX_BLOCKED + 1);
    let last = admissions.pop().unwrap();
    for admission in &admissions {
        admission.block().unwrap();
    }
    assert!(last.block().is_err());
    drop((last, admissions));
    assert!(admit(&connections, 1)[0].block().is_ok());
}

#[test]
fn a_network_that_leaves_responses_unread_does_not_keep_others_from_reading_slowly() {
    let connections = Connections::new(1000, true, Vec::new());
    let mut admissions = admit(&connections, MAX_BLOCKED_OF_NETWORK + 1);
    let last = admissions.pop().unwrap();
    for admission in &admissions {
        admission.block().unwrap();
    }
    assert!(last.block().is_err());
    let other = connections.admit("192.0.2.2".parse().unwrap()).unwrap();
    assert!(other.block().is_ok());
    assert!(last.unblock());
    assert!(admissions[0].unblock());
    assert!(last.block().is_ok());
}

#[test]
fn the_longest_idle_connections_are_closed_from_three_quarters_of_the_maximum_on() {
    let connections = Connections::new(64, false, Vec::new());
    let admissions = admit(&connections, 48);
    // The first two have a request, and the second one a client that does not read.
    admissions[0].connection.begin_request(Some(0));
    admissions[1].connection.begin_request(Some(0));
    admissions[1].block().unwrap();
    connections.sweep(later(4));
    assert_eq!(closing(&admissions), 0);
    let _further = admit(&connections, 1);
    assert_eq!(closing(&admissions), 4);
    connections.sweep(later(6));
    assert_eq!(closing(&admissions[..2]), 0);
    // A request that begins at the same moment is handled to its end.
    let is_closing = |admission: &&Admission| admission.connection.is_closing();
    let connection = &admissions.iter().find(is_closing).unwrap().connection;
    connection.begin_request(Some(0));
    assert!(!connection.must_end());
}

#[test]
fn connections_without_a_request_are_kept_while_there_is_room() {
    let connections = Connections::new(64, false, Vec::new());
    let admissions = admit(&connections, 40);
    admissions[0].connection.record_read(1);
    connections.sweep(later(7));
    assert!(admissions[0].connection.is_closing(), "the head of its request is late");
    assert_eq!(closing(&admissions), 1);
}

#[test]
fn a_request_limits_what_is_read_until_it_ends() {
    let connection = Connection::new(Instant::now());
    assert_eq!(connection.allowance(), None);
    connection.begin_request(Some(1000));
    connection.record_read(1000);
    let ahead = connection.allowance().unwrap();
    assert!(ahead < 1000);
    connection.record_read(ahead);
    assert_eq!(connection.allowance(), Some(0));
    connection.end_request();
    assert_eq!(connection.allowance(), None);
}

#[test]
fn an_ipv6_network_shares_its_connections() {
    let connections = Connections::new(16, true, Vec::new());
    let admit = |ip: &str| connections.admit(ip.parse().unwrap());
    let _admissions: Vec<_> = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"]
        .map(|ip| admit(ip).unwrap())
        .into();
    let refusal = admit("2001:db8::5").unwrap_err();
    assert_eq!(refusal, Refusal::TooManyOfNetwork { maximum: 4 });
    assert!(admit("2001:db8:0:1::1").is_ok());
}
