//! A replica in a network of its own, whose packets are lost on their way.

use std::time::Instant;

use portcullis::pb;
use tokio::task::block_in_place;

use crate::{
    caller::reason,
    fleet::Fleet,
    promises::never_valid,
    space::{Link, Lost},
    wish::{WAIT, Wish},
};

type Fault = fn(&Link);

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_packets_are_lost_answers_no_longer_than_its_lease_and_is_waited_for() {
    let fleet = Fleet::start(&Wish { link: true, ..Wish::pair() }).await;
    let Some(link) = &fleet.replicas[1].link else { return };
    let faults: [(&str, Fault); 4] = [
        ("what it sends is lost", |link| link.lose(Lost::Up)),
        ("what it is sent is lost", |link| link.lose(Lost::Down)),
        ("all is lost", |link| link.lose(Lost::Both)),
        ("the cable is pulled", Link::pull),
    ];
    for (what, fault) in faults {
        let (key, secret) = fleet.key().await;
        fleet.knows(1, &secret).await;
        block_in_place(|| fault(link));
        let begun = Instant::now();
        fleet.revoke(0, &key).await.expect("revoke");
        never_valid(&fleet, 1, &secret).await;
        let refused = loop {
            match fleet.verdict(1, &secret).await {
                Ok(verdict) => assert_eq!(verdict, pb::Verdict::Revoked, "{what}"),
                Err(status) => break status,
            }
            assert!(begun.elapsed() < 2 * WAIT, "{what}, and it answers");
        };
        assert_eq!(reason(&refused), "FRESHNESS_UNPROVEN", "{what}: {refused}");
        let healed = Instant::now();
        block_in_place(|| fleet.heal());
        fleet.answers(1).await;
        println!("{what}: it answers again {:?} after it was healed", healed.elapsed());
        assert_eq!(fleet.verdict(1, &secret).await.expect("verify"), pb::Verdict::Revoked, "{what}");
    }
}
