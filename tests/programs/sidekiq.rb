# Program: Sidekiq
# Needs: apt ruby-sidekiq=6.4
# Exercises: workers of two queues, scheduled jobs, retries
#
# What Sidekiq does: a worker process that runs jobs of two queues, one that is
# scheduled, and retries. The script that hands over what is due is Sidekiq's.
# Every result is asserted; what is printed is how many there were.
require "sidekiq"
require "sidekiq/api"
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
  require "sidekiq/scheduled"
  Sidekiq::Scheduled::Poller.define_method(:initial_wait) {}
  config.logger.level = Logger::FATAL
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

# The worker process reads this file for its jobs alone.
return if Sidekiq.server?

def value(key)
  Sidekiq.redis { |redis| redis.get(key).to_i }
end

Sidekiq.redis(&:flushall)
same(Add.perform_async("sum", 1).size, 24)
Urgent.perform_async("sum", 10)
# By the client alone: what is due later, and what was due already.
later = Add.perform_in(3600, "later", 1)
soon = Add.perform_at(Time.now.to_f + 0.2, "soon", 1)
Add.perform_at(Time.now - 10, "sum", 100)
# The last comes first.
same(Sidekiq::ScheduledSet.new.map(&:jid), [later, soon])
same(Sidekiq::Queue.all.to_h { |queue| [queue.name, queue.size] }, { "default" => 2, "urgent" => 1 })
same(Sidekiq::Client.push_bulk("class" => Add, "args" => (1..100).map { |n| ["bulk", n] }).size, 100)
Flaky.perform_async("tries", 3)
Hopeless.perform_async
same(Sidekiq::Stats.new.enqueued, 105)

worker = Process.spawn("sidekiq", "-r", __FILE__, "-c", "4", "-q", "urgent,3", "-q", "default", "-t", "5", out: :err)
begin
  until_true("all jobs have run") { [value("sum"), value("bulk"), value("soon")] == [111, 5050, 1] }
  same(value("later"), 0)
  same(Sidekiq::ScheduledSet.new.map(&:jid), [later])
  # One that is moved forward, and one that is run at once.
  Sidekiq::ScheduledSet.new.find_job(later).reschedule(Time.now)
  until_true("the job that was moved") { value("later") == 1 }
  Sidekiq::ScheduledSet.new.schedule((Time.now + 3600).to_f, "class" => "Add", "args" => ["later", 1], "jid" => "by hand", "queue" => "default", "retry" => true)
  same(Sidekiq::ScheduledSet.new.first.add_to_queue.nil?, false)
  until_true("the job that was taken") { value("later") == 2 }

  retries, dead = Sidekiq::RetrySet.new, Sidekiq::DeadSet.new
  until_true("a retry is scheduled, and a job is dead") { retries.size == 1 && dead.size == 1 }
  same([retries.first.klass, retries.first["error_message"], retries.first["retry_count"]], ["Flaky", "not yet", 0])
  same([dead.first.klass, dead.first["error_message"]], ["Hopeless", "never"])
  # It would be a quarter of a minute: the worker hands it over now.
  retries.first.reschedule(Time.now)
  until_true("the second try") { value("tries") == 2 && retries.size == 1 }
  same(retries.first["retry_count"], 1)
  retries.retry_all
  until_true("the third try") { value("tries") == 3 }
  same([retries, Sidekiq::ScheduledSet.new, Sidekiq::Queue.new, Sidekiq::Queue.new("urgent")].map(&:size), [0, 0, 0, 0])
  until_true("the process is known") { Sidekiq::ProcessSet.new.size == 1 }
  same(Sidekiq::ProcessSet.new.first["queues"].uniq.sort, %w[default urgent])
  dead.first.delete
  same(dead.size, 0)
ensure
  Process.kill("TERM", worker)
  Timeout.timeout(10) { Process.wait(worker) }
end
same($?.exitstatus, 0)
same(Sidekiq::ProcessSet.new(false).size, 0)
stats = Sidekiq::Stats.new
same([stats.failed, stats.enqueued], [3, 0])
same(stats.processed >= 109, true)
done
