//! The tests of held requests and of pairs of operations, run many times. They use instances in this process, and panic if one
//! fails.

use std::time::Instant;

use crate::contract::{held, pairs};

/// Holds every operation that changes something back, `rounds` times for every kind of revocation.
pub async fn hold(rounds: usize) {
    let started = Instant::now();
    let instances = held::Instances::start().await;
    for round in 0..rounds {
        // After the number of the kind, which has one digit.
        let suffix = format!("x{round}");
        instances.revoke_sessions(&format!("s{suffix}")).await;
        instances.demote_admin(&format!("d{suffix}")).await;
        instances.change_member(&format!("m{suffix}")).await;
        instances.revoke_keys(&format!("k{suffix}")).await;
    }
    let seconds = started.elapsed().as_secs();
    println!("held: {rounds} rounds, no request carried out after the revocation of its credential, {seconds} s");
}

/// Runs every pair of operations on one account, `rounds` times.
pub async fn pair(rounds: usize) {
    let started = Instant::now();
    pairs::run_all(rounds).await;
    let seconds = started.elapsed().as_secs();
    println!("pairs: {rounds} rounds, no deadlock, no response 5xx, {seconds} s");
}
