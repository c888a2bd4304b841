# Program: Sidekiq
# Needs: apt ruby-sidekiq=6.4
# Exercises: weighted and strict queues, scheduled and bulk jobs, retries with back-off until a job is dead and after that, queues cleared and workers paused through the API, statistics, connections that are cut, workers that are killed
#
# A client, and worker processes as `sidekiq` starts them. What hands over jobs
# that are due is a script of Sidekiq's.
require "sidekiq"
require "sidekiq/api"
require "sidekiq/launcher"
require "timeout"
require_relative "lib/checks"

# The library below Sidekiq has much to say about what it calls.
Redis.silence_deprecations = true

REDIS = { url: "redis://127.0.0.1:#{ENV.fetch("PORT")}/3" }
Sidekiq.configure_client { |config| config.redis = REDIS }
Sidekiq.configure_server do |config|
  config.redis = REDIS
  # How often it asks for what is due, and that it does so at once: it would
  # wait for up to a quarter of a minute.
  config.options[:poll_interval_average] = 0.05
  Sidekiq::Scheduled::Poller.define_method(:initial_wait) {}
  # How often it tells what it is at: it would be every five seconds.
  Sidekiq::Launcher.send(:remove_const, :BEAT_PAUSE)
  Sidekiq::Launcher.const_set(:BEAT_PAUSE, 0.05)
  # How long it waits for a job before it looks whether it has to end.
  Sidekiq::BasicFetch.send(:remove_const, :TIMEOUT)
  Sidekiq::BasicFetch.const_set(:TIMEOUT, 1)
  config.logger.level = Logger::FATAL
  config.death_handlers << ->(job, error) { Sidekiq.redis { |redis| redis.rpush("deaths", "#{job["class"]} #{error.message}") } }
end

class Add
  include Sidekiq::Worker
  def perform(key, n)
    Sidekiq.redis { |redis| redis.incrby(key, n) }
  end
end

class Urgent < Add
  sidekiq_options queue: "urgent"
end

# Fails until it has been called often enough.
class Flaky
  include Sidekiq::Worker
  sidekiq_options retry: 5
  def perform(key, enough)
    tries = Sidekiq.redis { |redis| redis.incr(key) }
    raise "not yet" if tries < enough
  end
end

class Hopeless
  include Sidekiq::Worker
  sidekiq_options retry: 0
  def perform
    raise "never"
  end
end

# Fails until somebody has repaired it.
class Broken
  include Sidekiq::Worker
  sidekiq_options retry: 2, retry_queue: "urgent", backtrace: 3
  sidekiq_retry_in { |count| 1000 * (count + 1) }
  sidekiq_retries_exhausted { |job| Sidekiq.redis { |redis| redis.rpush("exhausted", job["args"].first) } }
  def perform(key)
    Sidekiq.redis { |redis| redis.get(key) == "repaired" ? redis.set(key, "well") : raise(ArgumentError, "broken") }
  end
end

# Runs until it is told to go on.
class Hold
  include Sidekiq::Worker
  def perform(key)
    Sidekiq.redis { |redis| redis.incr("#{key}:began") }
    sleep 0.01 until Sidekiq.redis { |redis| redis.exists?("#{key}:go") }
    Sidekiq.redis { |redis| redis.incr("#{key}:ended") }
  end
end

class Note
  include Sidekiq::Worker
  def perform(queue)
    Sidekiq.redis { |redis| redis.rpush("order", queue) }
  end
end

# The worker process reads this file for its jobs alone.
return if Sidekiq.server?

def ask
  Sidekiq.redis { |redis| yield redis }
end

def value(key)
  ask { |redis| redis.get(key).to_i }
end

# A process of so many threads, until it is stopped or killed.
def worker(*flags, threads: 4)
  pid = Process.spawn("sidekiq", "-r", __FILE__, "-c", threads.to_s, *flags, out: :err)
  at_exit do
    Process.kill("KILL", pid)
  rescue Errno::ESRCH
    # It has ended.
  end
  pid
end

# Lets it end what it is at, or kills it; its exit status, if it has one.
def stop(worker, how = "TERM")
  Process.kill(how, worker)
  Timeout.timeout(60) { Process.wait2(worker) }.last.exitstatus
end

def waiting(threads)
  until_true("#{threads} threads wait") { ask { |redis| redis.info["blocked_clients"] } == threads.to_s }
end

def retries = Sidekiq::RetrySet.new
def scheduled = Sidekiq::ScheduledSet.new
def dead = Sidekiq::DeadSet.new
def stats = Sidekiq::Stats.new
def queue(name = "default") = Sidekiq::Queue.new(name)

