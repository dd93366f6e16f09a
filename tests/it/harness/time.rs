use std::time::{Duration, Instant};

use portcullis::replica::Proof;
use tokio::sync::watch;

/// Waits for a moment with no sync under way: a clock that is stepped within one makes it
/// seem to last that long, and the replica's time, which never goes back, runs ahead for
/// good. A sync that ends a long silence is the loop's own tick, and the next is as far.
pub(crate) async fn between_syncs(proofs: &mut watch::Receiver<Proof>, every: Duration) {
    let tick = async {
        loop {
            let begun = Instant::now();
            proofs.changed().await.expect("a living replica");
            if begun.elapsed() > every / 2 {
                return;
            }
        }
    };
    tokio::time::timeout(10 * every, tick).await.expect("a tick of the sync loop");
}
