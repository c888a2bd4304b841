"""Two workers never get the same job, and none is left."""

from concurrent.futures import ThreadPoolExecutor


def work(client):
    """Takes jobs until it is told to go home."""
    done = []
    while (job := client.blpop("jobs")[1]) != "go home":
        done.append(job)
    return done


def test_each_job_is_done_once(respd):
    jobs = [f"job {n}" for n in range(100)]
    with ThreadPoolExecutor() as pool:
        workers = [pool.submit(work, respd.client()) for _ in range(2)]
        respd.until.blocked("jobs", 2)
        respd.client().rpush("jobs", *jobs, "go home", "go home")
        first, second = (worker.result(timeout=60) for worker in workers)
    assert sorted(first + second) == sorted(jobs)