# What nothing has run yet.
def enqueued
  same(Add.perform_async("sum", 1).size, 24)
  Urgent.perform_async("sum", 10)
  # By the client alone: what is due later, and what was due already.
  later = Add.perform_in(3600, "later", 1)
  soon = Add.perform_at(Time.now.to_f + 0.2, "soon", 1)
  Add.perform_at(Time.now - 10, "sum", 100)
  # The last comes first.
  same(scheduled.map(&:jid), [later, soon])
  same(Sidekiq::Queue.all.to_h { |queue| [queue.name, queue.size] }, { "default" => 2, "urgent" => 1 })
  same(Sidekiq::Client.push_bulk("class" => Add, "args" => (1..100).map { |n| ["bulk", n] }).size, 100)
  Flaky.perform_async("tries", 3)
  Hopeless.perform_async
  same([stats.enqueued, stats.scheduled_size, stats.queues], [105, 2, { "default" => 104, "urgent" => 1 }])
  same(queue.latency > 0, true)
  # One of many that is taken back.
  same([queue.find_job("none"), queue.find_job(Add.perform_async("sum", 1000)).delete, queue.size], [nil, true, 104])
  later
end

def schedules(later)
  until_true("all jobs have run") { [value("sum"), value("bulk"), value("soon")] == [111, 5050, 1] }
  same([value("later"), scheduled.map(&:jid)], [0, [later]])
  # One that is moved forward, one that is run at once, and one that is taken back.
  scheduled.find_job(later).reschedule(Time.now)
  until_true("the job that was moved") { value("later") == 1 }
  scheduled.schedule(Time.now + 3600, "class" => "Add", "args" => ["later", 1], "jid" => "by hand", "queue" => "default", "retry" => true)
  same(scheduled.first.add_to_queue.nil?, false)
  until_true("the job that was taken") { value("later") == 2 }
  job = Add.perform_at(Time.now + 3600, "later", 1)
  same([scheduled.fetch(Time.now.to_f..Time.now.to_f + 7200).map(&:jid), scheduled.scan(job).map(&:jid)], [[job], [job]])
  scheduled.first.delete
  same(scheduled.size, 0)
end

# How long a retry waits, in seconds since the job failed.
def delay
  job = retries.first
  job.score - (job["retried_at"] || job["failed_at"])
end

def failures
  until_true("a retry is scheduled, and a job is dead") { retries.size == 1 && dead.size == 1 }
  same([retries.first.klass, retries.first["error_message"], retries.first["retry_count"]], ["Flaky", "not yet", 0])
  same([dead.first.klass, dead.first["error_message"]], ["Hopeless", "never"])
  # Up to ten seconds for every try are added by chance.
  same(delay.between?(15, 25), true)
  retries.first.reschedule(Time.now)
  until_true("the second try") { value("tries") == 2 && retries.size == 1 }
  same([retries.first["retry_count"], delay.between?(16, 36)], [1, true])
  retries.retry_all
  until_true("the third try") { value("tries") == 3 }
  dead.first.delete

  # Two retries, as often as it may be tried, and then it is dead.
  job = Broken.perform_async("part")
  [1000..1011, 2000..2021].each_with_index do |expected, count|
    until_true("it has failed") { retries.first&.[]("retry_count") == count }
    same([retries.first.jid, expected.cover?(delay), retries.first["error_class"]], [job, true, "ArgumentError"])
    same([retries.first.queue, retries.first.error_backtrace.size], ["urgent", 3])
    retries.find_job(job).reschedule(Time.now)
  end
  until_true("it is dead") { dead.size == 1 }
  same([dead.first.jid, dead.first["retry_count"], retries.size, stats.dead_size], [job, 2, 0, 1])
  same(ask { |redis| [redis.lrange("exhausted", 0, -1), redis.lrange("deaths", 0, -1)] }, [["part"], ["Hopeless never", "Broken broken"]])
  # Revived in vain, and once more when it has been repaired.
  same(dead.first.retry.nil?, false)
  until_true("it is dead again") { ask { |redis| redis.llen("exhausted") } == 2 && dead.size == 1 }
  ask { |redis| redis.set("part", "repaired") }
  dead.retry_all
  until_true("it is well") { ask { |redis| redis.get("part") } == "well" }
  same([dead.size, retries.size], [0, 0])
  # What somebody gives up by hand.
  3.times { |n| Broken.perform_async("other:#{n}") }
  until_true("all have failed") { retries.size == 3 }
  retries.first.kill
  retries.kill_all
  same([retries.size, dead.map(&:klass)], [0, ["Broken"] * 3])
  dead.clear
  same(dead.size, 0)
