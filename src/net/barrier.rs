//! Tells when the workers have done what there was to do.

use tokio::sync::oneshot;

use super::tasks;
use super::worker::Worker;

/// Who looks at all workers, and waits for them.
pub struct Barrier {
    workers: Vec<Worker>,
}

/// Who keeps the workers busy all the time is not waited for: after so many
/// rounds, what was to be done at first has been, and what followed from it.
const ROUNDS: usize = 16;

impl Barrier {
    /// Before what these workers have to do.
    pub fn new(workers: Vec<Worker>) -> Barrier {
        Barrier { workers }
    }

    /// Waits until no worker has anything to do, and none has had since it was
    /// looked at before: what one does may be for another. What a socket does
    /// not take is not waited for.
    pub async fn wait(&self) {
        let mut before = Vec::new();
        for _ in 0..ROUNDS {
            let mut now = Vec::new();
            for looking in self.look() {
                // A worker that has ended does nothing more.
                now.extend(looking.await.ok());
            }
            if now == before && now.iter().all(|look| look.is_idle) {
                return;
            }
            before = now;
        }
    }

    /// Has each worker look once it has run all that waits there by now.
    fn look(&self) -> Vec<oneshot::Receiver<tasks::Look>> {
        let look = |worker: &Worker| {
            let (tell, told) = oneshot::channel();
            worker.spawn(Box::pin(async move {
                if let Some(look) = tasks::look() {
                    // Nobody asks any more when the broker ends.
                    let _ = tell.send(look);
                }
            }));
            told
        };
        // All at once, so that they do so beside each other.
        self.workers.iter().map(look).collect()
    }
}