end

# Until the workers have told that this is what they are at.
def at_work(job)
  until_true("it is told") { Sidekiq::WorkSet.new.size == 1 && Sidekiq::WorkSet.new.map { |_, _, work| work["payload"]["jid"] } == [job] }
end

# Who works at what, and that it can be told to take no more.
def processes
  until_true("the process is known") { Sidekiq::ProcessSet.new.size == 1 }
  process = Sidekiq::ProcessSet.new.first
  same([process["queues"].sort, process["concurrency"], process.stopping?], [%w[default urgent], 4, false])
  job = Hold.perform_async("held")
  at_work(job)
  same([stats.workers_size, stats.processes_size], [1, 1])
  process.quiet!
  until_true("it takes no more") { Sidekiq::ProcessSet.new.first.stopping? }
  # What its threads wait for already they would take.
  waiting(0)
  Add.perform_async("later", 100)
  same(queue.size, 1)
  ask { |redis| redis.set("held:go", 1) }
  until_true("it has ended what it was at") { value("held:ended") == 1 }
  same([queue.size, value("later")], [1, 2])
  queue.clear
  same([queue.size, Sidekiq::Queue.all.map(&:name)], [0, ["urgent"]])
end

# What the worker has added up, and told before it ended.
def counts
  same([stats.processed, stats.failed, stats.enqueued, stats.retry_size], [119, 10, 0, 0])
  days = Sidekiq::Stats::History.new(2)
  same([days.processed.values.sum, days.failed.values.sum], [119, 10])
  stats.reset("failed")
  same([stats.processed, stats.failed], [119, 0])
end

# The order in which a worker with one thread takes what is in two queues.
def order(*flags)
  %w[urgent default].each { |name| Sidekiq::Client.push_bulk("class" => Note, "queue" => name, "args" => [[name]] * 200) }
  one = worker(*flags, threads: 1)
  until_true("all have run") { ask { |redis| redis.llen("order") } == 400 }
  same(stop(one), 0)
  ask { |redis| redis.multi { |transaction| transaction.lrange("order", 0, -1); transaction.del("order") } }.first
end

def weights
  # Without weights, the second queue waits until the first is empty.
  same(order("-q", "urgent", "-q", "default"), ["urgent"] * 200 + ["default"] * 200)
  # With them it is drawn which one comes first: 150 of 200, more or less.
  same(order("-q", "urgent,3", "-q", "default,1").first(200).count("urgent").between?(110, 190), true)
end

def killed
  one = worker(threads: 1)
  at_work(Hold.perform_async("lost"))
  Add.perform_async("spared", 1)
  stop(one, "KILL")
  # A job is with its worker and nowhere else: Sidekiq itself, unlike what is
  # sold beside it, loses that one.
  same([value("lost:began"), queue.map(&:klass), retries.size, scheduled.size, dead.size], [1, ["Add"], 0, 0, 0])
  name = Sidekiq::ProcessSet.new.find { |process| process["pid"] == one }["identity"]
  # As if it had not been heard of for a minute.
  same(ask { |redis| [redis.ttl(name).between?(1, 60), redis.expire(name, 0)] }, [true, true])
  same(Sidekiq::ProcessSet.new && ask { |redis| redis.sismember("processes", name) }, false)

  two = worker("-t", "1")
  until_true("what was spared has run") { value("spared") == 1 }
  # All its connections are cut, and it connects again.
  waiting(4)
  same(ask { |redis| redis.client("KILL", "TYPE", "normal") } > 4, true)
  Add.perform_async("cut", 1)
  until_true("it has run") { value("cut") == 1 }
  Hold.perform_async("kept")
  until_true("the job runs") { value("kept:began") == 1 }
  # Told to end within a second, it gives back what it is at: to whom waits for
  # jobs, which must be none of its own threads.
  Process.kill("TSTP", two)
  waiting(0)
  same(stop(two), 0)
  same([queue.map(&:klass), value("lost:began")], [["Hold"], 1])
  three = worker
  until_true("the job runs again") { value("kept:began") == 2 }
  ask { |redis| redis.set("kept:go", 1) }
  until_true("it has ended") { value("kept:ended") == 1 }
  same(stop(three), 0)
end

ask(&:flushall)
later = enqueued
one = worker("-q", "urgent,3", "-q", "default", "-t", "5")
schedules(later)
failures
processes
same(stop(one), 0)
counts
weights
killed
done
